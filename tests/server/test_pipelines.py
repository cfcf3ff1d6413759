"""Request smuggling and desynchronisation: pipelines of mutated requests.

A reference parser written from RFC 9112 (tests/support/rfc9112.py) determines which requests the
bytes contain. Each of them must get one response, in order, and nothing else may be executed.
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

from tests.support import hostile, rfc9112
from tests.support.fuzzing import TIMEOUT, ReceivedBytes, fuzz_settings
from tests.support.hostile import CREATE, CREATE_CHUNKED, MUTANTS, READ, numbered
from tests.support.types import Sql
from tests.support.web import WebProcess, serving

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
OTHER_ID = re.compile("[0-9a-f]{16}|todo[0-9]{4}")
"""A generated request ID, or one from the part of a malformed header that was parsed."""
PLAIN_TODO = re.compile(rb'\{"description":"[a-z0-9]+"\}')


def is_pipelinable(data: bytes) -> bool:
    """Return whether `data` is one complete request after which the connection stays open."""
    requests = rfc9112.parse_requests(data + READ)
    return [request.closes_connection for request in requests] == [False, False]


PIPELINABLE = [mutant for mutant in hostile.ALL_MUTANTS if is_pipelinable(mutant)]
NOT_PIPELINABLE = [
    mutant
    for seed in (READ, CREATE, CREATE_CHUNKED)
    for mutant in MUTANTS[seed]
    if not is_pipelinable(mutant)
]
"""Malformed or incomplete requests, with the wrong body length, or closing the connection."""


@pytest.fixture(scope="module")
def database(databases: Callable[..., str], template: str) -> str:
    return databases(template)


@pytest.fixture(scope="module")
def shared_web(database: str) -> Iterator[WebProcess]:
    with serving(DATABASE_URL=database) as process:
        yield process


@pytest.fixture
def web(shared_web: WebProcess, sql: Sql) -> Iterator[WebProcess]:
    """Web process; a test fails if the process logs an error."""
    sql("TRUNCATE todos RESTART IDENTITY")
    already_logged = len(shared_web.output())
    yield shared_web
    logged = shared_web.output()[already_logged:]
    assert "Traceback" not in logged
    assert "ERROR" not in logged


def split(data: bytes, size: int) -> list[bytes]:
    """Split `data` into segments of `size` bytes."""
    return [data[start : start + size] for start in range(0, len(data), size)]


def exchange(web: WebProcess, segments: Iterable[bytes], pause: float = 0) -> bytes:
    """Send the segments one by one; return all data received until the connection is closed."""
    with (
        socket.create_connection(("127.0.0.1", web.port), timeout=TIMEOUT) as connection,
        # Read concurrently, so that neither side blocks on a full buffer.
        ThreadPoolExecutor(1) as reader,
    ):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        received = reader.submit(read_until_closed_or_reset, connection)
        # The server may close the connection after a malformed request.
        with suppress(BrokenPipeError, ConnectionResetError):
            for number, segment in enumerate(segments):
                time.sleep(pause if number else 0)
                connection.sendall(segment)
        with suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        return received.result()


def read_until_closed_or_reset(connection: socket.socket) -> bytes:
    received = bytearray()
    with suppress(ConnectionResetError):
        while data := connection.recv(2**16):
            received += data
    return bytes(received)


def check(sent: bytes, received: bytes) -> list[str]:
    """Check that each request has its response; return the descriptions of created todos."""
    stream, created = ReceivedBytes(received), []
    try:
        for request in rfc9112.parse_requests(sent):
            if request.is_complete or stream.tell() < len(received):
                created += check_response(request, stream)
        assert received[stream.tell() :] == b""
    except (AssertionError, HTTPException) as error:
        error.add_note(f"Sent: {hostile.RawRequest(sent)!r}\nLast: {request}")
        raise
    return created


def check_response(request: rfc9112.Request, received: ReceivedBytes) -> list[str]:
    """Read and check one response; return the description of the todo that it created, if any."""
    if received.getvalue().startswith(CONTINUE, received.tell()):
        assert request.expects_continue
        received.seek(len(CONTINUE), io.SEEK_CUR)
    response = HTTPResponse(received, method=request.method)  # type: ignore[arg-type]
    response.begin()
    body = response.read()
    assert response.status in statuses(request)
    assert (response.headers["Connection"] == "close") == request.closes_connection
    if response.headers["X-Request-ID"] != request.request_id:
        # A malformed header may have been parsed in part.
        assert request.error_statuses or not (request.request_id and request.is_complete)
        assert OTHER_ID.fullmatch(response.headers["X-Request-ID"])
    if response.status != 201:
        return []
    description = json.loads(request.body)["description"]
    assert json.loads(body)["description"] == description
    return [description]


def statuses(request: rfc9112.Request) -> Iterable[int]:
    """Return the statuses that are allowed for a request."""
    if request.error_statuses:
        return request.error_statuses
    if not request.is_complete:
        return {400}
    if (request.method, request.target) == ("GET", b"/health/live"):
        return {200}
    if (request.method, request.target) == ("POST", b"/api/todos"):
        is_json = request.fields.get(b"content-type") == [b"application/json"]
        return {201} if is_json and PLAIN_TODO.fullmatch(request.body) else {201, 400, 415}
    return range(200, 500)


def descriptions(sql: Sql) -> list[str]:
    """Return the descriptions of all todos in order of creation."""
    return [description for (description,) in sql("SELECT description FROM todos ORDER BY id")]


def test_each_of_hundreds_of_pipelined_requests_gets_a_response(web: WebProcess, sql: Sql) -> None:
    sent = b"".join(numbered(PIPELINABLE))

    received = exchange(web, [sent])

    assert received.count(b"HTTP/1.1 ") > 900
    assert check(sent, received) == descriptions(sql)


def test_each_request_sent_byte_by_byte_gets_a_response(web: WebProcess, sql: Sql) -> None:
    sent = b"".join(numbered(PIPELINABLE[::4]))

    received = exchange(web, split(sent, 1))

    assert received.count(b"HTTP/1.1 ") > 200
    assert check(sent, received) == descriptions(sql)


@pytest.mark.parametrize(
    ("mutants", "size"),
    [(NOT_PIPELINABLE, 1_000_000), (NOT_PIPELINABLE[::3], 7)],
    ids=["whole", "split"],
)
def test_malformed_requests_do_not_desynchronise_the_connection(
    web: WebProcess, sql: Sql, mutants: list[bytes], size: int
) -> None:
    created = []
    for mutant in mutants:
        sent = b"".join(numbered([CREATE, mutant, CREATE, READ]))
        created += check(sent, exchange(web, split(sent, size)))

    assert created == descriptions(sql)


@pytest.mark.parametrize(
    "requests",
    [[CREATE_CHUNKED, READ], [CREATE, CREATE.replace(b"26", b"25"), READ]],
    ids=["chunked", "malformed"],
)
def test_a_pipeline_may_be_split_anywhere(web: WebProcess, sql: Sql, requests: list[bytes]) -> None:
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
REGRESSIONS = {
    "the longest request line, split before LF": [LONGEST, b"\nHost: x\r\n\r\n"],
    "Proxy-Connection: close is ignored": [with_field(READ, b"Proxy-Connection: close") + READ],
    "Proxy-Connection: keep-alive is ignored": [with_field(OLD, b"Proxy-Connection: keep-alive")],
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


@pytest.mark.parametrize("segments", REGRESSIONS.values(), ids=list(REGRESSIONS))
def test_regressions_found_by_fuzzing(web: WebProcess, segments: list[bytes]) -> None:
    # The pause lets the server read the first segment on its own.
    check(b"".join(segments), exchange(web, segments, pause=0.1))


def test_each_request_in_a_random_pipeline_gets_a_response(web: WebProcess, sql: Sql) -> None:
    @fuzz_settings(5)
    @given(
        st.builds(
            lambda start, step, count: PIPELINABLE[start::step][:count],
            st.integers(0, 300),
            st.integers(1, 10),
            st.integers(0, 100),
        ),
        st.lists(hostile.MUTATED, min_size=1, max_size=3),
        st.integers(1, 50) | st.sampled_from([1, 1_000_000]),
    )
    def gets_a_response_each(valid: list[bytes], mutated: list[bytes], size: int) -> None:
        sent = b"".join(numbered(valid + mutated))
        sql("TRUNCATE todos")
        assert check(sent, exchange(web, split(sent, size))) == descriptions(sql)

    gets_a_response_each()
