"""The page opens without a server, and never shows an old release."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.test_signing_in import TOKEN, sign_in
from tests.server.test_make_run import copy_project
from tests.support.page import Sql, add, descriptions, insert, table
from tests.support.waiting import wait_until
from tests.support.web import free_port, serving

# The browser logs each failed request. Some tests start web processes of their own.
EXPECTED = [
    *("ERR_INTERNET_DISCONNECTED", "ERR_CONNECTION_RE(FUSED|SET)", "status of 401"),
    *("Clear-Site-Data header", "^request: http://127.0.0.1:"),
]


@pytest.fixture
def expected_messages() -> list[str]:
    return list(EXPECTED)


@pytest.fixture
def context(new_context: Callable[..., BrowserContext]) -> BrowserContext:
    """A browser context with service workers."""
    return new_context(service_workers="allow")


def cached(page: Page) -> list[str]:
    """Return the paths that the service worker has cached, with the names of their caches."""
    found: list[str] = page.evaluate(
        """async () => (await Promise.all((await caches.keys()).map(async name =>
            (await (await caches.open(name)).keys()).map(
                ({ url }) => `${name} ${new URL(url).pathname}`)))).flat()"""
    )
    return found


def wait_for_service_worker(page: Page) -> None:
    page.evaluate("navigator.serviceWorker.ready")
    wait_until(lambda: any(each.endswith(" /") for each in cached(page)))
    wait_until(lambda: page.evaluate("navigator.serviceWorker.controller !== null"))


@pytest.mark.parametrize("how", ["reload", "new tab"])
def test_the_page_opens_offline_with_the_last_list_and_keeps_changes(
    context: BrowserContext, sql: Sql, how: str
) -> None:
    insert(sql, "Milk")
    page = context.new_page()
    page.goto("/")
    expect(descriptions(page)).to_have_text(["Milk"])
    wait_for_service_worker(page)
    context.set_offline(True)

    if how == "reload":
        page.reload()
    else:
        page = context.new_page()
        page.goto("/")
    expect(descriptions(page)).to_have_text(["Milk"])
    expect(page.get_by_text("You're offline. Changes are saved here")).to_be_visible()
    add(page, "Bread")
    expect(descriptions(page)).to_have_text(["Bread", "Milk"])
    context.set_offline(False)

    wait_until(lambda: table(sql) == [("Milk", False), ("Bread", False)])
    expect(descriptions(page)).to_have_text(["Bread", "Milk"])


def test_a_new_release_takes_over_at_the_next_load(
    new_context: Callable[..., BrowserContext], database: str, tmp_path: Path
) -> None:
    context = new_context(service_workers="allow")
    page = context.new_page()
    environ = {"DATABASE_URL": database, "PORT": str(free_port())}
    newer = copy_project(tmp_path / "newer")
    template = newer / "todoapp" / "page" / "templates" / "page.html"
    template.write_text(template.read_text().replace("<h1>Todos</h1>", "<h1>Lists</h1>"))
    style = newer / "todoapp" / "page" / "static" / "page.css"
    style.write_text(style.read_text() + "h1 { font-style: italic }")
    with serving(**environ) as web:
        page.goto(web.url("/"))
        expect(page.get_by_role("heading", name="Todos")).to_be_visible()
        wait_for_service_worker(page)
        older = cached(page)
    with serving(f"env -C {newer} gunicorn wsgi:app", **environ) as web:
        page.goto(web.url("/"))
        expect(page.get_by_role("heading", name="Lists")).to_have_css("font-style", "italic")
        wait_until(lambda: cached(page) and not set(cached(page)) & set(older))

        context.set_offline(True)
        page.reload()
        expect(page.get_by_role("heading", name="Lists")).to_have_css("font-style", "italic")


@pytest.mark.parametrize(
    "kept", ["{", "5", '{"page": {"path": "PATH"}, "todos": [null]}', '{"page": {"path": "PATH"}}']
)
def test_a_damaged_list_is_not_shown_offline(context: BrowserContext, sql: Sql, kept: str) -> None:
    insert(sql, "Milk")
    page = context.new_page()
    page.goto("/")
    expect(descriptions(page)).to_have_text(["Milk"])
    wait_for_service_worker(page)
    page.evaluate(
        """kept => {
            const { path } = JSON.parse(localStorage["last-page"]).page;
            localStorage["last-page"] = kept.replace("PATH", path);
        }""",
        kept,
    )
    context.set_offline(True)
    page.reload()
    expect(page.locator("#banner")).to_contain_text("offline")
    expect(descriptions(page)).to_have_count(0)
    context.set_offline(False)
    expect(descriptions(page)).to_have_text(["Milk"])


def test_while_the_server_responds_the_page_comes_from_it(page: Page) -> None:
    page.goto("/")
    wait_for_service_worker(page)
    page.evaluate(
        """async () => {
            const [name] = await caches.keys();
            await (await caches.open(name)).put("/", new Response("old shell"));
        }"""
    )
    page.reload()
    expect(page.get_by_role("textbox", name="New todo")).to_be_visible()


def test_signing_out_leaves_nothing_behind(
    new_context: Callable[..., BrowserContext], database: str, sql: Sql
) -> None:
    insert(sql, "Milk")
    with serving(DATABASE_URL=database, ACCESS_TOKEN=TOKEN) as web:
        context = new_context(service_workers="allow")
        page = context.new_page()
        page.goto(web.url("/"))
        sign_in(page)
        expect(descriptions(page)).to_have_text(["Milk"])
        wait_for_service_worker(page)

        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Access token")).to_be_visible()
        wait_until(lambda: cached(page) == [])
        page.goto(web.url("/"))
        expect(page.get_by_label("Access token")).to_be_visible()

        assert cached(page) == []
        assert page.evaluate("Object.keys(localStorage)") == ["showCompleted"]


def test_the_page_can_be_installed(page: Page) -> None:
    page.goto("/")
    manifest = page.evaluate(
        "async () => (await fetch(document.querySelector('link[rel=manifest]').href)).json()"
    )
    assert manifest["display"] == "standalone"
    assert {icon["sizes"] for icon in manifest["icons"]} >= {"192x192", "512x512"}
    assert [icon for icon in manifest["icons"] if icon.get("purpose") == "maskable"]
    for icon in manifest["icons"]:
        size = page.evaluate(
            """async src => {
                const base = document.querySelector("link[rel=manifest]").href;
                const image = new Image();
                image.src = new URL(src, base);
                await image.decode();
                return `${image.naturalWidth}x${image.naturalHeight}`;
            }""",
            icon["src"],
        )
        assert icon["sizes"] in (size, "any")
