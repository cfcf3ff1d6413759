"""What can be done to todos, without HTTP."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest
from flask import Flask
from sqlalchemy import event, text

from tests.waiting import wait_until
from todoapp import service
from todoapp.extensions import db
from todoapp.service import TodoNotFound


@pytest.fixture(autouse=True)
def app_context(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """The statements that the database is sent meanwhile."""
    sent: list[str] = []

    def note(connection, cursor, statement, *rest) -> None:
        sent.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    yield sent
    event.remove(db.engine, "before_cursor_execute", note)


def test_a_new_todo_is_not_completed_and_not_changed() -> None:
    todo = service.create_todo(description="Buy groceries")

    assert (todo.id, todo.description, todo.completed) == (1, "Buy groceries", False)
    assert todo.created_at == todo.updated_at


def test_ids_are_not_given_again() -> None:
    service.delete_todo(service.create_todo(description="first").id)

    assert service.create_todo(description="second").id == 2


def test_what_is_none_is_left_as_it_is() -> None:
    todo = service.create_todo(description="Buy groceries", completed=True)

    assert service.update_todo(todo.id, description="Buy milk").completed is True
    assert service.update_todo(todo.id, completed=False).description == "Buy milk"


def test_an_update_without_changes_writes_nothing() -> None:
    todo = service.create_todo(description="Buy groceries")

    assert service.update_todo(todo.id) == todo


def test_updated_at_grows_even_where_the_clock_has_gone_back(
    sql: Callable[..., list[tuple]],
) -> None:
    todo = service.create_todo(description="Buy groceries")
    sql("UPDATE todos SET updated_at = now() + interval '1 day'")
    before = service.get_todo(todo.id).updated_at

    after = service.update_todo(todo.id, completed=True)

    assert after.updated_at == before + timedelta(microseconds=1)
    assert after.created_at == todo.created_at


def test_an_update_that_had_to_wait_for_another_one_keeps_what_that_one_wrote(
    app: Flask, sql: Callable[..., list[tuple]]
) -> None:
    todo_id = service.create_todo(description="Buy groceries").id

    def complete() -> None:
        with app.app_context():
            service.update_todo(todo_id, completed=True)

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

    todo = service.get_todo(todo_id)
    assert (todo.description, todo.completed) == ("Buy milk", True)
    assert todo.updated_at > first_change


@pytest.mark.parametrize("todo_id", [-1, 0, 1, 2**31 - 1, 2**31, 10**20])
@pytest.mark.parametrize(
    "action",
    [
        service.get_todo,
        service.update_todo,
        partial(service.update_todo, completed=True),
        service.delete_todo,
    ],
)
def test_whatever_integer_is_no_id_is_said_to_be_not_found(
    action: Callable[[int], object], todo_id: int
) -> None:
    with pytest.raises(TodoNotFound, match=f"^Todo {todo_id} not found$"):
        action(todo_id)


def test_every_action_is_one_statement_without_begin_and_commit(statements: list[str]) -> None:
    service.create_todo(description="Buy groceries")
    service.get_todo(1)
    service.update_todo(1, completed=True)
    service.list_todos()
    service.delete_todo(1)

    verbs = [statement.split()[0] for statement in statements]
    assert verbs == ["INSERT", "SELECT", "UPDATE", "SELECT", "DELETE"]


def test_for_what_can_be_no_id_the_database_is_not_asked(statements: list[str]) -> None:
    for todo_id in (-1, 0, 2**31, 10**20):
        with pytest.raises(TodoNotFound):
            service.get_todo(todo_id)

    assert statements == []


def test_no_connection_is_held_after_an_action() -> None:
    service.create_todo(description="Buy groceries")

    assert db.engine.pool.checkedout() == 0
