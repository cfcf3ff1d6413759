"""A strict reading of RFC 9112: the requests in the bytes that a client sends on a connection.

It is written from the RFC, not from the server, and is slow and simple. Where the RFC leaves the
recipient a choice, the service has made it as follows (server/request.py, web/admission.py):

- Lines end with CRLF, the empty lines that are skipped before a request too. A bare CR or LF, a
  blank before the colon and a folded line (obs-fold) are 400.
- The parts of a request line are separated by one SP. The method has no lower-case letter. HTTP/1.2
  to 1.9 are read as 1.1; any other version is 400. The target has only visible ASCII characters.
- `*` and an absolute URL as the target, and a Host that is missing, repeated or invalid, are 400,
  but the next request is read. The authority of CONNECT is 400, and ends the connection.
- Content-Length is one number: a repeated one is 400, as a list or as several lines. With
  Transfer-Encoding it is 400. Transfer-Encoding is `chunked` or the request is refused, even where
  only a tab follows; HTTP/1.0 has none.
- Chunk extensions have no blanks, but may lack a name or a value. A trailer with the names of
  framing fields is 400.
- HTTP/1.0 keeps the connection only with `Connection: keep-alive`, and has no Expect.
- Expect is `100-continue` or 417.
- A request line of more than 8190 bytes is 414, a head of more than 32 KiB or 100 fields is 431, a
  body of more than 64 KiB is 413.
- A request that is refused for its framing ends the connection. A request that breaks off may get a
  response.
"""

import re
from dataclasses import dataclass, field

MAX_REQUEST_LINE = 8190
MAX_HEAD = 32 * 1024
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
    """The request must be refused, with one of the statuses that are the arguments."""


class BrokenOff(Exception):
    """The bytes end before the request does."""


@dataclass
class Request:
    """One request.

    Attributes:
        method: empty where the request line is malformed.
        fields: the values by their names in lower case.
        refusals: with which status the request must be refused; none: the service decides.
        closes: the connection ends with the response.
        is_complete: the request does not break off.
    """

    method: str = ""
    target: bytes = b""
    minor_version: int = 1
    fields: dict[bytes, list[bytes]] = field(default_factory=dict)
    body: bytes = b""
    refusals: tuple[int, ...] = ()
    closes: bool = False
    is_complete: bool = True

    @property
    def request_id(self) -> str | None:
        """The X-Request-ID, None without a valid one."""
        value = b", ".join(self.fields.get(b"x-request-id", []))
        return value.decode() if REQUEST_ID.fullmatch(value) else None

    @property
    def expects_continue(self) -> bool:
        """Whether the client may wait for `100 Continue`."""
        return b"expect" in self.fields and self.minor_version > 0


