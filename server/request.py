"""HTTP/1.1 request framing, limits and header fields (RFC 9112), on top of llhttp."""

import re
from functools import lru_cache
from http import HTTPStatus
from types import SimpleNamespace

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from waitress.adjustments import Adjustments

MAX_REQUEST_LINE = 8190
MAX_HEADER_FIELDS = 100
MAX_CHUNK_OVERHEAD = 3
"""Chunk overhead (sizes, extensions, trailers) allowed per byte of the maximum body size.

A one-byte chunk has five bytes of overhead.
"""

# llhttp accepts only registered methods, repeated spaces, and other protocols than HTTP. Lower-case
# methods are refused because a lenient application might treat "delete" as DELETE.
REQUEST_LINE = re.compile(rb"([A-Z0-9!#$%&'*+.^_`|~-]+) ([^ \r\n]+) HTTP/1\.([0-9])\r\n")
MAX_CACHED_NAME_LENGTH = 64
MAX_CONTENT_LENGTH_DIGITS = 15
"""Digits of Content-Length to convert: a longer number exceeds every body limit anyway."""

CRLF = b"\r\n"
LEADING_EMPTY_LINES = re.compile(rb"(?:\r\n)*")
EMPTY_LINE = CRLF + CRLF
"""The end of a line and an empty one: the end of a header section, and of a chunked body."""

# https://www.iana.org/assignments/http-parameters#transfer-coding
TRANSFER_CODINGS = {"chunked", "compress", "deflate", "gzip", "identity", "x-compress", "x-gzip"}


