"""Three PostgreSQL nodes under Patroni, with the documented configuration (docs/patroni.yml)."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg2
import requests

from dev.postgres import AS_NOBODY, NOBODY, Postgres
from tests.support.machine import find_program
from tests.support.waiting import wait_until
from tests.support.web import ROOT, free_port, run

START_SECONDS = 90


class Node(Postgres):
    """A node of the cluster: Patroni and its PostgreSQL."""

    def __init__(self, directory: Path, etcd_port: int) -> None:
        """Configure the node, which is named like its directory."""
        super().__init__(directory)
        self.name = directory.name
        self.port = free_port()
        self.api_port = free_port()
        self.config = directory / "patroni.yml"
        directory.mkdir()
        shutil.chown(directory, NOBODY, NOBODY)
        text = (ROOT / "docs" / "patroni.yml").read_text()
        for documented, actual in (
            ("name: db1", f"name: {self.name}"),
            ("10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379", f"127.0.0.1:{etcd_port}"),
            ("10.0.0.1:8008", f"127.0.0.1:{self.api_port}"),
            ("10.0.0.1:5432", f"127.0.0.1:{self.port}"),
            ("10.0.0.0/24", "127.0.0.1/32"),
            ("/var/lib/postgresql/15/todos", str(self.data)),
            ("/run/postgresql", str(directory)),
        ):
            assert documented in text
            text = text.replace(documented, actual)
        self.config.write_text(text)

    def url(self, database: str) -> str:
        """Return the superuser's URL, over TCP."""
        return f"postgresql://postgres:superuser-password@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start Patroni without waiting for PostgreSQL."""
        with (self.directory / "patroni.log").open("a") as log:
            self.process = subprocess.Popen(
                [*AS_NOBODY, find_program("patroni", "patroni"), self.config],
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

    def role(self) -> str:
        """Return "leader", "sync_standby", "replica", or "" if the node does not respond."""
        for role in ("leader", "synchronous", "replica"):
            with suppress(requests.RequestException):
                if requests.get(f"http://127.0.0.1:{self.api_port}/{role}", timeout=2).ok:
                    return role
        return ""


class Cluster:
    """etcd and three nodes."""

    def __init__(self, directory: Path) -> None:
        """Configure the cluster in a directory that every user may enter."""
        self.directory = directory
        self.etcd_port = free_port()
        self.nodes = [Node(directory / f"db{number}", self.etcd_port) for number in (1, 2, 3)]

    @property
    def url(self) -> str:
        """Value for DATABASE_URL."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        login = "postgres:superuser-password"
        return f"postgresql://{login}@{hosts}/todos?target_session_attrs=read-write"

    def start_etcd(self) -> None:
        """Start etcd."""
        client = f"http://127.0.0.1:{self.etcd_port}"
        peer = f"http://127.0.0.1:{free_port()}"
        with (self.directory / "etcd.log").open("a") as log:
            self.etcd = subprocess.Popen(
                [
                    *(find_program("etcd", "etcd-server"), f"--data-dir={self.directory}/etcd"),
                    *(f"--listen-client-urls={client}", f"--advertise-client-urls={client}"),
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
def running_cluster(directory: Path) -> Iterator[Cluster]:
    """Run a cluster with a migrated database `todos`."""
    cluster = Cluster(directory)
    cluster.start_etcd()
    try:
        for node in cluster.nodes:
            node.start()
        cluster.wait_until_healthy()
        cluster.leader.create_database("todos")
        migrated = run("release", DATABASE_URL=cluster.url)
        assert migrated.returncode == 0, migrated.stderr
        yield cluster
    finally:
        for node in cluster.nodes:
            node.stop()
        cluster.stop_etcd()
