"""Hypothesis strategies for invalid and hostile requests, as raw bytes."""

import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from urllib.parse import quote

from hypothesis import strategies as st

REPEATED = re.compile(rb"(.{1,12}?)\1{20,}", re.DOTALL)


class RawRequest(bytes):
    """Raw request with a short repr."""

    def __repr__(self) -> str:
        """Abbreviate repeated sequences as {sequence*count}."""
        return repr(
            REPEATED.sub(lambda run: b"{%b*%d}" % (run[1], len(run[0]) // len(run[1])), self)
        )


HOST = b"Host: todos.example\r\n"
JSON = HOST + b"Content-Type: application/json\r\n"
BODY = b'{"description":"x"}'

METHODS = st.sampled_from(
    [
        *("GET", "GET", "POST", "POST", "PATCH", "PATCH", "DELETE", "HEAD", "OPTIONS", "PUT"),
        *("TRACE", "CONNECT", "PROPFIND", "QUERY"),
    ]
) | st.from_regex(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,30}", fullmatch=True)

# Unusual parts of a URL: percent-encoded, raw, or wrongly encoded.
UNUSUAL = st.sampled_from(
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
# Python refuses to convert more than 4,300 digits.
TOO_MANY_DIGITS = b"9" * 5000
DIGITS = NUMBERS.map(b"%d".__mod__) | st.just(TOO_MANY_DIGITS)
PARTS = UNUSUAL | ENCODED | DIGITS
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
    st.builds(lambda name, value: name + b"=" + value, PARAMETERS | PARTS, VALUES) | UNUSUAL,
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
    """Serialise a JSON object that may contain duplicate keys."""
    pairs = (f"{json.dumps(name)}:{json.dumps(value)}" for name, value in members)
    return "{" + ",".join(pairs) + "}"


OBJECTS = st.lists(st.tuples(FIELDS, TEXTS | st.booleans() | ANYTHING), max_size=4).map(_object)
# As deep as the maximum body size allows.
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
) -> RawRequest:
    lines = [method.encode() + b" " + target + b" HTTP/1.1", *headers]
    if json_type:
        lines.append(b"Content-Type: application/json")
    if body:
        lines.append(b"Content-Length: %d" % len(body))
    return RawRequest(b"\r\n".join([*lines, b"", body]))


PLAIN = [b"Host: todos.example"]
ANY = st.builds(
    _request,
    METHODS,
    TARGETS,
    st.lists(HEADERS, max_size=3).map(PLAIN.__add__) | st.lists(HEADERS, max_size=3),
    BODIES | st.just(b""),
    st.booleans(),
)
# Writes and reads of todos, which get past routing more often than arbitrary requests do.
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
INVALID = ANY | WRITES | READS
"""Mostly well-formed HTTP requests with invalid methods, targets, fields and bodies."""

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
        b"GET /health/live HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /api/todos?limit=2 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /api/todos/1 HTTP/1.0\r\n\r\n",
        b"DELETE /api/todos/2 HTTP/1.1\r\n" + HOST + b'If-Match: "x"\r\n\r\n',
        b"POST /api/todos HTTP/1.1\r\n" + JSON + b"Content-Length: 19\r\n\r\n" + BODY,
        b"PATCH /api/todos/1 HTTP/1.1\r\n" + JSON + b"Content-Length: 19\r\n\r\n" + BODY,
        b"POST /api/todos HTTP/1.1\r\n"
        + JSON
        + b"Transfer-Encoding: chunked\r\n\r\n13\r\n"
        + BODY
        + b"\r\n0\r\n\r\n",
    ]
)


