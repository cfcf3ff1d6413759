"""What can be done to todos. Knows SQL, and nothing of HTTP.

Each function is one statement on an autocommitting connection: a transaction of its own, one
round trip, and the connection is back in the pool before the answer is written.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Row, bindparam, delete, func, insert, select, update
from sqlalchemy.sql.base import Executable

from .extensions import db
from .models import Todo

TodoRow = Row[int, str, bool, datetime, datetime]
"""A todo as it was read: `id`, `description`, `completed`, `created_at`, `updated_at`."""

MAX_ID = 2**31 - 1
"""The largest `integer` of PostgreSQL. Asked for a larger one, it would read the whole table."""

COLUMNS = (Todo.id, Todo.description, Todo.completed, Todo.created_at, Todo.updated_at)

SELECT_ALL = select(*COLUMNS).order_by(Todo.id)
SELECT = select(*COLUMNS).where(Todo.id == bindparam("todo_id"))
INSERT = (
    insert(Todo)
    .values(description=bindparam("description"), completed=bindparam("completed"))
    .returning(*COLUMNS)
)
# Null leaves a column as it is. Under READ COMMITTED an update that had to wait for another
# one sees that one's row, so two updates of different columns both survive, and updated_at
# grows even where the clock stands still or goes back:
# https://www.postgresql.org/docs/current/transaction-iso.html#XACT-READ-COMMITTED
UPDATE = (
    update(Todo)
    .where(Todo.id == bindparam("todo_id"))
    .values(
        description=func.coalesce(bindparam("new_description"), Todo.description),
        completed=func.coalesce(bindparam("new_completed"), Todo.completed),
        updated_at=func.greatest(func.now(), Todo.updated_at + timedelta(microseconds=1)),
    )
    .returning(*COLUMNS)
)
DELETE = delete(Todo).where(Todo.id == bindparam("todo_id")).returning(Todo.id)


class TodoNotFound(LookupError):
    """There is no todo with this id."""

    def __init__(self, todo_id: int) -> None:
        super().__init__(f"Todo {todo_id} not found")


def list_todos() -> Sequence[TodoRow]:
    """Return every todo, by `id` ascending."""
    with db.engine.connect() as connection:
        return connection.execute(SELECT_ALL).all()


def create_todo(*, description: str, completed: bool = False) -> TodoRow:
    """Add a todo and return it."""
    with db.engine.connect() as connection:
        return connection.execute(
            INSERT, {"description": description, "completed": completed}
        ).one()


def get_todo(todo_id: int) -> TodoRow:
    """Return one todo.

    Raises:
        TodoNotFound: there is none with this id.
    """
    return _one(SELECT, todo_id)


def update_todo(
    todo_id: int, *, description: str | None = None, completed: bool | None = None
) -> TodoRow:
    """Change what is not None, and return the todo. Nothing to change: nothing is written.

    Raises:
        TodoNotFound: there is none with this id.
    """
    if description is None and completed is None:
        return get_todo(todo_id)
    return _one(UPDATE, todo_id, new_description=description, new_completed=completed)


def delete_todo(todo_id: int) -> None:
    """Remove a todo for good; its id is not given again.

    Raises:
        TodoNotFound: there is none with this id.
    """
    _one(DELETE, todo_id)


def _one(statement: Executable, todo_id: int, **values: object) -> TodoRow:
    if 1 <= todo_id <= MAX_ID:
        with db.engine.connect() as connection:
            row = connection.execute(statement, {"todo_id": todo_id, **values}).one_or_none()
        if row is not None:
            return row
    raise TodoNotFound(todo_id)
