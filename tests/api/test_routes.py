"""The routes of /api/todos, as the HTTP contract specifies them."""

import json
import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from tests.support.todos import FIELDS, create_todo

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def post(client: FlaskClient, body: bytes) -> TestResponse:
    return client.post("/api/todos", data=body, content_type="application/json")


# Create


def test_post_returns_the_new_todo_and_its_location(client: FlaskClient) -> None:
    response = client.post("/api/todos", json={"description": "Buy groceries"})

    todo = response.get_json()
    assert response.status_code == 201
    assert response.headers["Location"] == "/api/todos/1"
    assert list(todo) == FIELDS
    assert (todo["id"], todo["description"], todo["completed"]) == (1, "Buy groceries", False)


def test_timestamps_are_utc_with_six_fractional_digits_and_equal_on_creation(
    client: FlaskClient,
) -> None:
    todo = create_todo(client)

    assert TIMESTAMP.fullmatch(todo["created_at"])
    assert todo["created_at"] == todo["updated_at"]


def test_timestamps_keep_trailing_zeros(client: FlaskClient, sql: Any) -> None:
    create_todo(client)
    sql("UPDATE todos SET created_at = '2025-12-28 11:00:00+01'")

    assert client.get("/api/todos/1").get_json()["created_at"] == "2025-12-28T10:00:00.000000Z"


def test_a_todo_can_be_created_completed(client: FlaskClient) -> None:
    assert create_todo(client, completed=True)["completed"] is True


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(st.characters(), max_size=510))
def test_any_description_is_returned_unchanged_or_is_a_400(
    client: FlaskClient, description: str
) -> None:
    response = post(client, json.dumps({"description": description}).encode())

    if response.status_code == 201:
        assert response.get_json()["description"] == description
        assert client.get(response.headers["Location"]).get_json()["description"] == description
    else:
        assert response.status_code == 400
        assert "description" in response.get_json()["errors"]


def test_a_description_may_have_500_code_points(client: FlaskClient) -> None:
    assert create_todo(client, description="😀" * 500)["description"] == "😀" * 500


def test_unknown_fields_are_ignored_so_a_whole_todo_can_be_sent_back(client: FlaskClient) -> None:
    todo = create_todo(client)

    response = client.patch("/api/todos/1", json={**todo, "id": 7, "completed": True, "x": None})

    assert response.status_code == 200
    assert response.get_json()["id"] == 1
    assert response.get_json()["created_at"] == todo["created_at"]


# Read


def test_an_empty_list_is_an_empty_array(client: FlaskClient) -> None:
    response = client.get("/api/todos")

    assert (response.status_code, response.data) == (200, b"[]")


def test_todos_are_listed_by_id(client: FlaskClient) -> None:
    for _ in range(3):
        create_todo(client)
    client.patch("/api/todos/1", json={"completed": True})

    assert [todo["id"] for todo in client.get("/api/todos").get_json()] == [1, 2, 3]


def test_a_todo_is_byte_identical_in_a_list_and_on_its_own(client: FlaskClient) -> None:
    created = client.post("/api/todos", json={"description": 'é "quoted" \\ / \x7f 😀 \u2028'})

    single = client.get("/api/todos/1")
    assert created.data == single.data
    assert client.get("/api/todos").data == b"[" + single.data + b"]"


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize("todo_id", ["-1", "0", "999", str(2**31), str(10**20)])
def test_any_integer_id_without_a_todo_is_404(
    client: FlaskClient, method: str, todo_id: str
) -> None:
    body = {"completed": True} if method == "PATCH" else None

    response = client.open(f"/api/todos/{todo_id}", method=method, json=body)

    assert response.status_code == 404
    assert response.get_json() == {"detail": f"Todo {todo_id} not found"}


