"""The table `todos`."""

from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
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

    # Migration 004 says what each index is for, and why updated_at and completed have none.
    __table_args__ = (
        CheckConstraint("description <> ''", name="description_not_empty"),
        Index(None, "created_at", "id"),
        Index(None, "description", "id"),
        Index("ix_todos_words", func.todo_words(description), postgresql_using="gin"),
    )


ROW = Todo.__table__.table_valued()
"""A whole row, as an argument of SQL functions."""

JSON = func.prepared_todo_json(ROW)
"""The JSON of one todo; `todo_json()`, which it calls, is faster for many: see migration 006."""


def in_utc(timestamp: SQLColumnExpression[datetime]) -> ColumnElement[datetime]:
    """Return an expression for a timestamp in UTC, whatever the time zone of the session."""
    return func.timezone(literal_column("'UTC'"), timestamp)
