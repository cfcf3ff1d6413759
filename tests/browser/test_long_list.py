"""A list of 100,000 todos: time to the first paint, and long tasks while it is used."""

from collections.abc import Callable
from statistics import median

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.support.page import Sql, descriptions

TODOS = 100_000
PAGE = 50
FIRST_PAINT_MS = 1000
LONG_TASK_MS = 100
TICK_TASK_MS = 80
LOADED_ROWS = 10_000
ATTEMPTS = 3
"""Of several attempts, the best counts: other load can only make a figure worse."""

# Runs before the page's own scripts: records the first painted todo and the long tasks.
OBSERVE = """
    window.longTasks = [];
    new PerformanceObserver(list => {
        for (const { startTime, duration } of list.getEntries()) {
            longTasks.push({ startTime, duration });
        }
    }).observe({ type: "longtask", buffered: true });
    window.painted = new Promise(resolve => {
        new MutationObserver((_, observer) => {
            if (!document.querySelector("#todos .text")?.textContent) return;
            observer.disconnect();
            // The frame is painted before the next task.
            requestAnimationFrame(() => setTimeout(() => resolve(performance.now())));
        }).observe(document, { childList: true, subtree: true });
    });
"""

# Scrolls to the end of the list until that many rows are loaded, and back to the first ones.
LOAD = """async rows => {
    while (document.querySelectorAll("li").length < rows) {
        scrollTo(0, document.body.scrollHeight);
        await new Promise(requestAnimationFrame);
    }
    scrollTo(0, 1000);
}"""
OPEN_CHECKBOX = """() => {
    const isInView = check => check.getBoundingClientRect().top > 300 && !check.checked;
    const checks = [...document.querySelector("#todos ul").querySelectorAll("input")];
    const { x, y } = checks.find(isInView).getBoundingClientRect();
    return [x + 5, y + 5];
}"""


@pytest.fixture
def long_list(sql: Sql) -> None:
    """Todos of one to several lines."""
    sql(
        "INSERT INTO todos (description, completed)"
        " SELECT 'Todo ' || n || repeat(' and more', n % 30), n % 3 = 0"
        f" FROM generate_series(1, {TODOS}) AS n"
    )
    sql("ANALYZE todos")


@pytest.fixture
def best(new_context: Callable[..., BrowserContext]) -> Callable[..., float]:
    """Measure, each time in a new browser, until a figure is good enough; return the best."""

    def repeat(what: str, measure: Callable[[Page], float], enough: float) -> float:
        figures: list[float] = []
        while len(figures) < ATTEMPTS and (not figures or min(figures) > enough):
            page = new_context().new_page()
            page.add_init_script(OBSERVE)
            figures.append(measure(page))
            page.close()
        print(f"{what} with {TODOS:,} todos: {min(figures):.0f} ms, of {len(figures)} attempts")
        return min(figures)

    return repeat


@pytest.mark.usefixtures("long_list")
def test_list_is_painted_within_a_second(best: Callable[..., float]) -> None:
    def paint(page: Page) -> float:
        page.goto("/")
        painted = page.evaluate("painted")
        expect(descriptions(page).first).to_contain_text(f"Todo {TODOS} ")
        return painted

    assert best("First paint of the list", paint, FIRST_PAINT_MS) < FIRST_PAINT_MS


@pytest.mark.usefixtures("long_list")
def test_scrolling_ten_pages_causes_no_long_task_and_shows_each_todo_once(
    best: Callable[..., float],
) -> None:
    def scroll(page: Page) -> float:
        page.goto("/")
        expect(descriptions(page).first).to_contain_text(f"Todo {TODOS} ")
        begun = page.evaluate("performance.now()")
        page.mouse.move(400, 400)
        while descriptions(page).count() <= 10 * PAGE:
            page.mouse.wheel(0, 600)
            page.evaluate("() => new Promise(requestAnimationFrame)")
        numbers = [int(text.split()[1]) for text in descriptions(page).all_text_contents()]
        assert numbers == [n for n in range(TODOS, numbers[-1] - 1, -1) if n % 3]
        tasks = page.evaluate("longTasks")
        return max((each["duration"] for each in tasks if each["startTime"] > begun), default=0)

    assert best("Longest task in ten pages of scrolling", scroll, LONG_TASK_MS) <= LONG_TASK_MS


@pytest.mark.usefixtures("long_list")
def test_tick_and_key_in_10000_rows_cause_no_long_task(best: Callable[..., float]) -> None:
    def use(page: Page) -> float:
        page.goto("/")
        page.evaluate(LOAD, LOADED_ROWS)
        page.wait_for_event("response", lambda response: response.status == 304)
        ticks = []
        for _ in range(11):
            ticks.append(page.evaluate("performance.now()"))
            with page.expect_response(lambda response: response.request.method == "PATCH"):
                page.mouse.click(*page.evaluate(OPEN_CHECKBOX))
            page.keyboard.press("ArrowDown")
        # The list has been refreshed.
        page.wait_for_event("response", lambda response: "count=true" in response.url)
        longest = dict.fromkeys(ticks, 0.0)
        for task in page.evaluate("longTasks"):
            if task["startTime"] > ticks[0]:
                tick = max(tick for tick in ticks if tick < task["startTime"])
                longest[tick] = max(longest[tick], task["duration"])
        # Not the longest: among a dozen ticks, the browser collects garbage once.
        return median(longest.values())

    assert best("Longest task of a tick and a key", use, TICK_TASK_MS) <= TICK_TASK_MS


@pytest.mark.usefixtures("long_list")
def test_remaining_count_covers_the_whole_list(page: Page) -> None:
    page.goto("/")

    expect(page.get_by_text("66,667 left")).to_be_visible()