def damaged(requests: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Return requests in which up to 150 bytes are deleted or replaced."""
    return st.builds(
        lambda request, start, length, other: request[:start] + other + request[start + length :],
        requests,
        st.integers(0, 150),
        st.integers(0, 150),
        st.binary(max_size=8)
        | st.sampled_from([b"\r", b"\n", b"\r\n", b"\0", b" ", b":", b"\r\n\r\n", b"\xff", b"\t"]),
    )


DAMAGED = damaged(VALID)
PIPELINES = st.lists(VALID | VALID | DAMAGED | FRAMED, min_size=2, max_size=4).map(b"".join)
RAW = st.one_of(NOT_HTTP, FRAMED, FRAMED, DAMAGED, DAMAGED, PIPELINES, FLOODS, st.binary()).map(
    RawRequest
)
"""Arbitrary bytes: malformed HTTP, ambiguous framing, damaged requests, pipelines, floods."""


# Pipelines. X-Request-ID and the description of a request have the same number, which
# `numbered()` makes unique.

TODO = b'{"description":"todo0000"}'
"""26 bytes, sent with Content-Length, or in chunks of 10 and 16 bytes."""

_LINES = b"X-Request-ID: todo0000\r\nHost: x\r\n"
_READ = b" /health/live HTTP/1.1\r\n" + _LINES
_CREATE = b"POST /api/todos HTTP/1.1\r\n" + _LINES + b"Content-Type: application/json\r\n"
_SIZED = b"Content-Length: 26\r\n\r\n" + TODO
_CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
_CHUNKS = b"a\r\n" + TODO[:10] + b"\r\n10\r\n" + TODO[10:] + b"\r\n0\r\n\r\n"
_EXPECTS_CONTINUE = _CREATE + b"Expect: 100-continue\r\n"
_UPGRADES = _CREATE + b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
# Smuggled: a request in the body of another one, where it must not be executed.
_SMUGGLED = (_CREATE + _SIZED).replace(b"todo0", b"hide0")
_SMUGGLED_BODY = b"Content-Length: %d\r\n\r\n" % len(_SMUGGLED) + _SMUGGLED
_LAST_CHUNK_AS_DATA = b"%x\r\n\r\n0\r\n\r\n" % (len(_SMUGGLED) + 7) + _SMUGGLED + b"\r\n0\r\n\r\n"

READ = b"GET" + _READ + b"\r\n"
CREATE = _CREATE + _SIZED
CREATE_CHUNKED = _CREATE + _CHUNKED + _CHUNKS
SEEDS = [
    *(READ, CREATE, CREATE_CHUNKED, b"HEAD" + _READ + b"\r\n", b"OPTIONS" + _READ + b"\r\n"),
    b"DELETE /api/todos/0 HTTP/1.1\r\n" + _LINES + b"\r\n",
    b"CONNECT x:80 HTTP/1.1\r\n" + _LINES + b"\r\n",
    b"GET /health/live HTTP/1.0\r\n" + _LINES + b"Connection: keep-alive\r\n\r\n",
    *(_EXPECTS_CONTINUE + _SIZED, _EXPECTS_CONTINUE + _CHUNKED + _CHUNKS),
    *(_UPGRADES + _SIZED, _UPGRADES + _CHUNKED + _CHUNKS),
    *(b"GET" + _READ + _SMUGGLED_BODY, b"DELETE" + _READ + _SMUGGLED_BODY),
    _CREATE + _CHUNKED + _LAST_CHUNK_AS_DATA,
]
"""Valid HTTP/1.1 requests."""

_METHODS = [
    *(b"get ", b"GET  ", b"GET\t", b" GET ", b"G\0T ", b"G\xffT ", b"G:T ", b"OST ", b"\n", b"\0"),
    *(b"!#$%&'*+.^_`|~ ", b"PRI ", b"SOURCE ", b"TRACE ", b'"GET" ', b"G\rT "),
]
_TARGETS = [
    *(b"http://x/health/live", b"*", b"//health/live", b"/health%2flive", b"/health/live#x"),
    *(b"/health/live?x", b"/health live", b"/health\tlive", b"/health\0live", b"/\xff", b"/\x7f"),
    *(b"health/live", b"/health/live\r", b"/health\nlive", b"x:80", b"?x", b"/%z", b"/ HTTP/1.1"),
]
_VERSIONS = [
    *(b" HTTP/1.0", b" HTTP/1.6", b" HTTP/2.0", b" HTTP/1.10", b" HTTP/01.1", b" http/1.1"),
    *(b" HTTP/1.1 ", b"  HTTP/1.1", b"\tHTTP/1.1", b" HTTP/11", b"", b" ", b" HTTP/1.1\r\n\r\n"),
    *(b" HTTP/1.1;x", b" ICE/1.1", b"HTTP/1.1", b" HTTP/-1.1", b" HTTP/1.1\0", b" HTTP/1."),
]
_HOSTS = [
    *(b"Host:", b"Host: x y", b"Host: x, y", b"hOST:\t x \t", b"Host:x", b"Host: x\r\nHost: x"),
    *(b"Host: x\r\nhost: y", b"Host : x", b"Host\t: x", b" Host: x", b"Host: x\r\n y", b"Host"),
    *(b"Host: x\0", b"Host:: x", b"Host: [::1]:80", b"Host: x:80a", b"Host: u@x", b"Host: \xff"),
    b"X: x",
]
_FIELDS = [
    *(b"Connection: close", b"connection:CLOSE", b"Connection: close, te", b"Connection: ,,close,"),
    *(b"Connection: te,\tclose\t", b"Connection: te\r\nConnection: close", b"Connection: closed"),
    *(b"Connection: keep-alive", b"Connection: keep-alive, close", b'Connection: "close"'),
    *(b"Connection: te close", b"Connection: \xffclose", b"Connection: content-length, host"),
    b"Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk",
    *(b"Connection: upgrade\r\nUpgrade: TLS/1.0", b"Upgrade: websocket"),
    *(b"Expect: 100-continue", b"Expect: 100-CONTINUE", b"Expect: 200-ok", b"Expect:"),
    *(b"X:", b"X: \t ", b"X: a\tb", b"X: \xff", b"X: a\0b", b"X: a\x0bb", b"X: a\x7fb", b"X: \x1b"),
    *(b"X", b": y", b"X Y: z", b"X\0: y", b"X\xff: y", b"X(: y", b'"X": y', b"X: y\r\n\tz"),
    *(b"X: y\r\n \r\n", b"X: a\rY: b", b"X: a\nY: b", b"\rX: y", b"~!#$%&'*+.^`|: y"),
    *(b"Content_Length: 5", b"Transfer_Encoding: chunked", b"Content Length: 5"),
    *(b"Content-Length\xa0: 5", b"Content-Length\0: 5", b"X: y\nContent-Length: 5"),
    *(b"X: y\rContent-Length: 5", b"X: y\r\n Content-Length: 5", b"\x0bContent-Length: 5"),
    *(b"Content-Length: 0", b"Content-Length: 5", b"Content-Encoding: chunked", b"TE: chunked"),
    *(b"Trailer: Content-Length", b"X-HTTP-Method-Override: DELETE", b"X: " + b"y" * 33_000),
    *(b"X: y\r\n" * 95 + b"X: y", b"X: y\r\n" * 105 + b"X: y"),
]
_LENGTHS = [
    *(b"26", b"\t26", b"  26", b" 26 ", b" 26\t", b" 026", b" " + b"0" * 40 + b"26", b" 25"),
    *(b" 27", b" 0", b" 1", b" 99", b" 126", b" 65536", b" 65537", b" 4294967322", b" +26"),
    *(b" 18446744073709551642", b" " + b"9" * 400, b" -26", b" 0x1a", b" 1a", b" 26.0"),
    *(b" -0", b" 2_6", b" 2 6", b" 26 26", b" 26,26", b" 26, 26", b" 26,", b" ,26", b" 26;x"),
    *(b"", b" ", b" \xb2\xb6", b" 26\0", b" 26\x0b", b" \x0b26", b" 26\x0c", b" 26\xa0", b"\r26"),
    *(b' "26"', b" 26\r\n 26", b"\r\n 26", b"\n26", b" 2\r\n6", b" 26\r\nContent-Length: 26"),
    *(b" 26\r\ncontent-length: 27", b" 0\r\nContent-Length: 26", b" 26\r\nTransfer-Encoding:"),
    *(b" 26\r\nTransfer-Encoding: chunked", b" 26\r\nTransfer-Encoding: identity"),
    *(b" 26\r\nTransfer-Encoding : chunked", b" 26\r\n Transfer-Encoding: chunked"),
]
_CODINGS = [
    *(b"chunked", b" Chunked", b" CHUNKED ", b"  chunked", b" chunke", b"", b" xchunked", b" x"),
    *(b" chunkedx", b" chunked\0", b" chunked\x0b", b"\x0bchunked", b" chunked;x", b" 'chunked'"),
    *(b" chunked;x=y", b' "chunked"', b" \xffchunked", b" chunked\xa0", b" ch\x96nked"),
    *(b" chunked, chunked", b" gzip, chunked", b" chunked, gzip", b" identity, chunked"),
    *(b" chunked, identity", b" identity", b" x, chunked", b" chunked, x", b" chunked x"),
    *(b" x chunked", b" chun ked", b"\r\n chunked", b"\n chunked", b" chun\r\n ked", b"\rchunked"),
    *(b" chunked\r\nTransfer-Encoding: chunked", b" chunked\r\nTransfer-Encoding: identity"),
    *(b" identity\r\nTransfer-Encoding: chunked", b"\r\nTransfer-Encoding: chunked"),
    *(b" chunked\r\nContent-Length: 26", b" chunked\r\nContent-Length: 0", b" chunked\r\n x"),
]
_CODING_NAMES = [
    *(b"Transfer-Encoding : ", b"Transfer-Encoding\t: ", b" Transfer-Encoding: ", b"X: "),
    *(b"Transfer-Encoding\x0b: ", b"Transf\x82r-Encoding: ", b"Transfer_Encoding: "),
    *(b"X: y\nTransfer-Encoding: ", b"X: y\rTransfer-Encoding: ", b"transfer-ENCODING: "),
]
_CHUNK_SIZES = [
    *(b"A", b"0a", b"0" * 40 + b"a", b"9", b"b", b"1a", b"10a", b"", b"a ", b" a", b"a\t", b"0xa"),
    *(b"+a", b"-a", b"a_", b"0_a", b"aL", b"\na", b"\r\na", b"\xb2", b"f" * 15 + b"a", b"20000"),
    *(b"1" + b"0" * 16 + b"a", b"f" * 40, b"a;x", b"a;x=y", b'a;x="y z"', b'a;x="\\"";y'),
    *(b"a;" + b"x" * 400, b"a ;x", b"a; x", b"a;x =y", b"a;x= y", b"a;", b"a;x=y=z", b"a;\xff"),
    *(b'a;x="y', b'a;x="y"z', b"a;x\0", b'a;x="\n"', b'a;x="\r\n"', b"a;x\n10", b"0\r\n", b"0"),
    *(b"00;x\r\n", b"a;x\rX", b'a;x=""'),
]
_NEXT_CHUNK_SIZES = [b"010", b"f", b"11", b"10;x=y", b"\r\n10", b" 10", b"0\r\n", b"x\r\n10"]
_LAST_CHUNKS = [b"00\r\n", b"000;x=y\r\n", b"0 \r\n", b"-0\r\n", b"0x0\r\n", b"0\r\n0\r\n", b"\r\n"]
_TRAILERS = [
    *(b"X: y", b"X:", b"X: y\r\nZ: \xff", b"Host: y", b"Connection: close", b"Expect: x", b": y"),
    *(b"Connection: upgrade\r\nUpgrade: h2c", b"X-Request-ID: x", b"Content-Length: 26", b"X : y"),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"X", b" X: y", b"X: y\r\n z"),
    *(b"X: \0", b"X: y\nZ: a", b"X: y\rZ: a", b"X\xff: y", _SMUGGLED[:-30]),
]
REPLACEMENTS = {
    b"GET ": _METHODS,
    b"/health/live": _TARGETS,
    b" HTTP/1.1": _VERSIONS,
    b"X-Request-ID:": [b"x-request-id:\t", b"X-Request-ID :", b"X_Request_ID:"],
    b"Host: x": _HOSTS + [b"Host: x\r\n" + field for field in _FIELDS],
    b"Content-Length: 26": [b"Content-Length:" + length for length in _LENGTHS]
    + [b"Content-Length : 26", b"Content-Length\t: 26", b" Content-Length: 26", b"X: y"],
    b"Transfer-Encoding: chunked": [b"Transfer-Encoding:" + coding for coding in _CODINGS]
    + [name + b"chunked" for name in _CODING_NAMES],
    b"\na\r": [b"\n" + size + b"\r" for size in _CHUNK_SIZES],
    b"\n10\r": [b"\n" + size + b"\r" for size in _NEXT_CHUNK_SIZES],
    b"\n0\r\n\r": [b"\n" + last + b"\r" for last in _LAST_CHUNKS]
    + [b"\n0\r\n" + trailer + b"\r\n\r" for trailer in _TRAILERS],
}
"""Replacements for each part of a seed."""

LINE_ENDS = [
    *(b"", b"\n", b"\r", b"\r\r\n", b"\r\n\n", b"\n\r", b"\r\n\r\n", b" \r\n", b"\r\n ", b"\0\r\n"),
]


def mutants(seed: bytes) -> Iterator[bytes]:
    """Yield variants of a seed in which one part, or one line end, is replaced."""
    for part, others in REPLACEMENTS.items():
        if part in seed:
            yield from (seed.replace(part, other, 1) for other in others)
    for end in re.finditer(rb"\r\n", seed):
        yield from (seed[: end.start()] + other + seed[end.end() :] for other in LINE_ENDS)


MUTANTS = {seed: list(mutants(seed)) for seed in SEEDS}
ALL_MUTANTS = [*SEEDS, *chain.from_iterable(MUTANTS.values())]
MUTATED_TWICE = st.builds(
    lambda request, replacement: request.replace(*replacement, 1),
    st.sampled_from(ALL_MUTANTS),
    st.sampled_from([(part, other) for part in REPLACEMENTS for other in REPLACEMENTS[part]]),
)
MUTATED = st.sampled_from(ALL_MUTANTS) | MUTATED_TWICE | damaged(st.sampled_from(ALL_MUTANTS))


def numbered(requests: Iterable[bytes]) -> list[bytes]:
    """Give each request a unique number."""
    return [
        re.sub(rb"(todo|hide)0000", rb"\g<1>%04d" % number, request)
        for number, request in enumerate(requests, 1)
    ]
