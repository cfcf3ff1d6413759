"""Lists: sorting, keyset pagination, filters, search, streaming; and bulk changes."""

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg2
import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import QueuePool
from werkzeug.test import EnvironBuilder, TestResponse

from tests.support.todos import create_todos
from tests.support.waiting import wait_until
from todoapp.extensions import db
from todoapp.todos import lists
from todoapp.todos.queries import Listing, encode_cursor
from todoapp.todos.schemas import TodoCreateSchema

SORTS = ["id", "created_at", "updated_at", "description"]
ORDERS = ["asc", "desc"]
WHOLE_LISTS = ["/api/todos", "/api/todos?count=true"]

Sql = Callable[[str], list[tuple]]


@pytest.fixture
def todos(client: FlaskClient, sql: Sql) -> list[dict[str, Any]]:
    """Create twelve todos, with ties in every sort key except `id`."""
    sql(
        "INSERT INTO todos (description, completed, created_at, updated_at)"
        " SELECT 'todo ' || n % 5, n % 3 = 0,"
        " '2025-12-28 10:00Z'::timestamptz - n % 4 * interval '1 day',"
        " '2025-12-28 10:00Z'::timestamptz + n * 7 % 6 * interval '1 microsecond'"
        " FROM generate_series(1, 12) AS n"
    )
    return client.get("/api/todos").get_json()


def ids(response: TestResponse) -> list[int]:
    assert response.status_code == 200, response.text
    return [todo["id"] for todo in response.get_json()]


def descriptions(response: TestResponse) -> list[str]:
    assert response.status_code == 200, response.text
    return [todo["description"] for todo in response.get_json()]


def next_page(response: TestResponse) -> str | None:
    """Return the path of the next page, or None on the last page."""
    if "Link" not in response.headers:
        return None
    link = re.fullmatch(r'<(http://localhost/[!-~]+)>; rel="next"', response.headers["Link"])
    assert link, response.headers["Link"]
    return link[1].removeprefix("http://localhost")


def pages(client: FlaskClient, path: str) -> Iterator[list[dict[str, Any]]]:
    """Yield the page at `path` and the pages after it, following their `Link` headers."""
    url: str | None = path
    while url:
        response = client.get(url)
        assert response.status_code == 200, response.text
        yield response.get_json()
        url = next_page(response)


def cursor_of(response: TestResponse) -> str:
    url = next_page(response)
    assert url
    return parse_qs(urlsplit(url).query)["cursor"][0]


# Sorting


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("sort_by", SORTS)
def test_a_list_is_sorted_with_ties_broken_by_id(
    client: FlaskClient, todos: list[dict[str, Any]], sort_by: str, order: str
) -> None:
    response = client.get(f"/api/todos?sort_by={sort_by}&order={order}")

    assert response.get_json() == sorted(
        todos, key=lambda todo: (todo[sort_by], todo["id"]), reverse=order == "desc"
    )


def test_the_default_sort_key_is_id_and_unknown_parameters_are_ignored(
    client: FlaskClient, todos: list[Any]
) -> None:
    assert client.get("/api/todos?order=desc").get_json() == todos[::-1]
    assert client.get("/api/todos?unknown=1").get_json() == todos


# Keyset pagination


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("sort_by", SORTS)
@pytest.mark.parametrize("limit", [1, 4, 5])
def test_consecutive_pages_have_no_gaps_and_no_overlaps(
    client: FlaskClient, todos: list[Any], sort_by: str, order: str, limit: int
) -> None:
    query = f"/api/todos?sort_by={sort_by}&order={order}"

    found = list(pages(client, f"{query}&limit={limit}"))

    assert [len(page) for page in found[:-1]] == [limit] * (len(found) - 1)
    assert [todo for page in found for todo in page] == client.get(query).get_json()


@pytest.mark.parametrize("limit", [12, 13, 1000])
def test_the_last_page_has_no_next_link_even_if_it_is_full(
    client: FlaskClient, todos: list[Any], limit: int
) -> None:
    response = client.get(f"/api/todos?limit={limit}")

    assert response.get_json() == todos
    assert "Link" not in response.headers


def test_the_next_link_is_absolute_and_keeps_the_query(
    client: FlaskClient, todos: list[Any]
) -> None:
    response = client.get(
        "/api/todos/?status=incomplete&search=todo&limit=2&offset=1&count=true",
        base_url="https://todos.example.com:444/",
    )

    link = urlsplit(response.headers["Link"].removeprefix("<").partition(">")[0])
    query = parse_qs(link.query)
    assert (link.scheme, link.netloc, link.path) == (
        *("https", "todos.example.com:444", "/api/todos/"),
    )
    assert query.pop("cursor")
    assert query == {
        "status": ["incomplete"],
        "search": ["todo"],
        "limit": ["2"],
        "count": ["true"],
    }


