"""`make run`, on a copy of the project, as somebody does who has just cloned it."""

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

# The copies use our .venv through a link, and must never install into it.
MAKE_RUN = ("make", "--assume-old=.venv/installed", "run")
LEFT_OUT = shutil.ignore_patterns(".venv", ".git", "instance", ".*_cache", "__pycache__")


class MakeRun:
    """`make run` in a terminal."""

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
    def page(self) -> str:
        return f"http://localhost:{self.port}/"

    @property
    def todos(self) -> str:
        return f"{self.page}api/todos"

    def output(self) -> str:
        self.log.seek(0)
        return self.log.read()

    def announces_itself(self) -> bool:
        assert self.process.poll() is None, self.output()
        return f" {self.page}\n" in self.output()

    def family(self) -> list[psutil.Process]:
        """Return every process that it has started and that is still there."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def press_ctrl_c(self) -> None:
        """Interrupt the whole process group, as a terminal does, and wait for the end."""
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(timeout=30)


@contextmanager
def running(clone: Path, port: int, **environ: str) -> Iterator[MakeRun]:
    """Run it until it has told its address, and stop it in the end."""
    run = MakeRun(clone, port, **environ)
    try:
        wait_until(run.announces_itself)
        yield run
    finally:
        if run.process.poll() is None:
            run.press_ctrl_c()
        run.log.close()


def copy_project(copy: Path) -> Path:
    """Copy the project without data, its .venv being ours: installing takes a while."""
    shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
    (copy / ".venv").symlink_to(ROOT / ".venv")
    return copy


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    return copy_project(tmp_path / "clone")


@pytest.fixture
def port() -> int:
    return free_port()


def refusal(clone: Path, port: int, **environ: str) -> str:
    """Return the one line with which `make run` ends, beside the line of make itself."""
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
        created = requests.post(first.todos, json={"description": "Buy groceries"}, timeout=30)
    with running(clone, port) as second:
        assert requests.get(second.todos, timeout=30).json() == [created.json()]


def test_ctrl_c_stops_everything_the_database_too(clone: Path, port: int) -> None:
    with running(clone, port) as run:
        postgres = Postgres(clone / "instance" / "postgres")
        family = [*run.family(), psutil.Process(postgres.pid())]
        assert postgres.is_running()
        run.press_ctrl_c()

        assert not postgres.is_running()
        assert "Traceback" not in run.output()
    alive = [process for process in family if process.is_running()]
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.slow
def test_a_second_run_at_the_same_time_is_one_clear_line(clone: Path, port: int) -> None:
    with running(clone, port):
        assert "is running here already" in refusal(clone, free_port())


def test_a_port_that_is_taken_is_one_clear_line(clone: Path, port: int) -> None:
    for address in free_addresses(port):
        host = address.rpartition(":")[0].strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server((host, port), family=family):
            line = refusal(clone, port)

        assert line.startswith(f"Port {port} cannot be used (Address already in use)")


def test_with_database_url_it_uses_that_one_and_starts_none(
    clone: Path, port: int, empty_database: str
) -> None:
    with running(clone, port, DATABASE_URL=empty_database) as run:
        assert requests.get(run.page, timeout=30).ok
        assert requests.get(run.todos, timeout=30).json() == []

    assert not (clone / "instance").exists()


def test_another_site_cannot_reach_the_todos_by_dns_rebinding(clone: Path, port: int) -> None:
    with running(clone, port) as run:
        requests.post(run.todos, json={"description": "x"}, timeout=30)
        foreign = {"Host": f"evil.example:{port}"}
        refused = requests.delete(f"{run.todos}/1", headers=foreign, timeout=30)

        assert (refused.status_code, refused.headers.get("Link")) == (400, None)
        for host in ("localhost", "127.0.0.1", "[::1]"):
            response = requests.get(run.todos, headers={"Host": f"{host}:{port}"}, timeout=30)
            assert len(response.json()) == 1


def test_a_wrong_setting_is_one_clear_line(clone: Path, port: int) -> None:
    line = refusal(clone, port, DATABASE_URL="postgres://ann:s3cret@db:port/todos")

    assert line.startswith("Configuration error: DATABASE_URL is malformed")


@pytest.mark.slow
def test_after_a_kill_it_takes_its_database_over(clone: Path, port: int) -> None:
    with running(clone, port) as killed:
        requests.post(killed.todos, json={"description": "Buy groceries"}, timeout=30)
        family = [*killed.family(), psutil.Process(killed.process.pid)]
        for process in family:
            process.kill()
        psutil.wait_procs(family)
        assert Postgres(clone / "instance" / "postgres").is_running()

    with running(clone, port) as run:
        assert len(requests.get(run.todos, timeout=30).json()) == 1
    assert not Postgres(clone / "instance" / "postgres").is_running()


@pytest.mark.slow
def test_a_long_path_is_no_obstacle(tmp_path: Path, port: int) -> None:
    clone = copy_project(tmp_path / ("a-path-too-long-for-a-socket-" * 4))

    with running(clone, port) as run:
        assert requests.get(run.todos, timeout=30).json() == []


def test_make_alone_lists_the_targets_with_a_line_each(clone: Path) -> None:
    listed = subprocess.run(["make"], cwd=clone, capture_output=True, text=True, check=True).stdout

    targets = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert re.findall(r"^  make ([a-z-]+) +\S", listed, re.MULTILINE) == targets[0].split()
