"""A listening socket of gunicorn's, its connections, and the threads that serve them."""

import socket
from collections.abc import Iterator
from operator import attrgetter
from time import monotonic
from typing import Any

from waitress.server import BaseWSGIServer
from waitress.task import ThreadedTaskDispatcher

from .channel import Channel

HEALTH_CHECKS = "/health"
URGENT_THREADS = 2
"""Dedicated threads keep health checks responsive while all others wait for the database."""

MAX_TOTAL_UNREAD = 32 * 1024 * 1024
"""Bytes of responses that may wait for the clients of a worker to read them."""

SEND_BUFFER = 256 * 1024
"""Bytes that the kernel keeps for a client. It would keep megabytes, and say so late that it takes
more: a client that reads steadily would pass for one that does not read."""

STOP_SECONDS = 2
"""How long a stopping worker keeps idle connections: a request may be on its way."""


class Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc]
    """The threads of a worker, and a few more for what must not wait for them."""

    def __init__(self, threads: int) -> None:
        super().__init__()
        self.set_thread_count(threads)
        self.urgent = ThreadedTaskDispatcher()
        self.urgent.set_thread_count(URGENT_THREADS)

    def add_task(self, task: Channel) -> None:
        """Hand a connection to the threads."""
        task.queued_at = monotonic()
        is_health_check = task.requests[0].target.startswith(HEALTH_CHECKS)
        if is_health_check or not task.connected:  # what it holds is to be released
            self.urgent.add_task(task)
        else:
            super().add_task(task)


class Server(BaseWSGIServer):  # type: ignore[misc]
    """One listening socket.

    Attributes:
        request_timeout: seconds for a client to send a request, or to read a response.
        is_stopping: each connection ends with the response that it gets now.
        served: how many requests have got a response, for gunicorn's `--max-requests`.
    """

    channel_class = Channel
    request_timeout = 30.0
    is_stopping = False
    served = 0

    def getsockname(self) -> tuple[str, int]:
        """Return the host and the port."""
        name = self.socket.getsockname()
        return name[:2] if isinstance(name, tuple) else ("localhost", 80)

    def fix_addr(self, addr: Any) -> tuple[str, int]:
        """Return a client's address; on a socket for IPv6 and IPv4, IPv4 ones as they are."""
        if not isinstance(addr, tuple):
            return ("localhost", 0)  # a Unix socket
        return addr[0].removeprefix("::ffff:"), addr[1]

    def set_socket_options(self, conn: socket.socket) -> None:
        """Send what is written at once, and let no more than SEND_BUFFER wait in the kernel."""
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        if conn.family != socket.AF_UNIX:
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def has_waiting_requests(self) -> bool:
        """Whether a connection waits for a thread."""
        return bool(self.task_dispatcher.queue)

    def readable(self) -> bool:
        """Say whether a client may connect: at the limit, it takes the place of an idle one."""
        return self.accepting and (not self._is_full or any(self._idle_channels()))

    def handle_accept(self) -> None:
        """Accept clients that connect."""
        # A pass of the event loop looks at every connection, so with many of them, one more for
        # each pass would take long. With few, another worker is to have its share.
        for _ in range(1 + len(self.active_channels) // 50):
            if self._is_full:
                self._close_longest_idle()
            before = len(self.active_channels)
            super().handle_accept()
            if len(self.active_channels) == before:
                return

    def accept(self) -> tuple[socket.socket, Any] | None:
        """Return a new connection and its address; None where there is none."""
        try:
            accepted: tuple[socket.socket, Any] | None = super().accept()
        except OSError as error:  # no more files, for one
            self.logger.warning("Cannot accept a client: %s", error)
            self._close_longest_idle()
            return None
        return accepted

    @property
    def _is_full(self) -> bool:
        return bool(len(self.active_channels) >= self.adj.connection_limit)

    def _idle_channels(self) -> Iterator[Channel]:
        return (channel for channel in self.active_channels.values() if channel.is_idle)

    def _close_longest_idle(self) -> None:
        longest = min(self._idle_channels(), key=attrgetter("last_activity"), default=None)
        if longest:
            longest.handle_close()

    def maintenance(self, now: float) -> None:
        """Disconnect clients whose time is over."""
        for channel in list(self.active_channels.values()):
            channel.check_deadline(now)

    def limit_unread(self) -> None:
        """Where too much waits to be read, disconnect the client whose time is over first."""
        unread = [
            channel
            for channel in list(self.active_channels.values())
            if channel.has_unread_output and not channel.will_close
        ]
        if sum(channel.total_outbufs_len for channel in unread) > MAX_TOTAL_UNREAD:
            self.logger.info("Cut off a client: too many responses wait to be read")
            min(unread, key=attrgetter("deadline")).abort()

    def stop(self) -> None:
        """Accept no more clients, and close each connection with its next response."""
        self.is_stopping = True
        self.accepting = False
        self.del_channel()
        latest = monotonic() + STOP_SECONDS
        for channel in self._idle_channels():
            if not (channel.request and channel.request.has_begun):
                channel.deadline = min(channel.deadline, latest)
