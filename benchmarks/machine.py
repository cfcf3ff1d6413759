"""Describe the machine and the versions of the software."""

import json
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.datasets import Database
from benchmarks.servers import Server


def describe(database: Database) -> dict[str, Any]:
    """Return hardware, operating system and versions, but not the host name."""
    wrk = _output("wrk", "-v").split(" Copyright")[0]
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()}",
        "file_system": _output("stat", "-f", "-c", "%T", str(database.directory)),
        "Python": platform.python_version(),
        "PostgreSQL": str(database.execute("SHOW server_version")[0][0]),
        "wrk": wrk.removeprefix("wrk "),
        "Node": _output("node", "--version").removeprefix("v"),
    }


def describe_server(server: Server) -> dict[str, Any]:
    """Return name, title and package versions of a server."""
    return {
        "name": server.name,
        "title": server.title,
        "versions": {package: _version(package, server.directory) for package in server.packages},
    }


def _version(package: str, directory: Path) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        described = directory / "node_modules" / package / "package.json"
        return str(json.loads(described.read_text())["version"])


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        return "none"
