"""How the service is connected to the database."""

import logging
import select
import threading
import time
from typing import Any

import psycopg2
from flask import Flask, has_request_context
from psycopg2.extensions import connection as Psycopg2Connection  # noqa: N812  # it is a class
from sqlalchemy import Dialect, event
from sqlalchemy.exc import DisconnectionError

from .config import Config
from .database import reason
from .extensions import db
from .tracing import Pool

PAUSE_SECONDS = 1
"""How long a database that does not let us in is left alone: as long as trying took, or this."""

logger = logging.getLogger(__name__)


def init_app(app: Flask, config: Config) -> None:
    """Give `app` an engine."""
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(config)
    db.init_app(app)
    with app.app_context():
        event.listen(db.engine, "do_connect", Outage().connect)
        event.listen(db.engine, "checkout", refuse_broken_connection)


def engine_options(config: Config) -> dict[str, Any]:
    """Return what `sqlalchemy.create_engine` takes beside the address."""
    timeouts = (
        f"-c lock_timeout={config.db_lock_timeout}s"
        f" -c statement_timeout={config.db_statement_timeout}s"
    )
    return {
        # Each change is one statement, so it is a transaction without BEGIN and COMMIT.
        "isolation_level": "AUTOCOMMIT",
        # So there is nothing to roll back either when a connection goes back to the pool.
        "pool_reset_on_return": None,
        "poolclass": Pool,
        "pool_size": config.db_pool_size,
        "max_overflow": config.db_max_overflow,
        "pool_timeout": config.db_pool_timeout,
        # A log or an error shows the statement, never what people wrote.
        "hide_parameters": True,
        "connect_args": {
            "connect_timeout": config.db_connect_timeout,
            "fallback_application_name": "todoapp",
            # JSON goes to the client as the database sends it, whatever a role is set to.
            "client_encoding": "UTF8",
            # A server that vanished without a word is known to be gone while its connections
            # are idle.
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": 15_000,
            # The operator's own options come last, and so they win.
            "options": f"{timeouts} {config.database_url.query.get('options', '')}",
        },
    }


class Unreachable(psycopg2.OperationalError):
    """The database does not let us in, or did not a moment ago. It is logged when that begins."""


class Outage:
    """Keeps requests from waiting, each for itself, for a database that lets nobody in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reason = ""
        self._began = 0.0
        self._ended = 0.0
        self._pause_ends = 0.0
        self._is_tried = False

    def connect(
        self, dialect: Dialect, _: object, args: tuple[Any], parameters: dict[str, Any]
    ) -> Any:
        """Connect for a request. During an outage one of them tries, and the others do not wait.

        Raises:
            Unreachable: that failed, a moment ago or now.
        """
        if not has_request_context():
            return None  # a command connects as always, and says by itself what is wrong
        with self._lock:
            if self._reason and (self._is_tried or time.monotonic() < self._pause_ends):
                raise Unreachable(self._reason)
            began = time.monotonic()
            is_the_one = self._is_tried = bool(self._reason)
        try:
            connection = dialect.connect(*args, **parameters)
        except psycopg2.OperationalError as error:
            why = reason(error)
            self._begin(why, began)
            raise Unreachable(why) from error
        else:
            self._end()
            return connection
        finally:
            if is_the_one:
                self._is_tried = False

    def _begin(self, why: str, tried: float) -> None:
        now = time.monotonic()
        with self._lock:
            if tried < self._ended:
                return  # another one that tried later got in
            if not self._reason:
                self._began = now
                logger.warning("Database: cannot connect: %s", why)
            self._reason = why
            self._pause_ends = now + min(now - tried, PAUSE_SECONDS)

    def _end(self) -> None:
        with self._lock:
            self._ended = time.monotonic()
            if self._reason:
                seconds = self._ended - self._began
                logger.warning("Database: connected again after %.1f s", seconds)
            self._reason = ""


def refuse_broken_connection(connection: Psycopg2Connection, *_: object) -> None:
    """Keep a connection that broke while it was idle from being used: the pool opens another.

    On an idle connection the server says nothing but farewell, and whether there is anything
    to read the kernel knows. `pool_pre_ping` would ask the server: a round trip for each request.

    Raises:
        DisconnectionError: it broke.
            https://docs.sqlalchemy.org/en/21/core/pooling.html#custom-legacy-pessimistic-ping
    """
    if not connection.closed:
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        if not poll.poll(0):
            return
    logger.warning("Database: a connection was lost while it was idle")
    raise DisconnectionError("the connection broke while it was idle")
