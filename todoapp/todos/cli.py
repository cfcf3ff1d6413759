"""`flask todos export` and `flask todos import`: every todo as a line of JSON, and back.

Each is one transaction, and goes through the todos in batches: however many there are, they take
the same memory.
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
import orjson
import psycopg2
from click._termui_impl import ProgressBar
from flask import current_app
from flask.cli import AppGroup
from psycopg2.errors import UniqueViolation
from psycopg2.extensions import BYTES, cursor, register_type, set_wait_callback
from psycopg2.extras import wait_select

from todoapp.database.errors import reason
from todoapp.database.readiness import check_database
from todoapp.extensions import db

from .lists import BATCH_SIZE
from .models import DESCRIPTION_LENGTH
from .queries import MAX_ID

LONGEST_LINE = 64 * 1024
"""In bytes: ten times what a todo takes whose every character is written as an escape."""

# A backup takes as long as it takes, and so may what it is written to or read from.
WITHOUT_LIMIT = (
    "SET LOCAL statement_timeout = 0;"
    " SET LOCAL idle_in_transaction_session_timeout = 0;"
    " SET LOCAL client_encoding = 'UTF8'"
)

# One snapshot for the todos and their number.
BEGIN_EXPORT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
DECLARE = "DECLARE exported NO SCROLL CURSOR FOR SELECT todo_json(todos) FROM todos ORDER BY id"
FETCH = f"FETCH {BATCH_SIZE} FROM exported"

# Others read meanwhile, but do not write: a new todo might be given an id that is in the file.
BEGIN_IMPORT = "BEGIN; LOCK TABLE todos IN SHARE ROW EXCLUSIVE MODE"
FIELDS = "id, description, completed, created_at, updated_at"
COPY = f"COPY {{}} ({FIELDS}) FROM STDIN (ENCODING 'UTF8')"
STAGE = (
    "CREATE TEMP TABLE staged ON COMMIT DROP AS"  # noqa: S608  # our own words
    f" SELECT {FIELDS} FROM todos WITH NO DATA"
)
INSERT_NEW = f"INSERT INTO todos ({FIELDS}) TABLE staged ON CONFLICT (id) DO NOTHING"
# Never back: an id that was given once is not given again.
ADVANCE_IDS = (
    "SELECT setval(pg_get_serial_sequence('todos', 'id'), max(id)) FROM todos HAVING max(id)"
    " > coalesce(pg_sequence_last_value(pg_get_serial_sequence('todos', 'id')::regclass), 0)"
)

# RFC 3339, without what PostgreSQL would round: a seventh digit, a leap second.
TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})"
)

commands = AppGroup("todos", help="Back the todos up, and restore them.")


@commands.command("export")
@click.argument("file", type=click.Path(dir_okay=False), default="-")
def export_todos(file: str) -> None:
    """Write every todo to FILE, a line of JSON each; without FILE, to the standard output.

    They are what the database held at one moment.
    """
    with _failure_in_one_line(), _whole(file) as output, _transaction(BEGIN_EXPORT) as database:
        # Among the todos on a terminal, a bar would help nobody.
        shown = sys.stderr.isatty() and not output.isatty()
        with _bar("Exporting", _total(database) if shown else None, shown=shown) as bar:
            exported = _write_todos(database, output, bar.update)
    click.echo(f"Exported {exported} todos.", err=True)


@commands.command("import")
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--skip-duplicates", is_flag=True, help="Leave out a todo whose id is there already.")
def import_todos(file: BinaryIO, *, skip_duplicates: bool) -> None:
    """Add every todo of FILE, which `export` wrote; without FILE, of the standard input.

    All of them or, where one cannot be added, none. Ids and timestamps stay as they are. Todos
    can be read meanwhile, but not changed.
    """
    with _failure_in_one_line():
        lines = iter(lambda: file.readline(LONGEST_LINE), b"")
        # Nobody is locked out while the other end of a pipe makes up its mind.
        lines = chain(list(islice(lines, 1)), lines)
        shown = sys.stderr.isatty()
        with (
            _transaction(BEGIN_IMPORT) as database,
            _bar("Importing", _size(file) if shown else None, shown=shown) as bar,
        ):
            rows = _Rows(lines, bar.update)
            (_copy_new if skip_duplicates else _copy)(database, rows)
            imported = database.rowcount
            database.execute(ADVANCE_IDS)
            # The planner knows nothing of the new todos before.
            database.execute("ANALYZE todos")
    skipped = f", skipped {rows.number - imported}" if skip_duplicates else ""
    click.echo(f"Imported {imported} todos{skipped}.")


def _total(database: cursor) -> int:
    database.execute("SELECT count(*) FROM todos")
    (total,) = database.fetchone() or (0,)
    return int(total)


def _write_todos(database: cursor, output: FileIO, progress: Callable[[int], None]) -> int:
    """Write every todo, and return how many those are."""
    register_type(BYTES, database)
    database.execute(DECLARE)
    written = 0
    line_break = b""
    while todos := _fetch(database):
        # A line ends where the next one begins, and the last one when all is well: what breaks
        # off in a pipe does not end in a line break, and so does not pass for whole.
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
def _whole(file: str) -> Iterator[FileIO]:
    """Open a file that is there, under its name, only when it is written to its end.

    Unbuffered: nothing is left to write when a write has failed.
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
    # Readable for nobody else, as it holds what people wrote.
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
    """Return how many bytes a file has, None for a pipe, which does not know."""
    status = os.fstat(file.fileno())
    return status.st_size if stat.S_ISREG(status.st_mode) else None


