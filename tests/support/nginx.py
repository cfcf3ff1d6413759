"""nginx in front of the service, with the recommended configuration (docs/nginx.conf)."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import requests

from tests.support.machine import find_program
from tests.support.waiting import wait_until
from tests.support.web import ROOT, free_port

TEMP_DIRECTORIES = ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")


class Nginx:
    """nginx process in front of the service.

    Attributes:
        port: the port for clients.
        directory: the directory of the configuration, the error log and temporary files.
    """

    def __init__(self, service_port: int, directory: Path) -> None:
        """Start nginx without waiting until it serves.

        Args:
            service_port: the port of the service.
            directory: an empty directory that every user may enter.
        """
        command = find_program("nginx", "nginx-light")
        self.port = free_port()
        self.directory = directory
        configuration = directory / "nginx.conf"
        configuration.write_text(configured(directory, self.port, service_port))
        self.process = subprocess.Popen(
            [command, "-c", configuration, "-e", directory / "error.log", "-g", "daemon off;"]
        )

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def serves(self) -> bool:
        """Return whether nginx serves requests; fail if it has exited."""
        assert self.process.poll() is None, "nginx has exited"
        with suppress(requests.ConnectionError):
            return requests.get(self.url("/health/live"), timeout=5).ok
        return False

    def log(self) -> str:
        """Return the error log."""
        return (self.directory / "error.log").read_text()

    def disk_usage(self) -> int:
        """Return the total size of the temporary files of buffered responses."""
        return sum(
            size_if_below(self.directory / "proxy", descriptor)
            for worker in psutil.Process(self.process.pid).children()
            for descriptor in Path(f"/proc/{worker.pid}/fd").iterdir()
        )


@contextmanager
def nginx(service_port: int) -> Iterator[Nginx]:
    """Run nginx in front of the service."""
    # nginx's workers run as another user, which may not enter pytest's directories.
    directory = Path(tempfile.mkdtemp(prefix="todoapp-nginx-"))
    directory.chmod(0o755)
    proxy = Nginx(service_port, directory)
    try:
        wait_until(proxy.serves)
        yield proxy
    finally:
        proxy.process.terminate()
        proxy.process.wait(30)
        shutil.rmtree(directory)


def size_if_below(directory: Path, descriptor: Path) -> int:
    """Return the size of an open file, or 0 if it is not below `directory`."""
    # nginx unlinks a temporary file once it is open: only the descriptor leads to it.
    with suppress(FileNotFoundError):  # closed in the meantime
        if str(descriptor.readlink()).startswith(f"{directory}/"):
            return descriptor.stat().st_size
    return 0


def configured(directory: Path, port: int, service_port: int) -> str:
    """Return the recommended configuration with only the ports and paths changed."""
    text = (ROOT / "docs" / "nginx.conf").read_text()
    temp_paths = "".join(f"    {name}_temp_path {directory}/{name};\n" for name in TEMP_DIRECTORIES)
    changes = {
        "listen 80 ": f"listen 127.0.0.1:{port} ",
        "server 127.0.0.1:8000 ": f"server 127.0.0.1:{service_port} ",
        "/run/nginx.pid": f"{directory}/pid",
        "/var/log/nginx/": f"{directory}/",
        "http {\n": f"http {{\n{temp_paths}",
    }
    if os.geteuid() != 0:
        changes["user www-data;\n"] = ""
    for recommended, changed in changes.items():
        assert text.count(recommended) == 1, recommended
        text = text.replace(recommended, changed)
    return text
