"""What is shown: in pages, and as the address says, which keeps it."""

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page, Request, Route, expect

from tests.support.page import (
    Sql,
    add,
    checkbox,
    descriptions,
    hold,
    insert,
    locked,
    messages,
    remaining,
    table,
)
from tests.support.waiting import wait_until

MANY = 230
SKELETON = re.compile("gradient")


def has_query(page: Page, **expected: str) -> None:
    """Wait until the address says just that."""
    page.wait_for_function(
        "expected => new URLSearchParams(location.search).toString() === expected",
        arg="&".join(f"{name}={value}" for name, value in expected.items()),
    )


def search(page: Page) -> Locator:
    return page.get_by_role("searchbox", name="Search")


def sort(page: Page) -> Locator:
    return page.get_by_role("combobox", name="Sort order")


def filters(page: Page, name: str) -> Locator:
    return page.get_by_role("group", name="Filter").get_by_role("button", name=name)


def is_pressed(page: Page, name: str) -> None:
    """Wait until that filter is pressed, and no other."""
    pressed = page.get_by_role("group", name="Filter").get_by_role("button", pressed=True)
    expect(pressed).to_have_text([name])


@pytest.fixture
def reads(page: Page) -> list[str]:
    """The queries with which the page has asked for todos."""
    found: list[str] = []

    def see(request: Request) -> None:
        address = urlsplit(request.url)
        if address.path == "/api/todos" and request.method == "GET":
            found.append(address.query)

    page.on("request", see)
    return found


@pytest.fixture
def held_reads(page: Page) -> Iterator[list[Route]]:
    """The reads of the list that wait for this test to go on."""
    yield hold(page, "**/api/todos?*")
    page.unroute_all(behavior="ignoreErrors")


