"""A session that ends: no change is lost, and all are sent after the user has signed in again."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.support.page import (
    Sql,
    add,
    checkbox,
    descriptions,
    edit,
    hide,
    insert,
    messages,
    press_button,
    remaining,
    table,
)
from tests.support.waiting import wait_until

TEXT = "You're signed out. Sign in again; your changes are kept."


@pytest.fixture
def sign_out(context: BrowserContext, expected_messages: list[str]) -> Callable[[], None]:
    """End the session: the API responds with 401 from now on."""
    expected_messages.append(r"the server responded with a status of 401 .*/api/todos")

    def end_session() -> None:
        context.route(
            re.compile("/api/todos"),
            lambda route: route.fulfill(
                status=401,
                headers={"WWW-Authenticate": "Bearer"},
                json={"detail": "Authentication required"},
            ),
        )

    return end_session


def link(page: Page) -> Locator:
    """Return the link to the login page."""
    return messages(page).get_by_role("link", name="Sign in again")


def test_changes_of_a_signed_out_user_are_kept_and_sent_after_signing_in(
    page: Page, sql: Sql, sign_out: Callable[[], None], expected_messages: list[str]
) -> None:
    # The page may have sent them when it was left, and the next one sends them again.
    expected_messages.append(r"the server responded with a status of 4(04|12) .*/api/todos/\d+\)")
    insert(sql, "Milk", "Bread", "Eggs")
    page.goto("/")
    expect(descriptions(page)).to_have_count(3)
    sign_out()
    checkbox(page, "Milk").click()
    add(page, "Tea")
    edit(page, "Bread", "Rolls").press("Enter")
    checkbox(page, "Eggs").press("Delete")
    expect(messages(page).get_by_text(TEXT)).to_be_visible()
    expect(descriptions(page)).to_have_text(["Tea", "Rolls", "Milk"])
    page.reload()
    expect(messages(page).get_by_text(TEXT)).to_be_visible()
    expect(descriptions(page)).to_have_text(["Tea"])
    page.goto("/docs")
    page.context.unroute_all(behavior="ignoreErrors")
    page.goto("/")
    wait_until(lambda: table(sql) == [("Milk", True), ("Rolls", False), ("Tea", False)])
    expect(descriptions(page)).to_have_text(["Tea", "Rolls", "Milk"])
    expect(messages(page)).to_be_empty()


@pytest.mark.parametrize("button", ["Complete all", "Clear completed"])
def test_bulk_change_of_a_signed_out_user_is_sent_after_signing_in(
    page: Page, sql: Sql, sign_out: Callable[[], None], button: str
) -> None:
    completed = button == "Clear completed"
    insert(sql, "Milk", completed=completed)
    page.goto("/")
    expect(remaining(page)).to_have_text("0 left" if completed else "1 left")
    expect(page.get_by_role("button", name="Clear 1")).to_be_visible(visible=completed)
    sign_out()
    press_button(page, button)
    page.goto("/docs")
    page.context.unroute_all(behavior="ignoreErrors")
    insert(sql, "Bread", completed=completed)
    page.goto("/")
    expected = [("Bread", True)] if completed else [("Milk", True), ("Bread", False)]
    wait_until(lambda: table(sql) == expected)


def test_link_leads_back_to_the_same_list(
    page: Page, sql: Sql, sign_out: Callable[[], None]
) -> None:
    insert(sql, "Milk")
    page.goto("/?status=incomplete")
    expect(descriptions(page)).to_have_count(1)
    sign_out()
    # An idle page finds out by its next look at the list.
    expect(link(page)).to_have_attribute("href", "/login?next=%2F%3Fstatus%3Dincomplete")
    expect(descriptions(page)).to_have_text(["Milk"])
    page.get_by_role("button", name="All", exact=True).click()
    expect(link(page)).to_have_attribute("href", "/login?next=%2F")


def test_requests_are_repeated_slowly_until_the_user_comes_back(
    page: Page, sql: Sql, sign_out: Callable[[], None]
) -> None:
    insert(sql, "Milk")
    page.clock.install()
    page.goto("/")
    page.wait_for_event("response", lambda response: "count=true" in response.url)
    sign_out()
    checkbox(page, "Milk").click()
    expect(link(page)).to_be_visible()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.clock.pause_at(page.evaluate("Date.now() / 1000") + 1)
    for _ in range(30):
        page.clock.run_for(1000)
        page.evaluate("fetch('/health')")
    assert 2 <= len([url for url in requests if "/api/" in url]) <= 8
    page.context.unroute_all(behavior="ignoreErrors")
    # The user has signed in in another tab. The page's timers stand still.
    hide(page)
    hide(page, False)
    wait_until(lambda: page.title() and table(sql) == [("Milk", True)])
    expect(link(page)).to_have_count(0)
