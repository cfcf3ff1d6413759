"""Alembic environment: one process migrates at a time, with a bounded wait for table locks."""

import logging
import time
from logging.config import fileConfig

from alembic import context
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from flask import current_app
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from todoapp.database.engine import WITHOUT_TIME_LIMITS
from todoapp.database.errors import reason
from todoapp.database.readiness import FOREIGN_REVISION, display_name, wrong_encoding
from todoapp.extensions import db

RETRY_SECONDS = 0.5

logger = logging.getLogger("alembic.runtime.migration")


def acquire_lock(connection: Connection) -> None:
    """Acquire the migration lock, waiting if necessary; it is held until `connection` closes."""
    # Polled: a blocked statement would hold a snapshot, and CREATE INDEX CONCURRENTLY waits for
    # those, so two migrations would deadlock.
    try_lock = text("SELECT pg_try_advisory_lock(hashtext('todoapp migrations'))")
    if not connection.scalar(try_lock):
        logger.info("Another migration is running; waiting for it to finish.")
        while not connection.scalar(try_lock):
            connection.commit()
            time.sleep(RETRY_SECONDS)
    connection.execute(text(WITHOUT_TIME_LIMITS))
    # Requests queue behind a migration that waits for a table lock, so it waits no longer than they
    # would.
    connection.execute(text(f"SET lock_timeout = '{current_app.config['LOCK_TIMEOUT']}s'"))
    connection.commit()


def check_database(connection: Connection) -> None:
    """Check that the database can hold todos, and is at a revision that exists.

    Raises:
        CommandError: the encoding is not UTF-8, or the revision is unknown.
    """
    name = display_name(db.engine.url)
    encoding = connection.scalar(text("SHOW server_encoding"))
    if encoding != "UTF8":
        raise CommandError(f"Nothing was changed. The database {name} {wrong_encoding(encoding)}")
    revisions = set(MigrationContext.configure(connection).get_current_heads())
    unknown = revisions - {script.revision for script in context.script.walk_revisions()}
    if unknown:
        raise CommandError(
            f"Nothing was changed. The database {name} is at revision {', '.join(unknown)}, which "
            f"this code does not have. {FOREIGN_REVISION}"
        )
    connection.commit()


def migrate(connection: Connection) -> None:
    """Acquire the migration lock and run the migrations, each in its own transaction."""
    acquire_lock(connection)
    check_database(connection)
    context.configure(
        connection=connection,
        target_metadata=db.metadata,
        transaction_per_migration=True,
        **current_app.extensions["migrate"].configure_args,
    )
    with context.begin_transaction():
        context.run_migrations()


def run_migrations() -> None:
    """Run the requested migrations.

    Raises:
        CommandError: the database is unreachable, a statement failed, or a lock timed out.
    """
    # The engine defaults to autocommit, but each migration has to be atomic.
    engine = db.engine.execution_options(isolation_level="READ COMMITTED")
    try:
        with engine.connect() as connection:
            try:
                migrate(connection)
            finally:
                # Ending the session releases the lock and discards the settings.
                connection.invalidate()
    except DBAPIError as error:
        raise CommandError(
            f"Database {display_name(db.engine.url)}. The migration was not applied. "
            f"The database says: {reason(error.orig)}"
        ) from error


if context.is_offline_mode():
    raise CommandError("Offline mode (--sql) is not supported: migrations inspect the database.")
fileConfig(str(context.config.config_file_name), disable_existing_loggers=False)
run_migrations()
