"""How the service is connected to the database."""

import os
import re
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
from flask import Flask
from sqlalchemy import event, make_url

from dev.postgres import Postgres
from tests.support.waiting import wait_until
from todoapp.extensions import db


@pytest.fixture
def show(database: str, make_app: Callable[..., Flask]) -> Callable[..., list[object]]:
    """Return settings of the session that the service has with what is added to the address."""

    def show(*names: str, address: str = "", **environ: str) -> list[object]:
        app = make_app(DATABASE_URL=database + address, **environ)
        with app.app_context():
            with db.engine.connect() as connection:
                values = [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in names]
            db.engine.dispose()
        return values

    return show


def test_the_database_gives_up_before_the_client_does(show: Callable[..., list[object]]) -> None:
    assert show("statement_timeout", "lock_timeout") == ["10s", "3s"]


def test_each_timeout_can_be_set(show: Callable[..., list[object]]) -> None:
    timeouts = {"DB_LOCK_TIMEOUT": "4", "DB_STATEMENT_TIMEOUT": "5"}

    assert show("statement_timeout", "lock_timeout", **timeouts) == ["5s", "4s"]


def test_the_operators_own_options_win(show: Callable[..., list[object]]) -> None:
    options = "&options=-c%20statement_timeout%3D1s"

    assert show("statement_timeout", "lock_timeout", address=options) == ["1s", "3s"]


def test_text_is_utf_8_whatever_the_role_is_set_to(
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


def test_a_server_that_has_vanished_is_noticed_by_the_kernel(
    database: str, make_app: Callable[..., Flask]
) -> None:
    with make_app(DATABASE_URL=database).app_context():
        with db.engine.connect() as connection:
            parameters = connection.connection.dbapi_connection.get_dsn_parameters()
        db.engine.dispose()

    assert int(parameters["keepalives_idle"]) < 60
    assert int(parameters["tcp_user_timeout"]) < 60_000


def test_connections_that_break_as_soon_as_they_are_open_are_a_503(
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
    lone_app: Flask,
    caplog: pytest.LogCaptureFixture,
    messages: list[Callable[[Any, int], None]],
    is_kept: bool,
) -> None:
    client = lone_app.test_client()
    address = lone_app.config["SQLALCHEMY_DATABASE_URI"].set(drivername="postgresql")
    with lone_app.app_context(), closing(db.engine.raw_connection()) as connection:
        connection.cursor().execute("LISTEN news")
        idle = connection.dbapi_connection
    pid = idle.info.backend_pid
    with closing(psycopg2.connect(address.render_as_string(hide_password=False))) as other:
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
def lone_app(database: str, make_app: Callable[..., Flask]) -> Iterator[Flask]:
    """An application with a single connection, and little patience."""
    app = make_app(DATABASE_URL=database, DB_POOL_SIZE="1", DB_STATEMENT_TIMEOUT="1")
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def terminating(lone_app: Flask, sql: Callable[..., list[tuple]]) -> Callable[[str], None]:
    """Make the application's connection break under its next statement, in some way."""

    def terminate(how: str) -> None:
        with lone_app.app_context():
            breaking = [BREAKING[how]]

            @event.listens_for(db.engine, "checkout")
            def break_it(connection: Any, *_: object) -> None:
                if breaking:
                    breaking.pop()(connection, sql)

    return terminate


def _terminate(connection: Any, sql: Callable[..., list[tuple]]) -> None:
    sql(f"SELECT pg_terminate_backend({connection.info.backend_pid}, 5000)")


def _vanish(connection: Any, sql: Callable[..., list[tuple]]) -> None:
    # As a network does that has forgotten the connection.
    with socket.socket(fileno=os.dup(connection.fileno())) as server:
        server.shutdown(socket.SHUT_RDWR)


BREAKING = {"terminated": _terminate, "vanished": _vanish}


@pytest.mark.parametrize("how", BREAKING)
def test_a_read_whose_connection_breaks_is_sent_again(
    lone_app: Flask,
    terminating: Callable[[str], None],
    caplog: pytest.LogCaptureFixture,
    how: str,
) -> None:
    client = lone_app.test_client()
    client.get("/api/todos")
    terminating(how)

    assert client.get("/api/todos").get_json() == []
    assert "Database: a connection was lost" in caplog.text


@pytest.mark.parametrize("how", BREAKING)
def test_a_change_whose_connection_breaks_may_have_been_made_and_is_not_made_again(
    lone_app: Flask, terminating: Callable[[str], None], how: str
) -> None:
    client = lone_app.test_client()
    client.get("/api/todos")
    terminating(how)

    response = client.post("/api/todos", json={"description": "x"})

    detail = "The database is unavailable; the change may have been made"
    assert (response.status_code, response.get_json()) == (503, {"detail": detail})
    assert len(client.get("/api/todos").get_json()) <= 1


def test_a_database_that_falls_silent_is_not_waited_for(
    lone_app: Flask, postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    client = lone_app.test_client()
    client.get("/api/todos")
    with lone_app.app_context(), closing(db.engine.raw_connection()) as connection:
        backend = psutil.Process(connection.dbapi_connection.info.backend_pid)
    backend.suspend()
    try:
        response = client.get("/api/todos")
    finally:
        backend.resume()

    assert response.status_code == 503
    assert "no response within 2 s" in caplog.text
    assert client.get("/api/todos").status_code == 200


def test_during_an_outage_one_request_tries_and_the_others_do_not_wait(
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


def test_the_log_says_when_an_outage_begins_and_ends(
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


def test_an_operator_can_tell_the_connections_by_their_name(
    show: Callable[..., list[object]],
) -> None:
    assert show("application_name") == ["todoapp"]
