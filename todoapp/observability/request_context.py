"""Per-request context: ID, route, time spent in the database.

It is kept in the WSGI environ, where the access log and the metrics find it once the response is
complete.
"""

import os
import re
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import quote

from flask import Flask, Response, current_app, request
from werkzeug.routing import Rule

ENVIRON_KEY = "todoapp.request"

# No line breaks and no quotation marks: the ID is written to the log.
VALID_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestInfo:
    """Context of one request.

    Attributes:
        request_id: the client's `X-Request-ID` if it is valid, else a random ID.
        slow_seconds: the duration from which a statement is logged as slow.
        rule: the URL rule that matched; None where none did.
        statements: the number of statements executed.
        database_seconds: time spent on statements, and waiting for a connection.
        database_error: the kind of database error that failed the request.
    """

    __slots__ = (
        "database_error",
        "database_seconds",
        "request_id",
        "rule",
        "slow_seconds",
        "statements",
    )

    def __init__(self, request_id: str | None, slow_seconds: float) -> None:
        valid = request_id is not None and VALID_ID.fullmatch(request_id)
        self.request_id = request_id if request_id and valid else os.urandom(8).hex()
        self.slow_seconds = slow_seconds
        self.rule: Rule | None = None
        self.statements = 0
        self.database_seconds = 0.0
        self.database_error: str | None = None

    @property
    def route(self) -> str | None:
        """The route as /openapi.json writes it; None where no rule matched.

        Unlike paths, routes are few, so they are safe as the label of a metric.
        """
        return _template(self.rule.rule) if self.rule else None


@cache
def _template(rule: str) -> str:
    return re.sub(r"<(?:[^<>]*:)?(\w+)>", r"{\1}", rule)


def current() -> RequestInfo | None:
    """Return the context of the current request; None outside of a request."""
    try:
        environ = request.environ
    except RuntimeError:
        return None
    info: RequestInfo | None = environ.get(ENVIRON_KEY)
    if info is None:
        slow_seconds = current_app.config["SLOW_QUERY_MS"] / 1000
        info = environ[ENVIRON_KEY] = RequestInfo(environ.get("HTTP_X_REQUEST_ID"), slow_seconds)
    return info


def init_app(app: Flask) -> None:
    """Record the route of each request, and add `X-Request-ID` to its response."""

    @app.after_request
    def add_request_id(response: Response) -> Response:
        info = current()
        if info:
            info.rule = request.url_rule
            response.headers["X-Request-ID"] = info.request_id
        return response


def quoted_path(environ: Mapping[str, Any]) -> str:
    """Return the path of a request, percent-encoded: a line break must not forge a log line."""
    return quote(environ["PATH_INFO"], encoding="latin-1")
