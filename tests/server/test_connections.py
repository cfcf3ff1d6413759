"""Connections: slow clients, timeouts, pipelining, `100 Continue`, size limits, bad framing."""

import http.client
import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager

import psycopg2
import pytest
import requests

from tests.support.raw import (
    LIVE,
    POST,
    READ_TIMEOUT,
    client,
    exchange,
    read_response,
    read_until_closed,
)
from tests.support.todos import IDENTICAL, insert_todos
from tests.support.types import Sql
from tests.support.waiting import wait_until
from tests.support.web import WebProcess, serving

PARTIAL_REQUESTS = {
    "empty": b"",
    "partial header": b"GET / HTTP/1.1\r\nX: ",
    "partial body": POST + b'Content-Length: 100\r\n\r\n{"des',
    "partial chunk": POST + b'Transfer-Encoding: chunked\r\n\r\n20\r\n{"des',
}


@pytest.fixture(scope="module")
def database(databases: Callable[..., str], template: str) -> str:
    return databases(template)


@pytest.fixture(scope="module")
def shared_web(database: str) -> Iterator[WebProcess]:
    environ = {"REQUEST_TIMEOUT": "1", "WEB_CONCURRENCY": "1", "WEB_THREADS": "1"}
    with serving(DATABASE_URL=database, **environ) as process:
        yield process


@pytest.fixture
def web(shared_web: WebProcess, sql: Sql) -> Iterator[WebProcess]:
    """Web process with a short REQUEST_TIMEOUT and a single thread."""
    yield shared_web
    sql("TRUNCATE todos RESTART IDENTITY")


@pytest.mark.parametrize("data", PARTIAL_REQUESTS.values(), ids=list(PARTIAL_REQUESTS))
def test_partial_requests_occupy_no_thread(web: WebProcess, data: bytes) -> None:
    with client(web, data), client(web, data):
        assert web.request("GET", "/api/todos").ok


@pytest.mark.parametrize("data", PARTIAL_REQUESTS.values(), ids=list(PARTIAL_REQUESTS))
def test_a_partial_request_times_out_with_408(web: WebProcess, data: bytes) -> None:
    with client(web, data) as connection:
        began = time.monotonic()
        response = read_until_closed(connection)
        assert time.monotonic() - began > 0.9

    assert response.startswith(b"HTTP/1.1 408 ") if data else response == b""
    assert response.endswith(b'{"detail":"Request timeout"}') if data else True
    assert web.request("GET", "/api/todos").json() == []


def test_sending_a_byte_at_a_time_does_not_extend_the_deadline(web: WebProcess) -> None:
    with client(web, b"GET / HTTP/1.1\r\nX: ") as connection:
        connection.settimeout(0.2)
        for _ in range(100):
            try:
                response = connection.recv(65536)
                break
            except TimeoutError:
                connection.sendall(b"x")

    assert response.startswith(b"HTTP/1.1 408 ")


def test_a_client_that_does_not_read_is_disconnected(web: WebProcess, sql: Sql) -> None:
    sql(insert_todos(50000, IDENTICAL))
    with client(web, b"GET /api/todos HTTP/1.1\r\nHost: x\r\n\r\n") as connection:
        wait_until(lambda: READ_TIMEOUT in web.output())
        assert web.request("GET", "/api/todos/1").ok

        # The truncated response cannot be mistaken for a complete one.
        response = http.client.HTTPResponse(connection)
        response.begin()
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            response.read()


@contextmanager
def waiting_request(
    web: WebProcess, database: str, sql: Sql
) -> Iterator[Future[requests.Response]]:
    """A PATCH that waits for a row lock and occupies the only thread."""
    sql("INSERT INTO todos (description) VALUES ('x')")
    with closing(psycopg2.connect(database)) as other, ThreadPoolExecutor() as clients:
        other.cursor().execute("SELECT * FROM todos FOR UPDATE")
        request = clients.submit(web.request, "PATCH", "/api/todos/1", json={"completed": True})
        wait_until(lambda: sql("SELECT 1 FROM pg_locks WHERE NOT granted"))
        yield request


def test_a_request_queued_for_too_long_is_refused_and_not_executed(
    web: WebProcess, database: str, sql: Sql
) -> None:
    with waiting_request(web, database, sql) as first:
        second = web.request(
            "POST",
            "/api/todos",
            json={"description": "y"},
            headers={"Origin": "http://localhost:3000"},
        )

    assert (second.status_code, second.json()) == (503, {"detail": "The service is overloaded"})
    assert int(second.headers["Retry-After"]) > 0
    # CORS headers let the page that sent the request read the response.
    assert second.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert first.result().status_code == 503
    assert sql("SELECT description FROM todos") == [("x",)]
    assert "A request waited too long for a thread" in web.output()


