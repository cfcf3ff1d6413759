"""/metrics: Prometheus metrics, summed over the processes of the web server.

Imported only if METRICS=1. Each process writes its own files into one directory, which the master
process creates and, when it ends, removes:
https://prometheus.github.io/client_python/multiprocess/
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Flask, Response
from sqlalchemy import event
from sqlalchemy.pool import ConnectionPoolEntry, Pool

from .request_context import ENVIRON_KEY, RequestInfo

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

# After USR2 the new master inherits the variable of the old one, whose directory will be removed.
# So each master creates its own.
DIRECTORY = os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="todoapp-metrics-")

from prometheus_client import (  # reads the variable on import
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

# A client can invent methods; each would create a time series of its own.
METHODS = frozenset(("GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS", "PUT"))

REQUESTS = Counter("todoapp_requests", "HTTP requests", ["route", "method", "status"])
DURATIONS = Histogram(
    "todoapp_request_duration_seconds",
    "Request duration, including the wait for a thread",
    ["route", "method"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
DATABASE_ERRORS = Counter(
    "todoapp_database_errors", "Requests that failed in the database", ["kind"]
)
POOL_IN_USE = Gauge(
    "todoapp_pool_connections_in_use",
    "Connections in use by requests",
    multiprocess_mode="livesum",
)
POOL_SIZE = Gauge("todoapp_pool_size", "Maximum number of connections", multiprocess_mode="livesum")


@atexit.register
def _remove_directory(owner: int = os.getpid()) -> None:
    # Workers inherit this handler when they are forked.
    if os.getpid() == owner:
        shutil.rmtree(DIRECTORY, ignore_errors=True)


_in_use: set[ConnectionPoolEntry] = set()


@event.listens_for(Pool, "checkout")
def _checked_out(_: object, record: ConnectionPoolEntry, __: object) -> None:
    # SQLAlchemy sends this event twice if the first connection turns out to be broken.
    if record not in _in_use:
        _in_use.add(record)
        POOL_IN_USE.inc()


@event.listens_for(Pool, "checkin")
def _checked_in(_: object, record: ConnectionPoolEntry) -> None:
    if record in _in_use:
        _in_use.remove(record)
        POOL_IN_USE.dec()


def init_app(app: Flask) -> None:
    """Add the route /metrics."""
    app.add_url_rule("/metrics", view_func=metrics)


def metrics() -> Response:
    """Return the sums over all processes, including those that have ended."""
    registry = CollectorRegistry()
    registry.register(_FilesWithValues(None))  # type: ignore[no-untyped-call]
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)


class _FilesWithValues(MultiProcessCollector):
    """Skips empty files, which prometheus_client cannot read.

    A process creates each file before it gives it a size, and may be killed in between.
    """

    def collect(self) -> Iterable[Metric]:
        files = [path for path in Path(DIRECTORY).glob("*.db") if _is_not_empty(path)]
        return self.merge(files)  # type: ignore[no-untyped-call, no-any-return]


def _is_not_empty(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        # The gauges of a process that has just ended.
        return False


def count(environ: "WSGIEnvironment", status: str, seconds: float) -> None:
    """Count one completed request: an observer for `logs.AccessLog`."""
    info: RequestInfo | None = environ.get(ENVIRON_KEY)
    route = (info and info.route) or "none"
    method = environ["REQUEST_METHOD"] if environ["REQUEST_METHOD"] in METHODS else "other"
    REQUESTS.labels(route, method, status).inc()
    DURATIONS.labels(route, method).observe(seconds)
    if info and info.database_error:
        DATABASE_ERRORS.labels(info.database_error).inc()


def begin_process(pool_size: int) -> None:
    """Record the pool size of a new process."""
    POOL_SIZE.set(pool_size)


def end_process(pid: int) -> None:
    """Drop the gauges of a process that has ended, however it ended. Its counters stay."""
    mark_process_dead(pid)  # type: ignore[no-untyped-call]