def test_the_newest_comes_first(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread", "Eggs")
    page.goto("/")
    expect(descriptions(page)).to_have_text(["Eggs", "Bread", "Milk"])
    expect(remaining(page)).to_have_text("3 left")


def test_scrolling_loads_page_after_page_by_cursor_and_each_todo_once(
    page: Page, sql: Sql, reads: list[str]
) -> None:
    sql(
        "INSERT INTO todos (description, completed)"
        f" SELECT 'Todo ' || n, false FROM generate_series(1, {MANY}) n"
    )
    page.goto("/")
    expect(descriptions(page).first).to_have_text(f"Todo {MANY}")
    assert descriptions(page).count() < MANY
    page.mouse.move(640, 500)
    wait_until(lambda: page.mouse.wheel(0, 600) or descriptions(page).count() == MANY)
    numbers = [text.removeprefix("Todo ") for text in descriptions(page).all_text_contents()]
    assert [int(number) for number in numbers] == list(range(MANY, 0, -1))
    cursors = [value for each in reads for value in parse_qs(each).get("cursor", [])]
    # The first page comes without one, and the last has no next.
    assert len(cursors) == len(set(cursors)) == -(-MANY // 50) - 1
    assert remaining(page).text_content() == f"{MANY} left"


def test_no_page_more_is_loaded_than_is_near(page: Page, sql: Sql, reads: list[str]) -> None:
    sql(
        "INSERT INTO todos (description, completed)"
        " SELECT 'Todo ' || n, false FROM generate_series(1, 1000) n"
    )
    page.goto("/")
    expect(remaining(page)).to_have_text("1,000 left")
    page.wait_for_event("response", lambda response: response.status == 304)
    assert sum("cursor" in each for each in reads) <= 2


def test_a_skeleton_is_shown_until_the_first_page_is_there(
    page: Page, sql: Sql, held_reads: list[Route]
) -> None:
    insert(sql, "Milk")
    page.goto("/")
    todos = page.get_by_role("list", name="Todos")
    expect(todos).to_have_css("background-image", SKELETON)
    expect(page.get_by_text("No todos yet")).to_be_hidden()
    expect(todos).to_have_attribute("aria-busy", "true")
    for route in held_reads:
        route.continue_()
    page.unroute_all()
    expect(descriptions(page)).to_have_text(["Milk"])
    expect(todos).not_to_have_css("background-image", SKELETON)
    expect(todos).to_have_attribute("aria-busy", "false")


def test_without_todos_it_says_so_and_no_skeleton_stays(page: Page, sql: Sql) -> None:
    page.goto("/")
    expect(page.get_by_text("No todos yet. Add one!")).to_be_visible()
    expect(page.locator("#todos")).not_to_have_css("background-image", SKELETON)
    expect(remaining(page)).to_have_text("0 left")
    add(page, "Milk")
    expect(page.get_by_text("No todos yet")).to_be_hidden()


def test_a_filter_shows_its_todos_and_a_reload_keeps_it(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    insert(sql, "Bread", completed=True)
    page.goto("/")
    is_pressed(page, "All")
    filters(page, "Active").click()
    expect(descriptions(page)).to_have_text(["Milk"])
    has_query(page, status="incomplete")
    page.reload()
    expect(descriptions(page)).to_have_text(["Milk"])
    is_pressed(page, "Active")
    filters(page, "Completed").click()
    expect(descriptions(page)).to_have_text(["Bread"])
    has_query(page, status="completed")
    is_pressed(page, "Completed")
    filters(page, "All").click()
    expect(descriptions(page)).to_have_text(["Bread", "Milk"])
    has_query(page)
    expect(remaining(page)).to_have_text("1 left")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("/?status=incomplete", "Nothing found."),
        ("/?status=completed", "Nothing found."),
        ("/?search=Tea", "Nothing found."),
    ],
)
def test_a_view_without_todos_says_so(page: Page, address: str, said: str) -> None:
    page.goto(address)
    expect(page.get_by_text(said)).to_be_visible()


def test_what_is_completed_leaves_the_active_ones_at_once(
    page: Page, sql: Sql, database: str, expected_messages: list[str]
) -> None:
    expected_messages.append(r"the server responded with a status of 503 .*/api/todos/\d+\)")
    insert(sql, "Milk", "Bread")
    page.goto("/?status=incomplete")
    with locked(database):
        checkbox(page, "Bread").click()
        expect(descriptions(page)).to_have_text(["Milk"])
    wait_until(lambda: table(sql) == [("Milk", False), ("Bread", True)])
    expect(descriptions(page)).to_have_text(["Milk"])
    filters(page, "Completed").click()
    expect(descriptions(page)).to_have_text(["Bread"])


def test_a_search_finds_as_one_types_and_a_reload_keeps_it(page: Page, sql: Sql) -> None:
    insert(sql, "Buy MILK", "Buy bread", "100% sure")
    page.goto("/")
    search(page).press_sequentially("milk")
    expect(descriptions(page)).to_have_text(["Buy MILK"])
    has_query(page, search="milk")
    expect(search(page)).to_be_focused()
    page.reload()
    expect(descriptions(page)).to_have_text(["Buy MILK"])
    expect(search(page)).to_have_value("milk")
    search(page).fill("%")
    expect(descriptions(page)).to_have_text(["100% sure"])
    has_query(page, search="%25")
    search(page).fill("")
    expect(descriptions(page)).to_have_count(3)
    has_query(page)


def test_what_is_typed_while_a_search_is_under_way_stays(
    page: Page, sql: Sql, held_reads: list[Route]
) -> None:
    insert(sql, "Milk", "Mint")
    page.goto("/")
    search(page).press_sequentially("M")
    has_query(page, search="M")
    # What was under way is not waited for.
    with page.expect_event("requestfailed", lambda request: "search=M&" in request.url):
        search(page).press_sequentially("int")
        has_query(page, search="Mint")
    for route in reversed(held_reads):
        route.continue_()
    page.unroute_all()
    expect(descriptions(page)).to_have_text(["Mint"])
    expect(search(page)).to_have_value("Mint")


def test_all_that_is_typed_into_a_search_is_one_step_back(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Mint")
    page.goto("/")
    filters(page, "Active").click()
    has_query(page, status="incomplete")
    for typed in ("M", "Mi", "Min"):
        search(page).fill(typed)
        has_query(page, status="incomplete", search=typed)
    expect(descriptions(page)).to_have_text(["Mint"])
    page.go_back()
    has_query(page, status="incomplete")
    expect(descriptions(page)).to_have_text(["Mint", "Milk"])
    expect(search(page)).to_have_value("")
    page.go_back()
    has_query(page)
    is_pressed(page, "All")
    page.go_forward()
    is_pressed(page, "Active")
    page.go_forward()
    has_query(page, status="incomplete", search="Min")
    expect(search(page)).to_have_value("Min")
    expect(descriptions(page)).to_have_text(["Mint"])


def test_a_filter_after_a_search_is_a_step_of_its_own(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Mint")
    page.goto("/")
    search(page).fill("Mi")
    has_query(page, search="Mi")
    filters(page, "Completed").click()
    has_query(page, status="completed", search="Mi")
    search(page).fill("Min")
    has_query(page, status="completed", search="Min")
    page.go_back()
    has_query(page, status="completed", search="Mi")
    expect(search(page)).to_have_value("Mi")
    is_pressed(page, "Completed")


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("Newest first", ["Apples", "Cream", "Bread"]),
        ("Oldest first", ["Bread", "Cream", "Apples"]),
        ("Recently updated", ["Bread", "Apples", "Cream"]),
        ("A to Z", ["Apples", "Bread", "Cream"]),
    ],
)
def test_an_order_is_kept_by_a_reload_and_a_bookmark(
    page: Page, sql: Sql, label: str, expected: list[str]
) -> None:
    insert(sql, "Bread", "Cream", "Apples")
    sql("UPDATE todos SET completed = true, updated_at = now() WHERE description = 'Bread'")
    page.goto("/")
    # To choose what is chosen changes nothing.
    sort(page).select_option("Oldest first" if label == "Newest first" else "Newest first")
    sort(page).select_option(label)
    expect(descriptions(page)).to_have_text(expected)
    page.reload()
    expect(descriptions(page)).to_have_text(expected)
    bookmark = page.context.new_page()
    bookmark.goto(page.url)
    expect(descriptions(bookmark)).to_have_text(expected)
    expect(sort(bookmark).locator("option:checked")).to_have_text(label)


def test_what_is_chosen_before_the_last_choice_is_painted_is_chosen(page: Page, sql: Sql) -> None:
    insert(sql, "Bread", "Apples")
    page.goto("/")
    expect(descriptions(page)).to_have_text(["Apples", "Bread"])
    # In one task, and so before the next frame.
    sort(page).evaluate(
        """select => {
            for (const value of ["description asc", "id asc"]) {
                select.value = value;
                select.dispatchEvent(new Event("change", { bubbles: true }));
            }
        }"""
    )
    has_query(page, sort_by="id", order="asc")
    expect(descriptions(page)).to_have_text(["Bread", "Apples"])


def test_a_bookmark_opens_filter_search_and_order_together(page: Page, sql: Sql) -> None:
    insert(sql, "Milk 1", "Milk 2", "Bread")
    insert(sql, "Milk 3", completed=True)
    page.goto("/?status=incomplete&search=milk&sort_by=id&order=asc")
    expect(descriptions(page)).to_have_text(["Milk 1", "Milk 2"])
    is_pressed(page, "Active")
    expect(search(page)).to_have_value("milk")
    expect(sort(page).locator("option:checked")).to_have_text("Oldest first")


def test_other_orders_are_paged_by_cursor_too(page: Page, sql: Sql) -> None:
    sql(
        "INSERT INTO todos (description, completed)"
        f" SELECT 'Todo ' || lpad(n::text, 4, '0'), false FROM generate_series({MANY}, 1, -1) n"
    )
    page.goto("/?sort_by=description&order=asc")
    expect(descriptions(page).first).to_have_text("Todo 0001")
    page.mouse.move(640, 500)
    wait_until(lambda: page.mouse.wheel(0, 600) or descriptions(page).count() == MANY)
    texts = descriptions(page).all_text_contents()
    assert texts == [f"Todo {number:04}" for number in range(1, MANY + 1)]


@pytest.mark.parametrize("asked", ["sort_by=x", "order=up", "status=done", f"search={'a' * 201}"])
def test_an_address_that_makes_no_sense_says_so_and_shows_the_list(
    page: Page, sql: Sql, expected_messages: list[str], asked: str
) -> None:
    expected_messages.append(r"the server responded with a status of 4\d\d .*/api/todos\?")
    insert(sql, "Milk", "Bread")
    page.goto(f"/?{asked}")
    expect(descriptions(page)).to_have_text(["Bread", "Milk"])
    expect(messages(page)).to_contain_text(asked.partition("=")[0])
    is_pressed(page, "All")
    expect(search(page)).to_have_value("")
    expect(sort(page).locator("option:checked")).to_have_text("Newest first")


def test_an_address_with_more_than_the_page_knows_shows_the_list(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    page.goto("/?utm_source=mail&limit=0&cursor=x#top")
    expect(descriptions(page)).to_have_text(["Milk"])


def test_who_scrolls_while_a_search_is_under_way_finds_what_was_searched(
    page: Page, sql: Sql
) -> None:
    sql(f"INSERT INTO todos (description) SELECT 'Todo ' || n FROM generate_series(1, {MANY}) n")
    page.goto("/")
    expect(descriptions(page).first).to_have_text(f"Todo {MANY}")
    held = hold(page, "**/api/todos?*")
    search(page).fill(f"Todo {MANY}")
    wait_until(lambda: page.title() and any("search=" in route.request.url for route in held))
    page.mouse.move(640, 500)
    page.mouse.wheel(0, 2000)
    page.wait_for_function("scrollY > 1000")
    # What the scrolling has asked for has been asked before this.
    page.evaluate("fetch('/health')")
    for route in sorted(held, key=lambda route: "search=" not in route.request.url):
        route.continue_()
    page.unroute_all()
    expect(descriptions(page)).to_have_text([f"Todo {MANY}"])
    page.wait_for_event("response", lambda response: response.status == 304)
    expect(descriptions(page)).to_have_text([f"Todo {MANY}"])


def test_a_list_that_is_refused_is_asked_for_again_but_not_without_a_pause(
    page: Page, sql: Sql, expected_messages: list[str]
) -> None:
    expected_messages.append(r"the server responded with a status of 401 .*/api/todos\?")
    insert(sql, "Milk")
    asked: list[Route] = []

    def refuse(route: Route) -> None:
        asked.append(route)
        route.fulfill(status=401, json={"detail": "Sign in first"})

    page.clock.install()
    page.route("**/api/todos?*", refuse)
    page.goto("/")
    expect(page.get_by_text("Sign in first. Trying again")).to_be_visible()
    page.clock.pause_at(page.evaluate("Date.now() + 100"))
    page.evaluate("fetch('/health')")
    before = len(asked)
    for _ in range(20):
        page.evaluate("fetch('/health')")
    assert len(asked) == before
    page.unroute_all()
    page.clock.resume()
    expect(descriptions(page)).to_have_text(["Milk"])
    expect(page.get_by_text("Trying again")).to_have_count(0)
