"""Completed todos sink below the others, into a section that can be opened."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.page import (
    Sql,
    add,
    changes,
    checkbox,
    descriptions,
    insert,
    locked,
    messages,
    remaining,
    table,
)
from tests.support.waiting import wait_until
from tests.support.web import WebProcess

TOOK_TOO_LONG = r"the server responded with a status of 503 .*/api/todos(/\d+)?(\?status=\w+)?\)"


@pytest.fixture
def shows_completed() -> bool:
    """As at the first visit."""
    return False


def toggle(page: Page) -> Locator:
    return page.get_by_role("button", name="Completed (")


def clear(page: Page) -> Locator:
    return page.get_by_role("button", name="Clear")


def completed(page: Page) -> Locator:
    """Return the descriptions in the section."""
    return page.get_by_role("list", name="Completed").locator(".text")


def open_(page: Page) -> Locator:
    """Return the descriptions above it."""
    return page.get_by_role("list", name="Todos").locator(".text")


@pytest.fixture
def mixed(sql: Sql) -> None:
    """Completed todos before, between and after the others."""
    for number, description in enumerate(["Eggs", "Milk", "Bread", "Tea", "Salt"]):
        insert(sql, description, completed=number % 2 == 0)


@pytest.mark.usefixtures("mixed")
def test_completed_todos_are_hidden_until_the_section_is_opened_and_this_is_remembered(
    page: Page,
) -> None:
    page.goto("/")
    expect(descriptions(page)).to_have_text(["Tea", "Milk"])
    expect(toggle(page)).to_have_text("Completed (3)")
    expect(toggle(page)).to_have_attribute("aria-expanded", "false")
    toggle(page).click()
    expect(toggle(page)).to_have_attribute("aria-expanded", "true")
    expect(open_(page)).to_have_text(["Tea", "Milk"])
    expect(completed(page)).to_have_text(["Salt", "Bread", "Eggs"])
    page.reload()
    expect(completed(page)).to_have_text(["Salt", "Bread", "Eggs"])
    toggle(page).click()
    expect(descriptions(page)).to_have_text(["Tea", "Milk"])
    other = page.context.new_page()
    other.goto("/")
    expect(toggle(other)).to_have_attribute("aria-expanded", "false")
    expect(descriptions(other)).to_have_text(["Tea", "Milk"])


@pytest.mark.usefixtures("mixed")
def test_todo_that_is_completed_sinks_and_undo_puts_it_back(page: Page, sql: Sql) -> None:
    page.goto("/")
    checkbox(page, "Tea").press("Space")
    expect(descriptions(page)).to_have_text(["Milk"])
    expect(toggle(page)).to_have_text("Completed (4)")
    expect(checkbox(page, "Milk")).to_be_focused()
    # Under the mouse, the message does not expire while the machine is busy.
    messages(page).get_by_role("button", name="Undo").hover()
    # The server's list of the others does not contain the todo any more.
    page.wait_for_event("response", lambda each: each.status == 304 and "limit=50" in each.url)
    assert ("Tea", True) in table(sql)
    page.keyboard.press("z")
    expect(descriptions(page)).to_have_text(["Tea", "Milk"])
    expect(toggle(page)).to_have_text("Completed (3)")
    expect(checkbox(page, "Tea")).to_be_focused()
    wait_until(lambda: ("Tea", False) in table(sql))


@pytest.mark.usefixtures("mixed")
@pytest.mark.parametrize("order", ["desc", "asc"])
def test_todo_moves_to_its_place_between_the_others_at_once(
    page: Page, sql: Sql, database: str, expected_messages: list[str], order: str
) -> None:
    expected_messages.append(TOOK_TOO_LONG)
    page.goto(f"/?sort_by=id&order={order}")
    toggle(page).click()
    expect(descriptions(page)).to_have_count(5)
    step = -1 if order == "desc" else 1
    with locked(database):
        checkbox(page, "Tea").click()
        expect(completed(page)).to_have_text(["Eggs", "Bread", "Tea", "Salt"][::step])
        checkbox(page, "Bread").click()
        expect(open_(page)).to_have_text(["Milk", "Bread"][::step])
        expect(completed(page)).to_have_text(["Eggs", "Tea", "Salt"][::step])
        expect(toggle(page)).to_have_text("Completed (3)")
        expect(remaining(page)).to_have_text("2 left")
    wait_until(lambda: {("Tea", True), ("Bread", False)} < set(table(sql)))
    page.wait_for_event("response", lambda response: response.status == 304)
    expect(open_(page)).to_have_text(["Milk", "Bread"][::step])
    expect(completed(page)).to_have_text(["Eggs", "Tea", "Salt"][::step])


@pytest.mark.parametrize("sort_by", ["updated_at", "description"])
@pytest.mark.usefixtures("mixed")
def test_each_part_has_the_chosen_order(page: Page, sql: Sql, sort_by: str) -> None:
    order = "asc" if sort_by == "description" else "desc"
    sql("UPDATE todos SET updated_at = updated_at + id % 3 * interval '1 hour'")
    page.goto(f"/?sort_by={sort_by}&order={order}")
    toggle(page).click()
    for locator, value in ((open_(page), "false"), (completed(page), "true")):
        rows = sql(
            f"SELECT description FROM todos WHERE completed = {value}"
            f" ORDER BY {sort_by} {order}, id {order}"
        )
        expect(locator).to_have_text([description for (description,) in rows])


def test_both_parts_are_loaded_page_by_page_and_completed_todos_only_when_shown(
    page: Page, sql: Sql
) -> None:
    reads: list[str] = []
    page.on("request", lambda request: reads.append(request.url))
    sql(
        "INSERT INTO todos (description, completed)"
        " SELECT 'Todo ' || n, n % 2 = 0 FROM generate_series(1, 260) n"
    )
    page.goto("/")
    page.mouse.move(640, 500)
    wait_until(lambda: page.mouse.wheel(0, 600) or descriptions(page).count() == 130)
    expect(toggle(page)).to_have_text("Completed (130)")
    assert not [url for url in reads if "status=completed" in url and "limit=50" in url]
    toggle(page).click()
    wait_until(lambda: page.mouse.wheel(0, 600) or completed(page).count() == 130)
    numbers = [int(text.split()[1]) for text in descriptions(page).all_text_contents()]
    assert numbers == [*range(259, 0, -2), *range(260, 0, -2)]


@pytest.mark.usefixtures("mixed")
@pytest.mark.parametrize("url", ["/", "/?status=completed"])
def test_completed_todos_are_cleared_where_they_are(page: Page, sql: Sql, url: str) -> None:
    page.goto(url)
    expect(clear(page)).to_have_text("Clear 3 completed")
    clear(page).click()
    expect(clear(page)).to_be_hidden()
    messages(page).get_by_role("button", name="Undo").click()
    expect(clear(page)).to_have_text("Clear 3 completed")
    clear(page).click()
    messages(page).get_by_role("button", name="Close").click()
    wait_until(lambda: table(sql) == [("Milk", False), ("Tea", False)])


@pytest.mark.parametrize(
    "url", ["/?status=incomplete", "/?search=milk", "/?status=completed&search=milk"]
)
def test_completed_todos_cannot_be_cleared_where_they_are_not_shown(
    page: Page, sql: Sql, url: str
) -> None:
    insert(sql, "Milk")
    insert(sql, "Oat milk", completed=True)
    page.goto(url)
    expect(descriptions(page).first).to_be_visible()
    expect(remaining(page)).to_have_text("1 left")
    page.wait_for_event("response", lambda response: response.status == 304)
    expect(clear(page)).to_be_hidden()
    expect(toggle(page)).to_be_hidden()


def test_without_completed_todos_there_is_no_section(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    page.goto("/")
    page.wait_for_event("response", lambda response: response.status == 304)
    expect(toggle(page)).to_be_hidden()
    checkbox(page, "Milk").click()
    expect(clear(page)).to_have_text("Clear 1 completed")
    expect(page.get_by_text("Nothing left to do.")).to_be_visible()


def test_a_search_finds_completed_todos_among_the_others(page: Page, sql: Sql) -> None:
    insert(sql, "Milk 1")
    insert(sql, "Milk 2", completed=True)
    insert(sql, "Milk 3")
    page.goto("/")
    page.get_by_role("searchbox").fill("milk")
    expect(open_(page)).to_have_text(["Milk 3", "Milk 2", "Milk 1"])
    checkbox(page, "Milk 3").click()
    expect(open_(page)).to_have_text(["Milk 3", "Milk 2", "Milk 1"])


@pytest.mark.usefixtures("mixed")
@pytest.mark.parametrize("is_shown", [True, False])
def test_todo_completed_or_reopened_elsewhere_moves(
    page: Page, web: WebProcess, is_shown: bool
) -> None:
    page.goto("/")
    if is_shown:
        toggle(page).click()
    expect(descriptions(page)).to_have_count(5 if is_shown else 2)
    web.request("PATCH", "/api/todos/2", json={"completed": True})
    web.request("PATCH", "/api/todos/3", json={"completed": False})
    web.request("PATCH", "/api/todos/5", json={"completed": False})
    expect(open_(page)).to_have_text(["Salt", "Tea", "Bread"])
    expect(toggle(page)).to_have_text("Completed (2)")
    expect(completed(page)).to_have_text(["Milk", "Eggs"] if is_shown else [])


def test_all_todos_can_be_completed_and_added_to(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread")
    page.goto("/")
    expect(remaining(page)).to_have_text("2 left")
    page.get_by_role("button", name="Complete all").click()
    expect(page.get_by_text("Nothing left to do.")).to_be_visible()
    expect(toggle(page)).to_have_text("Completed (2)")
    add(page, "Tea")
    expect(descriptions(page)).to_have_text(["Tea"])
    toggle(page).click()
    expect(completed(page)).to_have_text(["Bread", "Milk"])
    messages(page).get_by_role("button", name="Undo").click()
    expect(open_(page)).to_have_text(["Tea", "Bread", "Milk"])
    expect(toggle(page)).to_be_hidden()


@pytest.mark.usefixtures("mixed")
def test_section_is_reached_and_opened_with_the_keyboard(page: Page) -> None:
    page.goto("/")
    # The completed todos are counted after the list has been loaded.
    expect(toggle(page)).to_be_visible()
    checkbox(page, "Milk").focus()
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(toggle(page)).to_be_focused()
    page.keyboard.press("Enter")
    expect(completed(page)).to_have_count(3)
    expect(toggle(page)).to_be_focused()
    checkbox(page, "Milk").focus()
    page.keyboard.press("ArrowDown")
    expect(checkbox(page, "Salt")).to_be_focused()


@pytest.mark.usefixtures("mixed")
def test_opening_the_section_sends_nothing_but_reads_and_keeps_the_place(
    page: Page, sql: Sql
) -> None:
    insert(sql, *(f"Todo {number}" for number in range(40)))
    page.goto("/")
    sent = changes(page)
    expect(descriptions(page)).to_have_count(42)
    toggle(page).focus()
    before = page.evaluate("scrollY")
    # Locator.click() may scroll the page before.
    page.keyboard.press("Enter")
    expect(completed(page)).to_have_count(3)
    assert page.evaluate("scrollY") == before
    page.keyboard.press("Enter")
    expect(completed(page)).to_have_count(0)
    assert page.evaluate("scrollY") == before
    assert sent == []
