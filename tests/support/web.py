"""Start the web process with the commands of the Procfile."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import randrange
from typing import Any

import psutil
import requests

from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
PROCFILE = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
ECHO = "gunicorn tests.support.echo:app"


def free_port() -> int:
    """Return an unused TCP port, below those that the kernel gives to outgoing connections."""
    while True:
        port = randrange(10_000, 32_768)  # noqa: S311
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", port))
            return port


def run(process_type: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the Procfile to completion, with only `environ` as its environment."""
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
    """Web process: the gunicorn master and its workers."""

    def __init__(self, command: str = PROCFILE["web"], **environ: str) -> None:
        """Start the process without waiting until it serves, on `PORT` or else a free port."""
        self.port = int(environ.get("PORT") or free_port())
        # Append mode: the test and the process share the open file, and so its position.
        self.log = tempfile.TemporaryFile("a+")  # noqa: SIM115  # closed in close()
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
        """Send one request on a new connection."""
        return requests.request(method, self.url(path), timeout=30, **arguments)

    def create_todo(self, description: str = "Buy groceries") -> int:
        """Create a todo, and return its ID."""
        response = self.request("POST", "/api/todos", json={"description": description})
        assert response.status_code == 201, response.text
        return response.json()["id"]

    def workers(self) -> list[psutil.Process]:
        """Return the worker processes."""
        return psutil.Process(self.process.pid).children()

    def serves(self) -> bool:
        """Return whether the process serves requests; fail if it has exited."""
        assert self.process.poll() is None, self.output()
        try:
            return self.request("GET", "/health/live").ok
        except requests.ConnectionError:
            return False

    def output(self) -> str:
        """Return everything that the process has printed."""
        self.log.seek(0)
        return self.log.read()

    def terminate(self) -> int:
        """Send SIGTERM as a platform does, wait for the exit, and return its status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def close(self) -> None:
        """Terminate the process if it is running, and close its log."""
        if self.process.poll() is None:
            self.terminate()
        self.log.close()


@contextmanager
def started(command: str = PROCFILE["web"], **environ: str) -> Iterator[WebProcess]:
    """Run a web process without waiting until it serves."""
    web = WebProcess(command, **environ)
    try:
        yield web
    finally:
        web.close()


@contextmanager
def serving(command: str = PROCFILE["web"], **environ: str) -> Iterator[WebProcess]:
    """Run a web process, and wait until it serves."""
    with started(command, **environ) as web:
        wait_until(web.serves)
        yield web
