"""Outages of the server or its database: no change is lost, and none is applied twice."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import psutil
import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.support.database_server import Server, make_migrated, running
from tests.support.page import (
    Sql,
    add,
    add_and_type,
    checkbox,
    descriptions,
    edit,
    editor_error,
    insert,
    item,
    locked,
    table,
)
from tests.support.waiting import wait_until
from tests.support.web import WebProcess, serving

UNAVAILABLE = (
    r"^error: Failed to load resource: "
    r"(net::ERR_(CONNECTION_REFUSED|CONNECTION_RESET|EMPTY_RESPONSE|SOCKET_NOT_CONNECTED)"
    r"|.* status of 503 .*) "
    r"\(http\S+/api/todos\S*\)$"
)
LOST = r"^error: Failed to load resource: net::ERR_FAILED \(http\S+/api/todos\)$"
REJECTED = r"^error: Failed to load resource: .* status of 500 .* \(http\S+/api/todos\S*\)$"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A PostgreSQL server that these tests may stop."""
    directory = tmp_path_factory.mktemp("outage")
    with running(directory / "postgres", make_migrated(directory / "migrated")) as server:
        yield server


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """The URL of its database, without todos."""
    yield server.address
    server.start()
    server.execute("TRUNCATE todos RESTART IDENTITY", "todos")


@pytest.fixture
def sql(server: Server, database: str) -> Sql:
    """Execute a statement there."""
    return lambda statement: server.execute(statement, "todos")


@pytest.fixture
def web(database: str) -> Iterator[WebProcess]:
    """A web process that these tests may kill."""
    with serving(DATABASE_URL=database) as process:
        yield process


Outage = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def web_outage(web: WebProcess, database: str, expected_messages: list[str]) -> Iterator[Outage]:
    """Kill the web process; at the end of the outage, start another one on its port."""
    # The browser may request the icon at any time, so perhaps during the outage.
    expected_messages.extend(
        [UNAVAILABLE, r"net::ERR_\w+ \(http://[\d.:]+/static/\w+/icon\.svg\)$"]
    )
    successors = []

    @contextmanager
    def outage() -> Iterator[None]:
        kill(web)
        yield
        successor = serving(DATABASE_URL=database, PORT=str(web.port))
        successor.__enter__()
        successors.append(successor)

    yield outage
    for successor in successors:
        successor.__exit__(None, None, None)


@pytest.fixture
def database_outage(server: Server, web: WebProcess, expected_messages: list[str]) -> Outage:
    """Stop the database during an outage."""
    assert web.serves()
    expected_messages.append(UNAVAILABLE)

    @contextmanager
    def outage() -> Iterator[None]:
        server.stop()
        yield
        server.start()

    return outage


@pytest.fixture(params=["web_outage", "database_outage"], ids=["web process", "database"])
def outage(request: pytest.FixtureRequest) -> Outage:
    """An outage of either."""
    return request.getfixturevalue(request.param)


def kill(web: WebProcess) -> None:
    """Kill all its processes at once (SIGKILL)."""
    workers = psutil.Process(web.process.pid).children()
    web.process.kill()
    for worker in workers:
        worker.kill()
    web.process.wait()
    psutil.wait_procs(workers)


def expect_banner(page: Page) -> None:
    """Wait for the banner that reports the outage."""
    banner = page.get_by_text("Trying again; your changes are kept.")
    expect(banner).to_be_visible()


def expect_no_banner(page: Page) -> None:
    """Wait until the banner has disappeared."""
    expect(page.get_by_text("Trying again")).to_have_count(0)


def test_changes_made_during_an_outage_are_shown_and_later_applied_once_and_in_order(
    page: Page, sql: Sql, outage: Outage
) -> None:
    insert(sql, "Milk", "Bread", "Salt")
    page.goto("/")
    expect(descriptions(page)).to_have_text(["Salt", "Bread", "Milk"])

    with outage():
        for description in ("One", "Two", "Three"):
            add(page, description)
        expect_banner(page)
        checkbox(page, "Two").check()
        checkbox(page, "Milk").check()
        edit(page, "Bread", "Rolls")
        page.get_by_role("textbox", name="Description").press("Enter")
        edit(page, "Three", "3")
        page.get_by_role("textbox", name="Description").press("Enter")
        checkbox(page, "Salt").press("Delete")
        page.get_by_role("button", name="Close").click()
        expect(descriptions(page)).to_have_text(["3", "One", "Rolls", "Two", "Milk"])

    done = [("Milk", True), ("Rolls", False), ("One", False), ("Two", True), ("3", False)]
    wait_until(lambda: table(sql) == done)
    expect_no_banner(page)
    expect(descriptions(page)).to_have_text(["3", "One", "Rolls", "Two", "Milk"])
    expect(page.get_by_text("3 left")).to_be_visible()
    page.reload()
    expect(descriptions(page)).to_have_text(["3", "One", "Rolls", "Two", "Milk"])
    assert table(sql) == done


