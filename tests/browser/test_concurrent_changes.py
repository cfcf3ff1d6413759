"""Concurrent changes: in another tab, in another browser, or through the API."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, Response, expect

from tests.support.page import (
    Sql,
    add,
    checkbox,
    clear_completed,
    descriptions,
    edit,
    hide,
    insert,
    item,
    pause_clock,
    press_button,
    table,
)
from tests.support.waiting import wait_until
from tests.support.web import WebProcess

CONFLICT = r"^error: Failed to load resource: .* status of 412 .* \(http\S+/api/todos/\d+\)$"
GONE = r"^error: Failed to load resource: .* status of 404 .* \(http\S+/api/todos/\d+\)$"


@pytest.fixture(params=["another tab", "another browser"])
def other(
    request: pytest.FixtureRequest,
    context: BrowserContext,
    new_context: Callable[..., BrowserContext],
) -> Page:
    """A second page."""
    return (context if request.param == "another tab" else new_context()).new_page()


def open_hidden(page: Page, shown: str) -> None:
    """Open the page, and hide it so that it does not poll."""
    page.goto("/")
    # A refresh follows the first list at once: the list again, and then the count. Both return
    # todos, so both must have been received before anything changes.
    page.wait_for_event("response", lambda response: "count=true" in response.url)
    expect(descriptions(page).first).to_have_text(shown)
    hide(page)


def change(web: WebProcess, sql: Sql, description: str, /, **fields: object) -> None:
    """Change a todo, as another client of the API would."""
    ((number,),) = sql(f"SELECT id FROM todos WHERE description = '{description}'")
    assert web.request("PATCH", f"/api/todos/{number}", json=fields).ok


def top(locator: Locator) -> float:
    """Return the vertical position of an element."""
    box = locator.bounding_box()
    assert box is not None
    return box["y"]


# Polling


def test_page_polls_within_five_seconds(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    underway: set[str] = set()
    page.on("request", lambda request: underway.add(request.url))
    page.on("requestfinished", lambda request: underway.discard(request.url))
    page.clock.install()
    page.goto("/")
    page.wait_for_event("response", lambda response: response.status == 304)
    pause_clock(page)
    # A refresh is two requests, and the next one is due 3.5 s after both responses.
    wait_until(lambda: page.evaluate("true") and not underway)
    page.evaluate("fetch('/health')")

    # On the page's clock: how long a response takes depends on the machine.
    with page.expect_request("**/api/todos?*limit=50*"):
        page.clock.run_for(5000)


def test_todo_added_elsewhere_appears(page: Page, other: Page) -> None:
    page.goto("/")
    other.goto("/")
    expect(page.get_by_text("No todos yet")).to_be_visible()

    add(other, "Milk")
    add(other, "Bread")

    expect(descriptions(page)).to_have_text(["Bread", "Milk"])
    expect(page.get_by_text("2 left")).to_be_visible()


def test_change_made_elsewhere_appears(page: Page, other: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread")
    page.goto("/")
    other.goto("/")
    expect(descriptions(page)).to_have_text(["Bread", "Milk"])

    checkbox(other, "Milk").check()
    edit(other, "Bread", "Rolls").press("Enter")

    expect(checkbox(page, "Milk")).to_be_checked()
    expect(descriptions(page)).to_have_text(["Rolls", "Milk"])
    expect(page.get_by_text("1 left")).to_be_visible()


def test_todo_deleted_elsewhere_disappears(page: Page, other: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread")
    page.goto("/")
    other.goto("/")
    expect(descriptions(page)).to_have_text(["Bread", "Milk"])

    item(other, "Bread").hover()
    item(other, "Bread").get_by_role("button", name="Delete").click()
    other.get_by_role("button", name="Close").click()

    expect(descriptions(page)).to_have_text(["Milk"])


def test_changes_made_through_the_api_appear(page: Page, sql: Sql, web: WebProcess) -> None:
    insert(sql, "Milk", "Bread", "Salt")
    page.goto("/")
    expect(descriptions(page)).to_have_text(["Salt", "Bread", "Milk"])

    web.request("POST", "/api/todos", json={"description": "Tea"})
    change(web, sql, "Bread", completed=True, description="Rolls")
    web.request("DELETE", "/api/todos/1")

    expect(descriptions(page)).to_have_text(["Tea", "Salt", "Rolls"])
    expect(checkbox(page, "Rolls")).to_be_checked()


def test_filtered_list_follows_changes_made_elsewhere(
    page: Page, sql: Sql, web: WebProcess
) -> None:
    insert(sql, "Milk", "Bread")
    insert(sql, "Salt", completed=True)
    page.goto("/?status=incomplete")
    expect(descriptions(page)).to_have_text(["Bread", "Milk"])

    change(web, sql, "Bread", completed=True)
    change(web, sql, "Salt", completed=False)

    expect(descriptions(page)).to_have_text(["Salt", "Milk"])


def test_todo_deleted_in_one_tab_and_cleared_in_another_causes_no_error(
    page: Page, other: Page, sql: Sql, expected_messages: list[str]
) -> None:
    expected_messages.append(GONE)
    insert(sql, "Milk", "Bread", completed=True)
    for each in (page, other):
        each.goto("/")
        expect(descriptions(each)).to_have_count(2)

    item(page, "Bread").hover()
    item(page, "Bread").get_by_role("button", name="Delete").click()
    clear_completed(other)
    other.get_by_role("button", name="Close").click()
    expect(descriptions(page)).to_have_count(0)
    with page.expect_response(re.compile(r"/api/todos/\d+")):
        page.get_by_role("button", name="Close").click()

    expect(page.get_by_text(re.compile("Couldn't save"))).to_have_count(0)
    assert table(sql) == []


def test_open_tab_sends_the_unsent_changes_of_a_closed_tab(
    page: Page, context: BrowserContext, sql: Sql, expected_messages: list[str]
) -> None:
    expected_messages.append(r"net::ERR_FAILED .*/api/todos\)")
    another = context.new_page()
    another.goto("/")
    page.route("**/api/todos", lambda route: route.abort())
    page.goto("/")
    add(page, "Milk")
    expect(page.get_by_text("Trying again; your changes are kept")).to_be_visible()
    page.close()

    def come_back() -> bool:
        hide(another)
        hide(another, False)
        return table(sql) == [("Milk", False)]

    wait_until(come_back)


# Scroll position, focus and open editors


def test_scroll_position_is_kept_when_todos_above_change(
    page: Page, sql: Sql, web: WebProcess
) -> None:
    insert(sql, *(f"Todo {number}" for number in range(100)))
    page.goto("/")
    read = item(page, "Todo 70")
    expect(read).to_be_visible()
    page.mouse.move(400, 400)
    page.mouse.wheel(0, 1200)
    expect(item(page, "Todo 99")).not_to_be_in_viewport()
    expect(read).to_be_in_viewport()
    before = top(read)

    web.request("DELETE", "/api/todos/96")
    web.request("POST", "/api/todos", json={"description": "New"})
    change(web, sql, "Todo 98", description="long " * 99)

    expect(descriptions(page).first).to_have_text("New")
    expect(item(page, "Todo 95")).to_have_count(0)
    expect(descriptions(page).nth(2)).to_have_text(re.compile("long"))
    assert abs(top(read) - before) < 1


def test_todo_under_the_pointer_stays_in_place_at_the_top(
    page: Page, sql: Sql, web: WebProcess
) -> None:
    insert(sql, *(f"Todo {number}" for number in range(30)))
    page.goto("/")
    pointed_at = item(page, "Todo 28")
    pointed_at.hover()
    before = top(pointed_at)

    web.request("POST", "/api/todos", json={"description": "New"})

    expect(descriptions(page).first).to_have_text("New")
    assert abs(top(pointed_at) - before) < 1
    # A todo of one's own is scrolled into view all the same.
    add(page, "Mine")
    expect(item(page, "Mine")).to_be_in_viewport()
    assert page.evaluate("scrollY") == 0


def test_scroll_position_is_kept_when_more_than_a_page_is_added(page: Page, sql: Sql) -> None:
    insert(sql, *(f"Todo {number}" for number in range(120)))
    page.goto("/")
    expect(item(page, "Todo 119")).to_be_in_viewport()
    page.mouse.move(400, 400)
    page.mouse.wheel(0, 300)
    read = item(page, "Todo 110")
    expect(item(page, "Todo 119")).not_to_be_in_viewport()
    before = top(read)

    sql("INSERT INTO todos (description) SELECT 'New ' || n FROM generate_series(1, 70) n")
    change_it = "UPDATE todos SET description = 'Changed', updated_at = now() WHERE description = "
    sql(f"{change_it} 'Todo 110'")

    expect(descriptions(page).first).to_have_text("New 70")
    expect(item(page, "Changed")).to_be_in_viewport()
    assert abs(top(item(page, "Changed")) - before) < 1
    page.mouse.wheel(0, 100_000)
    expect(item(page, "Todo 0")).to_be_visible()
    texts = descriptions(page).all_text_contents()
    assert texts == [f"New {n}" for n in range(70, 0, -1)] + [
        "Changed" if n == 110 else f"Todo {n}" for n in range(119, -1, -1)
    ]


def test_scrolling_back_shows_todos_added_meanwhile(page: Page, sql: Sql, web: WebProcess) -> None:
    sql("INSERT INTO todos (description) SELECT 'Todo ' || n FROM generate_series(1, 200) n")
    page.goto("/")
    expect(descriptions(page).first).to_have_text("Todo 200")
    page.mouse.move(400, 400)
    while not (read := item(page, "Todo 60")).count() or top(read) > 700:
        page.mouse.wheel(0, 500)
        page.evaluate("() => new Promise(requestAnimationFrame)")

    web.request("POST", "/api/todos", json={"description": "New"})
    change(web, sql, "Todo 60", completed=True)
    expect(checkbox(page, "Todo 60")).to_be_checked()
    page.mouse.wheel(0, -100_000)

    expect(descriptions(page).first).to_have_text("New")
    assert len(set(descriptions(page).all_text_contents())) == descriptions(page).count()


def test_open_editor_keeps_its_position_and_text(page: Page, sql: Sql, web: WebProcess) -> None:
    insert(sql, *(f"Todo {number}" for number in range(30)))
    page.goto("/")
    editor = edit(page, "Todo 25", "My own words")
    editor.press("Home")
    before = top(editor)

    web.request("POST", "/api/todos", json={"description": "new " * 99})
    change(web, sql, "Todo 28", description="long " * 99)
    change(web, sql, "Todo 25", description="Their words", completed=True)

    expect(descriptions(page).first).to_have_text(re.compile("^new"))
    expect(checkbox(page, "Their words")).to_be_checked()
    assert abs(top(editor) - before) < 1
    expect(editor).to_have_value("My own words")
    expect(editor).to_be_focused()
    page.keyboard.type("> ")
    expect(editor).to_have_value("> My own words")


def test_refresh_keeps_what_is_typed_into_the_new_todo_field(
    page: Page, sql: Sql, web: WebProcess
) -> None:
    insert(sql, "Milk")
    page.goto("/")
    field = page.get_by_role("textbox", name="New todo")
    field.press_sequentially("Not yet")

    web.request("POST", "/api/todos", json={"description": "New"})

    expect(descriptions(page)).to_have_text(["New", "Milk"])
    expect(field).to_have_value("Not yet")
    expect(field).to_be_focused()


def test_focused_todo_keeps_the_focus(page: Page, sql: Sql, web: WebProcess) -> None:
    insert(sql, "Milk", "Bread")
    page.goto("/")
    checkbox(page, "Milk").focus()

    web.request("POST", "/api/todos", json={"description": "New"})
    change(web, sql, "Milk", description="Oat milk")

    expect(descriptions(page)).to_have_text(["New", "Bread", "Oat milk"])
    expect(checkbox(page, "Oat milk")).to_be_focused()


# Conflicts


def test_conflicting_edit_overwrites_nothing_and_can_be_repeated(
    page: Page, sql: Sql, web: WebProcess, expected_messages: list[str]
) -> None:
    expected_messages.append(CONFLICT)
    insert(sql, "Milk")
    open_hidden(page, "Milk")
    change(web, sql, "Milk", description="Oat milk")

    edit(page, "Milk", "Soy milk").press("Enter")

    messages = page.get_by_role("region", name="Messages")
    expect(messages).to_contain_text(
        "Couldn't save “Soy milk”: it was changed elsewhere to “Oat milk”"
    )
    expect(descriptions(page)).to_have_text(["Oat milk"])
    assert table(sql) == [("Oat milk", False)]

    keep = page.get_by_role("button", name="Keep theirs")
    expect(keep).to_be_visible()
    page.get_by_role("button", name="Use mine").click()

    expect(descriptions(page)).to_have_text(["Soy milk"])
    expect(keep).to_have_count(0)
    expect(page.get_by_role("button", name="Use mine")).to_have_count(0)
    page.reload()
    expect(descriptions(page)).to_have_text(["Soy milk"])
    assert table(sql) == [("Soy milk", False)]


@pytest.mark.parametrize("width", [320, 390, 1440])
def test_message_about_a_conflict_has_room_for_its_text(
    page: Page, sql: Sql, web: WebProcess, expected_messages: list[str], width: int
) -> None:
    expected_messages.append(CONFLICT)
    page.set_viewport_size({"width": width, "height": 640})
    insert(sql, "Milk")
    page.goto("/")
    editor = edit(page, "Milk", "Soy milk")
    change(web, sql, "Milk", description="Oat milk")
    editor.press("Enter")
    keep = page.get_by_role("button", name="Keep theirs")
    expect(keep).to_be_in_viewport(ratio=1)

    box = page.get_by_role("region", name="Messages").locator("span").bounding_box()
    assert box
    assert box["width"] >= 130


def test_edit_that_began_before_a_refresh_overwrites_nothing(
    page: Page, sql: Sql, web: WebProcess, expected_messages: list[str]
) -> None:
    expected_messages.append(CONFLICT)
    insert(sql, "Milk")
    page.goto("/")
    editor = edit(page, "Milk", "Soy milk")
    change(web, sql, "Milk", description="Oat milk", completed=True)
    expect(checkbox(page, "Oat milk")).to_be_checked()

    editor.press("Enter")

    expect(page.get_by_role("button", name="Use mine")).to_be_visible()
    expect(descriptions(page)).to_have_text(["Oat milk"])
    assert table(sql) == [("Oat milk", True)]


def test_conflict_is_detected_after_a_reload(
    page: Page, sql: Sql, web: WebProcess, expected_messages: list[str]
) -> None:
    expected_messages.append(CONFLICT)
    insert(sql, "Milk")
    page.goto("/")
    edit(page, "Milk", "Soy milk")
    change(web, sql, "Milk", description="Oat milk")

    page.reload()
    editor = page.get_by_role("textbox", name="Description")
    expect(editor).to_have_value("Soy milk")
    editor.press("Enter")

    expect(page.get_by_role("button", name="Use mine")).to_be_visible()
    assert table(sql) == [("Oat milk", False)]


def test_identical_changes_are_no_conflict(
    page: Page, sql: Sql, web: WebProcess, expected_messages: list[str]
) -> None:
    expected_messages.append(CONFLICT)
    insert(sql, "Milk")
    open_hidden(page, "Milk")
    change(web, sql, "Milk", completed=True)

    with page.expect_response(lambda response: response.request.method == "GET"):
        checkbox(page, "Milk").check()

    expect(checkbox(page, "Milk")).to_be_checked()
    expect(page.get_by_text("Couldn't save")).to_have_count(0)
    assert table(sql) == [("Milk", True)]


def test_completing_a_todo_that_was_changed_elsewhere_is_reverted(
    page: Page, sql: Sql, web: WebProcess, expected_messages: list[str]
) -> None:
    expected_messages.append(CONFLICT)
    insert(sql, "Sell the car")
    open_hidden(page, "Sell the car")
    change(web, sql, "Sell the car", description="Keep the car")

    checkbox(page, "Sell the car").click()

    messages = page.get_by_role("region", name="Messages")
    expect(messages).to_contain_text(
        "Couldn't save “Sell the car”: it was changed elsewhere to “Keep the car”"
    )
    expect(checkbox(page, "Keep the car")).not_to_be_checked()
    assert table(sql) == [("Keep the car", False)]


def test_todo_that_was_changed_elsewhere_is_not_deleted(
    page: Page, sql: Sql, web: WebProcess, expected_messages: list[str]
) -> None:
    expected_messages.append(CONFLICT)
    insert(sql, "Nothing of value")
    open_hidden(page, "Nothing of value")
    change(web, sql, "Nothing of value", description="The key is under the mat")

    checkbox(page, "Nothing of value").press("Delete")
    page.get_by_role("button", name="Close").click()

    messages = page.get_by_role("region", name="Messages")
    expect(messages).to_contain_text("it was changed elsewhere to “The key is under the mat”")
    expect(descriptions(page)).to_have_text(["The key is under the mat"])
    assert table(sql) == [("The key is under the mat", False)]


def test_editor_without_changes_causes_no_conflict(page: Page, sql: Sql, web: WebProcess) -> None:
    insert(sql, "Milk")
    open_hidden(page, "Milk")
    item(page, "Milk").get_by_text("Milk").dblclick()
    change(web, sql, "Milk", description="Oat milk")
    hide(page, False)
    expect(page.get_by_role("status").filter(has_text="Changed elsewhere")).to_have_count(1)

    page.keyboard.press("Enter")

    expect(descriptions(page)).to_have_text(["Oat milk"])
    expect(page.get_by_role("region", name="Messages")).to_be_empty()
    assert table(sql) == [("Oat milk", False)]


@pytest.mark.parametrize("button", ["Clear completed", "Complete all"])
def test_edit_after_a_bulk_change_without_effect_detects_a_conflict(
    page: Page, sql: Sql, web: WebProcess, expected_messages: list[str], button: str
) -> None:
    expected_messages.append(CONFLICT)
    insert(sql, "Bread", completed=True)
    insert(sql, "Milk", completed=button == "Complete all")
    if button == "Complete all":
        # The only one left, as far as the page knows.
        insert(sql, "Tea")
        open_hidden(page, "Tea")
        change(web, sql, "Tea", completed=True)
    else:
        open_hidden(page, "Milk")
    press_button(page, button)
    if button == "Complete all":
        with page.expect_response(lambda response: response.request.method == "PATCH"):
            page.get_by_role("button", name="Close").click()
    change(web, sql, "Milk", description="Oat milk")

    edit(page, "Milk", "Soy milk").press("Enter")

    expect(page.get_by_role("button", name="Use mine")).to_be_visible()
    assert "Oat milk" in [text for text, _ in table(sql)]


def test_todo_reopened_elsewhere_is_not_cleared(page: Page, sql: Sql, web: WebProcess) -> None:
    insert(sql, "Milk", "Bread", completed=True)
    open_hidden(page, "Bread")
    change(web, sql, "Milk", completed=False)
    clear_completed(page)
    with page.expect_response(lambda response: response.request.method == "DELETE"):
        page.get_by_role("button", name="Close").click()

    hide(page, False)

    expect(descriptions(page)).to_have_text(["Milk"])
    expect(checkbox(page, "Milk")).not_to_be_checked()


def test_edit_of_a_todo_deleted_elsewhere_can_be_added_again(
    page: Page, sql: Sql, web: WebProcess, expected_messages: list[str]
) -> None:
    expected_messages.append(GONE)
    insert(sql, "Milk", "Bread")
    page.goto("/")
    editor = edit(page, "Milk", "Soy milk")
    web.request("DELETE", "/api/todos/1")
    web.request("POST", "/api/todos", json={"description": "New"})
    expect(descriptions(page).first).to_have_text("New")
    expect(editor).to_have_value("Soy milk")

    editor.press("Enter")

    messages = page.get_by_role("region", name="Messages")
    expect(messages).to_contain_text("Couldn't save “Soy milk”: it was deleted elsewhere")
    expect(descriptions(page)).to_have_text(["New", "Bread"])
    page.get_by_role("button", name="Add it").click()
    expect(descriptions(page)).to_have_text(["Soy milk", "New", "Bread"])
    page.reload()
    expect(descriptions(page)).to_have_text(["Soy milk", "New", "Bread"])


# Load on the server


def test_unchanged_list_costs_only_304_responses(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread")
    page.goto("/")
    # The second request for the count.
    page.wait_for_event("response", lambda each: each.status == 304 and "count" in each.url)
    responses: list[tuple[str, int, str]] = []

    def record(response: Response) -> None:
        responses.append((response.request.method, response.status, response.url))

    page.on("response", record)
    for _ in range(3):
        page.wait_for_event("response")

    assert [each for each in responses if each[:2] != ("GET", 304)] == []


def test_hidden_page_does_not_poll_and_refreshes_once_visible(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    page.clock.install()
    open_hidden(page, "Milk")
    pause_clock(page)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))

    page.clock.run_for(60_000)
    assert page.evaluate("document.hidden")
    assert requests == []

    # The page's timers stand still: only an immediate refresh sends a request.
    with page.expect_request("**/api/todos?*"):
        hide(page, False)
