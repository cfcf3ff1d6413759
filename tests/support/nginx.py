"""nginx with the configuration that the documentation recommends."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import requests

from tests.support.machine import program
from tests.support.waiting import wait_until
from tests.support.web import ROOT, free_port

TEMPORARY = ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")


class Nginx:
    """A running nginx in front of the service.

    Attributes:
        port: where clients connect.
        directory: where its temporary files, its log and its configuration are.
    """

    def __init__(self, service: int, directory: Path) -> None:
        """Start it; it may not serve yet.

        Args:
            service: the port of the service.
            directory: an empty directory that every user may enter.
        """
        command = program("nginx", "nginx-light")
        self.port = free_port()
        self.directory = directory
        configuration = directory / "nginx.conf"
        configuration.write_text(configured(directory, self.port, service))
        self.process = subprocess.Popen(
            [command, "-c", configuration, "-e", directory / "error.log", "-g", "daemon off;"]
        )

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def serves(self) -> bool:
        """Return whether it responds; fail if it has ended."""
        assert self.process.poll() is None, "nginx has ended"
        with suppress(requests.ConnectionError):
            return requests.get(self.url("/health/live"), timeout=5).ok
        return False

    def log(self) -> str:
        """Return the error log."""
        return (self.directory / "error.log").read_text()

    def disk_usage(self) -> int:
        """Return the bytes of responses in temporary files."""
        return sum(
            size_below(self.directory / "proxy", descriptor)
            for worker in psutil.Process(self.process.pid).children()
            for descriptor in Path(f"/proc/{worker.pid}/fd").iterdir()
        )


@contextmanager
def nginx(service: int) -> Iterator[Nginx]:
    """Run nginx in front of the service on the port `service`."""
    # Its workers run as another user, so they cannot enter a directory of pytest.
    directory = Path(tempfile.mkdtemp(prefix="todoapp-nginx-"))
    directory.chmod(0o755)
    proxy = Nginx(service, directory)
    try:
        wait_until(proxy.serves)
        yield proxy
    finally:
        proxy.process.terminate()
        proxy.process.wait(30)
        shutil.rmtree(directory)


def size_below(directory: Path, descriptor: Path) -> int:
    """Return the size of an open file, 0 unless it is below `directory`."""
    # nginx unlinks a temporary file when it creates it: only the descriptor leads to it.
    with suppress(FileNotFoundError):  # closed meanwhile
        if str(descriptor.readlink()).startswith(f"{directory}/"):
            return descriptor.stat().st_size
    return 0


def configured(directory: Path, port: int, service: int) -> str:
    """Return the recommended configuration with other ports and paths, and nothing else changed."""
    text = (ROOT / "docs" / "nginx.conf").read_text()
    temporary = "".join(f"    {name}_temp_path {directory}/{name};\n" for name in TEMPORARY)
    changes = {
        "listen 80 ": f"listen 127.0.0.1:{port} ",
        "server 127.0.0.1:8000 ": f"server 127.0.0.1:{service} ",
        "/run/nginx.pid": f"{directory}/pid",
        "/var/log/nginx/": f"{directory}/",
        "http {\n": f"http {{\n{temporary}",
    }
    if os.geteuid() != 0:
        changes["user www-data;\n"] = ""
    for recommended, here in changes.items():
        assert text.count(recommended) == 1, recommended
        text = text.replace(recommended, here)
    return text
