"""Client-side deadline for an unresponsive server.

PostgreSQL enforces statement_timeout itself. A server that is frozen, or cut off by the network,
cannot, and libpq would wait forever. So a background thread shuts down the socket of a connection
whose statement is overdue, which libpq reports as a closed connection.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg2
from psycopg2.extensions import connection as Psycopg2Connection  # noqa: N812  # a class

from .errors import DeadlineExceeded

CHECK_INTERVAL_SECONDS = 0.2


class DeadlineTimer:
    """The statements in progress in this process, each with its deadline."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._deadlines: dict[Psycopg2Connection, float] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def limit(self, connection: Psycopg2Connection, seconds: float) -> Iterator[None]:
        """Limit the duration of the block, which uses `connection`.

        Raises:
            DeadlineExceeded: the deadline passed; the connection is broken.
        """
        with self._lock:
            # Started on first use: threads do not survive the fork of a worker.
            if self._thread is None:
                thread = threading.Thread(target=self._check, daemon=True)
                thread.start()
                self._thread = thread
            self._deadlines[connection] = time.monotonic() + seconds
        try:
            yield
        finally:
            with self._lock:
                overdue = self._deadlines.pop(connection, None) is None
            if overdue:
                raise DeadlineExceeded(f"no response within {seconds:g} s")

    def _check(self) -> None:
        while True:
            time.sleep(CHECK_INTERVAL_SECONDS)
            now = time.monotonic()
            # Holding the lock, so that the connection cannot be reused before it is shut down.
            with self._lock:
                for connection, deadline in list(self._deadlines.items()):
                    if deadline < now:
                        del self._deadlines[connection]
                        _shut_down(connection)


def _shut_down(connection: Psycopg2Connection) -> None:
    with suppress(OSError, psycopg2.InterfaceError):  # the connection has just broken by itself
        server = socket.socket(fileno=connection.fileno())
        try:
            server.shutdown(socket.SHUT_RDWR)
        finally:
            server.detach()  # libpq owns the file descriptor
