"""`flask todos export` and `flask todos import`: one line of JSON per todo (NDJSON).

Each command is one transaction and works in batches, so its memory does not grow with the number
of todos.
"""

import os
import re
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from itertools import chain, count, islice
from pathlib import Path
from typing import Any, BinaryIO

import click
import psycopg2
from click._termui_impl import ProgressBar
from flask import current_app
from flask.cli import AppGroup
from psycopg2.errors import (
    CheckViolation,
    InvalidParameterValue,
    NotNullViolation,
    UniqueViolation,
)
from psycopg2.extensions import BYTES, cursor, register_type, set_wait_callback
from psycopg2.extras import wait_select
from sqlalchemy import Boolean, Column, DateTime, Integer, String

from todoapp.database.errors import reason
from todoapp.database.readiness import check_database
from todoapp.extensions import db

from .lists import BATCH_SIZE
from .models import Todo

MAX_LINE_BYTES = 64 * 1024
"""Ten times the length of a todo whose every character is written as an escape sequence."""

# A backup may take as long as it needs, and so may the other end of a pipe.
NO_TIMEOUTS = (
    "SET LOCAL statement_timeout = 0;"
    " SET LOCAL idle_in_transaction_session_timeout = 0;"
    " SET LOCAL client_encoding = 'UTF8'"
)

# One snapshot for the todos and their number.
BEGIN_EXPORT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
DECLARE = "DECLARE exported NO SCROLL CURSOR FOR SELECT todo_json(todos) FROM todos ORDER BY id"
FETCH = f"FETCH {BATCH_SIZE} FROM exported"

# Others can read meanwhile, but not write: a new todo could get an ID that is in the file.
BEGIN_IMPORT = "BEGIN; LOCK TABLE todos IN SHARE ROW EXCLUSIVE MODE"
# A backslash is escaped in the text format of COPY. A raw control character is invalid in JSON, so
# none can be a delimiter.
COPY = "COPY staged (todo) FROM STDIN (ENCODING 'UTF8', DELIMITER E'\x01')"
# Only forward: IDs are never reused.
ADVANCE_IDS = (
    "SELECT setval(pg_get_serial_sequence('todos', 'id'), max(id)) FROM todos HAVING max(id)"
    " > coalesce(pg_sequence_last_value(pg_get_serial_sequence('todos', 'id')::regclass), 0)"
)

# RFC 3339, without what PostgreSQL would round: a seventh digit, a leap second.
RFC_3339 = (
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,6})?"
    "(Z|[+-][0-9]{2}:[0-9]{2})$"
)

commands = AppGroup("todos", help="Export and import todos.")


@commands.command("export")
@click.argument("file", type=click.Path(dir_okay=False), default="-")
def export_todos(file: str) -> None:
    """Write every todo to FILE, one line of JSON each. Without FILE, write to standard output.

    The export is a consistent snapshot.
    """
    with (
        _errors_in_one_line(),
        _complete_file(file) as output,
        _transaction(BEGIN_EXPORT) as database,
    ):
        # Not on a terminal that shows the todos themselves.
        shown = sys.stderr.isatty() and not output.isatty()
        with _bar("Exporting", _total(database) if shown else None, shown=shown) as bar:
            exported = _write_todos(database, output, bar.update)
    click.echo(f"Exported {exported} todos.", err=True)


@commands.command("import")
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--skip-duplicates", is_flag=True, help="Skip todos whose ID exists already.")
def import_todos(file: BinaryIO, *, skip_duplicates: bool) -> None:
    """Add every todo of FILE, written by `export`. Without FILE, read from standard input.

    If one todo cannot be added, none is. IDs and timestamps are kept. Meanwhile todos can be
    read, but not changed.
    """
    with _errors_in_one_line():
        lines = iter(lambda: file.readline(MAX_LINE_BYTES), b"")
        # Wait for the first line before the table is locked: a pipe may deliver it late.
        lines = chain(list(islice(lines, 1)), lines)
        shown = sys.stderr.isatty()
        with (
            _transaction(BEGIN_IMPORT) as database,
            _bar("Importing", _size(file) if shown else None, shown=shown) as bar,
        ):
            todos = _Lines(lines, bar.update)
            _copy(database, todos)
            _insert(database, "ON CONFLICT (id) DO NOTHING" if skip_duplicates else "")
            imported = database.rowcount
            database.execute(ADVANCE_IDS)
            # Without it, the planner would not know about the new todos.
            database.execute("ANALYZE todos")
    skipped = f", skipped {todos.number - imported}" if skip_duplicates else ""
    click.echo(f"Imported {imported} todos{skipped}.")


