"""The `flask todos export` and `flask todos import` commands, run in-process."""

import json
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskClient

from dev.postgres import Postgres
from tests.support.todos import ndjson, todo
from todoapp.todos.cli import STAGE

Sql = Callable[[str], list[tuple]]
Invoke = Callable[..., Result]

DESCRIPTIONS = [
    "Buy groceries",
    "\\",
    "\\.",
    "\\N",
    "C:\\new\\todo\\x41",
    "\"quoted\", 'too'; DROP TABLE todos",
    "two\nlines\r\nand a third\r",
    "\ttabs\t",
    "\x01\x02\x08\x0b\x0c\x1b\x1f\x7f\x85",
    "\u2028 and \u2029, \ufeff and \ufffe",
    "\N{PILE OF POO}\U0010ffff e\u0301 אבג",
    " space around ",
    '{"id":1}',
    "\N{PILE OF POO}" * 500,
    "\x01" * 500,
]


@pytest.fixture
def invoke(app: Flask) -> Invoke:
    """Run `flask todos …` and return its result."""
    runner = app.test_cli_runner()
    return lambda *arguments, **options: runner.invoke(args=["todos", *arguments], **options)


@pytest.fixture
def import_(invoke: Invoke) -> Callable[..., str]:
    """Import NDJSON and return the command's output."""

    def import_(data: bytes, *options: str) -> str:
        result = invoke("import", *options, input=data)
        assert result.exit_code == 0, result.output
        return result.stdout

    return import_


@pytest.fixture
def import_error(invoke: Invoke) -> Callable[..., str]:
    """Run an import that fails and return its one-line error message."""

    def import_error(data: bytes, *options: str) -> str:
        result = invoke("import", *options, input=data)
        assert result.exit_code == 1, result.output
        assert result.stdout == ""
        (line,) = result.stderr.splitlines()
        return line

    return import_error


def test_export_then_import_restores_an_identical_list(
    client: FlaskClient, sql: Sql, invoke: Invoke, tmp_path: Path
) -> None:
    for number, description in enumerate(DESCRIPTIONS):
        fields = {"description": description, "completed": number % 2 == 0}
        assert client.post("/api/todos", json=fields).status_code == 201
    client.patch("/api/todos/3", json={"completed": False})
    client.delete("/api/todos/4")
    # The predecessor allowed a blank description, and timestamps of any year.
    sql(r"INSERT INTO todos VALUES (100, E' \t ', true, '0001-01-01 00:00Z', '9999-12-31 23:59Z')")
    before = client.get("/api/todos").data
    file = tmp_path / "todos.ndjson"

    assert invoke("export", str(file)).stderr == "Exported 15 todos.\n"
    assert before == b"[%b]" % b",".join(file.read_bytes().splitlines())
    sql("TRUNCATE todos RESTART IDENTITY")
    assert invoke("import", str(file)).stdout == "Imported 15 todos.\n"

    assert client.get("/api/todos").data == before
    assert client.post("/api/todos", json={"description": "x"}).get_json()["id"] == 101


def test_an_empty_list_is_an_empty_file(
    invoke: Invoke, import_: Callable[..., str], tmp_path: Path
) -> None:
    file = tmp_path / "todos.ndjson"

    assert invoke("export", str(file)).exit_code == 0
    assert file.read_bytes() == b""
    assert import_(b"") == "Imported 0 todos.\n"


def test_todos_keep_their_order_across_batches(
    client: FlaskClient, sql: Sql, invoke: Invoke, tmp_path: Path
) -> None:
    sql("INSERT INTO todos (description) SELECT n FROM generate_series(1, 4500) AS n")
    before = client.get("/api/todos").data
    file = tmp_path / "todos.ndjson"

    invoke("export", str(file))
    sql("TRUNCATE todos")
    invoke("import", str(file))

    assert client.get("/api/todos").data == before


def test_export_replaces_the_previous_backup_and_is_readable_by_its_owner_only(
    invoke: Invoke, import_: Callable[..., str], tmp_path: Path
) -> None:
    file, link = tmp_path / "todos.ndjson", tmp_path / "latest"
    file.write_text("previous backup")
    link.symlink_to(file)
    import_(ndjson(todo(1)))

    assert invoke("export", str(link)).exit_code == 0

    assert json.loads(file.read_bytes()) == todo(1)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert link.is_symlink()
    assert len(list(tmp_path.iterdir())) == 2


