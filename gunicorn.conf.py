"""The web process: `gunicorn wsgi:app` reads this file by itself.

https://gunicorn.org/reference/settings/
"""

import resource
import socket

from gunicorn.arbiter import Arbiter

from todoapp.config import load_config
from todoapp.logs import RequestLogger, log_settings
from todoapp.startup import check_database
from todoapp.worker import Worker

# gunicorn has a setting named `config`, so ours cannot have that name.
settings = load_config()

bind = f"[::]:{settings.port}" if socket.has_dualstack_ipv6() else f"0.0.0.0:{settings.port}"
workers = settings.web_concurrency
worker_class = "todoapp.worker.Worker"
# It takes sockets that block.
sendfile = False
threads = settings.web_threads
# Each client takes one of the files that a process may have open.
open_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
worker_connections = 1000 if open_files == resource.RLIM_INFINITY else min(1000, open_files - 100)
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

logconfig_dict = log_settings(settings)
logger_class: type[RequestLogger] = RequestLogger

if settings.metrics:
    from todoapp import metrics

    logger_class = metrics.RequestCounter
    child_exit = metrics.end_worker


def post_fork(server: Arbiter, worker: Worker) -> None:
    """In a worker that has just been forked, pass on what its master knows."""
    worker.early_signals = server.SIG_QUEUE
    if settings.metrics:
        metrics.begin_worker(worker)


def on_starting(server: Arbiter) -> None:
    """Before it listens, the web process makes sure that it can do its work."""
    check_database(server.app.wsgi())
