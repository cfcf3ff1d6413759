"""A real browser, which is to be silent and to ask nobody but the web process."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    WebError,
    expect,
    sync_playwright,
)
from sqlalchemy import make_url

from dev.postgres import Postgres
from tests.server.conftest import sql  # noqa: F401  # it is a fixture here too
from tests.support.web import WebProcess, serving

CHROMIUM = Path("/usr/bin/chromium")
# The first for containers, where Chromium cannot make a sandbox of its own and root may not go
# without; the others for a network that leads nowhere.
OPTIONS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # A route of Playwright's would stop a request to others too, but it turns the cache off.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
PATIENCE_MS = 15_000
"""What may pass until something shows, on a machine that is busy with the other tests."""


def pytest_configure() -> None:
    if not CHROMIUM.exists():
        pytest.exit(f"{CHROMIUM} is missing: apt-get install chromium", returncode=1)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A running Chromium."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=OPTIONS,
            # Somebody's browser has it: who goes back may find a page as it was left.
            ignore_default_args=["--disable-back-forward-cache"],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def lasting_database(databases: Callable[..., str], template: str) -> str:
    """The address of a database for all tests."""
    return databases(template)


@pytest.fixture(scope="session")
def lasting_web(lasting_database: str) -> Iterator[WebProcess]:
    """A web process for all tests: to start one takes as long as most of them."""
    with serving(DATABASE_URL=lasting_database) as process:
        yield process


@pytest.fixture
def database(lasting_database: str, postgres: Postgres) -> Iterator[str]:
    """The address of the database, without todos."""
    yield lasting_database
    name = make_url(lasting_database).database
    postgres.execute("TRUNCATE todos RESTART IDENTITY", name)


@pytest.fixture
def web(lasting_web: WebProcess, database: str) -> WebProcess:
    """The web process, over a database without todos."""
    return lasting_web


@pytest.fixture
def expected_messages() -> list[str]:
    """What the browser may say in this test: regular expressions, to which a test adds its own."""
    return []


@pytest.fixture
def new_context(
    browser: Browser, web: WebProcess, expected_messages: list[str]
) -> Iterator[Callable[..., BrowserContext]]:
    """Open browsers that know nothing of each other; in the end, fail for what they have said.

    Each call takes the options of Playwright's `Browser.new_context`. What counts is what is
    written to a console, an exception that nobody caught, and a request to another origin.
    """
    said: list[str] = []
    contexts: list[BrowserContext] = []
    origin = web.url("/")

    def hear(message: ConsoleMessage) -> None:
        said.append(f"{message.type}: {message.text} ({message.location['url']})")

    def hear_exception(error: WebError) -> None:
        said.append(f"uncaught: {error.error}")

    def see(request: Request) -> None:
        if not request.url.startswith((origin, "data:", "blob:")):
            said.append(f"request: {request.url}")

    def make(**options: object) -> BrowserContext:
        context = browser.new_context(base_url=origin, **options)
        context.set_default_timeout(PATIENCE_MS)
        context.on("console", hear)
        context.on("weberror", hear_exception)
        context.on("request", see)
        contexts.append(context)
        return context

    yield make
    for context in contexts:
        context.close()
    unexpected = [
        each for each in said if not any(re.search(pattern, each) for pattern in expected_messages)
    ]
    assert not unexpected, "\n".join(unexpected)


@pytest.fixture
def context(new_context: Callable[..., BrowserContext]) -> BrowserContext:
    """A browser of this test's own; another page of it is another tab."""
    return new_context()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A tab that has opened nothing yet: `page.goto("/")` opens the todos."""
    return context.new_page()
