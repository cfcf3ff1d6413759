"""The main journeys in Firefox; all other tests of the page run in Chromium."""

from collections.abc import Iterator

import pytest

from tests.support import firefox
from tests.support.firefox import DELETE, DOWN, ENTER, ESCAPE, TAB, Firefox, Tab
from tests.support.page import Sql, insert, table
from tests.support.waiting import wait_until
from tests.support.web import WebProcess, serving

# The completed todos are in a list of their own.
TODOS = "main li .text"
COUNT = "#remaining"
MESSAGES = "#notices > div > span"
PRESSED = "#filters [aria-pressed=true]"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    """A running Firefox."""
    with firefox.running(tmp_path_factory.mktemp("firefox")) as browser:
        yield browser


@pytest.fixture
def tab(browser: Firefox, web: WebProcess) -> Iterator[Tab]:
    """A tab with the page, which must log no error."""
    browser.errors.clear()
    with browser.tab() as tab:
        tab.open(web.url("/"))
        yield tab
    assert browser.errors == []


@pytest.fixture
def three_todos(sql: Sql) -> list[tuple[str, bool]]:
    """Milk, Bread and Eggs, of which Eggs is completed."""
    insert(sql, "Milk", "Bread")
    insert(sql, "Eggs", completed=True)
    return table(sql)


def test_enter_adds_todos_one_after_the_other(tab: Tab, sql: Sql) -> None:
    tab.press("Milk", ENTER, "Bread", ENTER)
    tab.shows(TODOS, "Bread", "Milk")
    tab.shows(COUNT, "2 left")
    wait_until(lambda: table(sql) == [("Milk", False), ("Bread", False)])
    tab.reload()
    tab.shows(TODOS, "Bread", "Milk")


def test_pasted_lines_become_todos_in_their_order(tab: Tab, sql: Sql) -> None:
    tab.run("navigator.clipboard.writeText('Milk\\nBread\\n\\n Eggs \\n')")
    tab.press("v", control=True)
    tab.click("button", "Add 3 todos, one per line")
    tab.shows(TODOS, "Milk", "Bread", "Eggs")
    wait_until(lambda: table(sql) == [("Eggs", False), ("Bread", False), ("Milk", False)])
    tab.reload()
    tab.shows(TODOS, "Milk", "Bread", "Eggs")


def test_tick_is_counted_and_undone(tab: Tab, sql: Sql) -> None:
    tab.press("Milk", ENTER, "Bread", ENTER)
    tab.click("checkbox", "Milk")
    tab.shows(COUNT, "1 left")
    tab.shows(MESSAGES, "Completed “Milk”")
    wait_until(lambda: table(sql) == [("Milk", True), ("Bread", False)])
    tab.click("button", "Undo")
    tab.shows(COUNT, "2 left")
    wait_until(lambda: table(sql) == [("Milk", False), ("Bread", False)])


def test_enter_saves_an_edit_and_escape_cancels_it(tab: Tab, sql: Sql) -> None:
    tab.press("Milk", ENTER)
    tab.click_first(TODOS, clicks=2)
    tab.press(" and bread", ENTER)
    tab.shows(TODOS, "Milk and bread")
    wait_until(lambda: table(sql) == [("Milk and bread", False)])
    tab.click("button", "Edit: Milk and bread")
    tab.press(", butter", ESCAPE)
    tab.shows(TODOS, "Milk and bread")
    tab.reload()
    tab.shows(TODOS, "Milk and bread")


@pytest.mark.parametrize("how", ["button", "z", "Ctrl+Z"])
def test_deletion_is_undone(tab: Tab, sql: Sql, how: str) -> None:
    tab.press("Milk", ENTER, "Bread", ENTER)
    tab.click("button", "Delete: Milk")
    tab.shows(TODOS, "Bread")
    tab.shows(MESSAGES, "Deleted “Milk”")
    if how == "button":
        tab.click("button", "Undo")
    else:
        tab.press("z", control=how == "Ctrl+Z")
    tab.shows(TODOS, "Bread", "Milk")
    tab.shows(MESSAGES)
    # The focus is on what has come back.
    tab.press(DELETE)
    tab.shows(TODOS, "Bread")
    tab.click("button", "Close")
    wait_until(lambda: table(sql) == [("Bread", False)])


