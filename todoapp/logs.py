"""What the web process logs, and how: lines to read, or JSON."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from gunicorn.glogging import Logger
from pythonjsonlogger.orjson import OrjsonFormatter

from .config import Config
from .tracing import ENVIRON_KEY, Trace, current, quoted_path

# What a line shows behind its message; in JSON these are fields, as the rest of a record is.
SHOWN = ("route", "database_ms", "statements", "request_id")


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
            "gunicorn.access": {"level": level, "propagate": True},
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


class RequestLogger(Logger):  # type: ignore[misc]
    """Logs a request with nothing that a person wrote: no query string, no header, no body."""

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> None:
        """Log one request that the application has answered."""
        if not self.access_log.isEnabledFor(logging.INFO):
            return
        fields: dict[str, Any] = {
            "method": environ["REQUEST_METHOD"],
            "path": quoted_path(environ),
            "status": resp.status_code,
            "duration_ms": round(request_time.total_seconds() * 1000, 1),
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
        self.access_log.info(message, fields, extra=fields)
