"""CSV in `flask todos export` and `flask todos import`, as spreadsheets and Todoist write it."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from flask.testing import FlaskClient

from tests.support.todos import FIELDS, TIMESTAMP, create_todo, todo
from tests.support.types import Sql

Invoke = Callable[..., Result]
Import = Callable[..., str]

DESCRIPTIONS = [
    "Buy groceries",
    "a,b;c\td",
    '"quoted" and "',
    "two\nlines\r\nand a third\r",
    "\nbegins with a line break",
    "\\N \\ \\.",
    " space around ",
    "\x01\x0b\x1c\x85\u2028\ufeff",
    "\N{PILE OF POO} אבג",
    "true",
    "007",
    "'quoted'",
    "'",
    # What a spreadsheet would take for a formula, and what is written instead of it.
    "=1+1",
    "'=1+1",
    "''=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\uff1d1",
    "'-",
    "x" * 500,
]


def descriptions(client: FlaskClient) -> list[str]:
    return [todo["description"] for todo in client.get("/api/todos").get_json()]


def read_csv(file: Path) -> list[list[str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.reader(lines))


def test_export_then_import_restores_an_identical_list(
    client: FlaskClient, sql: Sql, invoke: Invoke, tmp_path: Path
) -> None:
    for number, description in enumerate(DESCRIPTIONS):
        create_todo(client, description=description, completed=number % 2 == 0)
    client.patch("/api/todos/3", json={"completed": False})
    client.delete("/api/todos/4")
    sql(r"INSERT INTO todos VALUES (100, E' \t ', true, '0001-01-01 00:00Z', '9999-12-31 23:59Z')")
    before = client.get("/api/todos").data
    file = tmp_path / "todos.CSV"

    assert invoke("export", str(file)).stderr == "Exported 24 todos.\n"
    sql("TRUNCATE todos RESTART IDENTITY")
    assert invoke("import", str(file)).stdout == "Imported 24 todos.\n"

    assert client.get("/api/todos").data == before


def test_an_export_is_csv_whose_cells_are_the_fields_of_a_todo(
    client: FlaskClient, import_: Import, invoke: Invoke, tmp_path: Path
) -> None:
    import_(b"description,completed\nMilk,true\n", "--format", "csv")
    (before,) = client.get("/api/todos").get_json()

    invoke("export", str(tmp_path / "todos.csv"))

    header, row = read_csv(tmp_path / "todos.csv")
    assert header == FIELDS
    assert row == ["1", "Milk", "true", before["created_at"], before["updated_at"]]


def test_an_export_has_no_cell_that_a_spreadsheet_would_evaluate(
    client: FlaskClient, invoke: Invoke, tmp_path: Path
) -> None:
    create_todo(client, description='=HYPERLINK("https://example.com")')
    create_todo(client, description="'=1")
    create_todo(client, description="'til noon")

    invoke("export", str(tmp_path / "todos.csv"))

    _, *rows = read_csv(tmp_path / "todos.csv")
    assert [description for _, description, *_ in rows] == [
        '\'=HYPERLINK("https://example.com")',
        "''=1",
        "'til noon",
    ]


def test_an_empty_list_is_a_header(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "todos.csv"

    assert invoke("export", str(file)).exit_code == 0
    assert read_csv(file) == [FIELDS]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_what_a_spreadsheet_writes_is_accepted(
    client: FlaskClient, import_: Import, delimiter: str, line_break: str, encoding: str
) -> None:
    rows = [
        [],
        ["Notes", "Completed", "ID", " Description ", "CREATED_AT", ""],
        ["a note", "TRUE", "7", "Größe; a, b", TIMESTAMP, ""],
        ["", "", "", "", "", ""],
        ["", "FALSE", "", "two\nlines", "2025-12-28", ""],
        ["", " ", "9", "short row"],
        [],
    ]
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=line_break).writerows(rows)

    output = import_(text.getvalue().encode(encoding), "--format", "csv")

    assert output == "Imported 3 todos.\n"
    first, short, last = client.get("/api/todos").get_json()
    assert first == todo(7, description="Größe; a, b", completed=True)
    assert (short["id"], short["description"], short["completed"]) == (9, "short row", False)
    midnight = "2025-12-28T00:00:00.000000Z"
    times = {"created_at": midnight, "updated_at": midnight}
    assert last == todo(10, description="two\nlines", **times)


@pytest.mark.parametrize("last", ["Milk", "Milk,", '"Milk",true', "Milk,\r"])
def test_a_last_row_without_a_line_break_is_accepted(
    client: FlaskClient, import_: Import, last: str
) -> None:
    import_(f"description,completed\nEggs,\n{last}".encode(), "--format", "csv")

    assert descriptions(client) == ["Eggs", "Milk"]


@pytest.mark.parametrize("options", [(), ("--format", "csv")])
def test_the_format_is_that_of_the_option_or_of_the_name(
    client: FlaskClient, invoke: Invoke, tmp_path: Path, options: tuple[str, ...]
) -> None:
    file = tmp_path / ("todos.txt" if options else "todos.csv")
    file.write_text("description\nMilk\n")

    assert invoke("import", str(file), *options).exit_code == 0
    assert invoke("export", str(file), *options).exit_code == 0
    assert file.read_text().startswith('"id","description"')
    assert invoke("export", str(file), "--format", "ndjson").exit_code == 0
    assert file.read_text().startswith('{"id":1')
    assert invoke("import", str(file), "--format", "ndjson", "--new-ids").exit_code == 0
    assert descriptions(client) == ["Milk", "Milk"]


@pytest.mark.parametrize("description_column", ["", "DESCRIPTION,"])
def test_the_tasks_of_todoist_are_imported(
    client: FlaskClient, import_: Import, description_column: str
) -> None:
    empty = "," * description_column.count(",")
    note = description_column and "a note,"
    rows = [
        f"TYPE,CONTENT,{description_column}PRIORITY,INDENT,AUTHOR,RESPONSIBLE,DATE,DATE_LANG",
        f"meta,view_style=list,{empty},,,,,",
        f'task,"Repot the basil, soon",{note}1,1,Kai (48151623),,Oct 5 2026,en',
        f"note,Get the peat-free one,{empty},,Kai (48151623),,,",
        f",,{empty},,,,,",
        f"section,Weekly,{empty},,,,,",
        f"task,Water the ferns,{empty}2,2,Kai (48151623),,every monday at 9,en",
    ]

    output = import_("\r\n".join(["\ufeff" + rows[0], *rows[1:]]).encode(), "--format", "csv")

    assert output == "Imported 2 todos.\n"
    assert descriptions(client) == ["Repot the basil, soon", "Water the ferns"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"Content\nMilk\n", "Milk"),
        (b"Content,Type\nMilk,task\nEggs\n", "Milk"),
        (b"Content,Description\nnote,Milk\n", "Milk"),
    ],
)
def test_content_is_the_description_if_no_column_is_called_so(
    client: FlaskClient, import_: Import, data: bytes, expected: str
) -> None:
    import_(data, "--format", "csv")

    assert descriptions(client) == [expected]


@pytest.mark.parametrize(
    ("cell", "completed"),
    [
        *((cell, True) for cell in ("true", "TRUE", "True", "t", "1", "yes", " true ")),
        *((cell, False) for cell in ("false", "FALSE", "f", "0", "no", "", " ")),
    ],
)
def test_completed_is_accepted_as_spreadsheets_and_databases_write_it(
    client: FlaskClient, import_: Import, cell: str, completed: bool
) -> None:
    import_(f"completed,description\n{cell},x\n".encode(), "--format", "csv")

    assert client.get("/api/todos/1").get_json()["completed"] is completed


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b"1,s3cret,maybe,\n", "completed is a string; expected true or false"),
        (b"1,s3cret,2,\n", "completed is a string; expected true or false"),
        (b"0,s3cret,,\n", "id is a number; expected a whole number from 1 to 2147483647"),
        (b"-1,s3cret,,\n", "id is a string; expected a whole number from 1 to 2147483647"),
        (b"1.0,s3cret,,\n", "id is a string; expected a whole number from 1 to 2147483647"),
        (b"9" * 5000 + b",s3cret,,\n", "id is a string; expected a whole number from 1 to"),
        ("\u0662,s3cret,,\n".encode(), "id is a string; expected a whole number from 1 to"),
        (b"1,,true,\n", "description is missing; expected a string of 1 to 500 characters"),
        (b"1," + b"s" * 501 + b",,\n", "description is a string of 501 characters; expected"),
        (b"1,s3cret\0,,\n", "description or another value contains NUL"),
        (b"1,s3cret\xff,,\n", "not UTF-8; in a spreadsheet, save the file as CSV UTF-8"),
        (b"1,s3cret,,28.12.2025 10:00\n", "created_at is a string; expected a timestamp such as"),
        (b"1,s3cret, and more,true,x\n", "5 cells; the header has 4"),
        (b'1,"s3cret" x,true,\n', "invalid CSV; "),
        (b'1,"s3cret\n', "invalid CSV; "),
        (b"1,s3cret\rx,,\n", "invalid CSV; "),
        (b"1,s3cret" + b"x" * 70_000 + b",,\n", "longer than 64 KiB"),
        (b'1,"s3cret\n' + b"x\n" * 70_000, "invalid CSV; "),
    ],
)
def test_an_invalid_row_is_reported_with_its_line_and_nothing_is_imported(
    import_error: Callable[..., str], sql: Sql, row: bytes, message: str
) -> None:
    start = b'ID,Description,Completed,Created_at\n\n5,"three\n\nlines",,\n'

    error = import_error(start + row, "--format", "csv")

    assert error.startswith(f"Error: Line 6: {message}")
    assert "s3cret" not in error
    assert sql("SELECT count(*) FROM todos") == [(0,)]


def test_an_invalid_row_after_many_lines_is_reported_with_its_line(
    import_error: Callable[..., str],
) -> None:
    rows = b'"two\r\nlines",true\r\n' * 5000

    error = import_error(b"description,completed\r\n" + rows + b"x,y\r\n", "--format", "csv")

    assert error == "Error: Line 10002: completed is a string; expected true or false"


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"Milk\nEggs\n", "expected the names of the columns, one of them description"),
        (b"id,completed\n1,true\n", "expected the names of the columns, one of them description"),
        (b"description,Description\na,b\n", "two columns are called description"),
        (b'{"description": "Milk"}\n', "expected the names of the columns"),
        (b'"Milk" and eggs\n', "invalid CSV; "),
    ],
)
def test_a_header_that_names_no_description_is_refused(
    import_error: Callable[..., str], header: bytes, message: str
) -> None:
    assert import_error(header, "--format", "csv").startswith(f"Error: Line 1: {message}")


def test_a_duplicate_id_is_reported_with_its_line(import_error: Callable[..., str]) -> None:
    data = b'id,description\n1,"two\nlines"\n2,x\n1,y\n'

    assert import_error(data, "--format", "csv").startswith("Error: Line 5: its id exists already;")