def test_idle_page_reports_an_outage_and_refreshes_after_it(
    page: Page, sql: Sql, outage: Outage
) -> None:
    insert(sql, "Milk")
    page.goto("/")
    expect(descriptions(page)).to_have_text(["Milk"])

    with outage():
        expect_banner(page)
        expect(descriptions(page)).to_have_text(["Milk"])
    insert(sql, "Bread")

    expect(descriptions(page)).to_have_text(["Bread", "Milk"])
    expect_no_banner(page)


def test_page_opened_during_a_database_outage_shows_the_list_after_it(
    page: Page, sql: Sql, database_outage: Outage
) -> None:
    insert(sql, "Milk")
    with database_outage():
        page.goto("/")
        expect_banner(page)
        expect(page.get_by_text("No todos yet")).to_have_count(0)
        add(page, "Bread")
        expect(descriptions(page)).to_have_text(["Bread"])

    expect(descriptions(page)).to_have_text(["Bread", "Milk"])
    wait_until(lambda: table(sql) == [("Milk", False), ("Bread", False)])
    expect_no_banner(page)


# Unsaved text


def test_unsaved_text_survives_a_reload(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread")
    page.goto("/")
    page.get_by_role("textbox", name="New todo").fill("Not\nyet")
    edit(page, "Milk", "Oat milk")

    for _ in range(2):
        page.reload()
        expect(page.get_by_role("textbox", name="New todo")).to_have_value("Not\nyet")
        expect(page.get_by_role("textbox", name="Description")).to_have_value("Oat milk")
        expect(item(page, "Bread")).to_be_visible()
    assert table(sql) == [("Milk", False), ("Bread", False)]

    page.get_by_role("textbox", name="Description").press("Enter")
    wait_until(lambda: table(sql) == [("Oat milk", False), ("Bread", False)])
    page.reload()
    expect(descriptions(page)).to_have_text(["Bread", "Oat milk"])
    expect(page.get_by_role("textbox", name="Description")).to_have_count(0)


def test_unsaved_text_and_changes_survive_reloads_without_the_database(
    page: Page, sql: Sql, database_outage: Outage
) -> None:
    insert(sql, "Milk", "Bread")
    page.goto("/")
    expect(descriptions(page)).to_have_text(["Bread", "Milk"])
    with database_outage():
        add(page, "One")
        checkbox(page, "Milk").check()
        page.get_by_role("textbox", name="New todo").fill("Not yet")
        edit(page, "Bread", "Rolls")
        for _ in range(2):
            page.reload()
            expect_banner(page)
            expect(page.get_by_role("textbox", name="New todo")).to_have_value("Not yet")
            # The list as it was last loaded, and what has been added since.
            expect(descriptions(page)).to_have_text(["One", "Bread", "Milk"])

    expect(page.get_by_role("textbox", name="Description")).to_have_value("Rolls")
    expect(checkbox(page, "Milk")).to_be_checked()
    expect_no_banner(page)
    page.get_by_role("textbox", name="Description").press("Enter")
    wait_until(lambda: table(sql) == [("Milk", True), ("Rolls", False), ("One", False)])


def test_unsaved_text_and_changes_survive_a_failed_reload(
    page: Page, sql: Sql, web_outage: Outage, expected_messages: list[str]
) -> None:
    expected_messages.append(r"net::ERR_CONNECTION_REFUSED \(http://[\d.:]+/\)$")
    insert(sql, "Milk")
    page.goto("/")
    expect(descriptions(page)).to_have_text(["Milk"])
    with web_outage():
        add(page, "One")
        page.get_by_role("textbox", name="New todo").fill("Not yet")
        edit(page, "Milk", "Oat milk")
        with page.expect_event("requestfailed", lambda request: request.is_navigation_request()):
            page.evaluate("location.reload()")

    page.goto("/")

    expect(page.get_by_role("textbox", name="New todo")).to_have_value("Not yet")
    expect(page.get_by_role("textbox", name="Description")).to_have_value("Oat milk")
    wait_until(lambda: table(sql) == [("Milk", False), ("One", False)])


def test_next_page_sends_the_unsent_changes_of_a_closed_page(
    context: BrowserContext, sql: Sql, web_outage: Outage
) -> None:
    insert(sql, "Milk", "Bread")
    page = context.new_page()
    page.goto("/")
    expect(descriptions(page)).to_have_text(["Bread", "Milk"])
    with web_outage():
        add(page, "One")
        add(page, "Two")
        checkbox(page, "Two").check()
        checkbox(page, "Milk").check()
        checkbox(page, "Bread").press("Delete")
        expect_banner(page)
        page.close()

    page = context.new_page()
    page.goto("/")

    expect(descriptions(page)).to_have_text(["One", "Two", "Milk"])
    wait_until(lambda: table(sql) == [("Milk", True), ("One", False), ("Two", True)])


def test_two_open_pages_do_not_send_each_others_changes(
    context: BrowserContext, sql: Sql, web_outage: Outage
) -> None:
    pages = [context.new_page(), context.new_page()]
    for page in pages:
        page.goto("/")
        expect(page.get_by_text("No todos yet")).to_be_visible()
    with web_outage():
        for number, page in enumerate(pages):
            add(page, f"Of page {number}")
            expect_banner(page)
    for page in pages:
        page.reload()

    wait_until(lambda: len(table(sql)) == 2)
    for page in pages:
        expect_no_banner(page)
        expect(descriptions(page)).to_have_count(2)
    assert sorted(table(sql)) == [("Of page 0", False), ("Of page 1", False)]


# Lost responses


def test_todo_is_not_created_twice_when_the_response_is_lost(
    page: Page, sql: Sql, expected_messages: list[str]
) -> None:
    expected_messages.append(LOST)
    page.goto("/")
    expect(page.get_by_text("No todos yet")).to_be_visible()

    def lose_the_response(route: Route) -> None:
        route.fetch()
        route.abort()

    page.route("**/api/todos", lose_the_response, times=1)
    add(page, "Milk")
    expect_banner(page)
    add(page, "Milk")
    add(page, "Bread")

    wait_until(lambda: table(sql) == [("Milk", False), ("Milk", False), ("Bread", False)])
    expect_no_banner(page)
    expect(descriptions(page)).to_have_text(["Bread", "Milk", "Milk"])
    page.reload()
    expect(descriptions(page)).to_have_text(["Bread", "Milk", "Milk"])


@pytest.fixture
def slow_insert(sql: Sql) -> Iterator[None]:
    """A database that takes a second after an insertion to respond."""
    sql(
        "CREATE FUNCTION delay_response() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(1); RETURN NULL; END $$"
    )
    sql("CREATE TRIGGER delay_response AFTER INSERT ON todos EXECUTE FUNCTION delay_response()")
    yield
    sql("DROP FUNCTION delay_response CASCADE")


def add_slowly(page: Page, sql: Sql, description: str) -> None:
    """Add a todo, and return while the database is still inserting it."""
    add(page, description)
    wait_until(lambda: sql("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))


@pytest.mark.usefixtures("slow_insert")
def test_todo_is_not_created_twice_when_the_process_is_killed_before_it_responds(
    page: Page, sql: Sql, web_outage: Outage
) -> None:
    page.goto("/")
    expect(page.get_by_text("No todos yet")).to_be_visible()
    add_slowly(page, sql, "Milk")
    with web_outage():
        expect_banner(page)
        add(page, "Bread")

    wait_until(lambda: table(sql) == [("Milk", False), ("Bread", False)])
    expect_no_banner(page)
    expect(descriptions(page)).to_have_text(["Bread", "Milk"])


@pytest.mark.usefixtures("slow_insert")
@pytest.mark.parametrize("end", ["reload", "close"])
def test_todo_is_not_created_twice_when_the_page_ends_before_the_response(
    context: BrowserContext, sql: Sql, end: str
) -> None:
    page = context.new_page()
    page.goto("/")
    expect(page.get_by_text("No todos yet")).to_be_visible()
    add_slowly(page, sql, "Milk")
    if end == "reload":
        page.reload()
    else:
        page.close()
        page = context.new_page()
        page.goto("/")

    page.wait_for_function("() => !Object.keys(localStorage).some(key => key.startsWith('outbox'))")
    expect(descriptions(page)).to_have_text(["Milk"])
    assert table(sql) == [("Milk", False)]


# Rejected changes


@pytest.fixture
def rejection(sql: Sql, expected_messages: list[str]) -> Iterator[None]:
    """A database that rejects the description "Forbidden" and completed todos."""
    expected_messages.append(REJECTED)
    sql(
        "ALTER TABLE todos ADD CONSTRAINT rejection"
        " CHECK (description <> 'Forbidden' AND NOT completed)"
    )
    yield
    sql("ALTER TABLE todos DROP CONSTRAINT IF EXISTS rejection")


@pytest.mark.usefixtures("rejection")
def test_rejected_todo_is_removed_with_a_reason_and_can_be_added_again(
    page: Page, sql: Sql
) -> None:
    page.goto("/")

    add_and_type(page, "Forbidden", "Milk")

    messages = page.get_by_role("region", name="Messages")
    expect(messages).to_contain_text("Couldn't save “Forbidden”: Internal server error")
    page.keyboard.press("Enter")
    expect(descriptions(page)).to_have_text(["Milk"])
    expect_no_banner(page)
    wait_until(lambda: table(sql) == [("Milk", False)])

    sql("ALTER TABLE todos DROP CONSTRAINT rejection, ADD CONSTRAINT rejection CHECK (true)")
    page.get_by_role("button", name="Add it").click()
    expect(descriptions(page)).to_have_text(["Forbidden", "Milk"])
    wait_until(lambda: len(table(sql)) == 2)


@pytest.mark.usefixtures("rejection")
def test_rejected_change_is_reverted_with_a_reason(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    page.goto("/")

    checkbox(page, "Milk").click()

    messages = page.get_by_role("region", name="Messages")
    expect(messages).to_contain_text("Couldn't save “Milk”: Internal server error")
    expect(checkbox(page, "Milk")).not_to_be_checked()
    expect(page.get_by_text("1 left")).to_be_visible()


@pytest.mark.usefixtures("rejection")
def test_rejected_edit_is_open_again_and_can_be_repeated(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    page.goto("/")

    edit(page, "Milk", "Forbidden")
    page.get_by_role("textbox", name="Description").press("Enter")

    field = page.get_by_role("textbox", name="Description")
    expect(editor_error(page)).to_have_text("Internal server error")
    expect(field).to_have_value("Forbidden")
    assert table(sql) == [("Milk", False)]

    sql("ALTER TABLE todos DROP CONSTRAINT rejection")
    field.press("Enter")
    wait_until(lambda: table(sql) == [("Forbidden", False)])


@pytest.mark.usefixtures("rejection")
def test_rejected_complete_all_is_reverted_for_all_todos(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread")
    page.goto("/")
    expect(descriptions(page)).to_have_count(2)

    page.get_by_role("button", name="Complete all").click()

    messages = page.get_by_role("region", name="Messages")
    expect(messages).to_contain_text("Couldn't save: Internal server error")
    for description in ("Milk", "Bread"):
        expect(checkbox(page, description)).not_to_be_checked()
    expect(page.get_by_text("2 left")).to_be_visible()


def test_change_that_times_out_on_a_lock_is_retried(
    page: Page, sql: Sql, database: str, expected_messages: list[str]
) -> None:
    expected_messages.append(UNAVAILABLE)
    insert(sql, "Milk")
    page.goto("/")
    expect(descriptions(page)).to_have_text(["Milk"])

    with locked(database):
        checkbox(page, "Milk").check()
        expect(page.get_by_text(re.compile("took too long.*Trying again"))).to_be_visible()
        expect(checkbox(page, "Milk")).to_be_checked()

    wait_until(lambda: table(sql) == [("Milk", True)])
    expect_no_banner(page)


@pytest.mark.parametrize("change", ["edit", "deletion"])
def test_unsent_change_of_a_todo_created_on_the_page_is_shown_after_a_reload(
    page: Page, sql: Sql, database: str, expected_messages: list[str], change: str
) -> None:
    expected_messages.append(UNAVAILABLE)
    page.goto("/")
    add(page, "Milk")
    wait_until(lambda: table(sql) == [("Milk", False)])
    with locked(database):
        if change == "edit":
            edit(page, "Milk", "Oat milk").press("Enter")
        else:
            checkbox(page, "Milk").press("Delete")
        expected = ["Oat milk"] if change == "edit" else []
        expect(descriptions(page)).to_have_text(expected)
        page.reload()
        expect_banner(page)
        expect(descriptions(page)).to_have_text(expected)
    wait_until(lambda: [description for description, _ in table(sql)] == expected)
