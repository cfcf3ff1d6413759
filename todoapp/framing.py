"""Where a request ends, while it comes in piece by piece: RFC 9112, section 6.

What it says is gunicorn's to read, and to refuse. Here it only counts whether there is more to
wait for.
"""

import re

from .config import MAX_BODY

MAX_HEAD = 32 * 1024
# Those of many small chunks are longer than what they measure.
MAX_CHUNK_SIZES = 3 * MAX_BODY
# How much more of a body without a length comes before it is waited for no longer: gunicorn's
# reader takes 1 KiB at a time, and the application refuses it by what it has read.
BEYOND = 8 * 1024

LINE_END = b"\r\n"
HEAD_END = b"\r\n\r\n"
# One quantifier alone: several that match the same blanks would backtrack for seconds over a
# long run of them. The blanks around a value are stripped afterwards.
FIELD = re.compile(
    rb"\r\n(content-length|transfer-encoding|expect):([^\r]*)(?=\r\n)", re.IGNORECASE
)
SIZE = re.compile(rb"[0-9]{1,9}")
CHUNK_SIZE = re.compile(rb"[0-9a-f]{1,8}(?=[ \t;\r])", re.IGNORECASE)


class Incoming:
    """The bytes of a request, as far as they have come, and of what follows it."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.is_last = False
        """Where the request ends is unknown, or too far off: no other one can follow it."""
        self.is_broken = False
        """The body is not what its head says."""
        self.expects_continue = False
        """The client sends the body when it is told to."""
        self._body: int | None = None
        self._chunk = 0
        self._chunk_sizes = 0
        self._end: int | None = None

    def add(self, data: bytes) -> None:
        """Add bytes that came."""
        self.data += data
        if self._body is None:
            self._find_body()
        if self._body is not None and self._end is None:
            self._find_last_chunk(self._body)

    @property
    def is_there(self) -> bool:
        """Whether the request has come, as far as we wait for it."""
        return self._end is not None and len(self.data) >= self._end

    @property
    def head_is_too_long(self) -> bool:
        """Whether more has come than a head may have, and no end of it."""
        return self._body is None and len(self.data) > MAX_HEAD

    def _find_body(self) -> None:
        head_end = self.data.find(HEAD_END)
        if head_end < 0:
            return
        self._body = self._chunk = body = head_end + len(HEAD_END)
        fields = [
            (name.lower(), value.strip(b" \t")) for name, value in FIELD.findall(self.data, 0, body)
        ]
        self.expects_continue = any(
            name == b"expect" and value.lower() == b"100-continue" for name, value in fields
        )
        match [field for field in fields if field[0] != b"expect"]:
            case []:
                self._end = body
            case [(b"content-length", size)] if SIZE.fullmatch(size) and int(size) <= MAX_BODY:
                self._end = body + int(size)
            case [(b"transfer-encoding", coding)] if coding.lower() == b"chunked":
                pass
            case _:
                self._give_up()

    def _find_last_chunk(self, body: int) -> None:
        while (line_end := self.data.find(LINE_END, self._chunk)) >= 0:
            size = CHUNK_SIZE.match(self.data, self._chunk)
            ends = self._chunk == body or self.data.startswith(LINE_END, self._chunk - 2)
            if not size or not ends:
                self.is_broken = True
                return self._give_up()
            if int(size[0], 16) == 0:
                trailer_end = self.data.find(HEAD_END, line_end)
                if trailer_end >= 0:
                    self._end = trailer_end + len(HEAD_END)
                    return None
                break
            self._chunk_sizes += line_end - self._chunk + 2 * len(LINE_END)
            self._chunk = line_end + len(LINE_END) + int(size[0], 16) + len(LINE_END)
        if len(self.data) - body > MAX_BODY + BEYOND + min(self._chunk_sizes, MAX_CHUNK_SIZES):
            self._give_up()
        return None

    def _give_up(self) -> None:
        self.is_last = True
        self._end = len(self.data)
