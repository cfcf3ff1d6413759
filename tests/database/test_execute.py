"""Connections and statements: timeouts, lost connections, retries, the circuit breaker."""

import os
import re
import select
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from flask import Flask
from sqlalchemy import event, make_url

from dev.postgres import Postgres
from tests.support.backends import suspended_backend
from tests.support.waiting import wait_until
from todoapp.extensions import db


@pytest.fixture
def show(database: str, make_app: Callable[..., Flask]) -> Callable[..., list[object]]:
    """Return settings of the service's database sessions, given options for its URL."""

    def show(*names: str, options: str = "", **environ: str) -> list[object]:
        app = make_app(DATABASE_URL=database + options, **environ)
        with app.app_context():
            with db.engine.connect() as connection:
                values = [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in names]
            db.engine.dispose()
        return values

    return show


def test_sessions_have_statement_and_lock_timeouts(show: Callable[..., list[object]]) -> None:
    assert show("statement_timeout", "lock_timeout") == ["10s", "3s"]


def test_searches_among_millions_have_enough_memory(show: Callable[..., list[object]]) -> None:
    assert show("work_mem") == ["32MB"]


def test_each_timeout_is_configurable(show: Callable[..., list[object]]) -> None:
    timeouts = {"DB_LOCK_TIMEOUT": "4", "DB_STATEMENT_TIMEOUT": "5"}

    assert show("statement_timeout", "lock_timeout", **timeouts) == ["5s", "4s"]


def test_options_in_the_url_take_precedence(show: Callable[..., list[object]]) -> None:
    options = "&options=-c%20statement_timeout%3D1s%20-c%20work_mem%3D64MB"

    found = show("statement_timeout", "lock_timeout", "work_mem", options=options)
    assert found == ["1s", "3s", "64MB"]


def test_the_client_encoding_is_always_utf_8(
    database: str, make_app: Callable[..., Flask], postgres: Postgres
) -> None:
    name = make_url(database).database
    postgres.execute(f"ALTER DATABASE {name} SET client_encoding = 'LATIN1'")
    app = make_app(DATABASE_URL=database)
    client = app.test_client()
    client.post("/api/todos", json={"description": "Grüße"})

    (todo,) = client.get("/api/todos").get_json()
    with app.app_context():
        db.engine.dispose()

    assert todo["description"] == "Grüße"


def test_tcp_settings_let_the_kernel_detect_a_vanished_server(
    database: str, make_app: Callable[..., Flask]
) -> None:
    with make_app(DATABASE_URL=database).app_context():
        with db.engine.connect() as connection:
            parameters = connection.connection.dbapi_connection.get_dsn_parameters()
        db.engine.dispose()

    assert int(parameters["keepalives_idle"]) < 60
    assert int(parameters["tcp_user_timeout"]) < 60_000


def test_connections_that_break_right_after_opening_are_a_503(
    database: str, make_app: Callable[..., Flask]
) -> None:
    app = make_app(DATABASE_URL=database)
    with app.app_context():
        engine = db.engine

        @event.listens_for(engine, "connect")
        def terminate(connection: Any, record: object) -> None:
            with closing(psycopg2.connect(database)) as other:
                terminate_backend(other.cursor(), connection.info.backend_pid)
            assert select.select([connection], [], [], 30)[0]

        response = app.test_client().get("/health")
        engine.dispose()

    assert response.status_code == 503
    assert response.get_json() == {"detail": "The database is unavailable"}


def terminate_backend(cursor: Any, pid: int) -> None:
    cursor.execute("SELECT pg_terminate_backend(%s)", [pid])


def notify(cursor: Any, pid: int) -> None:
    cursor.execute("NOTIFY news")


@pytest.mark.parametrize(
    ("messages", "is_kept"),
    [
        ([notify], True),
        ([notify, notify], True),
        ([terminate_backend], False),
        ([notify, terminate_backend], False),
    ],
)
def test_an_idle_connection_is_replaced_only_if_it_is_broken(
    single_connection_app: Flask,
    caplog: pytest.LogCaptureFixture,
    messages: list[Callable[[Any, int], None]],
    is_kept: bool,
) -> None:
    client = single_connection_app.test_client()
    url = single_connection_app.config["SQLALCHEMY_DATABASE_URI"].set(drivername="postgresql")
    with single_connection_app.app_context(), closing(db.engine.raw_connection()) as connection:
        connection.cursor().execute("LISTEN news")
        idle: Any = connection.dbapi_connection
    pid = idle.info.backend_pid
    with closing(psycopg2.connect(url.render_as_string(hide_password=False))) as other:
        other.autocommit = True
        cursor = other.cursor()
        for send in messages:
            send(cursor, pid)
            assert select.select([idle], [], [], 30)[0]
        response = client.get("/health")

    assert response.status_code == 200
    assert (not idle.closed) is is_kept
    assert ("lost while it was idle" in caplog.text) is not is_kept


@pytest.fixture
def single_connection_app(database: str, make_app: Callable[..., Flask]) -> Iterator[Flask]:
    """An application with a single connection and a statement timeout of one second."""
    app = make_app(DATABASE_URL=database, DB_POOL_SIZE="1", DB_STATEMENT_TIMEOUT="1")
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def break_connection(
    single_connection_app: Flask, sql: Callable[..., list[tuple]]
) -> Callable[[str], None]:
    """Break the application's connection at its next checkout, in a given way."""

    def break_next(how: str) -> None:
        with single_connection_app.app_context():
            breaking = [BREAKING[how]]

            @event.listens_for(db.engine, "checkout")
            def break_it(connection: Any, *_: object) -> None:
                if breaking:
                    breaking.pop()(connection, sql)

    return break_next


