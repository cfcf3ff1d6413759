"""What a client and an operator can rely on when the database fails."""

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
from tests.support.web import WebProcess, serving

Measured = Callable[[str, float], None]

WORKERS = 2


def create(web: WebProcess, description: str = "Buy groceries") -> int:
    """Create a todo on a connection of its own and return its id."""
    response = web.request("POST", "/api/todos", json={"description": description})
    assert response.status_code == 201, response.text
    return response.json()["id"]


def assert_unavailable(web: WebProcess, method: str, path: str, detail: str, **arguments) -> float:
    """Check that a request is a 503 that says why, and return how long it took."""
    started = time.monotonic()
    response = web.request(method, path, **arguments)
    assert (response.status_code, response.headers.get("Retry-After")) == (503, "1")
    assert response.json() == {"detail": detail}
    return time.monotonic() - started


# It goes, and comes back


def test_a_killed_database_is_a_503_until_it_is_back(
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

    log.assert_refused(killed, starting, within=5)
    measured("the database is killed (-9) and started again", log.recovery(returned))
    assert log.recovery(returned) < 2
    log.assert_kept(server)


@pytest.mark.slow
def test_a_lost_database_is_in_the_log_of_each_worker_once_and_so_is_its_return(
    server: Server, web: WebProcess
) -> None:
    # A connection that is kept stays with one worker.
    with load(web.url(""), connect_anew=True) as log:
        server.kill()
        log.wait_for(200)
        server.start()
        log.wait_for(200)

    lost = re.findall(r"WARNING Database: cannot connect: .", web.output())
    regained = re.findall(r"Database: connected again after \d+\.\d s ", web.output())
    assert (len(lost), len(regained)) == (WORKERS, WORKERS)


@pytest.mark.slow
def test_after_a_restart_of_the_database_every_request_succeeds(
    server: Server, web: WebProcess, measured: Measured
) -> None:
    with load(web.url("")) as log:
        server.stop()
        server.start()
        returned = time.monotonic()
        log.wait_for_successes(200)

    assert [answer for answer in log.since(returned) if answer.failed] == []
    measured("the database restarts", log.recovery(returned))
    log.assert_kept(server)


@pytest.mark.slow
def test_after_an_administrator_ended_our_connections_every_request_succeeds(
    server: Server, web: WebProcess, measured: Measured
) -> None:
    with load(web.url("")) as log:
        for _ in range(10):
            server.terminate_connections()
            ended = time.monotonic()
            log.wait_for(50)
            # Of those that were under way, only what may have been written cannot be done again.
            assert [answer for answer in log.since(ended) if answer.failed] == []

    failed = [answer for answer in log.answers if answer.failed]
    assert {(answer.status, answer.retry_after) for answer in failed} <= {(503, "1")}
    assert "GET" not in {answer.method for answer in failed}
    measured("an administrator ends our connections", log.recovery(ended))
    log.assert_kept(server)


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
@pytest.mark.slow
def test_connections_that_died_while_idle_are_no_clients_problem(
    server: Server, web: WebProcess, method: str
) -> None:
    ids = [create(web) for _ in range(16)]
    server.terminate_connections()

    for todo_id in ids:
        path = "/api/todos" if method == "POST" else f"/api/todos/{todo_id}"
        body = None if method in ("GET", "DELETE") else {"description": "x"}
        assert web.request(method, path, json=body).ok


# It falls silent

SHORT = {
    "DB_CONNECT_TIMEOUT": "2",
    "DB_POOL_TIMEOUT": "1",
    "DB_LOCK_TIMEOUT": "1",
    "DB_STATEMENT_TIMEOUT": "2",
    "REQUEST_TIMEOUT": "3",
}
# The statement, a second for its end to come by itself, the wait for a thread, a new connection.
BOUND = 2 + 1 + 3 + 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "fault"),
    [
        ("the database hangs (SIGSTOP)", Server.stopped),
        ("the network drops packets", lambda server: dropped_packets(server.port)),
    ],
    ids=["hangs", "drops packets"],
)
def test_a_silent_database_is_a_503_within_a_bound_until_it_speaks(
    server: Server,
    what: str,
    fault: Callable[[Server], AbstractContextManager[None]],
    measured: Measured,
) -> None:
    with serving(DATABASE_URL=server.address, **SHORT) as web, load(web.url(""), 12) as log:
        with fault(server):
            silent = time.monotonic()
            while time.monotonic() < silent + 2 * BOUND:
                assert health(web, "/health") == (503, pytest.approx(1, abs=1))
                assert health(web, "/health/live") == (200, pytest.approx(0, abs=0.5))
        returned = time.monotonic()
        log.wait_for_successes(300)

    log.assert_refused(silent, returned, within=BOUND + 1)
    measured(f"{what}: longest wait for a 503", log.longest_wait(silent, returned))
    measured(f"{what}, and goes on", log.recovery(returned))
    assert log.recovery(returned) < BOUND
    log.assert_kept(server)


