"""Adding: nothing that was typed is lost, and what cannot be a todo is said before a request."""

import pytest
from playwright.sync_api import APIResponse, Locator, Page, Route, expect

from tests.support.page import Sql, add, changes, descriptions, insert, item, messages, table
from tests.support.waiting import wait_until

LENGTH = 500


def field(page: Page) -> Locator:
    return page.get_by_role("textbox", name="New todo")


def complaint(page: Page) -> Locator:
    return page.locator("#compose").get_by_role("alert")


def counter(page: Page) -> Locator:
    return page.locator("#compose .count")


def paste(page: Page, text: str) -> None:
    """Put a text into the field as a paste does, in one piece at the caret."""
    field(page).focus()
    page.keyboard.insert_text(text)


def hold_answer(page: Page, address: str) -> list[tuple[Route, APIResponse]]:
    """Let the server's next answer wait for the test to go on; return a list that gets it."""
    waiting: list[tuple[Route, APIResponse]] = []

    def see(route: Route) -> None:
        waiting.append((route, route.fetch()))

    page.route(address, see, times=1)
    return waiting


def test_enter_adds_what_was_typed_and_the_field_keeps_the_focus(page: Page, sql: Sql) -> None:
    page.goto("/")
    page.keyboard.type("Buy milk")
    page.keyboard.press("Enter")
    page.keyboard.type("Call Ann")
    page.keyboard.press("Enter")
    expect(descriptions(page)).to_have_text(["Call Ann", "Buy milk"])
    expect(field(page)).to_be_focused()
    expect(field(page)).to_have_value("")
    wait_until(lambda: table(sql) == [("Buy milk", False), ("Call Ann", False)])


def test_the_button_adds_and_the_field_keeps_the_focus(page: Page, sql: Sql) -> None:
    page.goto("/")
    field(page).fill("Buy milk")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(descriptions(page)).to_have_text(["Buy milk"])
    expect(field(page)).to_be_focused()
    expect(field(page)).to_have_value("")
    wait_until(lambda: table(sql) == [("Buy milk", False)])


def test_what_was_added_is_still_there_after_a_reload(page: Page) -> None:
    page.goto("/")
    with page.expect_response(lambda response: response.status == 201):
        add(page, "Buy milk")
    page.reload()
    expect(descriptions(page)).to_have_text(["Buy milk"])
    expect(field(page)).to_have_value("")


def test_white_space_around_a_description_is_left_out(page: Page, sql: Sql) -> None:
    page.goto("/")
    add(page, "  Buy milk \n")
    wait_until(lambda: table(sql) == [("Buy milk", False)])


