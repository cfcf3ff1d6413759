"""/metrics: what Prometheus reads, right across the processes of the web server.

Imported only where METRICS=1. Each process counts in files of its own, in a directory that the
first process, which loads the application, makes and in the end removes:
https://prometheus.github.io/client_python/multiprocess/
"""

import atexit
import os
import shutil
import tempfile
from datetime import timedelta
from typing import Any

from flask import Flask, Response
from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker
from sqlalchemy import event
from sqlalchemy.pool import ConnectionPoolEntry, Pool

from .logs import RequestLogger
from .tracing import ENVIRON_KEY, Trace

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

REQUESTS = Counter("todoapp_requests", "Requests that were answered", ["route", "method", "status"])
DURATIONS = Histogram(
    "todoapp_request_duration_seconds",
    "Time from reading a request to the last byte of its answer",
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


class RequestCounter(RequestLogger):
    """Counts requests, and logs them."""

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> None:
        """Count and log one request that the application has answered."""
        trace: Trace | None = environ.get(ENVIRON_KEY)
        route = (trace and trace.route) or "none"
        method = environ["REQUEST_METHOD"] if environ["REQUEST_METHOD"] in METHODS else "other"
        REQUESTS.labels(route, method, resp.status_code).inc()
        DURATIONS.labels(route, method).observe(request_time.total_seconds())
        if trace and trace.database_error:
            DATABASE_ERRORS.labels(trace.database_error).inc()
        super().access(resp, req, environ, request_time)


def begin_worker(worker: Worker) -> None:
    """Say how many connections a new process may use."""
    options = worker.app.wsgi().config["SQLALCHEMY_ENGINE_OPTIONS"]
    POOL_SIZE.set(options["pool_size"] + options["max_overflow"])


def end_worker(server: Arbiter, worker: Worker) -> None:
    """Forget what a process was using that has ended, in whatever way; what it counted stays."""
    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
