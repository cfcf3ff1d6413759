"""nginx with the configuration that the documentation recommends."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from tests.faults.machine import program
from tests.process.web import ROOT, free_port
from tests.waiting import wait_until

TEMPORARY = ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")


@contextmanager
def nginx(service: int) -> Iterator[int]:
    """Run nginx in front of the service on the port `service`; give the port to ask instead."""
    command = program("nginx", "nginx-light")
    port = free_port()
    # Its workers are nobody in particular, so they could not enter a directory of pytest's.
    directory = Path(tempfile.mkdtemp(prefix="todoapp-nginx-"))
    directory.chmod(0o755)
    configuration = directory / "nginx.conf"
    configuration.write_text(configured(directory, port, service))
    process = subprocess.Popen(
        [command, "-c", configuration, "-e", directory / "error.log", "-g", "daemon off;"]
    )
    try:
        wait_until(lambda: answers(port))
        yield port
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(directory)


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


def answers(port: int) -> bool:
    """Say whether anybody answers on a port."""
    try:
        requests.get(f"http://127.0.0.1:{port}/health/live", timeout=5)
    except requests.ConnectionError:
        return False
    return True
