"""Operations on one todo. Knows SQL, and nothing about HTTP. Many todos: `lists.py`.

Each operation is one statement on an autocommitting connection: a transaction of its own and one
round trip, and the connection is back in the pool before the response is written.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson
from sqlalchemy import (
    ARRAY,
    DateTime,
    Delete,
    Integer,
    Interval,
    Select,
    String,
    Update,
    any_,
    bindparam,
    cast,
    delete,
    exists,
    func,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from todoapp.database.execute import compiled, execute

from .models import COLUMNS, JSON, IdempotencyKey, Todo, in_utc
from .queries import MAX_ID, format_timestamp, parse_timestamp

# Later than before even if the clock stands still or is set back.
LATER = func.greatest(
    func.now(), Todo.updated_at + literal_column("interval '1 microsecond'", Interval)
)
# In the statement itself, so that no other change can come between the check and the change.
UNCHANGED = Todo.updated_at == any_(cast(bindparam("versions"), ARRAY(DateTime(timezone=True))))

Statements = tuple[str, str]
"""A statement on one todo; and the same, if the todo still is one of `versions`."""


def _on_one(statement: Select[Any] | Update | Delete) -> Statements:
    statement = statement.where(Todo.id == bindparam("todo_id"))
    return compiled(statement), compiled(statement.where(UNCHANGED))


KEY_LIFETIME = literal_column("interval '30 days'", Interval)
"""How long an idempotency key is kept at least: clients may be offline for weeks."""

RESULT = (JSON, in_utc(Todo.updated_at))
SELECT = _on_one(select(*RESULT))
SELECT_BY_KEY = compiled(
    select(IdempotencyKey.fingerprint, IdempotencyKey.todo_id, Todo.id, *RESULT)
    .join(Todo, Todo.id == IdempotencyKey.todo_id, isouter=True)
    .where(IdempotencyKey.key == bindparam("key"))
)
DELETE = _on_one(delete(Todo).returning(Todo.id))


@cache
def _insert(names: tuple[str, ...]) -> str:
    """Return the INSERT of a todo with some fields; the others get their defaults."""
    values: dict[str, Any] = {name: bindparam(name) for name in names}
    return compiled(insert(Todo).values(**values).returning(*RESULT, Todo.id))


@cache
def _insert_once(names: tuple[str, ...]) -> str:
    """Return the INSERT of a todo and of its idempotency key: of neither if the key exists.

    Of two such statements with the same key, the second waits for the first to end:
    https://www.postgresql.org/docs/current/transaction-iso.html#XACT-READ-COMMITTED
    """
    expired = (
        select(IdempotencyKey.key)
        .where(IdempotencyKey.created_at < func.now() - KEY_LIFETIME)
        .limit(literal_column("10", Integer))
        .with_for_update(skip_locked=True)
    )
    clean_up = delete(IdempotencyKey).where(IdempotencyKey.key.in_(expired)).cte("clean_up")
    # Where the key is known to exist, no ID is taken from the sequence.
    is_new = ~exists().where(IdempotencyKey.key == bindparam("key"))
    claim = select(
        bindparam("key", type_=String),
        bindparam("fingerprint", type_=String),
        func.nextval(literal_column("pg_get_serial_sequence('todos', 'id')")),
    ).where(is_new)
    key = (
        insert(IdempotencyKey)
        .from_select(["key", "fingerprint", "todo_id"], claim)
        .on_conflict_do_nothing()
        .returning(IdempotencyKey.todo_id)
        .cte("key")
    )
    values = select(key.c.todo_id, *(bindparam(name, type_=COLUMNS[name].type) for name in names))
    todo = insert(Todo).from_select(["id", *names], values).returning(*RESULT, Todo.id)
    return compiled(todo.add_cte(clean_up))


@cache
def _update(names: tuple[str, ...]) -> Statements:
    """Return the UPDATE of some fields.

    Under READ COMMITTED, an update that waited for another one sees the row of that one, so two
    updates of different fields both survive:
    https://www.postgresql.org/docs/current/transaction-iso.html#XACT-READ-COMMITTED
    """
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
    return _on_one(update(Todo).values(**values, updated_at=LATER).returning(*RESULT))


class StoredTodo(NamedTuple):
    """A todo as it is in the database."""

    id: int
    json: bytes

    version: str
    """Its ETag: `updated_at`, because each change makes that later."""


class TodoNotFound(LookupError):
    """There is no todo with this ID."""

    def __init__(self, todo_id: int) -> None:
        super().__init__(f"Todo {todo_id} not found")


class TodoChanged(Exception):
    """The todo has another version than expected."""

    def __init__(self, todo_id: int) -> None:
        super().__init__(f"Todo {todo_id} has changed since")


class IdempotencyKeyReused(Exception):
    """The idempotency key belongs to a request with other fields."""

    def __init__(self) -> None:
        super().__init__("The Idempotency-Key was used with another body")


def create_todo(fields: Mapping[str, object]) -> StoredTodo:
    """Create a todo with the given fields; the others get their defaults."""
    (*row, todo_id), _ = execute(_insert(tuple(sorted(fields))), fields)
    return _stored(todo_id, row)


def create_todo_once(fields: Mapping[str, object], key: str) -> tuple[StoredTodo, bool]:
    """Create a todo, unless a todo was created with the same idempotency key.

    Returns:
        the todo as it is now; whether it existed already.

    Raises:
        IdempotencyKeyReused: that todo was created with other fields.
        TodoNotFound: that todo has been deleted since.
    """
    # With its default, because a body that names it is the same.
    content = orjson.dumps({"completed": False, **fields}, option=orjson.OPT_SORT_KEYS)
    fingerprint = blake2b(content, digest_size=16).hexdigest()
    parameters = {**fields, "key": key, "fingerprint": fingerprint}
    row, _ = execute(_insert_once(tuple(sorted(fields))), parameters)
    if row is not None:
        *stored, todo_id = row
        return _stored(todo_id, stored), False
    row, _ = execute(SELECT_BY_KEY, {"key": key})
    if row is None:  # the key has just expired
        return create_todo_once(fields, key)
    first_fingerprint, todo_id, existing_id, *stored = row
    if first_fingerprint.decode() != fingerprint:
        raise IdempotencyKeyReused
    if existing_id is None:
        raise TodoNotFound(todo_id)
    return _stored(todo_id, stored), True


def get_todo(todo_id: int) -> StoredTodo:
    """Return one todo.

    Raises:
        TodoNotFound: there is no todo with this ID.
    """
    return _stored(todo_id, _one(SELECT, todo_id))


def update_todo(
    todo_id: int, fields: Mapping[str, object], versions: list[str] | None = None
) -> StoredTodo:
    """Change the given fields of a todo. Without any, nothing is written.

    Args:
        todo_id: the ID of the todo.
        fields: the new values by name.
        versions: if given, the todo is changed only if it has one of these versions.

    Raises:
        TodoNotFound: there is no todo with this ID.
        TodoChanged: the todo has none of `versions`.
    """
    if not fields:
        return _stored(todo_id, _one(SELECT, todo_id, versions))
    values = {f"new_{name}": value for name, value in fields.items()}
    row = _one(_update(tuple(sorted(fields))), todo_id, versions, values)
    return _stored(todo_id, row)


def delete_todo(todo_id: int, versions: list[str] | None = None) -> None:
    """Delete a todo permanently. Its ID is never reused.

    Args:
        todo_id: the ID of the todo.
        versions: if given, the todo is deleted only if it has one of these versions.

    Raises:
        TodoNotFound: there is no todo with this ID.
        TodoChanged: the todo has none of `versions`.
    """
    _one(DELETE, todo_id, versions)


def _one(
    statements: Statements,
    todo_id: int,
    versions: list[str] | None = None,
    values: Mapping[str, object] | None = None,
) -> Any:
    """Execute one of the statements, and return its row."""
    if not 1 <= todo_id <= MAX_ID:
        raise TodoNotFound(todo_id)
    unconditional, conditional = statements
    parameters: dict[str, object] = {"todo_id": todo_id, **(values or {})}
    if versions is None:
        row, _ = execute(unconditional, parameters)
    else:
        row, _ = execute(conditional, {**parameters, "versions": _timestamps(versions)})
        if row is None:
            get_todo(todo_id)
            raise TodoChanged(todo_id)
    if row is None:
        raise TodoNotFound(todo_id)
    return row


def _timestamps(versions: list[str]) -> list[datetime]:
    """Return the versions that a todo can have. Any other text matches no todo."""
    timestamps = []
    for version in versions:
        try:
            timestamps.append(parse_timestamp(version))
        except ValueError:
            continue
    return timestamps


def _stored(todo_id: int, row: Sequence[Any]) -> StoredTodo:
    json, updated_at = row
    return StoredTodo(todo_id, json, format_timestamp(updated_at))
