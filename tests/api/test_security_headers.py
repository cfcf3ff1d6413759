"""What every answer tells a browser not to do with it."""

import re
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none';"
        " object-src 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
ANSWERS = [
    ("GET", "/api/todos", 200),
    ("HEAD", "/api/todos", 200),
    ("OPTIONS", "/api/todos", 200),
    ("POST", "/api/todos", 400),
    ("DELETE", "/api/todos", 400),
    ("GET", "/api/todos/1", 404),
    ("PUT", "/api/todos/1", 405),
    ("GET", "/nowhere", 404),
    ("GET", "/health", 200),
    ("GET", "/health/live", 200),
    ("GET", "/openapi.json", 200),
    ("GET", "/docs/assets/swagger-ui.css", 200),
    ("GET", "/docs/assets/nowhere", 404),
    ("GET", "/", 200),
    ("HEAD", "/", 200),
    ("POST", "/", 405),
    ("GET", "/static/any/main.js", 200),
    ("GET", "/static/any/nowhere", 404),
]


def security_headers(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name in HEADERS}


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
def test_every_answer_has_the_headers(
    client: FlaskClient, method: str, path: str, status: int
) -> None:
    with client.open(path, method=method) as response:
        assert response.status_code == status
        assert security_headers(response.headers) == HEADERS


def test_an_answer_with_no_body_has_the_headers_too(client: FlaskClient) -> None:
    created = client.post("/api/todos", json={"description": "x"})
    path, etag = created.headers["Location"], created.headers["ETag"]
    known = client.get(path, headers={"If-None-Match": etag})
    deleted = client.delete(path)

    assert [known.status_code, deleted.status_code] == [304, 204]
    for answer in (created, known, deleted):
        assert security_headers(answer.headers) == HEADERS


def test_an_answer_without_a_database_has_the_headers_too(make_app: Callable[..., Flask]) -> None:
    client = make_app(DATABASE_URL="postgresql://ann@127.0.0.1:1/todos").test_client()

    response = client.get("/api/todos")

    assert response.status_code == 503
    assert security_headers(response.headers) == HEADERS


def test_an_answer_that_nobody_foresaw_has_the_headers_too(make_app: Callable[..., Flask]) -> None:
    app = make_app(DATABASE_URL="postgresql://db/todos")
    app.add_url_rule("/broken", view_func=lambda: 1 / 0)

    response = app.test_client().get("/broken")

    assert response.status_code == 500
    assert security_headers(response.headers) == HEADERS


@pytest.mark.parametrize("path", ["/docs", "/docs/"])
def test_only_the_page_of_the_description_may_show_pictures_of_its_style_sheet(
    client: FlaskClient, path: str
) -> None:
    headers = security_headers(client.get(path).headers)

    policy = f"{HEADERS['Content-Security-Policy']}; img-src 'self' data:"
    assert headers == {**HEADERS, "Content-Security-Policy": policy}


def test_no_policy_allows_what_stands_in_a_page_or_comes_from_elsewhere(
    client: FlaskClient,
) -> None:
    for path in ("/", "/docs"):
        policy = client.get(path).headers["Content-Security-Policy"]
        sources = {source for rule in policy.split("; ") for source in rule.split()[1:]}
        assert sources <= {"'self'", "'none'", "data:"}


@pytest.mark.parametrize(
    ("trusted", "scheme", "told"),
    [("1", "https", True), ("1", "http", False), ("0", "https", False)],
)
def test_https_is_to_be_kept_where_the_request_came_by_it(
    make_app: Callable[..., Flask], trusted: str, scheme: str, told: bool
) -> None:
    app = make_app(DATABASE_URL="postgresql://db/todos", TRUSTED_PROXIES=trusted)

    headers = app.test_client().get("/nowhere", headers={"X-Forwarded-Proto": scheme}).headers

    assert ("Strict-Transport-Security" in headers) is told
    if told:
        age = re.fullmatch(r"max-age=(\d+)", headers["Strict-Transport-Security"])
        assert age is not None
        assert int(age[1]) >= 365 * 24 * 3600
