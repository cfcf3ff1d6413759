"""Every failure of the application becomes {"detail": …}; an exception gets its status here."""

import errno
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask, Response, current_app, jsonify
from marshmallow import ValidationError
from psycopg2 import Error, InterfaceError, OperationalError, errorcodes
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException, InternalServerError, RequestEntityTooLarge

from .config import MAX_BODY_KIB
from .database import ChangeUncertain, reason
from .engine import Unreachable
from .service import TodoChanged, TodoNotFound
from .tracing import current

RETRY_AFTER_SECONDS = 1

# What passes by itself or by an operator's hand, by the SQLSTATE or its class. All else is a
# fault of ours: https://www.postgresql.org/docs/current/errcodes-appendix.html
UNAVAILABLE = {
    "08": "The database is unavailable",  # connection exception
    "2200H": "The database has no more ids",
    "25006": "The database is read-only",
    "40": "Another request was changing the same todos",  # a deadlock
    "53": "The database is overloaded",  # insufficient resources
    "53100": "The database is full",
    "55P03": "The database took too long",  # a lock
    "57": "The database is unavailable",  # operator intervention
    "57014": "The database took too long",  # a statement
    "58": "The database is unavailable",  # system error
}


def init_app(app: Flask) -> None:
    """Make every failure of `app` JSON. Call it last: a later handler replaces an earlier one."""
    app.register_error_handler(HTTPException, handle_http_exception)
    app.register_error_handler(ValidationError, handle_validation_error)
    app.register_error_handler(TodoNotFound, handle_todo_not_found)
    app.register_error_handler(TodoChanged, handle_todo_changed)
    app.register_error_handler(Error, handle_database_error)
    app.register_error_handler(PoolTimeoutError, handle_pool_timeout)


def handle_http_exception(error: HTTPException) -> Response:
    """What Werkzeug raises, and Flask for an error that nobody foresaw."""
    if isinstance(error, RequestEntityTooLarge):
        detail = f"The body must not exceed {MAX_BODY_KIB} KiB"
    elif error.description in (None, type(error).description):
        detail = error.name.capitalize()
    else:
        detail = str(error.description)
    response = _failure(error.code or 500, detail)
    response.headers.extend(
        (name, value) for name, value in error.get_headers() if name != "Content-Type"
    )
    return response


def handle_validation_error(error: ValidationError) -> Response:
    """What a schema refuses. `detail` says all of it, `errors` says it by field."""
    # webargs puts the fields below the part of the request they were in: {"json": {…}}.
    errors = {
        field: messages
        for fields in error.messages_dict.values()
        for field, messages in fields.items()
    }
    detail = "; ".join(message for messages in errors.values() for message in messages)
    return _failure(400, detail, errors=errors)


def handle_todo_not_found(error: TodoNotFound) -> Response:
    """No such todo."""
    return _failure(404, str(error))


def handle_todo_changed(error: TodoChanged) -> Response:
    """The todo is not in the state that `If-Match` expects."""
    return _failure(412, str(error))


def handle_database_error(error: Error) -> Response:
    """What the database refuses. Its words are logged, but not DETAIL, which may quote a todo."""
    sqlstate = errorcodes.CONNECTION_EXCEPTION if _is_of_connection(error) else error.pgcode or ""
    message = reason(error)
    _trace(error)
    if isinstance(error, ChangeUncertain):
        current_app.logger.warning("Database: a connection was lost: %s", message)
        return _unavailable("The database is unavailable; the change may have been made")
    detail = UNAVAILABLE.get(sqlstate) or UNAVAILABLE.get(sqlstate[:2])
    if detail:
        if not isinstance(error, Unreachable):
            current_app.logger.warning("Database: %s", message)
        return _unavailable(detail)
    where = "".join(traceback.format_tb(error.__traceback__))
    current_app.logger.error("Database: %s %s\n%s", sqlstate, message, where)
    return handle_http_exception(InternalServerError())


def handle_pool_timeout(error: PoolTimeoutError) -> Response:
    """Every connection of this process stayed busy for DB_POOL_TIMEOUT seconds."""
    _trace(error)
    current_app.logger.warning("Connection pool: %s", error)
    return _unavailable("The service is overloaded")


@contextmanager
def broken_transfer() -> Iterator[None]:
    """Where the database fails in the middle of an answer, break the answer off.

    Its status is sent already. All that can still tell the client that something is missing
    is a connection that closes before the last chunk (RFC 9112, section 8).
    """
    try:
        yield
    except (Error, PoolTimeoutError) as error:
        _trace(error)
        current_app.logger.warning("A list broke off. Database: %s", reason(error))
        # To a WSGI server it is a connection that is gone: it closes it, without a traceback.
        raise ConnectionResetError(errno.ECONNRESET, "the database failed") from error
    except Exception as error:
        current_app.logger.exception("A list broke off.")
        raise ConnectionResetError(errno.ECONNRESET, "an error that nobody foresaw") from error


def _trace(error: Error | PoolTimeoutError) -> None:
    trace = current()
    if trace:
        trace.database_error = kind(error)


def kind(error: Error | PoolTimeoutError) -> str:
    """Return a word for what failed: for PostgreSQL's own errors, its name of the condition."""
    if isinstance(error, PoolTimeoutError):
        return "pool_timeout"
    if _is_of_connection(error):
        return "connection"
    try:
        return errorcodes.lookup(error.pgcode or "").lower()
    except KeyError:  # psycopg2 may be older than the server
        return "other"


def _is_of_connection(error: Error) -> bool:
    # One that failed or was lost has nobody to say a SQLSTATE.
    return not error.pgcode and isinstance(error, OperationalError | InterfaceError)


def _failure(status: int, detail: str, **more: object) -> Response:
    response = jsonify(detail=detail, **more)
    response.status_code = status
    return response


def _unavailable(detail: str) -> Response:
    response = _failure(503, detail)
    response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response
