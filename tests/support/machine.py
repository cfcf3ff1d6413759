"""What only an administrator of the machine can do, and the programs of Debian's packages."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"


def program(name: str, package: str) -> str:
    """Return where a program is. Without it the test fails: skipped, it would look like passed."""
    found = shutil.which(name, path=PATH)
    if found is None:
        pytest.fail(f"{name} is missing: apt-get install {package}")
    return found


def administer(*command: str) -> None:
    """Run a command as root; fail where we may not."""
    if os.geteuid() != 0:
        command = ("sudo", "-n", *command)
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.fail(f"{' '.join(command)} (it takes root): {result.stdout}{result.stderr}")


@contextmanager
def dropped_packets(port: int) -> Iterator[None]:
    """Lose every packet from and to a port of this machine, as a broken network does."""
    iptables = program("iptables", "iptables")
    rules = [
        ("INPUT", "-i", "lo", "-p", "tcp", direction, str(port), "-j", "DROP")
        for direction in ("--dport", "--sport")
    ]
    added = []
    try:
        for rule in rules:
            administer(iptables, "-w", "-I", *rule)
            added.append(rule)
        yield
    finally:
        for rule in added:
            administer(iptables, "-w", "-D", *rule)


@contextmanager
def small_disk(directory: Path, mebibytes: int) -> Iterator[Path]:
    """Make `directory` a disk of its own."""
    directory.mkdir()
    administer("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=777", "tmpfs", str(directory))
    try:
        yield directory
    finally:
        # What still has a file open there may keep it; the name is free at once.
        administer("umount", "--lazy", str(directory))
