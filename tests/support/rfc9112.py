"""Strict reference parser for RFC 9112: finds the requests in the data of one connection.

Written from the RFC and not from the server; slow and simple. Where the RFC leaves a choice to the
recipient, the service has chosen as follows (server/request.py, todoapp/web/admission.py):

- Lines end with CRLF, including empty lines before a request. A bare CR or LF, whitespace before
  the colon and line folding (obs-fold) are 400.
- The parts of a request line are separated by a single SP. The method has no lower-case letters.
  HTTP/1.2 to 1.9 are treated as 1.1; any other version is 400. The target consists of visible ASCII
  characters.
- A target in asterisk-form or absolute-form is 400, and so is a missing, repeated or invalid Host;
  the connection stays open. A target in authority-form (CONNECT) is 400, and closes the connection.
- Content-Length is a single number: a list or a repeated field is 400, and so is the combination
  with Transfer-Encoding. A Transfer-Encoding other than `chunked` is refused, even if only a tab
  follows; HTTP/1.0 allows none.
- Chunk extensions contain no whitespace, but their name or value may be missing. Framing fields in
  a trailer are 400.
- HTTP/1.0 connections persist only with `Connection: keep-alive`. HTTP/1.0 has no Expect.
- Expect other than `100-continue` is 417.
- A request line over 8190 bytes is 414, a header over 32 KiB or 100 fields is 431, and a body over
  64 KiB is 413.
- A framing error closes the connection. An incomplete request may get a response.
"""

import re
from dataclasses import dataclass, field

MAX_REQUEST_LINE = 8190
MAX_HEADER_SIZE = 32 * 1024
MAX_FIELDS = 100
MAX_BODY = 64 * 1024

CRLF = b"\r\n"
EMPTY_LINES = re.compile(rb"(?:\r\n)*")
TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Z-]+) ([^ \r\n]+) HTTP/1\.([0-9])")
ORIGIN_FORM = re.compile(rb"/[!-~]*")
OTHER_FORM = re.compile(rb"\*[!-~]*|[A-Za-z]+://[!-~]*")
FIELD_LINE = re.compile(rb"(%b):([\t -~\x80-\xff]*)" % TOKEN)
HOST = re.compile(rb"(?:[a-zA-Z0-9._-]+|\[[0-9a-fA-F:.]+\])(?::[0-9]{0,5})?")
REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
CHUNK_LINE = re.compile(
    rb"([0-9A-Fa-f]+)(?:;(?:%b)?(?:=(?:%b)?(?:%b)?)?)*(?<!;)" % (TOKEN, TOKEN, QUOTED)
)


class Refused(Exception):
    """The request must be refused with one of the statuses in `args`."""


class Incomplete(Exception):
    """The data ends before the request is complete."""


@dataclass
class Request:
    """Parsed request.

    Attributes:
        method: the method; empty if the request line is malformed.
        fields: field values by field name in lower case.
        error_statuses: statuses with which the request must be refused; empty if it is valid HTTP.
        closes_connection: whether the connection is closed after the response.
        is_complete: whether the data contains the whole request.
    """

    method: str = ""
    target: bytes = b""
    minor_version: int = 1
    fields: dict[bytes, list[bytes]] = field(default_factory=dict)
    body: bytes = b""
    error_statuses: tuple[int, ...] = ()
    closes_connection: bool = False
    is_complete: bool = True

    @property
    def request_id(self) -> str | None:
        """The X-Request-ID, or None if it is missing or invalid."""
        value = b", ".join(self.fields.get(b"x-request-id", []))
        return value.decode() if REQUEST_ID.fullmatch(value) else None

    @property
    def expects_continue(self) -> bool:
        """Whether the client may expect `100 Continue`."""
        return b"expect" in self.fields and self.minor_version > 0


