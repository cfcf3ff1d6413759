"""How statements reach the database, and what it says when it refuses."""

import logging
from collections.abc import Mapping
from typing import Any

import psycopg2
from flask import current_app
from psycopg2.extensions import BYTES, register_type
from sqlalchemy import ClauseElement, PoolProxiedConnection
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import InvalidRequestError

from .extensions import db
from .tracing import Cursor
from .watchdog import NoAnswer, Watchdog

DIALECT = postgresql.psycopg2.dialect()  # type: ignore[no-untyped-call]

logger = logging.getLogger(__name__)
watchdog = Watchdog()


class ConnectionLost(psycopg2.OperationalError):
    """A connection broke under a statement that only reads."""


class ChangeUncertain(psycopg2.OperationalError):
    """A connection broke, or fell silent, under a change; nobody can tell whether it was made."""


def compiled(statement: ClauseElement) -> str:
    """Return a statement as psycopg2 takes it, in one line. Its parameters are its bindparams."""
    return " ".join(str(statement.compile(dialect=DIALECT)).split())


def execute(
    statement: str, parameters: Mapping[str, object], seconds: float | None = None
) -> tuple[Any, int]:
    """Execute one statement, a transaction of its own; return its first row and its row count.

    Text comes as bytes in UTF-8. Where the connection breaks, a statement that only reads is
    sent once more, on another one.

    Args:
        statement: what `compiled()` returned.
        parameters: its bindparams.
        seconds: how long to wait for an answer; None is a little longer than DB_STATEMENT_TIMEOUT.

    Raises:
        psycopg2.Error: the database cannot be reached, or refuses, or does not answer in time.
        sqlalchemy.exc.TimeoutError: every connection stayed busy.
    """
    logger.info("%s", statement)
    try:
        return _send(statement, parameters, seconds)
    except ConnectionLost as error:
        logger.warning("Database: a connection was lost: %s", error)
        return _send(statement, parameters, seconds)


def _send(
    statement: str, parameters: Mapping[str, object], seconds: float | None
) -> tuple[Any, int]:
    # The pool is SQLAlchemy's. What its Connection does beyond that for each execution would
    # take longer than PostgreSQL does.
    pooled = _connect()
    try:
        connection: Any = pooled.dbapi_connection
        cursor = connection.cursor(cursor_factory=Cursor)
        # Text is JSON that goes to the client as it is.
        register_type(BYTES, cursor)
        with watchdog.limit(connection, seconds or current_app.config["ANSWER_SECONDS"]):
            cursor.execute(statement, parameters)
        return cursor.fetchone() if cursor.description else None, cursor.rowcount
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        if not connection.closed and not isinstance(error, NoAnswer):
            raise
        if not statement.startswith("SELECT"):
            raise ChangeUncertain(reason(error)) from error
        if isinstance(error, NoAnswer):
            raise
        raise ConnectionLost(reason(error)) from error
    finally:
        # Back to the pool, before the answer is written.
        pooled.close()


def _connect() -> PoolProxiedConnection:
    try:
        return db.engine.raw_connection()
    except InvalidRequestError as error:
        # The pool has opened connections, and each of them broke at once.
        raise psycopg2.OperationalError("the connection broke as soon as it was open") from error


def reason(error: BaseException | None) -> str:
    """Return in one line why the database refused, or the pool has no connection.

    That is PostgreSQL's primary message: its DETAIL may quote what people wrote.
    """
    # Where there is no connection, psycopg2 has words and no diagnosis.
    diagnosis = getattr(error, "diag", None)
    return " ".join((getattr(diagnosis, "message_primary", None) or str(error)).split())
