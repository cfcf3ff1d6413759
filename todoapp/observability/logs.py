"""Logging: the access log, and the formats of a line (text or JSON)."""

import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

from pythonjsonlogger.orjson import OrjsonFormatter
from werkzeug.wsgi import ClosingIterator

from todoapp.config import Config

from .request_context import ENVIRON_KEY, RequestInfo, current, quoted_path

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Appended to a line of text as name=value; in JSON they are fields like all others.
APPENDED = ("client", "route", "database_ms", "statements", "request_id")


def log_settings(config: Config) -> dict[str, Any]:
    """Return what `logging.config.dictConfig` takes."""
    level = config.log_level.upper()
    formatter = JSONFormatter if config.log_format == "json" else TextFormatter
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "filters": {"request": {"()": RequestFilter}},
        "handlers": {
            "stdout": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stdout",
                "formatter": "line",
                "filters": ["request"],
            }
        },
        "root": {"level": level, "handlers": ["stdout"]},
        "loggers": {
            "gunicorn.error": {"level": level, "propagate": True},
            # AccessLog has a line for each request, whichever server or worker there is.
            "gunicorn.access": {"level": "CRITICAL"},
            # duration_ms includes the wait for a thread.
            "waitress.queue": {"level": "ERROR"},
            "alembic": {"level": "WARNING"},
            "todoapp.database.execute": {"level": "INFO" if config.log_sql else "WARNING"},
            # SQLAlchemy logs the state of the pool under the name of the class.
            "todoapp.database.engine.TimedPool": {"level": "WARNING"},
        },
    }


class RequestFilter(logging.Filter):
    """Add the request's ID to a record that is logged during a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True: no record is dropped."""
        info = current()
        if info is not None:
            record.request_id = info.request_id
        return True


class TextFormatter(logging.Formatter):
    """One line of text per record."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s [%(process)d] %(levelname)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        """Return the line without the traceback, which logging appends."""
        fields = vars(record)
        appended = (f" {name}={fields[name]}" for name in APPENDED if fields.get(name) is not None)
        return super().formatMessage(record) + "".join(appended)


class JSONFormatter(OrjsonFormatter):
    """One line of JSON per record."""

    def __init__(self) -> None:
        super().__init__(
            ["asctime", "levelname", "process", "message"],
            rename_fields={"asctime": "time", "levelname": "level", "exc_info": "traceback"},
        )

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """Return the time in RFC 3339 format, in UTC."""
        return datetime.fromtimestamp(record.created, UTC).isoformat()


Observer = Callable[["WSGIEnvironment", str, float], None]
"""Called with the WSGI environ, the status of the response, and the duration in seconds."""

access_logger = logging.getLogger("todoapp.access")


class AccessLog:
    """WSGI middleware that calls its observers once per request, when the response is complete.

    It must be the outermost middleware: ProxyFix has set REMOTE_ADDR by the time it logs.
    """

    def __init__(self, app: "WSGIApplication", observers: Iterable[Observer]) -> None:
        self.app = app
        self.observers = tuple(observers)

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Handle a request."""
        # server/ records when the request began to wait for a thread.
        started = environ.get("server.queued_at") or monotonic()
        status = ""

        def start(status_line: str, *args: Any) -> Any:
            nonlocal status
            status = status_line[:3]
            return start_response(status_line, *args)

        def observe() -> None:
            seconds = monotonic() - started
            for observer in self.observers:
                observer(environ, status, seconds)

        return ClosingIterator(self.app(environ, start), observe)


def log_access(environ: "WSGIEnvironment", status: str, seconds: float) -> None:
    """Log one request. Query string, headers and body hold user data and are left out."""
    if not access_logger.isEnabledFor(logging.INFO):
        return
    fields: dict[str, Any] = {
        "method": environ["REQUEST_METHOD"],
        "path": quoted_path(environ) or "-",
        "status": int(status),
        "duration_ms": round(seconds * 1000, 1),
        "client": environ.get("REMOTE_ADDR"),
    }
    info: RequestInfo | None = environ.get(ENVIRON_KEY)
    if info:
        fields |= {
            "route": info.route,
            "database_ms": round(info.database_seconds * 1000, 1),
            "statements": info.statements,
            "request_id": info.request_id,
        }
    message = "%(method)s %(path)s %(status)s %(duration_ms)sms"
    access_logger.info(message, fields, extra=fields)
