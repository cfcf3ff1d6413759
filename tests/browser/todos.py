"""What tests do on the page, and see there."""

from collections.abc import Callable

from playwright.sync_api import Locator, Page

Sql = Callable[[str], list[tuple]]


def insert(sql: Sql, *descriptions: str, completed: bool = False) -> None:
    """Put todos into the table, as somebody else does who uses the API."""
    for description in descriptions:
        quoted = description.replace("'", "''")
        sql(f"INSERT INTO todos (description, completed) VALUES ('{quoted}', {completed})")


def table(sql: Sql) -> list[tuple[str, bool]]:
    """Return (description, completed) of the todos that are kept, the oldest first."""
    return sql("SELECT description, completed FROM todos ORDER BY id")


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