def test_health_checks_do_not_queue_behind_requests_waiting_for_the_database(
    web: WebProcess, database: str, sql: Sql
) -> None:
    with waiting_request(web, database, sql) as waiting:
        assert web.request("GET", "/health/live").ok
        assert (
            web.request("GET", "/health").status_code == 503
        )  # the only pooled connection is in use
        assert not waiting.done()


def test_pipelined_requests_get_responses_in_order(web: WebProcess) -> None:
    create = POST + b'Content-Length: 20\r\n\r\n{"description": "x"}'
    last = LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with client(web, create + LIVE + create + last[:10]) as connection:
        received = b""
        while received.count(b"HTTP/1.1 ") < 3:
            received += connection.recv(65536)
        connection.sendall(last[10:])
        received += read_until_closed(connection)

    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"201", b"200", b"201", b"200"]


@pytest.mark.parametrize("before", [b"", LIVE])
def test_a_client_that_expects_100_continue_gets_it(web: WebProcess, before: bytes) -> None:
    expecting = POST + b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: 20\r\n\r\n"
    with client(web, before + expecting) as connection:
        received = b""
        while b"HTTP/1.1 100 Continue\r\n\r\n" not in received:
            received += connection.recv(65536)
        connection.sendall(b'{"description": "x"}')
        received += read_until_closed(connection)

    assert received.count(b"HTTP/1.1 201 ") == 1


def test_no_100_continue_for_a_request_without_a_body(web: WebProcess) -> None:
    expecting = LIVE.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    last = LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    for _ in range(50):
        with client(web, expecting) as connection:
            connection.sendall(last)
            received = read_until_closed(connection)
        statuses = re.findall(rb"HTTP/1.1 (\d+)", received)
        assert statuses == [b"200", b"200"]


def test_a_delete_with_an_incomplete_or_malformed_body_is_not_executed(
    web: WebProcess, sql: Sql
) -> None:
    sql("INSERT INTO todos (description) VALUES ('x')")
    for rest in (b"Content-Length: 9\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"):
        status, _ = exchange(web, b"DELETE /api/todos/1 HTTP/1.1\r\nHost: x\r\n" + rest)
        assert status == 400

    assert sql("SELECT count(*) FROM todos") == [(1,)]


def test_idle_connections_are_evicted_at_the_connection_limit(database: str) -> None:
    command = "gunicorn --worker-connections 10 wsgi:app"
    with serving(command, DATABASE_URL=database, WEB_CONCURRENCY="1") as web, ExitStack() as idle:
        for _ in range(20):
            assert read_response(idle.enter_context(client(web, LIVE)))[0] == 200
        assert web.request("GET", "/api/todos").ok


