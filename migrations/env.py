"""How Alembic runs the migrations: one process at a time, and no long wait for a lock."""

import logging
import time
from logging.config import fileConfig

from alembic import context
from alembic.util import CommandError
from flask import current_app
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from todoapp.database.errors import reason
from todoapp.extensions import db

RETRY_SECONDS = 0.5

logger = logging.getLogger("alembic.runtime.migration")


def wait_for_turn(connection: Connection) -> None:
    """Hold the lock of the migrations until `connection` is closed; wait where another has it."""
    # Asked again and again: to wait inside of a statement is to keep a snapshot, and
    # CREATE INDEX CONCURRENTLY waits for those, so two migrations would wait for each other.
    take_lock = text("SELECT pg_try_advisory_lock(hashtext('todoapp migrations'))")
    if not connection.scalar(take_lock):
        logger.info("Another migration is running; waiting for it to end.")
        while not connection.scalar(take_lock):
            connection.commit()
            time.sleep(RETRY_SECONDS)
    connection.execute(text("SET statement_timeout = 0"))
    # A migration that waits for a table makes every request queue behind it, so it waits no
    # longer than a request does.
    connection.execute(text(f"SET lock_timeout = '{current_app.config['LOCK_TIMEOUT']}s'"))
    connection.commit()


def migrate(connection: Connection) -> None:
    """Run the migrations on `connection`, one after the other, when it is our turn."""
    wait_for_turn(connection)
    context.configure(
        connection=connection,
        target_metadata=db.metadata,
        transaction_per_migration=True,
        **current_app.extensions["migrate"].configure_args,
    )
    with context.begin_transaction():
        context.run_migrations()


def run_migrations() -> None:
    """Run what the command asked for, each migration in a transaction.

    Raises:
        CommandError: the database cannot be reached, or refuses, or a table stayed locked.
    """
    # The service's connections commit by themselves; a migration is applied whole or not at all.
    engine = db.engine.execution_options(isolation_level="READ COMMITTED")
    try:
        with engine.connect() as connection:
            try:
                migrate(connection)
            finally:
                # The session ends, and with it the lock and the settings.
                connection.invalidate()
    except DBAPIError as error:
        raise CommandError(
            f"The migration was not applied. The database says: {reason(error.orig)}"
        ) from error


if context.is_offline_mode():
    raise CommandError("The migrations look at the database they change: there is no --sql.")
fileConfig(str(context.config.config_file_name), disable_existing_loggers=False)
run_migrations()
