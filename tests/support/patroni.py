"""Three machines with PostgreSQL under Patroni, as docs/patroni.yml configures them."""

import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psycopg2
import requests

from dev.postgres import AS_NOBODY, NOBODY, Postgres
from tests.support.machine import find_program, run_as_root
from tests.support.namespaces import NETWORK, Namespace, namespace
from tests.support.waiting import wait_until
from tests.support.web import ROOT, free_port, run

START_SECONDS = 90


class Node(Postgres):
    """A machine of the cluster, in a network namespace: Patroni and its PostgreSQL."""

    def __init__(self, directory: Path, place: Namespace, etcd_port: int) -> None:
        """Configure the node, which is named like its directory."""
        super().__init__(directory)
        self.name = directory.name
        self.place = place
        self.config = directory / "patroni.yml"
        directory.mkdir()
        shutil.chown(directory, NOBODY, NOBODY)
        text = (ROOT / "docs" / "patroni.yml").read_text()
        for documented, actual in (
            ("name: db1", f"name: {self.name}"),
            ("10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379", f"{place.gateway}:{etcd_port}"),
            ("10.0.0.1", place.address),
            ("10.0.0.0/24", str(NETWORK)),
            ("/var/lib/postgresql/15/todos", str(self.data)),
            ("/run/postgresql", str(directory)),
        ):
            assert documented in text
            text = text.replace(documented, actual)
        self.config.write_text(text)

    def url(self, database: str) -> str:
        """Return the superuser's URL, over TCP."""
        return f"postgresql://postgres:superuser-password@{self.place.address}:5432/{database}"

    def start(self) -> None:
        """Start Patroni without waiting for PostgreSQL."""
        with (self.directory / "patroni.log").open("a") as log:
            self.process = subprocess.Popen(
                self.place.command(
                    *AS_NOBODY, find_program("patroni", "patroni"), str(self.config)
                ),
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
            )

    def stop(self) -> None:
        """Stop Patroni, which stops PostgreSQL."""
        self.process.terminate()
        self.process.wait(timeout=60)

    def kill(self) -> None:
        """Kill Patroni and every process of PostgreSQL (SIGKILL), as if the machine had failed."""
        # Patroni first: it would start PostgreSQL again.
        self.process.kill()
        self.process.wait()
        super().kill()

    def cut_off(self) -> None:
        """Drop packets from and to etcd and the other nodes, but not those of the service."""
        allowed = f"-p tcp -m multiport --ports 5432,8008 -j ACCEPT -{{}} {self.place.gateway}"
        for rule in (
            "-A INPUT -i lo -j ACCEPT",
            "-A OUTPUT -o lo -j ACCEPT",
            f"-A INPUT {allowed.format('s')}",
            f"-A OUTPUT {allowed.format('d')}",
            "-P INPUT DROP",
            "-P OUTPUT DROP",
        ):
            self._iptables(rule)

    def reconnect(self) -> None:
        """End `cut_off()`."""
        for rule in ("-P INPUT ACCEPT", "-P OUTPUT ACCEPT", "-F"):
            self._iptables(rule)

    def _iptables(self, rule: str) -> None:
        program = find_program("iptables", "iptables")
        run_as_root(*self.place.command(program, "-w", *rule.split()))

    def role(self) -> str:
        """Return "leader", "synchronous", "replica", or "" if it is none, or does not respond."""
        for role in ("leader", "synchronous", "replica"):
            with suppress(requests.RequestException):
                if requests.get(f"http://{self.place.address}:8008/{role}", timeout=2).ok:
                    return role
        return ""


