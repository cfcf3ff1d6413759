"""The documented commands, on Debian's own PostgreSQL and as an ordinary role."""

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.database_server import Server
from tests.support.web import PATH, ROOT, WebProcess, run, serving

pytestmark = pytest.mark.slow

DOCS = ROOT / "docs"
PASSWORD = "p@ss/word #1"
ENCODED = "p%40ss%2Fword%20%231"
OLDEST = 15


class DebianServer(Server):
    """The oldest PostgreSQL that is tested, from Debian's package `postgresql`."""

    binaries = Path(f"/usr/lib/postgresql/{OLDEST}/bin")

    def __init__(self, directory: Path, locale: str) -> None:
        super().__init__(directory)
        self.initdb_options = (f"--locale={locale}",)


@pytest.fixture(params=["C", "C.UTF-8"])
def debian(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DebianServer]:
    """Run a cluster as Debian creates it under a given LANG."""
    assert DebianServer.binaries.exists(), "install Debian's postgresql"
    with DebianServer(tmp_path / "postgres", request.param).running() as server:
        # As Debian's pg_hba.conf: passwords over TCP.
        rules = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        (server.data / "pg_hba.conf").write_text(rules)
        server.execute("SELECT pg_reload_conf()")
        yield server


@pytest.fixture
def shell(debian: DebianServer, tmp_path: Path) -> Callable[..., str]:
    """Return a function that runs a documented command."""
    environ = {
        "PATH": f"{debian.binaries}:/usr/bin:/bin",
        "PGHOST": str(debian.socket_directory),
        "PGPORT": str(debian.port),
        "PGUSER": "postgres",
        "DATABASE_URL": address(debian, "todos"),
    }

    def shell(command: str, stdin: str = "") -> str:
        command = command.removeprefix("sudo -u postgres ").replace(
            "postgresql://todos:password@localhost/restored", address(debian, "restored")
        )
        done = subprocess.run(
            ["/bin/bash", "-c", command],
            env=environ,
            cwd=tmp_path,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            # Without a terminal, createuser reads the password from its input.
            start_new_session=True,
        )
        assert done.returncode == 0, (command, done.stderr)
        return done.stdout

    return shell


def address(server: DebianServer, database: str) -> str:
    return f"postgresql://todos:{ENCODED}@127.0.0.1:{server.port}/{database}"


def commands(document: str, heading: str) -> list[str]:
    """Return the commands of a section that need PostgreSQL's own programs."""
    text = (DOCS / document).read_text()
    section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\$ ((?:sudo -u postgres |pg_).*)", section, re.MULTILINE)


def test_the_documented_commands_create_back_up_and_restore_a_database(
    debian: DebianServer, shell: Callable[..., str], tmp_path: Path
) -> None:
    for command in commands("deployment.md", "A machine of your own"):
        shell(command, stdin=f"{PASSWORD}\n{PASSWORD}\n")
    url = address(debian, "todos")
    release = run("release", DATABASE_URL=url)
    assert release.returncode == 0, release.stderr
    with serving(DATABASE_URL=url) as web:
        before = exercise(web)

    for command in commands("backup.md", "pg_dump"):
        shell(command)

    restored = address(debian, "restored")
    assert run("release", DATABASE_URL=restored).returncode == 0
    with serving(DATABASE_URL=restored) as web:
        assert web.request("GET", "/api/todos").json() == before
        assert web.request("GET", "/api/todos?search=cafe").json() == before[1:2]
        assert web.create_todo() == 5


@pytest.mark.parametrize("name", ["todos.ndjson", "todos.csv"])
def test_an_exported_file_is_imported_into_an_empty_database(
    debian: DebianServer, shell: Callable[..., str], tmp_path: Path, name: str
) -> None:
    for command in commands("deployment.md", "A machine of your own"):
        shell(command, stdin=f"{PASSWORD}\n{PASSWORD}\n")
    url = address(debian, "todos")
    assert run("release", DATABASE_URL=url).returncode == 0
    with serving(DATABASE_URL=url) as web:
        before = exercise(web)

        flask_todos(url, "export", str(tmp_path / name))
        assert web.request("DELETE", "/api/todos?status=completed").json() == {"deleted": 3}
        flask_todos(url, "import", str(tmp_path / name))

        assert web.request("GET", "/api/todos").json() == before
        assert web.request("GET", "/api/todos?search=cafe").json() == before[1:2]
        assert web.create_todo() == 5


def flask_todos(url: str, *arguments: str) -> None:
    """Run `flask todos …` to completion."""
    subprocess.run(
        ["flask", "todos", *arguments],
        cwd=ROOT,
        env={"PATH": PATH, "DATABASE_URL": url},
        check=True,
    )


def exercise(web: WebProcess) -> list[dict[str, object]]:
    """Use every operation; return the todos that are left."""
    for number, description in enumerate(
        ("Zebra", "Cafe\u0301 at noon", "banana", "スーパーでミルクを買う"), 1
    ):
        headers = {"Idempotency-Key": f"key {number}"}
        for _ in range(2):
            response = web.request(
                "POST", "/api/todos", json={"description": description}, headers=headers
            )
            assert (response.status_code, response.json()["id"]) == (201, number)

    def found(query: str) -> list[int]:
        return [todo["id"] for todo in web.request("GET", f"/api/todos?{query}").json()]

    def result(method: str, path: str) -> dict[str, object]:
        body: dict[str, object] = web.request(method, path, json={"completed": True}).json()
        return body

    assert found("search=CAF\u00c9") == [2]
    assert found("search=ミルク") == [4]
    assert found("sort_by=description") == [3, 2, 1, 4]
    assert found("sort_by=updated_at&order=desc&limit=1") == [4]
    assert result("PATCH", "/api/todos/3")["completed"] is True
    assert result("DELETE", "/api/todos?status=completed") == {"deleted": 1}
    assert result("PATCH", "/api/todos?status=incomplete") == {"updated": 3}
    left: list[dict[str, object]] = web.request("GET", "/api/todos").json()
    return left
