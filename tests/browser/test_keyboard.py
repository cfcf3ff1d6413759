"""The page can be used with the keyboard alone."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.page import Sql, changes, checkbox, descriptions, insert, messages, table
from tests.support.waiting import wait_until


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def field(page: Page) -> Locator:
    return page.get_by_role("textbox", name="New todo")


def help_(page: Page) -> Locator:
    return page.get_by_role("dialog", name="Keyboard shortcuts")


def test_todos_are_added_completed_edited_deleted_and_restored(page: Page, sql: Sql) -> None:
    page.goto("/")
    expect(page.get_by_text("No todos yet")).to_be_visible()
    for typed in ("Milk", "Bread", "Eggs"):
        page.keyboard.type(typed)
        press(page, "Enter")
    expect(descriptions(page)).to_have_text(["Eggs", "Bread", "Milk"])
    press(page, "Escape")
    expect(checkbox(page, "Eggs")).to_be_focused()
    press(page, "ArrowDown", "Space")
    expect(checkbox(page, "Bread")).to_be_checked()
    expect(descriptions(page)).to_have_text(["Eggs", "Milk", "Bread"])
    expect(checkbox(page, "Milk")).to_be_focused()
    press(page, "Enter")
    page.keyboard.type(" and tea")
    press(page, "Enter")
    expect(checkbox(page, "Milk and tea")).to_be_focused()
    press(page, "ArrowUp", "Delete")
    expect(descriptions(page)).to_have_text(["Milk and tea", "Bread"])
    press(page, "z")
    expect(descriptions(page)).to_have_text(["Eggs", "Milk and tea", "Bread"])
    press(page, "n")
    expect(field(page)).to_be_focused()
    wait_until(lambda: table(sql) == [("Milk and tea", False), ("Bread", True), ("Eggs", False)])


def test_search_filter_and_sort_order_are_reachable(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Mint", "Bread")
    page.goto("/")
    expect(descriptions(page)).to_have_count(3)
    press(page, "Escape", "/")
    page.keyboard.type("mi")
    expect(descriptions(page)).to_have_text(["Mint", "Milk"])
    press(page, "Tab")
    expect(page.get_by_role("combobox", name="Sort order")).to_be_focused()
    page.keyboard.type("A to Z")
    expect(descriptions(page)).to_have_text(["Milk", "Mint"])
    press(page, "Shift+Tab", "Shift+Tab", "Shift+Tab", "Space")
    expect(page.get_by_role("button", name="Active", pressed=True)).to_be_focused()
    press(page, "ArrowDown", "Space")
    expect(descriptions(page)).to_have_text(["Mint"])
    expect(checkbox(page, "Mint")).to_be_focused()
    wait_until(lambda: ("Milk", True) in table(sql))


def test_escape_moves_from_the_search_to_its_results(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread")
    page.goto("/")
    expect(descriptions(page)).to_have_count(2)
    press(page, "Escape", "/")
    page.keyboard.type("milk")
    expect(descriptions(page)).to_have_text(["Milk"])
    press(page, "Escape")
    expect(checkbox(page, "Milk")).to_be_focused()


def test_question_mark_shows_the_shortcuts_and_escape_closes_them(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    page.goto("/")
    expect(descriptions(page)).to_have_count(1)
    press(page, "Escape", "?")
    expect(help_(page)).to_be_visible()
    for key in ("n", "/", "Space", "Enter", "Esc", "Delete", "z"):
        expect(
            help_(page).get_by_role("term").filter(has_text=re.compile(f"^{key}$"))
        ).to_be_visible()
    press(page, "Delete", "n")
    expect(help_(page)).to_be_visible()
    press(page, "Escape")
    expect(help_(page)).to_be_hidden()
    expect(checkbox(page, "Milk")).to_be_focused()
    expect(descriptions(page)).to_have_count(1)


def test_shortcuts_do_nothing_while_their_dialog_is_open(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread")
    page.goto("/")
    checkbox(page, "Bread").focus()
    press(page, "Delete", "?")
    expect(help_(page)).to_be_visible()
    press(page, "z", "Escape")
    expect(help_(page)).to_be_hidden()
    expect(descriptions(page)).to_have_text(["Milk"])


def test_button_shows_the_shortcuts(page: Page) -> None:
    page.goto("/")
    page.get_by_role("button", name="Keyboard shortcuts").press("Enter")
    expect(help_(page)).to_be_visible()
    press(page, "Enter")
    expect(help_(page)).to_be_hidden()


@pytest.mark.parametrize("key", ["Delete", "Backspace"])
def test_next_todo_has_the_focus_after_a_deletion(page: Page, sql: Sql, key: str) -> None:
    insert(sql, "Milk", "Bread", "Eggs")
    page.goto("/")
    checkbox(page, "Bread").focus()
    press(page, key)
    expect(checkbox(page, "Milk")).to_be_focused()
    press(page, key)
    expect(checkbox(page, "Eggs")).to_be_focused()
    press(page, key)
    expect(page.get_by_text("No todos yet")).to_be_visible()
    expect(page.locator("#empty")).to_be_focused()
    expect(descriptions(page)).to_have_count(0)


def test_buttons_of_a_todo_are_reachable(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread")
    page.goto("/")
    checkbox(page, "Bread").focus()
    press(page, "Tab", "Enter")
    expect(page.get_by_role("textbox", name="Description")).to_be_focused()
    press(page, "Escape")
    expect(checkbox(page, "Bread")).to_be_focused()
    press(page, "Tab", "Tab", "Enter")
    expect(checkbox(page, "Milk")).to_be_focused()
    press(page, "Tab", "Tab", "Tab")
    expect(messages(page).get_by_role("button", name="Undo")).to_be_focused()
    press(page, "Enter")
    expect(descriptions(page)).to_have_text(["Bread", "Milk"])


def test_arrow_keys_stop_at_the_first_and_last_todo(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread")
    page.goto("/")
    checkbox(page, "Bread").focus()
    press(page, "ArrowUp")
    expect(checkbox(page, "Bread")).to_be_focused()
    press(page, "ArrowDown", "ArrowDown", "ArrowDown")
    expect(checkbox(page, "Milk")).to_be_focused()


def test_arrow_keys_load_a_long_list(page: Page, sql: Sql) -> None:
    sql(
        "INSERT INTO todos (description, completed)"
        " SELECT 'Todo ' || n, false FROM generate_series(1, 230) n"
    )
    page.goto("/")
    checkbox(page, "Todo 230").focus()
    for number in range(229, 0, -1):
        press(page, "ArrowDown")
        expect(checkbox(page, f"Todo {number}")).to_be_focused()
        expect(checkbox(page, f"Todo {number}")).to_be_in_viewport()


@pytest.mark.parametrize("name", ["New todo", "Search"])
def test_shortcut_keys_typed_into_a_field_are_text(page: Page, sql: Sql, name: str) -> None:
    insert(sql, "Milk")
    page.goto("/")
    sent = changes(page)
    typed = page.get_by_role("textbox", name=name).or_(page.get_by_role("searchbox", name=name))
    typed.focus()
    page.keyboard.type("n? /z")
    press(page, "Backspace", "ArrowLeft", "Delete", "Space")
    expect(typed).to_have_value("n?  ")
    expect(typed).to_be_focused()
    expect(help_(page)).to_be_hidden()
    assert sent == []


def test_shortcut_keys_typed_into_an_editor_are_text(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    page.goto("/")
    sent = changes(page)
    checkbox(page, "Milk").press("Enter")
    page.keyboard.type(" n? /z")
    press(page, "Backspace", "ArrowLeft", "Delete", "Space")
    editor = page.get_by_role("textbox", name="Description")
    expect(editor).to_have_value("Milk n?  ")
    expect(editor).to_be_focused()
    assert sent == []


@pytest.mark.parametrize("key", ["ArrowDown", "ArrowUp"])
def test_arrow_keys_move_the_caret_in_an_editor_and_save_nothing(
    page: Page, sql: Sql, key: str
) -> None:
    insert(sql, "a long description " * 20)
    page.goto("/")
    page.get_by_role("checkbox").press("Enter")
    editor = page.get_by_role("textbox", name="Description")
    page.keyboard.type("more")
    editor.evaluate("field => field.setSelectionRange(200, 200)")
    press(page, key)
    expect(editor).to_be_focused()
    assert editor.evaluate("field => field.selectionStart") != 200


def test_arrow_keys_move_the_caret_through_wrapped_lines(page: Page) -> None:
    page.goto("/")
    page.keyboard.insert_text("a long description " * 20)
    field(page).evaluate("field => field.setSelectionRange(0, 0)")
    press(page, "ArrowDown")
    expect(field(page)).to_be_focused()
    assert field(page).evaluate("field => field.selectionStart") > 0


def test_key_combinations_with_modifiers_are_left_to_the_browser(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    page.goto("/")
    checkbox(page, "Milk").focus()
    press(page, "Control+Delete", "Alt+n", "Control+Enter", "Control+n", "Control+/")
    expect(checkbox(page, "Milk")).to_be_focused()
    expect(descriptions(page)).to_have_text(["Milk"])


@pytest.mark.parametrize("keys", ["Control+z", "Meta+z", "z", "Z"])
def test_undo_has_the_key_combination_of_every_editor(page: Page, sql: Sql, keys: str) -> None:
    insert(sql, "Milk", "Bread")
    page.goto("/")
    checkbox(page, "Bread").focus()
    press(page, "Delete")
    expect(descriptions(page)).to_have_text(["Milk"])
    press(page, keys)
    expect(descriptions(page)).to_have_text(["Bread", "Milk"])


def test_ctrl_z_within_a_field_undoes_the_typing(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    page.goto("/")
    checkbox(page, "Milk").focus()
    press(page, "Delete", "n")
    page.keyboard.type("Tea")
    press(page, "Control+z")
    expect(field(page)).not_to_have_value("Tea")
    expect(descriptions(page)).to_have_count(0)


def test_undo_works_after_the_last_todo_was_deleted(page: Page, sql: Sql) -> None:
    insert(sql, "Milk")
    page.goto("/")
    checkbox(page, "Milk").focus()
    press(page, "Delete")
    expect(descriptions(page)).to_have_count(0)
    press(page, "z")
    expect(descriptions(page)).to_have_text(["Milk"])
    expect(field(page)).to_have_value("")


def test_a_key_that_is_held_down_deletes_one_todo(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread", "Eggs")
    page.goto("/")
    checkbox(page, "Eggs").focus()
    for _ in range(3):
        page.keyboard.down("Delete")
    page.keyboard.up("Delete")
    expect(descriptions(page)).to_have_text(["Bread", "Milk"])


# A keydown event as the browsers send it, which Playwright cannot type.
KEYDOWN = """(element, init) => element.dispatchEvent(
    new KeyboardEvent("keydown", { bubbles: true, cancelable: true, ...init }))"""


@pytest.mark.parametrize(
    ("key", "code"),
    [("\u0442", "KeyN"), ("\u0422", "KeyN"), ("N", "KeyN"), ("n", "KeyL")],
)
def test_shortcuts_work_with_caps_lock_and_on_every_layout(
    page: Page, sql: Sql, key: str, code: str
) -> None:
    insert(sql, "Milk")
    page.goto("/")
    checkbox(page, "Milk").focus()
    checkbox(page, "Milk").evaluate(KEYDOWN, {"key": key, "code": code})
    expect(field(page)).to_be_focused()


@pytest.mark.parametrize(("key", "name"), [(".", "Search"), ("/", "Search")])
def test_the_slash_key_searches_on_a_cyrillic_layout_too(
    page: Page, sql: Sql, key: str, name: str
) -> None:
    insert(sql, "Milk")
    page.goto("/")
    checkbox(page, "Milk").focus()
    checkbox(page, "Milk").evaluate(KEYDOWN, {"key": key, "code": "Slash"})
    expect(page.get_by_role("searchbox", name=name)).to_be_focused()


def test_single_key_shortcuts_can_be_switched_off(page: Page, sql: Sql) -> None:
    insert(sql, "Milk", "Bread")
    page.goto("/")
    checkbox(page, "Bread").focus()
    press(page, "?")
    help_(page).get_by_role("checkbox", name="Single-key shortcuts").uncheck()
    press(page, "Escape")

    for _ in range(2):
        checkbox(page, "Bread").focus()
        press(page, "n", "/", "?", "z")
        expect(checkbox(page, "Bread")).to_be_focused()
        expect(help_(page)).to_be_hidden()
        press(page, "ArrowDown")
        expect(checkbox(page, "Milk")).to_be_focused()
        page.reload()
        expect(descriptions(page)).to_have_count(2)
    page.get_by_role("button", name="Keyboard shortcuts").click()
    help_(page).get_by_role("checkbox", name="Single-key shortcuts").check()
    press(page, "Escape", "n")
    expect(field(page)).to_be_focused()


# What a browser sends for the key that ends or cancels a composition.
COMPOSING = [{"isComposing": True, "keyCode": 229}, {"isComposing": True}, {"keyCode": 229}]


@pytest.mark.parametrize("state", COMPOSING)
def test_enter_that_ends_a_composition_adds_nothing(
    page: Page, sql: Sql, state: dict[str, object]
) -> None:
    page.goto("/")
    sent = changes(page)
    field(page).fill("牛乳")
    field(page).evaluate(KEYDOWN, {"key": "Enter", **state})
    expect(field(page)).to_have_value("牛乳")
    assert sent == []
    press(page, "Enter")
    wait_until(lambda: table(sql) == [("牛乳", False)])


@pytest.mark.parametrize("state", COMPOSING)
@pytest.mark.parametrize("key", ["Enter", "Escape"])
def test_a_key_of_a_composition_leaves_the_editor_open(
    page: Page, sql: Sql, key: str, state: dict[str, object]
) -> None:
    insert(sql, "Milk")
    page.goto("/")
    checkbox(page, "Milk").press("Enter")
    editor = page.get_by_role("textbox", name="Description")
    editor.fill("牛乳")
    editor.evaluate(KEYDOWN, {"key": key, **state})
    expect(editor).to_be_focused()
    expect(editor).to_have_value("牛乳")
