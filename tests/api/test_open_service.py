"""Without `ACCESS_TOKEN`, every response is what it was before there was access control.

`open_service.jsonl` was recorded from the release before it.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

RECORDED = Path(__file__).with_name("open_service.jsonl")
COLUMNS = "(description, completed, created_at, updated_at)"
TODOS = f"""
    INSERT INTO todos {COLUMNS} VALUES
    ('Buy groceries', false, '2025-12-28 10:00Z', '2025-12-28 10:00Z'),
    ('Crème brûlée', true, '2025-12-28 11:00Z', '2025-12-29 11:00:00.5Z')
"""
REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/api/todos", {}),
    ("GET", "/api/todos?limit=1&count=true", {}),
    ("HEAD", "/api/todos", {}),
    ("GET", "/api/todos/1", {}),
    ("GET", "/api/todos/1", {"headers": {"Authorization": "Bearer x", "Cookie": "session=x"}}),
    ("GET", "/api/todos/1", {"headers": {"Origin": "http://localhost:3000"}}),
    ("GET", "/api/todos/1", {"headers": {"Origin": "https://evil.example"}}),
    ("GET", "/api/todos/9", {}),
    ("POST", "/api/todos", {"json": {"description": "Milk"}}),
    ("POST", "/api/todos", {"json": {"description": ""}}),
    ("POST", "/api/todos", {"data": "x"}),
    ("POST", "/api/todos", {"json": {}, "headers": {"Origin": "http://localhost:3000"}}),
    ("POST", "/api/todos", {"json": {}, "headers": {"Origin": "http://localhost"}}),
    ("PATCH", "/api/todos/2", {"json": {"completed": False}}),
    ("PATCH", "/api/todos", {"json": {"completed": True}}),
    ("DELETE", "/api/todos/3", {}),
    ("DELETE", "/api/todos?status=completed", {}),
    ("OPTIONS", "/api/todos", {}),
    (
        "OPTIONS",
        "/api/todos",
        {
            "headers": {
                "Origin": "http://localhost:3000",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization",
            }
        },
    ),
    ("PUT", "/api/todos", {}),
    ("GET", "/health", {}),
    ("GET", "/health/live", {}),
    ("GET", "/login", {}),
    ("POST", "/login", {"data": {"token": "x"}}),
    ("POST", "/logout", {}),
    ("GET", "/metrics", {}),
    ("GET", "/nothing", {}),
    ("GET", "/static/0/nothing", {}),
]


def normalise(name: str, value: str) -> str:
    """Remove from a header what differs each time."""
    if name == "Allow":
        return ", ".join(sorted(value.split(", ")))
    return "…" if name in ("ETag", "X-Request-ID") else value


def responses(client: FlaskClient) -> list[dict[str, Any]]:
    """Send the requests, and return the responses without what differs each time."""
    found = []
    for method, path, arguments in REQUESTS:
        response = client.open(path, method=method, **arguments)
        headers = [[name, normalise(name, value)] for name, value in response.headers]
        body = re.sub(r"20(?!25)\d\d-[^\"]*Z", "…", response.text)
        found.append({"status": response.status, "headers": headers, "body": body})
    return found


@pytest.fixture
def todos(sql: Callable[[str], object]) -> None:
    """Insert two todos with known timestamps."""
    sql(TODOS)


@pytest.mark.usefixtures("todos")
def test_every_response_is_the_recorded_one(client: FlaskClient) -> None:
    recorded = RECORDED.read_text().splitlines()
    for request, found, line in zip(REQUESTS, responses(client), recorded, strict=True):
        assert found == json.loads(line), request
