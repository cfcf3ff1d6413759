"""The todo API on Flask, Flask-SQLAlchemy and marshmallow."""

import os
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, jsonify, request
from flask_sqlalchemy import SQLAlchemy
from marshmallow import Schema, ValidationError, fields, validate
from sqlalchemy import DateTime, String, false, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Base class of `db.Model`."""


app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"].replace(
    "postgresql://", "postgresql+psycopg2://", 1
)
app.json.sort_keys = False  # type: ignore[attr-defined]
db = SQLAlchemy(app, model_class=Base)


class Todo(db.Model):  # type: ignore[name-defined, misc]
    """The table."""

    __tablename__ = "todos"

    id: Mapped[int] = mapped_column(primary_key=True)
    description: Mapped[str] = mapped_column(String(500))
    completed: Mapped[bool] = mapped_column(server_default=false())
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), onupdate=func.now()
    )


class Timestamp(fields.DateTime):
    """A UTC timestamp with six fractional digits and `Z`."""

    def _serialize(self, value: datetime, *args: Any, **kwargs: Any) -> str:  # type: ignore[override]
        utc = value.astimezone(UTC)
        return utc.isoformat(timespec="microseconds").replace("+00:00", "Z")


class TodoSchema(Schema):
    """A todo in requests and responses."""

    id = fields.Integer(dump_only=True)
    description = fields.String(required=True, validate=validate.Length(min=1, max=500))
    completed = fields.Boolean()
    created_at = Timestamp(dump_only=True)
    updated_at = Timestamp(dump_only=True)


todo_schema = TodoSchema()
todos_schema = TodoSchema(many=True)


@app.errorhandler(ValidationError)
def validation_failed(error: ValidationError) -> tuple[Response, int]:
    """Return validation errors as a 400."""
    return jsonify(errors=error.messages), 400


@app.get("/api/todos")
def list_todos() -> Response:
    """List todos by id."""
    query = db.select(Todo).order_by(Todo.id)
    if search := request.args.get("search"):
        query = query.where(Todo.description.icontains(search, autoescape=True))
    if limit := request.args.get("limit", type=int):
        query = query.limit(limit)
    if offset := request.args.get("offset", type=int):
        query = query.offset(offset)
    return jsonify(todos_schema.dump(db.session.execute(query).scalars()))


@app.post("/api/todos")
def create_todo() -> tuple[Response, int]:
    """Create a todo."""
    todo = Todo(**todo_schema.load(request.get_json()))
    db.session.add(todo)
    db.session.commit()
    return jsonify(todo_schema.dump(todo)), 201


@app.get("/api/todos/<int:todo_id>")
def get_todo(todo_id: int) -> Response:
    """Get a todo."""
    return jsonify(todo_schema.dump(db.get_or_404(Todo, todo_id)))


@app.patch("/api/todos/<int:todo_id>")
def update_todo(todo_id: int) -> Response:
    """Update a todo."""
    todo = db.get_or_404(Todo, todo_id)
    for name, value in todo_schema.load(request.get_json(), partial=True).items():
        setattr(todo, name, value)
    db.session.commit()
    return jsonify(todo_schema.dump(todo))
