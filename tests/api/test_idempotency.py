"""Idempotency-Key: the same key creates no second todo."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.todos import create_todo

Sql = Callable[[str], list[tuple]]
BODY = {"description": "Buy groceries"}


def post(client: FlaskClient, key: str, **fields: Any) -> TestResponse:
    return client.post("/api/todos", headers={"Idempotency-Key": key}, json={**BODY, **fields})


def test_a_repeated_request_returns_the_todo_that_the_first_one_created(
    client: FlaskClient,
) -> None:
    first, second = post(client, "a"), post(client, "a")

    assert (first.status_code, second.status_code) == (201, 201)
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.data == first.data
    assert second.headers["Location"] == first.headers["Location"]
    assert second.headers["ETag"] == first.headers["ETag"]
    assert client.get("/api/todos").get_json() == [first.get_json()]
    assert create_todo(client)["id"] == first.get_json()["id"] + 1


def test_a_repeated_request_returns_the_todo_as_it_is_now(client: FlaskClient) -> None:
    post(client, "a")
    changed = client.patch("/api/todos/1", json={"completed": True})

    assert post(client, "a").data == changed.data


def test_a_repeated_request_does_not_create_a_deleted_todo_again(client: FlaskClient) -> None:
    post(client, "a")
    client.delete("/api/todos/1")

    response = post(client, "a")

    assert (response.status_code, response.get_json()) == (404, {"detail": "Todo 1 not found"})
    assert client.get("/api/todos").get_json() == []


def test_the_same_key_with_another_body_is_refused(client: FlaskClient) -> None:
    first = post(client, "a")

    for fields in ({"description": "Buy milk"}, {"completed": True}):
        response = post(client, "a", **fields)
        assert response.status_code == 422
        assert response.get_json() == {"detail": "The Idempotency-Key was used with another body"}
    assert client.get("/api/todos").get_json() == [first.get_json()]


def test_the_same_todo_in_other_json_is_the_same_body(client: FlaskClient) -> None:
    first = post(client, "a")
    response = client.post(
        "/api/todos",
        headers={"Idempotency-Key": "a", "Content-Type": "application/json"},
        data=b' {"completed": false, "description": "Buy \\u0067roceries", "id": 5}',
    )

    assert response.data == first.data


def test_other_keys_and_requests_without_a_key_create_other_todos(client: FlaskClient) -> None:
    post(client, "a")
    post(client, "A")
    create_todo(client)
    create_todo(client)

    assert [todo["id"] for todo in client.get("/api/todos").get_json()] == [1, 2, 3, 4]


def test_an_invalid_request_does_not_use_up_its_key(client: FlaskClient) -> None:
    assert post(client, "a", description="").status_code == 400

    assert post(client, "a").status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\u00e9", "tab\tulator"])
def test_a_key_must_be_printable_ascii(client: FlaskClient, key: str) -> None:
    response = post(client, key)

    assert response.status_code == 400
    assert response.get_json()["detail"].startswith("Idempotency-Key must be 1 to 255 printable")
    assert client.get("/api/todos").get_json() == []


@pytest.mark.parametrize("key", ["x" * 255, "8e03978e-40d5-43dd-bc93-6894a57f9324", '"!~ ,"'])
def test_every_printable_key_is_taken_as_it_is(client: FlaskClient, key: str) -> None:
    assert post(client, key).status_code == 201
    assert post(client, key).headers["Idempotent-Replayed"] == "true"


def test_of_many_simultaneous_requests_one_creates_a_todo(app: Flask) -> None:
    with ThreadPoolExecutor(4) as pool:
        responses = list(pool.map(lambda _: post(app.test_client(), "a"), range(40)))

    assert {response.status_code for response in responses} == {201}
    assert {response.get_json()["id"] for response in responses} == {
        app.test_client().get("/api/todos").get_json()[0]["id"]
    }
    replayed = [response.headers.get("Idempotent-Replayed") for response in responses]
    assert replayed.count(None) == 1


def test_a_key_is_kept_for_thirty_days(client: FlaskClient, sql: Sql) -> None:
    def age(key: str, interval: str) -> None:
        sql(
            f"UPDATE idempotency_keys SET created_at = now() - interval '{interval}'"
            f" WHERE key = '{key}'"
        )

    post(client, "kept")
    post(client, "expired")
    age("kept", "29 days 23 hours")
    age("expired", "30 days 1 hour")
    post(client, "new")

    assert sql("SELECT key FROM idempotency_keys ORDER BY key") == [("kept",), ("new",)]


def test_requests_without_a_key_send_one_statement(
    client: FlaskClient, statements: Callable[[], list[str]]
) -> None:
    create_todo(client)

    (statement,) = statements()
    assert "idempotency_keys" not in statement
