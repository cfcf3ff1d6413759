"""Create todos through the API, with Flask's test client."""

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
