"""Readiness of the database, checked before the web process listens."""

import sys
import threading
import time
from typing import Any

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import URL, Connection, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeEngine

from todoapp.extensions import db, migrate

from .errors import reason

TIMEOUT_SECONDS = 3.5
"""How long the database may take to respond: with the start of Python, less than 5 seconds. If
DATABASE_URL names several hosts, each host before the last may also take a connect timeout."""

RETRY_SECONDS = 0.2


def check_database(app: Flask) -> None:
    """Check that the database responds, is encoded in UTF-8, and has the newest schema.

    Leaves no connection open, so the process may fork. If the check fails, the process exits with
    one line that names the database, the problem and what to do.
    """
    with app.app_context():
        name = display_name(db.engine.url)
        other_hosts = str(db.engine.url.query.get("host", "")).count(",")
    check = _Check(app)
    check.start()
    check.join(TIMEOUT_SECONDS + other_hosts * app.config["CONNECT_TIMEOUT"])
    if check.revisions is None:
        sys.exit(
            f"Cannot start: the database {name} cannot be used ({check.reason}). "
            "Check DATABASE_URL, and that PostgreSQL is running and accepts this connection."
        )
    if check.encoding != "UTF8":
        sys.exit(f"Cannot start: the database {name} {wrong_encoding(check.encoding)}")
    migrations = ScriptDirectory(migrate.directory)
    expected = set(migrations.get_heads())
    if check.revisions != expected:
        known = {script.revision for script in migrations.walk_revisions()}
        newer = not check.revisions <= known
        sys.exit(
            f"Cannot start: the schema of the database {name} is at revision "
            f"{', '.join(check.revisions) or 'none'}, the code at {', '.join(expected)}. "
            + (FOREIGN_REVISION if newer else "Run `flask db upgrade`.")
        )
    if check.differences:
        sys.exit(
            f"Cannot start: the schema of the database {name} is not that of revision "
            f"{', '.join(expected)}: {'; '.join(check.differences)}. Use another database."
        )


FOREIGN_REVISION = (
    "Deploy the code that has this revision, or use another database if the table alembic_version "
    "is that of another application."
)


def wrong_encoding(encoding: str | None) -> str:
    """Return what is wrong with an encoding other than UTF8, and what to do."""
    return (
        f"is encoded in {encoding}, which lacks many characters. "
        "Create a database with ENCODING 'UTF8'."
    )


def schema_differences(connection: Connection) -> list[str]:
    """Return the columns of the models that the database lacks, or has with another type."""
    inspector = inspect(connection)
    differences = []
    for table in db.metadata.sorted_tables:
        columns = inspector.get_columns(table.name) if inspector.has_table(table.name) else []
        found = {column["name"]: column for column in columns}
        for column in table.columns:
            expected = _declaration(connection, column.type, column.nullable)
            actual = found.get(column.name)
            declared = actual and _declaration(connection, actual["type"], actual["nullable"])
            if declared != expected:
                differences.append(
                    f"{table.name}.{column.name} is {declared or 'missing'}, expected {expected}"
                )
    return differences


def _declaration(connection: Connection, kind: TypeEngine[Any], nullable: bool | None) -> str:
    return kind.compile(connection.dialect) + ("" if nullable else " NOT NULL")


def display_name(url: URL) -> str:
    """Return the host, port and name of a database, for messages: no user, no password."""
    host = url.host or url.query.get("host") or "localhost"
    return f"{host}:{url.port or url.query.get('port') or 5432}/{url.database}"


class _Check(threading.Thread):
    """Reads the encoding and the schema, in a thread: a host may never respond."""

    def __init__(self, app: Flask) -> None:
        super().__init__(daemon=True)
        self.app = app
        self.revisions: set[str] | None = None
        self.encoding: str | None = None
        self.differences: list[str] = []
        self.reason = "no response"

    def run(self) -> None:
        with self.app.app_context():
            while self.revisions is None:
                try:
                    with db.engine.connect() as connection:
                        context = MigrationContext.configure(connection)
                        self.encoding = connection.scalar(text("SHOW server_encoding"))
                        self.differences = schema_differences(connection)
                        self.revisions = set(context.get_current_heads())
                except DBAPIError as error:
                    self.reason = reason(error.orig)
                    time.sleep(RETRY_SECONDS)
            db.engine.dispose()
