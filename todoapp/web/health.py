"""Readiness (`/health`) and liveness (`/health/live`) probes."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from flask import copy_current_request_context
from flask_smorest import Blueprint
from marshmallow import Schema, fields

from todoapp.database.errors import DeadlineExceeded
from todoapp.database.execute import execute

from .openapi import responses

TIMEOUT_SECONDS = 1.5
"""Probes commonly time out after two seconds."""

blueprint = Blueprint("health", __name__, url_prefix="/health", description="Health checks")


class StatusSchema(Schema):
    """The state of the service."""

    status = fields.String(required=True)


@blueprint.get("")
@blueprint.doc(operationId="readiness", security=[], **responses(503))
@blueprint.response(200, StatusSchema, example={"status": "healthy"})
def health() -> dict[str, str]:
    """Readiness: whether the database responds within 1.5 seconds"""
    database_check.run()
    return {"status": "healthy"}


@blueprint.get("/live")
@blueprint.doc(operationId="liveness", security=[], **responses())
@blueprint.response(200, StatusSchema, example={"status": "alive"})
def live() -> dict[str, str]:
    """Liveness: whether the process responds, whatever the state of the database"""
    return {"status": "alive"}


class DatabaseCheck:
    """Checks whether the database responds. Concurrent probes share one check."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._result: Future[Any] | None = None
        self._started = 0.0

    def run(self) -> None:
        """Return once the database has responded.

        Raises:
            psycopg2.Error: the database is unreachable, or did not respond in time.
            sqlalchemy.exc.TimeoutError: no connection became free within DB_POOL_TIMEOUT.
        """
        with self._lock:
            if self._result is None or self._result.done():
                check = copy_current_request_context(execute)
                self._result = self._thread.submit(check, "SELECT 1", {}, TIMEOUT_SECONDS)
                self._started = time.monotonic()
            result, remaining = self._result, self._started + TIMEOUT_SECONDS - time.monotonic()
        try:
            result.result(max(remaining, 0))
        except TimeoutError as error:
            raise DeadlineExceeded(f"no response within {TIMEOUT_SECONDS} s") from error


database_check = DatabaseCheck()
