"""The todo API on BlackSheep, SQLAlchemy's asynchronous ORM and asyncpg."""

import os
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import orjson
from blacksheep import Application, Content, FromJSON, Response, not_found
from blacksheep.settings.json import json_settings
from pydantic import BaseModel, Field
from sqlalchemy import DateTime, String, false, func, make_url, select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

url = make_url(os.environ["DATABASE_URL"]).set(drivername="postgresql+asyncpg")
engine = create_async_engine(url, pool_pre_ping=True)
new_session = async_sessionmaker(engine, expire_on_commit=False)

json_settings.use(loads=orjson.loads)  # type: ignore[no-untyped-call]
app = Application()


class Base(DeclarativeBase):
    """Base class of the models."""


class Todo(Base):
    """The table."""

    __tablename__ = "todos"
    # Fetch server-generated values with INSERT and UPDATE … RETURNING:
    # https://docs.sqlalchemy.org/en/21/orm/persistence_techniques.html#fetching-server-generated-defaults
    __mapper_args__ = {"eager_defaults": True}  # noqa: RUF012  # as in SQLAlchemy's documentation

    id: Mapped[int] = mapped_column(primary_key=True)
    description: Mapped[str] = mapped_column(String(500))
    completed: Mapped[bool] = mapped_column(server_default=false())
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), onupdate=func.now()
    )


Description = Annotated[str, Field(min_length=1, max_length=500)]


class TodoCreate(BaseModel):
    """A new todo."""

    description: Description


class TodoUpdate(BaseModel):
    """Changes to a todo."""

    description: Description | None = None
    completed: bool | None = None


@dataclass(slots=True)
class TodoRead:
    """A todo in a response: a dataclass, which orjson encodes natively."""

    id: int
    description: str
    completed: bool
    created_at: datetime
    updated_at: datetime


def read(todo: Todo) -> TodoRead:
    """Convert a todo for a response."""
    return TodoRead(todo.id, todo.description, todo.completed, todo.created_at, todo.updated_at)


def json(data: TodoRead | list[TodoRead], status: int = 200) -> Response:
    """Return a JSON response, without decoding and encoding what orjson returns.

    https://www.neoteroi.dev/blacksheep/settings/#example-using-orjson
    """
    encoded = orjson.dumps(data, option=orjson.OPT_UTC_Z)
    return Response(status, None, Content(b"application/json", encoded))


@app.router.get("/api/todos")
async def list_todos(
    search: str | None = None, limit: int | None = None, offset: int | None = None
) -> Response:
    """List todos by id."""
    statement = select(Todo).order_by(Todo.id)
    if search:
        statement = statement.where(Todo.description.icontains(search, autoescape=True))
    if limit is not None:
        statement = statement.limit(limit)
    if offset:
        statement = statement.offset(offset)
    async with new_session() as session:
        return json([read(todo) for todo in await session.scalars(statement)])


@app.router.post("/api/todos")
async def create_todo(body: FromJSON[TodoCreate]) -> Response:
    """Create a todo."""
    todo = Todo(**body.value.model_dump())
    async with new_session.begin() as session:
        session.add(todo)
    return json(read(todo), 201)


@app.router.get("/api/todos/{int:todo_id}")
async def get_todo(todo_id: int) -> Response:
    """Get a todo."""
    async with new_session() as session:
        todo = await session.get(Todo, todo_id)
    return json(read(todo)) if todo else not_found(f"Todo {todo_id} not found")


@app.router.patch("/api/todos/{int:todo_id}")
async def update_todo(todo_id: int, body: FromJSON[TodoUpdate]) -> Response:
    """Update a todo."""
    async with new_session.begin() as session:
        todo = await session.get(Todo, todo_id)
        if todo is None:
            return not_found(f"Todo {todo_id} not found")
        for name, value in body.value.model_dump(exclude_none=True).items():
            setattr(todo, name, value)
    return json(read(todo))
