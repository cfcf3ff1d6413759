"""The page on plain HTTP, where browsers have neither the Web Locks API nor crypto.randomUUID()."""

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.support.page import Sql, add, checkbox, descriptions, insert, messages, table
from tests.support.waiting import wait_until
from tests.support.web import WebProcess

FAILED = r"net::ERR_FAILED .*/api/todos\)"
GONE = r"the server responded with a status of 404 .*/api/todos/\d+\)"
OUTBOXES = "Object.keys(localStorage).filter((key) => key.startsWith('outbox'))"


@pytest.fixture
def context(context: BrowserContext, expected_messages: list[str]) -> BrowserContext:
    """A browser context that opens the page at a host name, by plain HTTP."""
    expected_messages.append(r"^request: http://plain\.test:")
    return context


@pytest.fixture
def page(context: BrowserContext, open_page: Callable[[], Page]) -> Page:
    """The page."""
    return open_page()


@pytest.fixture
def open_page(context: BrowserContext, web: WebProcess) -> Callable[[], Page]:
    """Open the page in a new tab."""

    def open_() -> Page:
        page = context.new_page()
        page.goto(f"http://plain.test:{web.port}/")
        assert page.evaluate("!isSecureContext && !navigator.locks")
        return page

    return open_


def duplicate(page: Page) -> Page:
    """Open the page in another tab, with a copy of this tab's sessionStorage."""
    with page.expect_popup() as popup:
        page.evaluate("open(location.href)")
    return popup.value


def test_todo_is_created_completed_and_deleted(page: Page, sql: Sql) -> None:
    add(page, "Milk")
    checkbox(page, "Milk").click()
    wait_until(lambda: table(sql) == [("Milk", True)])
    checkbox(page, "Milk").press("Delete")
    page.get_by_role("button", name="Close").click()
    wait_until(lambda: table(sql) == [])


def test_unsent_todo_is_created_once_when_the_tab_is_duplicated(
    page: Page, context: BrowserContext, sql: Sql, expected_messages: list[str]
) -> None:
    expected_messages.append(FAILED)
    expect(page.get_by_text("No todos yet")).to_be_visible()
    context.route("**/api/todos", lambda route: route.abort())
    add(page, "Milk")
    expect(messages(page)).to_contain_text("Trying again")
    other = duplicate(page)
    expect(other.get_by_text("No todos yet")).to_be_visible()
    # Nothing happens once the other tab has asked the owner, so there is no condition to wait for.
    other.wait_for_timeout(1500)
    expect(other.get_by_text("No todos yet")).to_be_visible()
    context.unroute_all(behavior="ignoreErrors")
    for each in (page, other):
        expect(descriptions(each)).to_have_text(["Milk"])
    page.wait_for_function(f"() => !{OUTBOXES}.length")
    assert table(sql) == [("Milk", False)]


def test_deletion_can_be_undone_after_the_tab_was_duplicated(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    expect(descriptions(page)).to_have_text(["Milk"])
    page.clock.install()
    checkbox(page, "Milk").press("Delete")
    expect(descriptions(page)).to_have_count(0)
    other = duplicate(page)
    expect(descriptions(other)).to_have_text(["Milk"])
    # Nothing happens once the other tab has asked the owner, so there is no condition to wait for.
    other.wait_for_timeout(1500)
    page.get_by_role("button", name="Undo").click()
    page.clock.run_for(10_000)
    for each in (page, other):
        expect(descriptions(each)).to_have_text(["Milk"])
    assert table(sql) == [("Milk", False)]


@pytest.mark.parametrize("how", ["reload", "close"])
def test_unsent_changes_are_sent_after_the_page_was_left(
    page: Page,
    open_page: Callable[[], Page],
    sql: Sql,
    expected_messages: list[str],
    how: str,
) -> None:
    expected_messages.extend([FAILED, GONE])
    expect(page.get_by_text("No todos yet")).to_be_visible()
    page.route("**/api/todos", lambda route: route.abort())
    add(page, "Milk")
    add(page, "Bread")
    checkbox(page, "Milk").click()
    expect(messages(page)).to_contain_text("Trying again")
    page.unroute_all(behavior="ignoreErrors")
    if how == "reload":
        page.reload()
    else:
        page.close()
        page = open_page()
    wait_until(lambda: table(sql) == [("Milk", True), ("Bread", False)])
    expect(descriptions(page)).to_have_text(["Bread", "Milk"])