def health(web: WebProcess, path: str) -> tuple[int, float]:
    """Return the status, and how long it took."""
    started = time.monotonic()
    return web.request("GET", path).status_code, time.monotonic() - started


# Others have what we need


@contextmanager
def held(server: Server, statement: str) -> Iterator[None]:
    """Let another session hold what `statement` locks."""
    with closing(psycopg2.connect(server.url("todos"))) as other, other.cursor() as cursor:
        cursor.execute(statement)
        yield


@pytest.mark.slow
def test_a_locked_row_is_a_503_within_the_lock_timeout_and_no_other_row_waits(
    server: Server, web: WebProcess, measured: Measured
) -> None:
    path = f"/api/todos/{create(web)}"
    before = web.request("GET", path).json()

    with load(web.url("")) as log:
        with held(server, "SELECT * FROM todos WHERE id = 1 FOR UPDATE"):
            for method, body in (("PATCH", {"completed": True}), ("DELETE", None)):
                waited = assert_unavailable(
                    web, method, path, "The database took too long", json=body
                )
                assert 2.5 < waited < 4
                assert web.request("GET", path).json() == before
        released = time.monotonic()
        assert web.request("PATCH", path, json={"completed": True}).ok

    measured("a lock on a row: a 503 after", waited)
    measured("a lock on a row is released", time.monotonic() - released)
    assert not [answer for answer in log.answers if answer.failed]


@pytest.mark.slow
def test_a_locked_table_is_a_503_within_the_lock_timeout_until_it_is_released(
    server: Server, measured: Measured
) -> None:
    with serving(DATABASE_URL=server.address, **SHORT) as web, load(web.url("")) as log:
        with held(server, "LOCK TABLE todos"):
            locked = time.monotonic()
            log.wait_for(8)
            releasing = time.monotonic()
        released = time.monotonic()
        log.wait_for_successes(100)

    log.assert_refused(locked, releasing, within=2)
    measured("a lock on the table is released", log.recovery(released))
    assert log.recovery(released) < 2
    log.assert_kept(server)


