"""A listening socket of gunicorn's, its connections, and the threads that serve them."""

import socket
from operator import attrgetter
from time import monotonic, time
from typing import Any

from waitress.server import BaseWSGIServer
from waitress.task import ThreadedTaskDispatcher

from .channel import Channel

READINESS = "/health"
LIVENESS = "/health/live"
SPARE_THREADS = 2
"""Dedicated threads keep health checks responsive while all others wait for the database."""

MAX_UNREAD = 64 * 1024 * 1024
"""Bytes of responses that a worker keeps for clients to read; a part counts until all is sent."""

SEND_BUFFER = 256 * 1024
"""Bytes that the kernel buffers for a client. Autotuning would grow that to megabytes, and a client
that reads steadily would look idle for seconds."""

GRACE_SECONDS = 0.1
"""How long a connection is safe from making room for others."""

STOP_SECONDS = 2
"""How long a stopping worker keeps idle connections: a request may be on its way."""


class Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc]
    """Thread pools: requests; readiness probes; and what never waits for the database."""

    def __init__(self, threads: int) -> None:
        super().__init__()
        self.set_thread_count(threads)
        self.readiness = ThreadedTaskDispatcher()
        self.readiness.set_thread_count(SPARE_THREADS)
        self.urgent = ThreadedTaskDispatcher()
        self.urgent.set_thread_count(SPARE_THREADS)

    def add_task(self, task: Channel) -> None:
        """Queue a connection for a thread."""
        task.queued_at = monotonic()
        request = task.requests[0]
        # Without a connection, all that is left to do is to release what the response holds.
        if request.error or not task.connected or request.target.startswith(LIVENESS):
            self.urgent.add_task(task)
        elif request.target.startswith(READINESS):
            self.readiness.add_task(task)
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
    def idle_seconds(self) -> float:
        """How long an idle connection stays open."""
        return STOP_SECONDS if self.is_stopping else float(self.adj.channel_timeout)

    @property
    def has_waiting_requests(self) -> bool:
        """Whether a connection waits for a thread."""
        return bool(self.task_dispatcher.queue)

    def readable(self) -> bool:
        """Say whether a client may connect: at the limit, another has to make room."""
        is_full = len(self.active_channels) >= self.adj.connection_limit
        return self.accepting and (not is_full or self._dispensable_channel() is not None)

    def handle_accept(self) -> None:
        """Accept clients that connect."""
        # poll() is O(connections): with many of them, several are accepted in a pass; with few,
        # some are left to other workers.
        for _ in range(1 + len(self.active_channels) // 50):
            before = len(self.active_channels)
            super().handle_accept()
            if len(self.active_channels) == before:
                return  # none was waiting
            if before >= self.adj.connection_limit:
                self._make_room()
            if not self.readable():
                return

    def accept(self) -> tuple[socket.socket, Any] | None:
        """Return a new connection and its address; None where there is none."""
        try:
            accepted: tuple[socket.socket, Any] | None = super().accept()
        except OSError as error:  # no more files, for one
            self.logger.warning("Cannot accept a client: %s", error)
            self._make_room()
            return None
        return accepted

    def _make_room(self) -> None:
        """Close the connection that is idle for longest, or else read most slowly."""
        channel = self._dispensable_channel()
        if channel and channel.is_idle:
            channel.handle_close()
        elif channel:
            channel.disconnect("Cut off a client: it reads slowly, and another one waits")
            channel.handle_close()

    def _dispensable_channel(self) -> Channel | None:
        channels = self.active_channels.values()
        # A new client has a moment to send its request.
        latest = time() - GRACE_SECONDS
        idle = (each for each in channels if each.is_idle and each.last_activity < latest)
        unread = (each for each in channels if each.total_outbufs_len)
        return min(idle, key=attrgetter("last_activity"), default=None) or min(
            unread, key=attrgetter("deadline"), default=None
        )

    def maintenance(self, now: float) -> None:
        """Disconnect clients whose time is over."""
        for channel in list(self.active_channels.values()):
            channel.check_deadline(now)

    def limit_unread(self) -> None:
        """Where too much waits to be read, disconnect the clients whose time is over first."""
        channels = [each for each in list(self.active_channels.values()) if not each.will_close]
        unread = sum(channel.output.held for channel in channels)
        for channel in sorted(channels, key=attrgetter("deadline")):
            if unread <= MAX_UNREAD:
                return
            if channel.output.held:
                unread -= channel.output.held
                channel.disconnect("Cut off a client: too many responses wait to be read")

    def stop(self) -> None:
        """Accept no more clients, and close each connection with its next response."""
        self.is_stopping = True
        self.accepting = False
        self.del_channel()
        latest = monotonic() + STOP_SECONDS
        for channel in self.active_channels.values():
            if channel.is_idle and not channel.has_partial_request:
                channel.deadline = min(channel.deadline, latest)
