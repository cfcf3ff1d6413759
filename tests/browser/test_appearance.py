"""What the page shows and says in each of its states, on every kind of screen."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.support.page import (
    Sql,
    add,
    add_and_type,
    checkbox,
    descriptions,
    edit,
    insert,
    item,
    messages,
)
from tests.support.waiting import wait_until

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture
def phone(new_context: Callable[..., BrowserContext]) -> Page:
    """A blank tab on a phone."""
    return new_context(**PHONE).new_page()


def style(locator: Locator, name: str) -> str:
    """Return a property of the computed style."""
    value: str = locator.evaluate("(element, name) => getComputedStyle(element)[name]", name)
    return value


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("/", "No todos yet. Add one!"),
        ("/?status=incomplete", "Nothing left to do."),
        ("/?status=completed", "Nothing completed yet."),
        ("/?search=tea", "Nothing matches “tea”."),
        ("/?search=tea&status=completed", "Nothing matches “tea”."),
    ],
)
def test_an_empty_list_says_why(page: Page, url: str, message: str) -> None:
    page.goto(url)
    expect(page.locator("#empty p")).to_have_text(message)
    clear = page.get_by_role("button", name="Clear search")
    expect(clear).to_be_visible(visible="search" in url)


def test_the_search_can_be_cleared_where_nothing_matches(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    page.goto("/?search=tea")
    page.get_by_role("button", name="Clear search").click()
    expect(descriptions(page)).to_have_text(["Milk"])
    expect(page.get_by_role("searchbox")).to_have_value("")
    expect(page.get_by_role("searchbox")).to_be_focused()


def test_without_todos_there_is_no_toolbar(page: Page) -> None:
    page.goto("/")
    expect(page.get_by_text("No todos yet")).to_be_visible()
    for name in ("Active", "Complete all"):
        expect(page.get_by_role("button", name=name)).to_be_hidden()
    expect(page.get_by_role("searchbox")).to_be_hidden()
    add(page, "Milk")
    for name in ("Active", "Complete all"):
        expect(page.get_by_role("button", name=name)).to_be_visible()


def test_the_title_counts_what_is_left(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread")
    page.goto("/")
    expect(page).to_have_title("(2) Todos")
    checkbox(page, "Milk").click()
    expect(page).to_have_title("(1) Todos")
    checkbox(page, "Bread").click()
    expect(page).to_have_title("Todos")


@pytest.mark.parametrize(
    ("description", "links"),
    [
        ("See https://example.org/a?b=c#d.", ["https://example.org/a?b=c#d"]),
        ("(http://a.example), “https://b.example/ü”", ["http://a.example", "https://b.example/ü"]),
        ("javascript:alert(1) https:// data:text/html,x ftp://x", []),
        ("https://x.example/<img src=x onerror=alert(1)>", ["https://x.example/"]),
        ('https://x.example/"onclick="alert(1)', ["https://x.example/"]),
    ],
)
def test_web_addresses_in_a_description_are_links(
    page: Page, sql: Sql, description: str, links: list[str]
) -> None:
    insert(sql, description)
    page.goto("/")
    expect(descriptions(page)).to_have_text([description])
    found = descriptions(page).get_by_role("link")
    expect(found).to_have_text(links)
    for link in found.all():
        assert link.get_attribute("rel") == "noopener noreferrer"
        assert link.get_attribute("target") == "_blank"


@pytest.mark.parametrize(
    ("search", "marked"),
    [("mi", ["Mi", "mi"]), ("MILK mince", ["Milk", "mince"]), ("b(", []), ("", [])],
)
def test_the_words_of_a_search_are_marked(
    page: Page, sql: Sql, search: str, marked: list[str]
) -> None:
    insert(sql, "Milk and mince of a family")
    page.goto(f"/?search={search}")
    expect(page.locator("#todos")).to_have_attribute("aria-busy", "false")
    found = page.evaluate("[...CSS.highlights.get('search')].map(range => range.toString())")
    assert found == marked


def test_the_times_of_a_todo_are_its_tooltip(page: Page, sql: Sql) -> None:
    sql(
        "INSERT INTO todos (description, created_at, updated_at) VALUES"
        " ('Milk', '2025-12-28 12:00Z', '2025-12-30 12:00Z'),"
        " ('Bread', '2025-12-28 12:00Z', '2025-12-28 12:00Z')"
    )
    page.goto("/")
    milk, bread = item(page, "Milk").locator(".text"), item(page, "Bread").locator(".text")
    expect(milk).to_have_attribute(
        "title", "Created Dec 28, 2025, 12:00 PM, changed Dec 30, 2025, 12:00 PM"
    )
    expect(bread).to_have_attribute("title", "Created Dec 28, 2025, 12:00 PM")


def test_the_times_are_shown_where_the_order_is_by_them(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    page.goto("/?sort_by=updated_at")
    text = item(page, "Milk").locator(".text")
    shown = "element => getComputedStyle(element, '::after').content"
    expect(text).to_have_attribute("title", re.compile("^Created "))
    assert text.evaluate(shown) == f'"{text.get_attribute("title")}"'
    page.get_by_label("Sort order").select_option("Newest first")
    wait_until(lambda: text.evaluate(shown) == "none")


def test_a_bidirectional_override_does_not_reach_beyond_its_quotes(page: Page, sql: Sql) -> None:
    insert(sql, "a\u202eb\u2069c")
    page.goto("/")
    item(page, "a\u202eb\u2069c").hover()
    page.get_by_role("button", name="Delete").click()
    quoted = messages(page).locator("bdi")
    expect(quoted).to_have_text("a\u202eb\u2069c")
    assert style(quoted, "unicodeBidi") == "isolate"


def test_each_button_of_a_todo_names_the_todo(page: Page, sql: Sql) -> None:
    insert(sql, "Buy groceries", "Milk")
    page.goto("/")
    for name in ("Edit: Buy groceries", "Delete: Milk"):
        expect(page.get_by_role("button", name=name, exact=True)).to_have_count(1)
    edit(page, "Milk", "Tea").press("Enter")
    expect(page.get_by_role("button", name="Delete: Tea", exact=True)).to_have_count(1)


def test_each_text_is_read_once(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    page.goto("/")
    expect(page.get_by_role("list", name="Todos")).to_match_aria_snapshot("""
        - list "Todos":
          - listitem:
            - checkbox "Milk"
            - 'button "Edit: Milk"'
            - 'button "Delete: Milk"'
        """)


def test_forced_colours_show_which_filter_is_on(
    new_context: Callable[..., BrowserContext], sql: Sql
) -> None:
    insert(sql, "Milk")
    page = new_context(forced_colors="active").new_page()
    page.goto("/")
    pressed = page.get_by_role("button", name="All", exact=True)
    other = page.get_by_role("button", name="Active")
    expect(pressed).to_be_visible()
    assert style(pressed, "backgroundColor") != style(other, "backgroundColor")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_message_stands_out_from_the_page(
    new_context: Callable[..., BrowserContext], sql: Sql, scheme: str
) -> None:
    insert(sql, "Milk")
    page = new_context(color_scheme=scheme).new_page()
    page.goto("/")
    checkbox(page, "Milk").press("Delete")
    toast = messages(page).locator("div").first
    expect(toast).to_be_visible()
    assert style(toast, "backgroundColor") == style(page.locator("html"), "color")
    assert int(style(toast.get_by_role("button", name="Undo"), "fontWeight")) >= 600


def test_a_long_message_leaves_a_small_screen_usable(
    new_context: Callable[..., BrowserContext], expected_messages: list[str]
) -> None:
    expected_messages.append("status of 400")
    page = new_context(viewport={"width": 320, "height": 480}).new_page()
    page.route("**/api/todos", lambda route: route.fulfill(status=400, json={"detail": "No"}))
    page.goto("/")
    add_and_type(page, "long " * 100, "Milk")
    toast = messages(page).locator("div").first
    expect(toast).to_contain_text("long")
    box = toast.bounding_box()
    assert box
    assert box["height"] < 240


def test_on_a_phone_every_control_is_large_and_the_list_begins_near_the_top(
    phone: Page, sql: Sql
) -> None:
    insert(sql, "Milk", "Bread")
    phone.goto("/")
    expect(descriptions(phone)).to_have_count(2)
    box = phone.get_by_role("listitem").first.bounding_box()
    assert box
    assert box["y"] <= 170
    small = phone.evaluate(
        """() => [...document.querySelectorAll("button, select, [type=search], textarea")]
            .filter(element => element.checkVisibility() && !element.matches(".edit"))
            .filter(element => Math.min(element.closest("#compose textarea")
                ? element.parentElement.offsetHeight : element.offsetHeight,
                element.offsetWidth) < 44)
            .map(element => element.outerHTML)"""
    )
    assert small == []
    check = phone.get_by_role("checkbox").first.bounding_box()
    assert check
    for dx, dy in ((-21, 0), (21, 0), (0, -21), (0, 21)):
        x, y = check["x"] + check["width"] / 2 + dx, check["y"] + check["height"] / 2 + dy
        assert phone.evaluate("([x, y]) => document.elementFromPoint(x, y).type", [x, y]) == (
            "checkbox"
        )
    for field in (phone.get_by_role("searchbox"), phone.get_by_role("textbox", name="New todo")):
        assert float(style(field, "fontSize").removesuffix("px")) >= 16


def test_on_a_phone_a_tap_on_the_text_edits_it(phone: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    phone.goto("/")
    phone.get_by_text("Milk").tap()
    field = phone.get_by_role("textbox", name="Description")
    expect(field).to_be_focused()
    assert field.get_attribute("enterkeyhint") == "done"
    expect(phone.get_by_role("button", name="Keyboard shortcuts")).to_be_hidden()


def test_on_a_phone_the_field_for_new_todos_stays_in_reach(phone: Page, sql: Sql) -> None:
    insert(sql, *(f"Todo {number}" for number in range(30)))
    phone.goto("/")
    expect(descriptions(phone)).to_have_count(30)
    phone.evaluate("scrollTo(0, 1000)")
    expect(phone.get_by_role("textbox", name="New todo")).to_be_in_viewport()


def test_on_a_phone_the_sections_line_up_with_the_todos(phone: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    insert(sql, "Bread", completed=True)
    phone.goto("/")
    expect(descriptions(phone)).to_have_count(2)
    left = "element => Math.round(element.getBoundingClientRect().left)"
    # The arrow is the first thing within the button's border and padding.
    arrow = phone.locator("#show-completed").evaluate(
        """button => Math.round(button.getBoundingClientRect().left + button.clientLeft
            + parseFloat(getComputedStyle(button).paddingLeft))"""
    )
    assert abs(arrow - phone.get_by_role("checkbox").first.evaluate(left)) <= 4


def test_the_last_todo_can_be_scrolled_above_the_banner(
    phone: Page, sql: Sql, expected_messages: list[str]
) -> None:
    expected_messages.append("ERR_INTERNET_DISCONNECTED")
    insert(sql, *(f"Todo {number}" for number in range(30)))
    phone.goto("/")
    expect(descriptions(phone)).to_have_count(30)
    phone.context.set_offline(True)
    add(phone, "Milk")
    expect(phone.locator("#banner")).to_contain_text("offline")
    phone.evaluate("scrollTo(0, document.body.scrollHeight)")
    last = phone.get_by_role("listitem").last.bounding_box()
    banner = phone.locator("#banner").bounding_box()
    assert last
    assert banner
    assert last["y"] + last["height"] <= banner["y"]


def test_a_double_click_on_add_adds_one_todo_and_shows_no_error(page: Page, sql: Sql) -> None:
    page.goto("/")
    page.get_by_role("textbox", name="New todo").fill("Milk")
    page.get_by_role("button", name="Add", exact=True).dblclick()
    expect(descriptions(page)).to_have_text(["Milk"])
    expect(page.get_by_role("alert").filter(has_text="Type")).to_have_count(0)


def test_a_printed_list_is_the_list(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    insert(sql, "Bread", completed=True)
    page.goto("/")
    expect(descriptions(page)).to_have_count(2)
    page.emulate_media(media="print")
    for text in ("Milk", "Bread"):
        expect(page.get_by_text(text)).to_be_visible()
    expect(page.locator("#compose")).to_be_hidden()
    expect(page.get_by_text("Clear 1 completed")).to_be_hidden()
    expect(page.get_by_role("heading", name="Todos")).to_be_visible()
    expect(page.get_by_role("textbox", name="New todo")).to_be_hidden()
    expect(page.get_by_role("searchbox")).to_be_hidden()


def test_text_twice_as_large_enlarges_the_controls_too(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    page.goto("/")
    check = checkbox(page, "Milk")
    before = check.bounding_box()
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    after = check.bounding_box()
    assert before
    assert after
    assert after["width"] == 2 * before["width"]


def test_without_motion_nothing_moves(new_context: Callable[..., BrowserContext], sql: Sql) -> None:
    insert(sql, "Milk")
    page = new_context(reduced_motion="reduce").new_page()
    page.goto("/")
    checkbox(page, "Milk").press("Delete")
    expect(messages(page).get_by_role("button", name="Undo")).to_be_visible()
    assert page.evaluate("document.getAnimations().length") == 0
