"""PostgreSQL servers for fault tests: over TCP and with durable commits, as in production."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from dev.postgres import NOBODY, Postgres
from tests.support.web import free_port, run


class Server(Postgres):
    """PostgreSQL server with the database `todos`, on a free port."""

    def __init__(self, directory: Path, **settings: str) -> None:
        """Configure the server; `start()` initialises an empty one if `directory` has no data."""
        self.port = free_port()
        super().__init__(
            directory, {"listen_addresses": "127.0.0.1", "port": str(self.port), **settings}
        )

    def url(self, database: str) -> str:
        """Return the superuser's URL: a Unix socket, so that network faults do not affect it."""
        return f"postgresql://postgres@/{database}?host={self.socket_directory}&port={self.port}"

    @property
    def address(self) -> str:
        """Value for DATABASE_URL."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/todos"

    def make_standby(self, directory: Path) -> "Server":
        """Return a streaming-replication standby of this running server, not started yet."""
        standby = Server(directory)
        directory.mkdir()
        if os.geteuid() == 0:
            shutil.chown(directory, NOBODY, NOBODY)
        self.execute("CHECKPOINT")
        copied = self._run(
            "pg_basebackup",
            f"--pgdata={standby.data}",
            "--write-recovery-conf",
            "--checkpoint=fast",
            f"--dbname=postgresql://postgres@127.0.0.1:{self.port}/?application_name=standby",
        )
        assert copied.returncode == 0, copied.stderr
        return standby

    def promote(self) -> None:
        """Promote this standby to primary, and wait until it is one."""
        promoted = self._pg_ctl("promote")
        assert promoted.returncode == 0, promoted.stderr

    def terminate_connections(self) -> None:
        """Terminate every connection of the service (pg_terminate_backend)."""
        self.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = 'todos'"
            " AND pid <> pg_backend_pid()"
        )

    def move_to_disk(self, directory: Path) -> None:
        """Move the database `todos` to a tablespace in `directory`."""
        tablespace = directory / "todos"
        tablespace.mkdir()
        owner = self.data.stat()
        shutil.chown(tablespace, owner.st_uid, owner.st_gid)
        self.execute(f"CREATE TABLESPACE disk LOCATION '{tablespace}'")
        self.execute("ALTER DATABASE todos SET TABLESPACE disk")

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Suspend every process of the server (SIGSTOP)."""
        postmaster = psutil.Process(self.pid())
        # The postmaster first, because it forks the others.
        postmaster.send_signal(signal.SIGSTOP)
        processes = [*postmaster.children(), postmaster]
        try:
            for process in processes:
                process.send_signal(signal.SIGSTOP)
            yield
        finally:
            for process in processes:
                process.send_signal(signal.SIGCONT)


def make_migrated(directory: Path) -> Path:
    """Create a server, migrate its database `todos`, stop it; return its data directory."""
    with Server(directory).running() as server:
        server.create_database("todos")
        release = run("release", DATABASE_URL=server.address)
        assert release.returncode == 0, release.stderr
    return server.data


@contextmanager
def running(directory: Path, migrated: Path, **settings: str) -> Iterator[Server]:
    """Run a server on a copy of the data directory from `make_migrated()`."""
    server = Server(directory, **settings)
    directory.mkdir(exist_ok=True)
    copy(migrated, server.data)
    with server.running():
        yield server


def copy(data: Path, to: Path) -> None:
    """Copy the data directory of a stopped server, ownership included."""
    shutil.copytree(data, to, symlinks=True)
    owner = data.stat()
    for path in (to, *to.rglob("*")):
        shutil.chown(path, owner.st_uid, owner.st_gid)
