"""The tables."""

from datetime import datetime

from sqlalchemy import CheckConstraint, DateTime, String, false, func
from sqlalchemy.orm import Mapped, mapped_column

from .extensions import db

DESCRIPTION_LENGTH = 500


class Todo(db.Model):  # type: ignore[name-defined, misc]  # made at run time
    """One todo. The defaults are the database's too: a row inserted with plain SQL is whole."""

    __tablename__ = "todos"
    __table_args__ = (CheckConstraint("description <> ''", name="description_not_empty"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    description: Mapped[str] = mapped_column(String(DESCRIPTION_LENGTH))
    completed: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