def test_the_next_link_is_ascii_for_an_internationalized_host(
    client: FlaskClient, todos: list[Any]
) -> None:
    response = client.get("/api/todos?limit=1", base_url="http://xn--fiq228c.example")

    assert response.headers["Link"].startswith("<http://xn--fiq228c.example/api/todos?limit=1&")


def test_the_next_link_drops_unknown_parameters(client: FlaskClient, todos: list[Any]) -> None:
    response = client.get("/api/todos?limit=1&order=desc&unknown=" + "x" * 5000)

    query = parse_qs(urlsplit(response.headers["Link"].partition(">")[0]).query)
    assert query.keys() == {"limit", "order", "cursor"}


@pytest.mark.parametrize(
    "host",
    [{"SERVER_PROTOCOL": "HTTP/1.0"}, {"HTTP_HOST": "under_score"}],
    ids=["HTTP/1.0", "invalid host name"],
)
def test_the_next_link_is_relative_without_a_valid_host(
    client: FlaskClient, todos: list[Any], host: dict[str, str]
) -> None:
    environ = EnvironBuilder("/api/todos?limit=1").get_environ()
    del environ["HTTP_HOST"]

    response = Response.from_app(client.application, {**environ, **host})

    assert response.headers["Link"].startswith("</api/todos?limit=1&cursor=")


@pytest.mark.parametrize(
    "query", ["search=\xff", "search=%FF", "search=M%FCsli", "search=%ED%A0%80"]
)
def test_a_query_string_that_is_not_utf_8_is_rejected(client: FlaskClient, query: str) -> None:
    response = client.get("/api/todos", environ_overrides={"QUERY_STRING": query})

    assert response.status_code == 400
    assert response.get_json() == {"detail": "The query string is not UTF-8"}


def test_offset_skips_the_first_todos(client: FlaskClient, todos: list[Any]) -> None:
    assert client.get("/api/todos?offset=10").get_json() == todos[10:]
    assert client.get("/api/todos?offset=2&limit=3").get_json() == todos[2:5]
    assert list(chain.from_iterable(pages(client, "/api/todos?offset=2&limit=3"))) == todos[2:]
    assert client.get("/api/todos?offset=10000").get_json() == []


def test_a_cursor_without_a_limit_returns_the_rest_of_the_list(
    client: FlaskClient, todos: list[Any]
) -> None:
    cursor = cursor_of(client.get("/api/todos?limit=5"))

    assert client.get(f"/api/todos?cursor={cursor}").get_json() == todos[5:]


def test_a_cursor_survives_a_restart_and_the_deletion_of_its_todo(
    client: FlaskClient, todos: list[Any], shared_app: Flask, make_app: Callable[..., Flask]
) -> None:
    cursor = cursor_of(client.get("/api/todos?limit=5"))
    client.delete(f"/api/todos/{todos[4]['id']}")
    url = shared_app.config["SQLALCHEMY_DATABASE_URI"].render_as_string()

    response = make_app(DATABASE_URL=url).test_client().get(f"/api/todos?cursor={cursor}&limit=2")

    assert response.get_json() == todos[5:7]


def test_a_cursor_can_encode_any_description(client: FlaskClient) -> None:
    longest = ["😀" * 500, "😀" * 499 + "'", '"\\%\u2028']
    create_todos(client, *longest)

    found = list(pages(client, "/api/todos?sort_by=description&limit=1"))

    assert sorted(todo["description"] for (todo,) in found) == sorted(longest)


@pytest.mark.parametrize(
    "other", ["sort_by=description", "order=desc", "status=completed", "search=todo", "search=TODO"]
)
def test_a_cursor_of_a_different_query_is_rejected(
    client: FlaskClient, todos: list[Any], other: str
) -> None:
    original = "search=tod" if other.startswith("search") else ""
    cursor = cursor_of(client.get(f"/api/todos?limit=1&{original}"))

    response = client.get(f"/api/todos?limit=1&cursor={cursor}&{other}")

    assert response.status_code == 400
    assert list(response.get_json()["errors"]) == ["cursor"]


@pytest.mark.parametrize("cursor", ["", "x", "AAAA", "é", "%00", "W10", "bnVsbA", "e30", "MQ"])
def test_a_malformed_cursor_is_rejected(client: FlaskClient, cursor: str) -> None:
    response = client.get(f"/api/todos?limit=1&cursor={cursor}")

    assert response.status_code == 400
    assert list(response.get_json()["errors"]) == ["cursor"]


