"""The servers to compare: this service, its peers, and a lower bound."""

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PEERS = REPOSITORY / "benchmarks" / "peers"
BINARIES = Path(sys.executable).parent

GUNICORN = str(BINARIES / "gunicorn")
# As many as gunicorn.conf.py of this service has by default.
WORKERS = ("--workers=2", "--worker-class=gthread", "--threads=4", "--no-control-socket")
BIND = "--bind=127.0.0.1:{port}"
QUIET = "--log-level=warning"

UVICORN = str(BINARIES / "uvicorn")
UVICORN_OPTIONS = (
    "--host=127.0.0.1",
    "--port={port}",
    "--workers=2",
    "--loop=uvloop",
    "--http=httptools",
    "--no-access-log",
    QUIET,
)


@dataclass(frozen=True)
class Server:
    """A server: two processes that listen on 127.0.0.1, without an access log."""

    name: str
    command: tuple[str, ...]
    """Command line, with the placeholder `{port}`."""
    directory: Path
    """Working directory."""
    title: str
    """Description in the results."""
    packages: tuple[str, ...]
    """Packages whose versions the results list."""
    schema: str
    """`todoapp` or `before`, created by their migrations, or `plain`, the bare table."""
    environ: Mapping[str, str] = field(default_factory=dict)
    """Environment variables besides DATABASE_URL and PORT."""


THIS = Server(
    name="todoapp",
    command=(GUNICORN, "wsgi:app", BIND),
    directory=REPOSITORY,
    title="this service",
    packages=("flask", "flask-smorest", "marshmallow", "sqlalchemy", "psycopg2-binary"),
    schema="todoapp",
    environ={"LOG_LEVEL": "warning"},
)


def other_checkout(checkout: Path) -> Server:
    """Return another revision of this service, with a database that its migrations create."""
    title = f"this service in {checkout}"
    return replace(THIS, name="before", directory=checkout, title=title, schema="before")


def servers() -> list[Server]:
    """Return the available servers; Fastify requires `node`."""
    found = [
        THIS,
        Server(
            name="async",
            command=(UVICORN, "async_:app", *UVICORN_OPTIONS),
            directory=PEERS,
            title="FastAPI, SQLAlchemy's asynchronous ORM, asyncpg, uvicorn",
            packages=("fastapi", "pydantic", "sqlalchemy", "asyncpg", "uvicorn", "uvloop"),
            schema="plain",
        ),
        Server(
            name="blacksheep",
            command=(UVICORN, "blacksheep_:app", *UVICORN_OPTIONS),
            directory=PEERS,
            title="BlackSheep, SQLAlchemy's asynchronous ORM, asyncpg, orjson, uvicorn",
            packages=(
                "blacksheep",
                "pydantic",
                "sqlalchemy",
                "asyncpg",
                "orjson",
                "uvicorn",
                "uvloop",
            ),
            schema="plain",
        ),
        Server(
            name="plain",
            command=(GUNICORN, "plain:app", BIND, *WORKERS, QUIET),
            directory=PEERS,
            title="Flask, Flask-SQLAlchemy's ORM, marshmallow, as in a tutorial",
            packages=("flask", "flask-sqlalchemy", "marshmallow", "sqlalchemy", "psycopg2-binary"),
            schema="plain",
        ),
        Server(
            name="drf",
            command=(GUNICORN, "wsgi:application", BIND, *WORKERS, QUIET),
            directory=PEERS / "drf",
            title="Django REST framework, persistent connections",
            packages=("django", "djangorestframework", "psycopg2-binary"),
            schema="plain",
        ),
        Server(
            name="floor",
            command=(GUNICORN, "floor:app", BIND, *WORKERS, "--preload", "--keep-alive=95", QUIET),
            directory=PEERS,
            title="lower bound: gunicorn and psycopg2 without framework and validation",
            packages=("gunicorn", "psycopg2-binary", "orjson"),
            schema="todoapp",
        ),
    ]
    if node := shutil.which("node"):
        found.insert(
            5,
            Server(
                name="fastify",
                command=(node, "server.js"),
                directory=PEERS / "fastify",
                title="Fastify and node-postgres, prepared statements",
                packages=("fastify", "pg"),
                schema="plain",
                environ={"NODE_ENV": "production"},
            ),
        )
    return found
