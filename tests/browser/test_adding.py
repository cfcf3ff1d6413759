"""Adding todos: validation, several lines at once, and unconfirmed todos."""

import pytest
from playwright.sync_api import APIResponse, Locator, Page, Route, expect

from tests.support.page import (
    Sql,
    add,
    add_and_type,
    changes,
    descriptions,
    hold,
    insert,
    item,
    messages,
    table,
)
from tests.support.waiting import wait_until

LENGTH = 500
# A test can be faster than the browser's own focus.
AUTOFOCUS = "Autofocus processing was blocked because a document already has a focused element"


def field(page: Page) -> Locator:
    return page.get_by_role("textbox", name="New todo")


def field_error(page: Page) -> Locator:
    return page.locator("#compose").get_by_role("alert")


def counter(page: Page) -> Locator:
    return page.locator("#compose .count")


def paste(page: Page, text: str) -> None:
    """Insert a text at the caret at once, as pasting does."""
    field(page).focus()
    page.keyboard.insert_text(text)


def hold_response(page: Page, url: str) -> list[tuple[Route, APIResponse]]:
    """Hold the server's next response until the test continues; return a list that collects it."""
    held: list[tuple[Route, APIResponse]] = []

    def collect(route: Route) -> None:
        held.append((route, route.fetch()))

    page.route(url, collect, times=1)
    return held


def test_enter_adds_a_todo_and_keeps_the_focus(page: Page, sql: Sql) -> None:
    page.goto("/")
    page.keyboard.type("Buy milk")
    page.keyboard.press("Enter")
    page.keyboard.type("Call Ann")
    page.keyboard.press("Enter")
    expect(descriptions(page)).to_have_text(["Call Ann", "Buy milk"])
    expect(field(page)).to_be_focused()
    expect(field(page)).to_have_value("")
    wait_until(lambda: table(sql) == [("Buy milk", False), ("Call Ann", False)])


def test_second_and_a_held_enter_say_nothing_about_the_emptied_field(page: Page, sql: Sql) -> None:
    page.goto("/")
    page.keyboard.type("Milk")
    page.evaluate(
        """() => {
            for (const repeat of [false, false, true]) {
                const press = { key: "Enter", bubbles: true, cancelable: true, repeat };
                document.activeElement.dispatchEvent(new KeyboardEvent("keydown", press));
            }
        }"""
    )
    expect(descriptions(page)).to_have_text(["Milk"])
    expect(page.get_by_role("alert")).to_have_text("")
    wait_until(lambda: table(sql) == [("Milk", False)])


def test_what_is_typed_before_the_scripts_have_been_loaded_is_kept(
    page: Page, sql: Sql, expected_messages: list[str]
) -> None:
    expected_messages.append(AUTOFOCUS)
    insert(sql, "Milk", "Bread")
    page.goto("/")
    field(page).fill("Draft")
    held = hold(page, "**/main.js")
    page.goto("/", wait_until="commit")
    field(page).fill("Eggs")
    page.get_by_role("searchbox").fill("milk")
    wait_until(lambda: page.title() and held)
    held[0].continue_()
    expect(descriptions(page)).to_have_text(["Milk"])
    expect(field(page)).to_have_value("Eggs")
    assert "search=milk" in page.url


def test_add_button_adds_a_todo_and_focuses_the_field(page: Page, sql: Sql) -> None:
    page.goto("/")
    field(page).fill("Buy milk")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(descriptions(page)).to_have_text(["Buy milk"])
    expect(field(page)).to_be_focused()
    expect(field(page)).to_have_value("")
    wait_until(lambda: table(sql) == [("Buy milk", False)])


def test_added_todo_is_still_there_after_a_reload(page: Page) -> None:
    page.goto("/")
    with page.expect_response(lambda response: response.status == 201):
        add(page, "Buy milk")
    page.reload()
    expect(descriptions(page)).to_have_text(["Buy milk"])
    expect(field(page)).to_have_value("")


def test_leading_and_trailing_whitespace_is_trimmed(page: Page, sql: Sql) -> None:
    page.goto("/")
    add(page, "  Buy milk \n")
    wait_until(lambda: table(sql) == [("Buy milk", False)])


