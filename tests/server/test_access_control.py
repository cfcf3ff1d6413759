"""ACCESS_TOKEN on the real web process: several workers, restarts, logs and proxies."""

import re
import subprocess
from collections.abc import Callable, Iterator

import pytest
import requests

from tests.support.raw import exchange
from tests.support.waiting import wait_until
from tests.support.web import PROCFILE, ROOT, WebProcess, serving

TOKEN = "correct-horse-battery-staple"
OTHER_TOKEN = TOKEN.upper()
WITH_TOKEN = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def web(database: str) -> Iterator[WebProcess]:
    """Run a web process that requires the token."""
    with serving(DATABASE_URL=database, ACCESS_TOKEN=TOKEN) as process:
        yield process


def sign_in(web: WebProcess, token: str = TOKEN, **arguments: str) -> requests.Response:
    return web.request(
        "POST", "/login", data={"token": token}, headers=arguments, allow_redirects=False
    )


def on_every_worker(web: WebProcess, send: Callable[[], requests.Response]) -> set[int]:
    """Send a request until each worker has handled it; return the statuses."""
    statuses = set()
    wait_until(lambda: len(web.workers()) == 2)
    unseen = {worker.pid for worker in web.workers()}

    def is_complete() -> bool:
        response = send()
        statuses.add(response.status_code)
        line = rf"^\S+ \S+ \[(\d+)\] .* request_id={response.headers['X-Request-ID']}$"
        wait_until(lambda: re.search(line, web.output(), re.MULTILINE))
        match = re.search(line, web.output(), re.MULTILINE)
        unseen.discard(int(match[1]) if match else 0)
        return not unseen

    wait_until(is_complete)
    return statuses


def test_a_session_is_valid_on_every_worker_and_after_a_restart(
    web: WebProcess, database: str
) -> None:
    cookies = sign_in(web).cookies

    assert on_every_worker(web, lambda: web.request("GET", "/", cookies=cookies)) == {200}
    web.terminate()
    with serving(DATABASE_URL=database, ACCESS_TOKEN=TOKEN) as restarted:
        assert restarted.request("GET", "/api/todos", cookies=cookies).status_code == 200
    with serving(DATABASE_URL=database, ACCESS_TOKEN=OTHER_TOKEN) as changed:
        assert changed.request("GET", "/api/todos", cookies=cookies).status_code == 401


def test_five_wrong_tokens_are_counted_over_all_workers(web: WebProcess) -> None:
    cookies = sign_in(web).cookies

    assert [sign_in(web, "wrong").status_code for _ in range(6)] == [401] * 5 + [429]
    assert on_every_worker(web, lambda: sign_in(web)) == {429}
    # Those with a session, or with the token, are not affected.
    assert web.request("GET", "/api/todos", cookies=cookies).status_code == 200
    assert web.request("GET", "/api/todos", headers=WITH_TOKEN).status_code == 200


