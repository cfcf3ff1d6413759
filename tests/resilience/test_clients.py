"""A slow-client attack on the service without a proxy."""

import time
from collections.abc import Iterator

import pytest
import requests

from server.channel import LINGER_SECONDS
from tests.support.database_server import Server
from tests.support.slow_clients import slow_clients
from tests.support.todos import insert_todos
from tests.support.types import Measured
from tests.support.web import WebProcess, serving

pytestmark = pytest.mark.slow

REQUEST_TIMEOUT = 4
"""Seconds; shorter than the default, to keep the test fast."""

LONG = 8000
"""Number of todos in a list of 5 MB: larger than the kernel's buffers for one client."""


@pytest.fixture
def web(server: Server) -> Iterator[WebProcess]:
    server.execute(
        insert_todos(LONG, "rpad('Client 0, before ' || n, 500, '.')"),
        "todos",
    )
    environ = {"REQUEST_TIMEOUT": str(REQUEST_TIMEOUT), "TRUSTED_PROXIES": "1"}
    with serving(DATABASE_URL=server.address, **environ) as process:
        yield process


def test_slow_clients_are_disconnected_after_the_request_timeout_and_delay_no_others(
    web: WebProcess, measured: Measured
) -> None:
    timings = []
    with slow_clients(web.port) as slow:
        while (
            slow.open_connections(web.process.pid)
            and time.monotonic() < slow.connected_at + 3 * REQUEST_TIMEOUT
        ):
            started = time.monotonic()
            response = requests.get(web.url("/api/todos/1"), timeout=60)
            timings.append((started, time.monotonic(), response.status_code))
            time.sleep(0.05)
        disconnected = time.monotonic()
        assert requests.get(web.url("/api/todos/1"), timeout=60).elapsed.total_seconds() < 1

    served = min(ended for _, ended, status in timings if status == 200)
    max_latency = max(ended - started for started, ended, _ in timings)
    measured("300 slow clients: time to first response for others", served - slow.connected_at)
    measured("300 slow clients: max latency of others", max_latency)
    measured("300 slow clients: time until all disconnected", disconnected - slow.connected_at)
    assert served - slow.connected_at < REQUEST_TIMEOUT
    assert max_latency < REQUEST_TIMEOUT + 1
    # One second to notice the deadline, then the lingering close, in which they can read the 408.
    assert disconnected - slow.connected_at < REQUEST_TIMEOUT + 1 + LINGER_SECONDS + 1
