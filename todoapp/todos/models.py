"""The table `todos`."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    ColumnElement,
    DateTime,
    Index,
    SQLColumnExpression,
    String,
    false,
    func,
    literal_column,
)
from sqlalchemy.orm import Mapped, mapped_column

from todoapp.extensions import db

DESCRIPTION_LENGTH = 500


class Todo(db.Model):  # type: ignore[name-defined, misc]  # created at run time
    """One todo. The defaults are the database's, so they also apply to plain SQL."""

    __tablename__ = "todos"

    id: Mapped[int] = mapped_column(primary_key=True)
    description: Mapped[str] = mapped_column(String(DESCRIPTION_LENGTH))
    completed: Mapped[bool] = mapped_column(server_default=false())
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())

    # Migrations 004 and 007 say what each index is for, and why updated_at and completed have none.
    __table_args__ = (
        CheckConstraint("description <> ''", name="description_not_empty"),
        # What RFC 3339 can express: migration 008.
        CheckConstraint(
            "created_at BETWEEN '0001-01-01 00:00:00Z'::timestamptz"
            " AND '9999-12-31 23:59:59.999999Z'::timestamptz",
            name="created_at_range",
        ),
        CheckConstraint(
            "updated_at BETWEEN created_at AND '9999-12-31 23:59:59.999999Z'::timestamptz",
            name="updated_at_range",
        ),
        Index(None, "created_at", "id"),
        # Without its COLLATE "C", which Alembic would not find in the database.
        Index("ix_todos_sort_key", func.todo_sort_key(description), "id"),
        Index("ix_todos_search", func.todo_search_words(description), postgresql_using="gin"),
    )


class IdempotencyKey(db.Model):  # type: ignore[name-defined, misc]  # created at run time
    """The key with which a client created a todo: the same key creates no second one."""

    __tablename__ = "idempotency_keys"

    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(32))
    todo_id: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), index=True
    )


COLUMNS: dict[str, Column[Any]] = {column.name: column for column in Todo.__table__.columns}
"""The columns of a todo, which are its fields, by name and in their order."""

SORT_KEY: ColumnElement[str] = func.todo_sort_key(Todo.description).collate("C")
"""The alphabetical order of todos: see migration 007."""

ROW = Todo.__table__.table_valued()
"""A whole row, as an argument of SQL functions."""

JSON = func.prepared_todo_json(ROW)
"""The JSON of one todo; `todo_json()`, which it calls, is faster for many: see migration 006."""


def in_utc(timestamp: SQLColumnExpression[datetime]) -> ColumnElement[datetime]:
    """Return an expression for a timestamp in UTC, whatever the time zone of the session."""
    return func.timezone(literal_column("'UTC'"), timestamp)
