"""`flask todos export` and `flask todos import`, in the process of the test."""

import json
import stat
from collections.abc import Callable
from pathlib import Path

import psycopg2
import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskClient

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
TIMESTAMP = "2025-12-28T10:00:00.123456Z"


def todo(number: int, **fields: object) -> dict[str, object]:
    """Return a todo as `export` writes it."""
    times = {"created_at": TIMESTAMP, "updated_at": TIMESTAMP}
    return {"id": number, "description": f"todo {number}", "completed": False, **times, **fields}


def ndjson(*todos: object) -> bytes:
    return b"".join(json.dumps(todo).encode() + b"\n" for todo in todos)


@pytest.fixture
def invoke(app: Flask) -> Invoke:
    """Invoke `flask todos …`."""
    runner = app.test_cli_runner()
    return lambda *arguments, **options: runner.invoke(args=["todos", *arguments], **options)


@pytest.fixture
def import_(invoke: Invoke) -> Callable[..., str]:
    """Import what is given, and return what the command says."""

    def import_(data: bytes, *options: str) -> str:
        result = invoke("import", *options, input=data)
        assert result.exit_code == 0, result.output
        return result.stdout

    return import_


@pytest.fixture
def refusal(invoke: Invoke) -> Callable[..., str]:
    """Fail to import what is given, and return the one line that says why."""

    def refusal(data: bytes, *options: str) -> str:
        result = invoke("import", *options, input=data)
        assert result.exit_code == 1, result.output
        assert result.stdout == ""
        (line,) = result.stderr.splitlines()
        return line

    return refusal


def test_export_drop_and_import_give_back_an_identical_list(
    client: FlaskClient, sql: Sql, invoke: Invoke, tmp_path: Path
) -> None:
    for number, description in enumerate(DESCRIPTIONS):
        fields = {"description": description, "completed": number % 2 == 0}
        assert client.post("/api/todos", json=fields).status_code == 201
    client.patch("/api/todos/3", json={"completed": False})
    client.delete("/api/todos/4")
    # The predecessor had such todos, and clocks.
    sql(r"INSERT INTO todos VALUES (100, E' \t ', true, '0001-01-01 00:00Z', '9999-12-31 23:59Z')")
    before = client.get("/api/todos").data
    file = tmp_path / "todos.ndjson"

    assert invoke("export", str(file)).stderr == "Exported 15 todos.\n"
    assert before == b"[%b]" % b",".join(file.read_bytes().splitlines())
    sql("TRUNCATE todos RESTART IDENTITY")
    assert invoke("import", str(file)).stdout == "Imported 15 todos.\n"

    assert client.get("/api/todos").data == before
    assert client.post("/api/todos", json={"description": "x"}).get_json()["id"] == 101


def test_no_todos_are_an_empty_file_and_back(
    invoke: Invoke, import_: Callable[..., str], tmp_path: Path
) -> None:
    file = tmp_path / "todos.ndjson"

    assert invoke("export", str(file)).exit_code == 0
    assert file.read_bytes() == b""
    assert import_(b"") == "Imported 0 todos.\n"


def test_more_todos_than_a_batch_are_kept_in_order(
    client: FlaskClient, sql: Sql, invoke: Invoke, tmp_path: Path
) -> None:
    sql("INSERT INTO todos (description) SELECT n FROM generate_series(1, 4500) AS n")
    before = client.get("/api/todos").data
    file = tmp_path / "todos.ndjson"

    invoke("export", str(file))
    sql("TRUNCATE todos")
    invoke("import", str(file))

    assert client.get("/api/todos").data == before


def test_a_backup_is_readable_for_its_owner_alone_and_replaces_the_one_before(
    invoke: Invoke, import_: Callable[..., str], tmp_path: Path
) -> None:
    file, link = tmp_path / "todos.ndjson", tmp_path / "latest"
    file.write_text("the one before")
    link.symlink_to(file)
    import_(ndjson(todo(1)))

    assert invoke("export", str(link)).exit_code == 0

    assert json.loads(file.read_bytes()) == todo(1)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert link.is_symlink()
    assert len(list(tmp_path.iterdir())) == 2


def test_new_ids_go_on_after_the_highest_and_never_back(
    client: FlaskClient, sql: Sql, import_: Callable[..., str]
) -> None:
    import_(ndjson(todo(41), todo(7)))
    assert client.post("/api/todos", json={"description": "x"}).get_json()["id"] == 42

    sql("DELETE FROM todos")
    import_(ndjson(todo(5)))
    assert client.post("/api/todos", json={"description": "x"}).get_json()["id"] == 43


def test_a_duplicate_is_refused_with_its_line_and_nothing_is_imported(
    client: FlaskClient, import_: Callable[..., str], refusal: Callable[..., str]
) -> None:
    import_(ndjson(todo(3, description="here before")))

    there = refusal(ndjson(*map(todo, (1, 2, 3, 4))))
    twice = refusal(ndjson(*map(todo, range(1000, 4000)), todo(1234, description="s3cret")))

    assert there == "Error: Line 3: Key (id)=(3) already exists."
    assert twice == "Error: Line 3001: Key (id)=(1234) already exists."
    assert client.get("/api/todos").get_json() == [todo(3, description="here before")]
    assert client.post("/api/todos", json={"description": "x"}).get_json()["id"] == 4


