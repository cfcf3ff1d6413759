"""Connections: waitress' channels, with deadlines, and without threads that wait for clients."""

import socket
import struct
from collections import deque
from http import HTTPStatus
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from waitress.adjustments import Adjustments
from waitress.channel import ClientDisconnected, HTTPChannel

from .request import Request
from .task import Task

if TYPE_CHECKING:
    from .server import Server

MAX_UNREAD = 256 * 1024
"""Bytes that may wait for a client to read them before its response is suspended."""

MIN_RATE = 256 * 1024
"""Bytes a second that a client has to read of a response that it does not read at once."""

LINGER_SECONDS = 2
"""How long a client may go on sending after the last response: RFC 9112, section 9.6."""

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: the connection is reset, and does not end as a complete response does."""


class Output:
    """What waits to be sent: the parts as they were written, each freed as soon as it is sent.

    waitress' own buffers copy them, and free nothing before all is sent.
    """

    def __init__(self) -> None:
        self._parts: deque[memoryview] = deque()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, data: bytes) -> None:
        """Add a part."""
        self._parts.append(memoryview(data))
        self._length += len(data)

    def get(self, size: int) -> memoryview:
        """Return what comes next, `size` bytes at most."""
        return self._parts[0][:size]

    def skip(self, size: int, _: bool = False) -> None:
        """Drop `size` bytes of what `get()` returned."""
        self._length -= size
        first = self._parts.popleft()[size:]
        if first:
            self._parts.appendleft(first)

    def close(self) -> None:
        """Drop everything."""
        self._parts.clear()
        self._length = 0


class Channel(HTTPChannel):  # type: ignore[misc]
    """One connection.

    The event loop reads requests and sends responses; threads run the application. While a client
    does not read, its response is suspended and takes no thread.

    Attributes:
        deadline: when the client must have sent a request, or read a response (monotonic()).
        queued_at: when its request was handed to the threads.
    """

    parser_class = Request
    server: "Server"
    request: Request | None
    requests: list[Request]

    def __init__(
        self, server: "Server", sock: socket.socket, addr: Any, adj: Adjustments, **kwargs: Any
    ) -> None:
        self.deadline = monotonic() + server.request_timeout
        self.queued_at = 0.0
        self.task: Task | None = None
        self.is_suspended = False
        self.is_half_closed = False
        self.is_lingering = False
        super().__init__(server, sock, addr, adj, **kwargs)
        self.outbufs = [Output()]

    @property
    def has_unread_output(self) -> bool:
        """Whether so much waits for the client that its response has to wait."""
        return bool(self.total_outbufs_len > MAX_UNREAD)

    @property
    def is_idle(self) -> bool:
        """Whether no request is being handled, and no response being sent."""
        return not self.requests and not self.total_outbufs_len

    # In the event loop

    def readable(self) -> bool:
        """Say whether the event loop should read."""
        return self.is_lingering or (not self.is_half_closed and super().readable())

    def handle_read(self) -> None:
        """Read what the client has sent."""
        try:
            data = self.socket.recv(self.adj.recv_bytes)
        except BlockingIOError:
            return
        except OSError:
            data = b""
            self.will_close = True
        if data and not self.is_lingering:
            if self.request is None:
                self.deadline = monotonic() + self.server.request_timeout
            self.last_activity = time()
            self.received(data)
        elif not data:
            self._handle_end_of_input()

    def _handle_end_of_input(self) -> None:
        with self.requests_lock:
            if self.requests:
                # The client may still read the response.
                self.is_half_closed = True
                return
        if self.request and self.request.has_begun and not self.will_close:
            self.refuse(HTTPStatus.BAD_REQUEST, "The request breaks off")
        else:
            self.handle_close()

    def refuse(self, status: HTTPStatus, detail: str = "") -> None:
        """Respond to a request that has not arrived, and will not."""
        request = self.request or Request(self.adj)
        request.refuse(status, detail)
        with self.requests_lock:
            self.request = None
            self.requests.append(request)
        self.server.add_task(self)

    def handle_write(self) -> None:
        """Send what waits for the client, and do what waits for that."""
        self._flush_exception(self._flush_some_if_lockable)
        if self.will_close:
            self.handle_close()
        elif not self.total_outbufs_len and self.close_when_flushed:
            self._linger()
        elif self.is_suspended and not self.has_unread_output:
            self.is_suspended = False
            self.server.add_task(self)
        elif self.is_idle and self.request is None:
            self.deadline = monotonic() + self.adj.channel_timeout

    def handle_expt(self) -> None:
        """Close a connection with urgent data: HTTP has none, and it would be reported for ever."""
        self.handle_close()

    def _linger(self) -> None:
        # Closed at once, a connection on which more arrives is reset, and the response is lost.
        self.close_when_flushed = False
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.handle_close()
        else:
            self.is_lingering = True
            self.deadline = monotonic() + LINGER_SECONDS

    def handle_close(self) -> None:
        """Close the connection."""
        super().handle_close()
        if self.is_suspended:
            # A thread releases what the application holds for the response.
            self.is_suspended = False
            self.server.add_task(self)

    def check_deadline(self, now: float) -> None:
        """Disconnect the client if its time is over."""
        if now < self.deadline:
            return
        if self.total_outbufs_len:
            self.logger.info("Cut off a client that did not read its answer")
            self.abort()
        elif self.request and self.request.has_begun and not self.requests:
            self.refuse(HTTPStatus.REQUEST_TIMEOUT)
        elif not self.requests:
            self.handle_close()

    # In any thread

    def write_soon(self, data: bytes) -> int:
        """Send what the socket takes at once, and keep the rest for the event loop."""
        if not self.total_outbufs_len:
            # The time of the application is not the client's.
            self.deadline = monotonic() + self.server.request_timeout
        written: int = super().write_soon(data)
        return written

    def send(self, data: memoryview, do_close: bool = True) -> int:
        """Send what the socket takes, and give the client more time for the rest."""
        sent: int = super().send(data, do_close)
        latest = monotonic() + self.server.request_timeout
        self.deadline = min(self.deadline + sent / MIN_RATE, latest)
        return sent

    def schedule(self) -> None:
        """Go on in a thread, once the client has room for more."""
        with self.outbuf_lock:
            is_suspended = self.is_suspended = self.connected and self.has_unread_output
        if is_suspended:
            self.server.limit_unread()
        else:
            self.server.add_task(self)

    def service(self) -> None:
        """Take a step of the response to the first request."""
        request = self.requests[0]
        if self.task is None:
            self.task = Task(self, request)
        task = self.task
        try:
            if self.connected and not task.advance():
                self.schedule()
                return
        except ClientDisconnected:
            pass
        except Exception as error:
            # An application raises OSError to break a response off.
            if not isinstance(error, OSError):
                self.logger.exception("Error while handling a request")
            if not task.has_begun and not request.error:
                self._close(task)
                request.refuse(HTTPStatus.INTERNAL_SERVER_ERROR)
                self.task = None
                self.service()
                return
            task.closes = True
            if task.ends_with_connection or not task.has_begun:
                self.abort()
        self._finish(task)
        if self.has_unread_output:
            self.server.limit_unread()

    def _close(self, task: Task) -> None:
        try:
            task.close()
        except Exception:
            self.logger.exception("Error while closing a response")

    def _finish(self, task: Task) -> None:
        """Go on with the next request, or close the connection."""
        self._close(task)
        self.server.served += 1
        with self.requests_lock:
            self.task = None
            was_pipelined = len(self.requests) > 1
            is_last = task.closes or self.is_half_closed or not self.connected
            if is_last:
                self.requests.clear()
                self.close_when_flushed = True
            else:
                self.requests.pop(0)
                self._await_request()
        if is_last or was_pipelined:
            self.server.pull_trigger()
        if was_pipelined and not is_last:
            self.schedule()

    def _await_request(self) -> None:
        if self.request is None:
            self.deadline = monotonic() + self.adj.channel_timeout
        elif self.request.expect_continue and not self.requests and not self.sent_continue:
            self.send_continue()

    def abort(self) -> None:
        """Reset the connection: half a response must not pass for a complete one."""
        with self.outbuf_lock:
            if self.connected:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                self.will_close = True
        # In the event loop; it would not be writable while the client does not read.
        self.server.trigger.pull_trigger(self.handle_close)