class _Rows:
    """The lines of a file as `COPY` reads them. PostgreSQL works while the next ones are made."""

    def __init__(self, lines: Iterator[bytes], progress: Callable[[int], None]) -> None:
        self.lines = lines
        self.progress = progress
        self.number = 0
        """How many lines have been read."""
        self.failure: BaseException | None = None
        """Why no more can be read. To psycopg2 any exception is just an error of the COPY."""

    def read(self, size: int) -> bytes:
        try:
            lines = list(islice(self.lines, BATCH_SIZE))
            rows = b"".join(_row(line, n) for n, line in enumerate(lines, self.number + 1))
            self.progress(sum(map(len, lines)))
        except BaseException as failure:
            self.failure = failure
            raise
        self.number += len(lines)
        return rows


def _copy(database: cursor, rows: _Rows, table: str = "todos") -> None:
    """Add every todo of `rows`.

    Raises:
        ClickException: one of them cannot be added. The message names its line.
    """
    try:
        database.copy_expert(COPY.format(table), rows)  # type: ignore[arg-type]  # has all it takes
    except psycopg2.Error as error:
        # "COPY todos, line 5", in the language of the server.
        place = re.search(r"COPY \w+, \S+ ([0-9]+)", error.diag.context or "")
        if rows.failure:
            raise rows.failure from error
        if not place or not isinstance(error, psycopg2.DataError | psycopg2.IntegrityError):
            raise
        # The DETAIL of a key is an id; another one might quote a description.
        detail = error.diag.message_detail if isinstance(error, UniqueViolation) else None
        raise _refusal(int(place[1]), detail or reason(error)) from error


def _copy_new(database: cursor, rows: _Rows) -> None:
    """Add those todos of `rows` whose ids are new; the same as `_copy()` otherwise."""
    database.execute(STAGE)
    _copy(database, rows, "staged")
    # It takes long for many todos, and Ctrl-C shall be heard all the same.
    set_wait_callback(wait_select)
    try:
        database.execute(INSERT_NEW)
    finally:
        set_wait_callback(None)


def _row(line: bytes, number: int) -> bytes:
    """Return a line of the file as `COPY` takes it.

    Raises:
        ClickException: it is no todo.
    """
    if not line.endswith(b"\n"):
        raise _refusal(number, "too long, or the file breaks off in it")
    try:
        todo = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise _refusal(number, "not JSON in UTF-8") from error
    if not isinstance(todo, dict) or todo.keys() != CHECKS.keys():
        raise _refusal(number, f"expected an object with exactly {FIELDS}")
    for name, is_right in CHECKS.items():
        if not is_right(todo[name]):
            raise _refusal(number, f"{name} is not as a todo has it")
    description = todo["description"].replace("\\", "\\\\").replace("\t", "\\t")
    description = description.replace("\n", "\\n").replace("\r", "\\r")
    return (
        f"{todo['id']}\t{description}\t{todo['completed']}"
        f"\t{todo['created_at']}\t{todo['updated_at']}\n"
    ).encode()


def _is_id(value: Any) -> bool:
    return type(value) is int and 1 <= value <= MAX_ID


def _is_description(value: Any) -> bool:
    # White space alone is refused in a request, but the predecessor took it.
    return isinstance(value, str) and 1 <= len(value) <= DESCRIPTION_LENGTH and "\0" not in value


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool)


def _is_timestamp(value: Any) -> bool:
    return isinstance(value, str) and TIMESTAMP.fullmatch(value) is not None


CHECKS: dict[str, Callable[[Any], bool]] = {
    "id": _is_id,
    "description": _is_description,
    "completed": _is_boolean,
    "created_at": _is_timestamp,
    "updated_at": _is_timestamp,
}


def _refusal(line: int, message: str) -> click.ClickException:
    return click.ClickException(f"Line {line}: {message}")


@contextmanager
def _transaction(begin: str) -> Iterator[cursor]:
    """Execute what follows in a transaction; where it fails, or is interrupted, nothing is done."""
    check_database(current_app._get_current_object())  # type: ignore[attr-defined]
    connection = db.engine.raw_connection()
    try:
        database: Any = connection.cursor()
        database.execute(f"{begin}; {WITHOUT_LIMIT}")
        yield database
        database.execute("COMMIT")
    finally:
        # Without a word to PostgreSQL, which may be in the middle of a statement.
        connection.invalidate()


def _bar(label: str, length: int | None, *, shown: bool) -> ProgressBar[int]:
    # Where the length is unknown, click wants something that has none.
    return click.progressbar(count(), length, label, hidden=not shown, file=sys.stderr)


@contextmanager
def _failure_in_one_line() -> Iterator[None]:
    """Say in one line what the database, or a file, refuses."""
    try:
        yield
    except psycopg2.Error as error:
        raise click.ClickException(f"The database says: {reason(error)}") from error
    except OSError as error:
        raise click.ClickException(str(error)) from error
