"""Accessibility: axe, live regions, screen sizes, colour schemes, layout shifts and motion."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.support.page import (
    Sql,
    add,
    add_and_type,
    checkbox,
    descriptions,
    hold,
    insert,
    locked,
    table,
)
from tests.support.waiting import wait_until
from tests.support.web import WebProcess

BUSY = r"^error: Failed to load resource: .* status of 503 .* \(http\S+/api/todos/\d+\)$"
LONG = " ".join(["Call the plumber about the pipe in the bathroom, then the carpenter."] * 7)
UNBROKEN = "https://example.org/" + "long" * 40
# Visible text and controls that overlap, are cut off or lie outside the viewport.
MISPLACED = """() => {
    const shown = [...document.querySelectorAll("body *")].filter(element =>
        element.checkVisibility() && element.closest("#status") === null
        && (element.matches("button, input, select, textarea")
            || [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())));
    const boxes = shown.map(element => {
        const range = document.createRange();
        range.selectNodeContents(element);
        const isText = !element.matches("button, input, select, textarea");
        const { left, top, right, bottom } = (isText ? range : element).getBoundingClientRect();
        // A space at the end of a line extends beyond it, invisibly.
        return [element, { left, top, bottom, right: isText && element.matches(".text")
            ? Math.min(right, element.getBoundingClientRect().right) : right }];
    });
    const name = element => `${element.tagName} ${element.ariaLabel ?? element.textContent}`;
    const found = [];
    if (document.documentElement.scrollWidth > innerWidth) found.push("scrolls horizontally");
    for (const [index, [element, box]] of boxes.entries()) {
        if (box.left < 0 || box.right > innerWidth) found.push(`outside: ${name(element)}`);
        if (element.scrollWidth > element.clientWidth + 1 && element.clientWidth)
            found.push(`cut off: ${name(element)}`);
        for (const [other, otherBox] of boxes.slice(index + 1)) {
            if (element.contains(other) || other.contains(element)) continue;
            // A message may cover the list, which can be scrolled, but nothing else.
            if (element.closest("li") && other.closest("#banner, #notices")) continue;
            // So may the header, which stays in view; it is opaque.
            if (element.closest("header") && other.closest("li")) continue;
            if (box.left < otherBox.right - 1 && otherBox.left < box.right - 1
                && box.top < otherBox.bottom - 1 && otherBox.top < box.bottom - 1)
                found.push(`overlap: ${name(element)} and ${name(other)}`);
        }
    }
    return found;
}"""
SHIFTS = """
    window.shifts = [];
    new PerformanceObserver(list => {
        for (const { value, hadRecentInput, sources } of list.getEntries()) {
            const moved = sources.map(({ node }) => node?.outerHTML?.slice(0, 80) ?? node?.data);
            if (!hadRecentInput) shifts.push([value, moved]);
        }
    }).observe({ type: "layout-shift", buffered: true });
