"""Log output of the web process, as text and as JSON."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import psycopg2
import pytest
import requests

from tests.support.raw import client, read_until_closed
from tests.support.todos import insert_todos
from tests.support.types import Sql
from tests.support.waiting import wait_until
from tests.support.web import ECHO, WebProcess, run, serving

ID = {"X-Request-ID": "checkout-42"}
TODO = "/api/todos/{todo_id}"
MEASURED = r"database_ms=\d+\.\d statements=\d"


def lines(web: WebProcess) -> list[dict[str, Any]]:
    """Parse the output of a process with LOG_FORMAT=json: every line is a JSON object."""
    return [json.loads(line) for line in web.output().splitlines()]


def send(web: WebProcess, request: bytes) -> None:
    """Send bytes that need not be valid HTTP, and read until the connection is closed."""
    with client(web, request) as connection:
        read_until_closed(connection)


def test_each_request_is_one_line_of_text(web: WebProcess) -> None:
    web.request("POST", "/api/todos", json={"description": "my secret"}, headers=ID)
    missing = web.request("GET", "/api/todos/7?search=my+secret")
    web.request("GET", "/api/" + quote("a\nINFO b"))
    web.terminate()

    log = web.output()
    generated = missing.headers["X-Request-ID"]
    details = r"\d+\.\dms client=127\.0\.0\.1"
    for line in (
        rf"POST /api/todos 201 {details} route=/api/todos {MEASURED} request_id=checkout-42",
        rf"GET /api/todos/7 404 {details} route={TODO} {MEASURED} request_id={generated}",
        rf"GET /api/a%0AINFO%20b 404 {details} {MEASURED} request_id=[0-9a-f]{{16}}",
    ):
        assert re.search(rf"^\S+ \S+ \[\d+\] INFO {line}$", log, re.MULTILINE), log
    assert "secret" not in log


def test_each_request_is_one_line_of_json(database: str) -> None:
    with serving(DATABASE_URL=database, LOG_FORMAT="json") as web:
        web.request("POST", "/api/todos?search=my+secret", json={"description": "my secret"})
        missing = web.request("GET", "/api/todos/7", headers=ID)
        web.terminate()

        assert missing.status_code == 404
        assert "secret" not in web.output()
        (line,) = [line for line in lines(web) if line.get("request_id") == "checkout-42"]
    assert abs(datetime.now(UTC) - datetime.fromisoformat(line.pop("time"))) < timedelta(minutes=1)
    assert isinstance(line.pop("process"), int)
    assert 0 < line.pop("database_ms") <= line["duration_ms"]
    assert line == {
        "level": "INFO",
        "message": f"GET /api/todos/7 404 {line['duration_ms']}ms",
        "client": "127.0.0.1",
        "method": "GET",
        "path": "/api/todos/7",
        "route": TODO,
        "status": 404,
        "duration_ms": line["duration_ms"],
        "statements": 1,
        "request_id": "checkout-42",
    }


def test_all_statements_of_a_streamed_list_are_counted(web: WebProcess, sql: Sql) -> None:
    sql("INSERT INTO todos (description) SELECT 'x' FROM generate_series(1, 5000)")
    web.request("GET", "/api/todos", headers=ID)
    web.terminate()

    assert re.search(r"statements=3 request_id=checkout-42$", web.output(), re.MULTILINE)


def test_warnings_have_the_request_id(database: str) -> None:
    with serving(DATABASE_URL=database, LOG_FORMAT="json", SLOW_QUERY_MS="1000") as web:
        with psycopg2.connect(database) as other:
            other.cursor().execute("LOCK TABLE todos")
            web.request("GET", "/api/todos", headers=ID)
        other.close()
        web.terminate()

        warnings = [
            line for line in lines(web) if line["level"] == "WARNING" and "request_id" in line
        ]
    assert [line["request_id"] for line in warnings] == ["checkout-42", "checkout-42"]
    slow, refused = (line["message"] for line in warnings)
    assert re.match(r"Slow statement, \d{4}ms: SELECT", slow)
    assert refused == "Database: canceling statement due to lock timeout"


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_unexpected_error_is_logged_once_with_the_request_id_of_the_response(
    database: str, form: str
) -> None:
    with serving(ECHO, DATABASE_URL=database, LOG_FORMAT=form) as web:
        response = web.request("GET", "/fail/" + quote("a\nCRITICAL forged") + "?search=my+secret")
        web.terminate()

        log = web.output()
    request_id = response.headers["X-Request-ID"]
    assert response.json() == {"detail": "Internal server error"}
    assert log.count("ZeroDivisionError: deliberate error") == 1
    assert "secret" not in log
    assert not re.search(r"^CRITICAL", log, re.MULTILINE)
    (error,) = [line for line in log.splitlines() if "Exception on GET /fail/a%0ACRITICAL" in line]
    if form == "text":
        assert error.endswith(f"request_id={request_id}")
    else:
        assert json.loads(error)["request_id"] == request_id
        assert "ZeroDivisionError" in json.loads(error)["traceback"]


def test_malformed_requests_are_logged_without_their_content(web: WebProcess) -> None:
    request_lines = [
        b"GET /api/todos?search=my secret HTTP/1.1",
        b"GET /api/todos?search=secret",
        b"SECRET?secret /api/todos HTTP/1.1",
        b"GET / HTTP/1.1\r\nAuthorization secret: x",
    ]
    for request_line in request_lines:
        send(web, request_line + b"\r\n\r\n")
    web.terminate()

    refusals = re.findall(r"INFO \S+ \S+ 400 .* client=127\.0\.0\.1 ", web.output())
    assert len(refusals) == len(request_lines)
    assert "secret" not in web.output().lower()


def test_a_reused_thread_keeps_nothing_of_the_previous_request(database: str) -> None:
    one = {"WEB_CONCURRENCY": "1", "WEB_THREADS": "1"}
    with serving(DATABASE_URL=database, LOG_FORMAT="json", **one) as web:
        web.request("GET", "/health", headers=ID)
        send(web, b"nonsense\r\n\r\n")
        web.request("GET", "/health/live", headers={"X-Request-ID": "next"})
        web.terminate()

        (refused,) = [line for line in lines(web) if line.get("status") == 400]
        (following,) = [line for line in lines(web) if line.get("request_id") == "next"]
    assert refused["request_id"] not in (ID["X-Request-ID"], "next")
    assert (following["statements"], following["database_ms"]) == (0, 0)


def test_a_truncated_list_is_logged_with_the_request_id(database: str, sql: Sql) -> None:
    sql(insert_todos(20000))
    with serving(DATABASE_URL=database, LOG_FORMAT="json") as web:
        with requests.get(web.url("/api/todos"), headers=ID, stream=True, timeout=30) as response:
            sql("ALTER TABLE todos RENAME TO elsewhere")
            with pytest.raises(requests.exceptions.ChunkedEncodingError):
                for _ in response.iter_content(2**20):
                    pass
        wait_until(lambda: "A list was cut off" in web.output())
        web.terminate()

        (broken,) = [line for line in lines(web) if "A list was cut off" in line["message"]]
    assert (broken["level"], broken["request_id"]) == ("WARNING", "checkout-42")


def test_every_line_is_json_with_log_format_json(database: str) -> None:
    environ = {"LOG_FORMAT": "json", "LOG_LEVEL": "debug", "LOG_SQL": "1", "SLOW_QUERY_MS": "0"}
    with serving(DATABASE_URL=database, **environ) as web:
        web.request("POST", "/api/todos", json={"description": "my \ud83d\ude00 secret"})
        web.request("GET", "/api/" + quote(b"\xff\xfe\0"))
        send(web, b"\xff\xfe\r\n\r\n")
        web.terminate()

        assert {line["level"] for line in lines(web)} == {"DEBUG", "INFO", "WARNING"}
        assert all(isinstance(line["message"], str) for line in lines(web))
        assert "secret" not in web.output()


def test_log_format_json_does_not_affect_flask_commands(empty_database: str) -> None:
    plain = run("release", DATABASE_URL=empty_database)
    again = run("release", DATABASE_URL=empty_database, LOG_FORMAT="json")

    assert (plain.returncode, again.returncode) == (0, 0)
    assert "Running upgrade" in plain.stderr
