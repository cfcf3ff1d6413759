"""Todos for tests: created through the API, or with SQL for long lists."""

import json
from typing import Any

from flask.testing import FlaskClient

TIMESTAMP = "2025-12-28T10:00:00.123456Z"


def todo(number: int, **fields: object) -> dict[str, object]:
    """Return a todo with exactly the fields that the service returns, in their order."""
    times = {"created_at": TIMESTAMP, "updated_at": TIMESTAMP}
    return {"id": number, "description": f"todo {number}", "completed": False, **times, **fields}


FIELDS = list(todo(1))


def ndjson(*todos: object) -> bytes:
    """Return todos as `flask todos export` writes them: one line of JSON each."""
    return b"".join(json.dumps(todo).encode() + b"\n" for todo in todos)


def create_todo(client: FlaskClient, **fields: Any) -> dict[str, Any]:
    """Create a todo and return it."""
    response = client.post("/api/todos", json={"description": "Buy groceries", **fields})
    assert response.status_code == 201, response.data
    return response.get_json()


def create_todos(client: FlaskClient, *descriptions: str) -> None:
    """Create a todo for each description."""
    for description in descriptions:
        create_todo(client, description=description)


# SQL expressions for descriptions; a todo with a unique one has 610 bytes of JSON.
IDENTICAL = "repeat('x', 500)"
UNIQUE = "repeat(md5(n::text), 15)"


def insert_todos(count: int, description: str = UNIQUE) -> str:
    """Return a statement that inserts `count` todos; `description` is a SQL expression of `n`."""
    return (
        f"INSERT INTO todos (description) SELECT {description}"
        f" FROM generate_series(1, {count}) AS n"
    )