class Reader:
    """Takes one element after another from the bytes of a connection."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def skip_empty_lines(self) -> None:
        """Skip the empty lines before a request: section 2.2."""
        self.position = EMPTY_LINES.match(self.data, self.position).end()

    @property
    def is_at_end(self) -> bool:
        """Whether no bytes are left."""
        return self.position == len(self.data)

    def until(self, end: bytes) -> bytes:
        """Take the bytes before `end`, and `end`."""
        found = self.data.find(end, self.position)
        if found < 0:
            raise BrokenOff
        taken = self.data[self.position : found]
        self.position = found + len(end)
        return taken

    def take(self, count: int) -> bytes:
        """Take `count` bytes."""
        taken = self.data[self.position : self.position + count]
        self.position += len(taken)
        if len(taken) < count:
            raise BrokenOff
        return taken

    def head(self) -> list[bytes]:
        """Take the lines of a head."""
        rest = self.data[self.position :]
        if len(rest.partition(CRLF)[0]) > MAX_REQUEST_LINE:
            raise Refused(414)
        if len(rest.partition(CRLF + CRLF)[0] + CRLF + CRLF) > MAX_HEAD:
            raise Refused(431)
        return self.until(CRLF + CRLF).split(CRLF)


def requests(data: bytes) -> list[Request]:
    """Return the requests in `data`, up to the one that ends the connection."""
    reader, found = Reader(data), []
    reader.skip_empty_lines()
    while not reader.is_at_end:
        found.append(_request(reader))
        if found[-1].closes:
            break
        reader.skip_empty_lines()
    return found


def _request(reader: Reader) -> Request:
    request = Request()
    try:
        line, *lines = reader.head()
        _read_request_line(request, line)
        _read_fields(request, lines)
        _check_host(request)
        _read_body(request, reader)
    except Refused as error:
        request.refusals, request.closes = error.args, True
    except BrokenOff:
        request.is_complete, request.closes = False, True
    return request


def _read_request_line(request: Request, line: bytes) -> None:
    """Read the request line: section 3."""
    parts = REQUEST_LINE.fullmatch(line)
    if not parts:
        raise Refused(400)
    request.method, request.target = parts[1].decode(), parts[2]
    request.minor_version = int(parts[3])
    if OTHER_FORM.fullmatch(request.target):
        request.refusals = (400,)
    elif not ORIGIN_FORM.fullmatch(request.target):
        raise Refused(400)


def _read_fields(request: Request, lines: list[bytes]) -> None:
    """Read the field lines (section 5), and whether the connection persists (section 9.3)."""
    for line in lines:
        name, value = _field(line)
        request.fields.setdefault(name, []).append(value)
    options = {
        option.strip(b" \t").lower()
        for value in request.fields.get(b"connection", [])
        for option in value.split(b",")
    }
    persists = request.minor_version > 0 or b"keep-alive" in options
    request.closes = b"close" in options or not persists
    _check_framing(request)
    # 400 is for a malformed Transfer-Encoding, which the server may find first.
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
    """Refuse lengths of the body that are in doubt: section 6.3."""
    lengths = request.fields.get(b"content-length", [])
    if lengths and b"transfer-encoding" in request.fields:
        raise Refused(400)
    if len(lengths) > 1 or not all(re.fullmatch(rb"[0-9]+", length) for length in lengths):
        raise Refused(400)


def _check_host(request: Request) -> None:
    """Require one valid host: section 3.2."""
    hosts = request.fields.get(b"host", [])
    if not hosts and request.minor_version == 0:
        return
    if len(hosts) != 1 or not HOST.fullmatch(hosts[0]):
        request.refusals = (400,)


def _read_body(request: Request, reader: Reader) -> None:
    """Read the body, as long as the framing fields say: section 6."""
    codings = request.fields.get(b"transfer-encoding", [])
    length = (request.fields.get(b"content-length") or [b"0"])[0].lstrip(b"0") or b"0"
    if codings and (codings[0].lower() != b"chunked" or codings[1:] or not request.minor_version):
        raise Refused(400, 501)
    # 400 is for a number that does not fit into 64 bits.
    if len(length) > len(str(MAX_BODY)) or int(length) > MAX_BODY:
        raise Refused(413, 400)
    expectations = [value.lower() for value in request.fields.get(b"expect", [])]
    if request.minor_version and expectations not in ([], [b"100-continue"]):
        raise Refused(417)
    if codings:
        _read_chunks(request, reader)
    else:
        request.body = reader.take(int(length))


def _read_chunks(request: Request, reader: Reader) -> None:
    """Read a chunked body and its trailer: section 7.1."""
    while size := _chunk_size(reader.until(CRLF)):
        part = reader.data[reader.position : reader.position + size]
        if len(request.body) + len(part) > MAX_BODY:
            raise Refused(413)
        request.body += reader.take(size)
        if reader.take(len(CRLF)) != CRLF:
            raise Refused(400)
    while line := reader.until(CRLF):
        name, _ = _field(line)
        if name in (b"content-length", b"transfer-encoding"):
            raise Refused(400)


def _chunk_size(line: bytes) -> int:
    parts = CHUNK_LINE.fullmatch(line)
    if not parts:
        raise Refused(400)
    return int(parts[1], 16)
