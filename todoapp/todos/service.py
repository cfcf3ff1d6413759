"""What can be done to one todo. Knows SQL, and nothing of HTTP. Many todos: `lists.py`.

Each function is one statement on an autocommitting connection: a transaction of its own, one
round trip, and the connection is back in the pool before the answer is written.
"""

from sqlalchemy import (
    ARRAY,
    JSON,
    Delete,
    Interval,
    Select,
    Text,
    Update,
    any_,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)

from todoapp.database.execute import compiled, execute

from .models import Todo
from .queries import MAX_ID

# Grows even where the clock stands still or goes back.
LATER = func.greatest(
    func.now(), Todo.updated_at + literal_column("interval '1 microsecond'", Interval)
)
# In the statement itself, so that nobody can change the todo between a look and the change.
UNCHANGED = func.json_extract_path_text(
    cast(Todo.json, JSON), literal_column("'updated_at'")
) == any_(cast(bindparam("versions"), ARRAY(Text)))

Statements = tuple[str, str]
"""A statement on one todo; and the same, if the todo is in one of the `versions`."""


def _on_one(statement: Select[str] | Update | Delete) -> Statements:
    statement = statement.where(Todo.id == bindparam("todo_id"))
    return compiled(statement), compiled(statement.where(UNCHANGED))


INSERT = compiled(
    insert(Todo)
    .values(description=bindparam("description"), completed=bindparam("completed"))
    .returning(Todo.json)
)
SELECT = _on_one(select(Todo.json))
# Null leaves a column as it is. Under READ COMMITTED an update that had to wait for another
# one sees that one's row, so two updates of different columns both survive:
# https://www.postgresql.org/docs/current/transaction-iso.html#XACT-READ-COMMITTED
UPDATE = _on_one(
    update(Todo)
    .values(
        description=func.coalesce(bindparam("new_description"), Todo.description),
        completed=func.coalesce(bindparam("new_completed"), Todo.completed),
        updated_at=LATER,
    )
    .returning(Todo.json)
)
DELETE = _on_one(delete(Todo).returning(Todo.json))


class TodoNotFound(LookupError):
    """There is no todo with this id."""

    def __init__(self, todo_id: int) -> None:
        super().__init__(f"Todo {todo_id} not found")


class TodoChanged(Exception):
    """The todo is not in the state that was expected of it."""

    def __init__(self, todo_id: int) -> None:
        super().__init__(f"Todo {todo_id} has changed since")


def create_todo(*, description: str, completed: bool = False) -> bytes:
    """Add a todo and return it, as JSON."""
    todo: bytes
    (todo,), _ = execute(INSERT, {"description": description, "completed": completed})
    return todo


def get_todo(todo_id: int) -> bytes:
    """Return one todo, as JSON.

    Raises:
        TodoNotFound: there is none with this id.
    """
    return _one(SELECT, todo_id)


def update_todo(
    todo_id: int,
    *,
    description: str | None = None,
    completed: bool | None = None,
    versions: list[str] | None = None,
) -> bytes:
    """Change what is not None, and return the todo, as JSON. Nothing to change: nothing is written.

    Args:
        versions: where given, the todo is changed only if it is in one of these versions.

    Raises:
        TodoNotFound: there is none with this id.
        TodoChanged: it is in none of `versions`.
    """
    if description is None and completed is None:
        return _one(SELECT, todo_id, versions)
    return _one(UPDATE, todo_id, versions, new_description=description, new_completed=completed)


def delete_todo(todo_id: int, *, versions: list[str] | None = None) -> None:
    """Remove a todo for good; its id is not given again.

    Args:
        versions: where given, the todo is removed only if it is in one of these versions.

    Raises:
        TodoNotFound: there is none with this id.
        TodoChanged: it is in none of `versions`.
    """
    _one(DELETE, todo_id, versions)


def _one(
    statements: Statements,
    todo_id: int,
    versions: list[str] | None = None,
    **values: object,
) -> bytes:
    if not 1 <= todo_id <= MAX_ID:
        raise TodoNotFound(todo_id)
    on_any, on_unchanged = statements
    statement = on_any if versions is None else on_unchanged
    row, _ = execute(statement, {"todo_id": todo_id, "versions": versions, **values})
    if row is None:
        if versions is not None:
            get_todo(todo_id)
            raise TodoChanged(todo_id)
        raise TodoNotFound(todo_id)
    todo: bytes
    (todo,) = row
    return todo