@pytest.mark.parametrize("character", ["a", "é", "語", "🧺"])
def test_counter_appears_near_the_limit_and_counts_code_points(
    page: Page, sql: Sql, character: str
) -> None:
    page.goto("/")
    field(page).fill(character * (LENGTH - 51))
    expect(counter(page)).to_have_text("")
    field(page).fill(character * (LENGTH - 50))
    expect(counter(page)).to_have_text("50")
    field(page).fill(character * (LENGTH + 1))
    expect(counter(page)).to_have_text("-1")
    add(page, character * LENGTH)
    expect(counter(page)).to_have_text("")
    wait_until(lambda: table(sql) == [(character * LENGTH, False)])


@pytest.mark.parametrize("typed", ["", "   ", "\n \n"])
def test_empty_description_shows_an_error_and_sends_nothing(page: Page, typed: str) -> None:
    page.goto("/")
    sent = changes(page)
    add(page, typed)
    expect(field_error(page)).to_have_text("Type something first")
    expect(field(page)).to_be_focused()
    expect(field(page)).to_have_attribute("aria-invalid", "true")
    expect(descriptions(page)).to_have_count(0)
    assert sent == []
    page.keyboard.type("B")
    expect(field_error(page)).to_be_hidden()
    expect(field(page)).to_have_attribute("aria-invalid", "false")


def test_too_long_description_shows_an_error_and_keeps_the_text(page: Page) -> None:
    page.goto("/")
    sent = changes(page)
    add(page, "🧺" * (LENGTH + 2))
    expect(field_error(page)).to_have_text("2 characters too long (500 at most)")
    expect(field(page)).to_have_value("🧺" * (LENGTH + 2))
    expect(descriptions(page)).to_have_count(0)
    assert sent == []


def test_shift_enter_inserts_a_line_break(page: Page, sql: Sql) -> None:
    page.goto("/")
    page.keyboard.type("Buy")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("milk")
    page.keyboard.press("Enter")
    wait_until(lambda: table(sql) == [("Buy\nmilk", False)])


def test_pasted_lines_can_be_added_as_one_todo_per_line(page: Page, sql: Sql) -> None:
    page.goto("/")
    paste(page, "Milk\r\n\n  Bread \n\t\nEggs\n")
    page.get_by_role("button", name="Add 3 todos, one per line").click()
    expect(descriptions(page)).to_have_text(["Milk", "Bread", "Eggs"])
    expect(field(page)).to_be_focused()
    expect(page.get_by_role("button", name="one per line")).to_be_hidden()
    wait_until(lambda: [text for text, _ in table(sql)] == ["Eggs", "Bread", "Milk"])
    page.reload()
    expect(descriptions(page)).to_have_text(["Milk", "Bread", "Eggs"])


def test_pasted_lines_stay_in_order_where_the_oldest_todo_is_on_top(page: Page, sql: Sql) -> None:
    insert(sql, "Tea")
    page.goto("/?order=asc")
    expect(descriptions(page)).to_have_text(["Tea"])
    paste(page, "Milk\nBread\nEggs")
    page.get_by_role("button", name="Add 3 todos, one per line").click()
    wait_until(lambda: [text for text, _ in table(sql)] == ["Tea", "Milk", "Bread", "Eggs"])
    expect(descriptions(page)).to_have_text(["Tea", "Milk", "Bread", "Eggs"])


def test_single_line_is_not_offered_as_several_todos(page: Page) -> None:
    page.goto("/")
    paste(page, "\nMilk\n")
    expect(page.get_by_role("button", name="one per line")).to_be_hidden()


def test_enter_adds_pasted_lines_as_one_todo(page: Page, sql: Sql) -> None:
    page.goto("/")
    paste(page, "Milk\nBread")
    page.keyboard.press("Enter")
    wait_until(lambda: table(sql) == [("Milk\nBread", False)])


def test_too_long_line_is_reported_by_number_and_no_line_is_added(page: Page) -> None:
    page.goto("/")
    sent = changes(page)
    paste(page, f"Milk\n{'a' * (LENGTH + 1)}\nEggs")
    page.get_by_role("button", name="Add 3 todos, one per line").click()
    expect(field_error(page)).to_have_text("Line 2: 1 character too long (500 at most)")
    expect(descriptions(page)).to_have_count(0)
    assert sent == []


def test_a_thousand_lines_are_added_and_one_more_is_rejected(page: Page, sql: Sql) -> None:
    page.goto("/")
    sent = changes(page)
    lines = [f"{number:04}" for number in range(1001)]
    paste(page, "\n".join(lines))
    page.get_by_role("button", name="Add 1001 todos, one per line").click()
    expect(field_error(page)).to_have_text("Too many lines (1000 at most)")
    assert sent == []
    field(page).fill("\n".join(lines[:-1]))
    page.get_by_role("button", name="Add 1000 todos, one per line").click()
    expect(descriptions(page)).to_have_text(lines[:-1])
    # The newest todo is on top.
    wait_until(lambda: [text for text, _ in table(sql)] == lines[-2::-1], seconds=120)


