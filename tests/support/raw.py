"""Connections on which a test sends bytes that need not be HTTP."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from tests.api.test_security_headers import HEADERS
from tests.support.web import WebProcess

HEAD = b"Host: x\r\nContent-Type: application/json\r\n"
LIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /api/todos HTTP/1.1\r\n" + HEAD

READ_TIMEOUT = "Slow client disconnected (response not read in time)"
"""Log message about a client that does not read its response."""


@contextmanager
def client(web: WebProcess, data: bytes = b"") -> Iterator[socket.socket]:
    """A client that has connected and sent `data`."""
    with socket.create_connection(("127.0.0.1", web.port), timeout=30) as connection:
        connection.sendall(data)
        yield connection


def answer(connection: socket.socket) -> tuple[int, bytes]:
    """Read one answer, its status and its body."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, response.read()


def read_to_the_end(connection: socket.socket) -> bytes:
    """Return what still comes, once the other side has closed the connection."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def exchange(web: WebProcess, request: bytes) -> tuple[int, dict[str, str]]:
    """Send bytes that need not be HTTP, and return the status and the JSON of the answer."""
    with socket.create_connection(("127.0.0.1", web.port)) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.headers["Content-Type"] == "application/json"
        assert HEADERS.items() <= dict(response.headers).items()
        return response.status, json.loads(response.read())