@pytest.mark.parametrize(
    ("sort_by", "key"),
    [
        ("id", [True]),
        ("id", [0]),
        ("id", [2**31]),
        ("id", ["1"]),
        ("id", [1.5]),
        ("id", []),
        ("id", [1, 1]),
        ("created_at", [1]),
        ("created_at", ["2025-12-28T10:00:00.123456Z", None]),
        ("created_at", ["2025-12-28", 1]),
        ("created_at", ["2025-W01-1", 1]),
        ("created_at", ["\uff12\uff10\uff12\uff16-11-26T10:00:00.123456Z", 1]),
        ("updated_at", ["2026-11- 5T10:00:00.123456Z", 1]),
        ("updated_at", ["2026-02-30T10:00:00.123456Z", 1]),
        ("created_at", ["0000-01-01T00:00:00.000000Z", 1]),
        ("created_at", ["2026-11-26T10:00:00.123456Z\n", 1]),
        ("created_at", ["2025-12-28T10:00:00.123456+16:00", 1]),
        ("updated_at", [7, 1]),
        ("description", ["a\0b", 1]),
        ("description", [None, 1]),
    ],
)
def test_a_cursor_with_a_forged_key_is_rejected(
    client: FlaskClient, sort_by: Any, key: Any
) -> None:
    cursor = encode_cursor(Listing(sort_by=sort_by), key)

    response = client.get(f"/api/todos?limit=1&sort_by={sort_by}&cursor={cursor}")

    assert response.status_code == 400
    assert list(response.get_json()["errors"]) == ["cursor"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    sort_by=st.sampled_from(SORTS),
    position=st.integers(0, 200),
    character=st.characters(exclude_categories=["Cs"]),
)
def test_a_corrupted_cursor_is_a_200_or_a_400(
    client: FlaskClient, sort_by: str, position: int, character: str
) -> None:
    create_todos(client, "a", "b")
    cursor = cursor_of(client.get(f"/api/todos?sort_by={sort_by}&limit=1"))
    corrupted = cursor[: position % len(cursor)] + character + cursor[position % len(cursor) + 1 :]

    response = client.get(
        "/api/todos", query_string={"sort_by": sort_by, "limit": 1, "cursor": corrupted}
    )

    assert response.status_code in (200, 400)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_concurrent_inserts_and_deletes_never_shift_a_page(
    client: FlaskClient, sql: Sql, data: st.DataObject
) -> None:
    sort_by = data.draw(st.sampled_from(SORTS))
    order = data.draw(st.sampled_from(ORDERS))
    text = st.text("ab", min_size=1, max_size=2)
    sql("TRUNCATE todos")
    create_todos(client, *data.draw(st.lists(text, min_size=2, max_size=12)))
    remaining = set(ids(client.get("/api/todos")))

    seen: list[int] = []
    limit = data.draw(st.integers(1, 4))
    for page in pages(client, f"/api/todos?sort_by={sort_by}&order={order}&limit={limit}"):
        seen += [todo["id"] for todo in page]
        for deleted in (
            data.draw(st.lists(st.sampled_from(sorted(remaining)), max_size=3)) if remaining else ()
        ):
            client.delete(f"/api/todos/{deleted}")
            remaining.discard(deleted)
        # Fewer than a page, so that pagination terminates.
        create_todos(client, *data.draw(st.lists(text, max_size=limit - 1)))

    assert len(seen) == len(set(seen))
    assert remaining <= set(seen)


# Filters


def test_a_list_can_be_filtered_by_status(client: FlaskClient, todos: list[Any]) -> None:
    completed = [todo for todo in todos if todo["completed"]]
    incomplete = [todo for todo in todos if not todo["completed"]]

    assert client.get("/api/todos?status=completed").get_json() == completed
    assert client.get("/api/todos?status=incomplete").get_json() == incomplete
    assert (
        list(chain.from_iterable(pages(client, "/api/todos?status=completed&limit=1"))) == completed
    )


@pytest.mark.parametrize(
    ("query", "field", "detail"),
    [
        ("status=done", "status", "status must be one of: completed, incomplete"),
        ("sort_by=title", "sort_by", "sort_by must be one of: id, created_at, "),
        ("order=up", "order", "order must be one of: asc, desc"),
        ("limit=0", "limit", "limit must be a whole number from 1 to 1000"),
        ("limit=1001", "limit", "limit must be a whole number from 1 to 1000"),
        ("limit=", "limit", "limit must be"),
        ("limit=+5", "limit", "limit must be"),
        ("limit=1_0", "limit", "limit must be"),
        ("limit=\u0665", "limit", "limit must be"),
        ("limit=1e2", "limit", "limit must be"),
        ("offset=-1", "offset", "offset must be a whole number from 0 to 10000"),
        ("offset=10001", "offset", "offset must be"),
        (f"offset={10**30}", "offset", "offset must be"),
        ("count=yes", "count", "count must be true or false"),
        ("search=" + "x" * 201, "search", "search must not exceed 200 characters"),
        ("search=" + "x" * 10_000, "search", "search must not exceed 200 characters"),
    ],
)
def test_an_invalid_value_is_rejected_with_the_name_of_its_parameter(
    client: FlaskClient, query: str, field: str, detail: str
) -> None:
    response = client.get(f"/api/todos?{query}")

    assert response.status_code == 400
    assert response.get_json()["detail"].startswith(detail)
    assert list(response.get_json()["errors"]) == [field]


