"""Lists that are longer than what a process should hold, and clients that are slow to read them."""

import json
import socket
from collections.abc import Callable, Iterator

import psutil
import pytest
import requests

from tests.support.waiting import wait_until
from tests.support.web import WebProcess, serving

MANY = 100_000
ENOUGH = 20_000
"""So many that no buffer between the process and its client holds them."""

MIB = 2**20
Sql = Callable[[str], list[tuple]]


def insert(sql: Sql, todos: int) -> None:
    """Insert todos of 610 bytes of JSON each."""
    sql(
        "INSERT INTO todos (description)"
        f" SELECT repeat(md5(n::text), 15) FROM generate_series(1, {todos}) AS n"
    )


@pytest.fixture
def web(database: str) -> Iterator[WebProcess]:
    """A web process whose worker has two threads, and one connection for both."""
    settings = {"WEB_CONCURRENCY": "1", "WEB_THREADS": "2", "DB_POOL_SIZE": "1"}
    with serving(DATABASE_URL=database, DB_POOL_TIMEOUT="1", **settings) as process:
        yield process


def memory(web: WebProcess) -> int:
    """Return how many bytes the process and its workers have for themselves."""
    master = psutil.Process(web.process.pid)
    return sum(process.memory_full_info().uss for process in (master, *master.children()))


def begin_to_read(web: WebProcess, path: str = "/api/todos") -> socket.socket:
    """Ask for a list, and return the connection when the answer has begun."""
    connection = socket.create_connection(("127.0.0.1", web.port))
    connection.settimeout(30)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    return connection


def test_a_hundred_thousand_todos_are_read_in_memory_that_does_not_grow_with_them(
    web: WebProcess, sql: Sql
) -> None:
    insert(sql, MANY)
    web.request("GET", "/api/todos?limit=1000")
    idle = memory(web)

    peak, parts = idle, []
    with requests.get(web.url("/api/todos"), stream=True, timeout=30) as response:
        assert response.headers["Transfer-Encoding"] == "chunked"
        for part in response.iter_content(2 * MIB):
            parts.append(part)
            peak = max(peak, memory(web))

    assert [todo["id"] for todo in json.loads(b"".join(parts))] == list(range(1, MANY + 1))
    assert sum(map(len, parts)) > 50 * MIB
    assert peak - idle < 32 * MIB


def test_while_a_client_reads_slowly_no_connection_is_held_and_others_are_answered(
    web: WebProcess, sql: Sql
) -> None:
    insert(sql, ENOUGH)
    with begin_to_read(web):
        for _ in range(3):
            assert web.request("POST", "/api/todos", json={"description": "x"}).status_code == 201
        states = sql(
            "SELECT DISTINCT state, xact_start FROM pg_stat_activity"
            " WHERE application_name = 'todoapp' AND datname = current_database()"
        )

    assert states == [("idle", None)]


def test_a_list_that_breaks_off_is_no_whole_answer(web: WebProcess, sql: Sql) -> None:
    insert(sql, ENOUGH)
    with begin_to_read(web) as connection:
        sql("ALTER TABLE todos RENAME TO elsewhere")
        rest = b"".join(iter(lambda: connection.recv(MIB), b""))

    assert not rest.endswith(b"0\r\n\r\n")
    wait_until(lambda: "A list was cut off" in web.output())
    assert "Traceback" not in web.output()
