"""The page's size, caching and origins."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.page import Sql, add, descriptions, insert

BUDGET = 30_000
LINES = 300
STATIC = Path(__file__).parents[2] / "todoapp" / "page" / "static"
# The document, scripts and style; neither the icons nor the responses of the API.
LOADED = """() => performance.getEntriesByType("navigation")
    .concat(performance.getEntriesByType("resource"))
    .map(({ name, decodedBodySize, transferSize }) => [name, decodedBodySize, transferSize])
    .filter(([name]) => /(\\/|\\.js|\\.css)$/.test(name))"""
# Resource Timing does not list the icon that the browser has requested itself.
FETCH_ICONS = """() => Promise.all(
    ["icon", "apple-touch-icon", "manifest"]
        .flatMap(rel => [...document.querySelectorAll(`link[rel~=${rel}]`)])
        .map(({ href }) => fetch(href, { cache: "reload" }).then(response => response.text())))"""
# transferSize is the size of the compressed body and 300 bytes for the header.
TRANSFERRED = """() => performance.getEntriesByType("navigation")
    .concat(performance.getEntriesByType("resource"))
    .map(({ name, transferSize }) => [name, transferSize])
    .filter(([name]) => !name.includes("/api/"))"""


def test_the_compressed_page_scripts_style_and_icons_are_at_most_30_kb(
    page: Page, sql: Sql
) -> None:
    insert(sql, "Milk")
    page.goto("/")
    expect(descriptions(page)).to_have_text(["Milk"])
    page.evaluate(FETCH_ICONS)

    transfers = page.evaluate(TRANSFERRED)

    names = {Path(name).name for name, size in transfers if size}
    assert {"page.css", "main.js", "outbox.js", "icon.svg"} < names
    assert sum(size for _, size in transfers) <= BUDGET, transfers


def test_no_file_exceeds_300_lines() -> None:
    files = [path for path in STATIC.rglob("*") if path.is_file()]

    assert files
    for path in files:
        assert len(path.read_text().splitlines()) <= LINES, path.name


def test_nothing_is_loaded_from_another_origin(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto("/")
    origin = page.evaluate("location.origin")

    add(page, "Bread")
    page.get_by_role("button", name="Keyboard shortcuts").click()

    expect(descriptions(page)).to_have_text(["Bread", "Milk"])
    assert requests
    assert [url for url in requests if not url.startswith(f"{origin}/")] == []


@pytest.mark.parametrize("again", ["goto", "reload", "another tab"])
def test_second_visit_transfers_no_file_again(page: Page, sql: Sql, again: str) -> None:
    insert(sql, "Milk")
    page.goto("/")
    expect(descriptions(page)).to_have_text(["Milk"])
    if again == "another tab":
        page = page.context.new_page()

    page.reload() if again == "reload" else page.goto("/")

    expect(descriptions(page)).to_have_text(["Milk"])
    (_, size, transferred), *files = page.evaluate(LOADED)
    assert transferred < size, "the page itself is a 304"
    assert files
    assert [name for name, _, transferred in files if transferred] == []


def test_inline_scripts_and_styles_have_no_effect(page: Page, expected_messages: list[str]) -> None:
    expected_messages.append("^error: .* violates the following Content Security Policy directive")
    page.goto("/")

    # As an attacker would who can inject HTML.
    page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.ran = true";
            const style = document.createElement("style");
            style.textContent = "h1 { color: rgb(1, 2, 3) }";
            document.head.append(script, style);
            const button = '<button onclick="window.ran = true" style="color: rgb(1, 2, 3)">';
            document.body.insertAdjacentHTML("afterbegin", button + "Hole</button>");
        }"""
    )
    button = page.get_by_role("button", name="Hole")
    button.click()

    assert page.evaluate("window.ran") is None
    for element in (button, page.get_by_role("heading", name="Todos")):
        expect(element).not_to_have_css("color", "rgb(1, 2, 3)")
