"""Each todo is created once, whatever happens to its request."""

import json

from playwright.sync_api import Page, Request, Route, expect

from tests.support.page import Sql, add, descriptions, insert, messages, table
from tests.support.waiting import wait_until
from tests.support.web import WebProcess

FAILED = r"net::ERR_FAILED .*/api/todos\)"


def record_keys(page: Page) -> list[tuple[str, str]]:
    """Return a list that collects (Idempotency-Key, description) of each creation."""
    keys = []

    def record(request: Request) -> None:
        if request.method == "POST" and request.post_data:
            description = json.loads(request.post_data)["description"]
            keys.append((request.headers["idempotency-key"], description))

    page.on("request", record)
    return keys


def lose_response(route: Route) -> None:
    """Let the server handle a request, but not the page receive the response."""
    route.fetch()
    route.abort()


def test_every_attempt_has_the_same_key_also_after_a_reload(
    page: Page, sql: Sql, expected_messages: list[str]
) -> None:
    expected_messages.append(FAILED)
    page.goto("/")
    keys = record_keys(page)
    page.route("**/api/todos", lose_response)
    add(page, "Milk")
    wait_until(lambda: page.title() and len(keys) >= 2)
    page.reload()
    wait_until(lambda: page.title() and len(keys) >= 3)
    page.unroute_all(behavior="ignoreErrors")
    expect(page.get_by_text("Trying again")).to_have_count(0)
    assert table(sql) == [("Milk", False)]
    assert len(set(keys)) == 1
    expect(descriptions(page)).to_have_text(["Milk"])


def test_equal_todos_have_different_keys(page: Page, sql: Sql) -> None:
    page.goto("/")
    keys = record_keys(page)
    add(page, "Milk")
    add(page, "Milk")
    wait_until(lambda: page.title() and table(sql) == [("Milk", False)] * 2)
    assert len(set(keys)) == 2


def test_equal_todos_of_two_clients_are_two_todos(
    page: Page, sql: Sql, expected_messages: list[str]
) -> None:
    expected_messages.append(FAILED)

    def add_elsewhere(route: Route) -> None:
        insert(sql, "Milk")
        route.abort()

    page.goto("/")
    page.route("**/api/todos", add_elsewhere, times=1)
    add(page, "Milk")
    wait_until(lambda: page.title() and table(sql) == [("Milk", False)] * 2)
    expect(descriptions(page)).to_have_text(["Milk", "Milk"])


def test_todo_deleted_elsewhere_after_a_lost_response_can_be_added_again(
    page: Page, sql: Sql, expected_messages: list[str]
) -> None:
    expected_messages.extend([FAILED, r"the server responded with a status of 404 .*/api/todos\)"])

    def delete_elsewhere(route: Route) -> None:
        route.fetch()
        sql("DELETE FROM todos")
        route.abort()

    page.goto("/")
    page.route("**/api/todos", delete_elsewhere, times=1)
    add(page, "Milk")
    expect(messages(page)).to_contain_text("Couldn't save “Milk”: it was deleted elsewhere")
    expect(descriptions(page)).to_have_count(0)
    messages(page).get_by_role("button", name="Add it").click()
    expect(descriptions(page)).to_have_text(["Milk"])
    wait_until(lambda: page.title() and table(sql) == [("Milk", False)])


def test_todo_whose_key_was_used_for_another_one_can_be_added_again(
    page: Page, sql: Sql, web: WebProcess, expected_messages: list[str]
) -> None:
    expected_messages.append(r"the server responded with a status of 422 .*/api/todos\)")

    def use_key(route: Route) -> None:
        headers = {"Idempotency-Key": route.request.headers["idempotency-key"]}
        web.request("POST", "/api/todos", json={"description": "Bread"}, headers=headers)
        route.continue_()

    page.goto("/")
    page.route("**/api/todos", use_key, times=1)
    add(page, "Milk")
    field = page.get_by_role("textbox", name="New todo")
    expect(field).to_have_value("Milk")
    field.press("Enter")
    wait_until(lambda: page.title() and table(sql) == [("Bread", False), ("Milk", False)])
