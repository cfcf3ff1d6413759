"""Database failures: crashes, restarts, network faults, locks, a full disk, read-only mode."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path

import psycopg2
import pytest

from tests.support.database_server import Server, running
from tests.support.load import Load, load
from tests.support.machine import dropped_packets, small_disk
from tests.support.types import Measured
from tests.support.waiting import wait_until
from tests.support.web import WebProcess, serving

WORKERS = 2


def assert_unavailable(web: WebProcess, method: str, path: str, detail: str, **arguments) -> float:
    """Check that a request gets a 503 with `detail`, and return its latency."""
    started = time.monotonic()
    response = web.request(method, path, **arguments)
    assert (response.status_code, response.headers.get("Retry-After")) == (503, "1")
    assert response.json() == {"detail": detail}
    return time.monotonic() - started


def is_connected(web: WebProcess) -> bool:
    """Return whether each worker that has logged an outage has also logged its end."""
    output = web.output()
    return output.count("cannot connect: ") == output.count("connected again after ")


# Crashes and restarts


def test_a_killed_database_is_a_503_until_it_recovers(
    server: Server, web: WebProcess, measured: Measured
) -> None:
    with load(web.url("")) as log:
        server.kill()
        killed = time.monotonic()
        log.wait_for(100)
        starting = time.monotonic()
        server.start()
        returned = time.monotonic()
        log.wait_for_successes(200)

    log.assert_unavailable(killed, starting, within=5)
    measured("database killed (SIGKILL): recovery after restart", log.recovery_time(returned))
    assert log.recovery_time(returned) < 2
    log.assert_durable(server)


@pytest.mark.slow
def test_each_worker_logs_an_outage_and_the_recovery_once(server: Server, web: WebProcess) -> None:
    # New connections reach every worker; a keep-alive connection stays with one.
    with load(web.url(""), reconnect=True) as log:
        server.kill()
        log.wait_for(200)
        server.start()
        log.wait_for(200)

    lost = re.findall(r"WARNING Database: cannot connect: .", web.output())
    regained = re.findall(r"Database: connected again after \d+\.\d s ", web.output())
    assert (len(lost), len(regained)) == (WORKERS, WORKERS)


@pytest.mark.slow
def test_every_request_succeeds_after_a_restart_of_the_database(
    server: Server, web: WebProcess, measured: Measured
) -> None:
    with load(web.url("")) as log:
        server.stop()
        server.start()
        returned = time.monotonic()
        # The circuit breaker of a worker may be open for as long as its last attempt took.
        wait_until(lambda: is_connected(web))
        connected = time.monotonic()
        log.wait_for_successes(200)

    # Connections that broke while they were idle fail no request.
    assert [outcome for outcome in log.outcomes_since(connected) if outcome.failed] == []
    measured("database restarted: recovery", log.recovery_time(returned))
    assert log.recovery_time(returned) < 1
    log.assert_durable(server)


@pytest.mark.slow
def test_every_request_succeeds_after_all_connections_were_terminated(
    server: Server, web: WebProcess, measured: Measured
) -> None:
    with load(web.url("")) as log:
        for _ in range(10):
            server.terminate_connections()
            ended = time.monotonic()
            log.wait_for(50)
            # Of the requests in progress, only possibly applied writes cannot be retried.
            assert [outcome for outcome in log.outcomes_since(ended) if outcome.failed] == []

    failed = [outcome for outcome in log.outcomes if outcome.failed]
    assert {(outcome.status, outcome.retry_after) for outcome in failed} <= {(503, "1")}
    assert "GET" not in {outcome.method for outcome in failed}
    measured("connections terminated (pg_terminate_backend): recovery", log.recovery_time(ended))
    log.assert_durable(server)


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
@pytest.mark.slow
def test_connections_lost_while_idle_fail_no_request(
    server: Server, web: WebProcess, method: str
) -> None:
    ids = [web.create_todo() for _ in range(16)]
    server.terminate_connections()

    for todo_id in ids:
        path = "/api/todos" if method == "POST" else f"/api/todos/{todo_id}"
        body = None if method in ("GET", "DELETE") else {"description": "x"}
        assert web.request(method, path, json=body).ok


# Unresponsive database

SHORT = {
    "DB_CONNECT_TIMEOUT": "2",
    "DB_POOL_TIMEOUT": "1",
    "DB_LOCK_TIMEOUT": "1",
    "DB_STATEMENT_TIMEOUT": "2",
    "REQUEST_TIMEOUT": "3",
}
# Statement timeout, one second of margin, wait for a thread, new connection.
DEADLINE = 2 + 1 + 3 + 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("database suspended (SIGSTOP)", Server.stopped),
        ("packets dropped", lambda server: dropped_packets(server.port)),
    ],
    ids=["suspended", "packets dropped"],
)
def test_an_unresponsive_database_is_a_503_within_the_deadline_until_it_recovers(
    server: Server,
    name: str,
    fault: Callable[[Server], AbstractContextManager[None]],
    measured: Measured,
) -> None:
    with serving(DATABASE_URL=server.address, **SHORT) as web, load(web.url(""), 12) as log:
        with fault(server):
            unresponsive = time.monotonic()
            while time.monotonic() < unresponsive + 2 * DEADLINE:
                assert health(web, "/health") == (503, pytest.approx(1, abs=1))
                assert health(web, "/health/live") == (200, pytest.approx(0, abs=0.5))
        returned = time.monotonic()
        log.wait_for_successes(300)

    log.assert_unavailable(unresponsive, returned, within=DEADLINE + 1)
    measured(f"{name}: max latency of a 503", log.max_latency(unresponsive, returned))
    measured(f"{name}: recovery", log.recovery_time(returned))
    assert log.recovery_time(returned) < DEADLINE
    log.assert_durable(server)


def health(web: WebProcess, path: str) -> tuple[int, float]:
    """Return the status and the latency of a health check."""
    started = time.monotonic()
    return web.request("GET", path).status_code, time.monotonic() - started


# Locks, connections and the pool


@contextmanager
def locked(server: Server, statement: str) -> Iterator[None]:
    """Hold the locks of `statement` in another session."""
    with closing(psycopg2.connect(server.url("todos"))) as other, other.cursor() as cursor:
        cursor.execute(statement)
        yield


@pytest.mark.slow
def test_a_locked_row_is_a_503_within_the_lock_timeout_and_delays_no_other_row(
    server: Server, web: WebProcess, measured: Measured
) -> None:
    path = f"/api/todos/{web.create_todo()}"
    before = web.request("GET", path).json()

    with load(web.url("")) as log:
        with locked(server, "SELECT * FROM todos WHERE id = 1 FOR UPDATE"):
            for method, body in (("PATCH", {"completed": True}), ("DELETE", None)):
                waited = assert_unavailable(
                    web, method, path, "The database took too long", json=body
                )
                assert 2.5 < waited < 4
                assert web.request("GET", path).json() == before
        released = time.monotonic()
        assert web.request("PATCH", path, json={"completed": True}).ok

    measured("row locked: latency of the 503", waited)
    measured("row locked: recovery after the release", time.monotonic() - released)
    assert not [outcome for outcome in log.outcomes if outcome.failed]


@pytest.mark.slow
def test_a_locked_table_is_a_503_within_the_lock_timeout_until_it_is_released(
    server: Server, measured: Measured
) -> None:
    with serving(DATABASE_URL=server.address, **SHORT) as web, load(web.url("")) as log:
        with locked(server, "LOCK TABLE todos"):
            locked_at = time.monotonic()
            log.wait_for(8)
            releasing = time.monotonic()
        released = time.monotonic()
        log.wait_for_successes(100)

    log.assert_unavailable(locked_at, releasing, within=2)
    measured("table locked: recovery after the release", log.recovery_time(released))
    assert log.recovery_time(released) < 2
    log.assert_durable(server)


@contextmanager
def every_connection_taken(server: Server) -> Iterator[None]:
    """Open connections until the server refuses more."""
    taken = []
    try:
        with suppress(psycopg2.OperationalError):
            while True:
                taken.append(psycopg2.connect(server.url("postgres")))
        yield
    finally:
        for connection in taken:
            connection.close()


@pytest.mark.slow
def test_exhausted_max_connections_is_a_503_and_a_log_line(
    tmp_path: Path, migrated: Path, measured: Measured
) -> None:
    with (
        running(tmp_path / "postgres", migrated, max_connections="12") as server,
        serving(DATABASE_URL=server.address) as web,
    ):
        with every_connection_taken(server):
            assert_unavailable(web, "GET", "/api/todos", "The database is unavailable")
            assert "Database: cannot connect: " in web.output()
            assert "too many clients" in web.output()
        with load(web.url("")) as log:
            taken = log.outcomes[0].started
            # Connections that the service already has keep working.
            with every_connection_taken(server):
                log.wait_for(100)
            released = time.monotonic()
            log.wait_for_successes(100)

        measured("max_connections reached: recovery after release", log.recovery_time(released))
        assert log.recovery_time(released) < 2
        assert {a.status for a in log.outcomes_since(taken) if a.failed} <= {503}
        log.assert_durable(server)


@pytest.mark.slow
def test_an_exhausted_pool_is_a_503_and_a_log_line(server: Server, measured: Measured) -> None:
    pool = {"DB_POOL_SIZE": "1", "WEB_THREADS": "4", "WEB_CONCURRENCY": "1"}
    environ = {**SHORT, **pool, "DB_LOCK_TIMEOUT": "2"}
    with serving(DATABASE_URL=server.address, **environ) as web:
        with load(web.url("")) as log:
            with locked(server, "LOCK TABLE todos"):
                locked_at = time.monotonic()
                log.wait_for(4, lambda outcome: outcome.detail == "The service is overloaded")
                releasing = time.monotonic()
            released = time.monotonic()
            log.wait_for_successes(100)

        log.assert_unavailable(locked_at, releasing, within=4)
        assert "WARNING Connection pool: " in web.output()
        measured("pool exhausted: recovery after release", log.recovery_time(released))
        assert log.recovery_time(released) < 2
        log.assert_durable(server)


# Writes refused


def assert_only_writes_fail(web: WebProcess, log: Load, detail: str) -> None:
    """Wait until writes fail with `detail`, and check that reads succeed."""
    log.wait_for(20, lambda outcome: outcome.failed)
    assert {outcome.detail for outcome in log.outcomes if outcome.failed} == {detail}
    assert_unavailable(web, "POST", "/api/todos", detail, json={"description": "x" * 500})
    assert web.request("GET", "/api/todos").ok
    assert web.request("GET", "/health").ok
    assert "GET" not in {outcome.method for outcome in log.outcomes if outcome.failed}
    assert "Traceback" not in web.output()


@pytest.mark.slow
def test_a_full_disk_is_a_503_for_writes_and_reads_succeed(
    server: Server, tmp_path: Path, measured: Measured
) -> None:
    with small_disk(tmp_path / "disk", mebibytes=32) as disk:
        server.move_to_disk(disk)
        with serving(DATABASE_URL=server.address) as web, load(web.url("")) as log:
            fill(disk / "another")
            assert_only_writes_fail(web, log, "The database is full")
            (disk / "another").unlink()
            freed = time.monotonic()
            log.wait_for_successes(100)
        log.assert_durable(server)
        server.stop()

    measured("disk full: recovery after space is freed", log.recovery_time(freed))
    assert log.recovery_time(freed) < 2


def fill(file: Path) -> None:
    """Write to `file` until the disk is full."""
    with file.open("ab", buffering=0) as output, suppress(OSError):
        while True:
            output.write(b"x" * 4096)


def test_an_exhausted_id_sequence_is_a_503_for_creation_and_all_else_succeeds(
    server: Server, web: WebProcess, measured: Measured
) -> None:
    with load(web.url("")) as log:
        ((last,),) = server.execute("SELECT last_value FROM todos_id_seq", "todos")
        server.execute("SELECT setval('todos_id_seq', 2147483647)", "todos")
        assert_only_writes_fail(web, log, "The database has no more ids")
        server.execute(f"SELECT setval('todos_id_seq', {last} + 100)", "todos")
        freed = time.monotonic()
        log.wait_for_successes(100)

    assert {outcome.method for outcome in log.outcomes if outcome.failed} == {"POST"}
    measured("id sequence exhausted: recovery", log.recovery_time(freed))
    assert log.recovery_time(freed) < 2
    log.assert_durable(server)


def test_a_read_only_database_is_a_503_for_writes_and_reads_succeed(
    server: Server, web: WebProcess, measured: Measured
) -> None:
    with load(web.url("")) as log:
        set_read_only(server, "on")
        assert_only_writes_fail(web, log, "The database is read-only")
        set_read_only(server, "off")
        writable = time.monotonic()
        log.wait_for_successes(100)

    measured("database read-only: recovery once writable", log.recovery_time(writable))
    assert log.recovery_time(writable) < 2
    log.assert_durable(server)


def set_read_only(server: Server, value: str) -> None:
    server.execute("BEGIN READ WRITE; COMMIT")
    server.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
    server.execute("SELECT pg_reload_conf()")
