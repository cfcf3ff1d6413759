"""The service behind PgBouncer in transaction pooling mode."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from tests.support.database_server import Server
from tests.support.load import load
from tests.support.pgbouncer import PgBouncer
from tests.support.types import Measured
from tests.support.web import WebProcess, serving

pytestmark = pytest.mark.slow


@pytest.fixture
def server(server: Server) -> Server:
    """PostgreSQL with the role `todos` as documented in docs/pgbouncer.ini; shorter timeouts."""
    for statement in (
        "CREATE ROLE todos LOGIN PASSWORD 's3cret'",
        "ALTER ROLE todos SET lock_timeout = '1s'",
        "ALTER ROLE todos SET statement_timeout = '2s'",
    ):
        server.execute(statement)
    server.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO todos", "todos")
    server.execute("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO todos", "todos")
    return server


@pytest.fixture
def pgbouncer(server: Server, tmp_path: Path) -> Iterator[PgBouncer]:
    """PgBouncer process for one test."""
    bouncer = PgBouncer(tmp_path / "pgbouncer", server)
    bouncer.start()
    yield bouncer
    bouncer.stop()


@pytest.fixture
def web(pgbouncer: PgBouncer) -> Iterator[WebProcess]:
    with serving(DATABASE_URL=pgbouncer.address) as process:
        yield process


def test_all_operations_succeed_through_pgbouncer(server: Server, web: WebProcess) -> None:
    with load(web.url("")) as log:
        log.wait_for(300)

    assert not [outcome for outcome in log.outcomes if outcome.failed]
    log.assert_durable(server)
    assert web.request("GET", "/health").ok
    for query in ("", "?limit=2&count=true", "?search=client&sort_by=updated_at&order=desc"):
        response = web.request("GET", f"/api/todos{query}")
        assert (response.status_code, response.json() != []) == (200, True)
    updated = web.request("PATCH", "/api/todos?status=incomplete", json={"completed": True})
    deleted = web.request("DELETE", "/api/todos?status=completed")
    assert (updated.status_code, deleted.status_code) == (200, 200)
    assert web.request("GET", "/api/todos").json() == []


def test_the_timeouts_of_the_database_role_apply(server: Server, web: WebProcess) -> None:
    with closing(psycopg2.connect(server.url("todos"))) as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE todos")
        started = time.monotonic()
        response = web.request("POST", "/api/todos", json={"description": "x"})
        waited = time.monotonic() - started
    assert (response.status_code, response.json()["detail"]) == (503, "The database took too long")
    assert 0.9 < waited < 2

    # Now the lock is available, and the statement itself takes too long.
    server.execute(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_sleep(30); RETURN NEW; END'",
        "todos",
    )
    server.execute("CREATE TRIGGER wait BEFORE INSERT ON todos EXECUTE FUNCTION wait()", "todos")
    started = time.monotonic()
    response = web.request("POST", "/api/todos", json={"description": "x"})
    waited = time.monotonic() - started
    assert (response.status_code, response.json()["detail"]) == (503, "The database took too long")
    assert 1.9 < waited < 3


def test_after_a_restart_of_pgbouncer_every_request_succeeds(
    server: Server, pgbouncer: PgBouncer, web: WebProcess, measured: Measured
) -> None:
    with load(web.url("")) as log:
        pgbouncer.stop()
        stopped = time.monotonic()
        log.wait_for(20)
        starting = time.monotonic()
        pgbouncer.start()
        returned = time.monotonic()
        log.wait_for_successes(200)

    log.assert_unavailable(stopped, starting, within=5)
    measured("PgBouncer restarted: recovery", log.recovery_time(returned))
    assert log.recovery_time(returned) < 2
    log.assert_durable(server)


def test_a_killed_database_behind_pgbouncer_is_a_503_until_it_recovers(
    server: Server, web: WebProcess, measured: Measured
) -> None:
    with load(web.url("")) as log:
        server.kill()
        killed = time.monotonic()
        log.wait_for(8)
        starting = time.monotonic()
        server.start()
        returned = time.monotonic()
        log.wait_for_successes(200)

    log.assert_unavailable(killed, starting, within=7)
    measured(
        "database killed behind PgBouncer: recovery after restart", log.recovery_time(returned)
    )
    assert log.recovery_time(returned) < 4
    log.assert_durable(server)
