"""WSGI: call the application, and serialise its response (PEP 3333, RFC 9112)."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextvars import Context
from functools import lru_cache
from io import BytesIO
from time import time
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from waitress.utilities import build_http_date

from .request import Request

if TYPE_CHECKING:
    from .channel import Channel

NO_BODY_STATUSES = ("1", "204", "304")
"""Prefixes of the statuses whose responses have no body."""

LAST_CHUNK = b"0\r\n\r\n"
COALESCE_LIMIT = 64 * 1024
"""Parts of this size or more are sent separately instead of being copied."""


class Task:
    """Produces one response, with backpressure.

    A response is produced in several steps if its client reads slowly, or if other requests are
    queued. Each step may run in a different thread.

    Attributes:
        headers_sent: whether the response has started.
        close_on_finish: whether to close the connection after the response.
        is_close_delimited: whether only closing the connection marks the end of the response
            (HTTP/1.0).
    """

    def __init__(self, channel: "Channel", request: Request) -> None:
        self.channel = channel
        self.request = request
        self.headers_sent = False
        self.close_on_finish = not request.keep_alive
        self.is_close_delimited = False
        # Context variables persist across the steps, whichever thread runs them.
        self._context = Context()
        self._status = ""
        self._headers: list[tuple[str, str]] = []
        self._body: Iterable[bytes] | None = None
        self._parts: Iterator[bytes] = iter(())
        self._has_no_body = False
        self._is_chunked = False
        self._bytes_left: int | None = None

    def advance(self) -> bool:
        """Run one step: send up to the high-water mark; return whether the response is complete.

        Raises:
            ClientDisconnected: the client has disconnected.
            Exception: raised by the application.
        """
        return self._context.run(self._advance)

    def close(self) -> None:
        """Call the response iterable's close() (PEP 3333), which releases its resources."""
        close = getattr(self._body, "close", None)
        if close:
            self._context.run(close)

    def _advance(self) -> bool:
        channel = self.channel
        if self._body is None:
            self._body = channel.server.application(self._environ(), self._start_response)
            self._parts = iter(self._body)
        for part in self._parts:
            self._send(part)
            if self._bytes_left == 0:
                return True
            if channel.is_above_high_water_mark or channel.server.has_queued_requests:
                return False
        if self._is_chunked or not self.headers_sent:
            self._send(b"", is_last=True)
        if self._bytes_left and not self._has_no_body:
            raise RuntimeError("the response is shorter than its Content-Length")
        return True

    def _environ(self) -> dict[str, Any]:
        request, channel = self.request, self.channel
        path, _, query = request.target.partition("?")
        return {
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "RAW_URI": request.target,
            "SERVER_NAME": channel.server.effective_host,
            "SERVER_PORT": str(channel.server.effective_port),
            "SERVER_PROTOCOL": request.version,
            "SERVER_SOFTWARE": channel.adj.ident,
            "REMOTE_ADDR": channel.addr[0],
            "REMOTE_PORT": str(channel.addr[1]),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(request.body),
            "wsgi.input_terminated": True,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
            "server.queued_at": channel.queued_at,
            "server.refusal": request.error,
            **request.fields,
        }

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        if exc_info and self.headers_sent:
            raise exc_info[1]
        self._status, self._headers = status, headers
        return self._send

    def _send(self, part: bytes, is_last: bool = False) -> None:
        header = b"" if self.headers_sent else self._header()
        self.headers_sent = True
        if self._has_no_body:
            part = b""
        elif self._bytes_left is not None:
            self._bytes_left -= len(part)
            if self._bytes_left < 0:
                raise RuntimeError("the response is longer than its Content-Length")
        pieces = [header, part]
        if self._is_chunked:
            prefix = b"%x\r\n" % len(part) if part else b""
            suffix = b"\r\n" if part else b""
            pieces = [header + prefix, part, suffix + LAST_CHUNK if is_last else suffix]
        # Join small pieces into one packet; do not copy large ones.
        for piece in [b"".join(pieces)] if len(part) < COALESCE_LIMIT else pieces:
            self.channel.write_soon(piece)

    def _header(self) -> bytes:
        lines = [
            f"HTTP/1.1 {self._status}",
            f"Server: {self.channel.adj.ident}",
            _date(int(time())),
        ]
        for name, value in self._headers:
            lines.append(f"{name}: {value}")
            if name.lower() == "content-length":
                self._bytes_left = int(value)
        is_http_1_0 = self.request.version == "HTTP/1.0"
        self._has_no_body = self.request.method == "HEAD" or self._status.startswith(
            NO_BODY_STATUSES
        )
        if self._bytes_left is None and not self._has_no_body:
            if is_http_1_0:
                self.close_on_finish = self.is_close_delimited = True
            else:
                self._is_chunked = True
                lines.append("Transfer-Encoding: chunked")
        self.close_on_finish = self.close_on_finish or self.channel.server.is_stopping
        if self.close_on_finish:
            lines.append("Connection: close")
        elif is_http_1_0:
            lines.append("Connection: keep-alive")
        return "\r\n".join([*lines, "\r\n"]).encode("latin-1")


@lru_cache(1)
def _date(seconds: int) -> str:
    return f"Date: {build_http_date(seconds)}"
