"""Ends the wait for a database that has fallen silent.

PostgreSQL keeps statement_timeout by itself. A server that is frozen, or cut off by the network,
keeps nothing, and libpq would wait for it without end. So a thread looks after the statements
that are under way, and shuts the connection of an overdue one: to libpq, the server has left.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg2
from psycopg2.extensions import connection as Psycopg2Connection  # noqa: N812  # it is a class

LOOK_SECONDS = 0.2


class NoAnswer(psycopg2.OperationalError):
    """The database left a statement unanswered; whether it was executed is unknown."""


class Watchdog:
    """Knows the statements that are under way in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._deadlines: dict[Psycopg2Connection, float] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def limit(self, connection: Psycopg2Connection, seconds: float) -> Iterator[None]:
        """Let what is done with `connection` take so long at most.

        Raises:
            NoAnswer: the time was over; the connection is broken.
        """
        with self._lock:
            # Not before: threads do not survive the fork of the worker.
            if self._thread is None:
                thread = threading.Thread(target=self._watch, daemon=True)
                thread.start()
                self._thread = thread
            self._deadlines[connection] = time.monotonic() + seconds
        try:
            yield
        finally:
            with self._lock:
                overdue = self._deadlines.pop(connection, None) is None
            if overdue:
                raise NoAnswer(f"no answer within {seconds:g} s")

    def _watch(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            now = time.monotonic()
            # Under the lock, so that no connection is shut that is already used for something else.
            with self._lock:
                for connection, deadline in list(self._deadlines.items()):
                    if deadline < now:
                        del self._deadlines[connection]
                        _shut(connection)


def _shut(connection: Psycopg2Connection) -> None:
    with suppress(OSError, psycopg2.InterfaceError):  # it broke at this very moment
        server = socket.socket(fileno=connection.fileno())
        try:
            server.shutdown(socket.SHUT_RDWR)
        finally:
            server.detach()  # the file is libpq's to close
