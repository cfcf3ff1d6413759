"""Server-side failures: status, detail, log, and no confidential information."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient

from todoapp.extensions import db
from todoapp.todos import service

UNREACHABLE = "postgresql://ann:s3cret@127.0.0.1:1/todos"
WRITES = [("POST", "/api/todos"), ("PATCH", "/api/todos/1")]
REQUESTS = [("GET", "/api/todos"), ("GET", "/api/todos/1"), ("DELETE", "/api/todos/1"), *WRITES]


@pytest.mark.parametrize(("method", "path"), [*REQUESTS, ("GET", "/health")])
def test_an_unreachable_database_is_a_503_without_confidential_details(
    make_app: Callable[..., Flask], method: str, path: str
) -> None:
    client = make_app(DATABASE_URL=UNREACHABLE).test_client()
    body = {"description": "x"} if (method, path) in WRITES else None

    response = client.open(path, method=method, json=body)

    assert response.status_code == 503
    assert response.get_json() == {"detail": "The database is unavailable"}
    assert int(response.headers["Retry-After"]) > 0


def test_a_failed_connection_is_logged_with_its_reason_but_without_the_password(
    make_app: Callable[..., Flask], caplog: pytest.LogCaptureFixture
) -> None:
    make_app(DATABASE_URL=UNREACHABLE).test_client().get("/api/todos")

    (record,) = [record for record in caplog.records if "cannot connect" in record.message]
    assert "Connection refused" in record.message
    assert "s3cret" not in caplog.text
    assert "\n" not in record.message


def test_a_lock_timeout_is_a_503_and_changes_nothing(client: FlaskClient, app: Flask) -> None:
    client.post("/api/todos", json={"description": "Buy groceries"})
    with app.app_context():
        other = db.engine.connect().execution_options(isolation_level="READ COMMITTED")
    with other:
        other.exec_driver_sql("LOCK TABLE todos IN ACCESS EXCLUSIVE MODE")
        response = client.patch("/api/todos/1", json={"completed": True})

    assert response.status_code == 503
    assert response.get_json() == {"detail": "The database took too long"}
    assert client.get("/api/todos/1").get_json()["completed"] is False


def test_an_exhausted_connection_pool_is_a_503(
    make_app: Callable[..., Flask], shared_app: Flask
) -> None:
    url = shared_app.config["SQLALCHEMY_DATABASE_URI"].render_as_string()
    app = make_app(DATABASE_URL=url, DB_POOL_SIZE="1", DB_POOL_TIMEOUT="1")
    with app.app_context(), db.engine.connect():
        response = app.test_client().get("/api/todos")
        db.engine.dispose()

    assert response.status_code == 503
    assert response.get_json() == {"detail": "The service is overloaded"}
    assert int(response.headers["Retry-After"]) > 0


def test_a_connection_lost_while_idle_is_replaced_transparently(
    client: FlaskClient, sql: Callable[..., Any]
) -> None:
    client.get("/api/todos")
    sql(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    assert client.get("/api/todos").status_code == 200


@pytest.fixture
def fail_inserts(app: Flask, sql: Callable[..., Any]) -> Iterator[Callable[[str], None]]:
    """Make every INSERT fail with a given SQLSTATE, as a real fault would."""

    def fail_with(sqlstate: str) -> None:
        sql(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" RAISE 'refused' USING ERRCODE = '{sqlstate}', DETAIL = NEW.description; END $$;"
            "CREATE TRIGGER refuse BEFORE INSERT ON todos FOR EACH ROW EXECUTE FUNCTION refuse()"
        )

    yield fail_with
    sql("DROP FUNCTION refuse CASCADE")


@pytest.mark.parametrize(
    ("sqlstate", "detail"),
    [
        ("08006", "The database is unavailable"),  # connection failure
        ("2200H", "The database has no more ids"),  # sequence generator limit exceeded
        ("25006", "The database is read-only"),  # read-only transaction
        ("40P01", "Another request was changing the same todos"),  # deadlock
        ("53100", "The database is full"),  # disk full
        ("53200", "The database is overloaded"),  # out of memory
        ("53300", "The database is overloaded"),  # too many connections
        ("55P03", "The database took too long"),  # lock not available
        ("57014", "The database took too long"),  # query canceled
        ("57P01", "The database is unavailable"),  # admin shutdown
        ("58030", "The database is unavailable"),  # input/output error
    ],
)
def test_a_temporary_database_error_is_a_503_with_its_reason(
    client: FlaskClient, fail_inserts: Callable[[str], None], sqlstate: str, detail: str
) -> None:
    fail_inserts(sqlstate)

    response = client.post("/api/todos", json={"description": "x"})

    assert (response.status_code, response.get_json()) == (503, {"detail": detail})
    assert int(response.headers["Retry-After"]) > 0
    assert client.get("/api/todos").get_json() == []


def test_an_unexpected_database_error_is_a_500_without_details(
    client: FlaskClient, fail_inserts: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    fail_inserts("23514")  # check violation

    response = client.post("/api/todos", json={"description": "my secret"})

    assert response.status_code == 500
    assert response.get_json() == {"detail": "Internal server error"}
    assert "23514 refused" in caplog.text
    assert "service.py" in caplog.text
    assert "my secret" not in caplog.text


@pytest.mark.parametrize("sqlstate", ["22007", "22P02", "22001", "22021", "22003"])
def test_the_message_of_a_data_exception_is_not_logged(
    client: FlaskClient,
    fail_inserts: Callable[[str], None],
    caplog: pytest.LogCaptureFixture,
    sqlstate: str,
) -> None:
    fail_inserts(sqlstate)

    response = client.post("/api/todos", json={"description": "my secret"})

    assert response.status_code == 500
    assert sqlstate in caplog.text
    assert "my secret" not in caplog.text
    assert "refused" not in caplog.text


def test_an_unhandled_exception_is_a_500_and_its_traceback_is_logged(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(todo_id: int) -> None:
        raise ZeroDivisionError("a simulated bug")

    monkeypatch.setattr(service, "get_todo", fail)

    response = client.get("/api/todos/1")

    assert response.status_code == 500
    assert response.get_json() == {"detail": "Internal server error"}
    (record,) = caplog.records
    assert record.getMessage() == "Exception on GET /api/todos/1"
    assert caplog.text.count("ZeroDivisionError: a simulated bug") == 1
    assert response.headers["X-Request-ID"]


def test_an_error_after_the_view_is_a_500_that_cannot_forge_a_log_line(
    make_app: Callable[..., Flask], caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(DATABASE_URL="postgresql://db/todos")

    @app.after_request
    def fail(response: Response) -> Response:
        raise ZeroDivisionError

    response = app.test_client().get("/health/live/%0AINFO%20forged")

    assert response.status_code == 500
    assert "Exception on GET /health/live/%0AINFO%20forged" in caplog.text
    assert "\nINFO forged" not in caplog.text