@pytest.mark.parametrize(
    "query",
    [
        "status=completed&status=incomplete",
        "status=completed&status=completed",
        "search=milk&search=bread",
        "sort_by=id&sort_by=id",
        "order=asc&order=desc",
        "limit=1&limit=2",
        "limit=1&limit=",
        "offset=0&limit=1&offset=1",
        "cursor=&cursor=",
        "count=true&count=false",
    ],
)
def test_a_repeated_parameter_of_a_list_is_rejected_by_name(
    client: FlaskClient, query: str
) -> None:
    check_repetition(client, "GET", query)


@pytest.mark.parametrize(
    "query",
    [
        "status=completed&status=incomplete",
        "search=x&search=x&status=incomplete",
        "updated_before=2025-12-28T10:00:00Z&updated_before=2025-12-28T10:00:00Z&status=incomplete",
    ],
)
@pytest.mark.parametrize("method", ["DELETE", "PATCH"])
def test_a_repeated_parameter_of_a_bulk_change_is_rejected_by_name(
    client: FlaskClient, todos: list[Any], method: str, query: str
) -> None:
    check_repetition(client, method, query)
    assert client.get("/api/todos").get_json() == todos


def check_repetition(client: FlaskClient, method: str, query: str) -> None:
    """Check that the first parameter of a query is refused for its repetition."""
    name = query.partition("=")[0]

    response = client.open(f"/api/todos?{query}", method=method, json={"completed": True})

    assert response.status_code == 400
    assert response.get_json() == {
        "detail": f"{name} must not be repeated",
        "errors": {name: [f"{name} must not be repeated"]},
    }


def test_every_repeated_parameter_is_reported_except_unknown_ones(
    client: FlaskClient, todos: list[Any]
) -> None:
    response = client.get("/api/todos?limit=1&order=asc&order=asc&limit=1&utm=a&utm=b")

    assert list(response.get_json()["errors"]) == ["order", "limit"]
    assert client.get("/api/todos?utm=a&utm=b").get_json() == todos


# Search


