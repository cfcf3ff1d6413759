"""The servers that the benchmark compares: this service, its peers, and the limit."""

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PEERS = REPOSITORY / "benchmarks" / "peers"
PROGRAMS = Path(sys.executable).parent

GUNICORN = str(PROGRAMS / "gunicorn")
# What this service's gunicorn.conf.py says by default.
WORKERS = ("--workers=2", "--worker-class=gthread", "--threads=4", "--no-control-socket")
BIND = "--bind=127.0.0.1:{port}"
QUIET = "--log-level=warning"


@dataclass(frozen=True)
class Server:
    """A server: two processes that listen on 127.0.0.1, and log no request."""

    name: str
    command: tuple[str, ...]
    """Its program and arguments, where `{port}` stands for the port."""
    directory: Path
    """Where it is started."""
    title: str
    """What it is, for the table of the results."""
    packages: tuple[str, ...]
    """The packages whose versions the results name."""
    schema: str
    """`todoapp`, which our migrations make, or `plain`, the bare table."""
    environ: Mapping[str, str] = field(default_factory=dict)
    """What it takes beside DATABASE_URL and PORT."""


THIS = Server(
    name="todoapp",
    command=(GUNICORN, "wsgi:app", BIND),
    directory=REPOSITORY,
    title="this service",
    packages=("flask", "flask-smorest", "marshmallow", "sqlalchemy", "psycopg2-binary"),
    schema="todoapp",
    environ={"LOG_LEVEL": "warning"},
)


def before(checkout: Path) -> Server:
    """Return another revision of this service: a checkout with the same migrations."""
    return replace(THIS, name="before", directory=checkout, title=f"this service in {checkout}")


def servers() -> list[Server]:
    """Return the servers that can run here: the one on Node.js needs `node`."""
    found = [
        THIS,
        Server(
            name="async",
            command=(
                str(PROGRAMS / "uvicorn"),
                "async_:app",
                "--host=127.0.0.1",
                "--port={port}",
                "--workers=2",
                "--loop=uvloop",
                "--http=httptools",
                "--no-access-log",
                QUIET,
            ),
            directory=PEERS,
            title="FastAPI, SQLAlchemy's asynchronous ORM, asyncpg, uvicorn",
            packages=("fastapi", "pydantic", "sqlalchemy", "asyncpg", "uvicorn", "uvloop"),
            schema="plain",
        ),
        Server(
            name="plain",
            command=(GUNICORN, "plain:app", BIND, *WORKERS, QUIET),
            directory=PEERS,
            title="Flask, Flask-SQLAlchemy's ORM, marshmallow, as a tutorial has them",
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
            title="no framework and no checks: the limit of gunicorn and psycopg2",
            packages=("gunicorn", "psycopg2-binary", "orjson"),
            schema="todoapp",
        ),
    ]
    if node := shutil.which("node"):
        found.insert(
            4,
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
