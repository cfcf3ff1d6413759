"""`flask todos export` and `flask todos import`.

Each command is one transaction and works in batches, so its memory does not grow with the number
of todos. The work is done in `exporting.py` and `importing.py`.
"""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

import click
import psycopg2
from click._termui_impl import ProgressBar
from flask import current_app
from flask.cli import AppGroup
from psycopg2.extensions import cursor

from todoapp.database.engine import WITHOUT_TIME_LIMITS
from todoapp.database.errors import reason
from todoapp.database.readiness import check_database
from todoapp.extensions import db

from .exporting import BEGIN_EXPORT, count_todos, write_todos
from .files import Lines, complete_file
from .importing import BEGIN_IMPORT, copy_todos, insert_todos

# A backup may take as long as it needs, and so may the other end of a pipe. A date without a time
# is one in UTC.
SETTINGS = f"{WITHOUT_TIME_LIMITS}; SET LOCAL client_encoding = 'UTF8'; SET LOCAL TimeZone = 'UTC'"

commands = AppGroup("todos", help="Export and import todos.")
format_option = click.option(
    "--format",
    "chosen_format",
    type=click.Choice(["ndjson", "csv"]),
    help="Format of FILE. Default: csv for a name that ends in .csv, else ndjson.",
)


@commands.command("export")
@click.argument("file", type=click.Path(dir_okay=False), default="-")
@format_option
def export_todos(file: str, chosen_format: str | None) -> None:
    """Write every todo to FILE. Without FILE, write to standard output.

    NDJSON has one line of JSON per todo; CSV is for spreadsheets. The export is a consistent
    snapshot.
    """
    with (
        _errors_in_one_line(),
        complete_file(file) as output,
        _transaction(BEGIN_EXPORT) as database,
    ):
        # Not on a terminal that shows the todos themselves.
        shown = sys.stderr.isatty() and not output.isatty()
        total = count_todos(database) if shown else None
        with _bar("Exporting", total, shown=shown) as bar:
            is_csv = _is_csv(file, chosen_format)
            exported = write_todos(database, output, bar.update, is_csv=is_csv)
    click.echo(f"Exported {exported} todos.", err=True)


@commands.command("import")
@click.argument("file", type=click.File("rb"), default="-")
@format_option
@click.option("--skip-duplicates", is_flag=True, help="Skip todos whose ID exists already.")
@click.option(
    "--new-ids", is_flag=True, help="Ignore the IDs of FILE, and give every todo a new one."
)
def import_todos(
    file: BinaryIO, chosen_format: str | None, *, skip_duplicates: bool, new_ids: bool
) -> None:
    """Add every todo of FILE. Without FILE, read from standard input.

    If one todo cannot be added, none is. IDs and timestamps are kept; a todo without them gets
    new ones. Meanwhile todos can be read, but not changed.
    """
    if skip_duplicates and new_ids:
        raise click.UsageError("--skip-duplicates and --new-ids exclude each other.")
    with _errors_in_one_line():
        # This waits for the first line, before the table is locked: a pipe may deliver it late.
        lines = Lines(file)
        shown = sys.stderr.isatty()
        with (
            _transaction(BEGIN_IMPORT) as database,
            _bar("Importing", _size(file) if shown else None, shown=shown) as bar,
        ):
            is_csv = _is_csv(getattr(file, "name", ""), chosen_format)
            staged = copy_todos(database, lines, bar.update, is_csv=is_csv, new_ids=new_ids)
            imported = insert_todos(database, skip_duplicates=skip_duplicates)
    skipped = f", skipped {staged - imported}" if skip_duplicates else ""
    click.echo(f"Imported {imported} todos{skipped}.")


def _is_csv(name: str, chosen_format: str | None) -> bool:
    if chosen_format:
        return chosen_format == "csv"
    return Path(name).suffix.lower() == ".csv"


def _size(file: BinaryIO) -> int | None:
    """Return the size of a file in bytes; None for a pipe."""
    status = os.fstat(file.fileno())
    return status.st_size if stat.S_ISREG(status.st_mode) else None


@contextmanager
def _transaction(begin: str) -> Iterator[cursor]:
    """Run the block in a transaction, which is rolled back on an error or Ctrl-C."""
    check_database(current_app._get_current_object())  # type: ignore[attr-defined]
    connection = db.engine.raw_connection()
    try:
        database: Any = connection.cursor()
        database.execute(f"{begin}; {SETTINGS}")
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