@pytest.mark.parametrize(
    ("search", "description", "found"),
    [
        ("gro mil", "Buy groceries and milk", True),
        ("MILK  buy", "Buy groceries and milk", True),
        ("milk", "Buy groceries", False),
        ("gro milk", "Buy groceries", False),
        ("rocer", "Buy groceries", False),
        ("groceriess", "Buy groceries", False),
        ("milk", "Buy (organic) milk/bread", True),
        ("bread", "milk/bread", True),
        ("мол", "Купить Молоко", True),
        ("ОДΌΣ", "οδός", False),
        ("ΟΔΌΣ", "οδός", True),
        ("κοσ", "κοσμος", True),
        ("κος", "ΚΟΣΜΟΣ", True),
        ("\x1c", "Buy milk", True),
        ("buy\x1cmilk", "Buy milk", True),
        ("émile", "Call ÉMILE", True),
        ("牛奶", "我要买牛奶", True),
        ("हिन्", "हिन्दी सीखो", True),
        ("🎉", "party🎉", True),
        ("🎉", "party", False),
        ("50%", "Save 50% today", True),
        ("%", "Save 50% today", True),
        ("%", "Save 50 today", False),
        ("_", "Save 50 today", False),
        ("'", "don't", True),
        ("'", "dont", False),
        (":*", "Buy milk", False),
        (":*", "a :* b", True),
        ("!", "Buy milk", False),
        ("!milk", "Buy milk", False),
        ("buy & !milk | (", "Buy milk", False),
        ("\\", "C:\\temp", True),
        ("it\\'s", "it\\'s", True),
        ("", "Buy milk", True),
        ("   ", "Buy milk", True),
        ("buy\tmilk\u3000", "Buy milk", True),
        ("\0", "Buy milk", True),
        ("\u200b\u00ad", "Buy milk", True),
        # Equivalent spellings: composed and decomposed, and compatibility characters.
        ("caf\u00e9", "Cafe\u0301 at noon", True),
        ("cafe\u0301", "Caf\u00e9 at noon", True),
        ("\u304c", "\u304b\u3099", True),
        ("\ud55c\uad6d", "\u1112\u1161\u11ab\u1100\u116e\u11a8", True),
        ("milk", "\uff4d\uff49\uff4c\uff4b", True),
        ("ミルク", "\uff90\uff99\uff78", True),
        ("find", "\ufb01nd the key", True),
        ("2", "m²", False),
        ("m2", "10 m²", True),
        # Case folding.
        ("STRASSE", "Straße 5", True),
        ("straße", "STRASSE 5", True),
        ("istanbul", "İSTANBUL", True),
        ("ΆΔΩΝΙΣ", "άδωνις", True),
        # Accents, vowel points, and letters with a stroke.
        ("cafe", "Café", True),
        ("Café", "cafe", True),
        ("zolc", "żółć", True),
        ("ёлка", "елка", True),
        ("smorrebrod", "Smørrebrød", True),
        ("שלום", "שָׁלוֹם", True),
        ("محمد", "مُحَمَّد", True),
        # Ignorable characters.
        ("groceries", "groceries\u200b", True),
        ("groceries", "gro\u00adceries", True),
        ("gro\u00adceries", "groceries", True),
        ("❤", "❤\ufe0f", True),
        # Apostrophes, quotation marks and hyphens of other keyboards.
        ("mom's", "Call mom\u2019s friend", True),
        ("mom\u2019s", "Call mom's friend", True),
        ("mom\u00b4s", "Call mom\u2018s friend", True),
        # The wave dash of Japanese keyboards: of a Mac, and of Windows.
        ("10\u301c12", "10\uff5e12", True),
        ("l'eau", "l\u02bceau", True),
        ('"milk"', "“milk”", True),
        ("well-known", "well\u2011known", True),
        ("well\u2010known", "well-known", True),
        ("10-12", "10\u201312 h", True),
        # Scripts without spaces between words.
        ("ミルク", "スーパーでミルクを買う", True),
        ("みるく", "スーパーでミルクを買う", False),
        ("ルミ", "スーパーでミルクを買う", False),
        ("買", "スーパーでミルクを買う", True),
        ("う", "スーパーでミルクを買う", True),
        ("2本", "牛乳を2本買う", True),
        ("นม", "ไปซื้อนมที่ร้าน", True),
        ("มน", "ไปซื้อนมที่ร้าน", False),
        ("ນົມ", "ໄປຊື້ນົມຢູ່ຮ້ານ", True),
        ("ទឹក", "ទិញទឹកដោះគោ", True),
        ("နို့", "ဆိုင်မှာနို့ဝယ်", True),
        ("奶牛", "我要买牛奶", False),
        ("牛 买", "我要买牛奶", True),
        ("milk 牛奶", "milk 我要买牛奶", True),
        # Words that are used only up to the eighth.
        ("a b c d e f g h i", "a b c d e f g h", True),
        ("a b c d e f g h i", "a b c d e f g", False),
    ],
)
def test_a_search_matches_a_prefix_for_every_word(
    client: FlaskClient, search: str, description: str, found: bool
) -> None:
    create_todos(client, description)

    response = client.get("/api/todos", query_string={"search": search})

    assert descriptions(response) == ([description] if found else [])


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(TEXT)
@example("\\" * 200)
@example("'" * 200)
@example("ΐ" * 200)
@example("\u0130\u1e9e\ufb03")
def test_any_text_is_a_valid_search_and_finds_the_todo_with_that_text(
    client: FlaskClient, sql: Sql, text: str
) -> None:
    sql("TRUNCATE todos")
    valid = not TodoCreateSchema().validate({"description": text})
    if valid:
        create_todos(client, text)

    response = client.get("/api/todos", query_string={"search": text})

    assert descriptions(response) == ([text] if valid else [])


def test_a_search_combines_with_filter_sorting_pagination_and_count(
    client: FlaskClient, todos: list[Any]
) -> None:
    matching = [todo for todo in todos if todo["description"] == "todo 2" and not todo["completed"]]
    query = "/api/todos?search=2+tod&status=incomplete&sort_by=updated_at&order=desc&count=true"

    response = client.get(f"{query}&limit=1")

    expected = sorted(matching, key=lambda todo: (todo["updated_at"], todo["id"]), reverse=True)
    assert len(expected) > 1
    assert response.headers["X-Total-Count"] == str(len(expected))
    assert list(chain.from_iterable(pages(client, f"{query}&limit=1"))) == expected


# Total count and HEAD


def test_the_total_count_ignores_pagination(client: FlaskClient, todos: list[Any]) -> None:
    def count(query: str) -> str:
        return client.get(f"/api/todos?count=true&{query}").headers["X-Total-Count"]

    assert count("") == "12"
    assert count("limit=2&offset=11") == "12"
    assert count("status=completed&limit=1") == "4"
    assert count("search=nothing") == "0"
    assert count(f"limit=1&cursor={cursor_of(client.get('/api/todos?limit=9'))}") == "12"


def test_the_total_count_is_opt_in(client: FlaskClient) -> None:
    assert "X-Total-Count" not in client.get("/api/todos").headers
    assert "X-Total-Count" not in client.get("/api/todos?count=false").headers


