"""Send raw bytes, which need not be valid HTTP, and read the responses."""

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
    """Connect, send `data`, and close the connection at the end of the block."""
    with socket.create_connection(("127.0.0.1", web.port), timeout=30) as connection:
        connection.sendall(data)
        yield connection


def read_response(connection: socket.socket) -> tuple[int, bytes]:
    """Read one response; return its status and its body."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, response.read()


def read_until_closed(connection: socket.socket) -> bytes:
    """Return all data that arrives until the peer closes the connection."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def exchange(web: WebProcess, request: bytes) -> tuple[int, dict[str, str]]:
    """Send a request and half-close; return the status and the JSON of the response."""
    with socket.create_connection(("127.0.0.1", web.port)) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.headers["Content-Type"] == "application/json"
        assert HEADERS.items() <= dict(response.headers).items()
        return response.status, json.loads(response.read())
