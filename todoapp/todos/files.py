"""Files: an export that is complete or not there, and the lines of an import."""

import codecs
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import click

MAX_LINE_BYTES = 64 * 1024
"""Ten times the length of a todo whose every character is written as an escape sequence."""

UTF_16 = "The file is UTF-16: convert it to UTF-8 first (in a spreadsheet, save it as CSV UTF-8)."
NOT_TEXT = {
    b"\x1f\x8b": "The file is compressed: run gunzip first.",
    b"BZh91AY&SY": "The file is compressed: run bunzip2 first.",
    b"\xfd7zXZ\0": "The file is compressed: run unxz first.",
    b"\x28\xb5\x2f\xfd": "The file is compressed: run unzstd first.",
    b"PK\x03\x04": "The file is a ZIP archive or a workbook (.xlsx): unzip it, or save it as CSV.",
    b"\xd0\xcf\x11\xe0": "The file is a workbook (.xls): save it as CSV.",
    codecs.BOM_UTF16_LE: UTF_16,
    codecs.BOM_UTF16_BE: UTF_16,
}
"""What a file is that cannot be imported, by its first bytes."""


@contextmanager
def complete_file(file: str) -> Iterator[FileIO]:
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
    try:
        # mkstemp() makes it readable for its owner only.
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".todos-")
    except OSError as error:
        message = f"Cannot create a file in the directory {target.parent}: {error.strerror}"
        raise click.ClickException(message) from error
    try:
        with FileIO(descriptor, "wb") as output:
            yield output
            os.fsync(descriptor)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink()
        raise


class Lines:
    """The lines of a file to import, without a byte order mark."""

    def __init__(self, file: BinaryIO) -> None:
        """Read the first line.

        Raises:
            ClickException: the file is not UTF-8 text.
        """
        self._file = file
        self.number = 0
        """How many lines have been read."""
        self.size = 0
        """How many bytes have been read."""
        self.has_line_break = True
        """Whether the line that was read last ends in a line break."""

        self._first = self._read().removeprefix(codecs.BOM_UTF8)

    def __iter__(self) -> Iterator[bytes]:
        return chain([self._first], iter(self._read, b""))

    def _read(self) -> bytes:
        line = self._file.readline(MAX_LINE_BYTES)
        if line:
            if self.number == 0:
                _check_text(line)
            self.number += 1
            self.size += len(line)
            self.has_line_break = line.endswith(b"\n")
            if not self.has_line_break and len(line) == MAX_LINE_BYTES:
                raise refusal(self.number, "longer than 64 KiB; expected one todo per line")
        return line


def _check_text(start: bytes) -> None:
    for signature, message in NOT_TEXT.items():
        if start.startswith(signature):
            raise click.ClickException(message)
    if b"\0" in start[:2]:  # ASCII in UTF-16, without a byte order mark
        raise click.ClickException(UTF_16)


def refusal(line: int, message: str) -> click.ClickException:
    """Return the error for a line that cannot be imported."""
    return click.ClickException(f"Line {line}: {message}")
