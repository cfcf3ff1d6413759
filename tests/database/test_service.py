"""What can be done to one todo, without HTTP."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

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


def test_a_new_todo_is_not_completed_and_not_changed() -> None:
    todo = create()

    assert (todo["id"], todo["description"], todo["completed"]) == (1, "Buy groceries", False)
    assert todo["created_at"] == todo["updated_at"]


def test_ids_are_not_given_again() -> None:
    service.delete_todo(create()["id"])

    assert create()["id"] == 2


def test_what_is_none_is_left_as_it_is() -> None:
    create(completed=True)

    assert update(1, description="Buy milk")["completed"] is True
    assert update(1, completed=False)["description"] == "Buy milk"


def test_an_update_without_changes_writes_nothing() -> None:
    todo = create()

    assert update(1) == todo


def test_updated_at_grows_even_where_the_clock_has_gone_back(
    sql: Callable[..., list[tuple]],
) -> None:
    todo = create()
    sql("UPDATE todos SET updated_at = now() + interval '1 day'")
    before = updated_at(get(1))

    after = update(1, completed=True)

    assert updated_at(after) == before + timedelta(microseconds=1)
    assert after["created_at"] == todo["created_at"]


def test_an_update_that_had_to_wait_for_another_one_keeps_what_that_one_wrote(
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


def test_a_deletion_that_had_to_wait_finds_that_the_todo_has_changed(
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
def test_a_todo_in_another_version_is_left_as_it_is(change: dict[str, bool]) -> None:
    before = create()

    for versions in ([], ["nonsense"], ["2025-12-28T10:00:00.123456Z"]):
        with pytest.raises(TodoChanged, match=r"^Todo 1 has changed since$"):
            service.update_todo(1, change, versions)

    assert get(1) == before
    assert update(1, **change, versions=["nonsense", before["updated_at"]])["id"] == 1


def test_a_todo_that_is_gone_is_not_found_whatever_version_is_expected() -> None:
    with pytest.raises(TodoNotFound):
        service.delete_todo(1, versions=["nonsense"])


@pytest.mark.parametrize("todo_id", [-1, 0, 1, 2**31 - 1, 2**31, 10**20])
@pytest.mark.parametrize(
    "action",
    [
        service.get_todo,
        partial(service.update_todo, fields={}),
        partial(service.update_todo, fields={"completed": True}),
        service.delete_todo,
    ],
)
def test_whatever_integer_is_no_id_is_said_to_be_not_found(
    action: Callable[[int], object], todo_id: int
) -> None:
    with pytest.raises(TodoNotFound, match=f"^Todo {todo_id} not found$"):
        action(todo_id)


def test_every_action_is_one_statement_without_begin_and_commit(
    statements: Callable[[], list[str]],
) -> None:
    service.create_todo(NEW)
    service.get_todo(1)
    service.update_todo(1, {"completed": True})
    service.delete_todo(1)

    verbs = [statement.split()[0] for statement in statements()]
    assert verbs == ["INSERT", "SELECT", "UPDATE", "DELETE"]


def test_for_what_can_be_no_id_the_database_is_not_asked(
    statements: Callable[[], list[str]],
) -> None:
    for todo_id in (-1, 0, 2**31, 10**20):
        with pytest.raises(TodoNotFound):
            service.get_todo(todo_id)

    assert statements() == []


def test_no_connection_is_held_after_an_action() -> None:
    service.create_todo(NEW)

    assert db.engine.pool.checkedout() == 0
