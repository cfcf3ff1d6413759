"""Wrong and hostile requests, at random: an answer for each, and nothing is the worse for it.

FUZZ_REQUESTS says how many. Unset, it is a few, always the same; `make fuzz` sends 20,000, each
time others.
"""

import io
import json
import os
import re
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPResponse
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

import psutil
import pytest
import schemathesis
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from tests.api.test_security_headers import HEADERS
from tests.support import hostile
from tests.support.waiting import wait_until
from tests.support.web import WebProcess

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "300"))
ID = "-?[0-9]{1,4300}"
"""An id, as the service reads it: Python takes no longer number."""

SECONDS = 20
"""What an answer may take, on a machine that is busy with the other tests."""


def share(percent: int) -> settings:
    """Return hypothesis's settings for a part of the requests."""
    return settings(
        max_examples=REQUESTS * percent // 100,
        derandomize="FUZZ_REQUESTS" not in os.environ,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


class Answer(NamedTuple):
    """One response."""

    status: int
    headers: dict[str, str]
    body: bytes


class Received(io.BytesIO):
    """What has been received, in the place of the socket that HTTPResponse takes it from."""

    def makefile(self, mode: str) -> "Received":
        return self

    def close(self) -> None:
        """Stay open: another response may follow."""


def exchange(web: WebProcess, request: bytes) -> list[Answer]:
    """Send bytes, and return what is answered until the connection is closed."""
    note(repr(request))
    received, deadline = bytearray(), time.monotonic() + SECONDS
    with socket.create_connection(("127.0.0.1", web.port), timeout=SECONDS) as connection:
        # It need not hear all before it answers and closes the connection.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(request)
        with suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            while data := connection.recv(2**16):
                received += data
                assert time.monotonic() < deadline
    return answers(Received(received), request.partition(b" ")[0].decode("latin-1"))


def answers(received: Received, method: str) -> list[Answer]:
    """Return the responses in what was received; only the first may be one to HEAD."""
    found: list[Answer] = []
    while received.tell() < len(received.getbuffer()):
        response = HTTPResponse(received, method="GET" if found else method)  # type: ignore[arg-type]
        response.begin()
        body = response.read()
        if not found and method == "HEAD" and response.headers["Connection"] == "close":
            # gunicorn does not look at the method before it says what is wrong.
            body = received.read()
        found.append(Answer(response.status, dict(response.headers), body))
    return found


class Described:
    """What /openapi.json says of the service that it comes from."""

    def __init__(self, web: WebProcess) -> None:
        self.paths = web.request("GET", "/openapi.json").json()["paths"]
        named = [self.named(path, method) for path in self.paths for method in self.paths[path]]
        # gunicorn answers with these whatever is asked for.
        self.always = set.intersection(*(statuses for statuses in named if statuses))

    def named(self, path: str, method: str) -> set[int]:
        responses = self.paths[path].get(method, {}) if method != "parameters" else {}
        return {int(status) for status in responses["responses"]} if responses else set()

    def statuses(self, request: bytes) -> set[int]:
        """Return with what a request may be answered."""
        method, _, target = request.partition(b"\r\n")[0].decode("latin-1").partition(" ")
        address = re.sub(r"^[a-z]+://[^/]*", "", target.rpartition(" ")[0]).partition("?")[0]
        asked = (
            unquote_to_bytes(address.partition("#")[0]).decode("utf-8", "replace").removesuffix("/")
        )
        for path in self.paths:
            if re.fullmatch(path.replace("{todo_id}", ID), asked):
                allowed = self.named(path, {"HEAD": "get"}.get(method, method.lower()))
                return self.always | (allowed or {200} if method == "OPTIONS" else allowed)
        return self.always | {200, 206, 304, 404, 416}  # the page and its files, or nothing


def check(answer: Answer, expected: set[int]) -> None:
    """Fail unless the answer is one that the service may give."""
    note(repr(answer)[:500])
    assert answer.status < 500 or answer.status == 501  # a transfer coding that nobody knows
    assert answer.status in expected
    assert HEADERS.keys() <= answer.headers.keys()
    if answer.status >= 400 and answer.body:
        assert answer.headers["Content-Type"] == "application/json"
        assert isinstance(json.loads(answer.body)["detail"], str)


@pytest.fixture
def described(web: WebProcess) -> Described:
    return Described(web)


Sql = Callable[[str], list[tuple]]
Check = Callable[[], None]


@pytest.fixture
def unharmed(web: WebProcess, sql: Sql) -> Check:
    """Fail unless the process is the one that was started, serves, and keeps a sound table."""
    family = psutil.Process(web.process.pid)
    wait_until(lambda: len(family.children()) == 2)
    workers = family.children()

    def check_all() -> None:
        assert family.children() == workers
        assert web.request("GET", "/health").status_code == 200
        log = web.output()
        assert "Traceback" not in log
        assert "ERROR" not in log
        check_table(sql, web.request("GET", "/api/todos").content)

    return check_all


def check_table(sql: Sql, listed: bytes) -> None:
    """Fail unless each row is as the schema wants it, and as it is answered."""
    constraints = sql(
        "SELECT pg_get_expr(conbin, conrelid) FROM pg_constraint"
        " WHERE conrelid = 'todos'::regclass AND contype = 'c'"
    )
    assert constraints
    for (constraint,) in constraints:
        assert sql(f"SELECT id FROM todos WHERE ({constraint}) IS NOT TRUE") == []
    rows = sql("SELECT id, description, completed, created_at, updated_at FROM todos ORDER BY id")
    todos = json.loads(listed)
    assert [(todo["id"], todo["description"], todo["completed"]) for todo in todos] == [
        row[:3] for row in rows
    ]
    for todo, (*_, created_at, updated_at) in zip(todos, rows, strict=True):
        assert todo["created_at"] == f"{created_at:%Y-%m-%dT%H:%M:%S.%fZ}"
        assert todo["updated_at"] == f"{updated_at:%Y-%m-%dT%H:%M:%S.%fZ}"
        assert 1 <= len(todo["description"]) <= 500
        assert created_at <= updated_at


def test_what_a_client_may_make_of_the_description_is_answered_as_described(
    web: WebProcess, unharmed: Check
) -> None:
    description = schemathesis.openapi.from_url(web.url("/openapi.json"))
    operations = [result.ok() for result in description.get_all_operations()]  # type: ignore[union-attr]
    cases = [operation.as_strategy(GenerationMode.POSITIVE) for operation in operations] + [
        operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
        for operation in operations
        if operation.path.startswith("/api/")
    ]

    @share(20)
    @given(st.one_of(cases))
    def is_answered_as_described(case: schemathesis.Case) -> None:
        # No description can say which cursors there are.
        case.query.pop("cursor", None)
        response = case.call(timeout=SECONDS)
        assert response.status_code < 500
        assert HEADERS.keys() <= {name.title() for name in response.headers}
        # Schemathesis knows no bound on an address or a header.
        if response.status_code not in (414, 431):
            case.validate_response(response)

    is_answered_as_described()
    unharmed()


def test_a_request_that_says_wrong_things_is_answered_as_described(
    web: WebProcess, described: Described, unharmed: Check
) -> None:
    @share(40)
    @given(hostile.WILD)
    def is_answered(request: bytes) -> None:
        found = exchange(web, request)
        assert found
        check(found[0], described.statuses(request))

    is_answered()
    unharmed()


def test_bytes_that_need_not_be_http_get_an_answer_or_a_closed_connection(
    web: WebProcess, described: Described, unharmed: Check
) -> None:
    @share(40)
    @given(hostile.RAW)
    def is_answered_or_closed(request: bytes) -> None:
        found = exchange(web, request)
        # Half a head is none that can be answered.
        assert found or b"\r\n\r\n" not in request.lstrip(b"\r\n")
        for answer in found:
            check(answer, set(range(200, 500)) | {501})

    is_answered_or_closed()
    unharmed()