def _terminate(connection: Any, sql: Callable[..., list[tuple]]) -> None:
    sql(f"SELECT pg_terminate_backend({connection.info.backend_pid}, 5000)")


def _vanish(connection: Any, sql: Callable[..., list[tuple]]) -> None:
    # As if a firewall had dropped the connection.
    with socket.socket(fileno=os.dup(connection.fileno())) as server:
        server.shutdown(socket.SHUT_RDWR)


BREAKING = {"terminated": _terminate, "vanished": _vanish}


@pytest.mark.parametrize("how", BREAKING)
def test_a_read_is_retried_after_a_lost_connection(
    single_connection_app: Flask,
    break_connection: Callable[[str], None],
    caplog: pytest.LogCaptureFixture,
    how: str,
) -> None:
    client = single_connection_app.test_client()
    client.get("/api/todos")
    break_connection(how)

    assert client.get("/api/todos").get_json() == []
    assert "Database: a connection was lost" in caplog.text


@pytest.mark.parametrize("how", BREAKING)
def test_a_write_is_not_retried_after_a_lost_connection(
    single_connection_app: Flask, break_connection: Callable[[str], None], how: str
) -> None:
    client = single_connection_app.test_client()
    client.get("/api/todos")
    break_connection(how)

    response = client.post("/api/todos", json={"description": "x"})

    detail = "The database is unavailable; the change may have been made"
    assert (response.status_code, response.get_json()) == (503, {"detail": detail})
    assert len(client.get("/api/todos").get_json()) <= 1


def test_an_unresponsive_database_hits_the_client_side_deadline(
    single_connection_app: Flask, postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    client = single_connection_app.test_client()
    client.get("/api/todos")
    with suspended_backend(single_connection_app):
        response = client.get("/api/todos")

    assert response.status_code == 503
    assert "no response within 2 s" in caplog.text
    assert client.get("/api/todos").status_code == 200


def test_during_an_outage_one_request_probes_and_the_others_fail_fast(
    database: str, make_app: Callable[..., Flask], caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://127.0.0.1:{silent.getsockname()[1]}/todos"
        app = make_app(DATABASE_URL=url, DB_CONNECT_TIMEOUT="2")

        def seconds(_: int = 0) -> float:
            began = time.monotonic()
            assert app.test_client().get("/api/todos").status_code == 503
            return time.monotonic() - began

        assert seconds() > 1.9
        wait_until(lambda: seconds() > 1.9)
        assert seconds() < 1

    cannot_connect = [record for record in caplog.records if "cannot connect" in record.message]
    assert len(cannot_connect) == 1


def test_the_start_and_the_end_of_an_outage_are_logged(
    tmp_path: Path, make_app: Callable[..., Flask], caplog: pytest.LogCaptureFixture
) -> None:
    with Postgres(tmp_path / "postgres").running() as postgres:
        app = make_app(DATABASE_URL=postgres.create_database("todos"))
        client = app.test_client()
        assert client.get("/health").status_code == 200
        postgres.stop()
        assert client.get("/health").status_code == 503
        postgres.start()
        wait_until(lambda: client.get("/health").status_code == 200)
        with app.app_context():
            db.engine.dispose()

    assert "Database: cannot connect: " in caplog.text
    assert re.search(r"Database: connected again after \d+\.\d s", caplog.text)


def test_connections_have_an_application_name(
    show: Callable[..., list[object]],
) -> None:
    assert show("application_name") == ["todoapp"]


SETTINGS = {
    "default_transaction_isolation": "serializable",
    "standard_conforming_strings": "off",
    "TimeZone": "Asia/Kathmandu",
    "DateStyle": "German, DMY",
    "IntervalStyle": "iso_8601",
    "bytea_output": "escape",
    "client_encoding": "LATIN1",
    "lc_messages": "C",
    "transform_null_equals": "on",
    "default_transaction_deferrable": "on",
    "extra_float_digits": "-15",
    "quote_all_identifiers": "on",
    "array_nulls": "off",
    "backslash_quote": "off",
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_service_does_not_depend_on_the_settings_of_the_database(
    make_app: Callable[..., Flask], postgres: Postgres, database: str, setting: str
) -> None:
    name = make_url(database).database
    postgres.execute(f"ALTER DATABASE {name} SET {setting} = '{SETTINGS[setting]}'")
    app = make_app(DATABASE_URL=database)
    client = app.test_client()

    def change(number: int) -> int:
        fields = {"completed": number % 2 == 0}
        return app.test_client().patch("/api/todos/1", json=fields).status_code

    todo = client.post("/api/todos", json={"description": "back\\slash 'é' \u20ac"}).get_json()
    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(change, range(40))) == {200}
    tag = client.get("/api/todos/1").headers["ETag"]
    changed = client.patch("/api/todos/1", json={"completed": True}, headers={"If-Match": tag})
    assert changed.status_code == 200
    for query in ("search=back\\", "sort_by=updated_at", "sort_by=description&count=true"):
        assert client.get(f"/api/todos?limit=1&{query}").get_json() == [changed.get_json()]
    again = [
        client.post("/api/todos", json={"description": "x"}, headers={"Idempotency-Key": "\\'"})
        for _ in range(2)
    ]
    assert again[0].data == again[1].data
    second = client.get("/api/todos?limit=1&sort_by=created_at").headers["Link"].split(">")[0][1:]
    assert client.get(second).get_json() == [again[0].get_json()]
    before = changed.get_json()["updated_at"]
    bulk = f"/api/todos?status=completed&updated_before={before}"
    assert client.delete(bulk).get_json() == {"deleted": 1}
    assert todo["created_at"] == changed.get_json()["created_at"]
