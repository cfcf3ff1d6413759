"""PgBouncer in front of PostgreSQL, with the recommended configuration (docs/pgbouncer.ini)."""

import os
import shutil
import subprocess
from pathlib import Path

import psycopg2

from dev.postgres import AS_NOBODY, NOBODY
from tests.support.database_server import Server
from tests.support.machine import find_program
from tests.support.waiting import wait_until
from tests.support.web import ROOT, free_port


class PgBouncer:
    """PgBouncer process between the service and PostgreSQL."""

    def __init__(self, directory: Path, server: Server) -> None:
        """Write the configuration; `start()` starts the process."""
        self.command = find_program("pgbouncer", "pgbouncer")
        self.directory = directory
        self.port = free_port()
        ((secret,),) = server.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'todos'")
        directory.mkdir()
        (directory / "userlist.txt").write_text(f'"todos" "{secret}"\n')
        (directory / "pgbouncer.ini").write_text(self.configured(server.port))
        if os.geteuid() == 0:
            shutil.chown(directory, NOBODY, NOBODY)

    def configured(self, server_port: int) -> str:
        """Return the recommended configuration with only the ports and paths changed."""
        text = (ROOT / "docs" / "pgbouncer.ini").read_text()
        for recommended, changed in {
            "port=5432 ": f"port={server_port} ",
            "listen_port = 6432\n": f"listen_port = {self.port}\n",
            "/var/log/postgresql/": f"{self.directory}/",
            "/var/run/postgresql/": f"{self.directory}/",
            "= /etc/pgbouncer/userlist": f"= {self.directory}/userlist",
        }.items():
            assert text.count(recommended) == 1, recommended
            text = text.replace(recommended, changed)
        return text

    @property
    def address(self) -> str:
        """Value for DATABASE_URL."""
        return f"postgresql://todos:s3cret@127.0.0.1:{self.port}/todos"

    def start(self) -> None:
        """Start PgBouncer, and wait until it accepts connections."""
        # PgBouncer refuses to run as root.
        command = (self.command, "--quiet", self.directory / "pgbouncer.ini")
        self.process = subprocess.Popen(
            (*AS_NOBODY, *command) if os.geteuid() == 0 else command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self.serves)

    def serves(self) -> bool:
        """Return whether PgBouncer accepts connections; fail if it has exited."""
        assert self.process.poll() is None, (self.directory / "pgbouncer.log").read_text()
        try:
            psycopg2.connect(self.address).close()
        except psycopg2.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """Stop PgBouncer immediately, closing its connections (SIGTERM)."""
        self.process.terminate()
        self.process.wait(30)
