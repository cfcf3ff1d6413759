"""The page opens."""

from collections.abc import Callable

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from tests.process.web import WebProcess, serving

Sql = Callable[[str], list[tuple]]


def add(sql: Sql, *descriptions: str) -> None:
    for description in descriptions:
        sql(f"INSERT INTO todos (description) VALUES ('{description}')")


def test_the_page_shows_the_todos(page: Page, sql: Sql) -> None:
    add(sql, "Buy milk", "<img src=x onerror=alert(1)>")

    page.goto("/")

    expect(page.get_by_role("listitem")).to_have_text(["<img src=x onerror=alert(1)>", "Buy milk"])


def test_axe_finds_nothing(page: Page, sql: Sql) -> None:
    add(sql, "Buy milk")
    page.goto("/")
    expect(page.get_by_role("listitem")).to_have_count(1)

    results = Axe().run(page)

    assert results.violations_count == 0, results.generate_report()


def test_two_tabs_and_another_browser(
    context: BrowserContext, new_context: Callable[..., BrowserContext], sql: Sql
) -> None:
    add(sql, "Buy milk")
    other = new_context(viewport={"width": 320, "height": 640}, color_scheme="dark")
    pages = [context.new_page(), context.new_page(), other.new_page()]

    for page in pages:
        page.goto("/")

    for page in pages:
        expect(page.get_by_role("listitem")).to_have_text(["Buy milk"])


def test_a_server_that_is_killed_and_comes_back(
    page: Page, web: WebProcess, database: str, expected_messages: list[str]
) -> None:
    expected_messages.append("Failed to load resource: net::ERR_CONNECTION_REFUSED")
    page.goto("/")
    web.terminate()
    assert page.evaluate("fetch('/health/live').then(() => 'answered', () => 'failed')") == "failed"

    with serving(DATABASE_URL=database, PORT=str(web.port)):
        assert page.evaluate("fetch('/health/live').then(() => 'answered')") == "answered"
