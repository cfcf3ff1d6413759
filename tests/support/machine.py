"""Commands that require root, and programs from Debian packages."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"


def find_program(name: str, package: str) -> str:
    """Return the path of a program; fail the test rather than skip it if it is not installed."""
    found = shutil.which(name, path=PATH)
    if found is None:
        pytest.fail(f"{name} is missing: apt-get install {package}")
    return found


def run_as_root(*command: str) -> None:
    """Run a command as root; fail the test if that is not permitted."""
    if os.geteuid() != 0:
        command = ("sudo", "-n", *command)
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.fail(f"{' '.join(command)} (requires root): {result.stdout}{result.stderr}")


@contextmanager
def dropped_packets(port: int) -> Iterator[None]:
    """Drop every packet from and to a local port, to simulate a network failure."""
    iptables = find_program("iptables", "iptables")
    rules = [
        ("INPUT", "-i", "lo", "-p", "tcp", direction, str(port), "-j", "DROP")
        for direction in ("--dport", "--sport")
    ]
    added = []
    try:
        for rule in rules:
            run_as_root(iptables, "-w", "-I", *rule)
            added.append(rule)
        yield
    finally:
        for rule in added:
            run_as_root(iptables, "-w", "-D", *rule)


@contextmanager
def small_disk(directory: Path, mebibytes: int) -> Iterator[Path]:
    """Mount a small tmpfs at `directory`."""
    directory.mkdir()
    run_as_root(
        "mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=777", "tmpfs", str(directory)
    )
    try:
        yield directory
    finally:
        # Lazy: processes may still have files open there.
        run_as_root("umount", "--lazy", str(directory))
