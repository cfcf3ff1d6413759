"""What other clients can rely on while some are slow on purpose."""

import time
from collections.abc import Callable, Iterator

import pytest
import requests

from server.channel import LINGER_SECONDS
from tests.support.database_server import Server
from tests.support.slow_clients import slow_clients
from tests.support.web import WebProcess, serving

pytestmark = pytest.mark.slow

Measured = Callable[[str, float], None]

BOUND = 4
"""REQUEST_TIMEOUT, to be quick."""

LONG = 8000
"""Todos in a list of 5 MB: more than fits on the way to a client that does not read."""


@pytest.fixture
def web(server: Server) -> Iterator[WebProcess]:
    server.execute(
        "INSERT INTO todos (description)"
        f" SELECT rpad('Client 0, before ' || n, 500, '.') FROM generate_series(1, {LONG}) n",
        "todos",
    )
    environ = {"REQUEST_TIMEOUT": str(BOUND), "TRUSTED_PROXIES": "1"}
    with serving(DATABASE_URL=server.address, **environ) as process:
        yield process


def test_slow_clients_are_cut_off_after_the_bound_and_others_are_served_within_it(
    web: WebProcess, measured: Measured
) -> None:
    waits = []
    with slow_clients(web.port) as slow:
        while slow.held_by(web.process.pid) and time.monotonic() < slow.there + 3 * BOUND:
            asked = time.monotonic()
            response = requests.get(web.url("/api/todos/1"), timeout=60)
            waits.append((asked, time.monotonic(), response.status_code))
            time.sleep(0.05)
        freed = time.monotonic()
        assert requests.get(web.url("/api/todos/1"), timeout=60).elapsed.total_seconds() < 1

    served = min(answered for _, answered, status in waits if status == 200)
    longest = max(answered - asked for asked, answered, _ in waits)
    measured("300 slow clients: others are served after", served - slow.there)
    measured("300 slow clients: longest wait of others", longest)
    measured("300 slow clients: all are cut off after", freed - slow.there)
    assert served - slow.there < BOUND
    assert longest < BOUND + 1
    # A moment to notice that their time is over, and one in which they may read why.
    assert freed - slow.there < BOUND + 1 + LINGER_SECONDS + 1
