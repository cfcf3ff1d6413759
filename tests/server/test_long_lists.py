"""Streaming of long lists: bounded memory, no connection held, truncation."""

import json
import socket
from collections.abc import Iterator

import psutil
import pytest
import requests

from tests.support.todos import insert_todos
from tests.support.types import Sql
from tests.support.waiting import wait_until
from tests.support.web import WebProcess, serving

MANY = 100_000
UNBUFFERED = 20_000
"""Number of todos in a list larger than all buffers between the process and its client."""

MIB = 2**20


@pytest.fixture
def web(database: str) -> Iterator[WebProcess]:
    """Web process with one worker, two threads and a single database connection."""
    settings = {"WEB_CONCURRENCY": "1", "WEB_THREADS": "2", "DB_POOL_SIZE": "1"}
    with serving(DATABASE_URL=database, DB_POOL_TIMEOUT="1", **settings) as process:
        yield process


def memory(web: WebProcess) -> int:
    """Return the memory of the process and its workers in bytes (USS)."""
    master = psutil.Process(web.process.pid)
    return sum(process.memory_full_info().uss for process in (master, *master.children()))


def begin_to_read(web: WebProcess, path: str = "/api/todos") -> socket.socket:
    """Request a list; return the connection once the response has started."""
    connection = socket.create_connection(("127.0.0.1", web.port))
    connection.settimeout(30)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    return connection


def test_a_list_of_100000_todos_is_streamed_in_bounded_memory(web: WebProcess, sql: Sql) -> None:
    sql(insert_todos(MANY))
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


def test_a_slow_reader_holds_no_database_connection_and_delays_no_others(
    web: WebProcess, sql: Sql
) -> None:
    sql(insert_todos(UNBUFFERED))
    with begin_to_read(web):
        for _ in range(3):
            assert web.request("POST", "/api/todos", json={"description": "x"}).status_code == 201
        states = sql(
            "SELECT DISTINCT state, xact_start FROM pg_stat_activity"
            " WHERE application_name = 'todoapp' AND datname = current_database()"
        )

    assert states == [("idle", None)]


def test_a_truncated_list_has_no_final_chunk(web: WebProcess, sql: Sql) -> None:
    sql(insert_todos(UNBUFFERED))
    with begin_to_read(web) as connection:
        sql("ALTER TABLE todos RENAME TO elsewhere")
        rest = b"".join(iter(lambda: connection.recv(MIB), b""))

    assert not rest.endswith(b"0\r\n\r\n")
    wait_until(lambda: "A list was cut off" in web.output())
    assert "Traceback" not in web.output()
