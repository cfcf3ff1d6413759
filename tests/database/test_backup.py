"""The `flask todos export` and `flask todos import` commands, run in-process."""

import bz2
import gzip
import json
import lzma
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
from todoapp.todos.importing import stage

INVALID_JSON = "invalid JSON; expected one JSON object per line"
ID = "expected a whole number from 1 to 2147483647, or --new-ids"
UPDATED_AT = (
    "updated_at is a string; expected a timestamp such as 2025-12-28T10:00:00Z, in UTC from year"
    " 0001 to 9999"
)

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


def test_an_empty_list_is_an_empty_file(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "todos.ndjson"

    assert invoke("export", str(file)).exit_code == 0
    assert file.read_bytes() == b""


@pytest.mark.parametrize("name", ["todos.ndjson", "todos.csv"])
def test_todos_keep_their_order_across_batches(
    client: FlaskClient, sql: Sql, invoke: Invoke, tmp_path: Path, name: str
) -> None:
    sql("INSERT INTO todos (description) SELECT n || E'\\n' FROM generate_series(1, 4500) AS n")
    before = client.get("/api/todos").data
    file = tmp_path / name

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

    assert existing.startswith("Error: Line 3: its id exists already; ")
    assert "--new-ids" in existing
    assert "--skip-duplicates" in existing
    assert repeated.startswith("Error: Line 3001: its id exists already; ")
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
        (b"s3cret\n", INVALID_JSON),
        (b"s3cret\x01\n", INVALID_JSON),
        (b'{"description":\r"s3cret"}\n', INVALID_JSON),
        (b'{"description": "s3cret\xff"}\n', "not UTF-8, or it contains NUL"),
        (b'{"description": "s3cret\0"}\n', "not UTF-8, or it contains NUL"),
        (ndjson(todo(2, description="s3cret \ud800")), "description or another value contains"),
        (ndjson(todo(2, description="s3cret\0")), "description or another value contains NUL"),
        (b'{"id": 1e999999, "description": "s3cret"}\n', "description or another value contains"),
        (b"[" * 1000 + b"\n", INVALID_JSON),
        (b"[" * 60_000 + b"\n", "the JSON is nested too deeply"),
        (ndjson(todo(2))[:-20], "the file is incomplete: its last line breaks off"),
        (ndjson(todo(2))[:-2], "the file is incomplete: its last line breaks off"),
        (ndjson(todo(2, description="s3cret" * 20_000)), "longer than 64 KiB; expected one todo"),
        (b"[]\n", "the line is an array; expected a JSON object"),
        (b'"s3cret"\n', "the line is a string; expected a JSON object"),
        (b"null\n", "the line is null; expected a JSON object"),
        (
            ndjson({**todo(2), "priority": "s3cret"}),
            'unknown field "priority"; expected id, description, completed, created_at, updated_at',
        ),
        (ndjson({**todo(2), "todo": None}), 'unknown field "todo"'),
        (ndjson({**todo(2), "line": None}), 'unknown field "line"'),
        (ndjson({**todo(2), "\n" + "x" * 99: 1}), 'unknown field "\\nxxx'),
        (ndjson({"id": 2}), "description is missing; expected a string of 1 to 500 characters"),
        (ndjson(todo(0)), f"id is a number; {ID}"),
        (ndjson(todo(2**31)), f"id is a number; {ID}"),
        (ndjson(todo(10**30)), f"id is a number; {ID}"),
        (ndjson(todo(2, id=True)), f"id is a boolean; {ID}"),
        (ndjson(todo(2, id=2.0)), f"id is a number; {ID}"),
        (ndjson(todo(2, id="2")), f"id is a string; {ID}"),
        (ndjson(todo(2, id=None)), f"id is null; {ID}"),
        (ndjson(todo(2, description=None)), "description is null; expected a string"),
        (ndjson(todo(2, description=["s3cret"])), "description is an array; expected a string"),
        (ndjson(todo(2, description="")), "description is an empty string; expected a string of 1"),
        # PostgreSQL would truncate the trailing space silently.
        (
            ndjson(todo(2, description="s" * 500 + " ")),
            "description is a string of 501 characters; expected a string of 1 to 500 characters",
        ),
        (ndjson(todo(2, completed=0)), "completed is a number; expected true or false"),
        (ndjson(todo(2, completed="s3cret")), "completed is a string; expected true or false"),
        (ndjson(todo(2, completed={"s3cret": 1})), "completed is an object; expected true or"),
        (ndjson(todo(2, created_at=None)), "created_at is null; expected a timestamp such as"),
        (ndjson(todo(2, created_at="")), "created_at is an empty string; expected a timestamp"),
        (ndjson(todo(2, updated_at=1764324000)), "updated_at is a number; expected a timestamp"),
        (ndjson(todo(2, updated_at="now")), UPDATED_AT),
        (ndjson(todo(2, updated_at="infinity")), UPDATED_AT),
        (ndjson(todo(2, updated_at="2025-12-28T10:00:00")), UPDATED_AT),
        (ndjson(todo(2, updated_at="\uff12\uff10\uff12\uff16-12-28")), UPDATED_AT),
        # PostgreSQL would roll it over to the next minute, and to the next day.
        (ndjson(todo(2, updated_at="2025-12-28T10:00:60Z")), UPDATED_AT),
        (ndjson(todo(2, updated_at="2025-12-28T24:00:00Z")), UPDATED_AT),
        (ndjson(todo(2, updated_at="9999-12-31T23:59:59-01:00")), UPDATED_AT),
        (ndjson(todo(2, updated_at="10000-01-01T00:00:00Z")), UPDATED_AT),
        (ndjson(todo(2, updated_at="2025-02-30T10:00:00Z")), UPDATED_AT),
        (ndjson(todo(2, updated_at="2025-12-28T10:00:00+99:00")), UPDATED_AT),
        (ndjson(todo(2, created_at="0001-01-01T00:00:00+01:00")), "created_at is a string; exp"),
        (ndjson(todo(2, created_at="0000-01-01")), "created_at is a string; expected a timestamp"),
        (
            ndjson(todo(2, updated_at="2025-12-28T10:00:00.123455Z")),
            "updated_at is before created_at; expected the same time or a later one",
        ),
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

    assert error.startswith(f"Error: Line 2: {message}")
    assert "s3cret" not in error
    assert "2025-" not in error.replace("such as 2025-12-28T10:00:00Z", "")
    assert sql("SELECT count(*) FROM todos") == [(0,)]


def test_two_imports_on_the_same_connection_to_the_server_succeed(
    app: Flask, postgres: Postgres
) -> None:
    # As behind PgBouncer, which keeps the session of a client that has left.
    name = app.config["SQLALCHEMY_DATABASE_URI"].database
    with closing(psycopg2.connect(postgres.url(name))) as connection:
        for _ in range(2):
            with connection:
                connection.cursor().execute(stage())


def test_a_backup_of_an_older_release_may_lack_newer_fields(
    client: FlaskClient, import_: Callable[..., str]
) -> None:
    line = todo(1)
    del line["completed"]

    import_(ndjson(line))

    assert client.get("/api/todos/1").get_json() == todo(1)


def test_ids_and_timestamps_may_be_absent(
    client: FlaskClient, import_: Callable[..., str], sql: Sql
) -> None:
    created, updated = "2025-12-28T10:00:00.000000Z", "2200-01-01T00:00:00.000000Z"
    lines = [
        {"description": "neither"},
        {"description": "created", "created_at": created},
        {"description": "updated", "updated_at": updated},
    ]

    assert import_(ndjson(*lines)) == "Imported 3 todos.\n"

    neither, *others = client.get("/api/todos").get_json()
    assert neither["id"] == 1
    assert neither["created_at"] == neither["updated_at"]
    assert sql("SELECT now() - created_at < interval '1 minute' FROM todos WHERE id = 1") == [
        (True,)
    ]
    assert others == [
        todo(2, description="created", created_at=created, updated_at=created),
        todo(3, description="updated", created_at=updated, updated_at=updated),
    ]


def test_new_ids_collide_neither_with_those_of_the_file_nor_with_existing_ones(
    client: FlaskClient, import_: Callable[..., str], sql: Sql
) -> None:
    sql("INSERT INTO todos (id, description) VALUES (4, 'past the sequence')")
    lines: list[object] = [{"description": f"new {number}"} for number in range(5000)]
    lines[2000:2000] = [todo(6), todo(2)]

    assert import_(ndjson(*lines)) == "Imported 5002 todos.\n"

    ids = {todo["description"]: todo["id"] for todo in client.get("/api/todos").get_json()}
    assert ids == {
        "todo 2": 2,
        "past the sequence": 4,
        "todo 6": 6,
        **{f"new {number}": number + 7 for number in range(5000)},
    }


def test_new_ids_replace_those_of_the_file_in_its_order(
    client: FlaskClient, import_: Callable[..., str]
) -> None:
    import_(ndjson(todo(3, description="existing")))
    lines = [todo(3), {"description": "none"}, todo(1), todo(1), todo(0, id="a1b2"), todo(0)]

    assert import_(ndjson(*lines), "--new-ids") == "Imported 6 todos.\n"

    todos = client.get("/api/todos").get_json()
    assert [(todo["id"], todo["description"]) for todo in todos] == [
        (3, "existing"),
        (4, "todo 3"),
        (5, "none"),
        (6, "todo 1"),
        (7, "todo 1"),
        (8, "todo 0"),
        (9, "todo 0"),
    ]


def test_new_ids_and_skip_duplicates_exclude_each_other(invoke: Invoke) -> None:
    result = invoke("import", "--new-ids", "--skip-duplicates", input=ndjson(todo(1)))

    assert result.exit_code == 2
    assert "--skip-duplicates and --new-ids exclude each other" in result.stderr


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("2025-12-28T10:00:00.1234567Z", "2025-12-28T10:00:00.123456Z"),
        ("2025-12-28T10:00:00.1234567890123456789+00:00", "2025-12-28T10:00:00.123456Z"),
        ("2025-12-31T23:59:59.9999999Z", "2025-12-31T23:59:59.999999Z"),
        ("9999-12-31T23:59:59.99999999Z", "9999-12-31T23:59:59.999999Z"),
        ("2025-12-28T10:00:00.5Z", "2025-12-28T10:00:00.500000Z"),
        ("2025-12-28t10:00:00z", "2025-12-28T10:00:00.000000Z"),
        ("2025-12-28 10:00:00Z", "2025-12-28T10:00:00.000000Z"),
        ("2025-12-28 12:00:00.123456+02", "2025-12-28T10:00:00.123456Z"),
        ("2025-12-28T12:00:00+0200", "2025-12-28T10:00:00.000000Z"),
        ("2025-12-28T12:00:00+02:00", "2025-12-28T10:00:00.000000Z"),
        ("2025-12-28", "2025-12-28T00:00:00.000000Z"),
        ("0001-01-01", "0001-01-01T00:00:00.000000Z"),
        ("9999-12-31T22:59:59.999999-01:00", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_timestamps_of_other_programs_are_accepted_in_any_session_time_zone(
    client: FlaskClient, import_: Callable[..., str], sql: Sql, text: str, stored: str
) -> None:
    sql("ALTER ROLE postgres SET TimeZone = 'Asia/Kathmandu'")
    try:
        import_(ndjson({"description": "x", "created_at": text}))
    finally:
        sql("ALTER ROLE postgres RESET TimeZone")

    assert client.get("/api/todos/1").get_json()["created_at"] == stored


def test_a_byte_order_mark_crlf_and_blank_lines_are_accepted(
    client: FlaskClient, import_: Callable[..., str], import_error: Callable[..., str]
) -> None:
    first, second, third = ndjson(todo(1)), ndjson(todo(2)), ndjson(todo(3))
    data = b"\xef\xbb\xbf" + first[:-1] + b"\r\n\n" + second + b" \t\r\n" + third + b"\r\n\n"

    assert import_error(data + b"s3cret\n").startswith("Error: Line 8: ")
    assert import_(data) == "Imported 3 todos.\n"
    assert client.get("/api/todos").get_json() == [todo(1), todo(2), todo(3)]


@pytest.mark.parametrize("end", [b"", b" ", b"\r"])
def test_a_last_line_without_a_line_break_is_accepted_if_it_is_whole(
    client: FlaskClient, import_: Callable[..., str], import_error: Callable[..., str], end: bytes
) -> None:
    data = b'{"description": "Eggs"}\n{"description": "Milk"}'

    assert "the file is incomplete" in import_error(data[:-1] + end)
    assert import_(data + end) == "Imported 2 todos.\n"
    assert [todo["description"] for todo in client.get("/api/todos").get_json()] == ["Eggs", "Milk"]


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (b"", ()),
        (b"\n \r\n", ()),
        (b"\xef\xbb\xbf", ()),
        (b"", ("--format", "csv")),
        (b"description,completed\n\n", ("--format", "csv")),
        (b"", ("--skip-duplicates",)),
    ],
)
def test_nothing_to_import_is_an_error(
    import_error: Callable[..., str], data: bytes, options: tuple[str, ...]
) -> None:
    assert import_error(data, *options).startswith("Error: There is nothing to import: ")


