"""Execution of statements on connections of the pool.

Statements are compiled once and executed on the pool's own connection. Through SQLAlchemy's
`Connection` they would cost more CPU: see docs/decisions/statements.md.
"""

import logging
from collections.abc import Mapping
from threading import BoundedSemaphore
from time import perf_counter
from typing import Any

import psycopg2
from flask import current_app
from psycopg2.extensions import BYTES, register_type
from sqlalchemy import ClauseElement, PoolProxiedConnection
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from todoapp.extensions import db
from todoapp.observability import request_context

from .deadline import DeadlineTimer
from .errors import ChangeUncertain, ConnectionLost, DeadlineExceeded, reason

DIALECT = postgresql.psycopg2.dialect()  # type: ignore[no-untyped-call]

EXPENSIVE_WAIT_SECONDS = 0.2
"""How long an expensive statement waits for others to end. Meanwhile it occupies a thread."""

logger = logging.getLogger(__name__)
deadlines = DeadlineTimer()


def compiled(statement: ClauseElement) -> str:
    """Return a statement in one line of SQL for psycopg2. Its parameters are its bindparams."""
    return " ".join(str(statement.compile(dialect=DIALECT)).split())


def execute(
    statement: str, parameters: Mapping[str, object], timeout: float | None = None
) -> tuple[Any, int]:
    """Execute one statement in its own transaction; return its first row and its row count.

    Text is returned as bytes in UTF-8. If the connection breaks during a statement that only
    reads, the statement is retried once, on another connection.

    Args:
        statement: SQL from `compiled()`.
        parameters: the values of its bindparams.
        timeout: seconds to wait for the server; None is a second more than DB_STATEMENT_TIMEOUT.

    Raises:
        psycopg2.Error: the database is unreachable, refuses, or does not respond in time.
        sqlalchemy.exc.TimeoutError: no connection became free within DB_POOL_TIMEOUT.
    """
    logger.info("%s", statement)
    try:
        return _execute_once(statement, parameters, timeout)
    except ConnectionLost as error:
        logger.warning("Database: a connection was lost: %s", error)
        return _execute_once(statement, parameters, timeout)


def execute_expensive(statement: str, parameters: Mapping[str, object]) -> tuple[Any, int]:
    """Execute a statement whose cost grows with the table, like `execute()`.

    Such statements never occupy the last connection of the pool, so cheap requests do not wait for
    them.

    Raises:
        sqlalchemy.exc.TimeoutError: too many of them are being executed.
    """
    slots: BoundedSemaphore = current_app.extensions["expensive_statements"]
    if not slots.acquire(timeout=EXPENSIVE_WAIT_SECONDS):
        raise PoolTimeoutError("too many expensive statements are being executed")
    try:
        return execute(statement, parameters)
    finally:
        slots.release()


def _execute_once(
    statement: str, parameters: Mapping[str, object], timeout: float | None
) -> tuple[Any, int]:
    pooled = _connect()
    try:
        connection: Any = pooled.dbapi_connection
        cursor = connection.cursor()
        # Text is JSON, which is sent to the client unchanged.
        register_type(BYTES, cursor)
        with deadlines.limit(connection, timeout or current_app.config["STATEMENT_DEADLINE"]):
            _execute_timed(cursor, statement, parameters)
        return cursor.fetchone() if cursor.description else None, cursor.rowcount
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        if not connection.closed and not isinstance(error, DeadlineExceeded):
            raise
        if not statement.startswith("SELECT"):
            raise ChangeUncertain(reason(error)) from error
        if isinstance(error, DeadlineExceeded):
            raise
        raise ConnectionLost(reason(error)) from error
    finally:
        # The connection is free again before the response is written.
        pooled.close()


def _execute_timed(cursor: Any, statement: str, parameters: Mapping[str, object]) -> None:
    # Not by a class of cursor: OpenTelemetry's instrumentation has its own.
    info = request_context.current()
    start = perf_counter()
    try:
        cursor.execute(statement, parameters)
    finally:
        seconds = perf_counter() - start
        if info:
            info.statements += 1
            info.database_seconds += seconds
        if info and seconds > info.slow_seconds:
            # Without the parameters: they are user data.
            logger.warning("Slow statement, %.0fms: %s", seconds * 1000, statement)


def _connect() -> PoolProxiedConnection:
    try:
        return db.engine.raw_connection()
    except InvalidRequestError as error:
        # Every connection that the pool opened broke at once.
        raise psycopg2.OperationalError("the connection broke as soon as it was open") from error
