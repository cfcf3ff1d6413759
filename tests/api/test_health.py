"""/health and /health/live."""

import time
from collections.abc import Callable
from contextlib import closing

import psutil
from flask import Flask
from flask.testing import FlaskClient

from tests.support.waiting import wait_until
from todoapp.extensions import db


def test_the_service_is_healthy_while_the_database_answers(client: FlaskClient) -> None:
    response = client.get("/health")

    assert (response.status_code, response.get_json()) == (200, {"status": "healthy"})


def test_the_process_is_alive_whatever_the_database_does(make_app: Callable[..., Flask]) -> None:
    client = make_app(DATABASE_URL="postgresql://ann@127.0.0.1:1/todos").test_client()

    response = client.get("/health/live")

    assert (response.status_code, response.get_json()) == (200, {"status": "alive"})


def test_a_database_that_falls_silent_makes_it_unhealthy_soon(
    database: str, make_app: Callable[..., Flask]
) -> None:
    app = make_app(DATABASE_URL=database)
    client = app.test_client()
    with app.app_context(), closing(db.engine.raw_connection()) as connection:
        backend = psutil.Process(connection.dbapi_connection.info.backend_pid)
    backend.suspend()
    try:
        began = time.monotonic()
        answers = [client.get("/health") for _ in range(3)]
        seconds = time.monotonic() - began
    finally:
        backend.resume()

    assert [answer.status_code for answer in answers] == [503] * 3
    # They ask once, all together.
    assert seconds < 2
    wait_until(lambda: client.get("/health").status_code == 200)
