"""/health and /health/live."""

from collections.abc import Callable

from flask import Flask
from flask.testing import FlaskClient


def test_the_service_is_healthy_while_the_database_answers(client: FlaskClient) -> None:
    response = client.get("/health")

    assert (response.status_code, response.get_json()) == (200, {"status": "healthy"})


def test_the_process_is_alive_whatever_the_database_does(make_app: Callable[..., Flask]) -> None:
    client = make_app(DATABASE_URL="postgresql://ann@127.0.0.1:1/todos").test_client()

    response = client.get("/health/live")

    assert (response.status_code, response.get_json()) == (200, {"status": "alive"})
