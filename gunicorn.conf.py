"""The web process: `gunicorn wsgi:app` reads this file by itself.

https://gunicorn.org/reference/settings/
"""

import logging
import socket
from datetime import timedelta
from typing import Any

from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from todoapp.config import load_config
from todoapp.startup import check_database

# gunicorn has a setting named `config`, so ours cannot have that name.
settings = load_config()

bind = f"[::]:{settings.port}" if socket.has_dualstack_ipv6() else f"0.0.0.0:{settings.port}"
workers = settings.web_concurrency
worker_class = "todoapp.worker.Worker"
# It takes sockets that block.
sendfile = False
threads = settings.web_threads
# The application is loaded once, and its memory is shared by the workers.
preload_app = True

# A platform gives a process 30 seconds from SIGTERM to SIGKILL.
graceful_timeout = 20
# Longer than a platform's router keeps an idle connection (Heroku: 90 seconds), so that it is
# never we who close one while a request is on its way.
keepalive = 95
# The most that gunicorn allows: a cursor may hold a description, a search any script.
limit_request_line = 8190
# X-Forwarded-* is ProxyFix's: see TRUSTED_PROXIES.
forwarded_allow_ips = ""
# We need no remote control, and it would leave a socket in the home directory.
control_socket_disable = True

log_level = settings.log_level.upper()
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s [%(process)d] %(levelname)s %(message)s"}},
    "handlers": {
        "stdout": {
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stdout",
            "formatter": "line",
        }
    },
    "root": {"level": log_level, "handlers": ["stdout"]},
    "loggers": {
        "gunicorn.error": {"level": log_level, "propagate": True},
        "gunicorn.access": {"level": log_level, "propagate": True},
        "alembic": {"level": "WARNING"},
        "todoapp.database": {"level": "INFO" if settings.log_sql else "WARNING"},
    },
}


class RequestLogger(Logger):  # type: ignore[misc]
    """Logs a request as its method, path, status and duration: nothing that a person wrote."""

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> None:
        """Log one request, also one that gunicorn refuses: `environ` and `resp` lack a lot then.

        The path is quoted, as it was sent: a line break in it must not begin a line.
        """
        if not self.access_log.isEnabledFor(logging.INFO):
            return
        self.access_log.info(
            "%s %s %s %.1fms",
            req.method,
            req.path,
            resp.status.split()[0],
            request_time.total_seconds() * 1000,
        )


logger_class = RequestLogger


def on_starting(server: Arbiter) -> None:
    """Before it listens, the web process makes sure that it can do its work."""
    check_database(server.app.wsgi())
