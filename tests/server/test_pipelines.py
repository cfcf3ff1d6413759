"""Pipelines of mutated requests: as many responses, in the same order, as there are requests.

How many requests the bytes contain, and which of them are malformed, is what a strict reading of
RFC 9112 finds (rfc9112.py). A request that it does not find must not be executed.
"""

import io
import json
import re
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPException, HTTPResponse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.server.test_fuzz import SECONDS, Received, share
from tests.support import hostile, rfc9112
from tests.support.hostile import CREATE, CREATE_CHUNKED, MUTANTS, READ, numbered
from tests.support.web import WebProcess, serving

Sql = Callable[[str], list[tuple]]

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
OTHER_ID = re.compile("[0-9a-f]{16}|todo[0-9]{4}")
"""An ID that the service made, or that was in the part of a head that it read."""
PLAIN_TODO = re.compile(rb'\{"description":"[a-z0-9]+"\}')


def is_harmless(request: bytes) -> bool:
    """Return whether the bytes are one whole request after which the next one is read."""
    return [each.closes for each in rfc9112.requests(request + READ)] == [False, False]


HARMLESS = [mutant for mutant in hostile.ALL_MUTANTS if is_harmless(mutant)]
HARMFUL = [
    mutant
    for seed in (READ, CREATE, CREATE_CHUNKED)
    for mutant in MUTANTS[seed]
    if not is_harmless(mutant)
]
"""Malformed, incomplete, the last of a connection, or with a body that is too short or too long."""


@pytest.fixture(scope="module")
def database(databases: Callable[..., str], template: str) -> str:
    return databases(template)


@pytest.fixture(scope="module")
def shared_web(database: str) -> Iterator[WebProcess]:
    with serving(DATABASE_URL=database) as process:
        yield process


@pytest.fixture
def web(shared_web: WebProcess, sql: Sql) -> Iterator[WebProcess]:
    """A web process; no test may make it log an error."""
    sql("TRUNCATE todos RESTART IDENTITY")
    already_logged = len(shared_web.output())
    yield shared_web
    logged = shared_web.output()[already_logged:]
    assert "Traceback" not in logged
    assert "ERROR" not in logged


def pieces(data: bytes, size: int) -> list[bytes]:
    """Return `data` in pieces of `size` bytes."""
    return [data[start : start + size] for start in range(0, len(data), size)]


def exchange(web: WebProcess, segments: Iterable[bytes], pause: float = 0) -> bytes:
    """Send each segment on its own, and return what is received until the connection closes."""
    with (
        socket.create_connection(("127.0.0.1", web.port), timeout=SECONDS) as connection,
        # Reads while this thread sends: neither side waits for room in the other's buffer.
        ThreadPoolExecutor(1) as reader,
    ):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        received = reader.submit(read_to_the_end, connection)
        # The server need not read on after a malformed request.
        with suppress(BrokenPipeError, ConnectionResetError):
            for number, segment in enumerate(segments):
                time.sleep(pause if number else 0)
                connection.sendall(segment)
        with suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        return received.result()


def read_to_the_end(connection: socket.socket) -> bytes:
    received = bytearray()
    with suppress(ConnectionResetError):
        while data := connection.recv(2**16):
            received += data
    return bytes(received)


def check(sent: bytes, received: bytes) -> list[str]:
    """Fail unless each request has its response; return the descriptions of created todos."""
    stream, created = Received(received), []
    try:
        for request in rfc9112.requests(sent):
            if request.is_complete or stream.tell() < len(received):
                created += check_response(request, stream)
        assert received[stream.tell() :] == b""
    except (AssertionError, HTTPException) as error:
        error.add_note(f"Sent: {hostile.Request(sent)!r}\nLast: {request}")
        raise
    return created


def check_response(request: rfc9112.Request, received: Received) -> list[str]:
    """Read one response and check it; return the description of the todo that was created."""
    if received.getvalue().startswith(CONTINUE, received.tell()):
        assert request.expects_continue
        received.seek(len(CONTINUE), io.SEEK_CUR)
    response = HTTPResponse(received, method=request.method)  # type: ignore[arg-type]
    response.begin()
    body = response.read()
    assert response.status in statuses(request)
    assert (response.headers["Connection"] == "close") == request.closes
    if response.headers["X-Request-ID"] != request.request_id:
        # A malformed head may have been read in part.
        assert request.refusals or not (request.request_id and request.is_complete)
        assert OTHER_ID.fullmatch(response.headers["X-Request-ID"])
    if response.status != 201:
        return []
    description = json.loads(request.body)["description"]
    assert json.loads(body)["description"] == description
    return [description]


def statuses(request: rfc9112.Request) -> Iterable[int]:
    """Return the statuses with which the service may respond to a request."""
    if request.refusals:
        return request.refusals
    if not request.is_complete:
        return {400}
    if (request.method, request.target) == ("GET", b"/health/live"):
        return {200}
    if (request.method, request.target) == ("POST", b"/api/todos"):
        is_json = request.fields.get(b"content-type") == [b"application/json"]
        return {201} if is_json and PLAIN_TODO.fullmatch(request.body) else {201, 400, 415}
    return range(200, 500)


