"""Every failure becomes {"detail": …}; here alone is decided which status it gets."""

from flask import Flask, Response, current_app, jsonify
from marshmallow import ValidationError
from psycopg2 import errorcodes
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from .config import MAX_BODY_KIB
from .service import TodoNotFound

RETRY_AFTER_SECONDS = 1

# https://www.postgresql.org/docs/current/errcodes-appendix.html
DATABASE_DETAILS = {
    errorcodes.DISK_FULL: "The database is full",
    errorcodes.LOCK_NOT_AVAILABLE: "The database took too long",
    errorcodes.QUERY_CANCELED: "The database took too long",
    errorcodes.TOO_MANY_CONNECTIONS: "The database is overloaded",
}


def init_app(app: Flask) -> None:
    """Make every failure of `app` JSON. Call it last: a later handler replaces an earlier one."""
    app.register_error_handler(HTTPException, handle_http_exception)
    app.register_error_handler(ValidationError, handle_validation_error)
    app.register_error_handler(TodoNotFound, handle_todo_not_found)
    app.register_error_handler(OperationalError, handle_database_error)
    app.register_error_handler(InterfaceError, handle_database_error)
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


def handle_database_error(error: DBAPIError) -> Response:
    """The database cannot be reached, or cannot do it now. The log has its own words."""
    current_app.logger.warning("Database: %s", " ".join(str(error.orig).split()))
    sqlstate = getattr(error.orig, "pgcode", None) or errorcodes.CONNECTION_EXCEPTION
    return _unavailable(DATABASE_DETAILS.get(sqlstate, "The database is unavailable"))


def handle_pool_timeout(error: PoolTimeoutError) -> Response:
    """Every connection of this process stayed busy for DB_POOL_TIMEOUT seconds."""
    current_app.logger.warning("Connection pool: %s", error)
    return _unavailable("The service is overloaded")


def _failure(status: int, detail: str, **more: object) -> Response:
    response = jsonify(detail=detail, **more)
    response.status_code = status
    return response


def _unavailable(detail: str) -> Response:
    response = _failure(503, detail)
    response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response
