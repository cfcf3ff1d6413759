"""Database errors: their kinds, and which of them are temporary."""

import psycopg2
from psycopg2 import InterfaceError, OperationalError, errorcodes
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

# Errors that pass by themselves or once an operator acts, by SQLSTATE or its class. Every other
# SQLSTATE is a bug: https://www.postgresql.org/docs/current/errcodes-appendix.html
TEMPORARY = {
    "08": "The database is unavailable",  # connection exception
    "2200H": "The database has no more ids",
    "25006": "The database is read-only",
    "40": "Another request was changing the same todos",  # a deadlock
    "53": "The database is overloaded",  # insufficient resources
    "53100": "The database is full",
    "55P03": "The database took too long",  # lock_timeout
    "57": "The database is unavailable",  # operator intervention
    "57014": "The database took too long",  # statement_timeout
    "58": "The database is unavailable",  # system error
}


class DatabaseUnreachable(OperationalError):
    """Connecting failed, now or a moment ago. The circuit breaker logs when that begins."""


class DeadlineExceeded(OperationalError):
    """The server did not respond to a statement in time; whether it was executed is unknown."""


class ConnectionLost(OperationalError):
    """The connection broke during a statement that only reads."""


class ChangeUncertain(OperationalError):
    """The connection broke, or the server stopped responding, during a change.

    Whether the change was made is unknown.
    """


def temporary(error: psycopg2.Error) -> str | None:
    """Return a message for the client if retrying later may succeed, else None."""
    if isinstance(error, ChangeUncertain):
        return "The database is unavailable; the change may have been made"
    sqlstate = _sqlstate(error)
    return TEMPORARY.get(sqlstate) or TEMPORARY.get(sqlstate[:2])


def kind(error: psycopg2.Error | PoolTimeoutError) -> str:
    """Return the kind of an error: for PostgreSQL's own errors, its name of the condition."""
    if isinstance(error, PoolTimeoutError):
        return "pool_timeout"
    if _is_connection_error(error):
        return "connection"
    try:
        return errorcodes.lookup(error.pgcode or "").lower()
    except KeyError:  # psycopg2 may be older than the server
        return "other"


def reason(error: BaseException | None) -> str:
    """Return in one line why the database, or the connection pool, refused.

    That is PostgreSQL's primary message. Its DETAIL may quote user data, and is left out. So is the
    message of a data exception, SQLSTATE class 22: `invalid input syntax …: "…"`.
    """
    if isinstance(error, psycopg2.DataError):
        return kind(error).replace("_", " ")
    # Without a connection, psycopg2 has a message but no diagnostics.
    diagnostics = getattr(error, "diag", None)
    return " ".join((getattr(diagnostics, "message_primary", None) or str(error)).split())


def _sqlstate(error: psycopg2.Error) -> str:
    return errorcodes.CONNECTION_EXCEPTION if _is_connection_error(error) else error.pgcode or ""


def _is_connection_error(error: psycopg2.Error) -> bool:
    # A connection that failed or was lost delivers no SQLSTATE.
    return not error.pgcode and isinstance(error, OperationalError | InterfaceError)
