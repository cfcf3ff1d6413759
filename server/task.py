"""The WSGI side of a request: its environ, and the bytes of its response (PEP 3333, RFC 9112)."""

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

NO_BODY = ("1", "204", "304")
"""Status prefixes of responses without a body."""


LAST_CHUNK = b"0\r\n\r\n"
LARGE = 64 * 1024


class Task:
    """Produces the response to one request, no faster than the client reads it.

    A response takes several steps where the client is slow, or where other requests wait. Each
    step may run in another thread.

    Attributes:
        has_begun: a part of the response may have been sent.
        closes: the connection ends with the response.
        ends_with_connection: nothing else marks the end of the response (HTTP/1.0).
    """

    def __init__(self, channel: "Channel", request: Request) -> None:
        self.channel = channel
        self.request = request
        self.has_begun = False
        self.closes = not request.keep_alive
        self.ends_with_connection = False
        # Context variables that one step sets, the next one finds, in whichever thread it runs.
        self._context = Context()
        self._status = ""
        self._headers: list[tuple[str, str]] = []
        self._body: Iterable[bytes] | None = None
        self._parts: Iterator[bytes] = iter(())
        self._has_no_body = False
        self._is_chunked = False
        self._missing: int | None = None

    def advance(self) -> bool:
        """Send what the client has room for; return whether the response is complete.

        Raises:
            ClientDisconnected: the client is gone.
            Exception: the application raised it.
        """
        return self._context.run(self._advance)

    def close(self) -> None:
        """Let the application release what it holds for the response."""
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
            if self._missing == 0:
                return True
            if channel.is_above_high_water_mark or channel.server.has_waiting_requests:
                return False
        if self._is_chunked or not self.has_begun:
            self._send(b"", is_last=True)
        if self._missing and not self._has_no_body:
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
        if exc_info and self.has_begun:
            raise exc_info[1]
        self._status, self._headers = status, headers
        return self._send

    def _send(self, part: bytes, is_last: bool = False) -> None:
        head = b"" if self.has_begun else self._head()
        self.has_begun = True
        if self._has_no_body:
            part = b""
        elif self._missing is not None:
            self._missing -= len(part)
            if self._missing < 0:
                raise RuntimeError("the response is longer than its Content-Length")
        pieces = [head, part]
        if self._is_chunked:
            before = b"%x\r\n" % len(part) if part else b""
            after = b"\r\n" if part else b""
            pieces = [head + before, part, after + LAST_CHUNK if is_last else after]
        # Small pieces are one packet, and large ones are not copied.
        for piece in [b"".join(pieces)] if len(part) < LARGE else pieces:
            self.channel.write_soon(piece)

    def _head(self) -> bytes:
        lines = [
            f"HTTP/1.1 {self._status}",
            f"Server: {self.channel.adj.ident}",
            _date(int(time())),
        ]
        for name, value in self._headers:
            lines.append(f"{name}: {value}")
            if name.lower() == "content-length":
                self._missing = int(value)
        is_http_1_0 = self.request.version == "HTTP/1.0"
        self._has_no_body = self.request.method == "HEAD" or self._status.startswith(NO_BODY)
        if self._missing is None and not self._has_no_body:
            if is_http_1_0:
                self.closes = self.ends_with_connection = True
            else:
                self._is_chunked = True
                lines.append("Transfer-Encoding: chunked")
        self.closes = self.closes or self.channel.server.is_stopping
        if self.closes:
            lines.append("Connection: close")
        elif is_http_1_0:
            lines.append("Connection: keep-alive")
        return "\r\n".join([*lines, "\r\n"]).encode("latin-1")


@lru_cache(1)
def _date(seconds: int) -> str:
    return f"Date: {build_http_date(seconds)}"
