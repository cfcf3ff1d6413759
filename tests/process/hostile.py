"""Requests of every wrong kind, as hypothesis makes them: bytes to be sent to the web process."""

import json
import re
from urllib.parse import quote

from hypothesis import strategies as st

REPEATED = re.compile(rb"(.{1,12}?)\1{20,}", re.DOTALL)


class Request(bytes):
    """Bytes to send. As text they are short, as long as they repeat themselves."""

    def __repr__(self) -> str:
        """Return them with a number in the place of what is repeated."""
        return repr(
            REPEATED.sub(lambda run: b"{%b*%d}" % (run[1], len(run[0]) // len(run[1])), self)
        )


HEAD = b"Host: todos.example\r\n"
JSON = HEAD + b"Content-Type: application/json\r\n"
BODY = b'{"description":"x"}'

METHODS = st.sampled_from(
    [
        *("GET", "GET", "POST", "POST", "PATCH", "PATCH", "DELETE", "HEAD", "OPTIONS", "PUT"),
        *("TRACE", "CONNECT", "PROPFIND", "QUERY"),
    ]
) | st.from_regex(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,30}", fullmatch=True)

# What stands for bytes in an address: percent-encoded, as they are, or wrongly encoded.
ODD = st.sampled_from(
    [
        *(b"%00", b"%ff", b"%c3%28", b"%ed%a0%80", b"%d9%a1", b"%0d%0aX:%20y", b"%2e%2e", b"%2f"),
        *(b"%", b"%z", b"%zz", b"%u0041", b"\xff", b"\xc3\xa9", b"\x00", b"\x7f", b"..", b";a=b"),
        *(b"#", b"[", b"\\", b"'", b'"', b"<script>", b"//", b"*", b"+", b"-", b"0x1", b"1e3"),
    ]
)
ENCODED = st.binary(max_size=30).map(lambda raw: quote(raw).encode())
NUMBERS = st.integers(-(10**25), 10**25) | st.sampled_from(
    [0, 1, 2, 3, 2**31 - 1, 2**31, 2**63, 10**400]
)
# Python refuses to read, and to write, more than 4300.
TOO_MANY_DIGITS = b"9" * 5000
DIGITS = NUMBERS.map(b"%d".__mod__) | st.just(TOO_MANY_DIGITS)
PARTS = ODD | ENCODED | DIGITS
PATHS = st.one_of(
    st.sampled_from([b"/api/todos", b"/api/todos/", b"/health", b"/health/live", b"/"]),
    st.sampled_from(
        [b"/docs", b"/docs/assets/swagger-ui.css", b"/openapi.json", b"/static/x/main.js"]
    ),
    st.builds(b"/api/todos/%b".__mod__, st.integers(1, 30).map(b"%d".__mod__)),
    st.builds(b"/api/todos/%b".__mod__, PARTS),
    st.lists(PARTS, max_size=5).map(lambda parts: b"/" + b"/".join(parts)),
    st.builds(b"http://%b/api/todos".__mod__, PARTS),
)
PARAMETERS = st.sampled_from(
    [b"search", b"status", b"sort_by", b"order", b"limit", b"offset", b"cursor", b"count"]
)
VALUES = PARTS | st.sampled_from(
    [b"completed", b"incomplete", b"description", b"updated_at", b"desc", b"true", b"", b"5"]
)
QUERIES = st.lists(
    st.builds(lambda name, value: name + b"=" + value, PARAMETERS | PARTS, VALUES) | ODD,
    max_size=5,
).map(b"&".join)
TARGETS = st.builds(
    lambda path, query: path + b"?" * bool(query) + query, PATHS, QUERIES | st.just(b"")
)

HEADERS = st.tuples(
    st.sampled_from(
        [
            *(b"If-Match", b"If-None-Match", b"If-Modified-Since", b"If-Range", b"Range"),
            *(b"Origin", b"Access-Control-Request-Method", b"Access-Control-Request-Headers"),
            *(b"Host", b"X-Forwarded-For", b"X-Forwarded-Proto", b"X-Forwarded-Host", b"Forwarded"),
            *(b"X-Forwarded-Prefix", b"Script-Name", b"X_Forwarded_For", b"X-Request-ID"),
            *(b"Content-Type", b"Content-Encoding", b"Accept", b"Accept-Encoding", b"Cookie"),
            *(b"Connection", b"Upgrade", b"HTTP2-Settings", b"Expect", b"Trailer", b"TE"),
            *(b"Authorization", b"X-HTTP-Method-Override", b"Proxy", b"Content-Length"),
        ]
    ),
    st.one_of(
        st.binary(max_size=40).map(lambda raw: raw.translate(None, b"\r\n")),
        st.sampled_from(
            [
                *(b"", b"*", b'"', b'W/"', b'"x", ' * 500, b"null", b"http://localhost:3000"),
                *(b"bytes=5-1", b"bytes=0-0,-1", b"bytes=99999999999999999999-", b"100-continue"),
                *(b"application/json; charset=utf-16", b"text/plain", b"application/json;" * 99),
                *(b"gzip", b"chunked", b"https", b"https, http", b"::1, x", b"h2c", b"close"),
                *(b"Sun, 06 Nov 1994 08:49:37 GMT", b"keep-alive", b"\xff\xfe", b"Basic \xff"),
                *(b"127.0.0.1:99999", b"[::1", b"a" * 9000, b"DELETE", b"-1", b"../../etc"),
            ]
        ),
    ),
).map(b": ".join)

TEXTS = st.text(max_size=20) | st.sampled_from(
    ["", " ", "\0", "\ud800", "x" * 501, "😀" * 500, "\ufeffx", "'; DROP TABLE todos; --", "\u202e"]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.sampled_from(["description", "description", "completed", "id", "created_at"]) | TEXTS


def _object(members: list[tuple[str, object]]) -> str:
    """Return a JSON object by hand, so that a key may be there twice."""
    pairs = (f"{json.dumps(name)}:{json.dumps(value)}" for name, value in members)
    return "{" + ",".join(pairs) + "}"


OBJECTS = st.lists(st.tuples(FIELDS, TEXTS | st.booleans() | ANYTHING), max_size=4).map(_object)
# As deep as the bound on a body allows.
DEEP = st.sampled_from(["[", '{"description":', '{"x":[']).map(
    lambda part: part * (60_000 // len(part))
)
BODIES = st.one_of(
    OBJECTS.map(str.encode),
    OBJECTS.map(str.encode),
    ANYTHING.map(json.dumps).map(str.encode),
    st.just(b'{"description":%b}' % TOO_MANY_DIGITS),
    DEEP.map(str.encode),
    st.builds(
        lambda text, encoding: text.encode(encoding, "replace"),
        OBJECTS,
        st.sampled_from(["utf-8-sig", "utf-16", "utf-32", "latin-1"]),
    ),
    st.binary(max_size=60),
    st.just(b'{"description":"x"}' + b" " * 70_000),
)


def _request(
    method: str, target: bytes, headers: list[bytes], body: bytes, json_type: bool
) -> Request:
    lines = [method.encode() + b" " + target + b" HTTP/1.1", *headers]
    if json_type:
        lines.append(b"Content-Type: application/json")
    if body:
        lines.append(b"Content-Length: %d" % len(body))
    return Request(b"\r\n".join([*lines, b"", body]))


PLAIN = [b"Host: todos.example"]
ANY = st.builds(
    _request,
    METHODS,
    TARGETS,
    st.lists(HEADERS, max_size=3).map(PLAIN.__add__) | st.lists(HEADERS, max_size=3),
    BODIES | st.just(b""),
    st.booleans(),
)
# Those that come further than most.
WRITES = st.builds(
    _request,
    st.just("POST") | st.just("PATCH"),
    st.sampled_from([b"/api/todos", b"/api/todos?status=completed", b"/api/todos/1"]),
    st.just(PLAIN),
    BODIES,
    st.just(value=True),
)
READS = st.builds(
    _request,
    st.just("GET") | st.just("DELETE"),
    st.builds(b"/api/todos?%b".__mod__, QUERIES)
    | st.builds(b"/api/todos/%b".__mod__, DIGITS)
    | st.just(b"/api/todos?limit=2"),
    st.lists(HEADERS, max_size=3).map(PLAIN.__add__) | st.just(PLAIN),
    st.just(b""),
    st.just(value=False),
)
WILD = ANY | WRITES | READS
"""A request as HTTP has it, or nearly, that says wrong things."""

LENGTHS = st.one_of(
    st.sampled_from([b"0", b"5", b"19", b"20", b"999", b"65537", b"-1", b"+5", b"0x5", b"5 5"]),
    st.sampled_from([b"5, 5", b"5,6", b"1e1", b"\xb2", b"", b" 19 ", b"9" * 30, b"9" * 5000]),
).map(b"Content-Length: %b".__mod__)
CODINGS = st.sampled_from(
    [
        *(b"chunked", b"Chunked", b" chunked ", b"identity", b"gzip", b"gzip, chunked", b"x"),
        *(b"chunked, gzip", b"chunked, chunked", b"chunked\x0b", b"", b",", b"xchunked"),
    ]
).map(b"Transfer-Encoding: %b".__mod__)
CHUNKS = st.lists(
    st.sampled_from(
        [
            *(b"13\r\n" + BODY + b"\r\n", b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"0\r\n", b"\r\n"),
            *(b"5\r\nabc\r\n", b"zz\r\n", b"-1\r\n", b"+1\r\n", b"0x1\r\n", b"1_0\r\n", b"13\n"),
            *(b"13;a=b\r\n" + BODY + b"\r\n", b"13;\r\n", b'13;a="\r\n', b"f" * 40 + b"\r\n"),
            *(b"5" * 9000, b"0\r\nHost: y\r\n\r\n", b"0\r\nX\r\n\r\n", b"0\r\n y\r\n\r\n", b"\xff"),
        ]
    ),
    max_size=4,
).map(b"".join)
FRAMED = st.builds(
    lambda method, lines, body: b"\r\n".join(
        [method + b" HTTP/1.1", b"Host: x", b"Content-Type: application/json", *lines, b"", body]
    ),
    st.sampled_from([b"POST /api/todos", b"PATCH /api/todos/1", b"GET /health/live"]),
    st.lists(LENGTHS | CODINGS, min_size=1, max_size=3),
    CHUNKS | st.just(BODY) | st.binary(max_size=30),
)
FLOODS = st.builds(
    lambda count, size: b"GET /health/live HTTP/1.1\r\n" + (b"X: " + b"y" * size + b"\r\n") * count,
    st.sampled_from([1, 99, 101, 3000]),
    st.sampled_from([0, 100, 8200]),
).map(lambda head: head[:200_000] + b"\r\n")
NOT_HTTP = st.sampled_from(
    [
        *(
            b"",
            b"\r\n",
            b"\r\n\r\n",
            b"\n",
            b"\0",
            b"GET",
            b"GET /",
            b"GET /\r\n",
            b"GET / \r\n\r\n",
        ),
        b"GET /api/todos\r\n\r\n",
        b"GET /health/live HTTP/0.9\r\n\r\n",
        b"GET /health/live HTTP/1.2\r\n\r\n",
        b"GET /health/live HTTP/2.0\r\n\r\n",
        b"GET /health/live HTTP/1.1\n\n",
        b"GET /health/live HTTP/1.1\rHost: x\r\r",
        b"GET\t/health/live\tHTTP/1.1\r\n\r\n",
        b" GET /health/live HTTP/1.1\r\n\r\n",
        b"GET  /health/live HTTP/1.1\r\n\r\n",
        b"get /health/live HTTP/1.1\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: x\r\n y\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\n: x\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nX\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nX: \0\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nExpect: x\r\n\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n",
        b"A" * 20_000,
        b"OPTIONS * HTTP/1.1\r\n\r\n",
        b"GET * HTTP/1.1\r\n\r\n",
        b"CONNECT todos.example:80 HTTP/1.1\r\n\r\n",
        b"GET http://[/ HTTP/1.1\r\n\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET /health/live HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
        # TLS's ClientHello
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(range(256)) * 2,
    ]
)
VALID = st.sampled_from(
    [
        b"GET /health/live HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"GET /api/todos?limit=2 HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"GET /api/todos/1 HTTP/1.0\r\n\r\n",
        b"DELETE /api/todos/2 HTTP/1.1\r\n" + HEAD + b'If-Match: "x"\r\n\r\n',
        b"POST /api/todos HTTP/1.1\r\n" + JSON + b"Content-Length: 19\r\n\r\n" + BODY,
        b"PATCH /api/todos/1 HTTP/1.1\r\n" + JSON + b"Content-Length: 19\r\n\r\n" + BODY,
        b"POST /api/todos HTTP/1.1\r\n"
        + JSON
        + b"Transfer-Encoding: chunked\r\n\r\n13\r\n"
        + BODY
        + b"\r\n0\r\n\r\n",
    ]
)
# Cut off, or with other bytes in the middle.
DAMAGED = st.builds(
    lambda request, start, length, other: request[:start] + other + request[start + length :],
    VALID,
    st.integers(0, 150),
    st.integers(0, 150),
    st.binary(max_size=8)
    | st.sampled_from([b"\r", b"\n", b"\r\n", b"\0", b" ", b":", b"\r\n\r\n", b"\xff", b"\t"]),
)
PIPELINES = st.lists(VALID | VALID | DAMAGED | FRAMED, min_size=2, max_size=4).map(b"".join)
RAW = st.one_of(NOT_HTTP, FRAMED, FRAMED, DAMAGED, DAMAGED, PIPELINES, FLOODS, st.binary()).map(
    Request
)
"""Bytes that need not be HTTP."""