def test_head_of_a_whole_list_returns_the_headers_of_get_but_reads_no_rows(
    client: FlaskClient, app: Flask, todos: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def read_batch(listing: Listing, size: int) -> lists.Batch:
        sizes.append(size)
        return read(listing, size)

    read = lists.read_batch
    monkeypatch.setattr(lists, "read_batch", read_batch)

    response = client.head("/api/todos?count=true")

    assert (response.status_code, response.data) == (200, b"")
    assert response.mimetype == "application/json"
    assert response.headers["X-Total-Count"] == "12"
    assert "Content-Length" not in response.headers
    assert sizes == [0]
    with app.app_context():
        assert read(Listing(), 0) == lists.Batch(b"", None, None)
    assert client.head("/api/todos?limit=0").status_code == 400


def test_sorting_by_description_is_alphabetical(client: FlaskClient) -> None:
    texts = ["Zebra", "banana", "Äpfel", "apple pie", "10", "Éclair", "eclair 2", "Яблоко", "арбуз"]
    create_todos(client, *texts)

    ascending = descriptions(client.get("/api/todos?sort_by=description"))

    assert ascending == [
        *("10", "Äpfel", "apple pie", "banana", "Éclair", "eclair 2", "Zebra", "арбуз", "Яблоко")
    ]
    descending = client.get("/api/todos?sort_by=description&order=desc")
    assert descriptions(descending) == ascending[::-1]
    assert [
        todo["description"]
        for page in pages(client, "/api/todos?sort_by=description&limit=2")
        for todo in page
    ] == ascending


@pytest.mark.parametrize("encoding", ["", "gzip"])
@pytest.mark.parametrize(
    "path",
    [
        *(*WHOLE_LISTS, "/api/todos?limit=0", "/api/todos?limit=2", "/api/todos?limit=1000"),
        *("/api/todos?limit=2&offset=4&count=true", "/api/todos/1", "/api/todos/999"),
        *("/health", "/health/live", "/openapi.json", "/docs", "/", "/nothing"),
    ],
)
def test_head_returns_the_status_and_the_headers_of_get(
    client: FlaskClient, todos: list[Any], path: str, encoding: str
) -> None:
    headers = {"Accept-Encoding": encoding, "X-Request-ID": "same"}

    get, head = client.get(path, headers=headers), client.head(path, headers=headers)

    assert (head.status_code, head.data) == (get.status_code, b"")
    missing = {name for name, _ in set(get.headers) - set(head.headers)}
    # A whole list is not read only to measure it.
    assert missing == ({"Content-Length"} if path in WHOLE_LISTS else set())
    assert set(head.headers) <= set(get.headers)


def test_head_of_an_unchanged_page_is_a_304(client: FlaskClient, todos: list[Any]) -> None:
    headers = {"If-None-Match": client.head("/api/todos?limit=2").headers["ETag"]}

    assert client.head("/api/todos?limit=2", headers=headers).status_code == 304
    assert client.get("/api/todos?limit=2", headers=headers).status_code == 304


# Streaming


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "BATCH_SIZE", 5)


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("sort_by", SORTS)
def test_a_list_of_several_batches_is_complete_and_sorted(
    client: FlaskClient, todos: list[Any], sort_by: str, order: str
) -> None:
    whole = client.get(f"/api/todos?sort_by={sort_by}&order={order}&limit=1000").get_json()

    assert len(whole) == 12
    assert client.get(f"/api/todos?sort_by={sort_by}&order={order}").get_json() == whole
    rest = client.get(f"/api/todos?sort_by={sort_by}&order={order}&offset=3&count=true")
    assert rest.get_json() == whole[3:]
    assert rest.headers["X-Total-Count"] == "12"


@pytest.mark.usefixtures("small_batches", "todos")
def test_a_streamed_list_is_valid_json_if_the_rest_is_deleted_meanwhile(
    client: FlaskClient, sql: Sql
) -> None:
    response = client.get("/api/todos", buffered=False)
    body = iter(response.iter_encoded())
    beginning = next(body)
    sql("DELETE FROM todos")

    assert [todo["id"] for todo in json.loads(beginning + b"".join(body))] == [1, 2, 3, 4, 5]


@pytest.mark.usefixtures("small_batches", "todos")
def test_a_streamed_list_has_every_surviving_todo_exactly_once(
    client: FlaskClient, sql: Sql
) -> None:
    response = client.get("/api/todos", buffered=False)
    body = iter(response.iter_encoded())
    beginning = next(body)
    sql("DELETE FROM todos WHERE id IN (2, 7)")
    sql("INSERT INTO todos (description) SELECT 'new' FROM generate_series(1, 20)")
    sql("UPDATE todos SET completed = true, updated_at = now()")

    found = [todo["id"] for todo in json.loads(beginning + b"".join(body))]
    assert found == [1, 2, 3, 4, 5, 6, *range(8, 33)]


@pytest.mark.usefixtures("small_batches", "todos")
def test_streaming_holds_no_connection_between_batches(client: FlaskClient, app: Flask) -> None:
    response = client.get("/api/todos", buffered=False)
    next(iter(response.iter_encoded()))

    with app.app_context():
        assert isinstance(db.engine.pool, QueuePool)
        assert db.engine.pool.checkedout() == 0
    response.close()


