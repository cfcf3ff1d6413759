"""Connections: waitress' channel with deadlines and backpressure; slow clients hold no thread."""

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

HIGH_WATER_MARK = 256 * 1024
"""Bytes of buffered output above which a response is suspended (backpressure)."""

MIN_READ_RATE = 256 * 1024
"""Minimum rate at which a client must read its response, in bytes per second."""

LINGER_SECONDS = 2
"""How long to wait for the client to close after the last response: RFC 9112, section 9.6."""

INCOMPLETE = "The request is incomplete"

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER value that makes close() send RST, so that a truncated response looks truncated."""


class OutputBuffer:
    """Buffers output part by part, and frees each part once it has been sent.

    waitress' own buffers copy the parts, and free no memory until all of them have been sent.

    Attributes:
        retained: bytes of memory in use; a partly sent part counts in full.
    """

    def __init__(self) -> None:
        self.retained = 0
        self._parts: deque[memoryview] = deque()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, data: bytes) -> None:
        """Append a part."""
        self._parts.append(memoryview(data))
        self._length += len(data)
        self.retained += len(data)

    def get(self, size: int) -> memoryview:
        """Return up to `size` bytes from the front."""
        return self._parts[0][:size]

    def skip(self, size: int, _: bool = False) -> None:
        """Discard `size` bytes of the part that `get()` returned."""
        self._length -= size
        part = self._parts.popleft()
        if size < len(part):
            self._parts.appendleft(part[size:])
        else:
            self.retained -= len(part.obj)  # type: ignore[arg-type]  # always bytes

    def close(self) -> None:
        """Discard all output."""
        self._parts.clear()
        self._length = self.retained = 0


class Channel(HTTPChannel):  # type: ignore[misc]
    """Client connection.

    The event loop reads requests and flushes responses; threads run the application. A response
    is suspended while the client does not read it (backpressure).

    Attributes:
        deadline: when the client must have sent its request, or read its response (monotonic()).
        queued_at: when the request was queued for a thread (monotonic()).
    """

    server: "Server"
    request: Request | None
    requests: list[Request]

    def __init__(
        self, server: "Server", sock: socket.socket, addr: Any, adj: Adjustments, **kwargs: Any
    ) -> None:
        self.deadline = monotonic() + server.request_timeout
        self.queued_at = 0.0
        self.task: Task | None = None
        self.unparsed = b""
        self.output = OutputBuffer()
        self.had_output = False
        self.is_suspended = False
        self.is_half_closed = False
        self.is_lingering = False
        super().__init__(server, sock, addr, adj, **kwargs)
        self.outbufs = [self.output]

    @property
    def is_above_high_water_mark(self) -> bool:
        """Whether the response must pause until the client has read some of it."""
        return bool(self.total_outbufs_len > HIGH_WATER_MARK)

    @property
    def is_idle(self) -> bool:
        """Whether no request is in progress and no output is buffered."""
        return not self.requests and not self.total_outbufs_len

    @property
    def has_partial_request(self) -> bool:
        """Whether a request has been received in part."""
        return self.request is not None and self.request.has_started

    # In the event loop

    def readable(self) -> bool:
        """Return whether to poll for input."""
        self.had_output = bool(self.total_outbufs_len)
        return self.is_lingering or (not self.is_half_closed and super().readable())

    def writable(self) -> bool:
        """Return whether to poll for room in the send buffer.

        A thread may have flushed the output since readable() returned False because of it. Polled
        for neither event, the connection would miss its next request until the next pass.
        """
        return self.had_output or super().writable()

    def handle_read(self) -> None:
        """Receive and parse data from the client."""
        try:
            data = self.socket.recv(self.adj.recv_bytes)
        except BlockingIOError:
            return
        except OSError:
            data = b""
            self.will_close = True
        if data and not self.is_lingering:
            if not self.has_partial_request:
                self.deadline = monotonic() + self.server.request_timeout
            self.last_activity = time()
            self.received(data)
        elif not data:
            self._handle_end_of_input()

    def _handle_end_of_input(self) -> None:
        with self.requests_lock:
            # Half-closed: the client may still read the responses.
            self.is_half_closed = True
            if self.requests:
                return
        if self.will_close or not (self.has_partial_request or self.total_outbufs_len):
            self.handle_close()
        elif self.has_partial_request:
            self.refuse(HTTPStatus.BAD_REQUEST, INCOMPLETE)
        else:
            self.close_when_flushed = True

    def received(self, data: bytes) -> bool:
        """Parse requests, and queue the first one for a thread."""
        with self.requests_lock:
            was_empty = not self.requests
            self.unparsed += data
            self._parse()
            if was_empty and self.requests:
                self.server.add_task(self)
        return True

    def refuse(self, status: HTTPStatus, detail: str = "") -> None:
        """Refuse an incomplete request: respond, then close the connection."""
        request = self.request or Request(self.adj)
        request.refuse(status, detail)
        with self.requests_lock:
            self.request = None
            self.requests.append(request)
        self.server.add_task(self)

    def handle_write(self) -> None:
        """Flush the output; then close, resume the response, or start the keep-alive timer."""
        if not self.connected:
            return  # handle_read() has closed the connection in the same pass.
        self._flush_exception(self._flush_some_if_lockable)
        if self.will_close:
            self.handle_close()
        elif not self.total_outbufs_len and self.close_when_flushed:
            self._linger()
        elif self.is_suspended and not self.is_above_high_water_mark:
            self.is_suspended = False
            self.server.add_task(self)
        elif self.is_idle and self.request is None:
            self.deadline = monotonic() + self.server.keep_alive_seconds

    def handle_expt(self) -> None:
        """Close on TCP urgent data: HTTP has none, and poll() would report it on every pass."""
        self.handle_close()

    def _linger(self) -> None:
        # close() with unread input sends RST, and the client may lose the response.
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
            # The application's resources are released in a thread, never in the event loop.
            self.is_suspended = False
            self.server.add_task(self)

    def check_deadline(self, now: float) -> None:
        """Time out the connection if its deadline has passed."""
        if now < self.deadline:
            return
        if self.total_outbufs_len:
            self.disconnect_slow_client("response not read in time")
        elif self.has_partial_request and not self.requests:
            self.refuse(HTTPStatus.REQUEST_TIMEOUT)
        elif not self.requests:
            self.handle_close()

    # In any thread

    def _parse(self) -> None:
        """Parse requests with requests_lock held, at most one ahead of the current one."""
        while self.unparsed and len(self.requests) <= self.adj.channel_request_lookahead:
            if self.will_close or self.close_when_flushed:
                self.unparsed = b""
                return
            request = self.request = self.request or Request(self.adj)
            consumed = request.received(self.unparsed)
            self.unparsed = self.unparsed[consumed:]
            if request.completed:
                self.request = None
                self.sent_continue = False
                self.requests.append(request)
            elif request.expect_continue and not self.requests and not self.sent_continue:
                self.send_continue()

    def write_soon(self, data: bytes) -> int:
        """Send as much as the socket accepts; buffer the rest for the event loop to flush."""
        if not self.total_outbufs_len:
            # The deadline starts with the first byte that the client can read.
            self.deadline = monotonic() + self.server.request_timeout
        written: int = super().write_soon(data)
        return written

    def send(self, data: memoryview, do_close: bool = True) -> int:
        """Send as much as the socket accepts, and extend the deadline accordingly.

        Never close here: poll() reports a broken connection to the event loop, which closes it.
        """
        sent: int = super().send(data, do_close=False)
        latest = monotonic() + self.server.request_timeout
        self.deadline = min(self.deadline + sent / MIN_READ_RATE, latest)
        return sent

    def schedule(self) -> None:
        """Queue the next step of the response, or suspend it (backpressure)."""
        with self.outbuf_lock:
            is_suspended = self.is_suspended = self.connected and self.is_above_high_water_mark
        if is_suspended:
            self.server.limit_buffered_output()
        else:
            self.server.add_task(self)

    def service(self) -> None:
        """Run one step of the response to the first request."""
        request = self.requests[0]
        task = self.task = self.task or Task(self, request)
        try:
            if self.connected and not task.advance():
                self.schedule()
                return
        except ClientDisconnected:
            pass
        except Exception as error:
            # An application may raise OSError to abort a response that has started.
            if not (isinstance(error, OSError) and task.headers_sent):
                self.logger.exception("Error while handling a request")
            if not task.headers_sent and not request.error:
                self._close_task(task)
                request.refuse(HTTPStatus.INTERNAL_SERVER_ERROR)
                self.task = None
                self.service()
                return
            task.close_on_finish = True
            if task.is_close_delimited or not task.headers_sent:
                self.abort()
        self._finish(task)

    def _close_task(self, task: Task) -> None:
        try:
            task.close()
        except Exception:
            self.logger.exception("Error while closing a response")

    def _finish(self, task: Task) -> None:
        """Continue with the next request, or close the connection."""
        self._close_task(task)
        self.server.requests_handled += 1
        with self.requests_lock:
            self.task = None
            was_pipelined = len(self.requests) > 1
            if task.close_on_finish or not self.connected:
                self.requests.clear()
                self.request = None
                self.close_when_flushed = True
            else:
                self.requests.pop(0)
                self._next_request()
            has_next = bool(self.requests)
            is_last = self.close_when_flushed
        if is_last or was_pipelined:
            self.server.pull_trigger()
        if has_next:
            self.schedule()
        elif self.total_outbufs_len:
            self.server.limit_buffered_output()

    def _next_request(self) -> None:
        """Parse the next request with requests_lock held, or start the keep-alive timer."""
        request = self.request
        if request and request.expect_continue and not self.requests and not self.sent_continue:
            self.send_continue()
        self._parse()
        if self.is_half_closed and not self.requests:
            self._end_half_closed()
        elif self.is_idle:
            seconds = (
                self.server.request_timeout if self.request else self.server.keep_alive_seconds
            )
            self.deadline = monotonic() + seconds

    def _end_half_closed(self) -> None:
        """After the last complete request: refuse an incomplete one, or close the connection."""
        if self.request and self.request.has_started:
            self.request.refuse(HTTPStatus.BAD_REQUEST, INCOMPLETE)
            self.requests.append(self.request)
            self.request = None
        else:
            self.close_when_flushed = True

    def disconnect_slow_client(self, reason: str) -> None:
        """Reset the connection, and log the reason."""
        self.logger.info("Slow client disconnected (%s): %s", reason, self.addr[0])
        self.abort()

    def abort(self) -> None:
        """Reset the connection: a client must not take a partial response for a complete one."""
        with self.outbuf_lock:
            if self.connected:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                self.will_close = True
        # Wake the event loop to close it: a socket whose buffer is full never becomes writable.
        self.server.trigger.pull_trigger(self.handle_close)
