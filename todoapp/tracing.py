"""What is known of a request while it is handled: its id, its route, and its time in the database.

It is kept in the WSGI environ: there the web process finds it once the answer is sent, and what
a later request does cannot be taken for it.
"""

import logging
import os
import re
from collections.abc import Mapping
from functools import cache
from time import perf_counter
from typing import Any
from urllib.parse import quote

from flask import Flask, Request, Response, request
from psycopg2.extensions import cursor as Psycopg2Cursor  # noqa: N812  # it is a class
from sqlalchemy.pool import PoolProxiedConnection, QueuePool
from werkzeug.routing import Rule

ENVIRON_KEY = "todoapp.trace"

logger = logging.getLogger(__name__)

# What a log can hold, and neither a line break nor a quotation mark is in it.
SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Trace:
    """What is known of one request.

    Attributes:
        slow_seconds: a statement that takes longer is slow.
        database_error: the kind of error with which the database failed the request.
    """

    __slots__ = (
        "database_error",
        "database_seconds",
        "request_id",
        "rule",
        "slow_seconds",
        "statements",
    )

    def __init__(self, request_id: str, slow_seconds: float) -> None:
        self.request_id = request_id
        self.slow_seconds = slow_seconds
        self.rule: Rule | None = None
        self.statements = 0
        self.database_seconds = 0.0
        self.database_error: str | None = None

    @property
    def route(self) -> str | None:
        """The route that the request took, as /openapi.json writes it; None where there is none.

        A path is no route: of those there are as many as somebody likes to ask for.
        """
        return _template(self.rule.rule) if self.rule else None


@cache
def _template(rule: str) -> str:
    return re.sub(r"<(?:[^<>]*:)?(\w+)>", r"{\1}", rule)


def begin(environ: dict[str, Any], slow_query_ms: int) -> None:
    """Put a new trace into `environ`. Its id is the client's `X-Request-ID`, if that is sane."""
    request_id = environ.get("HTTP_X_REQUEST_ID")
    if not request_id or not SANE_ID.fullmatch(request_id):
        request_id = os.urandom(8).hex()
    environ[ENVIRON_KEY] = Trace(request_id, slow_query_ms / 1000)


def current() -> Trace | None:
    """Return the trace of the request that is being handled; None outside of requests."""
    # Twice for each request: to ask has_request_context() first would take half as long again.
    try:
        trace: Trace = request.environ[ENVIRON_KEY]
    except RuntimeError:
        return None
    return trace


def init_app(app: Flask) -> None:
    """Let every answer of `app` say the request's id, and every trace its route."""

    @app.after_request
    def name_request(response: Response) -> Response:
        # Behind the proxy object each attribute costs as much as all of this.
        answered: Request = request._get_current_object()  # type: ignore[attr-defined]
        trace: Trace = answered.environ[ENVIRON_KEY]
        trace.rule = answered.url_rule
        response.headers["X-Request-ID"] = trace.request_id
        return response


def quoted_path(environ: Mapping[str, Any]) -> str:
    """Return the path of a request for a log: a line break in it must not begin a line."""
    return quote(environ["PATH_INFO"], encoding="latin-1")


class Cursor(Psycopg2Cursor):
    """A cursor that adds its statements to the trace, and warns of a slow one."""

    def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002  # psycopg2's name
        """Execute a statement.

        Raises:
            psycopg2.Error: the database refuses.
        """
        trace = current()
        if trace is None:
            return super().execute(query, vars)
        start = perf_counter()
        try:
            super().execute(query, vars)
        finally:
            seconds = perf_counter() - start
            trace.statements += 1
            trace.database_seconds += seconds
            if seconds > trace.slow_seconds:
                # Without its parameters, which are what people wrote.
                logger.warning("Slow statement, %.0fms: %s", seconds * 1000, query)


class Pool(QueuePool):
    """A pool that adds the wait for a connection to the trace, and warns of a long one."""

    def connect(self) -> PoolProxiedConnection:
        """Return a connection: one that is free, or a new one.

        Raises:
            sqlalchemy.exc.TimeoutError: every connection stayed busy.
            psycopg2.Error: the database cannot be reached.
        """
        trace = current()
        if trace is None:
            return super().connect()
        start = perf_counter()
        try:
            connection = super().connect()
        finally:
            seconds = perf_counter() - start
            trace.database_seconds += seconds
        if seconds > trace.slow_seconds:
            logger.warning("Connection pool: waited %.0fms for a connection", seconds * 1000)
        return connection
