"""Fixtures of a real browser. A test fails on console messages and cross-origin requests."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
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
from tests.server.conftest import sql  # noqa: F401  # a fixture
from tests.support.firefox import FIREFOX
from tests.support.waiting import wait_until
from tests.support.web import WebProcess, serving

CHROMIUM = Path("/usr/bin/chromium")
# In a container, Chromium cannot create its sandbox, and root may only run it without one. The
# other options keep it from using the network.
OPTIONS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # Playwright's routes could block requests to other hosts, too, but they disable the cache.
    # The name is for tests on plain HTTP: 127.0.0.1 is a secure context.
    "--host-resolver-rules=MAP plain.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
BLOCKED = "Service Worker registration blocked by Playwright"
SHOW_COMPLETED = "try { localStorage.showCompleted ??= 'on' } catch {}"
TIMEOUT_MS = 15_000
"""Timeout of each wait: the machine is busy with other tests."""


def pytest_configure() -> None:
    for program in (CHROMIUM, FIREFOX):
        if not program.exists():
            pytest.exit(f"{program} is missing: apt-get install {program.name}", returncode=1)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A running Chromium."""
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=OPTIONS,
            # Playwright disables this cache, but the users' browsers have it.
            ignore_default_args=["--disable-back-forward-cache"],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def lasting_database(databases: Callable[..., str], template: str) -> str:
    """The URL of a database for all tests."""
    return databases(template)


@pytest.fixture(scope="session")
def lasting_web(lasting_database: str) -> Iterator[WebProcess]:
    """A web process for all tests: starting one takes as long as most of the tests."""
    with serving(DATABASE_URL=lasting_database) as process:
        yield process


@pytest.fixture
def database(lasting_database: str, postgres: Postgres) -> Iterator[str]:
    """The URL of the database, without todos."""
    yield lasting_database
    name = make_url(lasting_database).database
    postgres.execute("TRUNCATE todos RESTART IDENTITY", name)


@pytest.fixture
def web(lasting_web: WebProcess, database: str) -> Iterator[WebProcess]:
    """The web process, with an empty database."""
    yield lasting_web
    # A change that the page of this test has sent must not arrive in the next test's database.
    wait_until(lambda: not has_clients(lasting_web))


def has_clients(web: WebProcess) -> bool:
    """Return whether a client is connected, or has left a request behind."""
    open_states = (psutil.CONN_ESTABLISHED, psutil.CONN_CLOSE_WAIT)
    return any(
        connection.laddr[1:] == (web.port,) and connection.status in open_states
        for connection in psutil.net_connections("tcp")
    )


@pytest.fixture
def expected_messages() -> list[str]:
    """Regular expressions of messages that the browser may log; a test adds its own."""
    return []


@pytest.fixture
def shows_completed() -> bool:
    """Whether completed todos are shown from the start: most tests are not about hiding them."""
    return True


@pytest.fixture
def new_context(
    browser: Browser, web: WebProcess, expected_messages: list[str], shows_completed: bool
) -> Iterator[Callable[..., BrowserContext]]:
    """Open isolated browser contexts, with the options of Playwright's `Browser.new_context`.

    On teardown, fail on unexpected console messages, uncaught exceptions and requests to another
    origin.
    """
    logged: list[str] = []
    contexts: list[BrowserContext] = []
    origin = web.url("/")

    def log_message(message: ConsoleMessage) -> None:
        logged.append(f"{message.type}: {message.text} ({message.location['url']})")

    def log_exception(error: WebError) -> None:
        logged.append(f"uncaught: {error.error}")

    def log_request(request: Request) -> None:
        if not request.url.startswith((origin, "data:", "blob:")):
            logged.append(f"request: {request.url}")

    def make(**options: object) -> BrowserContext:
        # Playwright's routes do not see what a service worker requests.
        options = {"service_workers": "block", **options}
        context = browser.new_context(base_url=origin, **options)
        context.set_default_timeout(TIMEOUT_MS)
        if shows_completed:
            context.add_init_script(SHOW_COMPLETED)
        context.on("console", log_message)
        context.on("weberror", log_exception)
        context.on("request", log_request)
        contexts.append(context)
        return context

    yield make
    for context in contexts:
        context.close()
    unexpected = [
        each
        for each in logged
        if not any(re.search(pattern, each) for pattern in (BLOCKED, *expected_messages))
    ]
    assert not unexpected, "\n".join(unexpected)


@pytest.fixture
def context(new_context: Callable[..., BrowserContext]) -> BrowserContext:
    """A browser context of this test's own; each of its pages is a tab."""
    return new_context()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A blank tab: `page.goto("/")` opens the page."""
    return context.new_page()
