"""/api/todos: HTTP in, one call of the service, HTTP out."""

from collections.abc import Sequence
from typing import Any

from flask import url_for
from flask_smorest import Blueprint

from . import service
from .json import JSONBodyParser
from .openapi import failures
from .schemas import TodoCreateSchema, TodoSchema, TodoUpdateSchema
from .service import TodoRow

blueprint = Blueprint("todos", __name__, url_prefix="/api/todos", description="The todos")
blueprint.ARGUMENTS_PARSER = JSONBodyParser()

LOCATION = {"Location": {"schema": {"type": "string"}, "description": "The path of the todo"}}


@blueprint.get("")
@blueprint.doc(**failures(503))
@blueprint.response(200, TodoSchema(many=True))
def list_todos() -> Sequence[TodoRow]:
    """List every todo, by id ascending"""
    return service.list_todos()


@blueprint.post("")
@blueprint.doc(**failures(400, 413, 415, 503))
@blueprint.arguments(TodoCreateSchema)
@blueprint.response(201, TodoSchema, headers=LOCATION)
def create_todo(fields: dict[str, Any]) -> tuple[TodoRow, int, dict[str, str]]:
    """Add a todo"""
    todo = service.create_todo(**fields)
    return todo, 201, {"Location": url_for("todos.get_todo", todo_id=todo.id)}


@blueprint.get("/<int(signed=True):todo_id>")
@blueprint.doc(**failures(404, 503))
@blueprint.response(200, TodoSchema)
def get_todo(todo_id: int) -> TodoRow:
    """Read a todo"""
    return service.get_todo(todo_id)


@blueprint.patch("/<int(signed=True):todo_id>")
@blueprint.doc(**failures(400, 404, 413, 415, 503))
@blueprint.arguments(TodoUpdateSchema)
@blueprint.response(200, TodoSchema)
def update_todo(fields: dict[str, Any], todo_id: int) -> TodoRow:
    """Change a todo: what is absent or null is left as it is"""
    return service.update_todo(todo_id, **fields)


@blueprint.delete("/<int(signed=True):todo_id>")
@blueprint.doc(**failures(404, 503))
@blueprint.response(204)
def delete_todo(todo_id: int) -> None:
    """Delete a todo for good"""
    service.delete_todo(todo_id)