@pytest.mark.parametrize(
    "description",
    [
        "<img src=x onerror=alert(1)>",
        "<script>alert(1)</script>",
        "javascript:alert(1)",
        "&lt;b&gt; &amp; &#60;",
        "\"double\" 'single' `back` \\ / % {{ 7 * 7 }} ${7 * 7}",
        "'; DROP TABLE todos; --",
        "👩‍👩‍👧‍👦 🏳️‍🌈 \u00e9 and e\u0301",
        "שלום עולם, مرحبا",
        "left \u202eright to left\u202c, zero\u200bwidth",
        "two  spaces   between    words",
        "null",
        "__proto__",
    ],
)
def test_hostile_description_is_shown_as_text_and_stored_unchanged(
    page: Page, sql: Sql, description: str
) -> None:
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    page.goto("/")
    with page.expect_response(lambda response: response.status == 201):
        add(page, description)
    assert table(sql) == [(description, False)]
    for _ in range(2):
        expect(descriptions(page)).to_have_count(1)
        assert descriptions(page).text_content() == description
        assert descriptions(page).locator("*").count() == 0
        checkbox = page.get_by_role("listitem").get_by_role("checkbox")
        assert checkbox.get_attribute("aria-label") == description
        page.reload()


def test_rejected_todo_is_back_in_the_field_to_be_corrected(
    page: Page, sql: Sql, expected_messages: list[str]
) -> None:
    expected_messages.append(r"the server responded with a status of 400 .*/api/todos\)")
    page.goto("/")
    add(page, "Buy\0milk")
    expect(field_error(page)).to_contain_text("must not contain NUL")
    expect(field(page)).to_have_value("Buy\0milk")
    expect(field(page)).to_be_focused()
    expect(descriptions(page)).to_have_count(0)
    expect(messages(page)).to_be_empty()
    page.keyboard.press("Home")
    for _ in "Buy\0":
        page.keyboard.press("Delete")
    expect(field_error(page)).to_be_empty()
    page.keyboard.press("Enter")
    wait_until(lambda: page.title() and table(sql) == [("milk", False)])
    expect(field(page)).to_have_value("")


def test_rejected_todo_is_in_a_message_if_the_field_is_in_use(
    page: Page, sql: Sql, expected_messages: list[str]
) -> None:
    expected_messages.append(r"the server responded with a status of 400 .*/api/todos\)")
    page.goto("/")
    add_and_type(page, "Buy\0milk", "Call Ann")
    expect(messages(page)).to_contain_text("Couldn't save “Buy")
    expect(messages(page)).to_contain_text("must not contain NUL")
    expect(field(page)).to_have_value("Call Ann")
    field(page).press("Enter")
    wait_until(lambda: page.title() and table(sql) == [("Call Ann", False)])
    expect(descriptions(page)).to_have_text(["Call Ann"])
    expect(page.locator("#remaining")).to_have_text("1 left")
    messages(page).get_by_role("button", name="Add it").click()
    expect(field_error(page)).to_contain_text("must not contain NUL")
    assert table(sql) == [("Call Ann", False)]


def test_todo_added_before_the_scripts_are_loaded_stays_in_the_field(
    page: Page, sql: Sql, expected_messages: list[str]
) -> None:
    expected_messages.append(AUTOFOCUS)
    held = hold(page, "**/main.js")
    page.goto("/", wait_until="commit")
    field(page).fill("Milk")
    page.get_by_role("button", name="Add", exact=True).click()
    wait_until(lambda: page.title() and held)
    held.pop().continue_()
    expect(page.get_by_text("No todos yet")).to_be_visible()
    expect(field(page)).to_have_value("Milk")
    field(page).press("Enter")
    wait_until(lambda: page.title() and table(sql) == [("Milk", False)])


def test_todo_added_while_the_list_loads_stays(page: Page) -> None:
    reads = hold_response(page, "**/api/todos?*limit=50*")
    page.goto("/")
    wait_until(lambda: page.title() and reads)
    with page.expect_response(lambda response: response.status == 201):
        add(page, "Milk")
    route, response = reads.pop()
    route.fulfill(response=response)
    expect(page.get_by_role("list", name="Todos")).to_have_attribute("aria-busy", "false")
    expect(descriptions(page)).to_have_text(["Milk"])
    page.unroute_all(behavior="ignoreErrors")


