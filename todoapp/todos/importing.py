"""Import: lines are copied into a temporary table, which checks them, and inserted from there.

PostgreSQL parses the JSON and converts the values.
"""

import re
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import click
import psycopg2
from psycopg2.errors import (
    BadCopyFileFormat,
    CharacterNotInRepertoire,
    CheckViolation,
    InvalidTextRepresentation,
    NotNullViolation,
    RaiseException,
    StatementTooComplex,
    UniqueViolation,
)
from psycopg2.extensions import cursor, set_wait_callback
from psycopg2.extras import wait_select
from sqlalchemy import Boolean, Column, DateTime, Integer, String

from todoapp.database.errors import reason

from .csv_format import read_csv
from .files import Lines, refusal
from .lists import BATCH_SIZE
from .models import COLUMNS
from .queries import MAX_ID

# Others can read meanwhile, but not write: a new todo could get an ID that is in the file.
BEGIN_IMPORT = "BEGIN; LOCK TABLE todos IN SHARE ROW EXCLUSIVE MODE"
# A backslash is escaped in the text format of COPY. A raw control character is invalid in JSON, so
# none can be a delimiter.
COPY = "COPY staged (todo) FROM STDIN (ENCODING 'UTF8', DELIMITER E'\x01')"
BLANK = b"\\N"
"""A blank line is copied as null, so that COPY counts lines as the file does."""

# Only forward: IDs are never reused.
ADVANCE_IDS = (
    "SELECT setval(pg_get_serial_sequence('todos', 'id'), max(id)) FROM todos HAVING max(id)"
    " > coalesce(pg_sequence_last_value(pg_get_serial_sequence('todos', 'id')::regclass), 0)"
)

# RFC 3339, also as PostgreSQL writes it (a space, +02); and a date alone.
TIMESTAMP = (
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}"
    "([Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]+)?([Zz]|[+-][0-9]{2}(:?[0-9]{2})?))?$"
)
# The years that RFC 3339 can express, also in UTC.
YEARS = "'0001-01-01 00:00Z' AND '9999-12-31 23:59:59.999999Z'"
EXPORTED = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'
# PostgreSQL would round them, up to the next year.
DIGITS_AFTER_MICROSECONDS = "(?<=[.][0-9]{6})[0-9]+"


def _rule(column: Column[Any]) -> tuple[str, str]:
    """Return a condition on the JSON of a field, and what is expected.

    Types are exact: "2" is not a number, and 0 is not false.
    """
    kind, text = "jsonb_typeof(todo -> field)", "todo ->> field"
    match column.type:
        case Integer():
            check = f"{kind} = 'number' AND {text} ~ '^[1-9][0-9]*$'"
            expected = f"a whole number from 1 to {MAX_ID}"
        case Boolean():
            check, expected = f"{kind} = 'boolean'", "true or false"
        case DateTime():
            check = f"{kind} = 'string'"  # _conversion() checks the text
            expected = "a timestamp such as 2025-12-28T10:00:00Z, in UTC from year 0001 to 9999"
        case String(length=length):
            # varchar() would silently cut off spaces at the end.
            check = f"{kind} = 'string' AND char_length({text}) <= {length}"
            expected = f"a string of 1 to {length} characters"
        case _:
            check = f"{kind} = 'string'"  # the conversion to the column's type checks the text
            expected = f"a string for the type {column.type}".lower()
    return f"{check} OR {kind} = 'null'" if column.nullable else check, expected


def _conversion(column: Column[Any]) -> str:
    """Return statements that check and convert a field, unless it is absent."""
    check, _ = _rule(column)
    value, check_value = "todo ->> field", ""
    if isinstance(column.type, DateTime):
        # Only if it is longer than an exported one: a regular expression takes long.
        truncated = f"regexp_replace({value}, '{DIGITS_AFTER_MICROSECONDS}', '')"
        value = f"CASE WHEN char_length({value}) > 27 THEN {truncated} ELSE {value} END"
        # An exported timestamp is recognised without one.
        check_value = f"""
                IF NEW.{column.name} NOT BETWEEN {YEARS}
                    OR todo ->> field <> to_char(NEW.{column.name} AT TIME ZONE 'UTC', '{EXPORTED}')
                    AND todo ->> field !~ '{TIMESTAMP}'
                THEN RAISE data_exception; END IF;"""
    return f"""
            field := '{column.name}';
            IF todo ? field THEN
                IF NOT ({check}) THEN RAISE data_exception; END IF;
                NEW.{column.name} := {value};{check_value}
            END IF;"""


