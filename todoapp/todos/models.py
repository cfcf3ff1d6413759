"""The tables."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Computed, DateTime, Index, String, Text, false, func
from sqlalchemy.orm import Mapped, mapped_column

from todoapp.extensions import db

DESCRIPTION_LENGTH = 500


class Todo(db.Model):  # type: ignore[name-defined, misc]  # made at run time
    """One todo. The defaults are the database's too: a row inserted with plain SQL is whole."""

    __tablename__ = "todos"

    id: Mapped[int] = mapped_column(primary_key=True)
    description: Mapped[str] = mapped_column(String(DESCRIPTION_LENGTH))
    completed: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())

    json: Mapped[str] = mapped_column(
        Text,
        Computed("todo_json(id, description, completed, created_at, updated_at)", persisted=True),
    )
    """The todo as it is answered, in one line. PostgreSQL writes it whenever the todo changes, so
    that nothing is left to do for each todo of a list, and it is the same bytes everywhere."""

    # What each index is for, and why updated_at and completed have none: migration 004.
    __table_args__ = (
        CheckConstraint("description <> ''", name="description_not_empty"),
        Index(None, "created_at", "id"),
        Index(None, "description", "id"),
        Index("ix_todos_words", func.todo_words(description), postgresql_using="gin"),
    )
