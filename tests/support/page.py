"""What tests do on the page, and see there."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psycopg2
from playwright.sync_api import Locator, Page, Request, Route

Sql = Callable[[str], list[tuple]]


def insert(sql: Sql, *descriptions: str, completed: bool = False) -> None:
    """Put todos into the table, as somebody else does who uses the API."""
    for description in descriptions:
        quoted = description.replace("'", "''")
        sql(f"INSERT INTO todos (description, completed) VALUES ('{quoted}', {completed})")


def table(sql: Sql) -> list[tuple[str, bool]]:
    """Return (description, completed) of the todos that are kept, the oldest first."""
    return sql("SELECT description, completed FROM todos ORDER BY id")


@contextmanager
def locked(database: str) -> Iterator[None]:
    """Let another session hold the table: who reads need not wait, who writes gets a 503."""
    with closing(psycopg2.connect(database)) as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE todos IN EXCLUSIVE MODE")
        yield


def descriptions(page: Page) -> Locator:
    """Return what the list shows, one element for each todo."""
    return page.locator("#todos .text")


def item(page: Page, description: str) -> Locator:
    """Return the todo in the list."""
    return page.get_by_role("listitem").filter(has=page.get_by_text(description, exact=True))


def checkbox(page: Page, description: str) -> Locator:
    """Return what completes the todo."""
    return page.get_by_role("checkbox", name=description, exact=True)


def add(page: Page, description: str) -> None:
    """Type a new todo and press Enter."""
    field = page.get_by_role("textbox", name="New todo")
    field.fill(description)
    field.press("Enter")


def edit(page: Page, description: str, text: str) -> Locator:
    """Begin to edit a todo, and type another text for it; return the field."""
    item(page, description).get_by_text(description).dblclick()
    field = page.get_by_role("textbox", name="Description")
    field.fill(text)
    return field


def messages(page: Page) -> Locator:
    """Return the messages that end after some seconds."""
    return page.get_by_role("region", name="Messages")


def remaining(page: Page) -> Locator:
    """Return what says how many todos are left to do."""
    return page.locator("#remaining")


def changes(page: Page) -> list[tuple[str, str, str | None]]:
    """Return a list that gets (method, path, body) of each change that the page sends from now."""
    found = []

    def see(request: Request) -> None:
        if request.method != "GET":
            _, _, path = request.url.partition("/api/todos")
            found.append((request.method, path, request.post_data))

    page.on("request", see)
    return found


def hold(page: Page, address: str, **options: int) -> list[Route]:
    """Let requests wait for the test to go on; return a list that gets them as they come.

    Takes the options of Playwright's `Page.route`.
    """
    waiting: list[Route] = []

    def see(route: Route) -> None:
        waiting.append(route)

    page.route(address, see, **options)
    return waiting
