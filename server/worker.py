"""gunicorn worker class: gunicorn manages the process, waitress serves its sockets."""

import os
import socket
import sys
from queue import SimpleQueue
from signal import SIGINT, SIGQUIT, SIGTERM
from time import monotonic
from typing import Any

from gunicorn.sock import BaseSocket
from gunicorn.workers.base import Worker as BaseWorker
from waitress import wasyncore
from waitress.adjustments import Adjustments

from .server import Dispatcher, Server

MAX_HEADER_SIZE = 32 * 1024
POLL_SECONDS = 0.5
MAINTENANCE_SECONDS = 0.5


class Worker(BaseWorker):  # type: ignore[misc]
    """Serves gunicorn's sockets with waitress, without TLS: a proxy terminates it.

    The attributes can be set in gunicorn's `post_fork` hook.

    Attributes:
        request_timeout: seconds for a client to send a request, or to read a response.
        max_body: maximum size of a request body in bytes.
        early_signals: signals that arrived before this worker installed its handlers.
    """

    request_timeout = 30.0
    max_body = 1024 * 1024

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.early_signals: SimpleQueue[int] = SimpleQueue()
        self.next_maintenance = 0.0

    def init_signals(self) -> None:
        """Install signal handlers, then replay signals that arrived earlier."""
        super().init_signals()
        # Until now, the handler inherited from the master has queued this process's signals.
        while not self.early_signals.empty():
            if self.early_signals.get_nowait() in (SIGINT, SIGQUIT, SIGTERM):
                self.alive = False

    def run(self) -> None:
        """Serve until gunicorn stops the worker, then shut down gracefully."""
        dispatcher = Dispatcher(self.cfg.threads)
        channels: dict[int, Any] = {}
        servers = [self._create_server(listener, dispatcher, channels) for listener in self.sockets]
        while self.alive and self.ppid == os.getppid():
            self._poll(servers, channels)
            if sum(server.requests_handled for server in servers) >= self.max_requests:
                self.log.info("Reached --max-requests, restarting the worker")
                self.alive = False
        for server in servers:
            server.stop()
        # One second less than the master waits before it sends SIGKILL.
        deadline = monotonic() + max(self.cfg.graceful_timeout - 1, 0)
        while any(server.active_channels for server in servers) and monotonic() < deadline:
            self._poll(servers, channels)
        for server in servers:
            for channel in server.active_channels.values():
                if not channel.is_idle:
                    channel.abort()
        dispatcher.shutdown(timeout=0.5)

    def _create_server(
        self, listener: BaseSocket, dispatcher: Dispatcher, channels: dict[int, Any]
    ) -> Server:
        adj = Adjustments(
            ident="gunicorn",
            backlog=self.cfg.backlog,
            channel_timeout=self.cfg.keepalive,
            connection_limit=self.cfg.worker_connections,
            channel_request_lookahead=1,
            max_request_header_size=MAX_HEADER_SIZE,
            max_request_body_size=self.max_body,
            # Channel suspends responses much earlier, so that no thread waits for a client.
            outbuf_high_watermark=sys.maxsize,
            log_socket_errors=False,
            # The application decides whether to trust X-Forwarded-*.
            clear_untrusted_proxy_headers=False,
        )
        server = Server(
            self.wsgi,
            channels,
            _sock=listener.sock,
            dispatcher=dispatcher,
            adj=adj,
            sockinfo=(listener.FAMILY, socket.SOCK_STREAM),
            bind_socket=False,
        )
        server.request_timeout = self.request_timeout
        return server

    def _poll(self, servers: list[Server], channels: dict[int, Any]) -> None:
        self.notify()
        wasyncore.poll2(POLL_SECONDS, channels)
        now = monotonic()
        if now >= self.next_maintenance:
            self.next_maintenance = now + MAINTENANCE_SECONDS
            for server in servers:
                server.maintenance(now)
