"""The page's size, caching and origins."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.page import Sql, add, descriptions, insert
from tests.support.web import WebProcess

BUDGET = 30_000
LINES = 300
STATIC = Path(__file__).parents[2] / "todoapp" / "page" / "static"
# The document, scripts and style; neither the icons nor the responses of the API.
COMPRESSED = """() => performance.getEntriesByType("navigation")
    .concat(performance.getEntriesByType("resource"))
    .map(({ name, encodedBodySize }) => [name, encodedBodySize])
    .filter(([name]) => /(\\/|\\.js|\\.css)$/.test(name))"""


def test_the_compressed_page_scripts_and_style_are_at_most_30_kb(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    page.goto("/")
    expect(descriptions(page)).to_have_text(["Milk"])

    sizes = page.evaluate(COMPRESSED)

    names = {Path(name).name for name, _ in sizes}
    assert {"page.css", "main.js", "outbox.js"} < names
    assert sizes[0][0] == page.url
    assert all(size for _, size in sizes)
    assert sum(size for _, size in sizes) <= BUDGET, sizes


def test_no_file_exceeds_300_lines() -> None:
    files = [path for path in STATIC.rglob("*") if path.suffix in (".css", ".js")]

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
def test_second_visit_transfers_no_file_again(
    page: Page, sql: Sql, web: WebProcess, again: str
) -> None:
    insert(sql, "Milk")
    logged = len(web.output())
    page.goto("/")
    expect(descriptions(page)).to_have_text(["Milk"])
    if again == "another tab":
        page = page.context.new_page()

    page.reload() if again == "reload" else page.goto("/")

    expect(descriptions(page)).to_have_text(["Milk"])
    requests = re.findall(r"GET (\S+) (\d+)", web.output()[logged:])
    assert ("/", "304") in requests
    # Once by both visits together: the browser loads the icon some time after the page.
    files = [path for path, _ in requests if path.startswith("/static/")]
    assert files
    assert len(files) == len(set(files))


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
