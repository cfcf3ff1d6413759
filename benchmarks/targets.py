"""Start and stop servers."""

import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import requests

from benchmarks.datasets import PATH, Database
from benchmarks.processes import cpu_seconds, stop
from benchmarks.servers import Server
from tests.support.waiting import wait_until
from tests.support.web import free_port

START_SECONDS = 60
SETTLE_SECONDS = 300


@dataclass(frozen=True)
class Target:
    """A running server with its dataset."""

    server: Server
    dataset: str
    database: Database
    port: int
    pid: int

    @property
    def name(self) -> str:
        return self.server.name

    @property
    def database_name(self) -> str:
        return f"{self.server.schema}_{self.dataset}"

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def request(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> requests.Response:
        """Send one request on a new connection."""
        return requests.request(method, self.url(path), json=body, timeout=60)

    def cpu_seconds(self) -> tuple[float, float]:
        """Return the CPU time of the server and of PostgreSQL."""
        return cpu_seconds(self.pid), self.database.cpu_seconds()

    def vacuum(self) -> None:
        """Run VACUUM ANALYZE, in place of autovacuum."""
        self.database.execute("VACUUM (ANALYZE) todos", self.database_name)

    def settle(self) -> None:
        """Wait until the server has finished requests whose client has disconnected."""
        deadline = time.monotonic() + SETTLE_SECONDS
        used = cpu_seconds(self.pid)
        while time.monotonic() < deadline:
            time.sleep(0.1)
            before, used = used, cpu_seconds(self.pid)
            # An idle server uses a clock tick or two.
            if used - before < 0.03 and not self.database.busy(self.database_name):
                return
        raise SystemExit(f"{self.name} is still busy {SETTLE_SECONDS} seconds after the load")


@contextmanager
def running(
    server: Server, dataset: str, database: Database, options: str = ""
) -> Iterator[Target]:
    """Run `server` with `dataset`, and stop it at the end of the block.

    Args:
        options: appended to DATABASE_URL.
    """
    port = free_port()
    url = database.url(f"{server.schema}_{dataset}") + options
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [word.format(port=port) for word in server.command],
            cwd=server.directory,
            env={"PATH": PATH, "DATABASE_URL": url, "PORT": str(port), **server.environ},
            stdout=log,
            stderr=subprocess.STDOUT,
            # Ctrl-C must reach this process only, which stops the server below.
            process_group=0,
        )
        target = Target(server, dataset, database, port, process.pid)

        def serves() -> bool:
            if process.poll() is not None:
                log.seek(0)
                raise SystemExit(f"{server.name} failed to start:\n{log.read()}")
            try:
                return target.request("GET", "/api/todos/1").ok
            except requests.ConnectionError:
                return False

        try:
            wait_until(serves, START_SECONDS)
            yield target
        finally:
            stop(process.pid)
            process.wait()


@contextmanager
def all_running(
    servers: Iterable[Server], dataset: str, database: Database
) -> Iterator[list[Target]]:
    """Run all `servers` at the same time; an idle one costs nothing."""
    with ExitStack() as stack:
        yield [stack.enter_context(running(server, dataset, database)) for server in servers]
