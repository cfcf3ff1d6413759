"""Security response headers."""

import re
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none';"
        " object-src 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
REQUESTS = [
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


def security_headers(headers: Headers) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name in HEADERS}


@pytest.mark.parametrize(("method", "path", "status"), REQUESTS)
def test_every_response_has_the_security_headers(
    client: FlaskClient, method: str, path: str, status: int
) -> None:
    with client.open(path, method=method) as response:
        assert response.status_code == status
        assert security_headers(response.headers) == HEADERS


def test_a_response_without_a_body_has_the_security_headers(client: FlaskClient) -> None:
    created = client.post("/api/todos", json={"description": "x"})
    path, etag = created.headers["Location"], created.headers["ETag"]
    not_modified = client.get(path, headers={"If-None-Match": etag})
    deleted = client.delete(path)

    assert [not_modified.status_code, deleted.status_code] == [304, 204]
    for response in (created, not_modified, deleted):
        assert security_headers(response.headers) == HEADERS


def test_a_503_response_has_the_security_headers(make_app: Callable[..., Flask]) -> None:
    client = make_app(DATABASE_URL="postgresql://ann@127.0.0.1:1/todos").test_client()

    response = client.get("/api/todos")

    assert response.status_code == 503
    assert security_headers(response.headers) == HEADERS


def test_a_500_response_has_the_security_headers(make_app: Callable[..., Flask]) -> None:
    app = make_app(DATABASE_URL="postgresql://db/todos")
    app.add_url_rule("/broken", view_func=lambda: str(1 / 0))

    response = app.test_client().get("/broken")

    assert response.status_code == 500
    assert security_headers(response.headers) == HEADERS


@pytest.mark.parametrize("path", ["/docs", "/docs/"])
def test_only_docs_may_load_images_from_data_urls(client: FlaskClient, path: str) -> None:
    headers = security_headers(client.get(path).headers)

    policy = f"{HEADERS['Content-Security-Policy']}; img-src 'self' data:"
    assert headers == {**HEADERS, "Content-Security-Policy": policy}


def test_no_policy_allows_inline_code_or_other_origins(
    client: FlaskClient,
) -> None:
    for path in ("/", "/docs"):
        policy = client.get(path).headers["Content-Security-Policy"]
        sources = {source for rule in policy.split("; ") for source in rule.split()[1:]}
        assert sources <= {"'self'", "'none'", "data:"}


@pytest.mark.parametrize(
    ("trusted", "scheme", "sent"),
    [("1", "https", True), ("1", "http", False), ("0", "https", False)],
)
def test_hsts_is_sent_only_for_requests_over_https(
    make_app: Callable[..., Flask], trusted: str, scheme: str, sent: bool
) -> None:
    app = make_app(DATABASE_URL="postgresql://db/todos", TRUSTED_PROXIES=trusted)

    headers = app.test_client().get("/nowhere", headers={"X-Forwarded-Proto": scheme}).headers

    assert ("Strict-Transport-Security" in headers) is sent
    if sent:
        age = re.fullmatch(r"max-age=(\d+)", headers["Strict-Transport-Security"])
        assert age is not None
        assert int(age[1]) >= 365 * 24 * 3600
