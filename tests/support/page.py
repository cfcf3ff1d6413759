"""Actions and locators of the page for browser tests."""

import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psycopg2
from playwright.sync_api import Locator, Page, Request, Route

Sql = Callable[[str], list[tuple]]


def insert(sql: Sql, *descriptions: str, completed: bool = False) -> None:
    """Insert todos into the table, as another client of the API would."""
    for description in descriptions:
        quoted = description.replace("'", "''")
        sql(f"INSERT INTO todos (description, completed) VALUES ('{quoted}', {completed})")


def table(sql: Sql) -> list[tuple[str, bool]]:
    """Return (description, completed) of the stored todos, oldest first."""
    return sql("SELECT description, completed FROM todos ORDER BY id")


@contextmanager
def locked(database: str) -> Iterator[None]:
    """Lock the table in another session: reads succeed, writes get a 503."""
    with closing(psycopg2.connect(database)) as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE todos IN EXCLUSIVE MODE")
        yield


def descriptions(page: Page) -> Locator:
    """Return the descriptions in the list, one element per todo."""
    return page.locator("main .text")


def item(page: Page, description: str) -> Locator:
    """Return the list item of a todo."""
    return page.get_by_role("listitem").filter(has=page.get_by_text(description, exact=True))


def checkbox(page: Page, description: str) -> Locator:
    """Return the checkbox of a todo."""
    return page.get_by_role("checkbox", name=description, exact=True)


def add(page: Page, description: str) -> None:
    """Type a new todo and press Enter."""
    field = page.get_by_role("textbox", name="New todo")
    field.fill(description)
    field.press("Enter")


def add_and_type(page: Page, description: str, text: str) -> None:
    """Add a todo, and type the next one before the server can have responded."""
    page.get_by_role("textbox", name="New todo").fill(description)
    page.evaluate(
        """text => {
            const field = document.getElementById("description");
            field.form.requestSubmit();
            field.value = text;
            field.dispatchEvent(new Event("input"));
        }""",
        text,
    )


def edit(page: Page, description: str, text: str) -> Locator:
    """Open the editor of a todo and replace the text; return the field."""
    item(page, description).get_by_text(description).dblclick()
    field = page.get_by_role("textbox", name="Description")
    field.fill(text)
    return field


def editor_error(page: Page) -> Locator:
    """Return the element with the error of the open editor."""
    return page.get_by_role("listitem").get_by_role("alert")


def press_button(page: Page, name: str) -> None:
    """Click the button "Complete all", or "Clear completed", which also says how many."""
    button = name.replace("Clear completed", r"Clear [\d,]+ completed")
    page.get_by_role("button", name=re.compile(f"^{button}$")).click()


def clear_completed(page: Page) -> None:
    """Click the button that clears the completed todos."""
    press_button(page, "Clear completed")


def messages(page: Page) -> Locator:
    """Return the region of the notices and the outage banner."""
    return page.get_by_role("region", name="Messages")


def remaining(page: Page) -> Locator:
    """Return the element with the number of incomplete todos."""
    return page.locator("#remaining")


def changes(page: Page) -> list[tuple[str, str, str | None]]:
    """Return a list that collects (method, path, body) of each change that the page sends."""
    sent = []

    def record(request: Request) -> None:
        if request.method != "GET":
            _, _, path = request.url.partition("/api/todos")
            sent.append((request.method, path, request.post_data))

    page.on("request", record)
    return sent


def hide(page: Page, hidden: bool = True) -> None:
    """Let the page believe that its tab is in the background, or no longer."""
    page.evaluate(
        """hidden => {
            Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
            const value = hidden ? "hidden" : "visible";
            Object.defineProperty(document, "visibilityState", { value, configurable: true });
            document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
        }""",
        hidden,
    )


def pause_clock(page: Page) -> None:
    """Pause the page's clock, which the test has installed.

    Playwright expects seconds, and a time in the future. Timers that are due until then fire, so
    it must be near: a time in milliseconds, say, would let every request time out.
    """
    page.clock.pause_at(page.evaluate("Date.now() / 1000") + 1)


def hold(page: Page, url: str, **options: int) -> list[Route]:
    """Hold requests until the test continues them; return a list that collects them.

    The options are those of Playwright's `Page.route`.
    """
    held: list[Route] = []

    def collect(route: Route) -> None:
        held.append(route)

    page.route(url, collect, **options)
    return held