@pytest.mark.slow
def test_a_client_that_reads_too_slowly_is_disconnected(web: WebProcess, sql: Sql) -> None:
    sql(insert_todos(50000, IDENTICAL))
    before = web.output().count(READ_TIMEOUT)
    with client(web, b"GET /api/todos HTTP/1.1\r\nHost: x\r\n\r\n") as connection:
        wait_until(lambda: connection.recv(1000) and web.output().count(READ_TIMEOUT) > before)
    assert web.request("GET", "/api/todos/1").ok


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (POST + b"Content-Length: 65537\r\n\r\n", 413),
        (POST + b"Content-Length: 1000000000\r\n\r\nabc", 413),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"60000\r\n" + b" " * 300_000, 413),
        (POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (POST + b"Content-Length: x\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: x\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000, 431),
        (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    ],
)
def test_a_request_with_a_bad_length_or_size_is_refused_and_the_connection_closed(
    web: WebProcess, request_: bytes, status: int
) -> None:
    with client(web, request_) as connection:
        head, _, body = read_until_closed(connection).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"connection: close" in head.lower()
    assert json.loads(body).keys() == {"detail"}
    assert "Traceback" not in web.output()


def test_keep_alive_outlasts_the_request_timeout(web: WebProcess) -> None:
    with client(web, LIVE) as connection:
        assert read_response(connection)[0] == 200
        time.sleep(1.5)  # longer than REQUEST_TIMEOUT
        connection.sendall(LIVE)
        assert read_response(connection)[0] == 200


def test_a_lingering_close_delays_no_other_client(web: WebProcess) -> None:
    with client(web, POST + b"Content-Length: 65537\r\n\r\n") as connection:
        assert connection.recv(12) == b"HTTP/1.1 413"
        began = time.monotonic()
        assert web.request("GET", "/api/todos").ok
        assert time.monotonic() - began < 1


def test_idle_connections_do_not_delay_shutdown(database: str) -> None:
    with serving(DATABASE_URL=database, REQUEST_TIMEOUT="30") as web, client(web), client(web):
        web.process.terminate()
        assert web.process.wait(timeout=10) == 0


@pytest.mark.parametrize(
    ("padding", "status"), [(0, 201), (64 * 1024 - 20, 201), (64 * 1024 - 19, 413)]
)
def test_a_chunked_body_has_the_same_size_limit_as_any_other(
    web: WebProcess, padding: int, status: int
) -> None:
    response = web.request(
        "POST",
        "/api/todos",
        data=iter([b'{"description":', b' "x"}', b" " * padding]),
        headers={"Content-Type": "application/json"},
    )

    assert response.status_code == status


@pytest.mark.parametrize(
    ("size", "status"), [(64 * 1024, 201), (64 * 1024 + 1, 413), (64 * 1024 + 5, 413)]
)
@pytest.mark.parametrize("last", [1, 2, 3, 4, 7])
def test_the_end_of_a_chunked_body_may_be_split_anywhere(
    web: WebProcess, size: int, status: int, last: int
) -> None:
    body = b'{"description": "x"}'.ljust(size)
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (size, body)
    with client(web, POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks[:-last]) as connection:
        # By the time of this response, the server has processed the first part.
        assert web.request("GET", "/api/todos?limit=1").ok
        connection.sendall(chunks[-last:])
        assert read_response(connection)[0] == status


@pytest.mark.parametrize(
    ("rest", "detail"),
    [
        (b'Content-Length: 100\r\n\r\n{"description": "x"}', "The request is incomplete"),
        (
            b'Transfer-Encoding: chunked\r\n\r\n14\r\n{"description": "x"}\r\n',
            "The request is incomplete",
        ),
        (
            b'Transfer-Encoding: chunked\r\n\r\n14\r\n{"description": "x"}',
            "The request is incomplete",
        ),
        (
            b'Transfer-Encoding: chunked\r\n\r\nzz\r\n{"description": "x"}',
            "Malformed chunked body: Invalid character in chunk size",
        ),
    ],
    ids=["short", "no last chunk", "no end of chunk", "invalid size"],
)
def test_an_incomplete_or_malformed_body_is_refused_and_not_applied(
    web: WebProcess, rest: bytes, detail: str
) -> None:
    head = b"POST /api/todos HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    status, body = exchange(web, head + rest)

    assert (status, body) == (400, {"detail": detail})
    assert web.request("GET", "/api/todos").json() == []
    assert "Traceback" not in web.output()


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET /api/todos/" + b"9" * 8200 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + b"X: x\r\n" * 200 + b"\r\n", 431),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX:\0\r\n\r\n", 400),
        (b"POST /api/todos HTTP/1.1\r\nTransfer-Encoding: x\r\n\r\n", 501),
    ],
)
def test_malformed_http_gets_a_json_response(
    web: WebProcess, request_head: bytes, status: int
) -> None:
    actual_status, body = exchange(web, request_head)

    assert actual_status == status
    assert isinstance(body["detail"], str)


def test_an_ambiguous_body_length_is_refused_and_logged(web: WebProcess) -> None:
    chunked = b"Transfer-Encoding: chunked"
    ambiguous = [
        b"Content-Length: 5\r\n" + chunked,
        b"Content-Length: 5\r\nContent-Length: 6",
        *(b"Content-Length: " + length for length in (b"-1", b"+5", b"0x5", b"5 5", b"")),
        chunked + b", chunked",
        b"Transfer-Encoding: gzip",
    ]
    refused = web.output().count("POST /api/todos 400 ")
    for lines in ambiguous:
        head = b"POST /api/todos HTTP/1.1\r\nHost: x\r\n" + lines
        status, body = exchange(web, head + b"\r\n\r\n0\r\n\r\n")
        assert (status, list(body)) == (400, ["detail"]), lines

    wait_until(lambda: web.output().count("POST /api/todos 400 ") == refused + len(ambiguous))


def test_no_response_discloses_a_version(web: WebProcess) -> None:
    for path in ("/api/todos", "/health", "/nowhere", "/docs"):
        headers = web.request("GET", path).headers
        assert headers["Server"] == "gunicorn"
        assert "X-Powered-By" not in headers
