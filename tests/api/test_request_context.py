"""What is known of a request while it is handled."""

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

MADE = re.compile("[0-9a-f]{16}")


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
def test_every_answer_has_an_id_of_its_own(
    client: FlaskClient, method: str, path: str, status: int
) -> None:
    answers = [client.open(path, method=method) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [status, status]
    ids = {answer.headers["X-Request-ID"] for answer in answers}
    assert len(ids) == 2
    assert all(MADE.fullmatch(request_id) for request_id in ids)


def test_an_answer_without_a_body_has_an_id_too(client: FlaskClient) -> None:
    etag = client.post("/api/todos", json={"description": "x"}).headers["ETag"]

    known = client.get("/api/todos/1", headers={"If-None-Match": etag})
    gone = client.delete("/api/todos/1")

    assert (known.status_code, gone.status_code) == (304, 204)
    assert MADE.fullmatch(known.headers["X-Request-ID"])
    assert MADE.fullmatch(gone.headers["X-Request-ID"])


def test_the_question_of_a_browser_whether_it_may_is_answered_with_an_id(
    client: FlaskClient,
) -> None:
    asked = {
        "Origin": "http://localhost:3000",
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "content-type, x-request-id",
    }

    headers = client.options("/api/todos/1", headers=asked).headers

    assert MADE.fullmatch(headers["X-Request-ID"])
    assert "x-request-id" in headers["Access-Control-Allow-Headers"].lower()


@pytest.mark.parametrize("sent", ["checkout-42", "a", "0.b_C-9", "x" * 64])
def test_a_sane_id_of_the_client_is_kept(client: FlaskClient, sent: str) -> None:
    response = client.get("/health/live", headers={"X-Request-ID": sent})

    assert response.headers["X-Request-ID"] == sent


@pytest.mark.parametrize("sent", ["", "x" * 65, "a b", 'a"', "a,b", "a\tb", "é", "{}"])
def test_an_id_that_is_not_sane_is_replaced(client: FlaskClient, sent: str) -> None:
    response = client.get("/health/live", headers={"X-Request-ID": sent})

    assert MADE.fullmatch(response.headers["X-Request-ID"])


@pytest.fixture
def info_of(app: Flask) -> Callable[[str], RequestInfo]:
    """Send a GET, read the answer to its end, and return what the web process would find."""

    def info_of(path: str) -> RequestInfo:
        environ = create_environ(path)
        with closing(app(environ, lambda *_: None)) as answer:
            b"".join(answer)
        return environ[ENVIRON_KEY]

    return info_of


def test_a_trace_has_the_statements_and_their_time(info_of: Callable[[str], RequestInfo]) -> None:
    info = info_of("/api/todos/1")

    assert info.statements == 1
    assert 0 < info.database_seconds < 30


def test_without_a_statement_there_is_no_time(info_of: Callable[[str], RequestInfo]) -> None:
    info = info_of("/health/live")

    assert (info.statements, info.database_seconds) == (0, 0)


def test_the_statements_of_a_streamed_list_are_its_own(
    info_of: Callable[[str], RequestInfo], sql: Callable[..., Any]
) -> None:
    sql("INSERT INTO todos (description) SELECT 'x' FROM generate_series(1, 5000)")

    assert info_of("/api/todos").statements == 3


def test_outside_of_a_request_nothing_is_traced(app: Flask) -> None:
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
def test_a_route_is_written_as_the_description_writes_it(
    info_of: Callable[[str], RequestInfo], path: str, route: str | None
) -> None:
    assert info_of(path).route == route


@pytest.fixture
def impatient_client(make_app: Callable[..., Flask], database: str) -> Iterator[FlaskClient]:
    """A client of a service that takes whatever it does for slow, and has one connection."""
    app = make_app(DATABASE_URL=database, SLOW_QUERY_MS="0", DB_POOL_SIZE="1", DB_POOL_TIMEOUT="1")
    yield app.test_client()
    with app.app_context():
        db.engine.dispose()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("todoapp.database.")
    ]


def test_a_slow_statement_and_a_slow_connection_are_logged_without_what_people_wrote(
    impatient_client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    impatient_client.post("/api/todos", json={"description": "my secret"})

    wait, statement = warnings(caplog)
    assert re.fullmatch(r"Connection pool: waited \d+ms for a connection", wait)
    assert re.match(r"Slow statement, \d+ms: INSERT INTO todos .*%\(description\)s", statement)
    assert "my secret" not in caplog.text


def test_a_statement_that_fails_is_slow_all_the_same(
    impatient_client: FlaskClient, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    with psycopg2.connect(database) as other:
        other.cursor().execute("LOCK TABLE todos")
        response = impatient_client.get("/api/todos/1")
    other.close()

    assert response.status_code == 503
    milliseconds = re.match(r"Slow statement, (\d+)ms: SELECT", warnings(caplog)[-1])
    assert milliseconds is not None
    assert int(milliseconds[1]) >= 2000


def test_what_is_not_slow_is_not_logged(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    client.get("/api/todos")

    assert warnings(caplog) == []


class Refusal(psycopg2.DatabaseError):
    """What PostgreSQL refuses, with a SQLSTATE of one's choice."""

    def __init__(self, pgcode: str) -> None:
        super().__init__("refused")
        self.code = pgcode

    @property
    def pgcode(self) -> str:
        return self.code


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (Refusal("57014"), "query_canceled"),
        (Refusal("55P03"), "lock_not_available"),
        (Refusal("XX999"), "other"),
        (psycopg2.OperationalError("server closed the connection"), "connection"),
        (psycopg2.InterfaceError("connection already closed"), "connection"),
        (psycopg2.ProgrammingError("no results to fetch"), "other"),
        (PoolTimeoutError("QueuePool limit of size 1"), "pool_timeout"),
    ],
)
def test_an_error_of_the_database_has_the_name_of_its_condition(
    error: Exception, word: str
) -> None:
    assert kind(error) == word