"""


class Stage(NamedTuple):
    """What the functions below need to bring the page into a state."""

    page: Page
    sql: Sql
    database: str
    stack: ExitStack


@pytest.fixture
def stage(page: Page, sql: Sql, database: str, expected_messages: list[str]) -> Iterator[Stage]:
    expected_messages.append(BUSY)
    with ExitStack() as stack:
        yield Stage(page, sql, database, stack)


# States of the page


def show_an_empty_list(stage: Stage) -> None:
    stage.page.goto("/")
    expect(stage.page.get_by_text("No todos yet. Add one!")).to_be_visible()


def show_a_full_list(stage: Stage) -> None:
    insert(stage.sql, "Milk", LONG, "Bread", UNBROKEN)
    insert(stage.sql, "Salt", LONG.upper(), completed=True)
    stage.page.goto("/")
    expect(descriptions(stage.page)).to_have_count(6)


def edit(stage: Stage) -> None:
    show_a_full_list(stage)
    checkbox(stage.page, "Bread").press("Enter")
    stage.page.get_by_role("textbox", name="Description").fill("x" * 480)


def make_errors(stage: Stage) -> None:
    edit(stage)
    stage.page.get_by_role("textbox", name="Description").fill("x" * 501)
    stage.page.get_by_role("textbox", name="Description").press("Enter")
    add(stage.page, "y" * 510)
    expect(stage.page.get_by_role("alert").filter(has_text="too long")).to_have_count(2)


def offer_to_add_lines(stage: Stage) -> None:
    show_a_full_list(stage)
    stage.page.get_by_role("textbox", name="New todo").fill("Tea\nCoffee\nSugar")
    expect(stage.page.get_by_role("button", name="Add 3 todos, one per line")).to_be_visible()


def delete(stage: Stage) -> None:
    show_a_full_list(stage)
    checkbox(stage.page, LONG).press("Delete")
    expect(stage.page.get_by_role("button", name="Undo")).to_be_visible()


def show_the_shortcuts(stage: Stage) -> None:
    show_a_full_list(stage)
    stage.page.get_by_role("button", name="Keyboard shortcuts").click()
    expect(stage.page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()


def show_the_banner(stage: Stage) -> None:
    show_a_full_list(stage)
    stage.stack.enter_context(locked(stage.database))
    checkbox(stage.page, "Milk").check()
    expect(stage.page.get_by_text("Trying again; your changes are kept")).to_be_visible()


def find_nothing(stage: Stage) -> None:
    insert(stage.sql, "Milk")
    stage.page.goto("/?search=bread")
    expect(stage.page.get_by_text("Nothing matches “bread”.")).to_be_visible()


STATES = [
    *(show_an_empty_list, show_a_full_list, edit, make_errors, offer_to_add_lines, delete),
    *(show_the_shortcuts, show_the_banner, find_nothing),
]
each_state = pytest.mark.parametrize("show", STATES, ids=lambda show: show.__name__)


@each_state
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_no_violations(stage: Stage, show: Callable[[Stage], None], colours: str) -> None:
    stage.page.emulate_media(color_scheme=colours)
    show(stage)

    found = Axe().run(stage.page)

    assert not found.violations_count, found.generate_report()


@each_state
@pytest.mark.parametrize("width", [320, 768, 2560])
def test_nothing_is_cut_off_or_overlaps(
    stage: Stage, show: Callable[[Stage], None], width: int
) -> None:
    stage.page.set_viewport_size({"width": width, "height": 1600})
    show(stage)

    if show is not show_the_shortcuts:  # a dialog covers the rest of the page
        assert stage.page.evaluate(MISPLACED) == []
    assert stage.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


# Layout shifts and motion


@pytest.mark.parametrize("width", [320, 1280])
@pytest.mark.parametrize("path", ["/", "/?status=completed", "/?search=milk"])
def test_no_layout_shift_while_the_page_loads(page: Page, sql: Sql, width: int, path: str) -> None:
    page.add_init_script(SHIFTS)
    page.set_viewport_size({"width": width, "height": 700})
    insert(sql, LONG, "Milk", LONG)
    insert(sql, "Milk and bread", LONG, completed=True)
    sql("INSERT INTO todos (description) SELECT 'Milk ' || n FROM generate_series(1, 60) n")

    page.goto(path)
    page.wait_for_event("response", lambda response: response.status == 304)

    expect(descriptions(page).first).to_be_visible()
    assert page.evaluate("shifts") == []


def test_no_layout_shift_when_the_banner_appears_and_disappears(stage: Stage) -> None:
    page = stage.page
    page.add_init_script(SHIFTS)
    show_the_banner(stage)
    stage.stack.close()

    expect(page.get_by_text("Trying again")).to_have_count(0)
    assert page.evaluate("shifts") == []


def test_undo_button_stays_in_place_when_another_notice_appears(
    stage: Stage, expected_messages: list[str]
) -> None:
    expected_messages.append(r"status of 500 .*/api/todos\)")
    page = stage.page
    delete(stage)
    stage.sql("ALTER TABLE todos ADD CONSTRAINT rejection CHECK (description <> 'Tea')")
    stage.stack.callback(stage.sql, "ALTER TABLE todos DROP CONSTRAINT rejection")
    undo = page.get_by_role("button", name="Undo")
    before = undo.bounding_box()

    add_and_type(page, "Tea", "Coffee")

    expect(page.get_by_text("Couldn't save “Tea”: Internal server error")).to_be_visible()
    assert undo.bounding_box() == before


def test_reduced_motion_disables_animations(stage: Stage) -> None:
    page = stage.page
    page.emulate_media(reduced_motion="reduce")
    show_a_full_list(stage)
    checkbox(page, "Milk").check()
    checkbox(page, "Bread").press("Delete")
    add(page, "Tea")
    page.get_by_role("button", name="Keyboard shortcuts").click()

    assert page.evaluate("document.getAnimations().length") == 0
    moving = """() => [...document.querySelectorAll("*")].filter(element => {
        const style = getComputedStyle(element);
        return style.scrollBehavior === "smooth" || style.animationName !== "none"
            || parseFloat(style.transitionDuration) > 0.001;
    }).length"""
    assert page.evaluate(moving) == 0


# Live regions


def expect_announcement(page: Page, text: str) -> None:
    """Wait for a text in a live region."""
    status = page.get_by_role("status").filter(has_text=text)
    expect(status.or_(page.locator("[aria-live]").filter(has_text=text))).to_have_count(1)


def test_add_delete_and_undo_are_announced(page: Page, sql: Sql) -> None:
    insert(sql, "Bread")
    page.goto("/")
    add(page, "Milk")
    expect_announcement(page, "Added “Milk”")

    checkbox(page, "Milk").press("Delete")
    expect_announcement(page, "Deleted “Milk”")

    page.keyboard.press("z")
    expect_announcement(page, "Undone")


@pytest.mark.parametrize(
    "request_",
    [
        ("POST", "/api/todos", {"description": "Bread"}),
        ("PATCH", "/api/todos/1", {"completed": True}),
        ("DELETE", "/api/todos/1", None),
    ],
    ids=["added", "changed", "deleted"],
)
def test_changes_by_other_clients_are_announced(
    page: Page, sql: Sql, web: WebProcess, request_: tuple[str, str, dict | None]
) -> None:
    insert(sql, "Milk", "Salt")
    page.goto("/")
    expect(descriptions(page)).to_have_count(2)

    method, path, body = request_
    web.request(method, path, json=body)

    expect_announcement(page, "Changed elsewhere")


def test_own_changes_are_not_announced_as_changed_elsewhere(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    page.goto("/")
    add(page, "Bread")
    checkbox(page, "Milk").check()
    wait_until(lambda: table(sql) == [("Milk", True), ("Bread", False)])
    for _ in range(2):
        page.wait_for_event("response", lambda each: each.status == 304 and "limit=50" in each.url)

    expect_announcement(page, "Added “Bread”")


def test_number_of_search_results_is_announced(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Oat milk", "Bread")
    page.goto("/")

    page.get_by_role("searchbox", name="Search").fill("milk")

    expect_announcement(page, "2 found")


def test_number_of_todos_that_a_filter_shows_is_announced(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread")
    insert(sql, "Eggs", completed=True)
    page.goto("/")
    for name, announcement in (
        ("Active", "2 active"),
        ("Completed", "1 completed"),
        ("All", "2 left"),
    ):
        page.get_by_role("button", name=name, exact=True).click()
        expect_announcement(page, announcement)


def test_filter_that_is_chosen_before_the_list_is_loaded_is_announced(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread")
    held = hold(page, "**/api/todos?*", times=1)
    page.goto("/")
    wait_until(lambda: page.title() and held)

    page.get_by_role("button", name="Active", exact=True).click()

    expect_announcement(page, "2 active")


def test_validation_error_is_announced_and_describes_the_field(page: Page) -> None:
    page.goto("/")
    field = page.get_by_role("textbox", name="New todo")

    field.press("Enter")

    expect(page.get_by_role("alert").filter(has_text="Type something first")).to_be_visible()
    expect(field).to_have_accessible_description("Type something first")
    expect(field).to_have_attribute("aria-invalid", "true")


def test_validation_error_in_an_editor_describes_the_editor(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    page.goto("/")
    checkbox(page, "Milk").press("Enter")
    editor = page.get_by_role("textbox", name="Description")

    editor.fill("")
    editor.press("Enter")

    expect(page.get_by_role("alert").filter(has_text="Type something first")).to_be_visible()
    expect(editor).to_have_accessible_description("Type something first")
