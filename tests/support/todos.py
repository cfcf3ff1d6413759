"""Todos for tests: created through the API, or with SQL for long lists."""

from typing import Any

from flask.testing import FlaskClient


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
