"""`make run` in a fresh clone."""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import requests

from dev.postgres import Postgres
from dev.run import free_addresses
from tests.support.waiting import wait_until
from tests.support.web import ROOT, free_port

# The clones share this project's .venv through a symlink, and must never install into it.
MAKE_RUN = ("make", "--assume-old=.venv/installed", "run")
IGNORED = shutil.ignore_patterns(".venv", ".git", "instance", ".*_cache", "__pycache__")


class MakeRun:
    """Running `make run`."""

    def __init__(self, clone: Path, port: int, **environ: str) -> None:
        self.port = port
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed in running()
        self.process = subprocess.Popen(
            [*MAKE_RUN, f"PORT={port}"],
            cwd=clone,
            env={"PATH": os.environ["PATH"], **environ},
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def page_url(self) -> str:
        return f"http://localhost:{self.port}/"

    @property
    def todos_url(self) -> str:
        return f"{self.page_url}api/todos"

    def output(self) -> str:
        self.log.seek(0)
        return self.log.read()

    def has_printed_its_address(self) -> bool:
        assert self.process.poll() is None, self.output()
        return f" {self.page_url}\n" in self.output()

    def processes(self) -> list[psutil.Process]:
        """Return all descendant processes."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def press_ctrl_c(self) -> None:
        """Send SIGINT to the process group, as a terminal does, and wait for the exit."""
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(timeout=30)


@contextmanager
def running(clone: Path, port: int, **environ: str) -> Iterator[MakeRun]:
    """Run `make run`, and wait until it prints its address."""
    run = MakeRun(clone, port, **environ)
    try:
        wait_until(run.has_printed_its_address)
        yield run
    finally:
        if run.process.poll() is None:
            run.press_ctrl_c()
        run.log.close()


def copy_project(copy: Path) -> Path:
    """Copy the project without its data; link to this .venv, because installing is slow."""
    shutil.copytree(ROOT, copy, ignore=IGNORED)
    (copy / ".venv").symlink_to(ROOT / ".venv")
    return copy


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    return copy_project(tmp_path / "clone")


@pytest.fixture
def port() -> int:
    return free_port()


def error_line(clone: Path, port: int, **environ: str) -> str:
    """Run `make run`, which must fail, and return its only line of output besides make's own."""
    result = subprocess.run(
        [*MAKE_RUN, f"PORT={port}"],
        cwd=clone,
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode != 0
    lines = (result.stdout + result.stderr).splitlines()
    (line,) = [line for line in lines if not line.startswith("make")]
    return line


@pytest.mark.slow
def test_a_second_run_finds_the_todos_of_the_first(clone: Path, port: int) -> None:
    with running(clone, port) as first:
        created = requests.post(first.todos_url, json={"description": "Buy groceries"}, timeout=30)
    with running(clone, port) as second:
        assert requests.get(second.todos_url, timeout=30).json() == [created.json()]


def test_ctrl_c_stops_all_processes_including_the_database(clone: Path, port: int) -> None:
    with running(clone, port) as run:
        postgres = Postgres(clone / "instance" / "postgres")
        family = [*run.processes(), psutil.Process(postgres.pid())]
        assert postgres.is_running()
        run.press_ctrl_c()

        assert not postgres.is_running()
        assert "Traceback" not in run.output()
    alive = [process for process in family if process.is_running()]
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.slow
def test_with_nohup_no_process_ends_with_the_terminal(
    clone: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.server.test_make_run.MAKE_RUN", ("nohup", *MAKE_RUN))
    with running(clone, port) as run:
        group = [each for each in run.processes() if os.getpgid(each.pid) == run.process.pid]
        assert [each.name() for each in group] == ["python"]
        assert ignores(group[0], signal.SIGHUP)
        # What the kernel sends to the process group when its terminal is closed.
        os.killpg(run.process.pid, signal.SIGHUP)

        assert requests.get(run.todos_url, timeout=30).ok


def ignores(process: psutil.Process, number: signal.Signals) -> bool:
    status = Path(f"/proc/{process.pid}/status").read_text()
    mask = int(re.findall(r"^SigIgn:\s*(\w+)", status, re.MULTILINE)[0], 16)
    return bool(mask >> (number - 1) & 1)


def test_a_concurrent_second_run_is_a_one_line_error(clone: Path, port: int) -> None:
    with running(clone, port):
        assert "is running here already" in error_line(clone, free_port())


def test_a_port_in_use_is_a_one_line_error(clone: Path, port: int) -> None:
    for address in free_addresses(port):
        host = address.rpartition(":")[0].strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server((host, port), family=family):
            line = error_line(clone, port)

        assert line.startswith(f"Port {port} cannot be used (Address already in use)")


def test_database_url_replaces_the_bundled_postgresql(
    clone: Path, port: int, empty_database: str
) -> None:
    with running(clone, port, DATABASE_URL=empty_database) as run:
        assert requests.get(run.page_url, timeout=30).ok
        assert requests.get(run.todos_url, timeout=30).json() == []

    assert not (clone / "instance").exists()


def test_dns_rebinding_is_prevented(clone: Path, port: int) -> None:
    with running(clone, port) as run:
        requests.post(run.todos_url, json={"description": "x"}, timeout=30)
        foreign = {"Host": f"evil.example:{port}"}
        refused = requests.delete(f"{run.todos_url}/1", headers=foreign, timeout=30)

        assert (refused.status_code, refused.headers.get("Link")) == (400, None)
        for host in ("localhost", "127.0.0.1", "[::1]"):
            response = requests.get(run.todos_url, headers={"Host": f"{host}:{port}"}, timeout=30)
            assert len(response.json()) == 1


def test_an_invalid_setting_is_a_one_line_error(clone: Path, port: int) -> None:
    line = error_line(clone, port, DATABASE_URL="postgres://ann:s3cret@db:port/todos")

    assert line.startswith("Configuration error: DATABASE_URL is malformed")


@pytest.mark.slow
def test_a_run_after_sigkill_takes_over_the_running_database(clone: Path, port: int) -> None:
    with running(clone, port) as killed:
        requests.post(killed.todos_url, json={"description": "Buy groceries"}, timeout=30)
        family = [*killed.processes(), psutil.Process(killed.process.pid)]
        for process in family:
            process.kill()
        psutil.wait_procs(family)
        assert Postgres(clone / "instance" / "postgres").is_running()

    with running(clone, port) as run:
        assert len(requests.get(run.todos_url, timeout=30).json()) == 1
    assert not Postgres(clone / "instance" / "postgres").is_running()


@pytest.mark.slow
def test_a_path_too_long_for_a_unix_socket_works(tmp_path: Path, port: int) -> None:
    clone = copy_project(tmp_path / ("a-path-too-long-for-a-socket-" * 4))

    with running(clone, port) as run:
        assert requests.get(run.todos_url, timeout=30).json() == []


def test_make_without_a_target_lists_all_targets(clone: Path) -> None:
    listed = subprocess.run(["make"], cwd=clone, capture_output=True, text=True, check=True).stdout

    targets = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert re.findall(r"^  make ([a-z-]+) +\S", listed, re.MULTILINE) == targets[0].split()
