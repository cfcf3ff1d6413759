"""CORS: the default origins, configured origins, and all others."""

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

LOCAL_ORIGINS = [f"http://{h}:{p}" for h in ("localhost", "127.0.0.1") for p in (3000, 3001, 3002)]
OTHER_ORIGINS = [
    *("http://localhost:3003", "https://localhost:3000", "http://evil.example", "null"),
    *("*", "", "localhost:3000", "http://localhost", "http://localhost:3000/", "http://"),
    *("http://localhost:30000", "http://localhost:3000.evil.example", "http://x@localhost:3000"),
    *("http://evil.example,http://localhost:3000", "http://localhost:3000 http://evil.example"),
]
EXPOSED_HEADERS = {
    *("ETag", "Idempotent-Replayed", "Link", "Location"),
    *("Retry-After", "X-Request-ID", "X-Total-Count"),
}


def preflight(client: FlaskClient, origin: str, method: str) -> dict[str, str]:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "content-type",
    }
    response = client.options("/api/todos/1", headers=headers)
    assert response.status_code == 200
    return dict(response.headers)


@pytest.mark.parametrize("origin", LOCAL_ORIGINS)
def test_local_origins_are_allowed_by_default(client: FlaskClient, origin: str) -> None:
    headers = client.get("/api/todos", headers={"Origin": origin}).headers

    assert headers["Access-Control-Allow-Origin"] == origin
    assert set(headers["Access-Control-Expose-Headers"].split(", ")) == EXPOSED_HEADERS
    assert "Origin" in headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in headers


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_an_allowed_origin_may_use_every_method(client: FlaskClient, method: str) -> None:
    headers = preflight(client, "http://localhost:3000", method)

    assert headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert method in headers["Access-Control-Allow-Methods"].split(", ")
    assert headers["Access-Control-Allow-Headers"] == "content-type"


@pytest.mark.parametrize("origin", OTHER_ORIGINS)
def test_other_origins_are_not_allowed(client: FlaskClient, origin: str) -> None:
    simple = dict(client.get("/api/todos", headers={"Origin": origin}).headers)

    for headers in (simple, preflight(client, origin, "POST")):
        assert not [name for name in headers if name.startswith("Access-Control-Allow")]


def test_a_request_without_an_origin_gets_no_allow_origin_header(client: FlaskClient) -> None:
    assert "Access-Control-Allow-Origin" not in client.get("/api/todos").headers


def test_error_responses_have_cors_headers(client: FlaskClient) -> None:
    response = client.get("/api/todos/1", headers={"Origin": "http://localhost:3000"})

    assert response.status_code == 404
    assert response.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"


def test_configured_origins_replace_the_default_ones(make_app: Callable[..., Flask]) -> None:
    app = make_app(
        DATABASE_URL="postgresql://db/todos", CORS_ORIGINS="https://a.example,https://b.example"
    )

    def allowed(origin: str) -> str | None:
        response = app.test_client().get("/health/live", headers={"Origin": origin})
        return response.headers.get("Access-Control-Allow-Origin")

    assert allowed("https://b.example") == "https://b.example"
    assert allowed("http://localhost:3000") is None


def test_an_origin_is_not_a_pattern(make_app: Callable[..., Flask]) -> None:
    app = make_app(DATABASE_URL="postgresql://db/todos", CORS_ORIGINS="https://a.example")

    response = app.test_client().get("/health/live", headers={"Origin": "https://aXexample"})

    assert "Access-Control-Allow-Origin" not in response.headers


def test_an_empty_list_of_origins_allows_none(make_app: Callable[..., Flask]) -> None:
    client = make_app(DATABASE_URL="postgresql://db/todos", CORS_ORIGINS="").test_client()

    headers = client.get("/health/live", headers={"Origin": "http://localhost:3000"}).headers

    assert "Access-Control-Allow-Origin" not in headers


def test_other_origins_get_no_cors_headers_for_any_method(client: FlaskClient) -> None:
    for method in ("GET", "HEAD", "OPTIONS", "POST", "PATCH", "DELETE"):
        headers = client.open(
            "/api/todos", method=method, headers={"Origin": "http://evil.example"}
        ).headers
        assert not [name for name, _ in headers if name.startswith("Access-Control-")]


def test_responses_vary_by_origin(
    make_app: Callable[..., Flask],
) -> None:
    app = make_app(DATABASE_URL="postgresql://db/todos", CORS_ORIGINS="https://a.example")
    client = app.test_client()

    for origin in ({"Origin": "https://a.example"}, {"Origin": "https://b.example"}, {}):
        assert client.get("/health/live", headers=origin).headers.getlist("Vary") == ["Origin"]


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_a_wildcard_origin_never_allows_credentials(
    make_app: Callable[..., Flask], method: str
) -> None:
    client = make_app(DATABASE_URL="postgresql://db/todos", CORS_ORIGINS="*").test_client()

    headers = client.open(
        "/health/live",
        method=method,
        headers={"Origin": "https://a.example", "Access-Control-Request-Method": "GET"},
    ).headers

    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in headers