def test_behind_a_proxy_wrong_tokens_are_counted_by_client(database: str) -> None:
    environ = {"ACCESS_TOKEN": TOKEN, "TRUSTED_PROXIES": "1"}
    with serving(DATABASE_URL=database, **environ) as web:
        attacker, other = {"X-Forwarded-For": "203.0.113.1"}, {"X-Forwarded-For": "203.0.113.2"}
        assert [sign_in(web, "wrong", **attacker).status_code for _ in range(5)] == [401] * 5

        assert sign_in(web, **attacker).status_code == 429
        assert sign_in(web, **other).status_code == 303
        secure = sign_in(web, **other, **{"X-Forwarded-Proto": "https"})
        assert secure.headers["Set-Cookie"].startswith("__Host-todos-session=")
        assert "; Secure;" in secure.headers["Set-Cookie"]
        web.terminate()
        assert "POST /login 401" in web.output()
        assert "client=203.0.113.1 " in web.output()


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_log_has_the_client_of_a_401_but_never_a_secret(database: str, log_format: str) -> None:
    environ = {"LOG_FORMAT": log_format, "LOG_LEVEL": "debug", "LOG_SQL": "1", "METRICS": "1"}
    with serving(DATABASE_URL=database, ACCESS_TOKEN=TOKEN, **environ) as web:
        cookies = sign_in(web).cookies
        value = cookies["todos-session"]
        for method, path in (("GET", "/api/todos"), ("POST", "/api/todos"), ("GET", "/nothing")):
            for headers in ({}, WITH_TOKEN, {"Authorization": f"Bearer {OTHER_TOKEN}"}):
                web.request(method, path, headers=headers, json={"description": "x"})
            web.request(method, path, cookies=cookies, json={"description": "x"})
        sign_in(web, OTHER_TOKEN)
        web.request("GET", "/login", params={"next": f"/?token={TOKEN}"})
        web.request("POST", "/logout", cookies=cookies)
        metrics = web.request("GET", "/metrics", headers=WITH_TOKEN).text
        web.terminate()
        log = web.output()

    for secret in (TOKEN, OTHER_TOKEN, value, value.rpartition(".")[2], "Bearer"):
        assert secret not in log
        assert secret not in metrics
    lines = [line for line in log.splitlines() if re.search(r" 401 |\"status\":401", line)]
    assert len(lines) == 7
    assert all(re.search(r'client(=|":")127\.0\.0\.1', line) for line in lines)


@pytest.mark.parametrize(
    ("target", "status"),
    [
        *((b"//api/todos", 401), (b"/api%2ftodos", 401), (b"/health/../api/todos", 401)),
        *((b"/health/live/..", 401), (b"/static/../api/todos", 404), (b"/%68ealth", 200)),
        *((b"*", 401), (b"http://x/api/todos", 401), (b"/static/%2e%2e/api/todos", 404)),
        *((b"/health%00", 401), (b"/health;x", 401), (b"/health?/api/todos", 200)),
    ],
)
def test_no_spelling_of_a_path_passes_without_a_token(
    web: WebProcess, target: bytes, status: int
) -> None:
    found, body = exchange(web, b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")

    assert found == status, body
    assert isinstance(body, dict)


WARNING = "ACCESS_TOKEN is not set: every client that reaches"


@pytest.mark.parametrize(
    ("command", "environ", "warns"),
    [
        (PROCFILE["web"], {}, True),
        (f"{PROCFILE['web']} --bind 127.0.0.1:{{port}}", {}, False),
        (PROCFILE["web"], {"ACCESS_TOKEN": TOKEN}, False),
    ],
)
def test_an_open_service_that_other_machines_can_reach_logs_one_warning(
    database: str, command: str, environ: dict[str, str], warns: bool
) -> None:
    with serving(command, DATABASE_URL=database, **environ) as web:
        web.terminate()

        assert web.output().count(WARNING) == warns


def test_the_deployment_guide_gives_a_service_that_a_stranger_cannot_read(database: str) -> None:
    guide = (ROOT / "docs" / "deployment.md").read_text().split("\n## A machine of your own\n")[1]
    command = next(line for line in guide.splitlines() if line.startswith("$ export ACCESS_TOKEN"))
    token = subprocess.run(
        ["bash", "-c", command.removeprefix("$ ")], capture_output=True, text=True, check=True
    ).stdout.strip()
    with serving(DATABASE_URL=database, ACCESS_TOKEN=token) as web:
        for path in ("/", "/api/todos", "/docs", "/openapi.json", "/metrics", "/nothing"):
            assert web.request("GET", path).status_code == 401
        headers = {"Authorization": f"Bearer {token}"}
        assert web.request("GET", "/api/todos", headers=headers).json() == []


def test_a_short_token_ends_the_start_with_one_line_that_does_not_show_it(
    database: str,
) -> None:
    environ = {"ACCESS_TOKEN": "s3cret"}
    web = WebProcess(DATABASE_URL=database, **environ)

    assert web.process.wait(timeout=30) == 1
    assert web.output() == (
        "Configuration error: ACCESS_TOKEN must have 20 to 1000 characters, not 6\n"
    )
    web.log.close()
