"""Many todos at once: lists of any length, and changes of all todos of a kind.

A list is read in batches. Each one is a statement of its own that begins after the last todo
of the batch before, so no connection, no transaction and no long array is kept while a client
reads; and todos that come or go meanwhile make no batch repeat or skip another one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import orjson
from sqlalchemy import (
    ColumnElement,
    FromClause,
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

from .models import Todo
from .queries import Key, Listing, Order, Selection, SortBy, key, key_fields
from .service import LATER

AFTER = ("after_first", "after_second")
"""The parameters that are the parts of a key."""

BATCH_SIZE = 2000
"""How many todos are in memory at once: a third of a megabyte, and 6 MB where each one is as long
as can be. Larger batches are slower: they do not fit into the processor's cache."""


class Batch(NamedTuple):
    """Todos that follow one another in a list."""

    todos: bytes
    """Their JSON, with commas between them."""

    last: Key | None
    """The key of the last one where more follow, else None."""

    total: int | None
    """How many todos the selection has, whatever `after` and `offset` say, if asked for."""


def read_batch(listing: Listing, size: int) -> Batch:
    """Return the first `size` todos of a list. With 0 no row is read."""
    statement = _select(
        listing.sort_by,
        listing.order,
        _conditions(listing),
        continued=listing.after is not None,
        counted=listing.count,
    )
    parameters = {
        **_parameters(listing),
        **dict(zip(AFTER, listing.after or (), strict=False)),
        "offset": listing.offset,
        # One more shows whether more follow.
        "rows": size and size + 1,
    }
    (todos, found, total), _ = execute(statement, parameters)
    if found <= size:
        return Batch(todos or b"", None, total)
    # Within a string of JSON every quotation mark is escaped, so this is where a todo begins.
    todos = todos[: todos.rindex(b',{"id":')]
    last = orjson.loads(todos[todos.rindex(b'{"id":') :])
    return Batch(todos, key(listing.sort_by, last), total)


def read_batches(listing: Listing) -> Iterator[Batch]:
    """Yield all todos of a list, BATCH_SIZE of them at a time: at least one batch.

    A todo appears exactly once if it exists from the beginning to the end, and what the list
    is sorted by does not change meanwhile; `id` and `created_at` never do.
    """
    while True:
        batch = read_batch(listing, BATCH_SIZE)
        yield batch
        if batch.last is None:
            return
        listing = replace(listing, after=batch.last, offset=0, count=False)


def update_all(selection: Selection, *, completed: bool) -> int:
    """Complete or reopen the selected todos, and return how many those are."""
    parameters = {**_parameters(selection), "new_completed": completed}
    return _change(_update(_conditions(selection)), parameters)


def delete_all(selection: Selection) -> int:
    """Remove the selected todos for good, and return how many those are."""
    return _change(_delete(_conditions(selection)), _parameters(selection))


# Statements are built once: each is asked for with the same few arguments again and again.
Conditions = tuple[ColumnElement[bool], ...]
BY_STATUS = Todo.completed == bindparam("status")
BY_SEARCH = func.todo_words(Todo.description).bool_op("@@")(func.todo_query(bindparam("search")))


@cache
def _select(
    sort_by: SortBy,
    order: Order,
    conditions: Conditions,
    *,
    continued: bool,
    counted: bool,
) -> str:
    source: FromClause = Todo.__table__
    rows = select(source.c.json).where(*conditions)
    if BY_SEARCH in conditions:
        # For a page, PostgreSQL would rather walk through a million todos in the right order and
        # look for the words in each, wherever it takes them for common. OFFSET 0 keeps it from
        # that, so it begins with the index of the words: slower for "a", never slow for "aardvark".
        source = select(source).where(*conditions).offset(literal_column("0")).subquery()
        rows = select(source.c.json)
    columns = [source.c[name] for name in key_fields(sort_by)]
    rows = (
        rows.order_by(*(column.desc() if order == "desc" else column for column in columns))
        .offset(bindparam("offset", type_=Integer))
        .limit(bindparam("rows", type_=Integer))
    )
    if continued:
        place = tuple_(*columns)
        after = tuple_(*map(bindparam, AFTER[: len(columns)]))
        rows = rows.where(place < after if order == "desc" else place > after)
    total = select(func.count()).select_from(Todo).where(*conditions).scalar_subquery()
    # All in one value: to fetch a row costs more than to read it.
    found = rows.subquery()
    todos = func.string_agg(found.c.json, literal_column("','"))
    return compiled(select(todos, func.count(found.c.json), total if counted else null()))


@cache
def _update(conditions: Conditions) -> str:
    values = {"completed": bindparam("new_completed"), "updated_at": LATER}
    return compiled(update(Todo).where(*conditions).values(values))


@cache
def _delete(conditions: Conditions) -> str:
    return compiled(delete(Todo).where(*conditions))


def _conditions(selection: Selection) -> Conditions:
    asked = ((BY_STATUS, selection.status), (BY_SEARCH, selection.words))
    return tuple(condition for condition, value in asked if value)


def _parameters(selection: Selection) -> dict[str, object]:
    return {
        "status": selection.status == "completed",
        "search": selection.words,
    }


def _change(statement: str, parameters: Mapping[str, object]) -> int:
    _, count = execute(statement, parameters)
    return count
