"""What a client may do to its connection, and that it is nobody else's problem."""

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
    answer,
    client,
    exchange,
    read_to_the_end,
)
from tests.support.waiting import wait_until
from tests.support.web import WebProcess, serving

SLOW_TO_SEND = {
    "silent": b"",
    "half a head": b"GET / HTTP/1.1\r\nX: ",
    "half a body": POST + b'Content-Length: 100\r\n\r\n{"des',
    "half a chunk": POST + b'Transfer-Encoding: chunked\r\n\r\n20\r\n{"des',
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
def web(shared_web: WebProcess, sql: Callable[[str], list[tuple]]) -> Iterator[WebProcess]:
    """A web process with little patience and one thread, which nobody may keep for himself."""
    yield shared_web
    sql("TRUNCATE todos RESTART IDENTITY")


@pytest.mark.parametrize("data", SLOW_TO_SEND.values(), ids=list(SLOW_TO_SEND))
def test_clients_that_are_slow_to_send_keep_no_thread(web: WebProcess, data: bytes) -> None:
    with client(web, data), client(web, data):
        assert web.request("GET", "/api/todos").ok


@pytest.mark.parametrize("data", SLOW_TO_SEND.values(), ids=list(SLOW_TO_SEND))
def test_a_client_that_is_slow_to_send_is_cut_off(web: WebProcess, data: bytes) -> None:
    with client(web, data) as connection:
        began = time.monotonic()
        last_words = read_to_the_end(connection)
        assert time.monotonic() - began > 0.9

    assert last_words.startswith(b"HTTP/1.1 408 ") if data else last_words == b""
    assert last_words.endswith(b'{"detail":"Request timeout"}') if data else True
    assert web.request("GET", "/api/todos").json() == []


def test_a_byte_now_and_then_is_not_enough(web: WebProcess) -> None:
    with client(web, b"GET / HTTP/1.1\r\nX: ") as connection:
        connection.settimeout(0.2)
        for _ in range(100):
            try:
                last_words = connection.recv(65536)
                break
            except TimeoutError:
                connection.sendall(b"x")

    assert last_words.startswith(b"HTTP/1.1 408 ")


def test_a_client_that_does_not_read_is_cut_off(
    web: WebProcess, sql: Callable[[str], list[tuple]]
) -> None:
    sql("INSERT INTO todos (description) SELECT repeat('x', 500) FROM generate_series(1, 50000)")
    with client(web, b"GET /api/todos HTTP/1.1\r\nHost: x\r\n\r\n") as connection:
        wait_until(lambda: READ_TIMEOUT in web.output())
        assert web.request("GET", "/api/todos/1").ok

        # What it finds when it reads at last does not pass for the whole.
        response = http.client.HTTPResponse(connection)
        response.begin()
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            response.read()


@contextmanager
def waiting_request(
    web: WebProcess, database: str, sql: Callable[[str], list[tuple]]
) -> Iterator[Future[requests.Response]]:
    """A change of the only todo, which waits for a lock and keeps the only thread."""
    sql("INSERT INTO todos (description) VALUES ('x')")
    with closing(psycopg2.connect(database)) as other, ThreadPoolExecutor() as clients:
        other.cursor().execute("SELECT * FROM todos FOR UPDATE")
        request = clients.submit(web.request, "PATCH", "/api/todos/1", json={"completed": True})
        wait_until(lambda: sql("SELECT 1 FROM pg_locks WHERE NOT granted"))
        yield request


def test_a_request_that_waits_too_long_for_a_thread_is_refused_and_not_executed(
    web: WebProcess, database: str, sql: Callable[[str], list[tuple]]
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
    # The page that sent it gets to read that.
    assert second.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert first.result().status_code == 503
    assert sql("SELECT description FROM todos") == [("x",)]
    assert "A request waited too long for a thread" in web.output()


def test_health_does_not_wait_for_those_that_wait_for_the_database(
    web: WebProcess, database: str, sql: Callable[[str], list[tuple]]
) -> None:
    with waiting_request(web, database, sql) as waiting:
        assert web.request("GET", "/health/live").ok
        assert web.request("GET", "/health").status_code == 503  # the one connection is taken
        assert not waiting.done()


def test_requests_that_come_at_once_are_answered_in_turn(web: WebProcess) -> None:
    create = POST + b'Content-Length: 20\r\n\r\n{"description": "x"}'
    last = LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with client(web, create + LIVE + create + last[:10]) as connection:
        answers = b""
        while answers.count(b"HTTP/1.1 ") < 3:
            answers += connection.recv(65536)
        connection.sendall(last[10:])
        answers += read_to_the_end(connection)

    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"201", b"200", b"201", b"200"]


@pytest.mark.parametrize("before", [b"", LIVE])
def test_a_client_may_wait_to_be_told_to_send_the_body(web: WebProcess, before: bytes) -> None:
    expecting = POST + b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: 20\r\n\r\n"
    with client(web, before + expecting) as connection:
        answers = b""
        while b"HTTP/1.1 100 Continue\r\n\r\n" not in answers:
            answers += connection.recv(65536)
        connection.sendall(b'{"description": "x"}')
        answers += read_to_the_end(connection)

    assert answers.count(b"HTTP/1.1 201 ") == 1


def test_no_100_continue_for_a_request_without_a_body(web: WebProcess) -> None:
    expecting = LIVE.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    last = LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    for _ in range(50):
        with client(web, expecting) as connection:
            connection.sendall(last)
            answers = read_to_the_end(connection)
        statuses = re.findall(rb"HTTP/1.1 (\d+)", answers)
        assert statuses == [b"200", b"200"]


def test_a_body_that_breaks_off_is_no_request_even_where_nobody_reads_it(
    web: WebProcess, sql: Callable[[str], list[tuple]]
) -> None:
    sql("INSERT INTO todos (description) VALUES ('x')")
    for rest in (b"Content-Length: 9\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"):
        status, _ = exchange(web, b"DELETE /api/todos/1 HTTP/1.1\r\nHost: x\r\n" + rest)
        assert status == 400

    assert sql("SELECT count(*) FROM todos") == [(1,)]


def test_idle_clients_make_room_for_others(database: str) -> None:
    command = "gunicorn --worker-connections 10 wsgi:app"
    with serving(command, DATABASE_URL=database, WEB_CONCURRENCY="1") as web, ExitStack() as idle:
        for _ in range(20):
            assert answer(idle.enter_context(client(web, LIVE)))[0] == 200
        assert web.request("GET", "/api/todos").ok


@pytest.mark.slow
def test_a_client_that_reads_all_too_slowly_is_cut_off(
    web: WebProcess, sql: Callable[[str], list[tuple]]
) -> None:
    sql("INSERT INTO todos (description) SELECT repeat('x', 500) FROM generate_series(1, 50000)")
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
def test_what_cannot_be_read_to_its_end_is_refused_and_the_connection_closed(
    web: WebProcess, request_: bytes, status: int
) -> None:
    with client(web, request_) as connection:
        head, _, body = read_to_the_end(connection).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"connection: close" in head.lower()
    assert json.loads(body).keys() == {"detail"}
    assert "Traceback" not in web.output()


def test_a_connection_is_kept_for_the_next_request(web: WebProcess) -> None:
    with client(web, LIVE) as connection:
        assert answer(connection)[0] == 200
        time.sleep(1.5)  # longer than a client may take to send a request
        connection.sendall(LIVE)
        assert answer(connection)[0] == 200


def test_a_client_that_does_not_hang_up_keeps_nobody_waiting(web: WebProcess) -> None:
    with client(web, POST + b"Content-Length: 65537\r\n\r\n") as connection:
        assert connection.recv(12) == b"HTTP/1.1 413"
        began = time.monotonic()
        assert web.request("GET", "/api/todos").ok
        assert time.monotonic() - began < 1


def test_a_silent_client_does_not_keep_the_process_from_stopping(database: str) -> None:
    with serving(DATABASE_URL=database, REQUEST_TIMEOUT="30") as web, client(web), client(web):
        web.process.terminate()
        assert web.process.wait(timeout=10) == 0


@pytest.mark.parametrize(
    ("padding", "status"), [(0, 201), (64 * 1024 - 20, 201), (64 * 1024 - 19, 413)]
)
def test_a_chunked_body_has_the_same_limit_as_any_other(
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
def test_it_does_not_matter_how_the_end_of_a_chunked_body_is_cut(
    web: WebProcess, size: int, status: int, last: int
) -> None:
    body = b'{"description": "x"}'.ljust(size)
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (size, body)
    with client(web, POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks[:-last]) as connection:
        # Answered by the only thread, after what has come so far was looked at.
        assert web.request("GET", "/api/todos?limit=1").ok
        connection.sendall(chunks[-last:])
        assert answer(connection)[0] == status


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
    ids=["short", "no last chunk", "no end of chunk", "no size"],
)
def test_a_body_that_breaks_off_is_refused_and_not_applied(
    web: WebProcess, rest: bytes, detail: str
) -> None:
    head = b"POST /api/todos HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    status, answer = exchange(web, head + rest)

    assert (status, answer) == (400, {"detail": detail})
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
def test_what_is_not_even_http_is_answered_in_json_too(
    web: WebProcess, request_head: bytes, status: int
) -> None:
    answered, answer = exchange(web, request_head)

    assert answered == status
    assert isinstance(answer["detail"], str)


def test_a_body_whose_length_is_in_doubt_is_refused_and_logged(web: WebProcess) -> None:
    chunked = b"Transfer-Encoding: chunked"
    doubtful = [
        b"Content-Length: 5\r\n" + chunked,
        b"Content-Length: 5\r\nContent-Length: 6",
        *(b"Content-Length: " + length for length in (b"-1", b"+5", b"0x5", b"5 5", b"")),
        chunked + b", chunked",
        b"Transfer-Encoding: gzip",
    ]
    refused = web.output().count("POST /api/todos 400 ")
    for lines in doubtful:
        head = b"POST /api/todos HTTP/1.1\r\nHost: x\r\n" + lines
        status, answer = exchange(web, head + b"\r\n\r\n0\r\n\r\n")
        assert (status, list(answer)) == (400, ["detail"]), lines

    wait_until(lambda: web.output().count("POST /api/todos 400 ") == refused + len(doubtful))


def test_no_answer_tells_the_version_of_anything(web: WebProcess) -> None:
    for path in ("/api/todos", "/health", "/nowhere", "/docs"):
        headers = web.request("GET", path).headers
        assert headers["Server"] == "gunicorn"
        assert "X-Powered-By" not in headers
