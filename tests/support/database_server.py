"""A PostgreSQL that is reached over TCP, as in production, and keeps what it has acknowledged."""

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
    """A server with the database `todos`, on a port of its own."""

    def __init__(self, directory: Path, **settings: str) -> None:
        """Describe it; without "data" in `directory`, `start()` makes it empty."""
        self.port = free_port()
        super().__init__(
            directory, {"listen_addresses": "127.0.0.1", "port": str(self.port), **settings}
        )

    def url(self, database: str) -> str:
        """Return the address for an administrator: the socket, which no faulty network cuts off."""
        return f"postgresql://postgres@/{database}?host={self.socket_directory}&port={self.port}"

    @property
    def address(self) -> str:
        """The address for DATABASE_URL."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/todos"

    def make_standby(self, directory: Path) -> "Server":
        """Copy this running server, and return the copy, which follows it once it is started."""
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
        """Make a standby a primary, and return once it is one."""
        promoted = self._pg_ctl("promote")
        assert promoted.returncode == 0, promoted.stderr

    def terminate_connections(self) -> None:
        """End every connection of the service, as an administrator does."""
        self.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = 'todos'"
            " AND pid <> pg_backend_pid()"
        )

    def move_to_disk(self, directory: Path) -> None:
        """Keep the database `todos` in a directory, which may be on another disk."""
        tablespace = directory / "todos"
        tablespace.mkdir()
        owner = self.data.stat()
        shutil.chown(tablespace, owner.st_uid, owner.st_gid)
        self.execute(f"CREATE TABLESPACE disk LOCATION '{tablespace}'")
        self.execute("ALTER DATABASE todos SET TABLESPACE disk")

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Keep every process of the server from running (SIGSTOP)."""
        postmaster = psutil.Process(self.pid())
        # First the one that would make more of them.
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
    """Make a stopped server whose database `todos` is migrated, and return where its data is."""
    with Server(directory).running() as server:
        server.create_database("todos")
        release = run("release", DATABASE_URL=server.address)
        assert release.returncode == 0, release.stderr
    return server.data


@contextmanager
def running(directory: Path, migrated: Path, **settings: str) -> Iterator[Server]:
    """Start a server with a copy of the data of `make_migrated()`, and stop it in the end."""
    server = Server(directory, **settings)
    directory.mkdir(exist_ok=True)
    copy(migrated, server.data)
    with server.running():
        yield server


def copy(data: Path, to: Path) -> None:
    """Copy the data of a server that is stopped. Its processes own it, whoever we are."""
    shutil.copytree(data, to, symlinks=True)
    owner = data.stat()
    for path in (to, *to.rglob("*")):
        shutil.chown(path, owner.st_uid, owner.st_gid)
