"""Conditional requests: ETag, If-None-Match and If-Match (RFC 9110, section 13)."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.support.todos import create_todo


def etag(client: FlaskClient, path: str = "/api/todos/1") -> str:
    return client.get(path).headers["ETag"]


@pytest.fixture
def todo(client: FlaskClient) -> dict[str, Any]:
    return create_todo(client)


@pytest.mark.usefixtures("todo")
def test_the_etag_of_a_todo_is_stable_until_the_todo_changes(client: FlaskClient) -> None:
    created = client.post("/api/todos", json={"description": "x"}).headers["ETag"]
    assert etag(client, "/api/todos/2") == created

    changed = client.patch("/api/todos/2", json={"completed": True}).headers["ETag"]
    assert etag(client, "/api/todos/2") == changed
    assert created != changed
    assert client.patch("/api/todos/2", json={}).headers["ETag"] == changed


@pytest.mark.usefixtures("todo")
@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
@pytest.mark.parametrize("path", ["/api/todos/1", "/api/todos?limit=5"])
def test_a_matching_if_none_match_returns_304_without_a_body(
    client: FlaskClient, path: str, form: str
) -> None:
    known = etag(client, path)

    response = client.get(path, headers={"If-None-Match": form.format(known)})

    assert (response.status_code, response.data) == (304, b"")
    assert response.headers["ETag"] == known
    assert response.headers["Cache-Control"] == "no-cache"


@pytest.mark.usefixtures("todo")
@pytest.mark.parametrize("path", ["/api/todos/1", "/api/todos?limit=5"])
def test_a_stale_if_none_match_returns_the_current_representation(
    client: FlaskClient, path: str
) -> None:
    known = etag(client, path)
    client.patch("/api/todos/1", json={"completed": True})

    response = client.get(path, headers={"If-None-Match": known})

    assert response.status_code == 200
    assert response.headers["ETag"] != known
    assert b'"completed":true' in response.data


@pytest.mark.usefixtures("todo")
def test_the_etag_of_a_page_covers_the_next_link_and_the_total_count(
    client: FlaskClient,
) -> None:
    alone = etag(client, "/api/todos?limit=1")
    counted = etag(client, "/api/todos?limit=1&count=true")
    create_todo(client)
    followed = etag(client, "/api/todos?limit=1")
    create_todo(client)

    assert alone != followed
    assert etag(client, "/api/todos?limit=1") == followed
    assert etag(client, "/api/todos?limit=1&count=true") != counted


def test_an_unpaginated_list_has_no_etag(client: FlaskClient) -> None:
    assert "ETag" not in client.get("/api/todos").headers


@pytest.mark.usefixtures("todo")
@pytest.mark.parametrize("form", ["{}", '"other", {}', "*"])
def test_a_matching_if_match_allows_the_change(client: FlaskClient, form: str) -> None:
    expected = {"If-Match": form.format(etag(client))}

    response = client.patch("/api/todos/1", json={"completed": True}, headers=expected)
    assert (response.status_code, response.get_json()["completed"]) == (200, True)

    expected = {"If-Match": form.format(response.headers["ETag"])}
    assert client.delete("/api/todos/1", headers=expected).status_code == 204


@pytest.mark.parametrize(
    "form", ["", ",", '""', '"", "x"', '"other"', "W/{}", '"2025-12-28T10:00:00.123456Z"', '"\'"']
)
@pytest.mark.parametrize(
    ("method", "body"), [("PATCH", {"completed": True}), ("PATCH", {}), ("DELETE", None)]
)
def test_a_stale_if_match_returns_412_and_changes_nothing(
    client: FlaskClient, todo: dict[str, Any], method: str, body: Any, form: str
) -> None:
    headers = {"If-Match": form.format(etag(client))}

    response = client.open("/api/todos/1", method=method, json=body, headers=headers)

    assert response.status_code == 412
    assert response.get_json() == {"detail": "Todo 1 has changed since"}
    assert client.get("/api/todos/1").get_json() == todo


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_missing_todo_is_404_regardless_of_if_match(client: FlaskClient, method: str) -> None:
    body = {"completed": True} if method == "PATCH" else None

    response = client.open("/api/todos/7", method=method, json=body, headers={"If-Match": '"x"'})

    assert (response.status_code, response.get_json()) == (404, {"detail": "Todo 7 not found"})


@pytest.mark.usefixtures("todo")
@pytest.mark.parametrize("version", ['"\0"', '"\xff"', '"', ",", "", 'W/"x"', '"x' * 1000])
def test_a_malformed_if_match_matches_nothing(client: FlaskClient, version: str) -> None:
    response = client.delete("/api/todos/1", headers={"If-Match": version})

    assert response.status_code == 412
