"""Fuzz tests: random invalid and hostile requests get valid responses and do no harm.

FUZZ_REQUESTS sets the number of requests. By default it is small and the requests are the same
each time; `make fuzz` sends 20,000 different ones.
"""

import json
import re
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPResponse
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

import pytest
import schemathesis
from hypothesis import given, note
from hypothesis import strategies as st
from schemathesis import GenerationMode

from tests.api.test_security_headers import HEADERS
from tests.support import hostile
from tests.support.fuzzing import TIMEOUT, ReceivedBytes, fuzz_settings
from tests.support.types import Sql
from tests.support.waiting import wait_until
from tests.support.web import WebProcess

ID = "-?[0-9]{1,4300}"
"""An ID as the service parses it: Python converts no more than 4,300 digits."""


class Response(NamedTuple):
    """HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes


def exchange(web: WebProcess, request: bytes) -> list[Response]:
    """Send bytes, and return the responses received until the connection is closed."""
    note(repr(request))
    received, deadline = bytearray(), time.monotonic() + TIMEOUT
    with socket.create_connection(("127.0.0.1", web.port), timeout=TIMEOUT) as connection:
        # The server may respond and close the connection before it has read everything.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(request)
        with suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            while data := connection.recv(2**16):
                received += data
                assert time.monotonic() < deadline
    method = request.partition(b" ")[0].decode("latin-1")
    return parse_responses(ReceivedBytes(received), method)


def parse_responses(received: ReceivedBytes, method: str) -> list[Response]:
    """Parse the received responses; only the first may be a response to HEAD."""
    found: list[Response] = []
    while received.tell() < len(received.getbuffer()):
        response = HTTPResponse(received, method="GET" if found else method)  # type: ignore[arg-type]
        response.begin()
        body = response.read()
        if not found and method == "HEAD" and response.headers["Connection"] == "close":
            # A refused request may get a body even if its method is HEAD.
            body = received.read()
        found.append(Response(response.status, dict(response.headers), body))
    return found


class OpenAPIDescription:
    """Statuses that /openapi.json documents for each operation."""

    def __init__(self, web: WebProcess) -> None:
        self.paths = web.request("GET", "/openapi.json").json()["paths"]
        documented = [
            self.documented(path, method) for path in self.paths for method in self.paths[path]
        ]
        # The server can respond with these to any request.
        self.common = set.intersection(*(statuses for statuses in documented if statuses))

    def documented(self, path: str, method: str) -> set[int]:
        responses = self.paths[path].get(method, {}) if method != "parameters" else {}
        return {int(status) for status in responses["responses"]} if responses else set()

    def statuses(self, request: bytes) -> set[int]:
        """Return the statuses that are allowed for a request."""
        method, _, target = request.partition(b"\r\n")[0].decode("latin-1").partition(" ")
        address = re.sub(r"^[a-z]+://[^/]*", "", target.rpartition(" ")[0]).partition("?")[0]
        requested = (
            unquote_to_bytes(address.partition("#")[0]).decode("utf-8", "replace").removesuffix("/")
        )
        for path in self.paths:
            if re.fullmatch(path.replace("{todo_id}", ID), requested):
                allowed = self.documented(path, method.lower())
                return self.common | (allowed or {200} if method == "OPTIONS" else allowed)
        return self.common | {200, 206, 304, 404, 416}  # the page, its assets, or not found


def check(response: Response, expected: set[int]) -> None:
    """Check the status, the headers and the error format of a response."""
    note(repr(response)[:500])
    assert response.status < 500 or response.status == 501  # unknown transfer coding
    assert response.status in expected
    assert HEADERS.keys() <= response.headers.keys()
    if response.status >= 400 and response.body:
        assert response.headers["Content-Type"] == "application/json"
        assert isinstance(json.loads(response.body)["detail"], str)


@pytest.fixture
def description(web: WebProcess) -> OpenAPIDescription:
    return OpenAPIDescription(web)


Check = Callable[[], None]


@pytest.fixture
def unharmed(web: WebProcess, sql: Sql) -> Check:
    """Check that no worker was replaced, no error was logged, and the table is consistent."""
    wait_until(lambda: len(web.workers()) == 2)
    workers = web.workers()

    def check_all() -> None:
        assert web.workers() == workers
        assert web.request("GET", "/health").status_code == 200
        log = web.output()
        assert "Traceback" not in log
        assert "ERROR" not in log
        check_table(sql, web.request("GET", "/api/todos").content)

    return check_all


def check_table(sql: Sql, listed: bytes) -> None:
    """Check that each row satisfies the constraints and equals the listed todo."""
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


def test_requests_generated_from_the_openapi_description_get_documented_responses(
    web: WebProcess, unharmed: Check
) -> None:
    schema = schemathesis.openapi.from_url(web.url("/openapi.json"))
    operations = [result.ok() for result in schema.get_all_operations()]  # type: ignore[union-attr]
    cases = [operation.as_strategy(GenerationMode.POSITIVE) for operation in operations] + [
        operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
        for operation in operations
        if operation.path.startswith("/api/")
    ]

    @fuzz_settings(20)
    @given(st.one_of(cases))
    def gets_a_documented_response(case: schemathesis.Case) -> None:
        # OpenAPI cannot describe which cursors are valid.
        case.query.pop("cursor", None)
        # Generated keys repeat, with other bodies, which is a 422.
        case.headers.pop("Idempotency-Key", None)
        response = case.call(timeout=TIMEOUT)
        assert response.status_code < 500
        assert HEADERS.keys() <= {name.title() for name in response.headers}
        # Schemathesis does not limit the size of URLs and headers.
        if response.status_code not in (414, 431):
            case.validate_response(response)

    gets_a_documented_response()
    unharmed()


def test_invalid_requests_get_documented_responses(
    web: WebProcess, description: OpenAPIDescription, unharmed: Check
) -> None:
    @fuzz_settings(40)
    @given(hostile.INVALID)
    def gets_a_documented_response(request: bytes) -> None:
        responses = exchange(web, request)
        assert responses
        check(responses[0], description.statuses(request))

    gets_a_documented_response()
    unharmed()


def test_arbitrary_bytes_get_a_response_or_a_closed_connection(
    web: WebProcess, unharmed: Check
) -> None:
    @fuzz_settings(40)
    @given(hostile.RAW)
    def gets_a_response_or_is_closed(request: bytes) -> None:
        responses = exchange(web, request)
        # A partial header need not get a response.
        assert responses or b"\r\n\r\n" not in request.lstrip(b"\r\n")
        for response in responses:
            check(response, set(range(200, 500)) | {501})

    gets_a_response_or_is_closed()
    unharmed()