@pytest.mark.usefixtures("three_todos")
def test_back_and_forward_go_through_the_filters(tab: Tab) -> None:
    tab.click("button", "Active")
    tab.shows(TODOS, "Bread", "Milk")
    tab.click("button", "Completed")
    tab.shows(TODOS, "Eggs")
    tab.go(-1)
    tab.shows(TODOS, "Bread", "Milk")
    tab.shows(PRESSED, "Active")
    tab.go(1)
    tab.shows(TODOS, "Eggs")
    tab.reload()
    tab.shows(TODOS, "Eggs")
    tab.shows(PRESSED, "Completed")


def test_search_finds_and_marks_words(tab: Tab) -> None:
    tab.press("Milk", ENTER, "Bread", ENTER)
    tab.press(ESCAPE, "/", "mil")
    tab.shows(TODOS, "Milk")
    wait_until(lambda: tab.run("[...CSS.highlights.get('search')].map(String)") == ["Mil"])
    tab.press("x")
    tab.shows("#empty p", "Nothing matches “milx”.")
    tab.click("button", "Clear search")
    tab.shows(TODOS, "Bread", "Milk")


def test_todos_are_sorted(tab: Tab) -> None:
    tab.press("Milk", ENTER, "Eggs", ENTER, "Bread", ENTER)
    tab.click("searchbox", "Search")
    tab.press(TAB, DOWN)
    tab.shows(TODOS, "Milk", "Eggs", "Bread")
    tab.press(DOWN, DOWN)
    tab.shows(TODOS, "Bread", "Eggs", "Milk")
    tab.reload()
    tab.shows(TODOS, "Bread", "Eggs", "Milk")


def test_bulk_changes_can_be_undone(
    three_todos: list[tuple[str, bool]], tab: Tab, sql: Sql
) -> None:
    for button, left in (("#complete-all", "0 left"), ("#clear-completed", "2 left")):
        tab.shows(COUNT, "2 left")
        tab.click_first(button)
        tab.shows(COUNT, left)
        tab.click("button", "Undo")
        tab.shows(COUNT, "2 left")
    assert table(sql) == three_todos

    tab.click_first("#clear-completed")
    tab.click("button", "Close")
    wait_until(lambda: table(sql) == [("Milk", False), ("Bread", False)])
    tab.click_first("#complete-all")
    tab.click("button", "Close")
    wait_until(lambda: table(sql) == [("Milk", True), ("Bread", True)])


def test_changes_without_a_server_survive_a_reload_and_are_sent_later(
    tab: Tab, database: str, sql: Sql
) -> None:
    with serving(DATABASE_URL=database) as web:
        tab.open(web.url("/"))
        tab.press("Milk", ENTER)
        wait_until(lambda: table(sql) == [("Milk", False)])
        wait_until(lambda: tab.run("navigator.serviceWorker.controller !== null"))
    tab.press("Bread", ENTER)
    tab.click("button", "Edit: Milk")
    tab.press(", oat", ENTER)
    tab.shows(TODOS, "Bread", "Milk, oat")
    tab.shows("#banner", "The server can't be reached. Trying again; your changes are kept.")
    tab.reload()
    tab.shows(TODOS, "Bread", "Milk, oat")
    tab.press("Eggs", ENTER)
    tab.shows(TODOS, "Eggs", "Bread", "Milk, oat")
    with serving(DATABASE_URL=database, PORT=str(web.port)):
        wait_until(lambda: table(sql) == [("Milk, oat", False), ("Bread", False), ("Eggs", False)])
        tab.shows("#banner", "")
        tab.shows(COUNT, "3 left")
