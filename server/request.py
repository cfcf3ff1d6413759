"""HTTP/1 requests: llhttp, the parser of Node.js, finds where each one ends (RFC 9112)."""

import re
from functools import lru_cache
from http import HTTPStatus
from types import SimpleNamespace

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from waitress.adjustments import Adjustments

MAX_REQUEST_LINE = 8190
MAX_FIELDS = 100
MAX_CHUNK_OVERHEAD = 3
"""Bytes of chunk sizes and the like for each byte that a body may have; a chunk of one has five."""

# llhttp knows only registered methods, reads several spaces as one, and other protocols too. In
# lower case, "delete" would be DELETE to an application that is not strict.
REQUEST_LINE = re.compile(rb"([A-Z0-9!#$%&'*+.^_`|~-]+) ([^ \r\n]+) HTTP/1\.([0-9])\r\n")
MAX_CACHED_NAME = 64
MAX_DIGITS = 15
"""Digits of a Content-Length that are read: it has more only where it is too large anyway."""

EMPTY_LINE = b"\r\n"
EMPTY_LINES = re.compile(rb"(?:\r\n)*")
END = b"\r\n\r\n"

# https://www.iana.org/assignments/http-parameters#transfer-coding
TRANSFER_CODINGS = {"chunked", "compress", "deflate", "gzip", "identity", "x-compress", "x-gzip"}


