"""Changing todos: optimistic updates, order of requests, undo, bulk changes."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.page import (
    Sql,
    add,
    changes,
    checkbox,
    clear_completed,
    descriptions,
    editor_error,
    hold,
    insert,
    item,
    locked,
    messages,
    remaining,
    table,
)
from tests.support.waiting import wait_until

# The response while a lock is held for longer than the service waits; the page retries.
TOOK_TOO_LONG = r"the server responded with a status of 503 .*/api/todos(/\d+)?(\?status=\S+)?\)"


def editor(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Description")


def edit(page: Page, description: str) -> None:
    """Open the editor of a todo."""
    item(page, description).get_by_text(description, exact=True).dblclick()
    expect(editor(page)).to_be_focused()


def delete(page: Page, description: str) -> None:
    """Click the delete button of a todo."""
    item(page, description).hover()
    item(page, description).get_by_role("button", name="Delete").click()


def undo(page: Page) -> Locator:
    return messages(page).get_by_role("button", name="Undo")


def let_undo_expire(page: Page) -> None:
    """Advance the page's clock until a deletion can no longer be undone."""
    page.clock.run_for(10_000)
    page.evaluate("fetch('/health')")


def has_table(sql: Sql, *rows: tuple[str, bool]) -> None:
    """Wait until the table has exactly these rows."""
    wait_until(lambda: table(sql) == list(rows))


def test_click_completes_a_todo_and_another_click_reopens_it(page: Page, sql: Sql) -> None:
    insert(sql, "Buy milk")
    page.goto("/")
    expect(remaining(page)).to_have_text("1 left")
    checkbox(page, "Buy milk").click()
    expect(checkbox(page, "Buy milk")).to_be_checked()
    expect(remaining(page)).to_have_text("0 left")
    has_table(sql, ("Buy milk", True))
    checkbox(page, "Buy milk").click()
    expect(checkbox(page, "Buy milk")).not_to_be_checked()
    expect(remaining(page)).to_have_text("1 left")
    has_table(sql, ("Buy milk", False))


def test_two_clicks_before_a_repaint_are_two_changes(page: Page, sql: Sql) -> None:
    insert(sql, "Buy milk")
    page.goto("/")
    sent = changes(page)
    checkbox(page, "Buy milk").evaluate("check => { check.click(); check.click(); }")
    page.wait_for_function(
        "() => !Object.keys(localStorage).some((key) => key.startsWith('outbox'))"
    )
    assert [body for _, _, body in sent] == ['{"completed":true}', '{"completed":false}']
    expect(checkbox(page, "Buy milk")).not_to_be_checked()
    expect(remaining(page)).to_have_text("1 left")
    has_table(sql, ("Buy milk", False))


def test_double_click_opens_the_editor_and_enter_saves(page: Page, sql: Sql) -> None:
    insert(sql, "Buy milk")
    page.goto("/")
    edit(page, "Buy milk")
    expect(editor(page)).to_have_value("Buy milk")
    page.keyboard.type(" and bread")
    page.keyboard.press("Enter")
    expect(descriptions(page)).to_have_text(["Buy milk and bread"])
    expect(checkbox(page, "Buy milk and bread")).to_be_focused()
    has_table(sql, ("Buy milk and bread", False))


def test_edit_button_opens_the_editor(page: Page, sql: Sql) -> None:
    insert(sql, "Buy milk")
    page.goto("/")
    item(page, "Buy milk").hover()
    item(page, "Buy milk").get_by_role("button", name="Edit").click()
    expect(editor(page)).to_be_focused()
    editor(page).fill("Buy bread")
    page.keyboard.press("Enter")
    has_table(sql, ("Buy bread", False))


def test_enter_on_a_focused_todo_opens_the_editor(page: Page, sql: Sql) -> None:
    insert(sql, "Buy milk")
    page.goto("/")
    checkbox(page, "Buy milk").press("Enter")
    expect(editor(page)).to_be_focused()
    page.keyboard.type("!")
    page.keyboard.press("Enter")
    has_table(sql, ("Buy milk!", False))