class Request:
    """Incrementally parsed request; takes the place of waitress' HTTPRequestParser.

    Attributes:
        completed: whether the request was received in full, or refused.
        error: status and detail with which the server refuses the request; detail may be empty.
        expect_continue: whether the client waits for `100 Continue` before it sends the body.
        keep_alive: whether the connection may be reused for another request.
        fields: header fields by their WSGI environ keys (PEP 3333).
        body: decoded body, without transfer coding.
    """

    completed = False
    _header_complete = False
    expect_continue = False
    keep_alive = False
    error: tuple[HTTPStatus, str] | None = None
    method = "-"
    target = ""
    version = "HTTP/1.1"

    def __init__(self, limits: Adjustments) -> None:
        self._limits = limits
        self.fields: dict[str, str] = {}
        self.body = bytearray()
        self._header = bytearray()
        self._field_count = 0
        self._bytes_left = 0
        self._chunk_parser: HttpRequestParser | None = None
        self._tail = b""

    @property
    def has_started(self) -> bool:
        """Whether at least one byte of the request has been received."""
        return bool(self._header)

    def received(self, data: bytes) -> int:
        """Consume the bytes of `data` that belong to this request; return their number."""
        consumed = 0
        if not self._header_complete:
            consumed = self._receive_header(data)
        if self._header_complete and not self.completed and consumed < len(data):
            self.expect_continue = False
            consumed += self._receive_body(data[consumed:])
        # After a framing error, the rest of the input cannot be trusted (request smuggling).
        return len(data) if self.error else consumed

    def refuse(self, status: HTTPStatus, detail: str = "") -> None:
        """Refuse the request; the connection is closed after the response."""
        self.error = (status, detail)
        self.completed = True
        self.keep_alive = self.expect_continue = False
        if not self._header_complete:
            # The fields received so far are needed for the access log and for CORS.
            self._header_complete = True
            self._parse_header(bytes(self._header))

    def _receive_header(self, data: bytes) -> int:
        size = len(self._header)
        self._header += data
        skipped = 0
        if size < len(CRLF):
            # RFC 9112, section 2.2: ignore empty lines before the request line.
            skipped = LEADING_EMPTY_LINES.match(self._header).end()  # type: ignore[union-attr]
            del self._header[:skipped]
        end = self._header.find(EMPTY_LINE, max(size - len(EMPTY_LINE) + 1, 0))
        if end >= 0:
            del self._header[end + len(EMPTY_LINE) :]
        length = len(self._header)
        max_line = MAX_REQUEST_LINE + len(CRLF)
        if length >= max_line and self._header.find(CRLF, 0, max_line) < 0:
            self.refuse(HTTPStatus.REQUEST_URI_TOO_LONG)
        elif length > self._limits.max_request_header_size:
            self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif end >= 0:
            self._header_complete = True
            self._parse_header(bytes(self._header))
        return skipped + length - size

    def _parse_header(self, header: bytes) -> None:
        request_line = REQUEST_LINE.match(header)
        if not request_line:
            if not self.error:
                self.refuse(HTTPStatus.BAD_REQUEST, "Malformed request line")
            return
        method, target, minor = request_line.groups()
        self.method, self.target = method.decode(), target.decode("latin-1")
        if minor == b"0":
            self.version = "HTTP/1.0"
        try:
            HttpRequestParser(self).feed_data(
                b"POST %b %b\r\n%b" % (target, self.version.encode(), header[request_line.end() :])
            )
        except HttpParserUpgrade:
            pass  # raised after the header section has been parsed
        except HttpParserError as error:
            if not self.error:
                self.refuse(HTTPStatus.BAD_REQUEST, f"Malformed request: {error}")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store a header field (llhttp callback)."""
        self._field_count += 1
        # X_Forwarded_For and X-Forwarded-For have the same environ key: prevent header spoofing.
        if b"_" in name:
            return
        key = _cached_key(name) if len(name) <= MAX_CACHED_NAME_LENGTH else _environ_key(name)
        text = value.decode("latin-1").rstrip(" \t")
        if key in self.fields:
            text = f"{self.fields[key]}{'; ' if key == 'HTTP_COOKIE' else ', '}{text}"
        self.fields[key] = text

    def on_headers_complete(self) -> None:
        """Determine the body length (RFC 9112, section 6.3), or refuse the request."""
        if self.error:
            return
        # llhttp's should_keep_alive() also honours Proxy-Connection, which is not standard.
        options = _list_elements(self.fields.get("HTTP_CONNECTION", ""))
        persists = self.version == "HTTP/1.1" or "keep-alive" in options
        self.keep_alive = persists and "close" not in options
        # RFC 9110, section 7.8: a server may ignore Upgrade. Werkzeug would expect a WebSocket.
        self.fields.pop("HTTP_UPGRADE", None)
        coding = self.fields.pop("HTTP_TRANSFER_ENCODING", None)
        digits = self.fields.get("CONTENT_LENGTH", "").lstrip("0")
        length = int(digits[:MAX_CONTENT_LENGTH_DIGITS] or 0)
        if self._field_count > MAX_HEADER_FIELDS:
            self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif coding is not None:
            self._start_chunked_body(coding)
        elif length > self._limits.max_request_body_size:
            self.refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            self._bytes_left = length
            self.completed = length == 0
        if not self.error and "HTTP_EXPECT" in self.fields and self.version == "HTTP/1.1":
            if self.fields["HTTP_EXPECT"].lower() != "100-continue":
                self.refuse(HTTPStatus.EXPECTATION_FAILED)
            self.expect_continue = not self.completed

    def _start_chunked_body(self, coding: str) -> None:
        codings = _list_elements(coding)
        if not TRANSFER_CODINGS.issuperset(codings):
            self.refuse(HTTPStatus.NOT_IMPLEMENTED, "Unknown Transfer-Encoding")
        elif codings[-1] != "chunked" or self.version == "HTTP/1.0":
            self.refuse(HTTPStatus.BAD_REQUEST, "The length of the body is unknown")
        elif len(codings) > 1:
            self.refuse(HTTPStatus.NOT_IMPLEMENTED, "Transfer-Encoding must be chunked")
        else:
            # A separate parser, because the header parser stops at an upgrade without the body.
            self._chunk_parser = HttpRequestParser(
                SimpleNamespace(
                    on_body=self.body.extend, on_message_complete=self._on_body_complete
                )
            )
            self._chunk_parser.feed_data(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
            self._bytes_left = (1 + MAX_CHUNK_OVERHEAD) * self._limits.max_request_body_size

    def _receive_body(self, data: bytes) -> int:
        if self._chunk_parser:
            return self._receive_chunked(self._chunk_parser, data)
        part = data[: self._bytes_left]
        self.body += part
        self._bytes_left -= len(part)
        self.completed = self._bytes_left == 0
        return len(part)

    def _receive_chunked(self, parser: HttpRequestParser, data: bytes) -> int:
        # httptools does not report where a message ends. Every chunked body ends with an empty
        # line, so feed the parser up to each empty line and check whether the body is complete.
        buffered = self._tail + data
        end = already_fed = len(self._tail)
        while end < len(buffered) and not self.completed:
            start = end
            found = buffered.find(EMPTY_LINE, max(start - len(EMPTY_LINE) + 1, 0))
            end = found + len(EMPTY_LINE) if found >= 0 else len(buffered)
            self._bytes_left -= end - start
            try:
                parser.feed_data(buffered[start:end])
            except HttpParserError as error:
                self.refuse(HTTPStatus.BAD_REQUEST, f"Malformed chunked body: {error}")
            if self._bytes_left < 0 or len(self.body) > self._limits.max_request_body_size:
                self.refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        self._tail = buffered[max(end - len(EMPTY_LINE) + 1, 0) : end]
        return end - already_fed

    def _on_body_complete(self) -> None:
        self.completed = True
        self.fields["CONTENT_LENGTH"] = str(len(self.body))


def _list_elements(value: str) -> list[str]:
    """Return the elements of a comma-separated field value, in lower case."""
    return [element.strip(" \t").lower() for element in value.split(",")]


def _environ_key(name: bytes) -> str:
    key = name.decode("latin-1").upper().replace("-", "_")
    return key if key in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{key}"


_cached_key = lru_cache(1000)(_environ_key)
