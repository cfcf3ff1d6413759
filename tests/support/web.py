"""The web process, started by the Procfile's own command."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
PROCFILE = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(process_type: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the Procfile to its end, with nothing else in its environment."""
    return subprocess.run(
        shlex.split(PROCFILE[process_type]),
        cwd=ROOT,
        env={"PATH": PATH, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


class WebProcess:
    """A running web process."""

    def __init__(self, command: str = PROCFILE["web"], **environ: str) -> None:
        """Start it, on a free port unless `PORT` names one; it may not serve yet."""
        self.port = int(environ.get("PORT") or free_port())
        # To append: it is one open file for us and for the process, with one position.
        self.log = tempfile.TemporaryFile("a+")  # noqa: SIM115  # closed in started()
        self.process = subprocess.Popen(
            shlex.split(command.format(port=self.port)),
            cwd=ROOT,
            env={"PATH": PATH, "PORT": str(self.port), **environ},
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def request(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """Send one request on a connection of its own."""
        return requests.request(method, self.url(path), timeout=30, **arguments)

    def serves(self) -> bool:
        """Say whether it answers; fail if it has ended."""
        assert self.process.poll() is None, self.output()
        try:
            return self.request("GET", "/health/live").ok
        except requests.ConnectionError:
            return False

    def output(self) -> str:
        """Return what it has printed."""
        self.log.seek(0)
        return self.log.read()

    def terminate(self) -> int:
        """Ask it to end, as a platform does, and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)


@contextmanager
def started(command: str = PROCFILE["web"], **environ: str) -> Iterator[WebProcess]:
    """Start a web process, and stop it in the end."""
    web = WebProcess(command, **environ)
    try:
        yield web
    finally:
        if web.process.poll() is None:
            web.terminate()
        web.log.close()


@contextmanager
def serving(command: str = PROCFILE["web"], **environ: str) -> Iterator[WebProcess]:
    """Start a web process, wait until it serves, and stop it in the end."""
    with started(command, **environ) as web:
        wait_until(web.serves)
        yield web
