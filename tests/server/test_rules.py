"""HTTP/1.1 conformance of the web process: RFC 9110 and RFC 9112."""

import http.client
import json
import re
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import psycopg2
import pytest

from tests.api.test_security_headers import HEADERS
from tests.support.raw import (
    HEAD,
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

BODY = b'{"description": "x"}'
EXPECTING = POST + b"Expect: 100-continue\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CLOSE = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def database(databases: Callable[..., str], template: str) -> str:
    return databases(template)


@pytest.fixture(scope="module")
def shared_web(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    environ = {"REQUEST_TIMEOUT": "1", "WEB_CONCURRENCY": "1", "METRICS": "1"}
    directory = str(tmp_path_factory.mktemp("metrics"))
    with serving(DATABASE_URL=database, TMPDIR=directory, **environ) as process:
        yield process


@pytest.fixture
def web(shared_web: WebProcess, sql: Sql) -> Iterator[WebProcess]:
    yield shared_web
    sql("TRUNCATE todos RESTART IDENTITY")


def statuses(web: WebProcess, data: bytes) -> list[bytes]:
    """Send bytes, and return the status of each response until the connection is closed."""
    with client(web, data) as connection:
        return re.findall(rb"HTTP/1.1 (\d+)", read_until_closed(connection))


# 100 Continue


@pytest.mark.parametrize("framing", [b"Content-Length: 20", b"Transfer-Encoding: chunked"])
def test_expect_gets_a_single_100_continue(web: WebProcess, framing: bytes) -> None:
    chunked = b"chunked" in framing
    with client(web, EXPECTING + framing + b"\r\nConnection: close\r\n\r\n") as connection:
        received = b""
        while not received.endswith(CONTINUE):
            received += connection.recv(1)
        for byte in b"14\r\n" + BODY + b"\r\n0\r\n\r\n" if chunked else BODY:
            connection.sendall(bytes([byte]))
        received += read_until_closed(connection)

    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"100", b"201"]


@pytest.mark.parametrize("sent", [1, 20])
def test_no_100_continue_once_the_body_has_begun_to_arrive(web: WebProcess, sent: int) -> None:
    head = EXPECTING + b"Content-Length: 20\r\nConnection: close\r\n\r\n"
    with client(web, head + BODY[:sent]) as connection:
        # By the time of this response, the server has processed the first part.
        assert web.request("GET", "/health/live").ok
        connection.sendall(BODY[sent:])
        received = read_until_closed(connection)

    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"201"]


def test_no_100_continue_for_http_1_0(web: WebProcess) -> None:
    head = EXPECTING.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Content-Length: 20\r\n\r\n"
    with client(web, head) as connection:
        assert web.request("GET", "/health/live").ok
        connection.sendall(BODY)
        received = read_until_closed(connection)

    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"201"]


def test_no_100_continue_before_a_413(web: WebProcess) -> None:
    assert statuses(web, EXPECTING + b"Content-Length: 65537\r\n\r\n") == [b"413"]


def test_100_continue_to_a_pipelined_request_follows_the_earlier_responses(
    web: WebProcess,
) -> None:
    head = EXPECTING + b"Content-Length: 20\r\nConnection: close\r\n\r\n"
    with client(web, LIVE * 3 + head) as connection:
        received = b""
        while not received.endswith(CONTINUE):
            received += connection.recv(1)
        connection.sendall(BODY)
        received += read_until_closed(connection)

    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200"] * 3 + [b"100", b"201"]


# Host and target


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"Host:\r\n",
        b"Host: a b/c@d\r\n",
        b"Host: x\r\nHost: x\r\n",
        b"Host: x:port\r\n",
        b"Host: x:99999\r\n",
        b"Host: [::::]\r\n",
    ],
    ids=["none", "empty", "invalid", "two", "invalid port", "too high a port", "invalid IPv6"],
)
def test_a_missing_repeated_or_invalid_host_is_refused(web: WebProcess, host: bytes) -> None:
    status, body = exchange(web, b"GET /api/todos HTTP/1.1\r\n" + host + b"\r\n")

    assert status == 400
    assert "Host" in body["detail"]


@pytest.mark.parametrize(
    "host", [b"x", b"x:", b"x:8000", b"under_score:80", b"127.0.0.1:1", b"[::1]:8000", b"X.Y"]
)
def test_a_valid_host_is_accepted(web: WebProcess, host: bytes) -> None:
    with client(web, LIVE.replace(b"Host: x", b"Host: " + host)) as connection:
        assert read_response(connection)[0] == 200


