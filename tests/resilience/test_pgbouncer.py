"""What holds with PgBouncer in transaction mode between the service and the database."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from tests.support.database_server import Server
from tests.support.load import load
from tests.support.pgbouncer import PgBouncer
from tests.support.web import WebProcess, serving

pytestmark = pytest.mark.slow

Measured = Callable[[str, float], None]


@pytest.fixture
def server(server: Server) -> Server:
    """A server with the role `todos`, set as the documentation says, with shorter timeouts."""
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
    """A running PgBouncer."""
    bouncer = PgBouncer(tmp_path / "pgbouncer", server)
    bouncer.start()
    yield bouncer
    bouncer.stop()


@pytest.fixture
def web(pgbouncer: PgBouncer) -> Iterator[WebProcess]:
    with serving(DATABASE_URL=pgbouncer.address) as process:
        yield process


def test_everything_works(server: Server, web: WebProcess) -> None:
    with load(web.url("")) as log:
        log.wait_for(300)

    assert not [answer for answer in log.answers if answer.failed]
    log.assert_kept(server)
    assert web.request("GET", "/health").ok
    for query in ("", "?limit=2&count=true", "?search=client&sort_by=updated_at&order=desc"):
        response = web.request("GET", f"/api/todos{query}")
        assert (response.status_code, response.json() != []) == (200, True)
    updated = web.request("PATCH", "/api/todos?status=incomplete", json={"completed": True})
    deleted = web.request("DELETE", "/api/todos?status=completed")
    assert (updated.status_code, deleted.status_code) == (200, 200)
    assert web.request("GET", "/api/todos").json() == []


def test_the_timeouts_that_the_role_has_hold(server: Server, web: WebProcess) -> None:
    with closing(psycopg2.connect(server.url("todos"))) as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE todos")
        started = time.monotonic()
        response = web.request("POST", "/api/todos", json={"description": "x"})
        waited = time.monotonic() - started
    assert (response.status_code, response.json()["detail"]) == (503, "The database took too long")
    assert 0.9 < waited < 2

    # The lock is had here, and it is the statement that takes too long.
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

    log.assert_refused(stopped, starting, within=5)
    measured("PgBouncer restarts", log.recovery(returned))
    assert log.recovery(returned) < 2
    log.assert_kept(server)


def test_behind_pgbouncer_too_a_killed_database_is_a_503_until_it_is_back(
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

    log.assert_refused(killed, starting, within=7)
    measured("behind PgBouncer, the database is killed and started again", log.recovery(returned))
    assert log.recovery(returned) < 4
    log.assert_kept(server)
