"""The place in the list survives Back, Forward and a reload."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.support.page import Sql, add, descriptions, hold, insert, item, table
from tests.support.waiting import wait_until

MANY = 230


@pytest.fixture(autouse=True)
def long_list(sql: Sql) -> None:
    """Todos of different heights on several pages, every other one completed."""
    sql(
        "INSERT INTO todos (description, completed)"
        " SELECT 'Todo ' || n || repeat(' and more', n % 40), n % 2 = 0"
        f" FROM generate_series(1, {MANY}) AS n"
    )


def read(page: Page, text: str) -> float:
    """Scroll until a todo is at the top of the view; return its position on the screen."""
    todo = page.locator("li").filter(has_text=text)
    # Not with the wheel: its motion would go on while the position is measured.
    wait_until(lambda: page.evaluate("void scrollBy(0, 600)") or todo.count())
    todo.evaluate("todo => scrollBy(0, todo.getBoundingClientRect().top - 300)")
    page.evaluate("() => new Promise(requestAnimationFrame)")
    return position(page, text)


def position(page: Page, text: str) -> float:
    """Return the position of a todo on the screen."""
    box = page.locator("li").filter(has_text=text).bounding_box()
    assert box
    return box["y"]


def expect_position(page: Page, text: str, y: float) -> None:
    """Wait until a todo is at this position on the screen, give or take a pixel."""
    expect(page.locator("li").filter(has_text=text)).to_be_in_viewport()
    wait_until(lambda: abs(position(page, text) - y) <= 1)


def click(page: Page, name: str) -> None:
    """Click a button with the mouse: Locator.click() may scroll the page before."""
    box = page.get_by_role("button", name=name, exact=True).bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def leave_and_return(page: Page) -> None:
    page.goto("/docs")
    page.go_back()


@pytest.mark.parametrize("leave", [Page.reload, leave_and_return])
@pytest.mark.parametrize("url", ["/", "/?sort_by=id&order=asc", "/?search=todo"])
def test_place_survives_a_reload_and_back(
    page: Page, url: str, leave: Callable[[Page], None]
) -> None:
    page.goto(url)
    before = read(page, "Todo 115 ")

    leave(page)

    expect_position(page, "Todo 115 ", before)


def test_place_of_each_filter_survives_back_and_forward(page: Page) -> None:
    page.goto("/")
    before = read(page, "Todo 150 ")
    click(page, "Active")
    expect(page.locator("li").filter(has_text="Todo 150 ")).to_have_count(0)
    expect(descriptions(page).first).to_be_in_viewport()
    in_filter = read(page, "Todo 111 ")

    page.go_back()
    expect_position(page, "Todo 150 ", before)
    page.go_forward()
    expect_position(page, "Todo 111 ", in_filter)


def test_list_that_is_opened_again_begins_at_the_top(page: Page) -> None:
    page.goto("/")
    read(page, "Todo 111 ")
    click(page, "Completed")
    expect(page.locator("li").filter(has_text="Todo 229 ")).to_have_count(0)
    click(page, "All")
    expect(page.locator("li").filter(has_text="Todo 229 ")).to_be_in_viewport()
    page.go_back()
    page.go_forward()
    expect(page.locator("li").filter(has_text="Todo 229 ")).to_be_in_viewport()
    assert page.evaluate("scrollY") == 0


@pytest.mark.parametrize("key", ["n", "/"])
def test_typing_in_the_header_does_not_move_the_list(page: Page, key: str) -> None:
    page.goto("/?status=incomplete")
    page.evaluate("document.activeElement.blur()")
    read(page, "Todo 111 ")
    before = page.evaluate("scrollY")
    page.keyboard.press(key)
    if key == "n":
        page.keyboard.type("Bread")
        expect(page.get_by_role("textbox", name="New todo")).to_have_value("Bread")
    expect(page.locator("header :focus")).to_have_count(1)
    # The browser would scroll with the next frame.
    page.evaluate("() => new Promise(resolve => requestAnimationFrame(() => setTimeout(resolve)))")
    assert page.evaluate("scrollY") == before


def test_adding_at_the_end_does_not_move_the_list(page: Page, sql: Sql) -> None:
    page.goto("/?order=asc")
    read(page, "Todo 111 ")
    before = page.evaluate("scrollY")
    add(page, "Bread")
    wait_until(lambda: page.title() and ("Bread", False) in table(sql))
    assert page.evaluate("scrollY") == before


def test_place_is_that_of_the_todo_where_others_were_added_meanwhile(page: Page, sql: Sql) -> None:
    page.goto("/")
    before = read(page, "Todo 150 ")
    page.goto("/docs")
    insert(sql, *(f"New {number}" for number in range(60)))

    page.go_back()

    expect_position(page, "Todo 150 ", before)


def test_todo_that_was_deleted_meanwhile_costs_the_place_and_nothing_else(
    page: Page, sql: Sql
) -> None:
    page.goto("/")
    read(page, "Todo 150 ")
    page.goto("/docs")
    sql("DELETE FROM todos WHERE id > 100")

    page.go_back()

    expect(item(page, "Todo 80")).to_be_visible()
    add(page, "Milk")
    expect(item(page, "Milk")).to_be_in_viewport()


@pytest.mark.parametrize("damaged", ["{", "x y z", "1", "-1 -1 -1", "1e9 0 1e9", "[1,2,3]"])
def test_damaged_place_is_ignored(page: Page, damaged: str) -> None:
    page.goto("/docs")
    page.evaluate("damaged => sessionStorage.setItem('place', damaged)", damaged)
    page.goto("/")
    expect(page.locator("li").filter(has_text="Todo 229 ")).to_be_in_viewport()
    read(page, "Todo 150 ")


def test_place_is_not_forgotten_when_the_page_is_reloaded_before_the_list_is_there(
    page: Page,
) -> None:
    page.goto("/")
    before = read(page, "Todo 150 ")
    held = hold(page, "**/api/todos?*")
    page.reload()
    wait_until(lambda: page.title() and held)
    page.unroute_all(behavior="ignoreErrors")
    page.reload()
    expect_position(page, "Todo 150 ", before)
