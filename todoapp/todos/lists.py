"""Operations on many todos: lists of any length, and bulk changes.

Lists use keyset pagination: a batch begins after the key of the last todo of the batch before, so
concurrent writes never shift a page. A list without `limit` is streamed in such batches. Each
batch is one statement, so no connection, transaction or long array is held while a client reads.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    DateTime,
    Integer,
    bindparam,
    delete,
    func,
    literal_column,
    null,
    select,
    tuple_,
    update,
)

from todoapp.database.execute import compiled, execute

from .models import ROW, Todo, in_utc
from .queries import Key, Listing, Order, Selection, SortBy, format_timestamp, key_fields
from .service import LATER

AFTER = ("after_first", "after_second")
"""The parameters for the parts of a key."""

BATCH_SIZE = 2000
"""Todos in memory at once: a third of a megabyte, and 6 MB if every description has the maximum
length. Larger batches are slower: they do not fit into the processor's cache."""


class Batch(NamedTuple):
    """Consecutive todos of a list."""

    todos: bytes
    """Their JSON, separated by commas."""

    last: Key | None
    """The key of the last todo if more follow, else None."""

    total: int | None
    """The number of selected todos, regardless of `after` and `offset`, if it was requested."""


def read_batch(listing: Listing, size: int) -> Batch:
    """Return the first `size` todos of a list. Size 0 reads no row."""
    statement = _select(
        listing.sort_by,
        listing.order,
        _conditions(listing),
        has_key=listing.after is not None,
        has_count=listing.count,
    )
    parameters = {
        **_parameters(listing),
        **dict(zip(AFTER, listing.after or (), strict=False)),
        "offset": listing.offset,
        "size": size,
        # One more row shows whether more todos follow.
        "rows": size and size + 1,
    }
    (todos, found, total, *last), _ = execute(statement, parameters)
    if found <= size:
        return Batch(todos or b"", None, total)
    # JSON escapes quotation marks in strings, so this finds the beginning of the extra todo.
    todos = todos[: todos.rindex(b',{"id":')]
    return Batch(todos, tuple(map(_key_part, last)), total)


def _key_part(value: int | bytes | datetime) -> int | str:
    match value:
        case bytes():
            return value.decode()
        case datetime():
            return format_timestamp(value)
    return value


def read_batches(listing: Listing) -> Iterator[Batch]:
    """Yield a whole list in batches of BATCH_SIZE todos: at least one batch.

    A todo that exists throughout appears exactly once, unless the field that the list is sorted
    by changes meanwhile. `id` and `created_at` never change.
    """
    while True:
        batch = read_batch(listing, BATCH_SIZE)
        yield batch
        if batch.last is None:
            return
        listing = replace(listing, after=batch.last, offset=0, count=False)


def update_all(selection: Selection, *, completed: bool) -> int:
    """Complete or reopen the selected todos, and return their number."""
    parameters = {**_parameters(selection), "new_completed": completed}
    return _change(_update(_conditions(selection)), parameters)


def delete_all(selection: Selection) -> int:
    """Delete the selected todos permanently, and return their number."""
    return _change(_delete(_conditions(selection)), _parameters(selection))


Conditions = tuple[ColumnElement[bool], ...]
BY_STATUS = Todo.completed == bindparam("status")
BY_SEARCH = func.todo_words(Todo.description).bool_op("@@")(func.todo_query(bindparam("search")))


# Compiled statements are cached: there are few combinations of these arguments.
@cache
def _select(
    sort_by: SortBy,
    order: Order,
    conditions: Conditions,
    *,
    has_key: bool,
    has_count: bool,
) -> str:
    """Return the SELECT of a batch, as a single row: fetching many rows costs more.

    The JSON is built outside of the page, so not for rows that are sorted or skipped.
    """
    columns: Sequence[ColumnElement[Any]] = [Todo.__table__.c[name] for name in key_fields(sort_by)]
    rows = select(ROW.label("todo"), *columns).where(*conditions)
    if BY_SEARCH in conditions:
        # OFFSET 0 is an optimization fence. Without it, if PostgreSQL believes the words common,
        # it walks the whole table in the order of the page and searches each description. With
        # it, the search always begins with the index of the words: slower for "a", but never slow
        # for "aardvark".
        matches = rows.offset(literal_column("0")).subquery("matches")
        rows = select(matches)
        _, *columns = matches.c
    rows = (
        rows.order_by(*(column.desc() if order == "desc" else column for column in columns))
        .offset(bindparam("offset", type_=Integer))
        .limit(bindparam("rows", type_=Integer))
    )
    if has_key:
        key = tuple_(*columns)
        after = tuple_(*map(bindparam, AFTER[: len(columns)]))
        rows = rows.where(key < after if order == "desc" else key > after)
    todo, *keys = rows.subquery("page").c
    total = select(func.count()).select_from(Todo).where(*conditions).scalar_subquery()
    return compiled(
        select(
            func.string_agg(func.todo_json(todo), literal_column("','")),
            func.count(),
            total if has_count else null(),
            *map(_last, keys),
        )
    )


def _last(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the value of a column in the last row of the page."""
    last = func.array_agg(column, type_=ARRAY(column.type))[bindparam("size", type_=Integer)]
    return in_utc(last) if isinstance(column.type, DateTime) else last


@cache
def _update(conditions: Conditions) -> str:
    values = {"completed": bindparam("new_completed"), "updated_at": LATER}
    return compiled(update(Todo).where(*conditions).values(values))


@cache
def _delete(conditions: Conditions) -> str:
    return compiled(delete(Todo).where(*conditions))


def _conditions(selection: Selection) -> Conditions:
    filters = ((BY_STATUS, selection.status), (BY_SEARCH, selection.words))
    return tuple(condition for condition, value in filters if value)


def _parameters(selection: Selection) -> dict[str, object]:
    return {
        "status": selection.status == "completed",
        "search": selection.words,
    }


def _change(statement: str, parameters: Mapping[str, object]) -> int:
    _, count = execute(statement, parameters)
    return count
