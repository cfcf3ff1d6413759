"""/health: whether the service can do its work. /health/live: whether the process is there."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from flask import copy_current_request_context
from flask_smorest import Blueprint

from .database import execute
from .openapi import responses
from .schemas import StatusSchema
from .watchdog import NoAnswer

PATIENCE_SECONDS = 1.5
"""Who asks for /health wants to know it within two seconds."""

blueprint = Blueprint("health", __name__, url_prefix="/health", description="The state")


@blueprint.get("")
@blueprint.doc(**responses(503))
@blueprint.response(200, StatusSchema, example={"status": "healthy"})
def health() -> dict[str, str]:
    """Answer 200 when the database answers, soon"""
    probe.ask()
    return {"status": "healthy"}


@blueprint.get("/live")
@blueprint.doc(**responses())
@blueprint.response(200, StatusSchema, example={"status": "alive"})
def live() -> dict[str, str]:
    """Answer 200 whatever the database does"""
    return {"status": "alive"}


class Probe:
    """Asks whether the database answers: once at a time, however many want to know."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._answer: Future[Any] | None = None
        self._asked = 0.0

    def ask(self) -> None:
        """Return when the database has answered.

        Raises:
            psycopg2.Error: it did not, or not in time.
            sqlalchemy.exc.TimeoutError: there is no connection on which to ask.
        """
        with self._lock:
            if self._answer is None or self._answer.done():
                question = copy_current_request_context(execute)
                self._answer = self._thread.submit(question, "SELECT 1", {}, PATIENCE_SECONDS)
                self._asked = time.monotonic()
            answer, patience = self._answer, self._asked + PATIENCE_SECONDS - time.monotonic()
        try:
            answer.result(max(patience, 0))
        except TimeoutError as error:
            raise NoAnswer(f"/health was not answered within {PATIENCE_SECONDS} s") from error


probe = Probe()
