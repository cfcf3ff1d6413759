"""nginx in front of the service, with the recommended configuration (docs/nginx.conf)."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import requests

from tests.support.machine import find_program
from tests.support.waiting import wait_until
from tests.support.web import ROOT, free_port

UPSTREAM = re.compile(r"^ *upstream todos \{.*?^ *\}\n", re.MULTILINE | re.DOTALL)
TEMP_DIRECTORIES = ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")


class Nginx:
    """nginx process in front of the service.

    Attributes:
        port: the port for clients.
        directory: the directory of the configuration, the error log and temporary files.
    """

    def __init__(self, machines: Sequence[str], directory: Path) -> None:
        """Start nginx without waiting until it serves.

        Args:
            machines: the address and port of the service on each machine.
            directory: an empty directory that every user may enter.
        """
        command = find_program("nginx", "nginx-light")
        self.port = free_port()
        self.directory = directory
        configuration = directory / "nginx.conf"
        configuration.write_text(configured(directory, self.port, machines))
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
def nginx(*machines: str) -> Iterator[Nginx]:
    """Run nginx in front of the service, which has these addresses and ports."""
    # nginx's workers run as another user, which may not enter pytest's directories.
    directory = Path(tempfile.mkdtemp(prefix="todoapp-nginx-"))
    directory.chmod(0o755)
    proxy = Nginx(machines, directory)
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


def upstream(machines: Sequence[str]) -> str:
    """Return the documented `upstream` for several machines, with their addresses."""
    section = (ROOT / "docs" / "deployment.md").read_text().split("\n### Several machines\n")[1]
    text = UPSTREAM.search(section)[0]
    for documented, address in zip(re.findall(r"server ([^\s;]+)", text), machines, strict=True):
        text = text.replace(documented, address)
    return text


def configured(directory: Path, port: int, machines: Sequence[str]) -> str:
    """Return the recommended configuration with only the addresses and paths changed."""
    text = (ROOT / "docs" / "nginx.conf").read_text()
    if len(machines) > 1:
        text = UPSTREAM.sub(upstream(machines), text)
    temp_paths = "".join(f"    {name}_temp_path {directory}/{name};\n" for name in TEMP_DIRECTORIES)
    changes = {
        "listen 80 ": f"listen 127.0.0.1:{port} ",
        "/run/nginx.pid": f"{directory}/pid",
        "/var/log/nginx/": f"{directory}/",
        "http {\n": f"http {{\n{temp_paths}",
    }
    if len(machines) == 1:
        changes["server 127.0.0.1:8000 "] = f"server {machines[0]} "
    if os.geteuid() != 0:
        changes["user www-data;\n"] = ""
    for recommended, changed in changes.items():
        assert text.count(recommended) == 1, recommended
        text = text.replace(recommended, changed)
    return text
