"""Point-in-time recovery with Debian's pgBackRest, by the commands of docs/backup.md."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.resilience.test_debian import commands as postgresql_commands
from tests.support.load import load
from tests.support.machine import find_program
from tests.support.namespaces import Machine, Namespace, namespace
from tests.support.waiting import wait_until
from tests.support.web import PATH, ROOT

pytestmark = pytest.mark.slow

DIRECTORIES = (
    "/etc/postgresql",
    "/run/postgresql",
    "/tmp/pgbackrest",  # noqa: S108  # its locks
    "/var/lib/pgbackrest",
    "/var/lib/postgresql",
    "/var/log/pgbackrest",
    "/var/log/postgresql",
)
SUDO = """
sudo() { if [ "$1" = -u ]; then (cd / && runuser -u "$2" -- "${@:3}"); else "$@"; fi; }
"""
URL = "postgresql://todos:password@localhost/todos"


class Debian:
    """Machine with a new PostgreSQL as Debian installs it.

    It has its own network and its own empty directories, so that documented commands can be run as
    they are.
    """

    def __init__(self, place: Namespace, directory: Path) -> None:
        find_program("pgbackrest", "pgbackrest")
        find_program("pg_createcluster", "postgresql")
        self.configuration = directory / "pgbackrest.conf"
        self.configuration.touch()
        self.holder = subprocess.Popen(
            place.command(
                *("unshare", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child"),
                *("sleep", "infinity"),
            )
        )
        wait_until(lambda: psutil.Process(self.holder.pid).children())
        self.run(
            f"mount --bind {self.configuration} /etc/pgbackrest.conf",
            "mkdir --parents /tmp/pgbackrest",
            *(
                f"mount -t tmpfs -o uid=postgres,gid=postgres,mode=755 tmpfs {directory}"
                for directory in DIRECTORIES
            ),
            "pg_createcluster 15 main --start",
        )

    def run(self, *commands: str, stdin: str = "") -> None:
        """Run commands in one shell; fail if one of them fails."""
        (inside,) = psutil.Process(self.holder.pid).children()
        done = subprocess.run(
            [
                *("nsenter", f"--target={inside.pid}", "--mount", "--net", "--pid"),
                *("env", f"--chdir={ROOT}"),
                *("bash", "-e", "-o", "pipefail", "-c", "\n".join((SUDO, *commands))),
            ],
            env={"PATH": f"{PATH}:/usr/sbin:/sbin", "LANG": "C.UTF-8", "DATABASE_URL": URL},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            # Without a terminal, createuser reads the password from its input.
            start_new_session=True,
        )
        assert done.returncode == 0, (commands, done.stdout, done.stderr)

    def close(self) -> None:
        """Kill every process."""
        self.holder.kill()
        self.holder.wait(30)


def section(heading: str) -> str:
    """Return a section of docs/backup.md, without its subsections."""
    text = (ROOT / "docs" / "backup.md").read_text()
    return re.split(r"^##", text.split(f"# {heading}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]


def commands(heading: str) -> list[str]:
    """Return the commands of a section of docs/backup.md."""
    return re.findall(r"^ *\$ (.+)", section(heading), re.MULTILINE)


@pytest.fixture(scope="module")
def place() -> Iterator[Namespace]:
    """Network of the machine."""
    with namespace() as created:
        yield created


@pytest.fixture(scope="module")
def debian(place: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Debian]:
    """Machine with a migrated database and a first backup."""
    with closing(Debian(place, tmp_path_factory.mktemp("debian"))) as machine:
        machine.run(
            *postgresql_commands("deployment.md", "A machine of your own"),
            stdin="password\npassword\n",
        )
        machine.run("flask db upgrade")
        configuration = section("Point-in-time recovery").split("# /etc/pgbackrest.conf\n")[1]
        machine.configuration.write_text(configuration.split("```")[0])
        machine.run(*commands("Point-in-time recovery"))
        yield machine


@pytest.fixture(scope="module")
def web(place: Namespace, debian: Debian) -> Iterator[Machine]:
    """Web process on the machine of the database."""
    with closing(Machine(place, URL)) as machine:
        wait_until(machine.serves)
        yield machine


def todos(web: Machine) -> list[dict[str, Any]]:
    """Return all todos, in the order of their IDs."""
    response = web.request("GET", "/api/todos")
    assert response.status_code == 200
    listed: list[dict[str, Any]] = response.json()
    return listed


def deletions(web: Machine) -> list[str]:
    """Return the lines of the access log about deletions of all todos with a status."""
    return re.findall(r"^.* DELETE /api/todos 200 .*\n", web.output(), re.MULTILINE)


def beginning(line: str) -> datetime:
    """Return when the request of a line of the access log began, as the documentation says."""
    date, time, *_ = line.split()
    ended = datetime.strptime(f"{date} {time} +0000", "%Y-%m-%d %H:%M:%S,%f %z")
    return ended - timedelta(milliseconds=float(re.findall(r" ([\d.]+)ms ", line)[0]))


def test_todos_that_were_deleted_by_mistake_return_and_no_later_change_is_lost(
    debian: Debian, web: Machine
) -> None:
    with load(web.url("")) as log:
        log.wait_for(200)
    before = todos(web)
    completed = [todo for todo in before if todo["completed"]]
    mistake = web.request("DELETE", "/api/todos?status=completed")
    assert mistake.json() == {"deleted": len(completed)} != {"deleted": 0}

    moment, *steps = commands("Undo a mistake")[1:]
    wait_until(lambda: deletions(web))
    (line,) = deletions(web)
    with load(web.url("")) as later:
        debian.run(f"MOMENT='{beginning(line)}'", *steps)
    assert moment.startswith("MOMENT=")

    after = todos(web)
    assert after[: len(before)] == before
    later.assert_acknowledged(
        {todo["id"]: (todo["description"], todo["completed"]) for todo in after[len(before) :]}
    )
    assert web.create_todo() > after[-1]["id"]


def test_a_lost_database_is_restored_with_every_archived_change(
    debian: Debian, web: Machine
) -> None:
    with load(web.url("")) as log:
        log.wait_for(200)
    before = todos(web)
    debian.run("sudo -u postgres pgbackrest --stanza=todos check")

    stop, *steps = commands("Restore a lost database")
    debian.run(stop, "rm -r /var/lib/postgresql/15/main/*", *steps)

    wait_until(lambda: web.request("GET", "/health").ok)
    assert todos(web) == before
    debian.run("sudo -u postgres pgbackrest --stanza=todos check")
    assert web.create_todo() > before[-1]["id"]