def test_http_1_0_does_not_require_a_host(web: WebProcess) -> None:
    assert statuses(web, b"GET /health/live HTTP/1.0\r\n\r\n") == [b"200"]


@pytest.mark.parametrize(
    "target",
    [
        b"//health/live",
        b"//x/health/live",
        b"/%2fhealth/live",
        b"/health%2Flive",
        b"/health%2flive/",
        b"x://h/health/live",
        b"http://x/health/live",
        b"http://y/health/live",
        b"/health/live#x",
        b"/health/live?a#b",
        b"*",
        b"health/live",
        b"x:80",
        b"?a",
    ],
)
def test_a_target_that_is_not_a_plain_path_never_reaches_another_route(
    web: WebProcess, target: bytes
) -> None:
    status, _ = exchange(web, LIVE.replace(b"/health/live", target))

    assert status in (400, 404)


# Framing


@pytest.mark.parametrize(
    "head",
    [
        LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close, te\r\n\r\n"),
        LIVE.replace(b"1.1", b"1.0"),
    ],
)
def test_data_after_the_last_request_gets_no_response(web: WebProcess, head: bytes) -> None:
    assert statuses(web, head + LIVE) == [b"200"]


def test_a_higher_minor_version_is_treated_as_http_1_1(web: WebProcess) -> None:
    assert statuses(web, LIVE.replace(b"HTTP/1.1", b"HTTP/1.6") + CLOSE) == [b"200", b"200"]


def test_an_unsupported_transfer_coding_is_501(web: WebProcess) -> None:
    head = POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"
    assert exchange(web, head)[0] == 501


@pytest.mark.parametrize("method", [b"GET", b"DELETE", b"PATCH"])
def test_a_request_with_a_malformed_body_is_not_executed(
    web: WebProcess, sql: Sql, method: bytes
) -> None:
    sql("INSERT INTO todos (description) VALUES ('x')")
    head = method + b" /api/todos/1 HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    for chunks in (b"zz\r\n", b"13\r\n" + BODY + b"\r\n0\r\n\r\n", b"0\r\nno colon\r\n\r\n"):
        assert statuses(web, head + chunks + LIVE) == [b"400"]

    assert sql("SELECT description, completed FROM todos") == [("x", False)]


@pytest.mark.parametrize("framing", [b"Content-Length: 20", b"Transfer-Encoding: chunked"])
def test_an_upgrade_is_ignored_and_the_body_is_read(web: WebProcess, framing: bytes) -> None:
    # Sent by Java's HttpClient and by `curl --http2`.
    head = POST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" + framing
    body = b"14\r\n" + BODY + b"\r\n0\r\n\r\n" if b"chunked" in framing else BODY

    assert statuses(web, head + b"\r\n\r\n" + body + CLOSE) == [b"201", b"200"]


