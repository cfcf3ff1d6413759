"""Error responses: every failure is JSON with a `detail` string."""

import errno
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from flask import Flask, Response, current_app, jsonify
from marshmallow import ValidationError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException, InternalServerError, RequestEntityTooLarge

from todoapp.config import MAX_BODY_KIB
from todoapp.database.errors import ChangeUncertain, DatabaseUnreachable, kind, reason, temporary
from todoapp.observability import request_context

RETRY_AFTER_SECONDS = 1


def init_app(app: Flask) -> None:
    """Register the error handlers, after any extension that registers its own."""
    app.register_error_handler(HTTPException, handle_http_exception)
    app.register_error_handler(ValidationError, handle_validation_error)
    app.register_error_handler(psycopg2.Error, handle_database_error)
    app.register_error_handler(PoolTimeoutError, handle_pool_timeout)


def error_response(status: int, detail: str, **more: object) -> Response:
    """Return `{"detail": detail, **more}` as a response."""
    response = jsonify(detail=detail, **more)
    response.status_code = status
    return response


def unavailable(detail: str) -> Response:
    """Return 503 with `Retry-After`."""
    response = error_response(503, detail)
    response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def handle_http_exception(error: HTTPException) -> Response:
    """Convert an exception of Werkzeug or Flask, keeping its headers."""
    if isinstance(error, RequestEntityTooLarge):
        detail = f"The body must not exceed {MAX_BODY_KIB} KiB"
    elif error.description in (None, type(error).description):
        detail = error.name.capitalize()
    else:
        detail = str(error.description)
    response = error_response(error.code or 500, detail)
    response.headers.extend(
        (name, value) for name, value in error.get_headers() if name != "Content-Type"
    )
    return response


def handle_validation_error(error: ValidationError) -> Response:
    """Convert a schema's error: `errors` has the messages by field, `detail` all of them."""
    # webargs nests the messages under the location: {"json": {…}}.
    errors = {
        field: messages
        for fields in error.messages_dict.values()
        for field, messages in fields.items()
    }
    detail = "; ".join(message for messages in errors.values() for message in messages)
    return error_response(400, detail, errors=errors)


def handle_database_error(error: psycopg2.Error) -> Response:
    """Convert a database error: 503 if it is temporary, else 500."""
    _record(error)
    detail = temporary(error)
    if detail is None:
        # Without the exception's own text: PostgreSQL's DETAIL may quote user data.
        where = "".join(traceback.format_tb(error.__traceback__))
        current_app.logger.error("Database: %s %s\n%s", error.pgcode, reason(error), where)
        return handle_http_exception(InternalServerError())
    if isinstance(error, ChangeUncertain):
        current_app.logger.warning("Database: a connection was lost: %s", reason(error))
    elif not isinstance(error, DatabaseUnreachable):
        current_app.logger.warning("Database: %s", reason(error))
    return unavailable(detail)


def handle_pool_timeout(error: PoolTimeoutError) -> Response:
    """Convert a timeout of the pool: no connection became free within DB_POOL_TIMEOUT."""
    _record(error)
    current_app.logger.warning("Connection pool: %s", error)
    return unavailable("The service is overloaded")


@contextmanager
def abort_stream_on_error() -> Iterator[None]:
    """Close the connection if an error occurs while a response is being streamed.

    Its status has been sent. Only a connection that closes before the last chunk still tells the
    client that the response is incomplete: RFC 9112, section 8.

    Raises:
        ConnectionResetError: a WSGI server treats it as a disconnect and logs no traceback.
    """
    try:
        yield
    except (psycopg2.Error, PoolTimeoutError) as error:
        _record(error)
        current_app.logger.warning("A list was cut off. Database: %s", reason(error))
        raise ConnectionResetError(errno.ECONNRESET, "database error") from error
    except Exception as error:
        current_app.logger.exception("A list was cut off.")
        raise ConnectionResetError(errno.ECONNRESET, "unexpected error") from error


def _record(error: psycopg2.Error | PoolTimeoutError) -> None:
    info = request_context.current()
    if info:
        info.database_error = kind(error)