def test_import_advances_the_id_sequence_and_never_rewinds_it(
    client: FlaskClient, sql: Sql, import_: Callable[..., str]
) -> None:
    import_(ndjson(todo(41), todo(7)))
    assert client.post("/api/todos", json={"description": "x"}).get_json()["id"] == 42

    sql("DELETE FROM todos")
    import_(ndjson(todo(5)))
    assert client.post("/api/todos", json={"description": "x"}).get_json()["id"] == 43


def test_a_duplicate_id_is_reported_with_its_line_and_nothing_is_imported(
    client: FlaskClient, import_: Callable[..., str], import_error: Callable[..., str]
) -> None:
    import_(ndjson(todo(3, description="existing")))

    existing = import_error(ndjson(*map(todo, (1, 2, 3, 4))))
    repeated = import_error(ndjson(*map(todo, range(1000, 4000)), todo(1234, description="s3cret")))

    assert existing == "Error: Line 3: Key (id)=(3) already exists."
    assert repeated == "Error: Line 3001: Key (id)=(1234) already exists."
    assert client.get("/api/todos").get_json() == [todo(3, description="existing")]
    assert client.post("/api/todos", json={"description": "x"}).get_json()["id"] == 4


def test_skip_duplicates_skips_existing_and_repeated_ids(
    client: FlaskClient, import_: Callable[..., str]
) -> None:
    import_(ndjson(todo(2, description="existing")))

    output = import_(ndjson(*map(todo, (1, 2, 3, 3))), "--skip-duplicates")

    assert output == "Imported 2 todos, skipped 2.\n"
    assert client.get("/api/todos").get_json() == [
        todo(1),
        todo(2, description="existing"),
        todo(3),
    ]
    assert client.post("/api/todos", json={"description": "x"}).get_json()["id"] == 4


@pytest.mark.parametrize("options", [(), ("--skip-duplicates",)], ids=["all", "new ones"])
@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"\n", "invalid input syntax for type json"),
        (b"s3cret\n", "invalid input syntax for type json"),
        (b'{"description": "s3cret\xff"}\n', 'invalid byte sequence for encoding "UTF8"'),
        (ndjson(todo(2, description="s3cret \ud800")), "invalid input syntax for type json"),
        (b"[" * 1000 + b"\n", "invalid input syntax for type json"),
        (ndjson(todo(2))[:-20], "the line is too long, or the file is incomplete"),
        (ndjson(todo(2))[:-1], "the line is too long, or the file is incomplete"),
        (
            ndjson(todo(2, description="s3cret" * 20_000)),
            "the line is too long, or the file is incomplete",
        ),
        (b"[]\n", "a JSON object is expected"),
        (ndjson({**todo(2), "priority": 1}), "unknown field"),
        (ndjson({**todo(2), "todo": None}), "unknown field"),
        (ndjson({**todo(2), "line": None}), "unknown field"),
        (ndjson({"id": 2}), "description is missing"),
        (ndjson({"description": "s3cret"}), "id is missing"),
        (ndjson(todo(0)), "id is invalid"),
        (ndjson(todo(2**31)), "out of range for type integer"),
        (ndjson(todo(10**30)), "out of range for type integer"),
        (ndjson(todo(2, id=True)), 'invalid input syntax for type integer: "true"'),
        (ndjson(todo(2, id=2.0)), 'invalid input syntax for type integer: "2.0"'),
        (ndjson(todo(2, id="2")), "id is invalid"),
        (ndjson(todo(2, description=None)), "description is missing"),
        (ndjson(todo(2, description="")), "ck_todos_description_not_empty"),
        (ndjson(todo(2, description="s3cret\0")), "unsupported Unicode escape sequence"),
        # PostgreSQL would truncate the trailing space silently.
        (ndjson(todo(2, description="s" * 500 + " ")), "description is invalid"),
        (ndjson(todo(2, completed=0)), "completed is invalid"),
        (ndjson(todo(2, created_at=None)), "created_at is missing"),
        (ndjson(todo(2, updated_at="now")), "updated_at is invalid"),
        (ndjson(todo(2, updated_at="2025-12-28T10:00:00")), "updated_at is invalid"),
        # PostgreSQL would round the first and roll the second over to the next minute.
        (ndjson(todo(2, created_at="2025-12-28T10:00:00.1234567Z")), "created_at is invalid"),
        (ndjson(todo(2, created_at="2025-12-28T10:00:60Z")), "created_at is invalid"),
        (ndjson(todo(2, created_at="9999-12-31T23:59:59-01:00")), "created_at is invalid"),
        (ndjson(todo(2, created_at="0001-01-01T00:00:00+01:00")), "created_at is invalid"),
        (ndjson(todo(2, created_at="2025-02-30T10:00:00Z", description="s3cret")), "out of range"),
    ],
)
def test_an_invalid_todo_is_reported_with_its_line_and_nothing_is_imported(
    import_error: Callable[..., str],
    sql: Sql,
    line: bytes,
    message: str,
    options: tuple[str, ...],
) -> None:
    error = import_error(ndjson(todo(1)) + line, *options)

    assert error.startswith("Error: Line 2: ")
    assert message in error
    assert "s3cret" not in error
    assert sql("SELECT count(*) FROM todos") == [(0,)]


