"""The container image, and compose.yaml (needs root, and buildah, debootstrap, docker-compose).

The tests have no container engine and no registry: buildah builds the image on a base of the
machine's own Debian, and runs it without isolation, so not as process 1. docker-compose validates
compose.yaml.
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from time import monotonic

import psutil
import psycopg2
import pytest
import requests

from tests.support.database_server import Server
from tests.support.machine import find_program, run_as_root
from tests.support.types import Measured
from tests.support.waiting import wait_until
from tests.support.web import PROCFILE, ROOT, free_port

pytestmark = pytest.mark.slow

MEGABYTES = 150
STOP_SECONDS = 20
BUILD_TOOLS = ("cc", "gcc", "make", "pip", "git")


class Buildah:
    """Buildah, with a storage of its own."""

    def __init__(self, directory: Path) -> None:
        """Keep images and containers in a directory."""
        program = find_program("buildah", "buildah")
        storage = ("--storage-driver=vfs", f"--root={directory}/root", f"--runroot={directory}/run")
        self.command = [program, *storage]

    def __call__(self, *arguments: str | Path) -> str:
        """Execute a command of buildah; return its output."""
        process = run(*self.command, *map(str, arguments))
        assert process.returncode == 0, process.stdout
        return process.stdout.strip()


class Container:
    """A container of the image: its own files, and the network of the machine."""

    def __init__(self, buildah: Buildah) -> None:
        """Create a container."""
        self.buildah = buildah
        self.name = buildah("from", "todoapp")
        self.config = json.loads(buildah("inspect", self.name))["Docker"]["config"]
        self.root = Path(buildah("mount", self.name))

    def command(self, *command: str, **environ: str) -> list[str]:
        """Return the command that runs a command in the container."""
        variables = [f"--env={name}={value}" for name, value in environ.items()]
        run = [*self.buildah.command, "run", "--isolation=chroot", *variables, self.name]
        return [*run, "--", *command]

    def run(self, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the container to completion."""
        return run(*self.command(*command, **environ))


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command to completion; its output contains its error messages."""
    return subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of a minimal Debian with Python, and the packages that pip is going to install."""
    root = tmp_path_factory.mktemp("base") / "root"
    debian = platform.freedesktop_os_release()["VERSION_CODENAME"]
    packages = "--include=ca-certificates,python3,python3-venv"
    debootstrap = find_program("debootstrap", "debootstrap")
    run_as_root(debootstrap, "--variant=minbase", packages, debian, str(root))
    (python,) = (root / "usr" / "lib").glob("python3.[0-9]*")
    downloaded = run(
        *(sys.executable, "-m", "pip", "download", "--only-binary=:all:"),
        *(f"--python-version={python.name.removeprefix('python')}", f"--dest={root}/wheels"),
        *("--require-hashes", f"--requirement={ROOT}/requirements.txt"),
    )
    assert downloaded.returncode == 0, downloaded.stdout
    (root / "etc" / "pip.conf").write_text("[global]\nno-index = true\nfind-links = /wheels\n")
    return root


@pytest.fixture(scope="module")
def buildah(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Buildah:
    """Buildah, which has built the image."""
    execute = Buildah(tmp_path_factory.mktemp("buildah"))
    scratch = execute("from", "scratch")
    execute("add", "--quiet", scratch, base, "/")
    execute("commit", "--quiet", "--rm", scratch, "base")
    options = ("--isolation=chroot", "--format=docker", "--build-arg=BASE=localhost/base")
    execute("build", *options, "--tag=todoapp", ROOT)
    return execute


@pytest.fixture
def container(buildah: Buildah) -> Iterator[Container]:
    """A container of the image."""
    container = Container(buildah)
    yield container
    buildah("rm", container.name)


def test_image_runs_the_commands_of_the_procfile_and_stops_in_time(
    container: Container, server: Server, measured: Measured
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    empty = server.address.replace("/todos", "/postgres")
    environ = {"DATABASE_URL": empty, "PORT": str(port)}
    command = container.config["Cmd"]
    healthcheck = container.config["Healthcheck"]["Test"][1:]
    assert command == PROCFILE["web"].split()

    migrated = container.run(*PROCFILE["release"].split(), **environ)
    assert migrated.returncode == 0, migrated.stdout
    assert container.run(*healthcheck, **environ).returncode != 0
    with subprocess.Popen(container.command(*command, **environ)) as web:
        wait_until(lambda: serves(web, url))
        response = requests.post(f"{url}/api/todos", json={"description": "Milk"}, timeout=10)
        assert response.status_code == 201
        assert container.run(*healthcheck, **environ).returncode == 0

        found = psutil.Process(web.pid).children(recursive=True)
        master, *workers = [each for each in found if each.name() == "gunicorn"]
        assert len(workers) == 2
        assert {each.uids().real for each in (master, *workers)} == {10001}
        with ThreadPoolExecutor() as clients, closing(psycopg2.connect(empty)) as other:
            other.cursor().execute("LOCK TABLE todos")
            in_progress = clients.submit(requests.get, f"{url}/api/todos/1", timeout=10)
            wait_until(lambda: server.execute("SELECT 1 FROM pg_locks WHERE NOT granted"))
            begun = monotonic()
            master.terminate()
            other.rollback()
            assert in_progress.result().status_code == 200
        assert web.wait(timeout=STOP_SECONDS) == 0
    measured("the web process of the image stops", monotonic() - begun)


def serves(web: subprocess.Popen[bytes], url: str) -> bool:
    """Return whether the service responds; fail if it has exited."""
    assert web.poll() is None
    try:
        return requests.get(f"{url}/health", timeout=10).ok
    except requests.ConnectionError:
        return False


def test_image_contains_nothing_but_the_service_and_its_packages(container: Container) -> None:
    ignored = (ROOT / ".dockerignore").read_text()

    assert {path.name for path in (container.root / "app").iterdir()} == {
        line.removeprefix("!") for line in ignored.splitlines() if line.startswith("!")
    }
    assert not list(container.root.glob("app/**/__pycache__"))
    for tool in BUILD_TOOLS:
        assert container.run("sh", "-c", f"command -v {tool}").returncode != 0, tool


def test_image_weighs_less_than_150_mb_above_its_base(
    container: Container, base: Path, measured: Measured
) -> None:
    added = (size(container.root) - size(base)) / 1_000_000

    measured("the image weighs above its base", added, "MB")
    assert 0 < added < MEGABYTES


def size(directory: Path) -> int:
    """Return the size of the files in a directory, in bytes."""
    command = ["du", "--summarize", "--bytes", str(directory)]
    return int(subprocess.run(command, capture_output=True, check=True).stdout.split()[0])


def compose(**environ: str) -> subprocess.CompletedProcess[str]:
    """Validate compose.yaml, and return its services with their variables replaced."""
    program = find_program("docker-compose", "docker-compose")
    return subprocess.run(
        [program, f"--file={ROOT}/compose.yaml", "config"],
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_compose_file_is_valid_and_names_a_password_that_is_not_set() -> None:
    passwords = {"ACCESS_TOKEN": "secret-token", "POSTGRES_PASSWORD": "secret-password"}

    valid = compose(**passwords)

    assert valid.returncode == 0, valid.stderr
    assert "postgresql://todos:secret-password@database/todos" in valid.stdout
    for name in passwords:
        refused = compose(**{**passwords, name: ""})
        assert refused.returncode != 0
        assert name in refused.stderr
