"""The browser's storage is damaged, full or blocked."""

import json
import re

import pytest
from playwright.sync_api import Page, expect

from tests.support.page import Sql, add, descriptions, insert, messages, table
from tests.support.waiting import wait_until

FILL = """() => {
    // Signing out would free its space.
    delete localStorage["last-page"];
    for (const storage of [localStorage, sessionStorage]) {
        for (let size = 2 ** 23; size >= 1; size /= 2) {
            try {
                storage.filler = (storage.filler ?? "") + "x".repeat(size);
            } catch {}
        }
    }
}"""
BLOCK = """for (const name of ["localStorage", "sessionStorage"]) {
    Object.defineProperty(window, name, {
        get() { throw new DOMException("Access is denied.", "SecurityError"); },
    });
}"""
DAMAGED = [
    "{",
    "undefined",
    "5",
    "null",
    "[null, 5]",
    "[{}]",
    '{"text": 5}',
    '[{"kind": "create"}]',
]


@pytest.fixture(params=["full", "blocked"])
def without_storage(request: pytest.FixtureRequest, page: Page) -> Page:
    """The page, which cannot store anything."""
    if request.param == "blocked":
        page.add_init_script(BLOCK)
    page.goto("/")
    expect(page.get_by_text("No todos yet.")).to_be_visible()
    if request.param == "full":
        page.evaluate(FILL)
    return page


def test_todos_are_added_once_each(without_storage: Page, sql: Sql) -> None:
    page = without_storage
    add(page, "Milk")
    add(page, "Bread")
    expect(descriptions(page)).to_have_text(["Bread", "Milk"])
    expect(page.get_by_role("textbox", name="New todo")).to_have_value("")
    wait_until(lambda: table(sql) == [("Milk", False), ("Bread", False)])


def test_page_does_not_promise_to_keep_changes(
    without_storage: Page, sql: Sql, expected_messages: list[str]
) -> None:
    page = without_storage
    expected_messages.append(r"net::ERR_FAILED .*/api/todos\)")
    page.route("**/api/todos", lambda route: route.abort())
    add(page, "Milk")
    expect(messages(page)).to_contain_text(
        "Trying again; keep this page open until your changes are saved."
    )
    expect(messages(page)).not_to_contain_text("kept")
    page.unroute_all(behavior="ignoreErrors")
    wait_until(lambda: page.title() and table(sql) == [("Milk", False)])
    expect(messages(page)).to_be_empty()


def test_page_of_a_signed_out_user_does_not_promise_to_keep_changes(
    without_storage: Page, expected_messages: list[str]
) -> None:
    page = without_storage
    expected_messages.append(r"the server responded with a status of 401 .*/api/todos")
    page.route(re.compile("/api/todos"), lambda route: route.fulfill(status=401, json={}))
    add(page, "Milk")
    expect(messages(page)).to_contain_text(
        "Sign in again in another tab, and keep this page open until your changes are saved."
    )
    page.unroute_all(behavior="ignoreErrors")


@pytest.mark.parametrize("value", DAMAGED)
@pytest.mark.parametrize("name", ["edit", "add", "outbox/1", "outbox/"])
def test_damaged_value_is_ignored(page: Page, sql: Sql, name: str, value: str) -> None:
    insert(sql, "Milk")
    page.goto("/docs")
    page.evaluate(
        """([name, value]) => {
            for (const storage of [localStorage, sessionStorage]) storage[name] = value;
        }""",
        [name, value],
    )
    page.goto("/")
    expect(descriptions(page)).to_have_text(["Milk"])
    add(page, "Bread")
    wait_until(lambda: page.title() and table(sql) == [("Milk", False), ("Bread", False)])
    expect(messages(page)).to_be_empty()


def test_damaged_outbox_stops_no_other_one(page: Page, sql: Sql) -> None:
    page.goto("/docs")
    creation = {"kind": "create", "key": "new-1", "fields": {"description": "Milk"}}
    rest = [None, {"kind": "unknown", "key": "new-2"}, {"kind": "clear"}, creation]
    page.evaluate(
        """([rest]) => {
            localStorage["outbox/1"] = "{";
            localStorage["outbox/2"] = rest;
            localStorage["outbox/3"] = "[";
        }""",
        [json.dumps(rest)],
    )
    page.goto("/")
    wait_until(lambda: page.title() and table(sql) == [("Milk", False)])
    page.wait_for_function(
        "() => !Object.keys(localStorage).some((key) => key.startsWith('outbox'))"
    )
    expect(messages(page)).to_be_empty()