def test_two_imports_on_the_same_connection_to_the_server_succeed(
    app: Flask, postgres: Postgres
) -> None:
    # As behind PgBouncer, which keeps the session of a client that has left.
    name = app.config["SQLALCHEMY_DATABASE_URI"].database
    with closing(psycopg2.connect(postgres.url(name))) as connection:
        for _ in range(2):
            with connection:
                connection.cursor().execute(STAGE)


def test_a_backup_of_an_older_release_may_lack_newer_fields(
    client: FlaskClient, import_: Callable[..., str]
) -> None:
    line = todo(1)
    del line["completed"], line["updated_at"]

    import_(ndjson(line))

    imported = client.get("/api/todos/1").get_json()
    assert imported == {**todo(1), "updated_at": imported["updated_at"]}


def test_timestamps_with_an_offset_are_independent_of_the_session_time_zone(
    client: FlaskClient, import_: Callable[..., str], sql: Sql
) -> None:
    sql("ALTER ROLE postgres SET TimeZone = 'Asia/Kathmandu'")
    try:
        import_(ndjson(todo(1, created_at="2025-12-28T12:00:00+02:00")))
    finally:
        sql("ALTER ROLE postgres RESET TimeZone")

    assert client.get("/api/todos/1").get_json()["created_at"] == "2025-12-28T10:00:00.000000Z"


def test_export_and_import_use_utf_8_regardless_of_client_encoding(
    client: FlaskClient, invoke: Invoke, sql: Sql, tmp_path: Path
) -> None:
    client.post("/api/todos", json={"description": "Größe"})
    before = client.get("/api/todos/1").data
    file = tmp_path / "todos.ndjson"
    sql("ALTER ROLE postgres SET client_encoding = 'LATIN1'")
    try:
        invoke("export", str(file))
        sql("TRUNCATE todos")
        invoke("import", str(file))
    finally:
        sql("ALTER ROLE postgres RESET client_encoding")

    assert file.read_bytes() == before + b"\n"
    assert client.get("/api/todos/1").data == before


def test_export_and_import_are_exempt_from_the_statement_timeout(
    database: str, make_app: Callable[..., Flask], postgres: object, tmp_path: Path
) -> None:
    app = make_app(DATABASE_URL=database + "&options=-c%20statement_timeout%3D100ms")
    with psycopg2.connect(database) as connection:
        connection.cursor().execute(
            "INSERT INTO todos (description) SELECT repeat('x ', 250) FROM generate_series(1, 3000)"
        )
    file = str(tmp_path / "todos.ndjson")
    runner = app.test_cli_runner()

    assert runner.invoke(args=["todos", "export", file]).exit_code == 0
    with connection:
        connection.cursor().execute("TRUNCATE todos")
    result = runner.invoke(args=["todos", "import", file, "--skip-duplicates"])
    connection.close()
    assert result.stdout == "Imported 3000 todos, skipped 0.\n"


def test_a_lock_timeout_during_import_is_reported_in_one_line(
    app: Flask, import_error: Callable[..., str]
) -> None:
    with psycopg2.connect(
        app.config["SQLALCHEMY_DATABASE_URI"]
        .set(drivername="postgresql")
        .render_as_string(hide_password=False)
    ) as other:
        other.cursor().execute("INSERT INTO todos (description) VALUES ('not committed yet')")
        error = import_error(ndjson(todo(1)))
        other.rollback()
    other.close()

    assert error == "Error: The database says: canceling statement due to lock timeout"


def test_missing_privileges_are_reported_in_one_line(
    database: str, make_app: Callable[..., Flask], as_guest: Callable[[str], str]
) -> None:
    app = make_app(DATABASE_URL=as_guest(database))

    result = app.test_cli_runner().invoke(args=["todos", "import"], input=ndjson(todo(1)))

    assert result.exit_code == 1
    assert "permission denied" in result.output
    assert len(result.output.splitlines()) == 1
