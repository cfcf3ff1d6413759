"""The server or its database is away in mid-use: nothing is lost, and nothing is made twice."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import psutil
import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.support.database_server import Server, make_migrated, running
from tests.support.page import Sql, add, checkbox, descriptions, edit, insert, item, locked, table
from tests.support.waiting import wait_until
from tests.support.web import WebProcess, serving

AWAY = (
    r"^error: Failed to load resource: "
    r"(net::ERR_(CONNECTION_REFUSED|CONNECTION_RESET|EMPTY_RESPONSE)|.* status of 503 .*) "
    r"\(http\S+/api/todos\S*\)$"
)
LOST = r"^error: Failed to load resource: net::ERR_FAILED \(http\S+/api/todos\)$"
REFUSED = r"^error: Failed to load resource: .* status of 500 .* \(http\S+/api/todos\S*\)$"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A PostgreSQL that these tests may stop."""
    directory = tmp_path_factory.mktemp("outage")
    with running(directory / "postgres", make_migrated(directory / "migrated")) as server:
        yield server


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """The address of its database, without todos."""
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
    """Kill the web process for a while; another one serves on its port then."""
    # The browser asks for the icon when it likes, so perhaps at the moment of the kill.
    expected_messages.extend([AWAY, r"net::ERR_\w+ \(http://[\d.:]+/static/\w+/icon\.svg\)$"])
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
    """Stop the database for a while."""
    assert web.serves()
    expected_messages.append(AWAY)

    @contextmanager
    def outage() -> Iterator[None]:
        server.stop()
        yield
        server.start()

    return outage


@pytest.fixture(params=["web_outage", "database_outage"], ids=["web process", "database"])
def outage(request: pytest.FixtureRequest) -> Outage:
    """Let one of both be away for a while."""
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
    """See that the page says what is wrong, and that nothing is lost."""
    banner = page.get_by_text("Trying again; your changes are kept.")
    expect(banner).to_be_visible()


def expect_no_banner(page: Page) -> None:
    """See that it says so no longer."""
    expect(page.get_by_text("Trying again")).to_have_count(0)