@pytest.mark.parametrize("options", [(), ("--format", "csv")], ids=["ndjson", "csv"])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (gzip.compress(ndjson(todo(1))), "The file is compressed: run gunzip first."),
        (bz2.compress(ndjson(todo(1))), "The file is compressed: run bunzip2 first."),
        (lzma.compress(ndjson(todo(1))), "The file is compressed: run unxz first."),
        (b"\x28\xb5\x2f\xfd\x24\x00", "The file is compressed: run unzstd first."),
        (b"PK\x03\x04\x14\x00", "The file is a ZIP archive or a workbook (.xlsx): "),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "The file is a workbook (.xls): save it as CSV."),
        (b"\x1f\x8b" + b"x" * 70_000, "The file is compressed: run gunzip first."),
        (ndjson(todo(1)).decode().encode("utf-16"), "The file is UTF-16: "),
        (ndjson(todo(1)).decode().encode("utf-16-le"), "The file is UTF-16: "),
        (ndjson(todo(1)).decode().encode("utf-16-be"), "The file is UTF-16: "),
    ],
)
def test_a_file_that_is_not_utf_8_text_is_named_as_what_it_is(
    import_error: Callable[..., str], data: bytes, message: str, options: tuple[str, ...]
) -> None:
    assert import_error(data, *options).startswith(f"Error: {message}")


