"""The recommended nginx: what it passes on, what it limits, and how it treats slow clients."""

import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from ipaddress import IPv4Address
from itertools import count

import pytest
import requests

from tests.support.database_server import Server
from tests.support.load import load
from tests.support.nginx import Nginx, nginx
from tests.support.slow_clients import SlowClient, slow_clients
from tests.support.waiting import wait_until
from tests.support.web import WebProcess, serving

pytestmark = pytest.mark.slow

Measured = Callable[[str, float], None]

REQUEST_TIMEOUT = 4

LONG = 20_000
"""Todos in a list of 13 MB: more than the kernel buffers for a client that does not read."""

# The limits of each client address.
MOST_IN_PROGRESS = 50
RATE = 100
BURST = 240

HALF_A_REQUEST = (
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
    with nginx(web.port) as process:
        yield process


@pytest.fixture
def long_list(server: Server) -> None:
    """Create so many todos that their list does not fit into the buffers."""
    server.execute(
        f"INSERT INTO todos (description) SELECT repeat('x', 500) FROM generate_series(1, {LONG})",
        "todos",
    )


@pytest.fixture
def own_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connect each client from an address of its own, as clients of the internet do."""
    connect = socket.socket.connect
    numbers = count(1)

    def connect_from_own_address(self: socket.socket, address: tuple[str, int]) -> None:
        self.bind((str(IPv4Address("127.1.0.0") + next(numbers)), 0))
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_from_own_address)


@pytest.mark.parametrize("character", ["\u0001", "漢"])
def test_next_link_with_a_long_description_is_passed_on(proxy: Nginx, character: str) -> None:
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
        for _ in range(MOST_IN_PROGRESS):
            client = clients.enter_context(connected(proxy))
            client.sendall(HALF_A_REQUEST)
            # nginx has admitted the request, and waits for its body.
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


def test_a_client_that_sends_requests_one_by_one_is_slowed_down_and_never_refused(
    proxy: Nginx,
) -> None:
    started = time.monotonic()
    statuses = statuses_of(pipelined(proxy, connections=1, each=500))
    seconds = time.monotonic() - started

    assert statuses == [200] * 500
    assert len(statuses) <= BURST + 1 + RATE * seconds


def test_an_address_that_sends_too_many_requests_at_once_is_refused(proxy: Nginx) -> None:
    started = time.monotonic()
    # So few connections that they never exceed the limit of requests in progress.
    received = pipelined(proxy, connections=MOST_IN_PROGRESS - 5, each=20)
    seconds = time.monotonic() - started

    statuses = statuses_of(received)
    assert set(statuses) == {200, 429}
    assert statuses.count(200) <= BURST + 1 + RATE * seconds
    assert received.count(b"\r\nRetry-After: 1\r\n") == statuses.count(429)
    assert received.count(b'{"detail":"Too many requests') == statuses.count(429)
    # A log that grows with each refusal could fill the disk.
    assert "limiting" not in proxy.log()
    assert status_from("127.0.0.2", proxy) == 200


@pytest.mark.usefixtures("long_list")
def test_responses_that_clients_do_not_read_take_no_disk(web: WebProcess, proxy: Nginx) -> None:
    with ExitStack() as clients:
        for _ in range(4):
            clients.enter_context(closing(SlowClient("never reading", proxy.port).socket))
        # Either nginx has taken all of the response, or the service has cut it off.
        wait_until(lambda: web.output().count("GET /api/todos 200 ") == 4)
        assert proxy.disk_usage() == 0


@pytest.mark.usefixtures("long_list", "own_addresses")
def test_no_client_waits_a_second_for_slow_clients(proxy: Nginx, measured: Measured) -> None:
    with load(f"http://127.0.0.1:{proxy.port}") as log:
        with slow_clients(proxy.port) as slow:
            slow.ending.wait(8)
            waits = log.since(slow.there)
        longest = max(answer.seconds for answer in waits)

    measured(f"300 slow clients behind nginx: longest wait of {len(waits)} requests", longest)
    assert [answer for answer in log.answers if answer.failed] == []
    assert longest < 1


def connected(proxy: Nginx) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=30)


def status_from(address: str, proxy: Nginx) -> int:
    """Return the status of a response to a client with this source address."""
    with closing(HTTPConnection("127.0.0.1", proxy.port, 30, (address, 0))) as client:
        client.request("GET", "/health/live")
        return client.getresponse().status


def pipelined(proxy: Nginx, connections: int, each: int) -> bytes:
    """Send `each` requests on each connection without a pause; return all responses."""
    request = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"
    last = request + b"Connection: close\r\n\r\n"
    with ExitStack() as stack:
        clients = [stack.enter_context(connected(proxy)) for _ in range(connections)]
        for client in clients:
            client.sendall((request + b"\r\n") * (each - 1) + last)
        return b"".join(client.makefile("rb").read() for client in clients)


def statuses_of(responses: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", responses)]
