"""The todo API on FastAPI, SQLAlchemy's asynchronous ORM and asyncpg."""

import os
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import DateTime, String, false, func, make_url, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

url = make_url(os.environ["DATABASE_URL"]).set(drivername="postgresql+asyncpg")
engine = create_async_engine(url, pool_pre_ping=True)
new_session = async_sessionmaker(engine, expire_on_commit=False)


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


class TodoRead(BaseModel):
    """A todo in a response."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    description: str
    completed: bool
    created_at: datetime
    updated_at: datetime


async def get_session() -> AsyncIterator[AsyncSession]:
    """Provide a session per request."""
    async with new_session() as session:
        yield session


SessionDep = Annotated[AsyncSession, Depends(get_session)]

app = FastAPI()


@app.get("/api/todos", response_model=list[TodoRead])
async def list_todos(
    session: SessionDep,
    search: str | None = None,
    limit: Annotated[int | None, Query(ge=1)] = None,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> Sequence[Todo]:
    """List todos by id."""
    statement = select(Todo).order_by(Todo.id)
    if search:
        statement = statement.where(Todo.description.icontains(search, autoescape=True))
    if limit is not None:
        statement = statement.limit(limit)
    if offset:
        statement = statement.offset(offset)
    return (await session.execute(statement)).scalars().all()


@app.post("/api/todos", response_model=TodoRead, status_code=201)
async def create_todo(body: TodoCreate, session: SessionDep) -> Todo:
    """Create a todo."""
    todo = Todo(**body.model_dump())
    session.add(todo)
    await session.commit()
    return todo


@app.get("/api/todos/{todo_id}", response_model=TodoRead)
async def get_todo(todo_id: int, session: SessionDep) -> Todo:
    """Get a todo."""
    todo = await session.get(Todo, todo_id)
    if todo is None:
        raise HTTPException(404, f"Todo {todo_id} not found")
    return todo


@app.patch("/api/todos/{todo_id}", response_model=TodoRead)
async def update_todo(todo_id: int, body: TodoUpdate, session: SessionDep) -> Todo:
    """Update a todo."""
    todo = await get_todo(todo_id, session)
    for name, value in body.model_dump(exclude_none=True).items():
        setattr(todo, name, value)
    await session.commit()
    return todo
