"""The worker with other WSGI applications, including faulty ones."""

import socket
from collections.abc import Iterator

import pytest

from tests.support.raw import client, read_until_closed
from tests.support.web import WebProcess, serving

COMMAND = (
    "gunicorn --config python:tests.support.empty_config --worker-class server.worker.Worker"
    " --threads 1 --bind 127.0.0.1:{port} tests.support.apps:app"
)


@pytest.fixture(scope="module")
def web() -> Iterator[WebProcess]:
    with serving(COMMAND) as process:
        yield process


def exchange(web: WebProcess, method: str, path: str, version: str = "1.1") -> tuple[bytes, bytes]:
    """Pipeline two requests; return the header of the first response, and all that follows."""
    second = f"GET /body HTTP/{version}\r\nHost: x\r\nConnection: close\r\n\r\n"
    first = f"{method} {path} HTTP/{version}\r\nHost: x\r\n\r\n"
    with client(web, (first + second).encode()) as connection:
        head, _, rest = read_until_closed(connection).partition(b"\r\n\r\n")
    return head, rest


def test_a_response_shorter_than_its_content_length_closes_the_connection(web: WebProcess) -> None:
    head, rest = exchange(web, "GET", "/too-short")

    assert (b"Content-Length: 9" in head, rest) == (True, b"short")
    assert "shorter than its Content-Length" in web.output()


def test_a_response_longer_than_its_content_length_is_not_sent(web: WebProcess) -> None:
    _, rest = exchange(web, "GET", "/too-long")

    assert b"long" not in rest
    assert "longer than its Content-Length" in web.output()


def test_an_error_before_the_response_is_a_500(web: WebProcess) -> None:
    head, rest = exchange(web, "GET", "/raises")

    assert head.startswith(b"HTTP/1.1 500 ")
    assert rest == b""
    assert "ZeroDivisionError" in web.output()


def test_an_error_during_a_response_leaves_it_incomplete(web: WebProcess) -> None:
    head, rest = exchange(web, "GET", "/raises-later")

    assert b"Transfer-Encoding: chunked" in head
    assert rest == b"9\r\nbeginning\r\n"


def test_a_response_to_head_has_no_body(web: WebProcess) -> None:
    head, rest = exchange(web, "HEAD", "/body")

    assert b"Content-Length: 4" in head
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n")


def test_an_empty_iterable_is_a_complete_response(web: WebProcess) -> None:
    _, rest = exchange(web, "GET", "/empty")

    assert rest.startswith(b"0\r\n\r\nHTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("incomplete", "refusals"), [(b"", 0), (b"GET /body HTTP/1.1\r\n", 1)], ids=repr
)
def test_a_half_closed_connection_gets_every_response(incomplete: bytes, refusals: int) -> None:
    request = b"GET /body HTTP/1.1\r\nHost: x\r\n\r\n"

    with serving(COMMAND.replace("apps:", "frequent_switches:")) as web:
        for count in range(2, 200):
            with client(web, request * count + incomplete) as connection:
                connection.shutdown(socket.SHUT_WR)
                received = read_until_closed(connection)
            statuses = (received.count(b"HTTP/1.1 200 "), received.count(b"HTTP/1.1 400 "))
            assert statuses == (count, refusals)
        assert "uncaptured python exception" not in web.output()
