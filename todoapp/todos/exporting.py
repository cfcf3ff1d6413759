"""Export: every todo, from one snapshot, as NDJSON or CSV."""

from collections.abc import Callable
from io import FileIO

from psycopg2.extensions import BYTES, cursor, register_type

from .csv_format import csv_header, csv_rows
from .lists import BATCH_SIZE

# One snapshot for the todos and their number.
BEGIN_EXPORT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
DECLARE = "DECLARE exported NO SCROLL CURSOR FOR SELECT todo_json(todos) FROM todos ORDER BY id"
FETCH = f"FETCH {BATCH_SIZE} FROM exported"

HELD_BACK = 3
"""Bytes that are written with the next batch, or when all is written.

Without them, the last todo lacks its closing quotation mark, in NDJSON as in CSV. So an export
that breaks off is malformed, and `import` does not take it for a complete one.
"""


def count_todos(database: cursor) -> int:
    """Return the number of todos."""
    database.execute("SELECT count(*) FROM todos")
    (total,) = database.fetchone() or (0,)
    return int(total)


def write_todos(
    database: cursor, output: FileIO, progress: Callable[[int], None], *, is_csv: bool
) -> int:
    """Write every todo, and return their number."""
    register_type(BYTES, database)
    database.execute(DECLARE)
    written = 0
    data = csv_header() if is_csv else b""
    while todos := _fetch(database):
        data += csv_rows(todos) if is_csv else b"\n".join(todos) + b"\n"
        _write(output, data[:-HELD_BACK])
        data = data[-HELD_BACK:]
        written += len(todos)
        progress(len(todos))
    _write(output, data)
    return written


def _fetch(database: cursor) -> list[bytes]:
    database.execute(FETCH)
    return [todo for (todo,) in database.fetchall()]


def _write(output: FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[output.write(rest) :]