def test_message_confirms_a_todo_that_the_filter_hides(page: Page, sql: Sql) -> None:
    page.goto("/?status=completed")
    add(page, "Buy milk")
    expect(messages(page)).to_contain_text("Added “Buy milk”")
    wait_until(lambda: table(sql) == [("Buy milk", False)])
    expect(descriptions(page)).to_have_count(0)
    page.get_by_role("button", name="All", exact=True).click()
    expect(item(page, "Buy milk")).to_be_visible()


def test_todo_appears_at_the_end_where_the_oldest_is_on_top(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread")
    page.goto("/?sort_by=id&order=asc")
    expect(descriptions(page)).to_have_text(["Milk", "Bread"])
    held = hold_response(page, "**/api/todos")
    add(page, "Eggs")
    expect(descriptions(page)).to_have_text(["Milk", "Bread", "Eggs"])
    wait_until(lambda: page.title() and held)
    # Not even for a frame is it anywhere else.
    page.evaluate(
        """() => {
            window.shown = new Set();
            const record = () => {
                window.shown.add([...document.querySelectorAll("#todos .text")]
                    .map(({ textContent }) => textContent).join());
                requestAnimationFrame(record);
            };
            record();
        }"""
    )
    route, response = held.pop()
    route.fulfill(response=response)
    page.wait_for_event("response", lambda response: "limit=50" in response.url)
    page.evaluate("() => new Promise(requestAnimationFrame)")
    assert page.evaluate("[...window.shown]") == ["Milk,Bread,Eggs"]


@pytest.mark.parametrize("query", ["sort_by=id&order=asc", "sort_by=description&order=asc"])
def test_message_confirms_a_todo_whose_place_is_not_loaded(
    page: Page, sql: Sql, query: str
) -> None:
    sql("INSERT INTO todos (description) SELECT 'Todo ' || n FROM generate_series(101, 300) n")
    page.goto(f"/?{query}")
    expect(descriptions(page).first).to_have_text("Todo 101")
    count = descriptions(page).count()
    add(page, "Zucchini")
    expect(messages(page)).to_contain_text("Added “Zucchini”")
    expect(item(page, "Zucchini")).to_have_count(0)
    assert descriptions(page).count() >= count
    wait_until(lambda: ("Zucchini", False) in table(sql))


def test_change_rejected_by_a_proxy_does_not_block_later_changes(
    page: Page, sql: Sql, expected_messages: list[str]
) -> None:
    expected_messages.append(r"the server responded with a status of 403 .*/api/todos\)")
    page.route(
        "**/api/todos",
        lambda route: route.fulfill(status=403, body="<h1>Forbidden</h1>"),
        times=1,
    )
    page.goto("/")
    add(page, "DROP TABLE todos")
    expect(field_error(page)).to_have_text("The server responded with status 403")
    expect(field(page)).to_have_value("DROP TABLE todos")
    add(page, "Milk")
    wait_until(lambda: table(sql) == [("Milk", False)])


def test_todo_found_by_a_refresh_before_its_response_is_shown_once(page: Page, sql: Sql) -> None:
    responses = hold_response(page, "**/api/todos")
    page.goto("/")
    add(page, "Milk")
    wait_until(lambda: page.title() and responses)
    page.wait_for_event("response", lambda response: "limit=50" in response.url)
    page.evaluate("() => new Promise(requestAnimationFrame)")
    expect(descriptions(page)).to_have_text(["Milk"])
    route, response = responses.pop()
    route.fulfill(response=response)
    expect(item(page, "Milk")).to_have_count(1)
    assert table(sql) == [("Milk", False)]


def test_unconfirmed_todo_is_created_although_an_older_one_has_the_same_description(
    page: Page, sql: Sql, expected_messages: list[str]
) -> None:
    expected_messages.append(r"net::ERR_FAILED .*/api/todos\)")
    sql("INSERT INTO todos (description) SELECT 'Todo ' || n FROM generate_series(1, 60) n")
    insert(sql, "Milk", completed=True)
    # The newest todos are not in view.
    page.goto("/?sort_by=id&order=asc")
    expect(descriptions(page).first).to_have_text("Todo 1")
    page.route("**/api/todos", lambda route: route.abort(), times=1)
    add(page, "Milk")
    wait_until(lambda: page.title() and [text for text, _ in table(sql)][60:] == ["Milk"] * 2)
