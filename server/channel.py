"""Connections: waitress' channels, with deadlines; slow clients never hold a thread."""

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
"""Bytes of output beyond which a response is suspended until its client has read some."""

MIN_RATE = 256 * 1024
"""Minimum read rate of a client that does not read its response at once, in bytes per second."""

LINGER_SECONDS = 2
"""How long a client may go on sending after the last response: RFC 9112, section 9.6."""

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends RST, so that the response cannot pass for a complete one."""


class Output:
    """Output buffer: parts as written, each freed once sent.

    waitress' own buffers copy the parts, and free nothing before all is sent.

    Attributes:
        held: bytes of the parts that are kept, those that are partly sent in full.
    """

    def __init__(self) -> None:
        self.held = 0
        self._parts: deque[memoryview] = deque()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, data: bytes) -> None:
        """Add a part."""
        self._parts.append(memoryview(data))
        self._length += len(data)
        self.held += len(data)

    def get(self, size: int) -> memoryview:
        """Return up to `size` bytes from the front."""
        return self._parts[0][:size]

    def skip(self, size: int, _: bool = False) -> None:
        """Drop `size` bytes of what `get()` returned."""
        self._length -= size
        part = self._parts.popleft()
        if size < len(part):
            self._parts.appendleft(part[size:])
        else:
            self.held -= len(part.obj)  # type: ignore[arg-type]  # of bytes

    def close(self) -> None:
        """Drop everything."""
        self._parts.clear()
        self._length = self.held = 0


class Channel(HTTPChannel):  # type: ignore[misc]
    """One connection.

    The event loop reads requests and sends responses; threads run the application. While its client
    does not read, a response is suspended (backpressure).

    Attributes:
        deadline: when the client must have sent a request, or read a response (monotonic()).
        queued_at: when its request was handed to the threads.
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
        self.output = Output()
        self.had_output = False
        self.is_suspended = False
        self.is_half_closed = False
        self.is_lingering = False
        super().__init__(server, sock, addr, adj, **kwargs)
        self.outbufs = [self.output]

    @property
    def is_above_high_water_mark(self) -> bool:
        """Whether the client has to read before the response goes on."""
        return bool(self.total_outbufs_len > HIGH_WATER_MARK)

    @property
    def is_idle(self) -> bool:
        """Whether no request is being handled, and no response being sent."""
        return not self.requests and not self.total_outbufs_len

    @property
    def has_partial_request(self) -> bool:
        """Whether a request has begun to arrive."""
        return self.request is not None and self.request.has_begun

    # In the event loop

    def readable(self) -> bool:
        """Say whether to poll for input."""
        self.had_output = bool(self.total_outbufs_len)
        return self.is_lingering or (not self.is_half_closed and super().readable())

    def writable(self) -> bool:
        """Say whether to poll for room for output.

        Also where a thread has sent the output since readable() was called because of which that
        was False: polled for neither, the connection would be forgotten for a moment.
        """
        return self.had_output or super().writable()

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
            if not self.has_partial_request:
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
        if self.has_partial_request and not self.will_close:
            self.refuse(HTTPStatus.BAD_REQUEST, "The request breaks off")
        else:
            self.handle_close()

    def received(self, data: bytes) -> bool:
        """Parse requests; hand the first one to the threads."""
        with self.requests_lock:
            was_empty = not self.requests
            self.unparsed += data
            self._parse()
            if was_empty and self.requests:
                self.server.add_task(self)
        return True

    def refuse(self, status: HTTPStatus, detail: str = "") -> None:
        """Respond to a request that has not arrived, and will not."""
        request = self.request or Request(self.adj)
        request.refuse(status, detail)
        with self.requests_lock:
            self.request = None
            self.requests.append(request)
        self.server.add_task(self)

    def handle_write(self) -> None:
        """Flush the output, then close, resume, or start the keep-alive timer."""
        self._flush_exception(self._flush_some_if_lockable)
        if self.will_close:
            self.handle_close()
        elif not self.total_outbufs_len and self.close_when_flushed:
            self._linger()
        elif self.is_suspended and not self.is_above_high_water_mark:
            self.is_suspended = False
            self.server.add_task(self)
        elif self.is_idle and self.request is None:
            self.deadline = monotonic() + self.server.idle_seconds

    def handle_expt(self) -> None:
        """Close on urgent data: HTTP does not use it, and poll() would report it on every pass."""
        self.handle_close()

    def _linger(self) -> None:
        # Closing with unread input sends RST, which can destroy the response.
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
        """Close the connection if its deadline has passed."""
        if now < self.deadline:
            return
        if self.total_outbufs_len:
            self.disconnect("Cut off a client that did not read its answer")
        elif self.has_partial_request and not self.requests:
            self.refuse(HTTPStatus.REQUEST_TIMEOUT)
        elif not self.requests:
            self.handle_close()

    # In any thread

    def _parse(self) -> None:
        """Parse requests, with requests_lock held: no more than the next one in advance."""
        while self.unparsed and len(self.requests) <= self.adj.channel_request_lookahead:
            if self.will_close or self.close_when_flushed:
                self.unparsed = b""
                return
            request = self.request = self.request or Request(self.adj)
            taken = request.received(self.unparsed)
            self.unparsed = self.unparsed[taken:]
            if request.completed:
                self.request = None
                self.sent_continue = False
                self.requests.append(request)
            elif request.expect_continue and not self.requests and not self.sent_continue:
                self.send_continue()

    def write_soon(self, data: bytes) -> int:
        """Send what the socket takes at once, and keep the rest for the event loop."""
        if not self.total_outbufs_len:
            # The client's time starts when there is something to read.
            self.deadline = monotonic() + self.server.request_timeout
        written: int = super().write_soon(data)
        return written

    def send(self, data: memoryview, do_close: bool = True) -> int:
        """Send what the socket takes, and extend the client's time accordingly.

        Where the connection is broken, poll() tells the event loop, which alone closes it.
        """
        sent: int = super().send(data, do_close=False)
        latest = monotonic() + self.server.request_timeout
        self.deadline = min(self.deadline + sent / MIN_RATE, latest)
        return sent

    def schedule(self) -> None:
        """Queue the next step, or suspend the response (backpressure)."""
        with self.outbuf_lock:
            is_suspended = self.is_suspended = self.connected and self.is_above_high_water_mark
        if is_suspended:
            self.server.limit_unread()
        else:
            self.server.add_task(self)

    def service(self) -> None:
        """Take one step of the response to the first request."""
        request = self.requests[0]
        task = self.task = self.task or Task(self, request)
        try:
            if self.connected and not task.advance():
                self.schedule()
                return
        except ClientDisconnected:
            pass
        except Exception as error:
            # An application raises OSError to break off a response.
            if not (isinstance(error, OSError) and task.has_begun):
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
            if task.closes or self.is_half_closed or not self.connected:
                self.requests.clear()
                self.request = None
                self.close_when_flushed = True
            else:
                self.requests.pop(0)
                self._await_request()
            has_next = bool(self.requests)
            is_last = self.close_when_flushed
        if is_last or was_pipelined:
            self.server.pull_trigger()
        if has_next:
            self.schedule()
        elif self.total_outbufs_len:
            self.server.limit_unread()

    def _await_request(self) -> None:
        """Parse the next request, or wait for it, with requests_lock held."""
        request = self.request
        if request and request.expect_continue and not self.requests and not self.sent_continue:
            self.send_continue()
        self._parse()
        if self.is_idle:
            seconds = self.server.request_timeout if self.request else self.server.idle_seconds
            self.deadline = monotonic() + seconds

    def disconnect(self, reason: str) -> None:
        """Reset the connection, and log why."""
        self.logger.info("%s: %s", reason, self.addr[0])
        self.abort()

    def abort(self) -> None:
        """Reset the connection: half a response must not pass for a complete one."""
        with self.outbuf_lock:
            if self.connected:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                self.will_close = True
        # Close from the event loop: a full socket never becomes writable.
        self.server.trigger.pull_trigger(self.handle_close)
