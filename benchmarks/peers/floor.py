"""Lower bound for gunicorn and psycopg2: no framework, no validation, one statement per request.

It uses the service's own table and todo_json(), with prepared statements.
"""

import os
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import orjson
import psycopg2
from psycopg2 import extensions

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

PREPARE = """
    PREPARE one (integer) AS SELECT todo_json(todos) FROM todos WHERE id = $1;

    PREPARE everything AS SELECT concat('[', string_agg(json, ','), ']')
        FROM (SELECT todo_json(todos) AS json FROM todos ORDER BY id) AS page;

    PREPARE page_by_offset (integer, integer) AS SELECT concat('[', string_agg(json, ','), ']')
        FROM (SELECT todo_json(todos) AS json FROM todos ORDER BY id LIMIT $1 OFFSET $2) AS page;

    PREPARE page_by_id (integer, integer) AS SELECT concat('[', string_agg(json, ','), ']')
        FROM (
            SELECT todo_json(todos) AS json FROM todos WHERE id > $2 ORDER BY id LIMIT $1
        ) AS page;

    PREPARE insertion (text) AS
        INSERT INTO todos (description) VALUES ($1) RETURNING todo_json(todos);

    PREPARE change (integer, text, boolean) AS
        UPDATE todos SET description = coalesce($2, description),
            completed = coalesce($3, completed),
            updated_at = greatest(now(), updated_at + interval '1 microsecond')
        WHERE id = $1 RETURNING todo_json(todos);
"""

# Not prepared, because the best plan depends on the search term.
SEARCH = """
    SELECT concat('[', string_agg(todo_json(todo), ','), ']')
    FROM (SELECT todo FROM (SELECT id, todos AS todo FROM todos
        WHERE todo_search_words(description) @@ todo_search_query(%s) OFFSET 0) AS found
        ORDER BY id LIMIT %s) AS page
"""

# Use the generic plan. By default PostgreSQL replans each page, because it overestimates the cost
# of a generic plan with an unknown LIMIT.
OPTIONS = "-c plan_cache_mode=force_generic_plan"

COLLECTION = "/api/todos"

local = threading.local()


def connect() -> extensions.cursor:
    """Open this thread's connection and return its cursor."""
    connection = psycopg2.connect(os.environ["DATABASE_URL"], options=OPTIONS)
    connection.autocommit = True
    extensions.register_type(extensions.BYTES, connection)
    cursor = connection.cursor()
    cursor.execute(PREPARE)
    local.cursor = cursor
    return cursor


def fetch(statement: str, *values: object) -> bytes | None:
    """Return the JSON that `statement` selects, or None without a row."""
    cursor = getattr(local, "cursor", None) or connect()
    cursor.execute(statement, values)
    row = cursor.fetchone()
    return row[0] if row else None


def read(query: str) -> bytes | None:
    """Return a list of todos."""
    if not query:
        return fetch("EXECUTE everything")
    options = dict(parse_qsl(query))
    limit = int(options["limit"])
    if "search" in options:
        return fetch(SEARCH, options["search"], limit)
    if "after" in options:
        return fetch("EXECUTE page_by_id (%s, %s)", limit, int(options["after"]))
    return fetch("EXECUTE page_by_offset (%s, %s)", limit, int(options.get("offset", 0)))


def app(environ: dict[str, Any], start_response: "StartResponse") -> tuple[bytes]:
    """Handle a request."""
    path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
    status = "200 OK"
    if method != "GET":
        fields = orjson.loads(environ["wsgi.input"].read())
    if path == COLLECTION:
        if method == "GET":
            body = read(environ["QUERY_STRING"])
        else:
            status = "201 Created"
            body = fetch("EXECUTE insertion (%s)", fields["description"])
    else:
        todo_id = int(path.removeprefix(COLLECTION + "/"))
        if method == "GET":
            body = fetch("EXECUTE one (%s)", todo_id)
        else:
            body = fetch(
                "EXECUTE change (%s, %s, %s)",
                todo_id,
                fields.get("description"),
                fields.get("completed"),
            )
    if body is None:
        status, body = "404 Not Found", b'{"detail":"Not found"}'
    start_response(
        status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    )
    return (body,)
