"""Bulk changes affect what the page knew when they were made, and nothing that is newer."""

import pytest
from playwright.sync_api import Page, Response, expect

from tests.support.page import (
    Sql,
    add,
    checkbox,
    descriptions,
    hold,
    insert,
    messages,
    press_button,
    remaining,
    table,
)
from tests.support.waiting import wait_until
from tests.support.web import WebProcess

BUTTONS = ["Complete all", "Clear completed"]
YEARS = ["2001-01-01", "2101-01-01"]


def close_message(page: Page) -> None:
    """Close the message of the bulk change, and wait until it has been made."""

    def is_bulk_change(response: Response) -> bool:
        return "?status=" in response.url and response.request.method != "GET"

    with page.expect_response(is_bulk_change):
        messages(page).get_by_role("button", name="Close").click()


def complete_elsewhere(web: WebProcess, todo_id: int, completed: bool = True) -> None:
    """Complete or reopen a todo, as another client of the API would."""
    assert web.request("PATCH", f"/api/todos/{todo_id}", json={"completed": completed}).ok


@pytest.mark.parametrize("time", YEARS)
def test_todo_completed_elsewhere_during_the_undo_of_clear_completed_stays(
    page: Page, sql: Sql, web: WebProcess, time: str
) -> None:
    page.clock.install(time=time)
    insert(sql, "Milk")
    insert(sql, "Bread", completed=True)
    page.goto("/")
    expect(remaining(page)).to_have_text("1 left")
    press_button(page, "Clear completed")
    complete_elsewhere(web, 1)
    expect(descriptions(page)).to_have_text(["Milk"])
    close_message(page)
    assert table(sql) == [("Milk", True)]
    page.clock.run_for(5000)
    expect(checkbox(page, "Milk")).to_be_checked()


@pytest.mark.parametrize("time", YEARS)
def test_todo_created_elsewhere_during_the_undo_of_complete_all_stays_open(
    page: Page, sql: Sql, web: WebProcess, time: str
) -> None:
    page.clock.install(time=time)
    insert(sql, "Milk")
    page.goto("/")
    expect(remaining(page)).to_have_text("1 left")
    press_button(page, "Complete all")
    web.create_todo("Bread")
    page.clock.run_for(5000)
    expect(descriptions(page)).to_have_text(["Bread", "Milk"])
    expect(checkbox(page, "Milk")).to_be_checked()
    expect(checkbox(page, "Bread")).not_to_be_checked()
    expect(remaining(page)).to_have_text("1 left")
    close_message(page)
    assert table(sql) == [("Milk", True), ("Bread", False)]
    expect(remaining(page)).to_have_text("1 left")


def test_completed_todos_stay_ticked_until_the_list_has_been_refreshed(
    page: Page, sql: Sql
) -> None:
    insert(sql, "Milk")
    page.goto("/")
    expect(remaining(page)).to_have_text("1 left")
    press_button(page, "Complete all")
    expect(checkbox(page, "Milk")).to_be_checked()
    refreshes = hold(page, "**/api/todos?*limit=*")
    close_message(page)
    wait_until(lambda: page.title() and refreshes)
    add(page, "Bread")
    expect(descriptions(page)).to_have_text(["Bread", "Milk"])
    expect(checkbox(page, "Milk")).to_be_checked()


@pytest.mark.parametrize("button", BUTTONS)
def test_todo_changed_elsewhere_since_the_last_look_stays(
    page: Page, sql: Sql, web: WebProcess, button: str
) -> None:
    clears = button == "Clear completed"
    insert(sql, "Milk", completed=not clears)
    insert(sql, "Bread", completed=clears)
    page.clock.install()
    page.goto("/")
    expect(descriptions(page)).to_have_count(2)
    # The page's timers stand still from here: it does not look again.
    page.clock.pause_at(page.evaluate("Date.now() / 1000") + 1)
    complete_elsewhere(web, 1, completed=clears)
    press_button(page, button)
    close_message(page)
    kept = [("Milk", True)] if clears else [("Milk", False), ("Bread", True)]
    assert table(sql) == kept


@pytest.mark.parametrize("button", BUTTONS)
def test_todos_that_are_not_loaded_are_changed(page: Page, sql: Sql, button: str) -> None:
    completed = button == "Clear completed"
    sql(
        "INSERT INTO todos (description, completed, created_at, updated_at)"
        f" SELECT 'Old ' || n, {completed}, '2025-01-01', '2025-01-01'"
        " FROM generate_series(1, 200) n"
    )
    page.goto("/")
    expect(descriptions(page).first).to_have_text("Old 200")
    press_button(page, button)
    close_message(page)
    assert table(sql) == ([] if completed else [(f"Old {n}", True) for n in range(1, 201)])


def test_todo_completed_here_is_cleared_at_once(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread")
    page.goto("/")
    with page.expect_response(lambda response: response.request.method == "PATCH"):
        checkbox(page, "Milk").click()
    checkbox(page, "Bread").click()
    press_button(page, "Clear completed")
    expect(descriptions(page)).to_have_count(0)
    close_message(page)
    wait_until(lambda: table(sql) == [])


def test_todos_completed_by_complete_all_are_cleared_at_once(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread")
    page.goto("/")
    expect(remaining(page)).to_have_text("2 left")
    press_button(page, "Complete all")
    press_button(page, "Clear completed")
    expect(descriptions(page)).to_have_count(0)
    messages(page).get_by_role("button", name="Close").click()
    wait_until(lambda: table(sql) == [])


def test_todo_added_during_the_undo_of_complete_all_is_counted(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    page.goto("/")
    expect(remaining(page)).to_have_text("1 left")
    press_button(page, "Complete all")
    with page.expect_response(lambda response: response.status == 201):
        add(page, "Bread")
    expect(remaining(page)).to_have_text("1 left")
    messages(page).get_by_role("button", name="Undo").click()
    expect(remaining(page)).to_have_text("2 left")
    assert table(sql) == [("Milk", False), ("Bread", False)]


def test_double_click_on_complete_all_can_be_undone(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread")
    page.goto("/")
    expect(descriptions(page)).to_have_count(2)
    button = page.get_by_role("button", name="Complete all")
    button.dblclick()
    expect(button).to_be_disabled()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#remaining")).to_have_text("2 left")
    expect(button).to_be_enabled()
    assert table(sql) == [("Milk", False), ("Bread", False)]