@pytest.mark.parametrize("character", ["a", "é", "語", "🧺"])
def test_the_counter_appears_near_the_most_and_counts_characters(
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
def test_empty_is_said_at_the_field_and_nothing_is_sent(page: Page, typed: str) -> None:
    page.goto("/")
    sent = changes(page)
    add(page, typed)
    expect(complaint(page)).to_have_text("Type something first")
    expect(field(page)).to_be_focused()
    expect(field(page)).to_have_attribute("aria-invalid", "true")
    expect(descriptions(page)).to_have_count(0)
    assert sent == []
    page.keyboard.type("B")
    expect(complaint(page)).to_be_hidden()
    expect(field(page)).to_have_attribute("aria-invalid", "false")


def test_too_long_is_said_at_the_field_and_what_was_typed_stays(page: Page) -> None:
    page.goto("/")
    sent = changes(page)
    add(page, "🧺" * (LENGTH + 2))
    expect(complaint(page)).to_have_text("2 characters too long (500 at most)")
    expect(field(page)).to_have_value("🧺" * (LENGTH + 2))
    expect(descriptions(page)).to_have_count(0)
    assert sent == []


def test_shift_and_enter_make_a_line_more_of_the_same_todo(page: Page, sql: Sql) -> None:
    page.goto("/")
    page.keyboard.type("Buy")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("milk")
    page.keyboard.press("Enter")
    wait_until(lambda: table(sql) == [("Buy\nmilk", False)])


def test_lines_that_are_pasted_are_offered_as_a_todo_each(page: Page, sql: Sql) -> None:
    page.goto("/")
    paste(page, "Milk\r\n\n  Bread \n\t\nEggs\n")
    page.get_by_role("button", name="Add 3 todos, one per line").click()
    expect(descriptions(page)).to_have_text(["Eggs", "Bread", "Milk"])
    expect(field(page)).to_be_focused()
    expect(page.get_by_role("button", name="one per line")).to_be_hidden()
    wait_until(lambda: [text for text, _ in table(sql)] == ["Milk", "Bread", "Eggs"])


def test_one_line_is_no_offer(page: Page) -> None:
    page.goto("/")
    paste(page, "\nMilk\n")
    expect(page.get_by_role("button", name="one per line")).to_be_hidden()


def test_enter_adds_the_lines_that_are_pasted_as_one_todo(page: Page, sql: Sql) -> None:
    page.goto("/")
    paste(page, "Milk\nBread")
    page.keyboard.press("Enter")
    wait_until(lambda: table(sql) == [("Milk\nBread", False)])


def test_a_line_that_is_too_long_is_named_and_no_line_is_added(page: Page) -> None:
    page.goto("/")
    sent = changes(page)
    paste(page, f"Milk\n{'a' * (LENGTH + 1)}\nEggs")
    page.get_by_role("button", name="Add 3 todos, one per line").click()
    expect(complaint(page)).to_have_text("Line 2: 1 character too long (500 at most)")
    expect(descriptions(page)).to_have_count(0)
    assert sent == []


def test_a_thousand_lines_are_added_and_one_more_is_refused(page: Page, sql: Sql) -> None:
    page.goto("/")
    sent = changes(page)
    lines = [f"{number:04}" for number in range(1001)]
    paste(page, "\n".join(lines))
    page.get_by_role("button", name="Add 1001 todos, one per line").click()
    expect(complaint(page)).to_have_text("Too many lines (1000 at most)")
    assert sent == []
    field(page).fill("\n".join(lines[:-1]))
    page.get_by_role("button", name="Add 1000 todos, one per line").click()
    expect(descriptions(page)).to_have_text(lines[-2::-1])
    wait_until(lambda: [text for text, _ in table(sql)] == lines[:-1], seconds=120)


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
def test_a_hostile_description_is_text_and_kept_as_it_is(
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


def test_what_the_server_refuses_is_taken_back_and_offered_again(
    page: Page, sql: Sql, expected_messages: list[str]
) -> None:
    expected_messages.append(r"the server responded with a status of 400 .*/api/todos\)")
    page.goto("/")
    add(page, "Buy\0milk")
    add(page, "Call Ann")
    expect(messages(page)).to_contain_text("Couldn't save “Buy")
    expect(messages(page)).to_contain_text("must not contain NUL")
    expect(descriptions(page)).to_have_text(["Call Ann"])
    expect(page.locator("#remaining")).to_have_text("1 left")
    messages(page).get_by_role("button", name="Add it").click()
    expect(messages(page)).to_contain_text("Couldn't save “Buy")
    assert table(sql) == [("Call Ann", False)]


def test_what_is_added_while_the_list_is_read_stays(page: Page) -> None:
    reads = hold_answer(page, "**/api/todos?*limit=50*")
    page.goto("/")
    wait_until(lambda: page.title() and reads)
    with page.expect_response(lambda response: response.status == 201):
        add(page, "Milk")
    route, response = reads.pop()
    route.fulfill(response=response)
    expect(page.get_by_role("list", name="Todos")).to_have_attribute("aria-busy", "false")
    expect(descriptions(page)).to_have_text(["Milk"])
    page.unroute_all(behavior="ignoreErrors")


def test_what_is_added_while_a_filter_hides_it_is_said(page: Page, sql: Sql) -> None:
    page.goto("/?status=completed")
    add(page, "Buy milk")
    expect(messages(page)).to_contain_text("Added “Buy milk”")
    wait_until(lambda: table(sql) == [("Buy milk", False)])
    expect(descriptions(page)).to_have_count(0)
    page.get_by_role("button", name="All", exact=True).click()
    expect(item(page, "Buy milk")).to_be_visible()


def test_what_something_before_the_server_refuses_holds_nothing_up(
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
    add(page, "Milk")
    expect(messages(page)).to_contain_text(
        "Couldn't save “DROP TABLE todos”: The server responded with status 403"
    )
    wait_until(lambda: table(sql) == [("Milk", False)])


def test_a_todo_that_a_look_finds_before_its_answer_comes_is_shown_once(
    page: Page, sql: Sql
) -> None:
    answers = hold_answer(page, "**/api/todos")
    page.goto("/")
    add(page, "Milk")
    wait_until(lambda: page.title() and answers)
    page.wait_for_event("response", lambda response: "limit=50" in response.url)
    page.evaluate("() => new Promise(requestAnimationFrame)")
    expect(descriptions(page)).to_have_text(["Milk"])
    route, response = answers.pop()
    route.fulfill(response=response)
    expect(item(page, "Milk")).to_have_count(1)
    assert table(sql) == [("Milk", False)]


def test_without_an_answer_it_is_made_though_there_is_an_older_one_of_the_same_words(
    page: Page, sql: Sql, expected_messages: list[str]
) -> None:
    expected_messages.append(r"net::ERR_FAILED .*/api/todos\)")
    sql("INSERT INTO todos (description) SELECT 'Todo ' || n FROM generate_series(1, 60) n")
    insert(sql, "Milk", completed=True)
    # The newest are not in view.
    page.goto("/?sort_by=id&order=asc")
    expect(descriptions(page).first).to_have_text("Todo 1")
    page.route("**/api/todos", lambda route: route.abort(), times=1)
    add(page, "Milk")
    wait_until(lambda: page.title() and [text for text, _ in table(sql)][60:] == ["Milk"] * 2)


def test_without_room_in_the_browser_todos_are_added_once_each(page: Page, sql: Sql) -> None:
    page.goto("/")
    page.evaluate(
        """() => {
            for (const storage of [localStorage, sessionStorage]) {
                for (let size = 2 ** 23; size >= 1; size /= 2) {
                    try {
                        storage.filler = (storage.filler ?? "") + "x".repeat(size);
                    } catch {}
                }
            }
        }"""
    )
    add(page, "Milk")
    add(page, "Bread")
    expect(descriptions(page)).to_have_text(["Bread", "Milk"])
    expect(field(page)).to_have_value("")
    wait_until(lambda: table(sql) == [("Milk", False), ("Bread", False)])


def test_where_the_browser_may_keep_nothing_todos_are_added(page: Page, sql: Sql) -> None:
    page.add_init_script(
        """for (const name of ["localStorage", "sessionStorage"]) {
            Object.defineProperty(window, name, {
                get() { throw new DOMException("Access is denied.", "SecurityError"); },
            });
        }"""
    )
    page.goto("/")
    add(page, "Milk")
    expect(descriptions(page)).to_have_text(["Milk"])
    wait_until(lambda: table(sql) == [("Milk", False)])
