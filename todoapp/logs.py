"""What the web process logs, and how: lines to read, or JSON."""

import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

from pythonjsonlogger.orjson import OrjsonFormatter
from werkzeug.wsgi import ClosingIterator

from .config import Config
from .tracing import ENVIRON_KEY, Trace, current, quoted_path

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# What a line shows behind its message; in JSON these are fields, as the rest of a record is.
SHOWN = ("client", "route", "database_ms", "statements", "request_id")


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
            "todoapp.database": {"level": "INFO" if config.log_sql else "WARNING"},
            # SQLAlchemy's own words about the pool, which it says under the name of the class.
            "todoapp.tracing.Pool": {"level": "WARNING"},
        },
    }


class RequestFilter(logging.Filter):
    """Gives a record that is made within a request the request's id."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        trace = current()
        if trace is not None:
            record.request_id = trace.request_id
        return True


class TextFormatter(logging.Formatter):
    """A line to read."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s [%(process)d] %(levelname)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        """Return the line; a traceback follows it."""
        fields = vars(record)
        shown = (f" {name}={fields[name]}" for name in SHOWN if fields.get(name) is not None)
        return super().formatMessage(record) + "".join(shown)


class JSONFormatter(OrjsonFormatter):
    """A line of JSON."""

    def __init__(self) -> None:
        super().__init__(
            ["asctime", "levelname", "process", "message"],
            rename_fields={"asctime": "time", "levelname": "level", "exc_info": "traceback"},
        )

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """Return the time as RFC 3339 has it, in UTC."""
        return datetime.fromtimestamp(record.created, UTC).isoformat()


Observer = Callable[["WSGIEnvironment", str, float], None]
"""Takes a request's environ, the status of its response, and the seconds until its end."""

access_logger = logging.getLogger("todoapp.access")


class AccessLog:
    """WSGI middleware: calls its observers once for each request, when the response is complete.

    Must be outermost: ProxyFix sets REMOTE_ADDR before it logs.
    """

    def __init__(self, app: "WSGIApplication", observers: Iterable[Observer]) -> None:
        self.app = app
        self.observers = tuple(observers)

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Handle a request."""
        # Our own server tells since when the request has waited for a thread.
        began = environ.get("server.queued_at") or monotonic()
        status = ""

        def start(status_line: str, *args: Any) -> Any:
            nonlocal status
            status = status_line[:3]
            return start_response(status_line, *args)

        def observe() -> None:
            seconds = monotonic() - began
            for observer in self.observers:
                observer(environ, status, seconds)

        return ClosingIterator(self.app(environ, start), observe)


def log_access(environ: "WSGIEnvironment", status: str, seconds: float) -> None:
    """Log a request without user data: no query string, no header, no body."""
    if not access_logger.isEnabledFor(logging.INFO):
        return
    fields: dict[str, Any] = {
        "method": environ["REQUEST_METHOD"],
        "path": quoted_path(environ) or "-",
        "status": int(status),
        "duration_ms": round(seconds * 1000, 1),
        "client": environ.get("REMOTE_ADDR"),
    }
    trace: Trace | None = environ.get(ENVIRON_KEY)
    if trace:
        fields |= {
            "route": trace.route,
            "database_ms": round(trace.database_seconds * 1000, 1),
            "statements": trace.statements,
            "request_id": trace.request_id,
        }
    message = "%(method)s %(path)s %(status)s %(duration_ms)sms"
    access_logger.info(message, fields, extra=fields)
