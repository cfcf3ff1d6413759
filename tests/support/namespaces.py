"""Network namespaces: each is a machine of its own to TCP and to a firewall."""

import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network

import psutil

from tests.support.machine import find_program, run_as_root
from tests.support.web import PROCFILE, WebProcess

NETWORK = IPv4Network("198.18.0.0/15")
"""Addresses of all namespaces, reserved for tests of networks (RFC 2544)."""


class Namespace:
    """Network namespace that is connected to this machine.

    Attributes:
        address: its address.
        gateway: the address of this machine as seen from the namespace.
    """

    def __init__(self, number: int) -> None:
        """Set the name and the addresses, which no other process of the tests uses."""
        network = NETWORK[16 * (os.getpid() % 2**13) + 4 * number]
        self.gateway = str(network + 1)
        self.address = str(network + 2)
        self.name = f"todos{os.getpid()}-{number}"

    def command(self, *command: str) -> tuple[str, ...]:
        """Return the command that runs `command` in the namespace."""
        return (find_program("ip", "iproute2"), "netns", "exec", self.name, *command)

    def add(self) -> None:
        """Create the namespace, and connect it."""
        run_as_root("ip", "netns", "add", self.name)
        run_as_root(*f"ip link add {self.name} type veth peer eth0 netns {self.name}".split())
        run_as_root("ip", "address", "add", f"{self.gateway}/30", "dev", self.name)
        run_as_root("ip", "link", "set", self.name, "up")
        for command in (
            f"ip address add {self.address}/30 dev eth0",
            "ip link set eth0 up",
            "ip link set lo up",
        ):
            run_as_root(*self.command(*command.split()))

    def delete(self) -> None:
        """Disconnect the namespace, and delete it."""
        # Deleting the namespace alone would delete the link some time later.
        run_as_root("ip", "link", "delete", self.name)
        run_as_root("ip", "netns", "delete", self.name)

    def cut_off(self) -> None:
        """Drop every packet from and to the namespace, to simulate a network failure."""
        iptables = find_program("iptables", "iptables")
        for chain in ("INPUT", "OUTPUT"):
            run_as_root(*self.command(iptables, "-w", "-P", chain, "DROP"))


@contextmanager
def namespace(number: int = 0) -> Iterator[Namespace]:
    """Create a network namespace, and delete it afterwards.

    Args:
        number: 0 to 3, to tell the namespaces of a test apart.
    """
    created = Namespace(number)
    try:
        created.add()
        yield created
    finally:
        created.delete()


class Machine(WebProcess):
    """Web process in a network namespace, on port 8000."""

    def __init__(self, place: Namespace, database_url: str) -> None:
        self.place = place
        super().__init__(
            shlex.join(place.command(*PROCFILE["web"].split())),
            PORT="8000",
            DATABASE_URL=database_url,
            TRUSTED_PROXIES="1",
            TZ="UTC",
        )

    def url(self, path: str) -> str:
        return f"http://{self.place.address}:{self.port}{path}"

    def kill(self) -> None:
        """Kill every process (SIGKILL)."""
        processes = [psutil.Process(self.process.pid), *self.workers()]
        for process in processes:
            process.kill()
        self.process.wait(30)
        psutil.wait_procs(processes)

    def handled(self) -> int:
        """Return the number of requests for todos that the machine has responded to."""
        return len(re.findall(r" INFO \w+ /api/todos", self.output()))