class Reader:
    """Reads the data of a connection element by element."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def skip_empty_lines(self) -> None:
        """Skip empty lines before a request: section 2.2."""
        self.position = EMPTY_LINES.match(self.data, self.position).end()

    @property
    def is_at_end(self) -> bool:
        """Whether all data has been read."""
        return self.position == len(self.data)

    def read_until(self, end: bytes) -> bytes:
        """Read up to and including `end`; return the bytes before it."""
        found = self.data.find(end, self.position)
        if found < 0:
            raise Incomplete
        before = self.data[self.position : found]
        self.position = found + len(end)
        return before

    def read(self, count: int) -> bytes:
        """Read `count` bytes."""
        data = self.data[self.position : self.position + count]
        self.position += len(data)
        if len(data) < count:
            raise Incomplete
        return data

    def read_header(self) -> list[bytes]:
        """Read the lines of a header section, request line included."""
        rest = self.data[self.position :]
        if len(rest.partition(CRLF)[0]) > MAX_REQUEST_LINE:
            raise Refused(414)
        if len(rest.partition(CRLF + CRLF)[0] + CRLF + CRLF) > MAX_HEADER_SIZE:
            raise Refused(431)
        return self.read_until(CRLF + CRLF).split(CRLF)


def parse_requests(data: bytes) -> list[Request]:
    """Return the requests in `data`, up to the one that closes the connection."""
    reader, found = Reader(data), []
    reader.skip_empty_lines()
    while not reader.is_at_end:
        found.append(_request(reader))
        if found[-1].closes_connection:
            break
        reader.skip_empty_lines()
    return found


def _request(reader: Reader) -> Request:
    request = Request()
    try:
        line, *lines = reader.read_header()
        _read_request_line(request, line)
        _read_fields(request, lines)
        _check_host(request)
        _read_body(request, reader)
    except Refused as error:
        request.error_statuses, request.closes_connection = error.args, True
    except Incomplete:
        request.is_complete, request.closes_connection = False, True
    return request


def _read_request_line(request: Request, line: bytes) -> None:
    """Read the request line: section 3."""
    parts = REQUEST_LINE.fullmatch(line)
    if not parts:
        raise Refused(400)
    request.method, request.target = parts[1].decode(), parts[2]
    request.minor_version = int(parts[3])
    if OTHER_FORM.fullmatch(request.target):
        request.error_statuses = (400,)
    elif not ORIGIN_FORM.fullmatch(request.target):
        raise Refused(400)


def _read_fields(request: Request, lines: list[bytes]) -> None:
    """Read the field lines (section 5), and determine persistence (section 9.3)."""
    for line in lines:
        name, value = _field(line)
        request.fields.setdefault(name, []).append(value)
    options = {
        option.strip(b" \t").lower()
        for value in request.fields.get(b"connection", [])
        for option in value.split(b",")
    }
    persists = request.minor_version > 0 or b"keep-alive" in options
    request.closes_connection = b"close" in options or not persists
    _check_framing(request)
    # 400 if the server finds a malformed Transfer-Encoding first.
    if len(lines) > MAX_FIELDS:
        raise Refused(431, 400)


def _field(line: bytes) -> tuple[bytes, bytes]:
    parts = FIELD_LINE.fullmatch(line)
    if not parts:
        raise Refused(400)
    if parts[1].lower() == b"transfer-encoding" and parts[2].rstrip(b" ").endswith(b"\t"):
        raise Refused(400)
    return parts[1].lower(), parts[2].strip(b" \t")


def _check_framing(request: Request) -> None:
    """Refuse an ambiguous body length: section 6.3."""
    lengths = request.fields.get(b"content-length", [])
    if lengths and b"transfer-encoding" in request.fields:
        raise Refused(400)
    if len(lengths) > 1 or not all(re.fullmatch(rb"[0-9]+", length) for length in lengths):
        raise Refused(400)


def _check_host(request: Request) -> None:
    """Require a single valid Host: section 3.2."""
    hosts = request.fields.get(b"host", [])
    if not hosts and request.minor_version == 0:
        return
    if len(hosts) != 1 or not HOST.fullmatch(hosts[0]):
        request.error_statuses = (400,)


def _read_body(request: Request, reader: Reader) -> None:
    """Read the body as framed by Content-Length or Transfer-Encoding: section 6."""
    codings = request.fields.get(b"transfer-encoding", [])
    length = (request.fields.get(b"content-length") or [b"0"])[0].lstrip(b"0") or b"0"
    if codings and (codings[0].lower() != b"chunked" or codings[1:] or not request.minor_version):
        raise Refused(400, 501)
    # 400 if the number does not fit into 64 bits.
    if len(length) > len(str(MAX_BODY)) or int(length) > MAX_BODY:
        raise Refused(413, 400)
    expectations = [value.lower() for value in request.fields.get(b"expect", [])]
    if request.minor_version and expectations not in ([], [b"100-continue"]):
        raise Refused(417)
    if codings:
        _read_chunks(request, reader)
    else:
        request.body = reader.read(int(length))


def _read_chunks(request: Request, reader: Reader) -> None:
    """Read a chunked body and its trailer: section 7.1."""
    while size := _chunk_size(reader.read_until(CRLF)):
        part = reader.data[reader.position : reader.position + size]
        if len(request.body) + len(part) > MAX_BODY:
            raise Refused(413)
        request.body += reader.read(size)
        if reader.read(len(CRLF)) != CRLF:
            raise Refused(400)
    while line := reader.read_until(CRLF):
        name, _ = _field(line)
        if name in (b"content-length", b"transfer-encoding"):
            raise Refused(400)


def _chunk_size(line: bytes) -> int:
    parts = CHUNK_LINE.fullmatch(line)
    if not parts:
        raise Refused(400)
    return int(parts[1], 16)