def descriptions(sql: Sql) -> list[str]:
    """Return the descriptions of all todos in the order of their creation."""
    return [description for (description,) in sql("SELECT description FROM todos ORDER BY id")]


def test_hundreds_of_requests_at_once_have_a_response_each(web: WebProcess, sql: Sql) -> None:
    sent = b"".join(numbered(HARMLESS))

    received = exchange(web, [sent])

    assert received.count(b"HTTP/1.1 ") > 900
    assert check(sent, received) == descriptions(sql)


def test_requests_that_arrive_byte_by_byte_have_a_response_each(web: WebProcess, sql: Sql) -> None:
    sent = b"".join(numbered(HARMLESS[::4]))

    received = exchange(web, pieces(sent, 1))

    assert received.count(b"HTTP/1.1 ") > 200
    assert check(sent, received) == descriptions(sql)


@pytest.mark.parametrize(
    ("mutants", "size"), [(HARMFUL, 1_000_000), (HARMFUL[::3], 7)], ids=["whole", "split"]
)
def test_what_is_no_request_has_no_response_and_is_not_executed(
    web: WebProcess, sql: Sql, mutants: list[bytes], size: int
) -> None:
    created = []
    for mutant in mutants:
        sent = b"".join(numbered([CREATE, mutant, CREATE, READ]))
        created += check(sent, exchange(web, pieces(sent, size)))

    assert created == descriptions(sql)


@pytest.mark.parametrize(
    "requests",
    [[CREATE_CHUNKED, READ], [CREATE, CREATE.replace(b"26", b"25"), READ]],
    ids=["chunked", "malformed"],
)
def test_it_does_not_matter_where_a_pipeline_is_split(
    web: WebProcess, sql: Sql, requests: list[bytes]
) -> None:
    sent = b"".join(numbered(requests))
    created = []
    for place in range(1, len(sent)):
        # The pause lets the server read the first segment on its own.
        received = exchange(web, [sent[:place], sent[place:]], pause=0.001)
        created += check(sent, received)

    assert created == descriptions(sql)


def with_field(request: bytes, field: bytes) -> bytes:
    return request.replace(b"\r\n", b"\r\n" + field + b"\r\n", 1)


def with_chunk_extension(extension: bytes) -> list[bytes]:
    return [CREATE_CHUNKED.replace(b"\na\r", b"\na" + extension + b"\r")]


OLD = READ.replace(b"1.1", b"1.0")
LONGEST = b"GET /" + b"x" * (rfc9112.MAX_REQUEST_LINE - 14) + b" HTTP/1.1\r"
FOUND = {
    "the longest request line, split before LF": [LONGEST, b"\nHost: x\r\n\r\n"],
    "Proxy-Connection ends no connection": [with_field(READ, b"Proxy-Connection: close") + READ],
    "Proxy-Connection keeps no connection": [with_field(OLD, b"Proxy-Connection: keep-alive")],
    "close wins over keep-alive": [with_field(OLD, b"Connection: keep-alive, close") + READ],
    "a bare CR before a request line": [b"\r" + READ],
    "a bare LF before a request line": [b"\n" + READ],
    "a WebSocket handshake": [with_field(READ, b"Connection: upgrade\r\nUpgrade: websocket")],
    "a tab after a transfer coding": [CREATE_CHUNKED.replace(b": chunked", b": chunked\t")],
    "a chunk extension without a name": with_chunk_extension(b";=x"),
    "a chunk extension without a value": with_chunk_extension(b";x="),
    "an empty chunk extension": with_chunk_extension(b";;x"),
    "a chunk extension quoted in part": with_chunk_extension(b';x=y"z"'),
}


@pytest.mark.parametrize("segments", FOUND.values(), ids=list(FOUND))
def test_what_random_pipelines_found_is_as_the_strict_reading_has_it(
    web: WebProcess, segments: list[bytes]
) -> None:
    # The pause lets the server read the first segment on its own.
    check(b"".join(segments), exchange(web, segments, pause=0.1))


def test_random_pipelines_have_as_many_responses_as_requests(web: WebProcess, sql: Sql) -> None:
    @share(5)
    @given(
        st.builds(
            lambda start, step, count: HARMLESS[start::step][:count],
            st.integers(0, 300),
            st.integers(1, 10),
            st.integers(0, 100),
        ),
        st.lists(hostile.MUTATED, min_size=1, max_size=3),
        st.integers(1, 50) | st.sampled_from([1, 1_000_000]),
    )
    def has_a_response_each(harmless: list[bytes], mutated: list[bytes], size: int) -> None:
        sent = b"".join(numbered(harmless + mutated))
        sql("TRUNCATE todos")
        assert check(sent, exchange(web, pieces(sent, size))) == descriptions(sql)

    has_a_response_each()
