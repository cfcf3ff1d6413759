"""Operations on many todos: lists of any length, and bulk changes.

Lists use keyset pagination: a batch begins after the key of the last todo of the batch before, so
concurrent writes never shift a page. A list without `limit` is streamed in such batches, or if no
index has its order, in batches of IDs that were found once. Each batch is one statement, so no
connection or transaction is held while a client reads.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    DateTime,
    Integer,
    Subquery,
    Text,
    bindparam,
    cast,
    delete,
    func,
    literal_column,
    null,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by

from todoapp.database.execute import compiled, execute, execute_expensive

from .models import COLUMNS, ROW, SORT_KEY, Todo, in_utc
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

    last: Key | None = None
    """The key of the last todo if more follow, else None."""

    total: int | None = None
    """The number of selected todos, regardless of `after` and `offset`, if it was requested."""


def read_batch(listing: Listing, size: int) -> Batch:
    """Return the first `size` todos of a list. Size 0 reads no row."""
    statement = _select_page(*_shape(listing), has_count=listing.count)
    # One more row shows whether more todos follow.
    parameters = {**_list_parameters(listing), "size": size, "rows": size and size + 1}
    run = execute if listing.has_index and not listing.count else execute_expensive
    (todos, found, total, *last), _ = run(statement, parameters)
    if found <= size:
        return Batch(todos or b"", None, total)
    # JSON escapes quotation marks in strings, so this finds the beginning of the extra todo.
    todos = todos[: todos.rindex(b',{"id":')]
    return Batch(todos, tuple(map(_key_value, last)), total)


def _key_value(value: int | bytes | datetime) -> int | str:
    match value:
        case bytes():
            return value.decode()
        case datetime():
            return format_timestamp(value)
    return value


def read_batches(listing: Listing) -> Iterator[Batch]:
    """Yield a whole list in batches of BATCH_SIZE todos: at least one batch.

    A todo that exists throughout appears exactly once, unless its description changes while the
    list is sorted by it.
    """
    batch = read_batch(listing, BATCH_SIZE)
    yield batch
    while batch.last is not None:
        listing = replace(listing, after=batch.last, offset=0, count=False)
        if not listing.has_index:
            yield from _read_by_ids(listing)
            return
        batch = read_batch(listing, BATCH_SIZE)
        yield batch


def _read_by_ids(listing: Listing) -> Iterator[Batch]:
    """Yield a whole list in batches. Its todos are found and sorted only once."""
    parameters = {**_list_parameters(listing), "rows": None}
    (ids,), _ = execute_expensive(_select_ids(*_shape(listing)), parameters)
    for batch in re.finditer(rb"[0-9]+(?:,[0-9]+){,%d}" % (BATCH_SIZE - 1), ids or b""):
        (todos,), _ = execute(SELECT_BY_IDS, {"ids": batch[0].decode()})
        yield Batch(todos or b"")


def update_all(selection: Selection, *, completed: bool) -> int:
    """Complete or reopen the selected todos; return how many were changed by that."""
    parameters = {**_parameters(selection), "new_completed": completed}
    _, count = execute_expensive(_update(_conditions(selection)), parameters)
    return count


def delete_all(selection: Selection) -> int:
    """Delete the selected todos permanently, and return their number."""
    _, count = execute_expensive(_delete(_conditions(selection)), _parameters(selection))
    return count


Conditions = tuple[ColumnElement[bool], ...]
BY_STATUS = Todo.completed == bindparam("status")
BY_SEARCH = func.todo_search_words(Todo.description).bool_op("@@")(
    func.todo_search_query(bindparam("search"))
)
BY_TIME = Todo.updated_at <= bindparam("updated_before", type_=DateTime(timezone=True))

Shape = tuple[SortBy, Order, Conditions, bool]
"""What the statement of a list depends on: the last is whether it begins after a key."""


def _shape(listing: Listing) -> Shape:
    return listing.sort_by, listing.order, _conditions(listing), listing.after is not None


def _conditions(selection: Selection) -> Conditions:
    filters = (
        (BY_STATUS, selection.status),
        (BY_SEARCH, selection.words),
        (BY_TIME, selection.updated_before),
    )
    return tuple(condition for condition, value in filters if value)


def _parameters(selection: Selection) -> dict[str, object]:
    return {
        "status": selection.status == "completed",
        "search": selection.words,
        "updated_before": selection.updated_before,
    }


def _list_parameters(listing: Listing) -> dict[str, object]:
    after = dict(zip(AFTER, listing.after or (), strict=False))
    return {**_parameters(listing), **after, "offset": listing.offset}


def _page(sort_by: SortBy, order: Order, conditions: Conditions, has_key: bool) -> Subquery:
    """Return a subquery for some rows of a list: the whole row, and its key."""
    keys: Sequence[ColumnElement[Any]] = [
        SORT_KEY.label(name) if name == "sort_key" else COLUMNS[name]
        for name in key_fields(sort_by)
    ]
    rows = select(ROW.label("todo"), *keys).where(*conditions)
    if BY_SEARCH in conditions:
        # OFFSET 0 is an optimization fence. Without it, if PostgreSQL believes the words common,
        # it walks the whole table in the order of the page and searches each description. With
        # it, the search always begins with the index of the words: slower for "a", but never slow
        # for "aardvark".
        matches = rows.offset(literal_column("0")).subquery("matches")
        rows = select(matches)
        _, *keys = matches.c
    if has_key:
        key = tuple_(*keys)
        after = tuple_(*map(bindparam, AFTER[: len(keys)]))
        rows = rows.where(key < after if order == "desc" else key > after)
    return (
        rows.order_by(*(key.desc() if order == "desc" else key for key in keys))
        .offset(bindparam("offset", type_=Integer))
        .limit(bindparam("rows", type_=Integer))
        .subquery("page")
    )


# Compiled statements are cached: there are few combinations of these arguments.
@cache
def _select_page(
    sort_by: SortBy, order: Order, conditions: Conditions, has_key: bool, *, has_count: bool
) -> str:
    """Return the SELECT of a batch, as a single row: fetching many rows costs more.

    The JSON is built outside of the page, so not for rows that are sorted or skipped.
    """
    todo, *keys = _page(sort_by, order, conditions, has_key).c
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
def _select_ids(sort_by: SortBy, order: Order, conditions: Conditions, has_key: bool) -> str:
    """Return the SELECT of the IDs of a list, in its order: a text of 7 MB for a million."""
    page = _page(sort_by, order, conditions, has_key)
    return compiled(select(func.string_agg(cast(page.c.id, Text), literal_column("','"))))


def _select_by_ids() -> str:
    """Return the SELECT of the todos with the given IDs, in their order."""
    ids = cast(func.string_to_array(bindparam("ids"), literal_column("','")), ARRAY(Integer))
    page = func.unnest(ids).table_valued("id", with_ordinality="position")
    page = page.render_derived("page")
    todos = select(
        func.string_agg(
            func.todo_json(ROW), aggregate_order_by(literal_column("','"), page.c.position)
        )
    )
    return compiled(todos.select_from(Todo).join(page, Todo.id == page.c.id))


SELECT_BY_IDS = _select_by_ids()


@cache
def _update(conditions: Conditions) -> str:
    completed: ColumnElement[bool] = bindparam("new_completed")
    changed = Todo.completed.is_distinct_from(completed)
    values = {"completed": completed, "updated_at": LATER}
    return compiled(update(Todo).where(*conditions, changed).values(values))


@cache
def _delete(conditions: Conditions) -> str:
    return compiled(delete(Todo).where(*conditions))
