"""What must hold before the web process listens."""

import sys
import threading
import time

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError

from .database import reason
from .extensions import db, migrate

PATIENCE_SECONDS = 3.5
"""How long the database may take to answer: with the start of Python, less than 5 seconds. Where
several hosts are named, the first ones may be dead, and the last one is asked after those."""

RETRY_SECONDS = 0.2


def check_database(app: Flask) -> None:
    """Return once the database answers, in UTF-8, with the schema of the newest migration.

    Leaves no connection open, so the process may fork. Where the check fails it exits, with
    one line: which database, what is wrong with it, what to do.
    """
    with app.app_context():
        place = _place(db.engine.url)
        other_hosts = str(db.engine.url.query.get("host", "")).count(",")
    answer = _Answer(app)
    answer.start()
    answer.join(PATIENCE_SECONDS + other_hosts * app.config["CONNECT_SECONDS"])
    if answer.revisions is None:
        sys.exit(
            f"Cannot start: the database {place} cannot be used ({answer.reason}). "
            "Check DATABASE_URL, and that PostgreSQL runs and lets us in."
        )
    if answer.encoding != "UTF8":
        sys.exit(
            f"Cannot start: the database {place} is encoded in {answer.encoding}, which has not "
            "every character. Make one with ENCODING 'UTF8'."
        )
    migrations = ScriptDirectory(migrate.directory)
    expected = set(migrations.get_heads())
    if answer.revisions != expected:
        known = {script.revision for script in migrations.walk_revisions()}
        newer = not answer.revisions <= known
        sys.exit(
            f"Cannot start: the schema of the database {place} is at revision "
            f"{', '.join(answer.revisions) or 'none'}, the code at {', '.join(expected)}. "
            + ("Deploy the code that has this revision." if newer else "Run `flask db upgrade`.")
        )


def _place(url: URL) -> str:
    host = url.host or url.query.get("host") or "localhost"
    return f"{host}:{url.port or url.query.get('port') or 5432}/{url.database}"


class _Answer(threading.Thread):
    """Asks the database for its revisions. A thread, because a host may never answer at all."""

    def __init__(self, app: Flask) -> None:
        super().__init__(daemon=True)
        self.app = app
        self.revisions: set[str] | None = None
        self.encoding: str | None = None
        self.reason = "no answer"

    def run(self) -> None:
        with self.app.app_context():
            while self.revisions is None:
                try:
                    with db.engine.connect() as connection:
                        context = MigrationContext.configure(connection)
                        self.encoding = connection.scalar(text("SHOW server_encoding"))
                        self.revisions = set(context.get_current_heads())
                except DBAPIError as error:
                    self.reason = reason(error.orig)
                    time.sleep(RETRY_SECONDS)
            db.engine.dispose()
