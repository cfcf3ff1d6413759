"""The access token, the session of the page, and changes that other sites cause."""

import time
from collections.abc import Callable
from datetime import timedelta
from http.cookies import SimpleCookie
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

TOKEN = "correct-horse-battery-staple"
WITH_TOKEN = {"Authorization": f"Bearer {TOKEN}"}
WITH_WRONG_TOKEN = {"Authorization": "Bearer wrong-horse-battery-staple"}
EVIL = "https://evil.example"
FRONTEND = "https://todos.example.com"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}

# Path, method, status with the token. Without it, the status is 401.
PRIVATE = [
    ("/", "GET", 200),
    ("/api/todos", "GET", 200),
    ("/api/todos/", "HEAD", 200),
    ("/api/todos", "POST", 400),
    ("/api/todos", "PATCH", 400),
    ("/api/todos?status=completed", "DELETE", 200),
    ("/api/todos", "OPTIONS", 200),
    ("/api/todos", "PUT", 405),
    ("/api/todos/1", "GET", 404),
    ("/api/todos/x", "GET", 404),
    ("/docs", "GET", 200),
    ("/docs/assets/swagger-ui.css", "GET", 200),
    ("/openapi.json", "GET", 200),
    ("/health/nothing", "GET", 404),
    ("/healthy", "GET", 404),
    ("/static", "GET", 404),
    ("/login/x", "GET", 404),
    ("/logout", "GET", 405),
    ("/metrics", "GET", 404),
    ("/nothing", "GET", 404),
    ("/api%2ftodos", "GET", 404),
]
PUBLIC = [
    ("/health", "GET", 200),
    ("/health/", "HEAD", 200),
    ("/health", "POST", 405),
    ("/health/live", "GET", 200),
    ("/static/0/page.css", "GET", 200),
    ("/static/0/nothing", "GET", 404),
    ("/login", "GET", 200),
    ("/login/", "HEAD", 200),
    ("/login", "DELETE", 405),
]


@pytest.fixture(scope="module")
def closed_app(
    databases: Callable[..., str], template: str, make_app: Callable[..., Flask]
) -> Flask:
    """Create an application that requires the token."""
    return make_app(DATABASE_URL=databases(template), ACCESS_TOKEN=TOKEN, CORS_ORIGINS=FRONTEND)


@pytest.fixture
def closed(closed_app: Flask) -> FlaskClient:
    """Return a client that has neither the token nor a session."""
    return closed_app.test_client()


@pytest.fixture
def signed_in(closed: FlaskClient) -> FlaskClient:
    """Return a client with a session."""
    assert sign_in(closed).status_code == 303
    return closed