class Request:
    """One request, as its bytes arrive: what waitress calls a parser.

    Attributes:
        completed: the request has arrived, or was refused.
        error: why the server refuses it: a status and an explanation, which may be empty.
        expect_continue: the client waits for `100 Continue` before it sends the body.
        keep_alive: another request may follow on the connection.
        fields: the header, by the names that WSGI has for its fields (PEP 3333).
        body: the content, without any transfer coding.
    """

    completed = False
    headers_finished = False
    expect_continue = False
    keep_alive = False
    error: tuple[HTTPStatus, str] | None = None
    method = "-"
    target = ""
    version = "HTTP/1.1"

    def __init__(self, limits: Adjustments) -> None:
        self.limits = limits
        self.fields: dict[str, str] = {}
        self.body = bytearray()
        self._head = bytearray()
        self._field_count = 0
        self._missing = 0
        self._chunks: HttpRequestParser | None = None
        self._last_bytes = b""

    @property
    def has_begun(self) -> bool:
        """Whether any byte of the request has arrived."""
        return bool(self._head)

    def received(self, data: bytes) -> int:
        """Consume this request's bytes from `data`; return their number."""
        taken = 0
        if not self.headers_finished:
            taken = self._receive_head(data)
        if self.headers_finished and not self.completed and taken < len(data):
            self.expect_continue = False
            taken += self._receive_body(data[taken:])
        # Nothing can follow a request that is refused.
        return len(data) if self.error else taken

    def refuse(self, status: HTTPStatus, detail: str = "") -> None:
        """End the request: the server cannot or will not read the rest of it."""
        self.error = (status, detail)
        self.completed = True
        self.keep_alive = self.expect_continue = False
        if not self.headers_finished:
            # Those fields that are there decide about the log and CORS.
            self.headers_finished = True
            self._parse_head(bytes(self._head))

    def _receive_head(self, data: bytes) -> int:
        size = len(self._head)
        self._head += data
        skipped = 0
        if size < len(EMPTY_LINE):
            # Empty lines may precede a request: RFC 9112, section 2.2.
            skipped = EMPTY_LINES.match(self._head).end()  # type: ignore[union-attr]
            del self._head[:skipped]
        end = self._head.find(END, max(size - len(END) + 1, 0))
        if end >= 0:
            del self._head[end + len(END) :]
        length = len(self._head)
        longest = MAX_REQUEST_LINE + len(EMPTY_LINE)
        if length >= longest and self._head.find(EMPTY_LINE, 0, longest) < 0:
            self.refuse(HTTPStatus.REQUEST_URI_TOO_LONG)
        elif length > self.limits.max_request_header_size:
            self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif end >= 0:
            self.headers_finished = True
            self._parse_head(bytes(self._head))
        return skipped + length - size

    def _parse_head(self, head: bytes) -> None:
        line = REQUEST_LINE.match(head)
        if not line:
            if not self.error:
                self.refuse(HTTPStatus.BAD_REQUEST, "Malformed request line")
            return
        method, target, minor = line.groups()
        self.method, self.target = method.decode(), target.decode("latin-1")
        if minor == b"0":
            self.version = "HTTP/1.0"
        try:
            HttpRequestParser(self).feed_data(
                b"POST %b %b\r\n%b" % (target, self.version.encode(), head[line.end() :])
            )
        except HttpParserUpgrade:
            pass  # all of the head has been read
        except HttpParserError as error:
            if not self.error:
                self.refuse(HTTPStatus.BAD_REQUEST, f"Malformed request: {error}")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store a header field (llhttp callback)."""
        self._field_count += 1
        # X_Forwarded_For would pass for X-Forwarded-For.
        if b"_" in name:
            return
        key = _cached_key(name) if len(name) <= MAX_CACHED_NAME else _environ_key(name)
        text = value.decode("latin-1").rstrip(" \t")
        if key in self.fields:
            text = f"{self.fields[key]}{'; ' if key == 'HTTP_COOKIE' else ', '}{text}"
        self.fields[key] = text

    def on_headers_complete(self) -> None:
        """Determine the body framing, or refuse it (RFC 9112, section 6.3)."""
        if self.error:
            return
        # Not llhttp's should_keep_alive(), which also obeys Proxy-Connection.
        options = _elements(self.fields.get("HTTP_CONNECTION", ""))
        persists = self.version == "HTTP/1.1" or "keep-alive" in options
        self.keep_alive = persists and "close" not in options
        # An upgrade is ignored: RFC 9110, section 7.8. Werkzeug would expect a WebSocket.
        self.fields.pop("HTTP_UPGRADE", None)
        coding = self.fields.pop("HTTP_TRANSFER_ENCODING", None)
        digits = self.fields.get("CONTENT_LENGTH", "").lstrip("0")
        length = int(digits[:MAX_DIGITS] or 0)
        if self._field_count > MAX_FIELDS:
            self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif coding is not None:
            self._begin_chunks(coding)
        elif length > self.limits.max_request_body_size:
            self.refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            self._missing = length
            self.completed = length == 0
        if not self.error and "HTTP_EXPECT" in self.fields and self.version == "HTTP/1.1":
            if self.fields["HTTP_EXPECT"].lower() != "100-continue":
                self.refuse(HTTPStatus.EXPECTATION_FAILED)
            self.expect_continue = not self.completed

    def _begin_chunks(self, coding: str) -> None:
        codings = _elements(coding)
        if not TRANSFER_CODINGS.issuperset(codings):
            self.refuse(HTTPStatus.NOT_IMPLEMENTED, "Unknown Transfer-Encoding")
        elif codings[-1] != "chunked" or self.version == "HTTP/1.0":
            self.refuse(HTTPStatus.BAD_REQUEST, "The length of the body is unknown")
        elif len(codings) > 1:
            self.refuse(HTTPStatus.NOT_IMPLEMENTED, "Transfer-Encoding must be chunked")
        else:
            # A parser of its own, for the one of the head ends an upgrade without its body.
            self._chunks = HttpRequestParser(
                SimpleNamespace(on_body=self.body.extend, on_message_complete=self._end_chunks)
            )
            self._chunks.feed_data(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
            self._missing = (1 + MAX_CHUNK_OVERHEAD) * self.limits.max_request_body_size

    def _receive_body(self, data: bytes) -> int:
        if self._chunks:
            return self._receive_chunks(self._chunks, data)
        part = data[: self._missing]
        self.body += part
        self._missing -= len(part)
        self.completed = self._missing == 0
        return len(part)

    def _receive_chunks(self, chunks: HttpRequestParser, data: bytes) -> int:
        # httptools does not tell where a body ended, but each chunked body ends with an empty line.
        seen = self._last_bytes + data
        end = already_seen = len(self._last_bytes)
        while end < len(seen) and not self.completed:
            start = end
            found = seen.find(END, max(start - len(END) + 1, 0))
            end = found + len(END) if found >= 0 else len(seen)
            self._missing -= end - start
            try:
                chunks.feed_data(seen[start:end])
            except HttpParserError as error:
                self.refuse(HTTPStatus.BAD_REQUEST, f"Malformed chunked body: {error}")
            if self._missing < 0 or len(self.body) > self.limits.max_request_body_size:
                self.refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        self._last_bytes = seen[max(end - len(END) + 1, 0) : end]
        return end - already_seen

    def _end_chunks(self) -> None:
        self.completed = True
        self.fields["CONTENT_LENGTH"] = str(len(self.body))


def _elements(value: str) -> list[str]:
    """Return the elements of a field value that is a list, in lower case."""
    return [element.strip(" \t").lower() for element in value.split(",")]


def _environ_key(name: bytes) -> str:
    key = name.decode("latin-1").upper().replace("-", "_")
    return key if key in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{key}"


_cached_key = lru_cache(1000)(_environ_key)
