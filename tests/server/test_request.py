"""Request framing: message boundaries, refusals, limits and CPU time."""

import itertools
import time
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waitress.adjustments import Adjustments

from server.request import MAX_HEADER_FIELDS, MAX_REQUEST_LINE, Request

MAX_BODY = 64 * 1024
MAX_HEADER_SIZE = 32 * 1024
LIMITS = Adjustments(max_request_body_size=MAX_BODY, max_request_header_size=MAX_HEADER_SIZE)

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"transfer-ENCODING:  Chunked \r\n\r\n"
UPGRADE = POST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
COMPLETE = {
    GET: b"",
    b"\r\n" + GET: b"",
    b"\r\n\r\n\r\n" + GET: b"",
    POST + b"Content-Length: 0\r\n\r\n": b"",
    POST + b"CONTENT-length:3 \r\n\r\nabc": b"abc",
    POST + b"Content-Length: " + b"0" * 100 + b"3\r\n\r\nabc": b"abc",
    POST + b"Content-Length: 4\r\n\r\n\r\n\r\n": b"\r\n\r\n",
    CHUNKED + b"0\r\n\r\n": b"",
    CHUNKED + b"3\r\nabc\r\n0\r\n\r\n": b"abc",
    CHUNKED + b"0006\r\n\r\n\r\n\r\n\r\n0\r\n\r\n": b"\r\n\r\n\r\n",
    CHUNKED + b"a;name=value\r\n0123456789\r\n2\r\n\r\n\r\n0\r\nX: y\r\n\r\n": b"0123456789\r\n",
    UPGRADE + b"Content-Length: 3\r\n\r\nabc": b"abc",
    UPGRADE + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n": b"abc",
}
"""Complete requests and their bodies."""

MALFORMED_CHUNKS = [
    b"-1\r\n",
    b"0x3\r\nabc\r\n",
    b"3 \r\nabc\r\n",
    b"3\nabc\r\n",
    b"3\r\nabc\r\nx\r\n",
    b"3\r\nabcd\r\n0\r\n\r\n",
    b"3\r\nabc0\r\n\r\n",
    b"\r\n3\r\nabc\r\n0\r\n\r\n",
    b"f" * 40 + b"\r\n",
    b"0\r\nno colon\r\n\r\n",
]


def receive(data: bytes, piece: int = 8192) -> tuple[Request, int]:
    """Parse a request from `data`; return it and the number of bytes consumed."""
    request, consumed = Request(LIMITS), 0
    while consumed < len(data) and not request.completed:
        consumed += request.received(data[consumed : consumed + piece])
    return request, consumed


def refusal(data: bytes) -> HTTPStatus | None:
    """Return the status with which the request is refused, or None."""
    request, _ = receive(data)
    return request.error[0] if request.error else None


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 8192])
@pytest.mark.parametrize("following", [b"", GET])
@pytest.mark.parametrize("data", COMPLETE)
def test_a_request_completes_exactly_with_its_last_byte(
    data: bytes, following: bytes, piece: int
) -> None:
    incomplete, _ = receive(data[:-1], piece)
    request, consumed = receive(data + following, piece)

    assert not incomplete.completed
    assert (request.completed, consumed, request.error) == (True, len(data), None)
    assert request.body == COMPLETE[data]


@given(st.sampled_from(list(COMPLETE)), st.lists(st.integers(0, 120)))
def test_a_request_may_be_split_anywhere(data: bytes, cuts: list[int]) -> None:
    request = Request(LIMITS)
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})

    for start, end in itertools.pairwise(places):
        assert not request.completed
        assert request.received(data[start:end]) == end - start

    assert request.completed
    assert request.body == COMPLETE[data]


@pytest.mark.parametrize("piece", [1, 7, 8192])
@pytest.mark.parametrize("chunks", MALFORMED_CHUNKS)
def test_a_malformed_chunked_body_is_refused(chunks: bytes, piece: int) -> None:
    request, _ = receive(CHUNKED + chunks, piece)

    assert request.error
    assert request.error[0] == HTTPStatus.BAD_REQUEST
    assert not request.keep_alive


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"get / HTTP/1.1\r\n\r\n", 400),
        (b" GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1 \r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"GET / RTSP/1.0\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX : y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n X: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: y\r\n z\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: y\rz\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: y\nY: z\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: \0\r\n\r\n", 400),
        (POST + b"Content-Length: -1\r\n\r\n", 400),
        (POST + b"Content-Length: 0x3\r\n\r\n", 400),
        (POST + b"Content-Length: 3, 3\r\n\r\nabc", 400),
        (POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
        (POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
        (POST + b"Content-Length: %d\r\n\r\n" % (MAX_BODY + 1), 413),
        (POST + b"Transfer-Encoding: gzip\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\x0b\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (POST + b"Transfer-Encoding: unheard-of\r\n\r\n", 501),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Expect: the unexpected\r\nContent-Length: 3\r\n\r\n", 417),
        (CHUNKED + b"%x\r\n" % (MAX_BODY + 1) + b"x" * (MAX_BODY + 1), 413),
        (CHUNKED + b"1\r\na\r\n" * 44_000, 413),
        (b"GET /" + b"x" * MAX_REQUEST_LINE, 414),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEADER_SIZE, 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * (MAX_HEADER_FIELDS + 1) + b"\r\n", 431),
    ],
)
def test_malformed_and_too_large_requests_are_refused(data: bytes, status: int) -> None:
    assert refusal(data) == status


