"""Operations on one todo, without HTTP."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import psycopg2.errors
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import QueuePool, text

from tests.support.waiting import wait_until
from todoapp.extensions import db
from todoapp.todos import service
from todoapp.todos.service import TodoChanged, TodoNotFound

NEW = {"description": "Buy groceries", "completed": False}


@pytest.fixture(autouse=True)
def app_context(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


def create(**fields: Any) -> dict[str, Any]:
    return json.loads(service.create_todo({**NEW, **fields}).json)


def get(todo_id: int) -> dict[str, Any]:
    return json.loads(service.get_todo(todo_id).json)


def update(todo_id: int, versions: list[str] | None = None, **fields: Any) -> dict[str, Any]:
    return json.loads(service.update_todo(todo_id, fields, versions).json)


def updated_at(todo: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(todo["updated_at"])


def test_a_new_todo_is_incomplete_and_has_equal_timestamps() -> None:
    todo = create()

    assert (todo["id"], todo["description"], todo["completed"]) == (1, "Buy groceries", False)
    assert todo["created_at"] == todo["updated_at"]


def test_a_todo_from_the_end_of_the_year_9999_is_not_changed(
    client: FlaskClient, sql: Callable[..., list[tuple]]
) -> None:
    last = "9999-12-31T23:59:59.999999Z"
    sql(f"INSERT INTO todos (description, updated_at) VALUES ('x', '{last}')")
    todo = client.get("/api/todos/1").get_json()
    assert todo["updated_at"] == last

    for path in ("/api/todos/1", "/api/todos?status=incomplete"):
        response = client.patch(path, json={"completed": True})
        assert response.status_code == 409
        assert response.get_json() == {"detail": "A todo cannot be changed after the year 9999"}
    assert client.get("/api/todos").get_json() == [todo]
    assert client.delete("/api/todos/1").status_code == 204


@pytest.mark.parametrize(
    "times",
    [
        "'infinity', 'infinity'",
        "'-infinity', now()",
        "now(), 'infinity'",
        "now(), now() - interval '1 microsecond'",
        "'0001-01-01 00:00:00Z'::timestamptz - interval '1 microsecond', now()",
        "now(), '9999-12-31 23:59:59-01:00'",
        "now(), '10000-01-01 00:00:00Z'",
        "'0044-03-15 BC', now()",
    ],
)
def test_the_table_refuses_times_that_rfc_3339_cannot_express(
    sql: Callable[..., list[tuple]], times: str
) -> None:
    with pytest.raises(psycopg2.errors.CheckViolation):
        sql(f"INSERT INTO todos (description, created_at, updated_at) VALUES ('x', {times})")


def test_ids_are_never_reused() -> None:
    service.delete_todo(create()["id"])

    assert create()["id"] == 2


def test_a_todo_can_be_created_from_its_description_alone() -> None:
    todo = json.loads(service.create_todo({"description": "Buy groceries"}).json)

    assert todo["completed"] is False


def test_fields_that_are_not_named_are_left_unchanged() -> None:
    create(completed=True)

    assert update(1, description="Buy milk")["completed"] is True
    assert update(1, completed=False)["description"] == "Buy milk"


def test_an_update_without_changes_writes_nothing() -> None:
    todo = create()

    assert update(1) == todo


def test_updated_at_advances_even_if_the_clock_goes_back(
    sql: Callable[..., list[tuple]],
) -> None:
    todo = create()
    sql("UPDATE todos SET updated_at = now() + interval '1 day'")
    before = updated_at(get(1))

    after = update(1, completed=True)

    assert updated_at(after) == before + timedelta(microseconds=1)
    assert after["created_at"] == todo["created_at"]


def test_concurrent_updates_of_different_fields_both_survive(
    app: Flask, sql: Callable[..., list[tuple]]
) -> None:
    create()

    def complete() -> None:
        with app.app_context():
            update(1, completed=True)

    with (
        db.engine.connect().execution_options(isolation_level="READ COMMITTED") as other,
        ThreadPoolExecutor() as threads,
    ):
        other.execute(
            text("UPDATE todos SET description = 'Buy milk', updated_at = now() + interval '1 day'")
        )
        completion = threads.submit(complete)
        wait_until(lambda: sql("SELECT 1 FROM pg_locks WHERE NOT granted"))
        first_change = other.scalar(text("SELECT updated_at FROM todos"))
        other.commit()
        completion.result()

    todo = get(1)
    assert (todo["description"], todo["completed"]) == ("Buy milk", True)
    assert updated_at(todo) > first_change


def test_a_conditional_delete_detects_a_concurrent_update(
    app: Flask, sql: Callable[..., list[tuple]]
) -> None:
    todo = create()

    def delete() -> None:
        with app.app_context():
            service.delete_todo(1, versions=[todo["updated_at"]])

    with (
        db.engine.connect().execution_options(isolation_level="READ COMMITTED") as other,
        ThreadPoolExecutor() as threads,
    ):
        other.execute(text("UPDATE todos SET updated_at = now() + interval '1 day'"))
        deletion = threads.submit(delete)
        wait_until(lambda: sql("SELECT 1 FROM pg_locks WHERE NOT granted"))
        other.commit()

        with pytest.raises(TodoChanged):
            deletion.result()
    assert get(1)["id"] == 1


@pytest.mark.parametrize("change", [{}, {"completed": True}])
def test_a_version_mismatch_changes_nothing(change: dict[str, Any]) -> None:
    before = create()

    for versions in ([], ["nonsense"], ["2025-12-28T10:00:00.123456Z"]):
        with pytest.raises(TodoChanged, match=r"^Todo 1 has changed since$"):
            service.update_todo(1, change, versions)

    assert get(1) == before
    assert update(1, **change, versions=["nonsense", before["updated_at"]])["id"] == 1


def test_a_missing_todo_is_not_found_regardless_of_the_version() -> None:
    with pytest.raises(TodoNotFound):
        service.delete_todo(1, versions=["nonsense"])


@pytest.mark.parametrize("todo_id", [-1, 0, 1, 2**31 - 1, 2**31, 10**20])
@pytest.mark.parametrize(
    "operation",
    [
        service.get_todo,
        partial(service.update_todo, fields={}),
        partial(service.update_todo, fields={"completed": True}),
        service.delete_todo,
    ],
)
def test_any_integer_without_a_todo_is_not_found(
    operation: Callable[[int], object], todo_id: int
) -> None:
    with pytest.raises(TodoNotFound, match=f"^Todo {todo_id} not found$"):
        operation(todo_id)


def test_every_operation_is_a_single_statement_without_begin_and_commit(
    statements: Callable[[], list[str]],
) -> None:
    service.create_todo(NEW)
    service.get_todo(1)
    service.update_todo(1, {"completed": True})
    service.delete_todo(1)

    verbs = [statement.split()[0] for statement in statements()]
    assert verbs == ["INSERT", "SELECT", "UPDATE", "DELETE"]


def test_an_id_out_of_range_is_not_looked_up(
    statements: Callable[[], list[str]],
) -> None:
    for todo_id in (-1, 0, 2**31, 10**20):
        with pytest.raises(TodoNotFound):
            service.get_todo(todo_id)

    assert statements() == []


def test_no_connection_is_held_after_an_operation() -> None:
    service.create_todo(NEW)

    assert isinstance(db.engine.pool, QueuePool)
    assert db.engine.pool.checkedout() == 0
