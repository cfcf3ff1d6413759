"""Settings of the web process, read by `gunicorn wsgi:app`.

https://gunicorn.org/reference/settings/
"""

import resource
import socket
from ipaddress import ip_address
from typing import Any

from gunicorn.arbiter import Arbiter

from todoapp.config import MAX_BODY, load_config
from todoapp.database.readiness import check_database
from todoapp.observability.logs import log_settings

# Not named `config`: gunicorn has a setting of that name.
settings = load_config()

bind = f"[::]:{settings.port}" if socket.has_dualstack_ipv6() else f"0.0.0.0:{settings.port}"
workers = settings.web_concurrency
worker_class = "server.worker.Worker"
threads = settings.web_threads
# Each connection uses a file descriptor; keep 100 for everything else.
open_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
if open_files == resource.RLIM_INFINITY:
    open_files = 2**31
worker_connections = max(10, min(1000, open_files - 100))
# Load the application before forking, so that workers share its memory.
preload_app = True

# Platforms send SIGKILL 30 seconds after SIGTERM.
graceful_timeout = 20
# Longer than a platform's router keeps an idle connection open (Heroku: 90 seconds), so that the
# service never closes a connection while the router sends a request on it.
keepalive = 95
# ProxyFix handles X-Forwarded-*: see TRUSTED_PROXIES.
forwarded_allow_ips = ""
# Unused, and it would create a socket in the home directory.
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
    """Clean up after a worker has exited."""
    if settings.metrics:
        metrics.end_process(worker.pid)


def when_ready(server: Arbiter) -> None:
    """Warn if other machines can reach a service that requires no token."""
    addresses = [listener.getsockname() for listener in server.LISTENERS]
    exposed = [str(address[0]) for address in addresses if is_exposed(address)]
    if exposed and not settings.access_token:
        server.log.warning(
            "ACCESS_TOKEN is not set: every client that reaches %s can read and change all todos",
            " or ".join(exposed),
        )


def is_exposed(address: Any) -> bool:
    """Return whether a listening address accepts connections from other machines."""
    return isinstance(address, tuple) and not ip_address(address[0]).is_loopback


def on_starting(server: Arbiter) -> None:
    """Check the database before opening the listening sockets."""
    check_database(server.app.wsgi())