def _total(database: cursor) -> int:
    database.execute("SELECT count(*) FROM todos")
    (total,) = database.fetchone() or (0,)
    return int(total)


def _write_todos(database: cursor, output: FileIO, progress: Callable[[int], None]) -> int:
    """Write every todo, and return their number."""
    register_type(BYTES, database)
    database.execute(DECLARE)
    written = 0
    line_break = b""
    while todos := _fetch(database):
        # The line break follows with the next line, or when all is written: an incomplete export
        # does not end in a line break, so `import` does not take it for a complete one.
        _write(output, line_break + b"\n".join(todos))
        line_break = b"\n"
        written += len(todos)
        progress(len(todos))
    _write(output, line_break)
    return written


def _fetch(database: cursor) -> list[bytes]:
    database.execute(FETCH)
    return [todo for (todo,) in database.fetchall()]


def _write(output: FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[output.write(rest) :]


@contextmanager
def _complete_file(file: str) -> Iterator[FileIO]:
    """Open a file that appears under its name only when it is complete.

    It is unbuffered, so that nothing is left to write when a write has failed.
    """
    if file == "-":
        with FileIO(sys.stdout.fileno(), "wb", closefd=False) as output:
            yield output
        return
    if Path(file).exists() and not Path(file).is_file():
        with FileIO(file, "wb") as output:  # a named pipe, or /dev/null
            yield output
        return
    target = Path(file).resolve()
    # mkstemp() makes it readable for its owner only.
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".todos-")
    try:
        with FileIO(descriptor, "wb") as output:
            yield output
            os.fsync(descriptor)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink()
        raise


def _size(file: BinaryIO) -> int | None:
    """Return the size of a file in bytes; None for a pipe."""
    status = os.fstat(file.fileno())
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _check(column: Column[Any]) -> str:
    """Return a condition on the JSON of a field, which is null (and so true) if it is absent.

    Types are exact: "2" is not a number, and 0 is not false.
    """
    kind, text = f"jsonb_typeof(todo -> '{column.name}')", f"todo ->> '{column.name}'"
    match column.type:
        case Integer():
            check = f"{kind} = 'number' AND {text} ~ '^[1-9][0-9]*$'"
        case Boolean():
            check = f"{kind} = 'boolean'"
        case DateTime():
            # Years that RFC 3339 can express also in UTC.
            check = (
                f"{text} ~ '{RFC_3339}' AND ({text})::timestamptz BETWEEN"
                " '0001-01-01 00:00Z' AND '9999-12-31 23:59:59.999999Z'"
            )
        case String(length=length):
            # varchar() would silently cut off spaces at the end.
            check = f"{kind} = 'string' AND char_length({text}) <= {length}"
        case _:
            check = f"{kind} = 'string'"  # the conversion to the column's type checks the text
    return f"{check} OR {kind} = 'null'" if column.nullable else check


FIELDS = {column.name: column for column in Todo.__table__.columns}
INVALID = {
    **{f"{name} is invalid": _check(column) for name, column in FIELDS.items()},
    "unknown field": f"todo - ARRAY{list(FIELDS)} = '{{}}'",
}
"""Constraints on the JSON of a line, by the message for a line that violates them."""

STAGE = f"""
    CREATE TEMP TABLE staged (
        line integer GENERATED BY DEFAULT AS IDENTITY,
        todo jsonb,
        LIKE todos INCLUDING DEFAULTS INCLUDING CONSTRAINTS,
        {", ".join(f'CONSTRAINT "{name}" CHECK ({check})' for name, check in INVALID.items())}
    ) ON COMMIT DROP;
    ALTER TABLE staged ALTER id DROP DEFAULT;
    CREATE OR REPLACE FUNCTION pg_temp.convert() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN RETURN jsonb_populate_record(NEW, NEW.todo - ARRAY[''line'', ''todo'']); END';
    CREATE TRIGGER convert BEFORE INSERT ON staged
        FOR EACH ROW EXECUTE FUNCTION pg_temp.convert()
"""
"""The table into which lines are copied. PostgreSQL parses the JSON and converts the values.

A field that a line lacks gets its default: a backup of an older release lacks newer fields.
"""