def test_a_truncated_list_resets_an_http_1_0_connection(web: WebProcess, sql: Sql) -> None:
    sql(insert_todos(20000))
    with client(web) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(b"GET /api/todos HTTP/1.0\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 200"
        sql("ALTER TABLE todos RENAME TO elsewhere")
        try:
            with pytest.raises(ConnectionResetError):
                read_until_closed(connection)
        finally:
            sql("ALTER TABLE elsewhere RENAME TO todos")


def test_http_1_0_supports_keep_alive(web: WebProcess) -> None:
    head = b"GET /health/live HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    with client(web, head) as connection:
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert (response.read(), response.headers["Connection"]) == (
            b'{"status":"alive"}',
            "keep-alive",
        )
        connection.sendall(CLOSE)
        assert read_response(connection)[0] == 200


# Refusals


REFUSED = {
    400: b"GET /api/todos HTTP/1.1\r\nOrigin: http://localhost:3000\r\nX: \0\r\n\r\n",
    408: POST + b"Origin: http://localhost:3000\r\nPartial: ",
    413: POST + b"Origin: http://localhost:3000\r\nContent-Length: 65537\r\n\r\n",
    417: POST + b"Origin: http://localhost:3000\r\nExpect: x\r\nContent-Length: 9\r\n\r\n",
    414: b"GET /" + b"x" * 9000,
    431: POST + b"Origin: http://localhost:3000\r\nX: " + b"y" * 40_000,
    501: POST + b"Origin: http://localhost:3000\r\nTransfer-Encoding: x\r\n\r\n",
}


def response_count(web: WebProcess, status: int) -> float:
    """Return the number of responses with a status according to /metrics."""
    lines = web.request("GET", "/metrics").text.splitlines()
    samples = [
        line for line in lines if re.match(rf'todoapp_requests_total.*status="{status}"', line)
    ]
    return sum(float(line.rpartition(" ")[2]) for line in samples)


@pytest.mark.parametrize("status", REFUSED)
def test_a_refusal_has_headers_and_is_logged_and_counted_like_any_response(
    web: WebProcess, status: int
) -> None:
    counted = response_count(web, status)
    with client(web, REFUSED[status]) as connection:
        response = http.client.HTTPResponse(connection)
        response.begin()
        body = json.loads(response.read())

    headers = dict(response.headers)
    assert response.status == status
    assert isinstance(body["detail"], str)
    assert HEADERS.items() <= headers.items()
    assert headers["Content-Type"] == "application/json"
    assert headers["Connection"] == "close"
    assert headers["Vary"] == "Origin"
    if b"Origin" in REFUSED[status]:
        assert headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    logged = rf" {status} \S+ client=127\.0\.0\.1 .*request_id={headers['X-Request-ID']}$"
    wait_until(lambda: re.search(logged, web.output(), re.MULTILINE))
    wait_until(lambda: response_count(web, status) == counted + 1)


def test_load_shedding_is_logged_and_counted(web: WebProcess, database: str, sql: Sql) -> None:
    counted = response_count(web, 503)
    sql("INSERT INTO todos (description) SELECT 'x' FROM generate_series(1, 4)")
    with ExitStack() as clients, closing(psycopg2.connect(database)) as other:
        other.cursor().execute("SELECT * FROM todos FOR UPDATE")
        for todo_id in range(1, 5):
            request_ = b"DELETE /api/todos/%d HTTP/1.1\r\nHost: x\r\n\r\n" % todo_id
            clients.enter_context(client(web, request_))
        wait_until(lambda: sql("SELECT 1 FROM pg_locks WHERE NOT granted HAVING count(*) >= 4"))
        shed = web.request("GET", "/api/todos/1", headers={"X-Request-ID": "shed"})

    assert (shed.status_code, shed.json()) == (503, {"detail": "The service is overloaded"})
    logged = re.compile(r" 503 \d{4}\.\dms .*request_id=shed$", re.MULTILINE)
    wait_until(lambda: logged.search(web.output()))
    wait_until(lambda: response_count(web, 503) > counted)


@pytest.mark.parametrize(
    ("proxies", "logged"), [("0", "127.0.0.1"), ("1", "198.51.100.7"), ("2", "203.0.113.9")]
)
def test_the_logged_client_is_the_one_that_trusted_proxies_report(
    database: str, proxies: str, logged: str
) -> None:
    forwarded = {"X-Forwarded-For": "203.0.113.9, 198.51.100.7", "X-Request-ID": "this"}
    with serving(DATABASE_URL=database, TRUSTED_PROXIES=proxies) as web:
        web.request("GET", "/api/todos", headers=forwarded)
        web.terminate()

        (line,) = [line for line in web.output().splitlines() if line.endswith("=this")]
    assert f" client={logged} " in line


# Trusted hosts


@pytest.fixture(scope="module")
def trusting(database: str) -> Iterator[WebProcess]:
    hosts = "todos.example.com, .example.org,[::1]"
    with serving(DATABASE_URL=database, TRUSTED_HOSTS=f"{hosts},127.0.0.1") as process:
        yield process


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (b"todos.example.com", 200),
        (b"TODOS.example.com:8000", 200),
        (b"a.b.example.org", 200),
        (b"example.org", 200),
        (b"[::1]:8000", 200),
        (b"evil.example:8000", 400),
        (b"todos.example.com.evil.example", 400),
        (b"xexample.org", 400),
        (b"other.todos.example.com", 400),
        (b"[::2]", 400),
    ],
)
def test_only_trusted_hosts_are_served(trusting: WebProcess, host: bytes, status: int) -> None:
    with client(trusting, LIVE.replace(b"Host: x", b"Host: " + host)) as connection:
        assert read_response(connection)[0] == status


def test_a_request_for_an_untrusted_host_is_not_executed(
    trusting: WebProcess, sql: Sql, web: WebProcess
) -> None:
    sql("INSERT INTO todos (description) VALUES ('x')")

    status, body = exchange(
        trusting, b"DELETE /api/todos/1 HTTP/1.1\r\nHost: evil.example:8000\r\n\r\n"
    )

    assert (status, "evil.example" in body["detail"]) == (400, True)
    assert sql("SELECT id FROM todos") == [(1,)]
    assert sql  # the fixture `web` truncates the table


