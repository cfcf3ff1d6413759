"""Scenarios, and the check that all servers return equivalent responses."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.datasets import SEARCH_EVERY, SEARCH_FIRST, SEARCH_WORD, SIZES
from benchmarks.targets import Target
from todoapp.todos.queries import Listing, encode_cursor

TODOS = "/api/todos"
FIELDS = ["id", "description", "completed", "created_at", "updated_at"]
PAGE = 50
BEFORE_LAST_PAGE = SIZES["million"] - PAGE


def whole_list(target: Target) -> str:
    return TODOS


def first_page(target: Target) -> str:
    """Return the path of the first page, in the syntax of this server."""
    start = {"todoapp": "", "floor": "&after=0"}.get(target.name, "&offset=0")
    return f"{TODOS}?limit={PAGE}{start}"


def page_after(todo_id: int) -> str:
    """Return the path of the page of this service that begins after a todo."""
    return f"{TODOS}?limit={PAGE}&cursor={encode_cursor(Listing(), (todo_id,))}"


def last_page(target: Target) -> str:
    """Return the path of the last page; for this service, with its cursor."""
    if target.name == "floor":
        return f"{TODOS}?limit={PAGE}&after={BEFORE_LAST_PAGE}"
    if target.name != "todoapp":
        return f"{TODOS}?limit={PAGE}&offset={BEFORE_LAST_PAGE}"
    return page_after(BEFORE_LAST_PAGE)


def search(target: Target) -> str:
    return f"{TODOS}?search={SEARCH_WORD}&limit={PAGE}"


@dataclass(frozen=True)
class Scenario:
    """One kind of request, sent by a wrk script.

    Attributes:
        path: returns the path that the script requests.
        sample: one such request: method, suffix of the path, body.
        ids: the expected ids, if the response is a list.
    """

    name: str
    title: str
    dataset: str
    script: str
    path: Callable[[Target], str] = whole_list
    sample: tuple[str, str, dict[str, Any] | None] = ("GET", "", None)
    ids: range | None = None


def _list(
    name: str, title: str, dataset: str, path: Callable[[Target], str], ids: range
) -> Scenario:
    return Scenario(name, title, dataset, "list.lua", path, ids=ids)


SCENARIOS = (
    Scenario("get", "get one", "hundred", "get.lua", sample=("GET", "/7", None)),
    _list("list-100", "list of 100", "hundred", whole_list, range(1, 101)),
    Scenario(
        "create",
        "create",
        "changes",
        "create.lua",
        sample=("POST", "", {"description": "Buy groceries for the weekend"}),
    ),
    Scenario("patch", "patch", "changes", "patch.lua", sample=("PATCH", "/7", {"completed": True})),
    _list("list-10000", "list of 10,000", "ten_thousand", whole_list, range(1, 10_001)),
    _list("page-first", "first 50 of 1,000,000", "million", first_page, range(1, PAGE + 1)),
    _list(
        "page-last",
        "last 50 of 1,000,000",
        "million",
        last_page,
        range(BEFORE_LAST_PAGE + 1, SIZES["million"] + 1),
    ),
    _list(
        "search",
        "search in 1,000,000",
        "million",
        search,
        range(SEARCH_FIRST, SEARCH_FIRST + PAGE * SEARCH_EVERY, SEARCH_EVERY),
    ),
)


def check_equivalent(scenario: Scenario, targets: Sequence[Target]) -> None:
    """Check that all servers return equivalent responses, or exit."""
    expected = None
    for target in targets:
        method, suffix, body = scenario.sample
        response = target.request(method, scenario.path(target) + suffix, body)
        where = f"{scenario.title}: {target.name} responds to {method} {response.url} with"
        if not response.ok:
            raise SystemExit(f"{where} {response.status_code} {response.text[:200]}")
        content = response.json()
        todos = content if isinstance(content, list) else [content]
        for todo in todos:
            if list(todo) != FIELDS:
                raise SystemExit(f"{where} the fields {list(todo)}")
        # Ids of new todos differ, because servers with the same schema share a database.
        compared = FIELDS[1 if method == "POST" else 0 : 3]
        found = (response.status_code, [[todo[field] for field in compared] for todo in todos])
        ids = [todo["id"] for todo in todos]
        if scenario.ids is not None and ids != list(scenario.ids):
            raise SystemExit(f"{where} {len(ids)} unexpected todos: ids {ids[:3]}…")
        expected = expected or found
        if found != expected:
            raise SystemExit(
                f"{where} {_shortened(found)}, but {targets[0].name} with {_shortened(expected)}"
            )


def _shortened(value: object) -> str:
    return re.sub(r"(?s)(.{200}).+", r"\1…", str(value))
