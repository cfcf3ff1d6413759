"""Circuit breaker: fail fast during an outage; one request at a time probes.

https://learn.microsoft.com/en-us/azure/architecture/patterns/circuit-breaker

- closed: every request connects as usual.
- open: connecting failed a moment ago. Requests fail at once, without connecting.
- half-open: the pause is over. One request connects; the others fail until its result is known.
"""

import logging
import threading
import time
from typing import Any

import psycopg2
from flask import has_request_context
from sqlalchemy import Dialect

from .errors import DatabaseUnreachable, reason

MAX_PAUSE_SECONDS = 1
"""The breaker stays open for as long as the failed attempt took, but no longer than this."""

logger = logging.getLogger(__name__)


class CircuitBreaker:
    """Decides whether a request may open a connection."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reason = ""
        """Why the breaker is open; empty while it is closed."""
        self._opened_at = 0.0
        self._closed_at = 0.0
        self._half_open_at = 0.0
        self._probing = False

    def connect(
        self, dialect: Dialect, _: object, args: tuple[Any], parameters: dict[str, Any]
    ) -> Any:
        """Open a connection for a request: a handler of SQLAlchemy's event `do_connect`.

        Raises:
            DatabaseUnreachable: the breaker is open, or connecting failed.
        """
        if not has_request_context():
            return None  # a command connects as usual, and reports the error itself
        with self._lock:
            is_open = bool(self._reason)
            if is_open and (self._probing or time.monotonic() < self._half_open_at):
                raise DatabaseUnreachable(self._reason)
            started = time.monotonic()
            self._probing = is_open
        try:
            connection = dialect.connect(*args, **parameters)
        except psycopg2.OperationalError as error:
            message = reason(error)
            self._open(message, started)
            raise DatabaseUnreachable(message) from error
        else:
            self._close()
            return connection
        finally:
            if is_open:
                self._probing = False

    def _open(self, message: str, attempt_started: float) -> None:
        now = time.monotonic()
        with self._lock:
            if attempt_started < self._closed_at:
                return  # a later attempt has succeeded
            if not self._reason:
                self._opened_at = now
                logger.warning("Database: cannot connect: %s", message)
            self._reason = message
            self._half_open_at = now + min(now - attempt_started, MAX_PAUSE_SECONDS)

    def _close(self) -> None:
        with self._lock:
            self._closed_at = time.monotonic()
            if self._reason:
                seconds = self._closed_at - self._opened_at
                logger.warning("Database: connected again after %.1f s", seconds)
            self._reason = ""