# Sockets


def test_a_unix_socket_is_served(database: str, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    command = f"gunicorn --bind unix:{path} --bind 127.0.0.1:{{port}} wsgi:app"
    with serving(command, DATABASE_URL=database), socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(LIVE)
        assert read_response(connection) == (200, b'{"status":"alive"}')


def test_a_worker_is_replaced_after_max_requests(database: str) -> None:
    command = "gunicorn --max-requests 5 wsgi:app"
    with serving(command, DATABASE_URL=database, WEB_CONCURRENCY="1") as web:
        for _ in range(12):
            assert web.request("GET", "/health/live").ok
        wait_until(lambda: web.output().count("Booting worker") >= 2)


def test_tcp_urgent_data_only_closes_its_own_connection(web: WebProcess) -> None:
    with client(web, LIVE) as connection:
        assert read_response(connection)[0] == 200
        connection.send(b"!", socket.MSG_OOB)
        with suppress(ConnectionResetError):
            assert read_until_closed(connection) == b""

    assert web.request("GET", "/health/live").ok
    assert "priority event" not in web.output()


def test_a_client_that_does_not_read_a_complete_response_is_disconnected(
    web: WebProcess, sql: Sql
) -> None:
    sql(insert_todos(1000, IDENTICAL))
    with client(web) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(b"GET /api/todos?limit=1000 HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: f"{READ_TIMEOUT}: 127.0.0.1" in web.output(), seconds=10)


def test_a_client_that_resets_the_connection_causes_no_error(web: WebProcess, sql: Sql) -> None:
    sql(insert_todos(1000, IDENTICAL))
    (worker,) = web.workers()
    before = worker.num_fds()
    for _ in range(3):
        with client(web) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(
                b"GET /api/todos?limit=1000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            )
            assert connection.recv(9) == b"HTTP/1.1 "
    wait_until(lambda: worker.num_fds() <= before)

    assert "ERROR" not in web.output()


def test_a_partial_request_after_the_last_one_is_not_logged(web: WebProcess) -> None:
    (worker,) = web.workers()
    before = worker.num_fds()
    with client(web, CLOSE + b"GET / HT") as connection:
        assert read_response(connection)[0] == 200
        assert read_until_closed(connection) == b""
        # Wait until the lingering close has ended.
        wait_until(lambda: worker.num_fds() <= before)

    assert "INFO - - 408" not in web.output()


def test_long_field_names_are_not_cached(web: WebProcess) -> None:
    (worker,) = web.workers()
    assert web.request("GET", "/health/live").ok
    before = worker.memory_full_info().uss
    for number in range(500):
        field = b"x%d" % number + b"y" * 20_000 + b": z\r\n"
        with client(web, LIVE.replace(b"Host", field + b"Host")) as connection:
            assert read_response(connection)[0] == 200

    assert worker.memory_full_info().uss - before < 5 * 2**20


def accepts(web: WebProcess) -> bool:
    """Return whether a worker still accepts connections."""
    try:
        with client(web, LIVE) as connection:
            connection.settimeout(0.5)
            return bool(connection.recv(9))
    except (TimeoutError, ConnectionError):
        return False


def test_sigterm_closes_a_keep_alive_connection_after_its_response(database: str, sql: Sql) -> None:
    sql("INSERT INTO todos (description) VALUES ('x')")
    with serving(DATABASE_URL=database) as web, closing(psycopg2.connect(database)) as other:
        other.cursor().execute("SELECT * FROM todos FOR UPDATE")
        with client(web, b"DELETE /api/todos/1 HTTP/1.1\r\nHost: x\r\n\r\n") as connection:
            wait_until(lambda: sql("SELECT 1 FROM pg_locks WHERE NOT granted"))
            web.process.terminate()
            wait_until(lambda: not accepts(web))
            other.close()
            received = read_until_closed(connection)
        assert received.startswith(b"HTTP/1.1 204 ")
        assert b"\r\nConnection: close\r\n" in received
        # Shorter than the keep-alive timeout of an idle connection.
        assert web.process.wait(timeout=10) == 0
    sql("TRUNCATE todos RESTART IDENTITY")


def test_disconnected_clients_leak_no_file_descriptors(web: WebProcess) -> None:
    (worker,) = web.workers()
    before = worker.num_fds()
    for data in (b"", b"GET /", LIVE, LIVE * 50, POST + b"Content-Length: 9\r\n\r\n"):
        with suppress(OSError), client(web, data):
            pass
    wait_until(lambda: worker.num_fds() <= before)
