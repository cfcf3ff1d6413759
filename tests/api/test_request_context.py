"""Per-request context: request ID, route, database time and slow statements."""

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.test import create_environ

from todoapp.database.errors import kind
from todoapp.extensions import db
from todoapp.observability import request_context
from todoapp.observability.request_context import ENVIRON_KEY, RequestInfo
from todoapp.todos import service

GENERATED_ID = re.compile("[0-9a-f]{16}")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/todos", 200),
        ("GET", "/api/todos?limit=1", 200),
        ("GET", "/api/todos?limit=x", 400),
        ("GET", "/api/todos/1", 404),
        ("HEAD", "/api/todos", 200),
        ("PUT", "/api/todos", 405),
        ("POST", "/api/todos", 400),
        ("GET", "/nowhere", 404),
        ("GET", "/health/live", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/docs", 200),
    ],
)
def test_every_response_has_a_unique_request_id(
    client: FlaskClient, method: str, path: str, status: int
) -> None:
    responses = [client.open(path, method=method) for _ in range(2)]

    assert [response.status_code for response in responses] == [status, status]
    ids = {response.headers["X-Request-ID"] for response in responses}
    assert len(ids) == 2
    assert all(GENERATED_ID.fullmatch(request_id) for request_id in ids)


def test_a_response_without_a_body_has_a_request_id(client: FlaskClient) -> None:
    etag = client.post("/api/todos", json={"description": "x"}).headers["ETag"]

    not_modified = client.get("/api/todos/1", headers={"If-None-Match": etag})
    deleted = client.delete("/api/todos/1")

    assert (not_modified.status_code, deleted.status_code) == (304, 204)
    assert GENERATED_ID.fullmatch(not_modified.headers["X-Request-ID"])
    assert GENERATED_ID.fullmatch(deleted.headers["X-Request-ID"])


def test_a_preflight_response_has_a_request_id_and_allows_sending_one(
    client: FlaskClient,
) -> None:
    preflight = {
        "Origin": "http://localhost:3000",
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "content-type, x-request-id",
    }

    headers = client.options("/api/todos/1", headers=preflight).headers

    assert GENERATED_ID.fullmatch(headers["X-Request-ID"])
    assert "x-request-id" in headers["Access-Control-Allow-Headers"].lower()


@pytest.mark.parametrize("sent", ["checkout-42", "a", "0.b_C-9", "x" * 64])
def test_a_valid_request_id_of_the_client_is_kept(client: FlaskClient, sent: str) -> None:
    response = client.get("/health/live", headers={"X-Request-ID": sent})

    assert response.headers["X-Request-ID"] == sent


@pytest.mark.parametrize("sent", ["", "x" * 65, "a b", 'a"', "a,b", "a\tb", "é", "{}"])
def test_an_invalid_request_id_of_the_client_is_replaced(client: FlaskClient, sent: str) -> None:
    response = client.get("/health/live", headers={"X-Request-ID": sent})

    assert GENERATED_ID.fullmatch(response.headers["X-Request-ID"])


@pytest.fixture
def info_of(app: Flask) -> Callable[[str], RequestInfo]:
    """Send a GET request, consume the response and return its context."""

    def info_of(path: str) -> RequestInfo:
        environ = create_environ(path)
        response: Any = app(environ, lambda *_: None)
        with closing(response):
            b"".join(response)
        return environ[ENVIRON_KEY]

    return info_of


def test_the_context_has_the_number_of_statements_and_their_duration(
    info_of: Callable[[str], RequestInfo],
) -> None:
    info = info_of("/api/todos/1")

    assert info.statements == 1
    assert 0 < info.database_seconds < 30


def test_a_request_without_statements_has_no_database_time(
    info_of: Callable[[str], RequestInfo],
) -> None:
    info = info_of("/health/live")

    assert (info.statements, info.database_seconds) == (0, 0)


def test_statements_sent_while_streaming_count_towards_the_request(
    info_of: Callable[[str], RequestInfo], sql: Callable[..., Any]
) -> None:
    sql("INSERT INTO todos (description) SELECT 'x' FROM generate_series(1, 5000)")

    assert info_of("/api/todos").statements == 3


def test_there_is_no_context_outside_of_a_request(app: Flask) -> None:
    with app.app_context():
        service.create_todo({"description": "x", "completed": False})

        assert request_context.current() is None


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/api/todos/-1", "/api/todos/{todo_id}"),
        ("/api/todos/", "/api/todos"),
        ("/docs/assets/missing.css", "/docs/assets/{filename}"),
        ("/api/todos/x", None),
    ],
)
def test_the_route_is_the_path_template_of_the_openapi_document(
    info_of: Callable[[str], RequestInfo], path: str, route: str | None
) -> None:
    assert info_of(path).route == route


@pytest.fixture
def slow_query_client(make_app: Callable[..., Flask], database: str) -> Iterator[FlaskClient]:
    """A client of a service that logs every statement as slow and has a single connection."""
    app = make_app(DATABASE_URL=database, SLOW_QUERY_MS="0", DB_POOL_SIZE="1", DB_POOL_TIMEOUT="1")
    yield app.test_client()
    with app.app_context():
        db.engine.dispose()


def database_log(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("todoapp.database.")
    ]


def test_slow_statements_and_pool_waits_are_logged_without_parameter_values(
    slow_query_client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    slow_query_client.post("/api/todos", json={"description": "my secret"})

    wait, statement = database_log(caplog)
    assert re.fullmatch(r"Connection pool: waited \d+ms for a connection", wait)
    assert re.match(r"Slow statement, \d+ms: INSERT INTO todos .*%\(description\)s", statement)
    assert "my secret" not in caplog.text


def test_a_slow_statement_that_fails_is_logged_too(
    slow_query_client: FlaskClient, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    with psycopg2.connect(database) as other:
        other.cursor().execute("LOCK TABLE todos")
        response = slow_query_client.get("/api/todos/1")
    other.close()

    assert response.status_code == 503
    milliseconds = re.match(r"Slow statement, (\d+)ms: SELECT", database_log(caplog)[-1])
    assert milliseconds is not None
    assert int(milliseconds[1]) >= 2000


def test_fast_statements_are_not_logged(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    client.get("/api/todos")

    assert database_log(caplog) == []


class SQLStateError(psycopg2.DatabaseError):
    """A database error with a chosen SQLSTATE."""

    def __init__(self, pgcode: str) -> None:
        super().__init__("simulated")
        self.code = pgcode

    @property
    def pgcode(self) -> str:  # type: ignore[override]  # psycopg2's is read-only as well
        return self.code


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (SQLStateError("57014"), "query_canceled"),
        (SQLStateError("55P03"), "lock_not_available"),
        (SQLStateError("XX999"), "other"),
        (psycopg2.OperationalError("server closed the connection"), "connection"),
        (psycopg2.InterfaceError("connection already closed"), "connection"),
        (psycopg2.ProgrammingError("no results to fetch"), "other"),
        (PoolTimeoutError("QueuePool limit of size 1"), "pool_timeout"),
    ],
)
def test_a_database_error_is_named_after_its_condition(
    error: psycopg2.Error | PoolTimeoutError, name: str
) -> None:
    assert kind(error) == name
