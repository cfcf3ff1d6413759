"""How the service is connected to the database."""

from collections.abc import Callable

import pytest
from flask import Flask

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


def test_an_operator_can_tell_the_connections_by_their_name(
    show: Callable[..., list[object]],
) -> None:
    assert show("application_name") == ["todoapp"]