def test_escape_cancels_an_edit(page: Page, sql: Sql) -> None:
    insert(sql, "Buy milk")
    page.goto("/")
    sent = changes(page)
    edit(page, "Buy milk")
    page.keyboard.type(" and bread")
    page.keyboard.press("Escape")
    expect(editor(page)).to_be_hidden()
    expect(descriptions(page)).to_have_text(["Buy milk"])
    expect(checkbox(page, "Buy milk")).to_be_focused()
    assert sent == []
    edit(page, "Buy milk")
    expect(editor(page)).to_have_value("Buy milk")


def test_leaving_the_editor_saves(page: Page, sql: Sql) -> None:
    insert(sql, "Buy milk")
    page.goto("/")
    edit(page, "Buy milk")
    page.keyboard.type(" and bread")
    page.get_by_role("textbox", name="New todo").click()
    expect(editor(page)).to_be_hidden()
    expect(page.get_by_role("textbox", name="New todo")).to_be_focused()
    expect(descriptions(page)).to_have_text(["Buy milk and bread"])
    has_table(sql, ("Buy milk and bread", False))


@pytest.mark.parametrize("description", ["Buy milk", "Buy\nmilk", "Buy\r\nmilk", " Buy milk "])
def test_edit_without_changes_sends_nothing(page: Page, sql: Sql, description: str) -> None:
    insert(sql, description)
    page.goto("/")
    sent = changes(page)
    descriptions(page).dblclick()
    page.keyboard.press("Enter")
    expect(editor(page)).to_be_hidden()
    with page.expect_response(lambda response: response.request.method == "PATCH"):
        page.get_by_role("checkbox").click()
    assert table(sql) == [(description, True)]
    assert [body for _, _, body in sent] == ['{"completed":true}']


@pytest.mark.parametrize("leave", ["Enter", "blur"])
@pytest.mark.parametrize(
    ("typed", "error"),
    [
        ("", "Type something first"),
        (" \n", "Type something first"),
        ("🧺" * 501, "1 character too long (500 at most)"),
    ],
)
def test_invalid_edit_shows_an_error_and_sends_nothing(
    page: Page, sql: Sql, leave: str, typed: str, error: str
) -> None:
    insert(sql, "Buy milk")
    page.goto("/")
    sent = changes(page)
    edit(page, "Buy milk")
    editor(page).fill(typed)
    if leave == "Enter":
        page.keyboard.press("Enter")
    else:
        page.get_by_role("searchbox").click()
    expect(editor_error(page)).to_have_text(error)
    expect(editor(page)).to_have_value(typed)
    expect(editor(page)).to_have_attribute("aria-invalid", "true")
    assert sent == []
    editor(page).press("Escape")
    expect(descriptions(page)).to_have_text(["Buy milk"])


def test_counter_appears_in_the_editor_near_the_limit(page: Page, sql: Sql) -> None:
    insert(sql, "Buy milk")
    page.goto("/")
    edit(page, "Buy milk")
    editor(page).fill("🧺" * 490)
    expect(item(page, "Buy milk").locator(".count")).to_have_text("10")


@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_line_breaks_survive_an_edit_of_another_word(page: Page, sql: Sql, line_break: str) -> None:
    insert(sql, f"Buy{line_break}milk")
    page.goto("/")
    descriptions(page).dblclick()
    expect(editor(page)).to_be_focused()
    page.keyboard.type(" and bread")
    page.keyboard.press("Enter")
    expect(editor(page)).to_be_hidden()
    wait_until(lambda: "bread" in table(sql)[0][0])
    assert table(sql)[0][0].splitlines() == ["Buy", "milk and bread"]


