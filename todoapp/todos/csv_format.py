"""Todos as CSV, for spreadsheets: https://www.rfc-editor.org/rfc/rfc4180

A description that a spreadsheet would evaluate as a formula is written with an apostrophe before
it, which is removed when it is read: https://owasp.org/www-community/attacks/CSV_Injection
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import orjson
from sqlalchemy import Boolean, Column, Integer, String

from .files import Lines, refusal
from .models import COLUMNS

# With apostrophes of its own, so that reading restores exactly what was written. The last four are
# the full-width forms of the first four.
FORMULA = re.compile("'*[=+@\\-\t\r\n\uff1d\uff0b\uff20\uff0d]")

# As spreadsheets and PostgreSQL write them.
BOOLEANS = {
    **dict.fromkeys(("true", "t", "yes", "1"), True),
    **dict.fromkeys(("false", "f", "no", "0"), False),
}

INVALID_CSV = (
    "invalid CSV; a quotation mark is missing, text follows one, a carriage return is outside of"
    " quotation marks, or the file is incomplete"
)


def csv_header() -> bytes:
    """Return the line with the names of the columns."""
    return _csv([COLUMNS])


def csv_rows(todos: Sequence[bytes]) -> bytes:
    """Return todos, each given as JSON, as rows."""
    return _csv([_cell(todo[name]) for name in COLUMNS] for todo in map(orjson.loads, todos))


def _csv(rows: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO()
    # In quotation marks, so that a last row that is incomplete is recognised.
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    return text.getvalue().encode()


def _cell(value: object) -> object:
    match value:
        case bool():
            return "true" if value else "false"
        case str() if FORMULA.match(value):
            return f"'{value}"
    return value


def read_csv(lines: Lines) -> Iterator[bytes]:
    """Yield a line for each line of a CSV file: the JSON of a todo, or a blank one.

    Raises:
        ClickException: a line is not CSV, or the header names no description.
    """
    text = _decode(lines)
    start = [next(text)]
    while start[-1].isspace():
        start.append(next(text, ""))
    first = start[-1]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(chain(start, text), delimiter=delimiter, strict=True)
    header: _Header | None = None
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise refusal(number, INVALID_CSV) from error
        if not any(map(str.strip, cells)):
            yield b""
        elif header is None:
            header = _Header(number, cells)
            yield b""
        else:
            # Other programs may omit the last line break, `export` does not.
            if not lines.has_line_break and first.encode() == csv_header():
                raise refusal(number, "the file is incomplete: its last line breaks off")
            yield header.todo(number, cells)
        yield from [b""] * (reader.line_num - number)


def _decode(lines: Lines) -> Iterator[str]:
    for line in lines:
        try:
            yield line.decode()
        except UnicodeDecodeError as error:
            message = "not UTF-8; in a spreadsheet, save the file as CSV UTF-8"
            raise refusal(lines.number, message) from error


class _Header:
    """The columns of a CSV file. Their names are in upper or lower case; unknown ones are ignored.

    In a file of Todoist, CONTENT is what is a description here, and only some rows are tasks:
    https://todoist.com/help/articles/format-a-csv-file-to-import-into-todoist-UVUXTmm6
    """

    def __init__(self, line: int, cells: Sequence[str]) -> None:
        self.names = [cell.strip().lower() for cell in cells]
        self.is_todoist = {"type", "content"} <= set(self.names)
        if self.is_todoist or "description" not in self.names:
            names = {"description": "", "content": "description"}
            self.names = [names.get(name, name) for name in self.names]
        for name in COLUMNS:
            if self.names.count(name) > 1:
                raise refusal(line, f"two columns are called {name}")
        if "description" not in self.names:
            raise refusal(line, "expected the names of the columns, one of them description")

    def todo(self, line: int, cells: Sequence[str]) -> bytes:
        """Return the JSON of a row, empty if it is not a todo. An empty cell is an absent field."""
        if any(cells[len(self.names) :]):
            raise refusal(line, f"{len(cells)} cells; the header has {len(self.names)}")
        row = dict(zip(self.names, cells, strict=False))
        if self.is_todoist and row.get("type", "").strip().lower() != "task":
            return b""
        values = {name: _value(COLUMNS[name], row[name]) for name in COLUMNS.keys() & row}
        return orjson.dumps({name: value for name, value in values.items() if value != ""})


def _value(column: Column[Any], cell: str) -> object:
    """Return the value that a cell stands for; the cell itself if the value is invalid."""
    match column.type:
        case String():
            return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell
        case Boolean():
            return BOOLEANS.get(cell.strip().lower(), cell.strip())
        case Integer() if re.fullmatch("[0-9]{1,18}", cell.strip()):
            return int(cell)
    return cell.strip()
