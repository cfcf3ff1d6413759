"""The recommended nginx configuration: proxying, limits per address, slow clients."""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection

import pytest
import requests

from tests.support.database_server import Server
from tests.support.load import load
from tests.support.nginx import Nginx, nginx
from tests.support.slow_clients import SlowClient, slow_clients
from tests.support.todos import IDENTICAL, insert_todos
from tests.support.types import Measured
from tests.support.waiting import wait_until
from tests.support.web import WebProcess, serving

pytestmark = pytest.mark.slow

REQUEST_TIMEOUT = 4

LONG = 20_000
"""Number of todos in a list of 13 MB: larger than the kernel's buffers for one client."""

# Limits per client address.
MAX_IN_PROGRESS = 50
RATE = 100
BURST = 240

PARTIAL_REQUEST = (
    b"POST /api/todos HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
)


@pytest.fixture
def web(server: Server) -> Iterator[WebProcess]:
    environ = {"REQUEST_TIMEOUT": str(REQUEST_TIMEOUT), "TRUSTED_PROXIES": "1"}
    with serving(DATABASE_URL=server.address, **environ) as process:
        yield process


@pytest.fixture
def proxy(web: WebProcess) -> Iterator[Nginx]:
    with nginx(f"127.0.0.1:{web.port}") as process:
        yield process


@pytest.fixture
def long_list(server: Server) -> None:
    """Insert so many todos that their list does not fit into the kernel's buffers."""
    server.execute(
        insert_todos(LONG, IDENTICAL),
        "todos",
    )


@pytest.mark.parametrize("character", ["\u0001", "漢"])
def test_a_link_header_with_a_long_cursor_is_proxied(proxy: Nginx, character: str) -> None:
    todos = [
        requests.post(
            proxy.url("/api/todos"), json={"description": character * 500}, timeout=30
        ).json()
        for _ in range(2)
    ]

    first = requests.get(proxy.url("/api/todos?sort_by=description&limit=1"), timeout=30)
    assert first.status_code == 200
    second = requests.get(first.links["next"]["url"], timeout=30)
    assert second.status_code == 200
    assert [*first.json(), *second.json()] == todos
    assert "next" not in second.links


def test_requests_in_progress_are_limited_per_address(proxy: Nginx) -> None:
    with ExitStack() as clients:
        for _ in range(MAX_IN_PROGRESS):
            client = clients.enter_context(connected(proxy))
            client.sendall(PARTIAL_REQUEST)
            # nginx counts the request as in progress, and waits for its body.
            assert client.recv(1024).startswith(b"HTTP/1.1 100 ")

        response = requests.get(proxy.url("/api/todos"), timeout=30)
        assert response.status_code == 429
        assert response.headers["Content-Type"] == "application/json"
        assert response.headers["Retry-After"] == "1"
        assert response.headers["X-Request-ID"]
        assert "try again in a second" in response.json()["detail"]
        assert "limiting" not in proxy.log()
        assert status_from("127.0.0.2", proxy) == 200

    wait_until(lambda: requests.get(proxy.url("/api/todos"), timeout=30).status_code == 200)


def test_sequential_requests_are_throttled_and_never_refused(
    proxy: Nginx,
) -> None:
    started = time.monotonic()
    statuses = statuses_of(pipelined(proxy, connections=1, each=500))
    seconds = time.monotonic() - started

    assert statuses == [200] * 500
    assert len(statuses) <= BURST + 1 + RATE * seconds


def test_an_address_that_exceeds_the_burst_gets_429(proxy: Nginx) -> None:
    started = time.monotonic()
    # Fewer connections than the limit of requests in progress.
    received = pipelined(proxy, connections=MAX_IN_PROGRESS - 5, each=20)
    seconds = time.monotonic() - started

    statuses = statuses_of(received)
    assert set(statuses) == {200, 429}
    assert statuses.count(200) <= BURST + 1 + RATE * seconds
    assert received.count(b"\r\nRetry-After: 1\r\n") == statuses.count(429)
    assert received.count(b'{"detail":"Too many requests') == statuses.count(429)
    # Logging each refusal could fill the disk.
    assert "limiting" not in proxy.log()
    assert status_from("127.0.0.2", proxy) == 200


@pytest.mark.usefixtures("long_list")
def test_unread_responses_use_no_disk_space(web: WebProcess, proxy: Nginx) -> None:
    with ExitStack() as clients:
        for _ in range(4):
            clients.enter_context(closing(SlowClient("not reading", proxy.port).socket))
        # Logged once nginx has received the response, or the service has disconnected nginx.
        wait_until(lambda: web.output().count("GET /api/todos 200 ") == 4)
        assert proxy.disk_usage() == 0


@pytest.mark.usefixtures("long_list", "own_addresses")
def test_slow_clients_behind_nginx_delay_no_request_by_a_second(
    proxy: Nginx, measured: Measured
) -> None:
    with load(f"http://127.0.0.1:{proxy.port}") as log:
        with slow_clients(proxy.port) as slow:
            slow.stopping.wait(8)
            outcomes = log.outcomes_since(slow.connected_at)
        max_latency = max(outcome.seconds for outcome in outcomes)

    measured(f"300 slow clients behind nginx: max latency ({len(outcomes)} requests)", max_latency)
    assert [outcome for outcome in log.outcomes if outcome.failed] == []
    assert max_latency < 1


def connected(proxy: Nginx) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=30)


def status_from(address: str, proxy: Nginx) -> int:
    """Return the status of a response to a client with the given source address."""
    with closing(HTTPConnection("127.0.0.1", proxy.port, 30, (address, 0))) as client:
        client.request("GET", "/health/live")
        return client.getresponse().status


def pipelined(proxy: Nginx, connections: int, each: int) -> bytes:
    """Pipeline `each` requests on each connection; return all responses."""
    request = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"
    last = request + b"Connection: close\r\n\r\n"
    with ExitStack() as stack:
        clients = [stack.enter_context(connected(proxy)) for _ in range(connections)]
        for client in clients:
            client.sendall((request + b"\r\n") * (each - 1) + last)
        return b"".join(client.makefile("rb").read() for client in clients)


def statuses_of(responses: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", responses)]
