"""Paging, filters, search and sort order, and their place in the URL."""

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
    pause_clock,
    remaining,
    table,
)
from tests.support.waiting import wait_until

MANY = 230
SKELETON = re.compile("gradient")


def has_query(page: Page, **expected: str) -> None:
    """Wait until the URL has exactly these parameters."""
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
    """Wait until only this filter is pressed."""
    pressed = page.get_by_role("group", name="Filter").get_by_role("button", pressed=True)
    expect(pressed).to_have_text([name])


@pytest.fixture
def reads(page: Page) -> list[str]:
    """The query strings of the page's requests for todos."""
    queries: list[str] = []

    def record(request: Request) -> None:
        url = urlsplit(request.url)
        if url.path == "/api/todos" and request.method == "GET":
            queries.append(url.query)

    page.on("request", record)
    return queries


@pytest.fixture
def held_reads(page: Page) -> Iterator[list[Route]]:
    """Requests for the list, held until the test continues them."""
    yield hold(page, "**/api/todos?*")
    page.unroute_all(behavior="ignoreErrors")


def test_newest_todo_comes_first(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread", "Eggs")
    page.goto("/")
    expect(descriptions(page)).to_have_text(["Eggs", "Bread", "Milk"])
    expect(remaining(page)).to_have_text("3 left")


def test_scrolling_loads_pages_by_cursor_and_each_todo_once(
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
    # The first page is requested without a cursor.
    assert len(cursors) == len(set(cursors)) == -(-MANY // 50) - 1
    assert remaining(page).text_content() == f"{MANY} left"


def test_only_pages_near_the_viewport_are_loaded(page: Page, sql: Sql, reads: list[str]) -> None:
    sql(
        "INSERT INTO todos (description, completed)"
        " SELECT 'Todo ' || n, false FROM generate_series(1, 1000) n"
    )
    page.goto("/")
    expect(remaining(page)).to_have_text("1,000 left")
    page.wait_for_event("response", lambda response: response.status == 304)
    assert sum("cursor" in each for each in reads) <= 2


def test_skeleton_is_shown_until_the_first_page_is_loaded(
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


def test_empty_list_shows_a_placeholder_instead_of_the_skeleton(page: Page, sql: Sql) -> None:
    page.goto("/")
    expect(page.get_by_text("No todos yet. Add one!")).to_be_visible()
    expect(page.locator("#todos")).not_to_have_css("background-image", SKELETON)
    expect(remaining(page)).to_have_text("0 left")
    add(page, "Milk")
    expect(page.get_by_text("No todos yet")).to_be_hidden()


def test_filter_shows_matching_todos_and_survives_a_reload(page: Page, sql: Sql) -> None:
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
    expect(descriptions(page)).to_have_text(["Milk", "Bread"])
    has_query(page)
    expect(remaining(page)).to_have_text("1 left")


@pytest.mark.parametrize(
    ("url", "placeholder"),
    [
        ("/?status=incomplete", "Nothing left to do."),
        ("/?status=completed", "Nothing completed yet."),
        ("/?search=Tea", "Nothing matches “Tea”."),
    ],
)
def test_query_without_results_shows_a_placeholder(page: Page, url: str, placeholder: str) -> None:
    page.goto(url)
    expect(page.get_by_text(placeholder)).to_be_visible()


def test_completed_todo_leaves_the_active_filter_at_once(
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


def test_search_runs_while_typing_and_survives_a_reload(page: Page, sql: Sql) -> None:
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


def test_typing_during_a_search_aborts_it_and_keeps_the_text(
    page: Page, sql: Sql, held_reads: list[Route]
) -> None:
    insert(sql, "Milk", "Mint")
    page.goto("/")
    search(page).press_sequentially("M")
    has_query(page, search="M")
    # The search that was under way is aborted.
    with page.expect_event("requestfailed", lambda request: "search=M&" in request.url):
        search(page).press_sequentially("int")
        has_query(page, search="Mint")
    for route in reversed(held_reads):
        route.continue_()
    page.unroute_all()
    expect(descriptions(page)).to_have_text(["Mint"])
    expect(search(page)).to_have_value("Mint")


def test_typing_into_the_search_creates_one_history_entry(page: Page, sql: Sql) -> None:
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


def test_filter_after_a_search_creates_its_own_history_entry(page: Page, sql: Sql) -> None:
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
        ("Recently updated", ["Cream", "Apples", "Bread"]),
        ("A to Z", ["Apples", "Bread", "Cream"]),
    ],
)
def test_sort_order_survives_a_reload_and_a_bookmark(
    page: Page, sql: Sql, label: str, expected: list[str]
) -> None:
    insert(sql, "Bread", "Cream", "Apples")
    sql("UPDATE todos SET updated_at = now() WHERE description = 'Cream'")
    page.goto("/")
    # Choosing the current option would not be a change.
    sort(page).select_option("Oldest first" if label == "Newest first" else "Newest first")
    sort(page).select_option(label)
    expect(descriptions(page)).to_have_text(expected)
    page.reload()
    expect(descriptions(page)).to_have_text(expected)
    bookmark = page.context.new_page()
    bookmark.goto(page.url)
    expect(descriptions(bookmark)).to_have_text(expected)
    expect(sort(bookmark).locator("option:checked")).to_have_text(label)


def test_second_sort_order_chosen_before_a_repaint_wins(page: Page, sql: Sql) -> None:
    insert(sql, "Bread", "Apples")
    page.goto("/")
    expect(descriptions(page)).to_have_text(["Apples", "Bread"])
    # In one task, and therefore before the next frame.
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


def test_bookmark_restores_filter_search_and_sort_order(page: Page, sql: Sql) -> None:
    insert(sql, "Milk 1", "Milk 2", "Bread")
    insert(sql, "Milk 3", completed=True)
    page.goto("/?status=incomplete&search=milk&sort_by=id&order=asc")
    expect(descriptions(page)).to_have_text(["Milk 1", "Milk 2"])
    is_pressed(page, "Active")
    expect(search(page)).to_have_value("milk")
    expect(sort(page).locator("option:checked")).to_have_text("Oldest first")


def test_other_sort_orders_are_paged_by_cursor(page: Page, sql: Sql) -> None:
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


@pytest.mark.parametrize("query", ["sort_by=x", "order=up", "status=done", f"search={'a' * 201}"])
def test_invalid_url_parameters_show_an_error_and_the_default_list(
    page: Page, sql: Sql, expected_messages: list[str], query: str
) -> None:
    expected_messages.append(r"the server responded with a status of 4\d\d .*/api/todos\?")
    insert(sql, "Milk", "Bread")
    page.goto(f"/?{query}")
    expect(descriptions(page)).to_have_text(["Bread", "Milk"])
    expect(messages(page)).to_contain_text(query.partition("=")[0])
    is_pressed(page, "All")
    expect(search(page)).to_have_value("")
    expect(sort(page).locator("option:checked")).to_have_text("Newest first")


def test_unknown_url_parameters_are_ignored(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    page.goto("/?utm_source=mail&limit=0&cursor=x#top")
    expect(descriptions(page)).to_have_text(["Milk"])


def test_scrolling_during_a_search_does_not_change_its_results(page: Page, sql: Sql) -> None:
    sql(f"INSERT INTO todos (description) SELECT 'Todo ' || n FROM generate_series(1, {MANY}) n")
    page.goto("/")
    expect(descriptions(page).first).to_have_text(f"Todo {MANY}")
    held = hold(page, "**/api/todos?*")
    search(page).fill(f"Todo {MANY}")
    wait_until(lambda: page.title() and any("search=" in route.request.url for route in held))
    page.mouse.move(640, 500)
    page.mouse.wheel(0, 2000)
    page.wait_for_function("scrollY > 1000")
    # Requests caused by scrolling have been sent before this one.
    page.evaluate("fetch('/health')")
    for route in sorted(held, key=lambda route: "search=" not in route.request.url):
        route.continue_()
    page.unroute_all()
    expect(descriptions(page)).to_have_text([f"Todo {MANY}"])
    page.wait_for_event("response", lambda response: response.status == 304)
    expect(descriptions(page)).to_have_text([f"Todo {MANY}"])


def test_rejected_list_request_is_retried_after_a_delay(
    page: Page, sql: Sql, expected_messages: list[str]
) -> None:
    expected_messages.append(r"the server responded with a status of 403 .*/api/todos\?")
    insert(sql, "Milk")
    requests: list[Route] = []

    def reject(route: Route) -> None:
        requests.append(route)
        route.fulfill(status=403, json={"detail": "Forbidden"})

    page.clock.install()
    page.route("**/api/todos?*", reject)
    page.goto("/")
    expect(page.get_by_text("Forbidden. Trying again")).to_be_visible()
    pause_clock(page)
    page.evaluate("fetch('/health')")
    before = len(requests)
    for _ in range(20):
        page.evaluate("fetch('/health')")
    assert len(requests) == before
    page.unroute_all()
    page.clock.resume()
    expect(descriptions(page)).to_have_text(["Milk"])
    expect(page.get_by_text("Trying again")).to_have_count(0)
