"""The page of a service that requires ACCESS_TOKEN, and its session."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from tests.support.page import Sql, add, descriptions, insert, table
from tests.support.waiting import wait_until
from tests.support.web import WebProcess, serving

TOKEN = "correct-horse-battery-staple"


@pytest.fixture(scope="module")
def closed_web(lasting_database: str) -> Iterator[WebProcess]:
    """A web process that requires the token, for all tests of this module."""
    with serving(DATABASE_URL=lasting_database, ACCESS_TOKEN=TOKEN) as process:
        yield process


@pytest.fixture
def web(closed_web: WebProcess, database: str) -> WebProcess:
    """The web process, with an empty database."""
    return closed_web


@pytest.fixture
def expected_messages() -> list[str]:
    """What the browser logs about each 401, and about signing out."""
    return ["status of 401", "Clear-Site-Data header"]


def sign_in(page: Page, token: str = TOKEN) -> None:
    page.get_by_label("Access token").fill(token)
    page.get_by_role("button", name="Sign in").click()


def end_session(context: BrowserContext) -> None:
    """End the session as its expiry does."""
    context.clear_cookies()


def test_the_page_asks_for_the_token_once_and_then_shows_the_todos(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread")
    page.goto("/?search=milk")
    expect(page.get_by_label("Access token")).to_be_focused()
    expect(page.get_by_text("Milk")).to_have_count(0)

    sign_in(page)

    expect(descriptions(page)).to_have_text(["Milk"])
    assert page.url.endswith("/?search=milk")
    page.reload()
    expect(descriptions(page)).to_have_text(["Milk"])


def test_the_form_is_in_the_middle_and_accessible(page: Page) -> None:
    page.goto("/")
    sign_in(page, "wrong")
    error = page.get_by_role("alert")
    expect(error).to_contain_text("wrong")
    for width in (320, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        box = page.get_by_label("Access token").bounding_box()
        assert box
        assert box["x"] >= 16
        assert abs(2 * box["x"] + box["width"] - width) <= 16  # the width of a scroll bar
    for colours in ("light", "dark"):
        page.emulate_media(color_scheme=colours)
        assert error.evaluate(
            "error => getComputedStyle(error).color !== getComputedStyle(document.body).color"
        )
        found = Axe().run(page)
        assert not found.violations_count, found.generate_report()


def test_a_wrong_token_is_an_error_at_the_field(page: Page) -> None:
    page.goto("/?status=completed")
    sign_in(page, "wrong")

    expect(page.get_by_role("alert")).to_have_text("The access token is wrong")
    expect(page.get_by_label("Access token")).to_be_focused()
    sign_in(page)
    expect(page.get_by_role("textbox", name="New todo")).to_be_visible()
    assert page.url.endswith("/?status=completed")


def test_the_form_works_without_javascript_and_for_password_managers(
    new_context: Callable[..., BrowserContext],
) -> None:
    page = new_context(java_script_enabled=False).new_page()
    page.goto("/login")
    field = page.get_by_label("Access token")
    assert field.get_attribute("autocomplete") == "current-password"
    assert field.get_attribute("type") == "password"

    sign_in(page)

    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def test_after_signing_out_neither_the_page_nor_back_shows_a_todo(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    page.goto("/")
    sign_in(page)
    expect(descriptions(page)).to_have_text(["Milk"])

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Access token")).to_be_visible()
    page.go_back()

    expect(page.get_by_text("Sign in").first).to_be_visible()
    expect(page.get_by_text("Milk")).to_have_count(0)
    page.goto("/")
    expect(page.get_by_label("Access token")).to_be_visible()


def test_a_session_that_ends_while_the_page_is_offline_loses_no_change(
    page: Page, context: BrowserContext, sql: Sql, expected_messages: list[str]
) -> None:
    expected_messages += ["ERR_INTERNET_DISCONNECTED"]
    page.goto("/")
    sign_in(page)
    expect(page.locator("#todos")).to_have_attribute("aria-busy", "false")
    context.set_offline(True)
    add(page, "Milk")
    add(page, "Bread")
    end_session(context)

    context.set_offline(False)
    page.get_by_role("link", name="Sign in again").click()
    assert table(sql) == []
    sign_in(page)

    wait_until(lambda: table(sql) == [("Milk", False), ("Bread", False)])
    expect(descriptions(page)).to_have_text(["Bread", "Milk"])


def test_a_page_whose_token_was_changed_shows_no_todo_and_keeps_what_is_typed(
    page: Page, context: BrowserContext, sql: Sql
) -> None:
    page.goto("/")
    sign_in(page)
    expect(page.locator("#todos")).to_have_attribute("aria-busy", "false")
    page.get_by_role("textbox", name="New todo").fill("Half a th")
    end_session(context)

    page.reload()
    sign_in(page)

    expect(page.get_by_role("textbox", name="New todo")).to_have_value("Half a th")
    assert table(sql) == []


@pytest.fixture
def foreign(web: WebProcess, tmp_path: Path, expected_messages: list[str]) -> str:
    """The URL of a page of another site, with a link to this one."""
    expected_messages.append("^request: file:")
    file = tmp_path / "foreign.html"
    file.write_text(f'<a href="{web.url("/?search=milk")}">Todos</a>')
    return file.as_uri()


def test_a_link_on_another_site_leads_to_the_page_without_signing_in_again(
    page: Page, foreign: str, sql: Sql
) -> None:
    insert(sql, "Milk")
    page.goto("/")
    sign_in(page)
    expect(descriptions(page)).to_have_text(["Milk"])

    page.goto(foreign)
    page.get_by_role("link", name="Todos").click()

    expect(descriptions(page)).to_have_text(["Milk"])
    page.reload()
    expect(descriptions(page)).to_have_text(["Milk"])


def test_a_link_on_another_site_leads_to_the_form_without_a_session(
    page: Page, foreign: str
) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))

    page.goto(foreign)
    page.get_by_role("link", name="Todos").click()
    sign_in(page)

    expect(page.get_by_role("textbox", name="New todo")).to_be_visible()
    # By the link, by the form that reloads the page once, and after signing in.
    assert sum(url.endswith("/?search=milk") for url in requests) == 3
