"""Readiness probe (/health) and liveness probe (/health/live)."""

import time
from collections.abc import Callable

from flask import Flask
from flask.testing import FlaskClient

from tests.support.backends import suspended_backend
from tests.support.waiting import wait_until


def test_the_service_is_ready_while_the_database_responds(client: FlaskClient) -> None:
    response = client.get("/health")

    assert (response.status_code, response.get_json()) == (200, {"status": "healthy"})


def test_liveness_does_not_depend_on_the_database(make_app: Callable[..., Flask]) -> None:
    client = make_app(DATABASE_URL="postgresql://ann@127.0.0.1:1/todos").test_client()

    response = client.get("/health/live")

    assert (response.status_code, response.get_json()) == (200, {"status": "alive"})


def test_an_unresponsive_database_fails_the_readiness_probe_quickly(
    database: str, make_app: Callable[..., Flask]
) -> None:
    app = make_app(DATABASE_URL=database)
    client = app.test_client()
    with suspended_backend(app):
        began = time.monotonic()
        responses = [client.get("/health") for _ in range(3)]
        seconds = time.monotonic() - began

    assert [response.status_code for response in responses] == [503] * 3
    # One check serves all three: one after the other, they would take 4.5 seconds.
    assert seconds < 2
    wait_until(lambda: client.get("/health").status_code == 200)
