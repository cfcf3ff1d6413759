"""How the service is connected to the database."""

import select
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg2
import pytest
from flask import Flask
from sqlalchemy import event

from todoapp.extensions import db


@pytest.fixture
def show(database: str, make_app: Callable[..., Flask]) -> Callable[..., list[object]]:
    """Return settings of the session that the service has with what is added to the address."""

    def show(*names: str, address: str = "") -> list[object]:
        app = make_app(DATABASE_URL=database + address)
        with app.app_context():
            with db.engine.connect() as connection:
                values = [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in names]
            db.engine.dispose()
        return values

    return show


def test_the_database_gives_up_before_the_client_does(show: Callable[..., list[object]]) -> None:
    assert show("statement_timeout", "lock_timeout") == ["10s", "3s"]


def test_the_operators_own_options_win(show: Callable[..., list[object]]) -> None:
    options = "&options=-c%20statement_timeout%3D1s"

    assert show("statement_timeout", "lock_timeout", address=options) == ["1s", "3s"]


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
        def let_the_server_speak(connection: Any, record: object) -> None:
            # To the service, it is a farewell.
            connection.cursor().execute("LISTEN farewell")
            with closing(psycopg2.connect(database)) as other:
                other.autocommit = True
                other.cursor().execute("NOTIFY farewell")
            assert select.select([connection], [], [], 30)[0]

        response = app.test_client().get("/health")
        engine.dispose()

    assert response.status_code == 503
    assert response.get_json() == {"detail": "The database is unavailable"}


def test_an_operator_can_tell_the_connections_by_their_name(
    show: Callable[..., list[object]],
) -> None:
    assert show("application_name") == ["todoapp"]