class Cluster:
    """etcd and three nodes."""

    def __init__(self, directory: Path, places: Iterable[Namespace]) -> None:
        """Configure the cluster in an empty directory."""
        self.directory = directory
        self.etcd_port = free_port()
        self.nodes = [
            Node(directory / f"db{number}", place, self.etcd_port)
            for number, place in enumerate(places, 1)
        ]

    @property
    def url(self) -> str:
        """Value for DATABASE_URL."""
        hosts = ",".join(node.place.address for node in self.nodes)
        login = "postgres:superuser-password"
        return f"postgresql://{login}@{hosts}/todos?target_session_attrs=read-write"

    def start_etcd(self) -> None:
        """Start etcd."""
        advertised = ",".join(
            f"http://{node.place.gateway}:{self.etcd_port}" for node in self.nodes
        )
        peer = f"http://127.0.0.1:{free_port()}"
        with (self.directory / "etcd.log").open("a") as log:
            self.etcd = subprocess.Popen(
                [
                    *(find_program("etcd", "etcd-server"), f"--data-dir={self.directory}/etcd"),
                    f"--listen-client-urls=http://0.0.0.0:{self.etcd_port}",
                    f"--advertise-client-urls={advertised}",
                    *(f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"),
                    f"--initial-cluster=default={peer}",
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def stop_etcd(self) -> None:
        """Stop etcd."""
        self.etcd.terminate()
        self.etcd.wait(timeout=30)

    def with_role(self, role: str) -> list[Node]:
        """Return the nodes that have a role."""
        return [node for node in self.nodes if node.role() == role]

    @property
    def leader(self) -> Node:
        """The node that accepts changes."""
        (leader,) = self.with_role("leader")
        return leader

    def is_healthy(self) -> bool:
        """Return whether there are a leader, a synchronous standby and a replica, all streaming."""
        roles = sorted(node.role() for node in self.nodes)
        if roles != ["leader", "replica", "synchronous"]:
            return False
        with suppress(psycopg2.OperationalError):
            streaming = self.leader.execute("SELECT state, sync_state FROM pg_stat_replication")
            return sorted(streaming) == [("streaming", "async"), ("streaming", "sync")]
        return False

    def wait_until_healthy(self) -> None:
        """Wait until every node does its part."""
        wait_until(self.is_healthy, START_SECONDS)

    def switch_over(self, candidate: Node) -> None:
        """Make another node the leader, with patronictl."""
        program = find_program("patronictl", "patroni")
        names = (f"--leader={self.leader.name}", f"--candidate={candidate.name}")
        subprocess.run(
            [program, "-c", candidate.config, "switchover", *names, "--force"],
            check=True,
            capture_output=True,
        )


@contextmanager
def haproxy(cluster: Cluster) -> Iterator[str]:
    """Run HAProxy with the documented configuration; yield a DATABASE_URL that knows one host."""
    port = free_port()
    text = (
        (ROOT / "docs" / "haproxy.cfg").read_text().replace("127.0.0.1:5000", f"127.0.0.1:{port}")
    )
    for number, node in enumerate(cluster.nodes, 1):
        text = text.replace(f"10.0.0.{number}:", f"{node.place.address}:")
    config = cluster.directory / "haproxy.cfg"
    config.write_text(text)
    process = subprocess.Popen([find_program("haproxy", "haproxy"), "-q", "-f", config])
    try:
        yield f"postgresql://postgres:superuser-password@127.0.0.1:{port}/todos"
    finally:
        process.terminate()
        process.wait(timeout=30)


def connect(places: Iterable[Namespace]) -> None:
    """Forward packets between network namespaces, for as long as these exist."""
    for place in places:
        run_as_root("sysctl", "--quiet", f"net.ipv4.conf.{place.name}.forwarding=1")
        run_as_root(*place.command("ip", "route", "add", str(NETWORK), "via", place.gateway))


@contextmanager
def running_cluster(directory: Path) -> Iterator[Cluster]:
    """Run a cluster with a migrated database `todos`."""
    with ExitStack() as stack:
        places = [stack.enter_context(namespace(number)) for number in range(3)]
        connect(places)
        cluster = Cluster(directory, places)
        cluster.start_etcd()
        stack.callback(cluster.stop_etcd)
        for node in cluster.nodes:
            node.start()
            stack.callback(node.stop)
        cluster.wait_until_healthy()
        cluster.leader.create_database("todos")
        migrated = run("release", DATABASE_URL=cluster.url)
        assert migrated.returncode == 0, migrated.stderr
        yield cluster