@pytest.mark.parametrize(
    "path",
    [
        *("/api/todos/one", "/api/todos/1.0", "/api", "/api//todos", "/api/todos/+1"),
        *("/api/todos/%D9%A1", "/api/todos/%FF", "/api/todos/%00", "/api/todos/1%00"),
    ],
)
def test_an_unknown_path_or_non_integer_id_is_404(client: FlaskClient, path: str) -> None:
    create_todo(client)

    response = client.get(path)

    assert (response.status_code, response.get_json()) == (404, {"detail": "Not found"})


@pytest.mark.parametrize("path", ["/api/todos/", "/api/todos/1/", "/health/", "/health/live/"])
def test_a_trailing_slash_is_the_same_resource_without_a_redirect(
    client: FlaskClient, path: str
) -> None:
    create_todo(client)

    assert client.get(path).data == client.get(path.rstrip("/")).data
    assert client.get(path).status_code == 200


def test_a_trailing_slash_is_the_same_resource_for_writes(client: FlaskClient) -> None:
    assert client.post("/api/todos/", json={"description": "x"}).status_code == 201
    assert client.patch("/api/todos/1/", json={"completed": True}).status_code == 200
    assert client.delete("/api/todos/1/").status_code == 204


# Update


def test_each_field_can_be_changed_on_its_own(client: FlaskClient) -> None:
    create_todo(client)

    renamed = client.patch("/api/todos/1", json={"description": "Buy milk"}).get_json()
    completed = client.patch("/api/todos/1", json={"completed": True}).get_json()

    assert (renamed["description"], renamed["completed"]) == ("Buy milk", False)
    assert (completed["description"], completed["completed"]) == ("Buy milk", True)
    assert list(completed) == FIELDS


def test_each_change_advances_updated_at_and_keeps_created_at(client: FlaskClient) -> None:
    versions = [create_todo(client)]

    for completed in (True, False, True):
        versions.append(client.patch("/api/todos/1", json={"completed": completed}).get_json())

    updates = [todo["updated_at"] for todo in versions]
    assert updates == sorted(set(updates))
    assert len({todo["created_at"] for todo in versions}) == 1


@pytest.mark.parametrize(
    "body", [{}, {"description": None}, {"description": None, "completed": None}]
)
def test_absent_and_null_fields_change_nothing_including_updated_at(
    client: FlaskClient, body: dict[str, None]
) -> None:
    todo = create_todo(client)

    response = client.patch("/api/todos/1", json=body)

    assert (response.status_code, response.get_json()) == (200, todo)


def test_one_invalid_field_rejects_the_whole_patch(client: FlaskClient) -> None:
    todo = create_todo(client)

    response = client.patch("/api/todos/1", json={"description": "Buy milk", "completed": "yes"})

    assert response.status_code == 400
    assert client.get("/api/todos/1").get_json() == todo


# Delete


def test_a_deleted_todo_is_404(client: FlaskClient) -> None:
    create_todo(client)

    response = client.delete("/api/todos/1")

    assert (response.status_code, response.data) == (204, b"")
    assert client.get("/api/todos/1").status_code == 404
    assert client.delete("/api/todos/1").status_code == 404


def test_the_id_of_a_deleted_todo_is_never_reused(client: FlaskClient) -> None:
    create_todo(client)
    client.delete("/api/todos/1")

    assert create_todo(client)["id"] == 2