@contextmanager
def every_connection_taken(server: Server) -> Iterator[None]:
    """Take what connections the server still has."""
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
def test_a_database_whose_connections_others_have_taken_is_a_503_and_the_log_says_so(
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
            taken = log.answers[0].started
            # Whoever has a connection keeps it.
            with every_connection_taken(server):
                log.wait_for(100)
            released = time.monotonic()
            log.wait_for_successes(100)

        measured("all connections are taken by others, and given back", log.recovery(released))
        assert log.recovery(released) < 2
        assert {a.status for a in log.since(taken) if a.failed} <= {503}
        log.assert_kept(server)


@pytest.mark.slow
def test_an_exhausted_pool_is_a_503_and_the_log_says_so(server: Server, measured: Measured) -> None:
    pool = {"DB_POOL_SIZE": "1", "WEB_THREADS": "4", "WEB_CONCURRENCY": "1"}
    environ = {**SHORT, **pool, "DB_LOCK_TIMEOUT": "2"}
    with serving(DATABASE_URL=server.address, **environ) as web:
        with load(web.url("")) as log:
            with held(server, "LOCK TABLE todos"):
                locked = time.monotonic()
                log.wait_for(4, lambda answer: answer.detail == "The service is overloaded")
                releasing = time.monotonic()
            released = time.monotonic()
            log.wait_for_successes(100)

        log.assert_refused(locked, releasing, within=4)
        assert "WARNING Connection pool: " in web.output()
        measured("our pool is exhausted, and freed", log.recovery(released))
        assert log.recovery(released) < 2
        log.assert_kept(server)


# It takes nothing more


def assert_reads_go_on_and_writes_are_refused(
    server: Server, web: WebProcess, log: Load, detail: str
) -> float:
    """Wait for refused writes, check that reads are not, and return the instant of the first."""
    log.wait_for(20, lambda answer: answer.failed)
    assert {answer.detail for answer in log.answers if answer.failed} == {detail}
    assert_unavailable(web, "POST", "/api/todos", detail, json={"description": "x" * 500})
    assert web.request("GET", "/api/todos").ok
    assert web.request("GET", "/health").ok
    assert "GET" not in {answer.method for answer in log.answers if answer.failed}
    assert "Traceback" not in web.output()
    return time.monotonic()


@pytest.mark.slow
def test_a_full_disk_is_a_503_that_says_so_and_reads_go_on(
    server: Server, tmp_path: Path, measured: Measured
) -> None:
    with small_disk(tmp_path / "disk", mebibytes=32) as disk:
        server.move_to_disk(disk)
        with serving(DATABASE_URL=server.address) as web, load(web.url("")) as log:
            fill(disk / "another")
            assert_reads_go_on_and_writes_are_refused(server, web, log, "The database is full")
            (disk / "another").unlink()
            freed = time.monotonic()
            log.wait_for_successes(100)
        log.assert_kept(server)
        server.stop()

    measured("the disk is full, and has room again", log.recovery(freed))
    assert log.recovery(freed) < 2


def fill(file: Path) -> None:
    """Write to a file until the disk is full."""
    with file.open("ab", buffering=0) as output, suppress(OSError):
        while True:
            output.write(b"x" * 4096)


def test_a_used_up_sequence_is_a_503_that_says_so_and_all_else_goes_on(
    server: Server, web: WebProcess, measured: Measured
) -> None:
    with load(web.url("")) as log:
        ((last,),) = server.execute("SELECT last_value FROM todos_id_seq", "todos")
        server.execute("SELECT setval('todos_id_seq', 2147483647)", "todos")
        assert_reads_go_on_and_writes_are_refused(server, web, log, "The database has no more ids")
        server.execute(f"SELECT setval('todos_id_seq', {last} + 100)", "todos")
        freed = time.monotonic()
        log.wait_for_successes(100)

    assert {answer.method for answer in log.answers if answer.failed} == {"POST"}
    measured("the id sequence is used up, and goes on", log.recovery(freed))
    assert log.recovery(freed) < 2
    log.assert_kept(server)


def test_a_read_only_database_is_a_503_that_says_so_and_reads_go_on(
    server: Server, web: WebProcess, measured: Measured
) -> None:
    with load(web.url("")) as log:
        set_read_only(server, "on")
        assert_reads_go_on_and_writes_are_refused(server, web, log, "The database is read-only")
        set_read_only(server, "off")
        writable = time.monotonic()
        log.wait_for_successes(100)

    measured("the database is read-only, and writable again", log.recovery(writable))
    assert log.recovery(writable) < 2
    log.assert_kept(server)


def set_read_only(server: Server, value: str) -> None:
    server.execute("BEGIN READ WRITE; COMMIT")
    server.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
    server.execute("SELECT pg_reload_conf()")