def test_what_is_done_during_an_outage_is_shown_and_then_made_once_each_and_in_order(
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
        expect(descriptions(page)).to_have_text(["3", "Two", "One", "Rolls", "Milk"])

    done = [("Milk", True), ("Rolls", False), ("One", False), ("Two", True), ("3", False)]
    wait_until(lambda: table(sql) == done)
    expect_no_banner(page)
    expect(descriptions(page)).to_have_text(["3", "Two", "One", "Rolls", "Milk"])
    expect(page.get_by_text("3 left")).to_be_visible()
    page.reload()
    expect(descriptions(page)).to_have_text(["3", "Two", "One", "Rolls", "Milk"])
    assert table(sql) == done


def test_who_only_reads_is_told_too_and_gets_what_was_changed_after_the_outage(
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


def test_a_page_that_is_opened_without_the_database_shows_the_list_once_it_is_back(
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


# What is typed


def test_what_is_typed_and_not_sent_survives_a_reload(page: Page, sql: Sql) -> None:
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


def test_all_that_is_typed_and_changed_survives_reloads_without_the_database(
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
            expect(descriptions(page)).to_have_text(["One"])

    expect(page.get_by_role("textbox", name="Description")).to_have_value("Rolls")
    expect(checkbox(page, "Milk")).to_be_checked()
    expect_no_banner(page)
    page.get_by_role("textbox", name="Description").press("Enter")
    wait_until(lambda: table(sql) == [("Milk", True), ("Rolls", False), ("One", False)])


def test_all_that_is_typed_and_changed_survives_a_reload_that_fails(
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


def test_the_next_page_sends_what_a_closed_one_could_not(
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

    expect(descriptions(page)).to_have_text(["Two", "One", "Milk"])
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


# Whether it was made, nobody said


def test_a_todo_whose_answer_was_lost_is_not_made_twice(
    page: Page, sql: Sql, expected_messages: list[str]
) -> None:
    expected_messages.append(LOST)
    page.goto("/")
    expect(page.get_by_text("No todos yet")).to_be_visible()

    def lose_the_answer(route: Route) -> None:
        route.fetch()
        route.abort()

    page.route("**/api/todos", lose_the_answer, times=1)
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
    """A database that has inserted a todo a second before it says so."""
    sql(
        "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(1); RETURN NULL; END $$"
    )
    sql("CREATE TRIGGER dawdle AFTER INSERT ON todos EXECUTE FUNCTION dawdle()")
    yield
    sql("DROP FUNCTION dawdle CASCADE")


def add_slowly(page: Page, sql: Sql, description: str) -> None:
    """Add a todo, and return while the database is at work."""
    add(page, description)
    wait_until(lambda: sql("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))


@pytest.mark.usefixtures("slow_insert")
def test_a_todo_is_not_made_twice_where_the_process_is_killed_before_it_answers(
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
def test_a_page_that_ends_before_the_answer_makes_no_todo_twice(
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


# The server refuses


@pytest.fixture
def refusal(sql: Sql, expected_messages: list[str]) -> Iterator[None]:
    """A database that takes no "Forbidden" and completes nothing."""
    expected_messages.append(REFUSED)
    sql(
        "ALTER TABLE todos ADD CONSTRAINT refusal"
        " CHECK (description <> 'Forbidden' AND NOT completed)"
    )
    yield
    sql("ALTER TABLE todos DROP CONSTRAINT IF EXISTS refusal")


@pytest.mark.usefixtures("refusal")
def test_a_refused_todo_is_taken_back_says_why_and_offers_what_was_typed(
    page: Page, sql: Sql
) -> None:
    page.goto("/")

    add(page, "Forbidden")
    add(page, "Milk")

    said = page.get_by_role("region", name="Messages")
    expect(said).to_contain_text("Couldn't save “Forbidden”: Internal server error")
    expect(descriptions(page)).to_have_text(["Milk"])
    expect_no_banner(page)
    wait_until(lambda: table(sql) == [("Milk", False)])

    sql("ALTER TABLE todos DROP CONSTRAINT refusal, ADD CONSTRAINT refusal CHECK (true)")
    page.get_by_role("button", name="Add it").click()
    expect(descriptions(page)).to_have_text(["Forbidden", "Milk"])
    wait_until(lambda: len(table(sql)) == 2)


@pytest.mark.usefixtures("refusal")
def test_a_refused_change_is_taken_back_and_says_why(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    page.goto("/")

    checkbox(page, "Milk").click()

    said = page.get_by_role("region", name="Messages")
    expect(said).to_contain_text("Couldn't save: Internal server error")
    expect(checkbox(page, "Milk")).not_to_be_checked()
    expect(page.get_by_text("1 left")).to_be_visible()


@pytest.mark.usefixtures("refusal")
def test_a_refused_new_text_is_taken_back_says_why_and_is_not_lost(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    page.goto("/")

    edit(page, "Milk", "Forbidden")
    page.get_by_role("textbox", name="Description").press("Enter")

    said = page.get_by_role("region", name="Messages")
    expect(said).to_contain_text("Couldn't save “Forbidden”: Internal server error")
    expect(descriptions(page)).to_have_text(["Milk"])
    assert table(sql) == [("Milk", False)]

    sql("ALTER TABLE todos DROP CONSTRAINT refusal")
    said.get_by_role("button", name="Try again").click()
    wait_until(lambda: table(sql) == [("Forbidden", False)])


@pytest.mark.usefixtures("refusal")
def test_completing_all_is_taken_back_as_a_whole(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread")
    page.goto("/")
    expect(descriptions(page)).to_have_count(2)

    page.get_by_role("button", name="Complete all").click()

    said = page.get_by_role("region", name="Messages")
    expect(said).to_contain_text("Couldn't save: Internal server error")
    for description in ("Milk", "Bread"):
        expect(checkbox(page, description)).not_to_be_checked()
    expect(page.get_by_text("2 left")).to_be_visible()


def test_a_change_that_meets_a_lock_is_tried_again(
    page: Page, sql: Sql, database: str, expected_messages: list[str]
) -> None:
    expected_messages.append(AWAY)
    insert(sql, "Milk")
    page.goto("/")
    expect(descriptions(page)).to_have_text(["Milk"])

    with locked(database):
        checkbox(page, "Milk").check()
        expect(page.get_by_text(re.compile("took too long.*Trying again"))).to_be_visible()
        expect(checkbox(page, "Milk")).to_be_checked()

    wait_until(lambda: table(sql) == [("Milk", True)])
    expect_no_banner(page)
