"""Changes that the server has rejected.

What was typed is back in its field. Of the others, there is one message per cause.
"""

import json

import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.page import (
    Sql,
    add_and_type,
    checkbox,
    descriptions,
    edit,
    editor_error,
    hold,
    insert,
    messages,
    table,
)
from tests.support.waiting import wait_until

REASON = "Not on a Sunday"
OTHER_REASON = "Not in December"


@pytest.fixture(autouse=True)
def expect_errors(expected_messages: list[str]) -> None:
    """Let the browser log what the tests cause."""
    expected_messages.append(r"the server responded with a status of (403|404) .*/api/todos")


def reject(page: Page, method: str, text: str = "", reason: str = REASON) -> None:
    """Reject the requests with this method and text in their body."""

    def respond(route: Route) -> None:
        request = route.request
        if request.method == method and text in (request.post_data or ""):
            route.fulfill(status=403, body=json.dumps({"detail": reason}))
        else:
            route.fallback()

    page.route("**/api/todos*", respond)
    page.route("**/api/todos/*", respond)


def test_ten_rejected_ticks_are_one_message_that_names_them_and_repeats_them(
    page: Page, sql: Sql
) -> None:
    names = [f"Todo {number}" for number in range(10)]
    insert(sql, *names)
    page.goto("/")
    expect(descriptions(page)).to_have_count(10)
    reject(page, "PATCH")

    for name in names:
        checkbox(page, name).click()

    listed = ", ".join(f"“{name}”" for name in names[:-1])
    message = f"Couldn't save {listed}, and “Todo 9”: {REASON}"
    expect(messages(page).locator("span")).to_have_text([message])
    expect(page.get_by_role("checkbox", checked=True)).to_have_count(0)

    page.unroute_all()
    messages(page).get_by_role("button", name="Try again").click()
    expect(page.get_by_role("checkbox", checked=True)).to_have_count(10)
    wait_until(lambda: page.title() and table(sql) == [(name, True) for name in names])
    expect(messages(page)).to_be_empty()


def test_one_rejected_tick_names_the_todo_shortened(page: Page, sql: Sql) -> None:
    insert(sql, "long " * 100)
    page.goto("/")
    reject(page, "PATCH")
    page.get_by_role("checkbox").click()
    expect(messages(page)).to_contain_text(f"Couldn't save “{'long ' * 7}long…”: {REASON}")


def test_todo_that_is_rejected_again_is_named_once(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    page.goto("/")
    reject(page, "PATCH")
    for _ in range(2):
        checkbox(page, "Milk").click()
        expect(messages(page)).to_contain_text("Couldn't save")
        expect(checkbox(page, "Milk")).not_to_be_checked()
    expect(messages(page).locator("span")).to_have_text([f"Couldn't save “Milk”: {REASON}"])


def test_many_rejected_todos_are_counted(page: Page, sql: Sql) -> None:
    page.goto("/")
    expect(page.get_by_text("No todos yet")).to_be_visible()
    reject(page, "POST")
    page.keyboard.insert_text("\n".join(f"Todo {number}" for number in range(15)))
    page.get_by_role("button", name="Add 15 todos").click()
    # The first one is back in the field.
    expect(messages(page)).to_contain_text(f", and 4 more: {REASON}")
    page.unroute_all()
    page.get_by_role("textbox", name="New todo").press("Enter")
    messages(page).get_by_role("button", name="Try again").click()
    wait_until(lambda: page.title() and len(table(sql)) == 15)


def test_each_cause_has_a_message_of_its_own(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread", "Eggs")
    page.goto("/")
    reject(page, "PATCH")
    reject(page, "POST", reason=OTHER_REASON)
    checkbox(page, "Milk").click()
    checkbox(page, "Eggs").click()
    add_and_type(page, "Tea", "Coffee")
    for message in (
        f"Couldn't save “Milk” and “Eggs”: {REASON}",
        f"Couldn't save “Tea”: {OTHER_REASON}",
    ):
        expect(messages(page).get_by_text(message)).to_have_count(1)


def test_message_that_was_closed_does_not_come_back_with_the_next_failure(
    page: Page, sql: Sql
) -> None:
    insert(sql, "Milk", "Bread")
    page.goto("/")
    reject(page, "PATCH")
    checkbox(page, "Milk").click()
    expect(messages(page)).to_contain_text(f"Couldn't save “Milk”: {REASON}")
    messages(page).get_by_role("button", name="Close").click()
    checkbox(page, "Bread").click()
    expect(messages(page)).to_contain_text(f"Couldn't save “Bread”: {REASON}")


def test_ticks_of_deleted_todos_are_one_message_without_a_button(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread", "Eggs")
    page.goto("/")
    expect(descriptions(page)).to_have_count(3)
    sql("DELETE FROM todos WHERE description <> 'Eggs'")
    checkbox(page, "Milk").click()
    checkbox(page, "Bread").click()
    expect(messages(page)).to_contain_text("Couldn't save “Milk” and “Bread”: it was deleted")
    expect(descriptions(page)).to_have_text(["Eggs"])
    expect(messages(page).get_by_role("button", name="Try again")).to_have_count(0)


def test_names_cannot_change_the_direction_of_the_message(page: Page, sql: Sql) -> None:
    insert(sql, "a\u202eb", "Milk")
    page.goto("/")
    expect(descriptions(page)).to_have_count(2)
    reject(page, "PATCH")
    # By name: a todo that is completed moves to another place.
    for name in ("Milk", "a\u202eb"):
        checkbox(page, name).click()
    expect(messages(page).locator("bdi")).to_have_text(["“Milk”", "“a\u202eb”"])


def test_rejected_edit_and_rejected_todo_do_not_share_a_button(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    page.goto("/")
    reject(page, "PATCH")
    reject(page, "POST")
    responses = hold(page, "**/api/todos/*")
    edit(page, "Milk", "Oat milk").press("Enter")
    wait_until(lambda: page.title() and responses)
    add_and_type(page, "Tea", "Coffee")
    responses.pop().fallback()
    expect(messages(page)).to_contain_text(f"Couldn't save “Oat milk”: {REASON}")
    page.unroute_all()
    messages(page).get_by_role("button", name="Add it").click()
    wait_until(lambda: page.title() and table(sql) == [("Milk", False), ("Tea", False)])
    messages(page).get_by_role("button", name="Try again").click()
    wait_until(lambda: page.title() and table(sql) == [("Oat milk", False), ("Tea", False)])


def test_rejected_edit_is_open_again_to_be_corrected(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread")
    page.goto("/")
    reject(page, "PATCH")
    field = edit(page, "Milk", "Oat milk")
    field.press("Enter")
    expect(editor_error(page)).to_have_text(REASON)
    expect(field).to_have_value("Oat milk")
    expect(field).to_be_focused()
    expect(messages(page)).to_be_empty()
    page.unroute_all()
    page.keyboard.type(", unsweetened")
    expect(editor_error(page)).to_be_empty()
    page.keyboard.press("Enter")
    expected = [("Oat milk, unsweetened", False), ("Bread", False)]
    wait_until(lambda: page.title() and table(sql) == expected)


def test_rejected_edit_can_be_given_up(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    page.goto("/")
    reject(page, "PATCH")
    field = edit(page, "Milk", "Oat milk")
    field.press("Enter")
    expect(editor_error(page)).to_have_text(REASON)
    field.press("Escape")
    expect(descriptions(page)).to_have_text(["Milk"])
    expect(field).to_have_count(0)