class _Lines:
    """The lines of a file, for `COPY` to read in batches."""

    def __init__(self, lines: Iterator[bytes], progress: Callable[[int], None]) -> None:
        self.lines = lines
        self.progress = progress
        self.number = 0
        """How many lines have been read."""
        self.failure: BaseException | None = None
        """Why reading failed: psycopg2 reports any exception as an error of the COPY."""

    def read(self, size: int) -> bytes:
        try:
            batch = list(islice(self.lines, BATCH_SIZE))
            _check_ends(batch, self.number + 1)
            data = b"".join(batch)
            self.progress(len(data))
        except BaseException as failure:
            self.failure = failure
            raise
        self.number += len(batch)
        return data.replace(b"\\", b"\\\\")


def _check_ends(lines: list[bytes], first_number: int) -> None:
    for number, line in enumerate(lines, first_number):
        if not line.endswith(b"\n"):
            raise _refusal(number, "the line is too long, or the file is incomplete")


def _copy(database: cursor, lines: _Lines) -> None:
    """Copy and check every line.

    Raises:
        ClickException: a line is not a todo. The message has its number.
    """
    database.execute(STAGE)
    try:
        database.copy_expert(COPY, lines)  # type: ignore[arg-type]  # has the method that is used
    except psycopg2.Error as error:
        # "COPY staged, line 5", in the language of the server.
        place = re.search(r"COPY staged, \S+ ([0-9]+)", error.diag.context or "")
        if lines.failure:
            raise lines.failure from error
        if not place or not isinstance(error, psycopg2.DataError | psycopg2.IntegrityError):
            raise
        raise _refusal(int(place[1]), _problem(error)) from error


def _problem(error: psycopg2.Error) -> str:
    """Return what is wrong with a line."""
    match error:
        case InvalidParameterValue():
            return "a JSON object is expected"
        case NotNullViolation():
            return f"{error.diag.column_name} is missing"
        case CheckViolation() if error.diag.constraint_name in INVALID:
            return str(error.diag.constraint_name)
    return reason(error)


def _insert(database: cursor, on_conflict: str) -> None:
    """Insert the staged todos.

    Raises:
        ClickException: an ID exists already. The message has the number of its line.
    """
    names = ", ".join(FIELDS)
    database.execute("SAVEPOINT staged")
    # The insertion may take long. This keeps Ctrl-C working.
    set_wait_callback(wait_select)
    try:
        database.execute(
            f"INSERT INTO todos ({names}) SELECT {names}"  # noqa: S608  # names of columns
            f" FROM staged ORDER BY line {on_conflict}"
        )
    except UniqueViolation as error:
        # "Key (id)=(5) already exists."
        detail = error.diag.message_detail or ""
        duplicate = re.search(r"\(id\)=\(([0-9]+)\)", detail)
        if not duplicate:
            raise
        database.execute("ROLLBACK TO staged")
        database.execute("SELECT max(line) FROM staged WHERE id = %s", [duplicate[1]])
        (line,) = database.fetchone() or (0,)
        raise _refusal(line, detail) from error
    finally:
        set_wait_callback(None)


def _refusal(line: int, message: str) -> click.ClickException:
    return click.ClickException(f"Line {line}: {message}")


@contextmanager
def _transaction(begin: str) -> Iterator[cursor]:
    """Run the block in a transaction, which is rolled back on an error or Ctrl-C."""
    check_database(current_app._get_current_object())  # type: ignore[attr-defined]
    connection = db.engine.raw_connection()
    try:
        database: Any = connection.cursor()
        database.execute(f"{begin}; {NO_TIMEOUTS}")
        yield database
        database.execute("COMMIT")
    finally:
        # Not close(), which would wait for a statement that is still being executed.
        connection.invalidate()


def _bar(label: str, length: int | None, *, shown: bool) -> ProgressBar[int]:
    # If the length is unknown, click requires an iterable without a length.
    return click.progressbar(count(), length, label, hidden=not shown, file=sys.stderr)


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """Report errors of the database and of files in one line."""
    try:
        yield
    except psycopg2.Error as error:
        raise click.ClickException(f"The database says: {reason(error)}") from error
    except OSError as error:
        raise click.ClickException(str(error)) from error