def test_duplicates_are_left_out_on_request(
    client: FlaskClient, import_: Callable[..., str]
) -> None:
    import_(ndjson(todo(2, description="here before")))

    said = import_(ndjson(*map(todo, (1, 2, 3, 3))), "--skip-duplicates")

    assert said == "Imported 2 todos, skipped 2.\n"
    assert client.get("/api/todos").get_json() == [
        todo(1),
        todo(2, description="here before"),
        todo(3),
    ]
    assert client.post("/api/todos", json={"description": "x"}).get_json()["id"] == 4


@pytest.mark.parametrize("options", [(), ("--skip-duplicates",)], ids=["all", "new ones"])
@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"\n", "not JSON in UTF-8"),
        (b"s3cret\n", "not JSON in UTF-8"),
        (b'{"description": "s3cret\xff"}\n', "not JSON in UTF-8"),
        (ndjson(todo(2, description="s3cret \ud800")), "not JSON in UTF-8"),
        (b"[" * 1000 + b"\n", "not JSON in UTF-8"),
        (ndjson(todo(2))[:-20], "too long, or the file breaks off in it"),
        (ndjson(todo(2))[:-1], "too long, or the file breaks off in it"),
        (ndjson(todo(2, description="s3cret" * 20_000)), "too long, or the file breaks off in it"),
        (b"[]\n", "expected an object with exactly"),
        (ndjson({**todo(2), "priority": 1}), "expected an object with exactly"),
        (ndjson({"id": 2, "description": "s3cret"}), "expected an object with exactly"),
        (ndjson(todo(0)), "id is not as a todo has it"),
        (ndjson(todo(2**31)), "id is not as a todo has it"),
        (ndjson(todo(10**30)), "id is not as a todo has it"),
        (ndjson(todo(2, id=True)), "id is not as a todo has it"),
        (ndjson(todo(2, id=2.0)), "id is not as a todo has it"),
        (ndjson(todo(2, id="2")), "id is not as a todo has it"),
        (ndjson(todo(2, description=None)), "description is not as a todo has it"),
        (ndjson(todo(2, description="")), "description is not as a todo has it"),
        (ndjson(todo(2, description="s3cret\0")), "description is not as a todo has it"),
        # PostgreSQL would cut the space off.
        (ndjson(todo(2, description="s" * 500 + " ")), "description is not as a todo has it"),
        (ndjson(todo(2, completed=0)), "completed is not as a todo has it"),
        (ndjson(todo(2, created_at=None)), "created_at is not as a todo has it"),
        (ndjson(todo(2, updated_at="now")), "updated_at is not as a todo has it"),
        (ndjson(todo(2, updated_at="2025-12-28T10:00:00")), "updated_at is not as a todo has it"),
        # PostgreSQL would round, or go on to the next minute.
        (ndjson(todo(2, created_at="2025-12-28T10:00:00.1234567Z")), "created_at is not"),
        (ndjson(todo(2, created_at="2025-12-28T10:00:60Z")), "created_at is not"),
        (ndjson(todo(2, created_at="2025-02-30T10:00:00Z", description="s3cret")), "out of range"),
    ],
)
def test_what_is_no_todo_is_refused_with_its_line_and_nothing_is_imported(
    refusal: Callable[..., str],
    sql: Sql,
    line: bytes,
    message: str,
    options: tuple[str, ...],
) -> None:
    said = refusal(ndjson(todo(1)) + line, *options)

    assert said.startswith("Error: Line 2: ")
    assert message in said
    assert "s3cret" not in said
    assert sql("SELECT count(*) FROM todos") == [(0,)]


def test_any_rfc_3339_timestamp_is_the_same_instant_in_any_time_zone(
    client: FlaskClient, import_: Callable[..., str], sql: Sql
) -> None:
    sql("ALTER ROLE postgres SET TimeZone = 'Asia/Kathmandu'")
    try:
        import_(ndjson(todo(1, created_at="2025-12-28T12:00:00+02:00")))
    finally:
        sql("ALTER ROLE postgres RESET TimeZone")

    assert client.get("/api/todos/1").get_json()["created_at"] == "2025-12-28T10:00:00.000000Z"


def test_what_is_written_and_read_is_utf_8_whatever_the_session_says(
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


def test_neither_is_cut_off_by_the_timeouts_of_requests(
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


def test_an_import_that_does_not_get_the_table_gives_up_in_one_line(
    app: Flask, refusal: Callable[..., str]
) -> None:
    with psycopg2.connect(
        app.config["SQLALCHEMY_DATABASE_URI"]
        .set(drivername="postgresql")
        .render_as_string(hide_password=False)
    ) as other:
        other.cursor().execute("INSERT INTO todos (description) VALUES ('not committed yet')")
        said = refusal(ndjson(todo(1)))
        other.rollback()
    other.close()

    assert said == "Error: The database says: canceling statement due to lock timeout"


def test_a_role_without_rights_is_told_so_in_one_line(
    database: str, make_app: Callable[..., Flask], as_guest: Callable[[str], str]
) -> None:
    app = make_app(DATABASE_URL=as_guest(database))

    result = app.test_cli_runner().invoke(args=["todos", "import"], input=ndjson(todo(1)))

    assert result.exit_code == 1
    assert "permission denied" in result.output
    assert len(result.output.splitlines()) == 1