EXPECTED = {
    "the line": "a JSON object",
    **{name: _rule(column)[1] for name, column in COLUMNS.items()},
    "id": f"{_rule(COLUMNS['id'])[1]}, or --new-ids",
}
INVALID_JSON = "invalid JSON; expected one JSON object per line"
DUPLICATE = (
    "its id exists already; --new-ids gives every todo a new one, --skip-duplicates skips this todo"
)
KINDS = {
    "array": "an array",
    "boolean": "a boolean",
    "null": "null",
    "number": "a number",
    "object": "an object",
    "string": "a string",
}


def stage(*, ignored: str = "") -> str:
    """Return statements that create the table into which lines are copied.

    A field that a line lacks gets its default: a backup of an older release lacks newer fields.
    """
    conversions = [_conversion(column) for name, column in COLUMNS.items() if name != ignored]
    unknown = f"todo - '{{{','.join(COLUMNS)}}}'::text[]"
    return f"""
    CREATE TEMP TABLE staged (
        line integer GENERATED BY DEFAULT AS IDENTITY,
        todo json,
        LIKE todos INCLUDING DEFAULTS INCLUDING CONSTRAINTS
    ) ON COMMIT DROP;
    ALTER TABLE staged
        ALTER id DROP DEFAULT, ALTER id DROP NOT NULL,
        ALTER created_at DROP DEFAULT, ALTER updated_at DROP DEFAULT;
    CREATE OR REPLACE FUNCTION pg_temp.convert() RETURNS trigger LANGUAGE plpgsql AS $convert$
    DECLARE
        todo jsonb;
        field text := 'the line';
    BEGIN
        IF NEW.todo IS NULL THEN RETURN NULL; END IF;
        BEGIN
            todo := NEW.todo;
            IF jsonb_typeof(todo) <> 'object' THEN RAISE data_exception; END IF;
            {"".join(conversions)}
        EXCEPTION WHEN data_exception THEN
            IF todo IS NULL THEN
                RAISE 'description or another value contains NUL, a lone surrogate, or a number of'
                    ' too many digits, which PostgreSQL cannot store';
            END IF;
            RAISE EXCEPTION USING
                COLUMN = field,
                MESSAGE = jsonb_typeof(coalesce(todo -> field, todo)),
                DETAIL = concat(char_length(todo ->> field));
        END;
        IF {unknown} <> '{{}}' THEN
            SELECT left(key, 50) INTO field FROM jsonb_object_keys({unknown}) AS key LIMIT 1;
            RAISE 'unknown field %; expected {", ".join(COLUMNS)}', to_json(field);
        END IF;
        NEW.created_at := coalesce(NEW.created_at, NEW.updated_at, now());
        NEW.updated_at := coalesce(NEW.updated_at, NEW.created_at);
        IF NEW.updated_at < NEW.created_at THEN
            RAISE 'updated_at is before created_at; expected the same time or a later one';
        END IF;
        NEW.todo := NULL;
        RETURN NEW;
    END $convert$;
    CREATE TRIGGER convert BEFORE INSERT ON staged
        FOR EACH ROW EXECUTE FUNCTION pg_temp.convert()
    """  # noqa: S608


class _CopySource:
    """Lines of NDJSON, for `COPY` to read in batches."""

    def __init__(
        self, ndjson: Iterable[bytes], lines: Lines, progress: Callable[[int], None]
    ) -> None:
        self.ndjson = iter(ndjson)
        self.lines = lines
        self.progress = progress
        self.copied = 0
        """How many bytes of the file have been copied."""
        self.failure: BaseException | None = None
        """Why reading failed: psycopg2 reports any exception as an error of the COPY."""

    def read(self, size: int) -> bytes:
        try:
            batch = [
                (line.strip().replace(b"\\", b"\\\\") or BLANK) + b"\n"
                for line in islice(self.ndjson, BATCH_SIZE)
            ]
            self.progress(self.lines.size - self.copied)
            self.copied = self.lines.size
        except BaseException as failure:
            self.failure = failure
            raise
        return b"".join(batch)