@pytest.fixture
def let_pass(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Return a function that lets the time since the beginning of the test pass."""
    start = time.time()

    def let(duration: timedelta) -> None:
        monkeypatch.setattr(time, "time", lambda: start + duration.total_seconds())

    return let


def sign_in(client: FlaskClient, token: str = TOKEN, **arguments: Any) -> TestResponse:
    return client.post("/login", data={"token": token}, **arguments)


def cookie_of(response: TestResponse) -> Any:
    """Return the only cookie that a response sets."""
    (cookie,) = SimpleCookie(response.headers["Set-Cookie"]).values()
    return cookie


def assert_unauthorized(response: TestResponse, detail: str) -> None:
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.headers["X-Request-ID"]
    if response.request.method != "HEAD":
        assert response.get_json() == {"detail": detail}


@pytest.mark.parametrize(("path", "method", "status"), PRIVATE)
def test_private_paths_require_the_token_or_a_session(
    closed: FlaskClient, path: str, method: str, status: int
) -> None:
    anonymous = closed.open(path, method=method)
    wrong = closed.open(path, method=method, headers=WITH_WRONG_TOKEN)
    authorized = closed.open(path, method=method, headers=WITH_TOKEN, buffered=True)
    sign_in(closed)
    in_session = closed.open(path, method=method, buffered=True)

    assert_unauthorized(anonymous, "Sign in at /login, or send Authorization: Bearer <token>")
    assert_unauthorized(wrong, "The access token is wrong")
    assert (authorized.status_code, in_session.status_code) == (status, status)
    for response in (authorized, in_session):
        assert response.cache_control.private is True


@pytest.mark.parametrize("headers", [{}, WITH_TOKEN, WITH_WRONG_TOKEN])
@pytest.mark.parametrize(("path", "method", "status"), PUBLIC)
def test_public_paths_require_no_token(
    closed: FlaskClient, path: str, method: str, status: int, headers: dict[str, str]
) -> None:
    assert closed.open(path, method=method, headers=headers).status_code == status


def test_preflight_requests_require_no_token(closed: FlaskClient) -> None:
    preflight = {
        "Origin": FRONTEND,
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    response = closed.options("/api/todos/1", headers=preflight)

    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == FRONTEND
    assert response.headers["Access-Control-Allow-Headers"] == "authorization, content-type"


def test_a_frontend_can_read_a_401(closed: FlaskClient) -> None:
    response = closed.get("/api/todos", headers={"Origin": FRONTEND})

    assert response.status_code == 401
    assert response.headers["Access-Control-Allow-Origin"] == FRONTEND


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    path=st.text(st.characters(codec="utf-8", exclude_characters="?#"))
    | st.lists(
        st.sampled_from(["api", "todos", "1", "static", "health", "login", "..", ".", "", "%2e"])
    ).map("/".join),
    method=st.sampled_from(["GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS", "PUT", "BREW"]),
)
@example(path="health/../api/todos", method="GET")
@example(path="/health", method="GET")
def test_without_a_token_every_other_path_is_401(closed_app: Flask, path: str, method: str) -> None:
    # The test client takes what follows two slashes for a host: tests/server has those.
    response = closed_app.test_client().open(f"/{path.lstrip('/')}", method=method)

    requested = response.request.path
    is_public = requested.startswith("/static/") or requested.removesuffix("/") in (
        *("/health", "/health/live", "/login"),
    )
    assert is_public or response.status_code == 401


@pytest.mark.parametrize(
    "header",
    [
        f"bearer {TOKEN}",
        f"BEARER  {TOKEN}",
    ],
)
def test_the_name_of_the_scheme_is_case_insensitive(closed: FlaskClient, header: str) -> None:
    response = closed.get("/api/todos", headers={"Authorization": header})

    assert response.status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        "",
        TOKEN,
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN.upper()}",
        f"Bearer {TOKEN}, Bearer {TOKEN}",
        f"Basic {TOKEN}",
        "Bearer \u00fc\u00e9",
    ],
)
def test_any_other_authorization_is_401(closed: FlaskClient, header: str) -> None:
    assert closed.get("/api/todos", headers={"Authorization": header}).status_code == 401


def test_a_wrong_token_is_401_even_within_a_session(signed_in: FlaskClient) -> None:
    assert signed_in.get("/api/todos", headers=WITH_WRONG_TOKEN).status_code == 401


def test_a_session_is_valid_beside_the_credentials_of_a_proxy(signed_in: FlaskClient) -> None:
    response = signed_in.get("/api/todos", headers={"Authorization": "Basic YW5uOnB3"})

    assert response.status_code == 200


def test_the_session_cookie_over_https_is_bound_to_this_host(closed: FlaskClient) -> None:
    cookie = cookie_of(sign_in(closed, base_url=FRONTEND))

    assert cookie.key == "__Host-todos-session"
    assert cookie["secure"] is True
    assert cookie["httponly"] is True
    assert (cookie["samesite"], cookie["path"], cookie["domain"]) == ("Strict", "/", "")
    assert cookie["max-age"] == str(30 * 24 * 3600)
    assert closed.get("/api/todos", base_url=FRONTEND).status_code == 200


def test_the_session_cookie_over_plain_http_has_no_prefix(closed: FlaskClient) -> None:
    cookie = cookie_of(sign_in(closed))

    assert (cookie.key, cookie["secure"], cookie["httponly"]) == ("todos-session", "", True)


def test_a_session_over_plain_http_is_not_valid_over_https(closed: FlaskClient) -> None:
    value = cookie_of(sign_in(closed)).value
    closed.set_cookie("todos-session", value, domain="todos.example.com")

    assert closed.get("/api/todos", base_url=FRONTEND).status_code == 401


@pytest.mark.parametrize(
    "forge",
    [
        lambda value: "",
        lambda value: value[:-1],
        lambda value: value + "x",
        lambda value: value.replace("session", "session2"),
        lambda value: "session",
        lambda value: "session.x.y",
        lambda value: f"session.{TOKEN}",
        lambda value: "\u00fc",
    ],
)
def test_a_forged_session_is_401(closed: FlaskClient, forge: Callable[[str], str]) -> None:
    value = forge(cookie_of(sign_in(closed)).value)

    closed.set_cookie("todos-session", value)

    assert closed.get("/api/todos").status_code == 401


def test_a_session_of_another_token_is_401(
    closed: FlaskClient, closed_app: Flask, make_app: Callable[..., Flask]
) -> None:
    url = closed_app.config["SQLALCHEMY_DATABASE_URI"].render_as_string(hide_password=False)
    other = make_app(DATABASE_URL=url, ACCESS_TOKEN=TOKEN.upper()).test_client()
    value = cookie_of(sign_in(closed)).value

    other.set_cookie("todos-session", value)

    assert other.get("/api/todos").status_code == 401


def test_a_session_lasts_30_days_without_use(
    signed_in: FlaskClient, let_pass: Callable[[timedelta], None]
) -> None:
    let_pass(timedelta(days=31))

    assert signed_in.get("/api/todos").status_code == 401


def test_a_session_that_is_used_does_not_expire(
    signed_in: FlaskClient, let_pass: Callable[[timedelta], None]
) -> None:
    let_pass(timedelta(hours=23))
    assert "Set-Cookie" not in signed_in.get("/api/todos").headers
    for days in (20, 40, 60):
        let_pass(timedelta(days=days))
        response = signed_in.get("/api/todos")
        assert response.status_code == 200
        assert "Set-Cookie" in response.headers


def test_signing_out_removes_the_cookie(signed_in: FlaskClient) -> None:
    response = signed_in.post("/logout")

    assert (response.status_code, response.headers["Location"]) == (303, "/login")
    assert response.headers["Clear-Site-Data"] == '"cache"'
    assert signed_in.get("/api/todos").status_code == 401


def test_signing_out_does_not_renew_an_old_session(
    signed_in: FlaskClient, let_pass: Callable[[timedelta], None]
) -> None:
    let_pass(timedelta(days=2))

    assert len(signed_in.post("/logout").headers.getlist("Set-Cookie")) == 1
    assert signed_in.get("/api/todos").status_code == 401


@pytest.mark.parametrize(
    "path", ["/", "/?search=milk&status=completed", "/docs", "/docs/", "/?x=%C3%A9"]
)
def test_a_browser_without_a_session_gets_the_form(closed: FlaskClient, path: str) -> None:
    response = closed.get(path, headers=BROWSER)

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.headers.getlist("Content-Type") == ["text/html; charset=utf-8"]
    assert response.headers["Cache-Control"] == "no-store"
    assert 'autocomplete="current-password"' in response.text
    assert f'name="next" value="{path.replace("&", "&amp;")}"' in response.text


@pytest.mark.parametrize("path", ["/api/todos", "/nothing", "/openapi.json"])
def test_other_paths_are_json_for_a_browser_too(closed: FlaskClient, path: str) -> None:
    assert closed.get(path, headers=BROWSER).mimetype == "application/json"


def test_signing_in_leads_back_to_the_page(closed: FlaskClient) -> None:
    response = closed.post("/login", data={"token": TOKEN, "next": "/?search=milk"})

    assert (response.status_code, response.headers["Location"]) == (303, "/?search=milk")


@pytest.mark.parametrize(
    "elsewhere",
    [
        *("https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example"),
        *("/\t/evil.example", "/\n/evil.example", "javascript:alert(1)", "evil.example", ""),
        *("/\u00e9", " //evil.example", "/\r\nX: y"),
    ],
)
def test_signing_in_never_leads_to_another_site(closed: FlaskClient, elsewhere: str) -> None:
    shown = closed.get("/login", query_string={"next": elsewhere})
    response = closed.post("/login", data={"token": TOKEN, "next": elsewhere})

    assert 'name="next" value="/"' in shown.text
    assert (response.status_code, response.headers["Location"]) == (303, "/")


def test_what_next_contains_is_escaped(closed: FlaskClient) -> None:
    form = closed.get("/login", query_string={"next": '/?"><script>'}).text

    assert "<script>" not in form


@pytest.mark.parametrize("token", ["", "guess", TOKEN + "x", "\u00fc", "x" * 60_000])
def test_a_wrong_token_shows_the_form_again(closed_app: Flask, token: str) -> None:
    client = closed_app.test_client()
    address = {"REMOTE_ADDR": f"192.0.2.{len(token) % 250}"}
    response = sign_in(client, token, headers=BROWSER, environ_overrides=address)

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert "The access token is wrong" in response.text
    assert "Set-Cookie" not in response.headers
    if token:
        assert token not in response.text


def test_a_wrong_token_shows_the_form_also_with_a_trailing_slash(closed: FlaskClient) -> None:
    response = closed.post(
        "/login/",
        data={"token": "wrong", "next": "/docs"},
        headers=BROWSER,
        environ_overrides={"REMOTE_ADDR": "192.0.2.252"},
    )

    assert (response.status_code, response.mimetype) == (401, "text/html")
    assert 'name="next" value="/docs"' in response.text


def test_a_wrong_token_is_json_for_other_clients(closed: FlaskClient) -> None:
    response = sign_in(closed, "wrong", environ_overrides={"REMOTE_ADDR": "192.0.2.251"})

    assert_unauthorized(response, "The access token is wrong")


@pytest.mark.parametrize(
    ("attacker", "same_client", "other_client"),
    [
        ("203.0.113.1", "203.0.113.1", "203.0.113.2"),
        ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"),
        # Some proxies that listen on IPv6 send IPv4 addresses in this form.
        ("::ffff:203.0.113.3", "203.0.113.3", "::ffff:203.0.113.4"),
        ("192.0.2.77:1001", "192.0.2.77:1002", "192.0.2.78:1001"),
        ("unknown", "unknown", "_hidden"),
    ],
)
def test_five_wrong_tokens_in_a_minute_stop_only_their_client(
    closed: FlaskClient, attacker: str, same_client: str, other_client: str
) -> None:
    for _ in range(5):
        address = {"REMOTE_ADDR": attacker}
        assert sign_in(closed, "wrong", environ_overrides=address).status_code == 401

    refused = sign_in(closed, environ_overrides={"REMOTE_ADDR": same_client})
    accepted = sign_in(closed, environ_overrides={"REMOTE_ADDR": other_client})

    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert refused.get_json()["detail"].startswith("Too many wrong tokens: try again in")
    assert accepted.status_code == 303


CROSS_SITE = [
    {"Sec-Fetch-Site": "cross-site", "Origin": EVIL},
    {"Sec-Fetch-Site": "same-site", "Origin": "https://other.example.com"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "unknown", "Origin": "http://localhost"},
    {"Origin": EVIL},
    {"Origin": "null"},
    {"Origin": "http://localhost:81"},
    {"Origin": "http://localhost.evil.example"},
]
SAME_SITE = [
    {},
    {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"},
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": "http://localhost"},
    {"Origin": "http://LOCALHOST"},
]
CHANGES = [
    ("POST", "/api/todos"),
    ("PATCH", "/api/todos/1"),
    ("PATCH", "/api/todos?status=completed"),
    ("DELETE", "/api/todos/1"),
    ("DELETE", "/api/todos?status=completed"),
]


@pytest.mark.parametrize("headers", CROSS_SITE)
@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_a_change_that_another_site_causes_is_403(
    client: FlaskClient,
    signed_in: FlaskClient,
    method: str,
    path: str,
    headers: dict[str, str],
) -> None:
    origin = headers.get("Origin", "unknown")
    for each, detail in (
        (client, f"The origin '{origin}' must not change todos; see CORS_ORIGINS"),
        (signed_in, f"Only the page may use its session, not the origin '{origin}'"),
    ):
        response = each.open(path, method=method, json={"description": "x"}, headers=headers)

        assert response.status_code == 403
        assert response.get_json() == {"detail": detail}
        assert each.get("/api/todos", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("origin", "host"),
    [("http://nas.local", "nas.local:80"), ("https://nas.local", "nas.local:443")],
)
def test_the_default_port_in_host_is_no_other_site(
    client: FlaskClient, origin: str, host: str
) -> None:
    headers = {"Origin": origin, "Host": host}
    response = client.post("/api/todos", json={"description": "x"}, headers=headers)

    assert response.status_code == 201


def test_a_session_from_a_machine_whose_clock_is_fast_is_valid(
    signed_in: FlaskClient, let_pass: Callable[[timedelta], None]
) -> None:
    let_pass(timedelta(seconds=-5))

    assert signed_in.get("/api/todos").status_code == 200


@pytest.mark.parametrize("headers", CROSS_SITE)
def test_another_site_can_neither_sign_in_nor_sign_out(
    signed_in: FlaskClient, headers: dict[str, str]
) -> None:
    assert sign_in(signed_in, headers=headers).status_code == 403
    assert signed_in.post("/logout", headers=headers).status_code == 403
    assert signed_in.get("/api/todos").status_code == 200


@pytest.mark.parametrize(("method", "path"), [("PUT", "/api/todos"), ("0", "/api/todos/1")])
def test_a_method_that_the_path_does_not_support_is_405_for_every_site(
    client: FlaskClient, method: str, path: str
) -> None:
    assert client.open(path, method=method, headers={"Origin": EVIL}).status_code == 405


@pytest.mark.parametrize("headers", SAME_SITE)
def test_the_page_and_clients_that_are_no_browser_may_change_todos(
    client: FlaskClient, signed_in: FlaskClient, headers: dict[str, str]
) -> None:
    for each in (client, signed_in):
        response = each.post("/api/todos", json={"description": "x"}, headers=headers)
        assert response.status_code == 201


@pytest.mark.parametrize("site", [{}, {"Sec-Fetch-Site": "cross-site"}])
def test_an_allowed_origin_may_change_todos_with_the_token_but_not_with_the_session(
    closed: FlaskClient, site: dict[str, str]
) -> None:
    headers = {"Origin": FRONTEND, **site}
    by_token = closed.post(
        "/api/todos", json={"description": "x"}, headers={**headers, **WITH_TOKEN}
    )
    sign_in(closed)
    by_session = closed.post("/api/todos", json={"description": "x"}, headers=headers)

    assert (by_token.status_code, by_session.status_code) == (201, 403)


@pytest.mark.parametrize("origins", ["http://localhost:3000", "*"])
def test_allowed_origins_may_change_todos_of_an_open_service(
    make_app: Callable[..., Flask], database: str, origins: str
) -> None:
    client = make_app(DATABASE_URL=database, CORS_ORIGINS=origins).test_client()
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost:3000"}

    response = client.post("/api/todos", json={"description": "x"}, headers=headers)

    assert response.status_code == 201


def test_without_a_token_there_is_no_login(client: FlaskClient) -> None:
    for path in ("/login", "/logout"):
        assert client.get(path).get_json() == {"detail": "Not found"}
        assert client.post(path).get_json() == {"detail": "Not found"}


def test_the_page_of_an_open_service_has_no_sign_out_button(
    client: FlaskClient, signed_in: FlaskClient
) -> None:
    assert "Sign out" not in client.get("/").text
    assert "Sign out" in signed_in.get("/").text
    assert "Sign out" not in signed_in.get("/", headers=WITH_TOKEN).text


def test_the_api_description_has_the_scheme_if_a_token_is_required(
    closed: FlaskClient, client: FlaskClient
) -> None:
    document = closed.get("/openapi.json", headers=WITH_TOKEN).get_json()

    assert document["security"] == [{"accessToken": []}]
    scheme = {"type": "http", "scheme": "bearer"}
    assert document["components"]["securitySchemes"] == {"accessToken": scheme}
    for path, item in document["paths"].items():
        for operation in (item[method] for method in item if method != "parameters"):
            is_public = path.startswith("/health")
            assert operation.get("security") == ([] if is_public else None)
            assert ("401" in operation["responses"]) is not is_public
    open_document = client.get("/openapi.json").get_json()
    assert open_document["security"] == []
    assert "securitySchemes" not in open_document["components"]
    assert "401" not in open_document["components"]["responses"]
