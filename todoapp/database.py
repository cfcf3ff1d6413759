"""How the service is connected to the database, and what the database says when it refuses."""

from typing import Any

from sqlalchemy.exc import DBAPIError

from .config import Config

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
        # Before a connection is used, ask whether it lives: the server may have restarted.
        "pool_pre_ping": True,
        "pool_size": config.db_pool_size,
        "max_overflow": config.db_max_overflow,
        "pool_timeout": config.db_pool_timeout,
        # A log or an error shows the statement, never what people wrote.
        "hide_parameters": True,
        "connect_args": {
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "fallback_application_name": "todoapp",
            # The operator's own options come last, and so they win.
            "options": f"{timeouts} {config.database_url.query.get('options', '')}",
        },
    }


def reason(error: DBAPIError) -> str:
    """Return in one line why the database refused.

    That is PostgreSQL's primary message: its DETAIL may quote what people wrote.
    """
    # Where there is no connection, psycopg2 has words and no diagnosis.
    diagnosis = getattr(error.orig, "diag", None)
    return " ".join((getattr(diagnosis, "message_primary", None) or str(error.orig)).split())
