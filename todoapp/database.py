"""How the service is connected to the database, and what the database says when it refuses."""

import logging
import select
from collections.abc import Mapping
from typing import Any

import psycopg2
from psycopg2.extensions import BYTES, register_type
from psycopg2.extensions import connection as Psycopg2Connection  # noqa: N812  # it is a class
from sqlalchemy import ClauseElement, event
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DisconnectionError, InvalidRequestError
from sqlalchemy.pool import Pool

from .config import Config
from .extensions import db

DIALECT = postgresql.psycopg2.dialect()  # type: ignore[no-untyped-call]

logger = logging.getLogger(__name__)

# Where the database is slower than this, the client gets a 503 and nothing is left half done.
CONNECT_TIMEOUT_SECONDS = 3
LOCK_TIMEOUT_SECONDS = 3
STATEMENT_TIMEOUT_SECONDS = 10


def engine_options(config: Config) -> dict[str, Any]:
    """Return what `sqlalchemy.create_engine` takes beside the address."""
    timeouts = (
        f"-c lock_timeout={LOCK_TIMEOUT_SECONDS}s -c statement_timeout={STATEMENT_TIMEOUT_SECONDS}s"
    )
    return {
        # Each change is one statement, so it is a transaction without BEGIN and COMMIT.
        "isolation_level": "AUTOCOMMIT",
        # So there is nothing to roll back either when a connection goes back to the pool.
        "pool_reset_on_return": None,
        "pool_size": config.db_pool_size,
        "max_overflow": config.db_max_overflow,
        "pool_timeout": config.db_pool_timeout,
        # A log or an error shows the statement, never what people wrote.
        "hide_parameters": True,
        "connect_args": {
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "fallback_application_name": "todoapp",
            # A server that vanished without a word is known to be gone while its connections
            # are idle, and to a request within a minute.
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": 15_000,
            # The operator's own options come last, and so they win.
            "options": f"{timeouts} {config.database_url.query.get('options', '')}",
        },
    }


def compiled(statement: ClauseElement) -> str:
    """Return a statement as psycopg2 takes it, in one line. Its parameters are its bindparams."""
    return " ".join(str(statement.compile(dialect=DIALECT)).split())


def execute(statement: str, parameters: Mapping[str, object]) -> tuple[Any, int]:
    """Execute one statement, a transaction of its own; return its first row and its row count.

    Text comes as bytes in UTF-8.

    The connection is SQLAlchemy's pool's, and back there before the answer is written. What
    SQLAlchemy does beyond that for each execution would take longer than PostgreSQL does.

    Raises:
        psycopg2.Error: the database cannot be reached, or refuses.
        sqlalchemy.exc.TimeoutError: every connection stayed busy.
    """
    logger.info("%s", statement)
    try:
        connection = db.engine.raw_connection()
    except InvalidRequestError as error:
        # The pool has opened connections, and each of them broke at once.
        raise psycopg2.OperationalError("the connection broke as soon as it was open") from error
    try:
        cursor = connection.cursor()
        # Text is JSON that goes to the client as it is.
        register_type(BYTES, cursor)  # type: ignore[arg-type]  # a DBAPI cursor, says SQLAlchemy
        cursor.execute(statement, parameters)
        row = cursor.fetchone() if cursor.description else None
        return row, cursor.rowcount
    finally:
        connection.close()


@event.listens_for(Pool, "checkout")
def refuse_broken_connection(connection: Psycopg2Connection, *_: object) -> None:
    """Keep a connection that broke while it was idle from being used: the pool opens another.

    On an idle connection the server says nothing but farewell, and whether there is anything
    to read the kernel knows. `pool_pre_ping` would ask the server: a round trip for each request.

    Raises:
        DisconnectionError: it broke.
            https://docs.sqlalchemy.org/en/21/core/pooling.html#custom-legacy-pessimistic-ping
    """
    if not connection.closed:
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        if not poll.poll(0):
            return
    raise DisconnectionError("the connection broke while it was idle")


def reason(error: BaseException | None) -> str:
    """Return in one line why the database refused, or the pool has no connection.

    That is PostgreSQL's primary message: its DETAIL may quote what people wrote.
    """
    # Where there is no connection, psycopg2 has words and no diagnosis.
    diagnosis = getattr(error, "diag", None)
    return " ".join((getattr(diagnosis, "message_primary", None) or str(error)).split())
