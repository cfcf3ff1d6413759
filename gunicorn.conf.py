"""The web process: `gunicorn wsgi:app` reads this file by itself.

https://gunicorn.org/reference/settings/
"""

import resource
import socket
from typing import Any

from gunicorn.arbiter import Arbiter

from todoapp.config import MAX_BODY, load_config
from todoapp.database.readiness import check_database
from todoapp.observability.logs import log_settings

# gunicorn has a setting named `config`, so ours cannot have that name.
settings = load_config()

bind = f"[::]:{settings.port}" if socket.has_dualstack_ipv6() else f"0.0.0.0:{settings.port}"
workers = settings.web_concurrency
worker_class = "server.worker.Worker"
threads = settings.web_threads
# Each connection takes one of the files that a process may have open.
open_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
if open_files == resource.RLIM_INFINITY:
    open_files = 2**31
worker_connections = max(10, min(1000, open_files - 100))
# The application is loaded once, and its memory is shared by the workers.
preload_app = True

# A platform gives a process 30 seconds from SIGTERM to SIGKILL.
graceful_timeout = 20
# Longer than a platform's router keeps an idle connection (Heroku: 90 seconds), so that the
# service never closes one while a request is on its way.
keepalive = 95
# X-Forwarded-* is ProxyFix's: see TRUSTED_PROXIES.
forwarded_allow_ips = ""
# Nothing here needs remote control, and it would leave a socket in the home directory.
control_socket_disable = True

logconfig_dict = log_settings(settings)

if settings.metrics:
    from todoapp.observability import metrics


def post_fork(server: Arbiter, worker: Any) -> None:
    """Configure a worker that has just been forked."""
    worker.request_timeout = settings.request_timeout
    worker.max_body = MAX_BODY
    worker.early_signals = server.SIG_QUEUE
    if settings.metrics:
        metrics.begin_process(settings.db_pool_size + settings.db_max_overflow)


def child_exit(server: Arbiter, worker: Any) -> None:
    """Clean up after a worker that has ended."""
    if settings.metrics:
        metrics.end_process(worker.pid)


def on_starting(server: Arbiter) -> None:
    """Check the database before the process listens."""
    check_database(server.app.wsgi())