# Invalid requests


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize(
    "description",
    [
        *(
            "",
            " ",
            "   ",
            "\t\n",
            "\u3000",
            " " * 600,
            "\u200b",
            "\u2800",
            "\u3164",
            "\u00ad \ufeff",
        ),
        *("\u2060\u200d", "\ufe0f", "\u202e", "\u115f\u1160\uffa0", "\U000e0020", "\u180e\x1c\x85"),
    ],
)
def test_an_empty_or_invisible_description_is_rejected(
    client: FlaskClient, method: str, description: str
) -> None:
    todo = create_todo(client)
    path = "/api/todos" if method == "POST" else "/api/todos/1"

    response = client.open(path, method=method, json={"description": description})

    assert response.status_code == 400
    assert response.get_json() == {
        "detail": "description must not be empty",
        "errors": {"description": ["description must not be empty"]},
    }
    assert client.get("/api/todos").get_json() == [todo]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_description_over_500_characters_is_rejected(client: FlaskClient, method: str) -> None:
    create_todo(client)
    path = "/api/todos" if method == "POST" else "/api/todos/1"

    response = client.open(path, method=method, json={"description": "x" * 501})

    assert response.status_code == 400
    assert response.get_json()["detail"] == "description must not exceed 500 characters"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{}", "description"),
        (b'{"description": null}', "description"),
        (b'{"description": 7}', "description"),
        (b'{"description": ["x"]}', "description"),
        (b'{"description": true}', "description"),
        (b'{"description": "x", "completed": 1}', "completed"),
        (b'{"description": "x", "completed": "true"}', "completed"),
        (b'{"description": "x", "completed": null}', "completed"),
        (b'{"description": "a\\u0000b"}', "description"),
        (b'{"description": "a\\ud800b"}', "description"),
        (b'{"description": "a\\udc00\\ud800b"}', "description"),
    ],
)
def test_an_invalid_value_is_rejected_with_the_name_of_its_field(
    client: FlaskClient, body: bytes, field: str
) -> None:
    response = post(client, body)

    assert response.status_code == 400
    assert field in response.get_json()["detail"]
    assert list(response.get_json()["errors"]) == [field]
    assert client.get("/api/todos").get_json() == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"{",
        b'{"description": "x"',
        b"{'description': 'x'}",
        b'{"description": "\xff"}',
        b'\xef\xbb\xbf{"description": "x"}',
        '{"description": "x"}'.encode("utf-16"),
        b'{"description": NaN}',
        b'{"description": -Infinity}',
        b'{"description": ' + b"1" * 5000 + b"}",
        b"[" * 60_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    ],
    ids=lambda body: repr(body[:20]),
)
@pytest.mark.parametrize("path", ["/api/todos", "/api/todos/1"])
def test_an_unparsable_body_is_invalid_json(client: FlaskClient, path: str, body: bytes) -> None:
    method = "POST" if path == "/api/todos" else "PATCH"

    response = client.open(path, method=method, data=body, content_type="application/json")

    assert response.status_code == 400
    assert response.get_json()["detail"].startswith("Invalid JSON")


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"1", b"null", b"true"])
def test_a_json_body_that_is_not_an_object_is_rejected(client: FlaskClient, body: bytes) -> None:
    response = post(client, body)

    assert response.status_code == 400
    assert "object" in response.get_json()["detail"]


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "json"]
)
def test_a_content_type_other_than_json_is_415(
    client: FlaskClient, content_type: str | None
) -> None:
    response = client.post("/api/todos", data=b'{"description": "x"}', content_type=content_type)

    assert response.status_code == 415
    assert "application/json" in response.get_json()["detail"]


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/x+json"]
)
def test_variants_of_the_json_content_type_are_accepted(
    client: FlaskClient, content_type: str
) -> None:
    response = client.post("/api/todos", data=b'{"description": "x"}', content_type=content_type)

    assert response.status_code == 201


def test_a_body_of_64_kib_is_accepted(client: FlaskClient) -> None:
    body = b'{"description": "x"}'.ljust(64 * 1024)

    assert post(client, body).status_code == 201


def test_a_body_over_64_kib_is_413(client: FlaskClient) -> None:
    response = post(client, b'{"description": "x"}'.ljust(64 * 1024 + 1))

    assert response.status_code == 413
    assert response.get_json() == {"detail": "The body must not exceed 64 KiB"}


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/todos", {"GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"}),
        ("POST", "/api/todos/1", {"GET", "HEAD", "PATCH", "DELETE", "OPTIONS"}),
        ("POST", "/health", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_a_405_response_lists_the_allowed_methods(
    client: FlaskClient, method: str, path: str, allowed: set[str]
) -> None:
    response = client.open(path, method=method)

    assert response.status_code == 405
    assert response.get_json() == {"detail": "Method not allowed"}
    assert set(response.headers["Allow"].split(", ")) == allowed
