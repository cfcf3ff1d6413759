"""Undo of the last action, whatever it was."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.page import (
    Sql,
    add,
    changes,
    checkbox,
    descriptions,
    edit,
    hold,
    insert,
    item,
    messages,
    remaining,
    table,
)
from tests.support.waiting import wait_until
from tests.support.web import WebProcess

CONFLICT = r"the server responded with a status of 412 .*/api/todos/\d+\)"


def undo_button(page: Page) -> Locator:
    return messages(page).get_by_role("button", name="Undo")


def undo(page: Page, how: str = "click") -> None:
    """Undo the last action with the mouse or the keyboard."""
    if how == "click":
        undo_button(page).click()
    else:
        page.keyboard.press(how)


@pytest.mark.parametrize("how", ["click", "z"])
@pytest.mark.parametrize("completed", [False, True])
def test_tick_is_undone(page: Page, sql: Sql, how: str, completed: bool) -> None:
    insert(sql, "Milk", completed=completed)
    page.goto("/")
    checkbox(page, "Milk").click()
    wait_until(lambda: table(sql) == [("Milk", not completed)])
    expect(messages(page)).to_contain_text("Reopened “Milk”" if completed else "Completed “Milk”")
    undo(page, how)
    expect(checkbox(page, "Milk")).to_be_checked(checked=completed)
    expect(checkbox(page, "Milk")).to_be_focused()
    expect(remaining(page)).to_have_text("0 left" if completed else "1 left")
    wait_until(lambda: table(sql) == [("Milk", completed)])
    expect(undo_button(page)).to_have_count(0)


@pytest.mark.parametrize("before", ["Buy milk", "Buy\r\nmilk", " Buy milk "])
def test_edit_is_undone(page: Page, sql: Sql, before: str) -> None:
    insert(sql, before)
    page.goto("/")
    descriptions(page).dblclick()
    page.keyboard.type("!")
    page.keyboard.press("Enter")
    expect(messages(page)).to_contain_text("Edited “")
    wait_until(lambda: table(sql) != [(before, False)])
    undo(page)
    wait_until(lambda: table(sql) == [(before, False)])
    expect(page.get_by_role("checkbox")).to_be_focused()


def test_focus_is_on_the_todo_that_has_come_back(page: Page, sql: Sql) -> None:
    insert(sql, *(f"Todo {number}" for number in range(9)))
    page.goto("/?status=incomplete")
    checkbox(page, "Todo 4").click()
    expect(item(page, "Todo 4")).to_have_count(0)
    undo(page)
    expect(checkbox(page, "Todo 4")).to_be_focused()
    checkbox(page, "Todo 6").press("Delete")
    expect(item(page, "Todo 6")).to_have_count(0)
    undo(page)
    expect(checkbox(page, "Todo 6")).to_be_focused()


def test_only_the_last_action_is_undone(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread", "Eggs")
    page.goto("/")
    checkbox(page, "Milk").click()
    checkbox(page, "Eggs").press("Delete")
    edit(page, "Bread", "Rolls").press("Enter")
    expect(undo_button(page)).to_have_count(1)
    # What can no longer be undone is sent.
    wait_until(lambda: table(sql) == [("Milk", True), ("Rolls", False)])
    undo(page)
    wait_until(lambda: table(sql) == [("Milk", True), ("Bread", False)])
    page.keyboard.press("z")
    expect(descriptions(page)).to_have_text(["Bread", "Milk"])
    expect(checkbox(page, "Milk")).to_be_checked()


def test_change_that_is_not_confirmed_yet_is_undone(page: Page, sql: Sql) -> None:
    held = hold(page, "**/api/todos", times=1)
    page.goto("/")
    sent = changes(page)
    add(page, "Milk")
    checkbox(page, "Milk").click()
    undo(page)
    expect(checkbox(page, "Milk")).not_to_be_checked()
    wait_until(lambda: page.title() and held)
    held.pop().continue_()
    wait_until(lambda: page.title() and len(sent) == 3)
    assert [method for method, _, _ in sent] == ["POST", "PATCH", "PATCH"]
    wait_until(lambda: table(sql) == [("Milk", False)])
    expect(remaining(page)).to_have_text("1 left")


def test_undo_does_not_overwrite_a_later_change_of_another_client(
    page: Page, sql: Sql, web: WebProcess, expected_messages: list[str]
) -> None:
    expected_messages.append(CONFLICT)
    insert(sql, "Milk")
    page.goto("/")
    edit(page, "Milk", "Oat milk").press("Enter")
    wait_until(lambda: table(sql) == [("Oat milk", False)])
    assert web.request("PATCH", "/api/todos/1", json={"description": "Soy milk"}).ok
    expect(descriptions(page)).to_have_text(["Soy milk"])
    undo(page)
    expect(messages(page)).to_contain_text(
        "Couldn't save “Milk”: it was changed elsewhere to “Soy milk”"
    )
    expect(descriptions(page)).to_have_text(["Soy milk"])
    assert table(sql) == [("Soy milk", False)]


def test_rejected_change_cannot_be_undone(
    page: Page, sql: Sql, web: WebProcess, expected_messages: list[str]
) -> None:
    expected_messages.append(CONFLICT)
    insert(sql, "Milk")
    held = hold(page, "**/api/todos/1", times=1)
    page.goto("/")
    checkbox(page, "Milk").click()
    wait_until(lambda: page.title() and held)
    assert web.request("PATCH", "/api/todos/1", json={"description": "Oat milk"}).ok
    held.pop().continue_()
    expect(messages(page)).to_contain_text("it was changed elsewhere to “Oat milk”")
    expect(undo_button(page)).to_have_count(0)


def test_undo_is_offered_for_a_few_seconds(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    page.clock.install()
    page.goto("/")
    checkbox(page, "Milk").click()
    expect(undo_button(page)).to_be_visible()
    page.mouse.move(0, 0)
    page.clock.run_for(10_000)
    expect(undo_button(page)).to_have_count(0)
    page.keyboard.press("z")
    expect(checkbox(page, "Milk")).to_be_checked()


def test_after_a_hover_undo_is_offered_for_all_the_time_again(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    page.clock.install()
    page.goto("/")
    checkbox(page, "Milk").click()
    page.mouse.move(0, 0)
    page.clock.run_for(5_000)
    undo_button(page).hover()
    page.clock.run_for(1_000)
    page.mouse.move(0, 0)
    page.clock.run_for(5_000)
    expect(undo_button(page)).to_be_visible()
    page.clock.run_for(5_000)
    expect(undo_button(page)).to_have_count(0)
