"""The engine: connection options, the pool, and the check of idle connections."""

import logging
import select
from threading import BoundedSemaphore
from time import perf_counter
from typing import Any

import psycopg2
from flask import Flask
from psycopg2.extensions import connection as Psycopg2Connection  # noqa: N812  # a class
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import PoolProxiedConnection, QueuePool

from todoapp.config import Config
from todoapp.extensions import db
from todoapp.observability import request_context

from .circuit_breaker import CircuitBreaker

# A database or a role may have another default, with which a change that waited for another one
# fails instead of seeing its result.
ISOLATION = r"-c default_transaction_isolation=read\ committed"

# With PostgreSQL's default, 4 MB, the bitmap of a search for a common word among more than five
# million todos becomes lossy, and the words of each todo are compared again: 50 s instead of 2.5.
# https://www.postgresql.org/docs/current/runtime-config-resource.html#GUC-WORK-MEM
WORK_MEM = "-c work_mem=32MB"

WITHOUT_TIME_LIMITS = (
    "SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN"
    " ('statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')"
)
"""Lifts the time limits of a session, for commands that take as long as they need. PostgreSQL
before version 17 has no transaction_timeout."""

logger = logging.getLogger(__name__)


def init_app(app: Flask, config: Config) -> None:
    """Create the engine of `app`."""
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(config)
    # Threads and connections, but for one of each.
    slots = min(config.web_threads, config.db_pool_size + config.db_max_overflow) - 1
    app.extensions["expensive_statements"] = BoundedSemaphore(max(slots, 1))
    db.init_app(app)
    with app.app_context():
        event.listen(db.engine, "do_connect", CircuitBreaker().connect)
        event.listen(db.engine, "checkout", discard_broken_connection)


def engine_options(config: Config) -> dict[str, Any]:
    """Return the arguments of `sqlalchemy.create_engine` except for the address."""
    timeouts = (
        f"-c lock_timeout={config.db_lock_timeout}s"
        f" -c statement_timeout={config.db_statement_timeout}s"
    )
    own_options = config.database_url.query.get("options", "")
    return {
        # Each change is one statement, which is a transaction without BEGIN and COMMIT.
        "isolation_level": "AUTOCOMMIT",
        # So there is nothing to roll back when a connection is returned to the pool.
        "pool_reset_on_return": None,
        "poolclass": TimedPool,
        "pool_size": config.db_pool_size,
        "max_overflow": config.db_max_overflow,
        "pool_timeout": config.db_pool_timeout,
        # Logs and errors show the statement, never its parameters: they are user data.
        "hide_parameters": True,
        "connect_args": {
            "connect_timeout": config.db_connect_timeout,
            "fallback_application_name": "todoapp",
            # JSON is sent to the client as the database encodes it, whatever the role's setting.
            "client_encoding": "UTF8",
            # Detect on idle connections that a server has vanished without closing them.
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": 15_000,
            # The operator's own options take precedence, except over the isolation level.
            "options": f"{timeouts} {WORK_MEM} {own_options} {ISOLATION}",
        },
    }


class TimedPool(QueuePool):
    """A pool that adds the wait for a connection to the request, and logs long waits."""

    def connect(self) -> PoolProxiedConnection:
        """Return an idle connection, or a new one.

        Raises:
            sqlalchemy.exc.TimeoutError: no connection became free within DB_POOL_TIMEOUT.
            psycopg2.Error: the database is unreachable.
        """
        info = request_context.current()
        if info is None:
            return super().connect()
        start = perf_counter()
        try:
            connection = super().connect()
        finally:
            seconds = perf_counter() - start
            info.database_seconds += seconds
        if seconds > info.slow_seconds:
            logger.warning("Connection pool: waited %.0fms for a connection", seconds * 1000)
        return connection


def discard_broken_connection(connection: Psycopg2Connection, *_: object) -> None:
    """Make the pool replace a connection that broke while it was idle.

    The kernel knows whether there is anything to read, without the round trip that
    `pool_pre_ping` costs each request. If there is, libpq reads it. A changed setting
    (ParameterStatus), a notice or a notification is harmless; the end of the connection is not.
    https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-ASYNC

    Raises:
        DisconnectionError: the connection is broken.
            https://docs.sqlalchemy.org/en/21/core/pooling.html#custom-legacy-pessimistic-ping
    """
    try:
        while not connection.closed and _is_readable(connection):
            connection.poll()
    except psycopg2.Error:
        connection.close()
    if connection.closed:
        logger.warning("Database: a connection was lost while it was idle")
        raise DisconnectionError("the connection broke while it was idle")


def _is_readable(connection: Psycopg2Connection) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))