def test_undo_restores_a_deleted_todo_to_its_position(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread", "Eggs")
    page.clock.install()
    page.goto("/")
    sent = changes(page)
    expect(remaining(page)).to_have_text("3 left")
    delete(page, "Bread")
    expect(descriptions(page)).to_have_text(["Eggs", "Milk"])
    expect(messages(page)).to_contain_text("Deleted “Bread”")
    expect(remaining(page)).to_have_text("2 left")
    undo(page).click()
    expect(descriptions(page)).to_have_text(["Eggs", "Bread", "Milk"])
    expect(remaining(page)).to_have_text("3 left")
    expect(undo(page)).to_be_hidden()
    let_undo_expire(page)
    assert sent == []


def test_deletion_is_sent_after_a_few_seconds(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread")
    page.goto("/")
    delete(page, "Bread")
    expect(undo(page)).to_be_visible()
    assert len(table(sql)) == 2
    has_table(sql, ("Milk", False))
    expect(undo(page)).to_be_hidden()
    expect(remaining(page)).to_have_text("1 left")
    expect(descriptions(page)).to_have_text(["Milk"])


def test_deletion_is_sent_when_its_message_is_closed(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    page.goto("/")
    delete(page, "Milk")
    messages(page).get_by_role("button", name="Close").click()
    has_table(sql)


def test_message_truncates_a_long_description_between_code_points(page: Page, sql: Sql) -> None:
    insert(sql, "🧺" * 60)
    page.goto("/")
    delete(page, "🧺" * 60)
    expect(undo(page)).to_be_visible()
    assert messages(page).evaluate("element => element.textContent.isWellFormed()")


def test_several_deletions_share_one_undo(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread", "Eggs", "Tea")
    page.clock.install()
    page.goto("/")
    sent = changes(page)
    for each in ("Bread", "Eggs", "Milk"):
        delete(page, each)
    expect(messages(page)).to_contain_text("Deleted 3 todos")
    expect(undo(page)).to_have_count(1)
    expect(remaining(page)).to_have_text("1 left")
    undo(page).click()
    expect(descriptions(page)).to_have_text(["Tea", "Eggs", "Bread", "Milk"])
    expect(remaining(page)).to_have_text("4 left")
    let_undo_expire(page)
    assert sent == []


@pytest.mark.parametrize("how", ["close", "reload", "leave"])
def test_deletion_is_sent_at_once_when_the_page_is_left(
    page: Page, sql: Sql, expected_messages: list[str], how: str
) -> None:
    # The next page sends the deletion again, because the first request had no response.
    expected_messages.append(r"the server responded with a status of 404 .*/api/todos/\d+\)")
    insert(sql, "Milk", "Bread", "Eggs")
    page.goto("/")
    delete(page, "Bread")
    delete(page, "Eggs")
    {"close": page.close, "reload": page.reload, "leave": lambda: page.goto("/docs")}[how]()
    has_table(sql, ("Milk", False))
    if how == "reload":
        expect(descriptions(page)).to_have_text(["Milk"])
        expect(remaining(page)).to_have_text("1 left")


def test_clear_completed_sent_on_close_is_not_repeated_later(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", completed=True)
    page.goto("/")
    clear_completed(page)
    page.close()
    has_table(sql)
    insert(sql, "Bread", completed=True)
    later = page.context.new_page()
    sent = changes(later)
    later.goto("/")
    expect(descriptions(later)).to_have_text(["Bread"])
    # Changes are sent in order: earlier ones have been sent once this one has been. The repetition
    # of the bulk change does not affect what was completed after it.
    with later.expect_response(lambda response: response.status == 201):
        add(later, "Tea")
    has_table(sql, ("Bread", True), ("Tea", False))
    assert [method for method, _, _ in sent] == ["DELETE", "POST"]


def test_complete_all_without_a_response_is_not_repeated_later(
    page: Page, sql: Sql, database: str
) -> None:
    insert(sql, "Milk")
    page.goto("/")
    expect(remaining(page)).to_have_text("1 left")
    with locked(database):
        page.get_by_role("button", name="Complete all").click()
        page.get_by_role("button", name="Close").click()
        wait_until(lambda: sql("SELECT FROM pg_locks WHERE NOT granted"))
        page.close()
    has_table(sql, ("Milk", True))
    insert(sql, "Bread")
    later = page.context.new_page()
    later.goto("/")
    expect(descriptions(later)).to_have_text(["Bread", "Milk"])
    # Changes are sent in order: earlier ones have been sent once this one has been.
    add(later, "Tea")
    wait_until(lambda: len(table(sql)) == 3)
    assert table(sql) == [("Milk", True), ("Bread", False), ("Tea", False)]


def test_todo_that_is_not_confirmed_yet_can_be_changed_and_deleted(
    page: Page, sql: Sql, database: str, expected_messages: list[str]
) -> None:
    expected_messages.append(TOOK_TOO_LONG)
    page.goto("/")
    with locked(database):
        add(page, "Milk")
        add(page, "Bread")
        add(page, "Eggs")
        checkbox(page, "Milk").click()
        edit(page, "Bread")
        page.keyboard.type(" and butter")
        page.keyboard.press("Enter")
        delete(page, "Eggs")
        expect(descriptions(page)).to_have_text(["Bread and butter", "Milk"])
    has_table(sql, ("Milk", True), ("Bread and butter", False))
    expect(descriptions(page)).to_have_text(["Bread and butter", "Milk"])
    expect(remaining(page)).to_have_text("1 left")


def test_complete_all_completes_the_remaining_todos(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread")
    insert(sql, "Tea", completed=True)
    page.goto("/")
    expect(remaining(page)).to_have_text("2 left")
    page.get_by_role("button", name="Complete all").click()
    expect(page.get_by_role("checkbox", checked=True)).to_have_count(3)
    expect(remaining(page)).to_have_text("0 left")
    page.get_by_role("button", name="Close").click()
    has_table(sql, ("Milk", True), ("Bread", True), ("Tea", True))


def test_remaining_count_stays_zero_after_complete_all_until_the_server_has_counted(
    page: Page, sql: Sql
) -> None:
    insert(sql, "Milk", "Bread")
    page.goto("/")
    expect(remaining(page)).to_have_text("2 left")
    counts = hold(page, "**/api/todos?*count=true*")
    with page.expect_request("**/api/todos?*count=true*"):
        page.get_by_role("button", name="Complete all").click()
        page.get_by_role("button", name="Close").click()
    expect(remaining(page)).to_have_text("0 left")
    with page.expect_response("**/api/todos?*count=true*"):
        for count in counts:
            count.continue_()
        page.unroute_all()
    page.evaluate("() => new Promise(requestAnimationFrame)")
    expect(remaining(page)).to_have_text("0 left")


def test_clear_completed_removes_completed_todos(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    insert(sql, "Bread", "Eggs", completed=True)
    page.goto("/")
    clear_completed(page)
    expect(descriptions(page)).to_have_text(["Milk"])
    expect(remaining(page)).to_have_text("1 left")
    messages(page).get_by_role("button", name="Close").click()
    has_table(sql, ("Milk", False))


@pytest.mark.parametrize("how", ["click", "z"])
def test_complete_all_can_be_undone(page: Page, sql: Sql, how: str) -> None:
    insert(sql, "Milk", "Bread")
    insert(sql, "Tea", completed=True)
    page.clock.install()
    page.goto("/")
    sent = changes(page)
    page.get_by_role("button", name="Complete all").click()
    expect(remaining(page)).to_have_text("0 left")
    if how == "click":
        undo(page).click()
    else:
        page.keyboard.press("z")
    expect(page.get_by_role("checkbox", checked=True)).to_have_count(1)
    expect(remaining(page)).to_have_text("2 left")
    let_undo_expire(page)
    assert sent == []


def test_complete_all_does_not_affect_todos_added_later(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    page.goto("/")
    expect(remaining(page)).to_have_text("1 left")
    page.get_by_role("button", name="Complete all").click()
    add(page, "Bread")
    has_table(sql, ("Milk", True), ("Bread", False))
    expect(checkbox(page, "Bread")).not_to_be_checked()
    expect(remaining(page)).to_have_text("1 left")


def test_clear_completed_can_be_undone_after_a_todo_was_added(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", completed=True)
    page.goto("/")
    expect(descriptions(page)).to_have_text(["Milk"])
    clear_completed(page)
    with page.expect_response(lambda response: response.status == 201):
        add(page, "Bread")
    undo(page).click()
    expect(descriptions(page)).to_have_text(["Bread", "Milk"])
    assert table(sql) == [("Milk", True), ("Bread", False)]


def test_second_click_of_a_double_click_does_not_hit_the_next_todo(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread", "Tea")
    page.goto("/")
    item(page, "Tea").hover()
    item(page, "Tea").get_by_role("button", name="Delete").dblclick()
    expect(descriptions(page)).to_have_text(["Bread", "Milk"])
    page.get_by_role("button", name="Active").click()
    checkbox(page, "Bread").dblclick()
    expect(descriptions(page)).to_have_text(["Milk"])


def test_undo_returns_the_focus_to_the_list(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread")
    page.goto("/")
    delete(page, "Bread")
    undo(page).press("Enter")
    expect(page.get_by_role("list", name="Todos").locator(":focus")).to_have_count(1)


def test_clear_completed_can_be_undone(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    insert(sql, "Bread", completed=True)
    page.clock.install()
    page.goto("/")
    sent = changes(page)
    clear_completed(page)
    expect(descriptions(page)).to_have_text(["Milk"])
    undo(page).click()
    expect(descriptions(page)).to_have_text(["Milk", "Bread"])
    expect(remaining(page)).to_have_text("1 left")
    let_undo_expire(page)
    assert sent == []


def test_clear_completed_does_not_affect_todos_completed_later(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    insert(sql, "Bread", completed=True)
    page.goto("/")
    clear_completed(page)
    checkbox(page, "Milk").click()
    expect(descriptions(page)).to_have_text(["Milk"])
    has_table(sql, ("Milk", True))
    expect(checkbox(page, "Milk")).to_be_checked()
    expect(remaining(page)).to_have_text("0 left")


def test_bulk_changes_are_not_offered_during_a_search(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread")
    page.goto("/?search=Milk")
    expect(descriptions(page)).to_have_text(["Milk"])
    expect(page.get_by_role("button", name="Complete all")).to_be_disabled()
    expect(page.get_by_role("button", name="Clear")).to_be_hidden()


def test_many_quick_changes_of_one_todo_arrive_in_order(
    page: Page, sql: Sql, database: str, expected_messages: list[str]
) -> None:
    expected_messages.append(TOOK_TOO_LONG)
    insert(sql, "Milk")
    page.goto("/")
    expect(descriptions(page)).to_have_text(["Milk"])
    with locked(database):
        for number in range(5):
            page.get_by_role("checkbox").click()
            descriptions(page).dblclick()
            editor(page).fill(f"Milk {number}")
            page.keyboard.press("Enter")
        expect(descriptions(page)).to_have_text(["Milk 4"])
        expect(page.get_by_role("checkbox")).to_be_checked()
        expect(remaining(page)).to_have_text("0 left")
        assert table(sql) == [("Milk", False)]
    has_table(sql, ("Milk 4", True))
    expect(descriptions(page)).to_have_text(["Milk 4"])
    expect(remaining(page)).to_have_text("0 left")
    expect(messages(page)).not_to_contain_text("Couldn't save")


def test_many_quick_changes_of_many_todos_arrive(
    page: Page, sql: Sql, database: str, expected_messages: list[str]
) -> None:
    expected_messages.append(TOOK_TOO_LONG)
    names = [f"Todo {number}" for number in range(8)]
    insert(sql, *names)
    page.goto("/")
    expect(remaining(page)).to_have_text("8 left")
    with locked(database):
        for name in names:
            checkbox(page, name).click()
        clear_completed(page)
        add(page, "Tea")
        for name in names[:2]:
            expect(item(page, name)).to_be_hidden()
        expect(remaining(page)).to_have_text("1 left")
        assert len(table(sql)) == 8
    has_table(sql, ("Tea", False))
    expect(descriptions(page)).to_have_text(["Tea"])
    expect(remaining(page)).to_have_text("1 left")


def test_changes_are_not_reverted_when_the_browser_is_slow_to_paint(page: Page, sql: Sql) -> None:
    page.add_init_script("requestAnimationFrame = (task) => setTimeout(task, 300)")
    insert(sql, "Milk")
    page.goto("/")
    for _ in range(6):
        with page.expect_response(lambda response: response.request.method == "PATCH"):
            page.get_by_role("checkbox").click()
    # It is back from the completed todos: a double click needs a text that does not move.
    expect(page.locator("#todos").get_by_text("Milk")).to_be_visible()
    edit(page, "Milk")
    page.keyboard.type("!")
    page.keyboard.press("Enter")
    has_table(sql, ("Milk!", False))
    expect(messages(page)).not_to_contain_text("Couldn't save")


def test_changes_made_while_complete_all_is_pending_are_applied(
    page: Page, sql: Sql, database: str, expected_messages: list[str]
) -> None:
    expected_messages.append(TOOK_TOO_LONG)
    page.goto("/")
    with locked(database):
        add(page, "Milk")
        add(page, "Bread")
        page.get_by_role("button", name="Complete all").click()
        edit(page, "Milk")
        page.keyboard.type(" and eggs")
        page.keyboard.press("Enter")
        delete(page, "Bread")
        expect(descriptions(page)).to_have_text(["Milk and eggs"])
        messages(page).get_by_role("button", name="Close").click()
    has_table(sql, ("Milk and eggs", True))
    expect(descriptions(page)).to_have_text(["Milk and eggs"])


@pytest.mark.parametrize("opened", ["button.click()", "check.dispatchEvent(key('Enter'))"])
def test_row_that_is_deleted_within_the_same_frame_is_not_edited(
    page: Page, sql: Sql, opened: str
) -> None:
    insert(sql, "Milk", "Bread")
    page.goto("/")
    checkbox(page, "Bread").focus()

    page.evaluate(
        f"""() => {{
            const check = document.activeElement;
            const button = check.closest("li").querySelector(".edit");
            const key = key => new KeyboardEvent("keydown", {{ key, bubbles: true }});
            check.dispatchEvent(key("Delete"));
            {opened};
        }}"""
    )

    expect(descriptions(page)).to_have_text(["Milk"])
    edit(page, "Milk")
    editor(page).fill("Oat milk")
    page.keyboard.press("Enter")
    wait_until(lambda: ("Oat milk", False) in table(sql))


def test_editor_with_an_invalid_text_is_the_only_editor(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread")
    page.goto("/")
    edit(page, "Milk")
    editor(page).fill(" ")
    item(page, "Bread").get_by_text("Bread").dblclick()
    expect(editor(page)).to_have_count(1)
    expect(editor(page)).to_be_focused()
    expect(editor(page)).to_have_value(" ")
    page.keyboard.press("Enter")
    expect(editor_error(page)).to_have_text("Type something first")


def test_draft_of_a_todo_outside_the_view_is_offered_until_it_is_saved(
    page: Page, sql: Sql
) -> None:
    insert(sql, "Milk")
    page.goto("/")
    edit(page, "Milk")
    editor(page).fill("Soy milk")
    page.goto("/?status=completed")
    messages(page).get_by_role("button", name="Save").click()
    has_table(sql, ("Soy milk", False))
    page.reload()
    expect(page.get_by_text("Nothing completed yet.")).to_be_visible()
    expect(messages(page)).to_be_empty()


def test_rejected_todo_is_back_in_the_field_with_its_latest_text(
    page: Page, sql: Sql, expected_messages: list[str]
) -> None:
    expected_messages.append(r"the server responded with a status of 400 .*/api/todos\)")
    held = hold(page, "**/api/todos", times=1)
    page.goto("/")
    add(page, "Buy\0milk")
    wait_until(lambda: page.title() and held)
    descriptions(page).dblclick()
    editor(page).fill("Buy soy milk")
    page.keyboard.press("Enter")
    held.pop().continue_()
    field = page.get_by_role("textbox", name="New todo")
    expect(field).to_have_value("Buy soy milk")
    field.press("Enter")
    has_table(sql, ("Buy soy milk", False))


def test_back_button_does_not_undo_a_deletion(
    page: Page, sql: Sql, expected_messages: list[str]
) -> None:
    # The next page sends the deletion again.
    expected_messages.append(r"the server responded with a status of 404 .*/api/todos/\d+\)")
    insert(sql, "Milk")
    page.goto("/")
    expect(descriptions(page)).to_have_text(["Milk"])
    # With or without the back/forward cache, the browser must load the page again.
    delete(page, "Milk")
    expect(undo(page)).to_be_visible()
    page.goto("/docs")
    has_table(sql)
    page.go_back()
    expect(page.get_by_text("No todos yet. Add one!")).to_be_visible()
    expect(undo(page)).to_have_count(0)


def press_delete(page: Page, times: int) -> None:
    """Press Delete within one frame, each time on what has the focus."""
    page.evaluate(
        """times => {
            const press = { key: "Delete", bubbles: true, cancelable: true };
            for (let i = 0; i < times; i++) {
                document.activeElement.dispatchEvent(new KeyboardEvent("keydown", press));
            }
        }""",
        times,
    )


def test_quick_presses_of_delete_count_what_was_deleted(page: Page, sql: Sql) -> None:
    insert(sql, *(f"Todo {number}" for number in range(8)))
    page.goto("/")
    sent = changes(page)
    checkbox(page, "Todo 5").focus()
    press_delete(page, 5)
    page.evaluate("() => new Promise(requestAnimationFrame)")
    kept = descriptions(page).all_text_contents()
    deleted = 8 - len(kept)
    expected = f"Deleted {deleted} todos" if deleted > 1 else "Deleted “"
    expect(messages(page)).to_contain_text(expected)
    expect(remaining(page)).to_have_text(f"{len(kept)} left")
    messages(page).get_by_role("button", name="Close").click()
    wait_until(lambda: page.title() and [text for text, _ in table(sql)] == kept[::-1])
    # The browser may tell of a request later than the database.
    wait_until(lambda: page.title() and len(sent) >= deleted)
    assert len(sent) == len(set(sent)) == deleted


@pytest.mark.parametrize("second", [".delete", "input"])
def test_second_action_on_a_deleted_todo_has_no_effect(page: Page, sql: Sql, second: str) -> None:
    insert(sql, "Milk", "Bread")
    page.goto("/")
    sent = changes(page)
    item(page, "Bread").evaluate(
        """(item, second) => {
            item.querySelector(".delete").click();
            item.querySelector(second).click();
        }""",
        second,
    )
    expect(messages(page)).to_contain_text("Deleted “Bread”")
    expect(remaining(page)).to_have_text("1 left")
    expect(descriptions(page)).to_have_text(["Milk"])
    messages(page).get_by_role("button", name="Close").click()
    has_table(sql, ("Milk", False))
    assert [method for method, _, _ in sent] == ["DELETE"]


def test_tick_of_a_todo_that_was_cleared_within_the_same_frame_has_no_effect(
    page: Page, sql: Sql
) -> None:
    insert(sql, "Milk")
    insert(sql, "Bread", completed=True)
    page.goto("/")
    sent = changes(page)
    checkbox(page, "Bread").evaluate(
        """check => {
            document.getElementById("clear-completed").click();
            check.click();
        }"""
    )
    expect(descriptions(page)).to_have_text(["Milk"])
    messages(page).get_by_role("button", name="Close").click()
    has_table(sql, ("Milk", False))
    expect(messages(page)).to_be_empty()
    assert [method for method, _, _ in sent] == ["DELETE"]


def test_todo_is_completed_within_the_frame_that_confirms_it(page: Page, sql: Sql) -> None:
    # Nothing is painted after the creation: the row does not have the ID yet.
    page.goto("/")
    add(page, "Milk")
    expect(descriptions(page)).to_have_text(["Milk"])
    page.evaluate("requestAnimationFrame = () => {}")
    add(page, "Bread")
    has_table(sql, ("Milk", False), ("Bread", False))
    # Without Playwright's own polling, which needs frames.
    unsent = "Object.keys(localStorage).filter((key) => key.startsWith('outbox')).length"
    wait_until(lambda: page.evaluate(unsent) == 0)
    checkbox(page, "Bread").evaluate(
        "check => { check.checked = true; check.dispatchEvent(new Event('change', "
        "{ bubbles: true })); }"
    )
    has_table(sql, ("Milk", False), ("Bread", True))
