"""/metrics: what Prometheus reads, right across the processes of the web server.

Imported only where METRICS=1. Each process counts in files of its own, in a directory that the
first process, which loads the application, makes and in the end removes:
https://prometheus.github.io/client_python/multiprocess/
"""

import atexit
import os
import shutil
import tempfile
from typing import TYPE_CHECKING

from flask import Flask, Response
from sqlalchemy import event
from sqlalchemy.pool import ConnectionPoolEntry, Pool

from .tracing import ENVIRON_KEY, Trace

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

# A new master that gunicorn starts (USR2) may find its predecessor's directory in the variable.
# That one is going to be removed, so each master has its own.
DIRECTORY = os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="todoapp-metrics-")

from prometheus_client import (  # it reads the variable as soon as it is imported
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

# Whoever sends a request may invent a method, but not a label.
METHODS = frozenset(("GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS", "PUT"))

REQUESTS = Counter("todoapp_requests", "HTTP requests", ["route", "method", "status"])
DURATIONS = Histogram(
    "todoapp_request_duration_seconds",
    "Request duration, the wait for a thread included",
    ["route", "method"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
DATABASE_ERRORS = Counter("todoapp_database_errors", "Requests that the database failed", ["kind"])
POOL_IN_USE = Gauge(
    "todoapp_pool_connections_in_use",
    "Connections that requests are using",
    multiprocess_mode="livesum",
)
POOL_SIZE = Gauge(
    "todoapp_pool_size", "Connections that requests may use", multiprocess_mode="livesum"
)


@atexit.register
def _remove_directory(owner: int = os.getpid()) -> None:
    # A worker that ends inherited this from the process that made it.
    if os.getpid() == owner:
        shutil.rmtree(DIRECTORY, ignore_errors=True)


_in_use: set[ConnectionPoolEntry] = set()


@event.listens_for(Pool, "checkout")
def _taken(_: object, record: ConnectionPoolEntry, __: object) -> None:
    # SQLAlchemy tells it twice where a connection turns out to be broken.
    if record not in _in_use:
        _in_use.add(record)
        POOL_IN_USE.inc()


@event.listens_for(Pool, "checkin")
def _returned(_: object, record: ConnectionPoolEntry) -> None:
    if record in _in_use:
        _in_use.remove(record)
        POOL_IN_USE.dec()


def init_app(app: Flask) -> None:
    """Give `app` the route /metrics."""
    app.add_url_rule("/metrics", view_func=metrics)


def metrics() -> Response:
    """Return the sums over all processes, those that have ended included."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def count(environ: "WSGIEnvironment", status: str, seconds: float) -> None:
    """Count one request, once its response is complete: an observer for `logs.AccessLog`."""
    trace: Trace | None = environ.get(ENVIRON_KEY)
    route = (trace and trace.route) or "none"
    method = environ["REQUEST_METHOD"] if environ["REQUEST_METHOD"] in METHODS else "other"
    REQUESTS.labels(route, method, status).inc()
    DURATIONS.labels(route, method).observe(seconds)
    if trace and trace.database_error:
        DATABASE_ERRORS.labels(trace.database_error).inc()


def begin_process(pool_size: int) -> None:
    """Record how many connections a new process may use."""
    POOL_SIZE.set(pool_size)


def end_process(pid: int) -> None:
    """Drop the gauges of a process that has ended, in whatever way; its counters stay."""
    mark_process_dead(pid)  # type: ignore[no-untyped-call]
