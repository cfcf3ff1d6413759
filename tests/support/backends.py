"""Suspend a PostgreSQL backend, to test an unresponsive database."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import psutil
from flask import Flask

from todoapp.extensions import db


@contextmanager
def suspended_backend(app: Flask) -> Iterator[None]:
    """Suspend (SIGSTOP) the backend of the application's pooled connection."""
    with app.app_context(), closing(db.engine.raw_connection()) as connection:
        backend = psutil.Process(connection.dbapi_connection.info.backend_pid)
    backend.suspend()
    try:
        yield
    finally:
        backend.resume()
