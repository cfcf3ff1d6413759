"""A listening socket of gunicorn's, its connections, and the threads that serve them."""

import socket
from time import monotonic
from typing import Any

from waitress.server import BaseWSGIServer
from waitress.task import ThreadedTaskDispatcher

from .channel import Channel

HEALTH_CHECKS = "/health"
HEALTH_CHECK_THREADS = 2
"""Dedicated threads keep health checks responsive while all others wait for the database."""

MAX_TOTAL_UNREAD = 64 * 1024 * 1024
"""Bytes of responses that may wait for the clients of a worker to read them."""


STOP_SECONDS = 2
"""How long a stopping worker keeps idle connections: a request may be on its way."""


class Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc]
    """The threads of a worker, and a few more for health checks."""

    def __init__(self, threads: int) -> None:
        super().__init__()
        self.set_thread_count(threads)
        self.health_checks = ThreadedTaskDispatcher()
        self.health_checks.set_thread_count(HEALTH_CHECK_THREADS)

    def add_task(self, task: Channel) -> None:
        """Hand a connection to the threads."""
        task.queued_at = monotonic()
        if task.requests[0].target.startswith(HEALTH_CHECKS):
            self.health_checks.add_task(task)
        else:
            super().add_task(task)


class Server(BaseWSGIServer):  # type: ignore[misc]
    """One listening socket.

    Attributes:
        request_timeout: seconds for a client to send a request, or to read a response.
        is_stopping: each connection ends with the response that it gets now.
    """

    channel_class = Channel
    request_timeout = 30.0
    is_stopping = False

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
        """Send what is written at once."""
        if conn.family != socket.AF_UNIX:
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def has_waiting_requests(self) -> bool:
        """Whether a connection waits for a thread."""
        return bool(self.task_dispatcher.queue)

    def readable(self) -> bool:
        """Say whether a client may connect: at the limit, it takes the place of an idle one."""
        return self.accepting and (not self._is_full or bool(self._idle_channels()))

    def handle_accept(self) -> None:
        """Accept a client that connects."""
        if self._is_full:
            self._close_longest_idle()
        super().handle_accept()

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

    def _idle_channels(self) -> list[Channel]:
        return [channel for channel in self.active_channels.values() if channel.is_idle]

    def _close_longest_idle(self) -> None:
        idle = self._idle_channels()
        if idle:
            min(idle, key=lambda channel: channel.last_activity).handle_close()

    def maintenance(self, now: float) -> None:
        """Disconnect clients whose time is over, and those that leave too much unread."""
        for channel in list(self.active_channels.values()):
            channel.check_deadline(now)
        unread = sum(channel.total_outbufs_len for channel in self.active_channels.values())
        while unread > MAX_TOTAL_UNREAD:
            greedy = max(self.active_channels.values(), key=lambda each: each.total_outbufs_len)
            unread -= greedy.total_outbufs_len
            greedy.disconnect("Disconnected a client: too much is unread")

    def stop(self) -> None:
        """Accept no more clients, and close each connection with its next response."""
        self.is_stopping = True
        self.accepting = False
        self.del_channel()
        latest = monotonic() + STOP_SECONDS
        for channel in self._idle_channels():
            if not (channel.request and channel.request.has_begun):
                channel.deadline = min(channel.deadline, latest)
