"""Two machines behind nginx, as documented: one is killed, cut off or restarted under load."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg2
import pytest
import requests

from tests.support.database_server import Server, running
from tests.support.load import load
from tests.support.namespaces import NETWORK, Machine, Namespace, namespace
from tests.support.nginx import Nginx, nginx
from tests.support.types import Measured
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_addresses")]

CLIENTS = 8

CONNECT_TIMEOUT = 2
READ_TIMEOUT = 40
"""Time limits of nginx for a connection and for a response."""


@pytest.fixture
def server(tmp_path: Path, migrated: Path) -> Iterator[Server]:
    """PostgreSQL server that the machines can reach."""
    with running(tmp_path / "postgres", migrated, listen_addresses="*") as postgres:
        with (postgres.data / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {NETWORK} trust\n")
        postgres.execute("SELECT pg_reload_conf()")
        yield postgres


@pytest.fixture
def places() -> Iterator[list[Namespace]]:
    """Network namespaces of the machines."""
    with namespace(0) as first, namespace(1) as second:
        yield [first, second]


def start(place: Namespace, server: Server) -> Machine:
    """Start the service on a machine."""
    return Machine(place, f"postgresql://postgres@{place.gateway}:{server.port}/todos")


@pytest.fixture
def machines(server: Server, places: list[Namespace]) -> Iterator[list[Machine]]:
    """Two machines that serve."""
    with ExitStack() as stack:
        pair = [stack.enter_context(closing(start(place, server))) for place in places]
        for machine in pair:
            wait_until(machine.serves)
        yield pair


@pytest.fixture
def proxy(machines: list[Machine]) -> Iterator[Nginx]:
    """Run nginx with the documented configuration for several machines."""
    with nginx(*(f"{machine.place.address}:{machine.port}" for machine in machines)) as process:
        yield process


def test_only_the_requests_in_progress_on_a_killed_machine_fail(
    server: Server, machines: list[Machine], proxy: Nginx, measured: Measured
) -> None:
    with load(proxy.url(""), CLIENTS, deletes_are_repeated=True) as log:
        killing = time.monotonic()
        machines[0].kill()
        killed = time.monotonic()
        log.wait_for(500)

    failed = [outcome for outcome in log.outcomes if outcome.failed]
    assert all(outcome.started < killed and outcome.ended > killing for outcome in failed)
    assert len(failed) <= CLIENTS
    # These are sent again.
    assert not {"GET", "DELETE"} & {outcome.method for outcome in failed}
    measured(
        f"machine killed: longest request ({len(failed)} of {len(log.outcomes)} failed)",
        log.max_latency(killed, time.monotonic()),
    )
    assert log.max_latency(killed, time.monotonic()) < 2
    log.assert_durable(server)


def test_a_creation_in_progress_on_a_killed_machine_is_not_sent_to_the_other(
    server: Server, machines: list[Machine], proxy: Nginx
) -> None:
    todos = proxy.url("/api/todos")

    def create(number: int) -> requests.Response:
        return requests.post(todos, json={"description": f"Todo {number}"}, timeout=30)

    def read(_: int) -> requests.Response:
        return requests.get(f"{todos}?limit=1", timeout=30)

    with ThreadPoolExecutor(max_workers=8) as clients:
        with closing(psycopg2.connect(server.url("todos"))) as other, other.cursor() as cursor:
            cursor.execute("LOCK TABLE todos")
            creations = [clients.submit(create, number) for number in range(4)]
            wait_until(lambda: waiting(server) == [2, 2])
            reads = [clients.submit(read, number) for number in range(4)]
            wait_until(lambda: waiting(server) == [4, 4])
            machines[0].kill()
            wait_until(lambda: sum(creation.done() for creation in creations) == 2)
        statuses = sorted(each.result().status_code for each in creations)
        assert statuses == [201, 201, 502, 502]
        assert [each.result().status_code for each in reads] == [200] * 4

    created = descriptions(creations)
    rows = [row[0] for row in server.execute("SELECT description FROM todos", "todos")]
    assert sorted(rows) == sorted(set(rows))
    assert created <= set(rows)


def waiting(server: Server) -> list[int]:
    """Return how many statements of each machine wait for a lock."""
    counts = server.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' GROUP BY client_addr"
    )
    return [count for (count,) in counts]


def descriptions(creations: list[Future[requests.Response]]) -> set[str]:
    """Return the descriptions of the todos whose creation was acknowledged."""
    responses = [each.result() for each in creations]
    return {each.json()["description"] for each in responses if each.status_code == 201}


def test_only_the_requests_in_progress_on_a_machine_that_is_cut_off_fail(
    server: Server, machines: list[Machine], proxy: Nginx, measured: Measured
) -> None:
    # If nginx kept its connections open, some would be idle now.
    with load(proxy.url(""), 3 * CLIENTS) as before:
        pass
    with load(proxy.url(""), CLIENTS) as log:
        cutting = time.monotonic()
        machines[0].place.cut_off()
        cut = time.monotonic()
        with load(proxy.url(""), CLIENTS) as later:
            # The clients whose requests were in progress wait until nginx gives up.
            end = cut + READ_TIMEOUT + 2
            wait_until(lambda: time.monotonic() > end, READ_TIMEOUT + 10)
            log.wait_for(100)
        machines[0].kill()

    failed = [outcome for outcome in log.outcomes if outcome.failed]
    assert all(outcome.started < cut and outcome.ended > cutting for outcome in failed)
    assert {outcome.status for outcome in failed} <= {504}
    assert len(failed) <= CLIENTS
    outcomes = [*log.outcomes_since(cut), *later.outcomes]
    assert [outcome for outcome in outcomes if outcome.failed] == []
    longest = max(outcome.seconds for outcome in outcomes)
    delayed = sum(outcome.seconds > CONNECT_TIMEOUT / 2 for outcome in outcomes)
    measured(f"machine cut off: longest of {len(outcomes)} later requests", longest)
    measured("machine cut off: later requests that waited for a connection", delayed, "")
    assert longest < CONNECT_TIMEOUT + 1
    # One of each client at first, then one every 4 seconds.
    assert delayed <= 2 * CLIENTS + (READ_TIMEOUT + 2) / 4 + 1
    log.expected |= before.expected | later.expected
    log.assert_durable(server)


def test_no_request_fails_while_one_machine_after_the_other_is_restarted(
    server: Server, machines: list[Machine], proxy: Nginx, measured: Measured
) -> None:
    with ExitStack() as stack, load(proxy.url(""), CLIENTS) as log:
        for machine in machines:
            before = time.monotonic()
            assert machine.terminate() == 0
            drained = time.monotonic() - before
            log.wait_for(100)
            restarted = stack.enter_context(closing(start(machine.place, server)))
            # nginx has noticed that the machine is back.
            wait_until(restarted.handled)
            log.wait_for(100)

    assert [outcome for outcome in log.outcomes if outcome.failed] == []
    measured(f"machine drained ({len(log.outcomes)} requests, none failed)", drained)
    longest = max(outcome.seconds for outcome in log.outcomes)
    measured("machines restarted one by one: longest request", longest)
    assert longest < 2
    log.assert_durable(server)