@pytest.mark.parametrize("size", [MAX_BODY - 1, MAX_BODY])
def test_a_body_at_the_size_limit_is_accepted(size: int) -> None:
    assert refusal(POST + b"Content-Length: %d\r\n\r\n" % size + b"x" * size) is None
    assert refusal(CHUNKED + b"%x\r\n" % size + b"x" * size + b"\r\n0\r\n\r\n") is None


@pytest.mark.parametrize("method", [b"BREW", b"CONNECT", b"M-SEARCH", b"QUERY"])
def test_any_token_is_accepted_as_a_method(method: bytes) -> None:
    request, _ = receive(method + b" / HTTP/1.1\r\n\r\n")

    assert (request.method, request.error) == (method.decode(), None)


@pytest.mark.parametrize(
    ("head", "keep_alive"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", True),
        (b"GET / HTTP/1.6\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nConnection: close, te\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nConnection: TE,  Close\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True),
    ],
)
def test_connection_options_are_parsed_as_a_list(head: bytes, keep_alive: bool) -> None:
    request, _ = receive(head)

    assert (request.keep_alive, request.error) == (keep_alive, None)


@pytest.mark.parametrize(
    ("data", "expects"),
    [
        (POST + b"Expect: 100-Continue\r\nContent-Length: 3\r\n\r\n", True),
        (CHUNKED.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"), True),
        (POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\na", False),
        (POST + b"Expect: 100-continue\r\n\r\n", False),
        (POST + b"Expect: 100-continue\r\nContent-Length: 99999\r\n\r\n", False),
        (b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", False),
        (POST + b"Content-Length: 3\r\n\r\n", False),
    ],
)
def test_100_continue_is_expected_only_before_an_acceptable_body(
    data: bytes, expects: bool
) -> None:
    request, _ = receive(data)

    assert request.expect_continue is expects


def test_fields_have_wsgi_names_and_underscores_are_dropped() -> None:
    request, _ = receive(
        POST + b"X-Forwarded-For: a \r\nX_Forwarded_For: b\r\nX-Forwarded-For:\tc\r\n"
        b"Cookie: d=1\r\nCookie: e=2\r\nContent-Type: text/plain\r\n\r\n"
    )

    assert request.fields == {
        "HTTP_HOST": "x",
        "HTTP_X_FORWARDED_FOR": "a, c",
        "HTTP_COOKIE": "d=1; e=2",
        "CONTENT_TYPE": "text/plain",
    }


FIELDS = [
    b"Host",
    b"Content-Length",
    b"Transfer-Encoding",
    b"Expect",
    b"Connection",
    b"Upgrade",
    b"X",
]
BEFORE = [b"", b"a"]
AFTER = [b"", b"b", b"\r", b"\x01", b"\r\n b", b"\r\n\t"]


def cpu_seconds(data: bytes, piece: int = 8192) -> float:
    began = time.process_time()
    receive(data, piece)
    return time.process_time() - began


@pytest.mark.parametrize("repeated", [b" ", b"\t", b" \t", b",", b", ", b";", b'"', b"a, "])
@pytest.mark.parametrize("name", FIELDS)
def test_repetitive_field_values_cause_no_backtracking(name: bytes, repeated: bytes) -> None:
    for before, after in itertools.product(BEFORE, AFTER):
        run = repeated * (30_000 // len(repeated))
        head = b"GET / HTTP/1.1\r\nHost: x\r\n" + name + b":" + before + run + after
        # A backtracking parser would need from a second to hours.
        assert cpu_seconds(head + b"\r\n\r\n") < 0.05


@pytest.mark.parametrize(
    "data",
    [
        CHUNKED + b"1\r\na\r\n" * 39_000 + b"0\r\n\r\n",
        CHUNKED + b"fffe\r\n" + b"\r\n" * 0x7FFF + b"\r\n0\r\n\r\n",
        CHUNKED + b"0\r\n" + b"X: y\r\n" * 30_000 + b"\r\n",
        CHUNKED + b"1;" + b"a=b;" * 50_000 + b"a\r\na\r\n0\r\n\r\n",
        b"\r\n" * 100_000 + GET,
    ],
    ids=["39,000 chunks", "empty lines in a chunk", "trailer", "extensions", "empty lines before"],
)
def test_a_body_of_many_parts_costs_less_than_50_ms(data: bytes) -> None:
    assert cpu_seconds(data) < 0.05
