"""Listening sockets, the connection limit, and the thread pools."""

import socket
from operator import attrgetter
from time import monotonic, time
from typing import Any

from waitress.server import BaseWSGIServer
from waitress.task import ThreadedTaskDispatcher

from .channel import Channel

READINESS_PATH = "/health"
LIVENESS_PATH = "/health/live"
DEDICATED_THREADS = 2
"""Dedicated threads keep health checks responsive while all others wait for the database."""

MAX_BUFFERED_OUTPUT = 64 * 1024 * 1024
"""Bytes of unsent output that a worker buffers for all its clients together."""

SEND_BUFFER = 256 * 1024
"""SO_SNDBUF of each connection. Autotuning would grow it to megabytes, and a client that reads
steadily would seem stalled for seconds."""

EVICTION_GRACE_SECONDS = 0.1
"""Idle time before a connection may be evicted: gives a new client time to send its request."""

SHUTDOWN_KEEP_ALIVE_SECONDS = 2
"""Keep-alive timeout during graceful shutdown: a request may already be in flight."""


class Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc]
    """Thread pools: one for requests, one for readiness probes, one for lightweight work.

    Lightweight work never waits for the database: liveness probes, refused requests, and the
    clean-up after a client has disconnected.
    """

    def __init__(self, threads: int) -> None:
        super().__init__()
        self.set_thread_count(threads)
        self.readiness = ThreadedTaskDispatcher()
        self.readiness.set_thread_count(DEDICATED_THREADS)
        self.lightweight = ThreadedTaskDispatcher()
        self.lightweight.set_thread_count(DEDICATED_THREADS)

    def add_task(self, task: Channel) -> None:
        """Queue the connection for the thread pool that its request belongs to."""
        task.queued_at = monotonic()
        request = task.requests[0]
        # After a disconnect, only the response's resources remain to be released.
        if request.error or not task.connected or request.target.startswith(LIVENESS_PATH):
            self.lightweight.add_task(task)
        elif request.target.startswith(READINESS_PATH):
            self.readiness.add_task(task)
        else:
            super().add_task(task)


class Server(BaseWSGIServer):  # type: ignore[misc]
    """Listening socket and its open connections.

    Attributes:
        request_timeout: seconds for a client to send a request, or to read a response.
        is_stopping: whether each connection is closed after its current response.
        requests_handled: number of requests processed, for gunicorn's `--max-requests`.
    """

    channel_class = Channel
    request_timeout = 30.0
    is_stopping = False
    requests_handled = 0

    def getsockname(self) -> tuple[str, int]:
        """Return the host and port, a placeholder for a Unix socket."""
        name = self.socket.getsockname()
        return name[:2] if isinstance(name, tuple) else ("localhost", 80)

    def fix_addr(self, addr: Any) -> tuple[str, int]:
        """Return the client's address; convert IPv4-mapped IPv6 addresses to IPv4."""
        if not isinstance(addr, tuple):
            return ("localhost", 0)  # a Unix socket
        return addr[0].removeprefix("::ffff:"), addr[1]

    def set_socket_options(self, conn: socket.socket) -> None:
        """Disable Nagle's algorithm, and limit the kernel's send buffer."""
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        if conn.family != socket.AF_UNIX:
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def keep_alive_seconds(self) -> float:
        """Return the keep-alive timeout in seconds."""
        return SHUTDOWN_KEEP_ALIVE_SECONDS if self.is_stopping else float(self.adj.channel_timeout)

    @property
    def has_queued_requests(self) -> bool:
        """Whether requests are waiting for a thread."""
        return bool(self.task_dispatcher.queue)

    def readable(self) -> bool:
        """Return whether to accept connections: at the limit, only if one can be evicted."""
        is_full = len(self.active_channels) >= self.adj.connection_limit
        return self.accepting and (not is_full or self._eviction_candidate() is not None)

    def handle_accept(self) -> None:
        """Accept pending connections; evict one for each if the limit is reached."""
        # poll() is O(connections): with many connections, accept several per pass; with few,
        # leave some to the other workers.
        for _ in range(1 + len(self.active_channels) // 50):
            before = len(self.active_channels)
            super().handle_accept()
            if len(self.active_channels) == before:
                return  # no connection was pending
            if before >= self.adj.connection_limit:
                self._evict_connection()
            if not self.readable():
                return

    def accept(self) -> tuple[socket.socket, Any] | None:
        """Return a new connection and its address, or None if there is none."""
        try:
            accepted: tuple[socket.socket, Any] | None = super().accept()
        except OSError as error:  # for example, too many open files
            self.logger.warning("Cannot accept a connection: %s", error)
            self._evict_connection()
            return None
        return accepted

    def _evict_connection(self) -> None:
        """Close the connection that has been idle longest, or else the slowest reader's."""
        channel = self._eviction_candidate()
        if channel and channel.is_idle:
            channel.handle_close()
        elif channel:
            channel.disconnect_slow_client("connection limit reached")
            channel.handle_close()

    def _eviction_candidate(self) -> Channel | None:
        channels = self.active_channels.values()
        latest = time() - EVICTION_GRACE_SECONDS
        idle = (
            channel for channel in channels if channel.is_idle and channel.last_activity < latest
        )
        unread = (channel for channel in channels if channel.total_outbufs_len)
        return min(idle, key=attrgetter("last_activity"), default=None) or min(
            unread, key=attrgetter("deadline"), default=None
        )

    def maintenance(self, now: float) -> None:
        """Enforce the deadlines of all connections."""
        for channel in list(self.active_channels.values()):
            channel.check_deadline(now)

    def limit_buffered_output(self) -> None:
        """Enforce MAX_BUFFERED_OUTPUT: disconnect slow clients, earliest deadline first."""
        channels = [
            channel for channel in list(self.active_channels.values()) if not channel.will_close
        ]
        buffered = sum(channel.output.retained for channel in channels)
        for channel in sorted(channels, key=attrgetter("deadline")):
            if buffered <= MAX_BUFFERED_OUTPUT:
                return
            if channel.output.retained:
                buffered -= channel.output.retained
                channel.disconnect_slow_client("output buffer limit reached")

    def _accept_pending(self) -> None:
        """Accept the connections that the kernel would reset when the socket is closed."""
        before = -1
        while before < len(self.active_channels):
            before = len(self.active_channels)
            self.handle_accept()

    def stop(self) -> None:
        """Start a graceful shutdown: stop accepting; close each connection after its response."""
        self.is_stopping = True
        self._accept_pending()
        self.accepting = False
        self.del_channel()
        # Once every process has closed the socket, the kernel refuses connections, and a proxy can
        # try another machine.
        self.socket.close()
        latest = monotonic() + SHUTDOWN_KEEP_ALIVE_SECONDS
        for channel in self.active_channels.values():
            if channel.is_idle and not channel.has_partial_request:
                channel.deadline = min(channel.deadline, latest)