@pytest.mark.usefixtures("small_batches", "todos")
def test_a_database_error_while_streaming_aborts_the_response(
    client: FlaskClient, sql: Sql, caplog: pytest.LogCaptureFixture
) -> None:
    response = client.get("/api/todos", buffered=False)
    body = iter(response.iter_encoded())
    beginning = next(body)
    sql("ALTER TABLE todos RENAME TO elsewhere")

    with pytest.raises(ConnectionResetError):
        next(body)
    sql("ALTER TABLE elsewhere RENAME TO todos")
    assert not beginning.endswith(b"]")
    (record,) = caplog.records
    assert record.message.startswith("A list was cut off. Database: relation")


@pytest.mark.usefixtures("small_batches", "todos")
@pytest.mark.parametrize("query", ["search=todo", "sort_by=updated_at&status=incomplete"])
def test_a_list_without_an_index_is_searched_and_sorted_twice_at_most(
    client: FlaskClient, statements: Callable[[], list[str]], query: str
) -> None:
    expected = client.get(f"/api/todos?{query}&limit=1000").get_json()
    before = len(statements())

    assert client.get(f"/api/todos?{query}").get_json() == expected
    searching = [s for s in statements()[before:] if "ORDER BY" in s and "WITH ORDINALITY" not in s]
    assert len(searching) == 2


@pytest.mark.usefixtures("small_batches", "todos")
def test_todos_that_change_while_a_search_is_streamed_appear_once_as_they_are(
    client: FlaskClient, sql: Sql
) -> None:
    response = client.get("/api/todos?search=todo&sort_by=updated_at&order=desc", buffered=False)
    body = iter(response.iter_encoded())
    parts = [next(body), next(body), next(body)]
    sql("UPDATE todos SET description = 'changed', updated_at = now() + id * interval '1 s'")

    found = json.loads(b"".join([*parts, *body]))
    assert sorted(todo["id"] for todo in found) == list(range(1, 13))
    assert [todo["description"] for todo in found[10:]] == ["changed", "changed"]


def test_expensive_statements_leave_a_connection_for_others(
    make_app: Callable[..., Flask], database: str
) -> None:
    app = make_app(DATABASE_URL=database, WEB_THREADS="2", LOG_LEVEL="error")
    with psycopg2.connect(database) as locking, ThreadPoolExecutor() as pool:
        locking.cursor().execute("LOCK TABLE todos")
        with app.app_context():
            slow = pool.submit(app.test_client().get, "/api/todos?search=milk")
            wait_until(lambda: db.engine.pool.checkedout() == 1)  # type: ignore[attr-defined]
        refused = app.test_client().get("/api/todos?search=milk")
        ready = app.test_client().get("/health")
        locking.rollback()
        assert slow.result().status_code == 200
    locking.close()

    assert (refused.status_code, ready.status_code) == (503, 200)
    assert refused.get_json() == {"detail": "The service is overloaded"}


# Bulk changes


def test_a_bulk_delete_removes_only_matching_todos(client: FlaskClient, todos: list[Any]) -> None:
    response = client.delete("/api/todos?status=completed")

    assert (response.status_code, response.get_json()) == (200, {"deleted": 4})
    incomplete = [todo for todo in todos if not todo["completed"]]
    assert client.get("/api/todos").get_json() == incomplete
    assert client.delete("/api/todos?status=completed").get_json() == {"deleted": 0}


def test_a_bulk_patch_changes_only_matching_todos(client: FlaskClient, todos: list[Any]) -> None:
    response = client.patch("/api/todos?status=incomplete", json={"completed": True})

    assert (response.status_code, response.get_json()) == (200, {"updated": 8})
    after = client.get("/api/todos").get_json()
    assert {todo["completed"] for todo in after} == {True}
    for todo, before in zip(after, todos, strict=True):
        changed = not before["completed"]
        assert (todo["updated_at"] > before["updated_at"]) is changed
        assert todo["created_at"] == before["created_at"]


def test_bulk_changes_can_be_narrowed_by_a_search(client: FlaskClient, todos: list[Any]) -> None:
    patch = client.patch("/api/todos?status=incomplete&search=tod+2", json={"completed": True})
    assert patch.get_json() == {"updated": 2}

    delete = client.delete("/api/todos?status=completed&search=2")
    assert delete.get_json() == {"deleted": 3}
    assert len(client.get("/api/todos").get_json()) == 9


@pytest.mark.parametrize("query", ["", "?status=", "?status=all", "?search=x", "?Status=completed"])
@pytest.mark.parametrize("method", ["DELETE", "PATCH"])
def test_bulk_changes_require_a_status(
    client: FlaskClient, todos: list[Any], method: str, query: str
) -> None:
    body = {"completed": True} if method == "PATCH" else None

    response = client.open(f"/api/todos{query}", method=method, json=body)

    assert response.status_code == 400
    assert "status" in response.get_json()["errors"]
    assert client.get("/api/todos").get_json() == todos


