"""Query plans of lists."""

from collections.abc import Callable
from itertools import product

import psycopg2
import pytest
from flask import Flask

from todoapp.todos.lists import BY_SEARCH, BY_STATUS, _select_page
from todoapp.todos.queries import SortBy


@pytest.mark.parametrize("sort_by", ["id", "created_at", "updated_at", "description"])
def test_no_json_is_built_for_rows_that_are_only_sorted_or_skipped(
    app: Flask, sql: Callable[..., list[tuple]], sort_by: SortBy
) -> None:
    sql("INSERT INTO todos (description) SELECT 'todo ' || n FROM generate_series(1, 1000) n")
    parameters = {"size": 50, "rows": 51, "offset": 500, "search": "todo", "status": True}
    url = app.config["SQLALCHEMY_DATABASE_URI"].set(drivername="postgresql")
    with psycopg2.connect(url.render_as_string(hide_password=False)) as connection:
        cursor = connection.cursor()
        for conditions, has_count in product(((), (BY_STATUS,), (BY_SEARCH,)), (False, True)):
            statement = _select_page(sort_by, "asc", conditions, False, has_count=has_count)
            cursor.execute(f"EXPLAIN (VERBOSE, COSTS OFF) {statement}", parameters)
            plan = "\n".join(line for (line,) in cursor.fetchall())

            aggregate, limit = plan.split("->  Limit")
            assert "concat(" in aggregate
            assert "concat(" not in limit
    connection.close()
