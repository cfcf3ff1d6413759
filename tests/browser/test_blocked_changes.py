"""A change that cannot succeed does not hold up the others for ever, and is not lost."""

import re

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.support.page import (
    Sql,
    add,
    changes,
    checkbox,
    descriptions,
    edit,
    insert,
    item,
    messages,
    press_button,
    table,
)
from tests.support.waiting import wait_until

ERROR = r"the server responded with a status of 50\d .*/api/todos"
FAILED = r"net::ERR_FAILED .*/api/todos"
TIMED_OUT = '{"detail": "The database took too long"}'


@pytest.fixture(autouse=True)
def expect_errors(expected_messages: list[str]) -> None:
    """Let the browser log what the tests cause."""
    expected_messages.extend([ERROR, FAILED])


def block(page: Page, method: str, text: str = "", **response: object) -> None:
    """Let each request with this method and text in its body fail; without response, get none."""

    def is_blocked(request: Request) -> bool:
        return request.method == method and text in (request.post_data or "")

    def fail(route: Route) -> None:
        if not is_blocked(route.request):
            route.fallback()
        elif response:
            route.fulfill(**response)
        else:
            route.abort()

    page.route("**/api/todos*", fail)
    page.route("**/api/todos/*", fail)


def try_again(page: Page) -> None:
    """Remove the block, and try again."""
    page.unroute_all(behavior="ignoreErrors")
    messages(page).get_by_role("button", name="Try again").click()


def test_tick_that_a_proxy_rejects_is_reverted_and_can_be_repeated(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    page.goto("/")
    block(page, "PATCH", status=502, body="<h1>Bad gateway</h1>")
    checkbox(page, "Milk").click()
    add(page, "Bread")
    add(page, "Eggs")
    expect(messages(page)).to_contain_text("Couldn't save “Milk”: The server responded with status")
    expect(checkbox(page, "Milk")).not_to_be_checked()
    expect(messages(page)).not_to_contain_text("Trying again")
    wait_until(
        lambda: page.title() and table(sql) == [("Milk", False), ("Bread", False), ("Eggs", False)]
    )
    try_again(page)
    expect(checkbox(page, "Milk")).to_be_checked()
    wait_until(lambda: page.title() and ("Milk", True) in table(sql))


@pytest.mark.parametrize("how", ["response", "no response"])
def test_blocked_todo_is_offered_again_with_its_latest_text(page: Page, sql: Sql, how: str) -> None:
    page.goto("/")
    expect(page.get_by_text("No todos yet")).to_be_visible()
    block(page, "POST", "Milk", **({"status": 503} if how == "response" else {}))
    add(page, "Milk")
    edit(page, "Milk", "Oat milk").press("Enter")
    add(page, "Bread")
    expect(messages(page)).to_contain_text("Couldn't save “Oat milk”", timeout=30_000)
    expect(descriptions(page)).to_have_text(["Bread"])
    wait_until(lambda: page.title() and table(sql) == [("Bread", False)])
    try_again(page)
    expect(descriptions(page)).to_have_text(["Oat milk", "Bread"])
    wait_until(lambda: page.title() and table(sql) == [("Bread", False), ("Oat milk", False)])


@pytest.mark.parametrize("button", ["Complete all", "Clear completed"])
def test_bulk_change_that_takes_too_long_is_given_up_and_can_be_repeated(
    page: Page, sql: Sql, button: str
) -> None:
    insert(sql, "Milk", completed=button == "Clear completed")
    page.goto("/")
    expect(descriptions(page)).to_have_text(["Milk"])
    method = "PATCH" if button == "Complete all" else "DELETE"
    block(page, method, status=503, body=TIMED_OUT, content_type="application/json")
    press_button(page, button)
    messages(page).get_by_role("button", name="Close").click()
    expect(messages(page)).to_contain_text("Couldn't save: The database took too long")
    expect(messages(page)).not_to_contain_text("Trying again")
    expect(descriptions(page)).to_have_text(["Milk"])
    try_again(page)
    expected = [("Milk", True)] if button == "Complete all" else []
    wait_until(lambda: page.title() and table(sql) == expected)


def test_no_change_is_given_up_while_all_fail(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    page.goto("/")
    sent = changes(page)
    block(page, "POST", status=503)
    block(page, "PATCH", status=503)
    checkbox(page, "Milk").click()
    add(page, "Bread")
    add(page, "Eggs")
    wait_until(lambda: page.title() and len(sent) >= 12, seconds=60)
    expect(messages(page)).to_have_text(re.compile("Trying again"))
    page.unroute_all(behavior="ignoreErrors")
    expect(messages(page)).not_to_contain_text("Trying again")
    wait_until(
        lambda: (
            page.title()
            and sorted(table(sql)) == [("Bread", False), ("Eggs", False), ("Milk", True)]
        )
    )
    expect(messages(page)).not_to_contain_text("Couldn't save")


def test_list_is_refreshed_while_a_todo_is_blocked(page: Page, sql: Sql) -> None:
    page.goto("/")
    expect(page.get_by_text("No todos yet")).to_be_visible()
    block(page, "POST", "Milk", status=502)
    add(page, "Milk")
    insert(sql, "Bread")
    expect(item(page, "Bread")).to_be_visible(timeout=30_000)
    expect(messages(page)).to_contain_text("Trying again")
    page.unroute_all(behavior="ignoreErrors")
    wait_until(lambda: page.title() and table(sql) == [("Bread", False), ("Milk", False)])
    expect(messages(page)).to_be_empty()