@pytest.mark.parametrize(
    "parameter",
    [
        *("search=", "search=%20", "search=%00%09", "limit=1", "offset=5", "cursor=x"),
        *("search=todo&search=2", "status=completed"),  # beside status=incomplete
    ],
)
@pytest.mark.parametrize("method", ["DELETE", "PATCH"])
def test_bulk_changes_reject_parameters_that_would_not_narrow_them(
    client: FlaskClient, todos: list[Any], method: str, parameter: str
) -> None:
    body = {"completed": True} if method == "PATCH" else None

    response = client.open(f"/api/todos?status=incomplete&{parameter}", method=method, json=body)

    assert response.status_code == 400
    assert list(response.get_json()["errors"]) == [parameter.partition("=")[0]]
    assert client.get("/api/todos").get_json() == todos


@pytest.mark.parametrize("body", [{}, {"completed": None}, {"completed": 1}, {"description": "x"}])
def test_a_bulk_patch_requires_completed(
    client: FlaskClient, todos: list[Any], body: dict[str, Any]
) -> None:
    response = client.patch("/api/todos?status=incomplete", json=body)

    assert response.status_code == 400
    assert response.get_json()["errors"] == {"completed": ["completed must be true or false"]}
    assert client.get("/api/todos").get_json() == todos


def test_a_bulk_change_that_changes_nothing_writes_nothing(
    client: FlaskClient, todos: list[Any]
) -> None:
    response = client.patch("/api/todos?status=incomplete", json={"completed": False})

    assert response.get_json() == {"updated": 0}
    assert client.get("/api/todos").get_json() == todos


@pytest.mark.parametrize("method", ["DELETE", "PATCH"])
@pytest.mark.parametrize(
    "time",
    [
        "2025-12-28T10:00:00.000002Z",
        "2025-12-28t10:00:00.000002z",
        "2025-12-28 11:00:00.0000029+01:00",
    ],
)
def test_a_bulk_change_leaves_alone_what_was_changed_later(
    client: FlaskClient, todos: list[Any], method: str, time: str
) -> None:
    body = {"completed": True} if method == "PATCH" else None
    response = client.open(
        "/api/todos",
        method=method,
        query_string={"status": "incomplete", "updated_before": time},
        json=body,
    )

    later = [todo for todo in todos if todo["updated_at"] > "2025-12-28T10:00:00.000002Z"]
    before = [todo for todo in todos if todo not in later and not todo["completed"]]
    assert list(response.get_json().values()) == [len(before)]
    after = client.get("/api/todos").get_json()
    assert [todo for todo in after if todo in todos] == [
        todo for todo in todos if todo in later or todo["completed"]
    ]


@pytest.mark.parametrize(
    "time",
    [
        *("", "yesterday", "2025-12-28", "2025-12-28T10:00:00", "1766916000"),
        *("2025-12-28T10:00:00+01:00", "2025-02-30T10:00:00Z", "0000-12-31T23:59:59Z"),
        "\uff12\uff10\uff12\uff15-12-28T10:00:00Z",
    ],
)
@pytest.mark.parametrize("method", ["DELETE", "PATCH"])
def test_updated_before_must_be_a_time(
    client: FlaskClient, todos: list[Any], method: str, time: str
) -> None:
    # Not encoded: a + in a query string is a space.
    response = client.open(
        f"/api/todos?status=incomplete&updated_before={time}",
        method=method,
        json={"completed": True},
    )

    assert response.status_code == 400
    assert list(response.get_json()["errors"]) == ["updated_before"]
    assert client.get("/api/todos").get_json() == todos


@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
@pytest.mark.parametrize("method", ["DELETE", "PATCH"])
def test_a_bulk_change_with_a_precondition_is_refused(
    client: FlaskClient, todos: list[Any], method: str, header: str
) -> None:
    response = client.open(
        "/api/todos?status=incomplete",
        method=method,
        headers={header: "*"},
        json={"completed": True},
    )

    assert response.status_code == 400
    assert response.get_json()["detail"].startswith(f"{header} is not supported for bulk changes")
    assert client.get("/api/todos").get_json() == todos


@pytest.mark.parametrize(
    ("time", "deleted"),
    [
        ("0001-01-01T00:00:00+23:59", 0),
        ("9999-12-31T23:59:59-23:59", 8),
        ("2025-12-29T09:59:00.000005+23:59", 8),
    ],
)
def test_updated_before_may_have_any_offset_from_utc(
    client: FlaskClient, todos: list[Any], time: str, deleted: int
) -> None:
    query = {"status": "incomplete", "updated_before": time}

    assert client.delete("/api/todos", query_string=query).get_json() == {"deleted": deleted}