def copy_todos(
    database: cursor,
    lines: Lines,
    progress: Callable[[int], None],
    *,
    is_csv: bool,
    new_ids: bool,
) -> int:
    """Copy and check every line, and return the number of todos.

    Raises:
        ClickException: a line is not a todo. The message has its number.
    """
    database.execute(stage(ignored="id" if new_ids else ""))
    source = _CopySource(read_csv(lines) if is_csv else lines, lines, progress)
    try:
        database.copy_expert(COPY, source)  # type: ignore[arg-type]  # has the method that is used
    except psycopg2.Error as error:
        # "COPY staged, line 5", in the language of the server.
        place = re.search(r"^COPY staged, \S+ ([0-9]+)", error.diag.context or "", re.MULTILINE)
        if source.failure:
            raise source.failure from error
        problem = _problem(error)
        if not place or not problem:
            raise
        line = int(place[1])
        if problem == INVALID_JSON and line == lines.number and not lines.has_line_break:
            problem = "the file is incomplete: its last line breaks off"
        raise refusal(line, problem) from error
    if not database.rowcount:
        raise click.ClickException("There is nothing to import: the file has no todos.")
    return database.rowcount


def _problem(error: psycopg2.Error) -> str | None:
    """Return what is wrong with a line; None if the line did not cause the error.

    It names no value, which is user data. PostgreSQL's own messages about data do.
    """
    match error:
        case RaiseException() if error.diag.column_name:
            problem = _refused_value(error)
        case CheckViolation() if error.diag.constraint_name == "ck_todos_description_not_empty":
            problem = f"description is an empty string; expected {EXPECTED['description']}"
        case RaiseException() | CheckViolation():
            problem = reason(error)
        case NotNullViolation():
            name = str(error.diag.column_name)
            problem = f"{name} is missing; expected {EXPECTED[name]}"
        case CharacterNotInRepertoire():
            problem = "not UTF-8, or it contains NUL"
        case InvalidTextRepresentation() | BadCopyFileFormat():
            problem = INVALID_JSON
        case StatementTooComplex():
            problem = "the JSON is nested too deeply"
        case _:
            return None
    return problem


def _refused_value(error: psycopg2.Error) -> str:
    name, length = str(error.diag.column_name), error.diag.message_detail
    match str(error.diag.message_primary):
        case "string" if length == "0":
            found = "an empty string"
        case "string" if name in COLUMNS and isinstance(COLUMNS[name].type, String):
            found = f"a string of {length} characters"
        case kind:
            found = KINDS[kind]
    return f"{name} is {found}; expected {EXPECTED[name]}"


def insert_todos(database: cursor, *, skip_duplicates: bool) -> int:
    """Insert the staged todos, and return their number.

    Raises:
        ClickException: an ID exists already. The message has the number of its line.
    """
    # The insertion may take long. This keeps Ctrl-C working.
    set_wait_callback(wait_select)
    try:
        on_conflict = "ON CONFLICT (id) DO NOTHING" if skip_duplicates else ""
        inserted = _insert_with_ids(database, on_conflict)
        # Before new IDs are generated, so that they are not among those of the file.
        database.execute(ADVANCE_IDS)
        names = ", ".join(name for name in COLUMNS if name != "id")
        database.execute(
            f"INSERT INTO todos ({names}) SELECT {names}"  # noqa: S608  # names of columns
            " FROM staged WHERE id IS NULL ORDER BY line"
        )
        inserted += database.rowcount
        # Without it, the planner would not know about the new todos.
        database.execute("ANALYZE todos")
    finally:
        set_wait_callback(None)
    return inserted


def _insert_with_ids(database: cursor, on_conflict: str) -> int:
    names = ", ".join(COLUMNS)
    database.execute("SAVEPOINT staged")
    try:
        database.execute(
            f"INSERT INTO todos ({names}) SELECT {names}"  # noqa: S608  # names of columns
            f" FROM staged WHERE id IS NOT NULL ORDER BY line {on_conflict}"
        )
    except UniqueViolation as error:
        # "Key (id)=(5) already exists."
        duplicate = re.search(r"\(id\)=\(([0-9]+)\)", error.diag.message_detail or "")
        if not duplicate:
            raise
        database.execute("ROLLBACK TO staged")
        database.execute("SELECT max(line) FROM staged WHERE id = %s", [duplicate[1]])
        (line,) = database.fetchone() or (0,)
        raise refusal(line, DUPLICATE) from error
    return database.rowcount