@pytest.mark.parametrize("format_", ["ndjson", "csv"])
def test_an_export_that_is_cut_off_within_a_line_is_refused(
    import_error: Callable[..., str], sql: Sql, invoke: Invoke, tmp_path: Path, format_: str
) -> None:
    file = tmp_path / "todos"
    sql("INSERT INTO todos (description) VALUES ('one'), ('two')")
    invoke("export", str(file), "--format", format_)
    export = file.read_bytes().rstrip()

    for end in range(export.rindex(b"\n") + 2, len(export)):
        assert "the file is incomplete" in import_error(export[:end], "--format", format_)


def test_an_export_to_a_missing_directory_names_it_before_any_work(
    make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    app = make_app(DATABASE_URL="postgresql://127.0.0.1:1/unreachable")
    (tmp_path / "file").touch()

    for parent, reason in (("nowhere", "No such file or directory"), ("file", "Not a directory")):
        directory = tmp_path / parent
        file = str(directory / "todos.ndjson")
        result = app.test_cli_runner().invoke(args=["todos", "export", file])

        message = f"Error: Cannot create a file in the directory {directory}: {reason}\n"
        assert (result.exit_code, result.stderr) == (1, message)


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


@pytest.mark.parametrize("name", ["statement_timeout", "transaction_timeout"])
def test_export_and_import_are_exempt_from_the_time_limits_of_the_role(
    name: str, database: str, make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    app = make_app(DATABASE_URL=database + f"&options=-c%20{name}%3D100ms")
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
