"""Fixtures: PostgreSQL servers, migrated databases, applications and clients."""

import logging
import signal
from collections.abc import Callable, Iterator
from itertools import count

import flask_migrate
import pytest
from flask import Flask
from flask.testing import FlaskClient

from dev.postgres import Postgres
from tests.support.web import WebProcess, serving
from todoapp import create_app
from todoapp.config import Config

# In the background of a script, SIGINT is ignored, and the processes that tests start would inherit
# that: POSIX, Shell Command Language, "Signals and Error Handling".
signal.signal(signal.SIGINT, signal.default_int_handler)

# Test databases need not survive a crash. Tests that crash the server start their own, with
# PostgreSQL's default settings.
WITHOUT_DURABILITY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """Run the PostgreSQL server that all tests of this process share."""
    with Postgres(tmp_path_factory.mktemp("postgres"), WITHOUT_DURABILITY).running() as server:
        yield server


@pytest.fixture(scope="session")
def make_app() -> Callable[..., Flask]:
    """Return a function that creates an application from environment variables."""

    def make(**environ: str) -> Flask:
        return create_app(Config.from_environ(environ))

    return make


@pytest.fixture(scope="session")
def template(postgres: Postgres, make_app: Callable[..., Flask]) -> str:
    """Create a migrated database to copy, and return its name."""
    app = make_app(DATABASE_URL=postgres.create_database("template_todos"))
    with app.app_context():
        flask_migrate.upgrade()
    return "template_todos"


@pytest.fixture(scope="session")
def databases(postgres: Postgres) -> Iterator[Callable[..., str]]:
    """Return a function that creates a database and returns its URL."""
    numbers = count()
    names = []

    def make(template: str = "template1") -> str:
        names.append(f"test_{next(numbers)}")
        return postgres.create_database(names[-1], template)

    yield make
    for name in names:
        postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty_database(databases: Callable[..., str]) -> str:
    """Create an empty database for this test and return its URL."""
    return databases()


@pytest.fixture
def database(databases: Callable[..., str], template: str) -> str:
    """Create a migrated database for this test and return its URL."""
    return databases(template)


@pytest.fixture
def web(database: str) -> Iterator[WebProcess]:
    """Run a web process for this test."""
    with serving(DATABASE_URL=database) as process:
        yield process


@pytest.fixture(scope="session")
def as_guest(postgres: Postgres) -> Callable[[str], str]:
    """Return a function that changes a database URL to that of an unprivileged role."""
    postgres.execute("CREATE ROLE guest LOGIN")
    return lambda url: url.replace("postgres@", "guest@")


@pytest.fixture(scope="session")
def shared_app(
    databases: Callable[..., str], template: str, make_app: Callable[..., Flask]
) -> Flask:
    """Create the application that all tests of this process share."""
    return make_app(DATABASE_URL=databases(template))


@pytest.fixture
def app(shared_app: Flask, sql: Callable[..., list[tuple]]) -> Iterator[Flask]:
    """Return the shared application, and delete its todos after the test."""
    yield shared_app
    sql("TRUNCATE todos, idempotency_keys RESTART IDENTITY")


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Return a test client of the shared application."""
    return app.test_client()


@pytest.fixture
def sql(shared_app: Flask, postgres: Postgres) -> Callable[..., list[tuple]]:
    """Return a function that executes SQL in the application's database, on a new connection."""
    database = shared_app.config["SQLALCHEMY_DATABASE_URI"].database
    return lambda statement: postgres.execute(statement, database)


@pytest.fixture
def statements(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Return a function that lists the statements sent since the start of the test."""
    caplog.set_level(logging.INFO, "todoapp.database.execute")
    return lambda: [
        record.getMessage()
        for record in caplog.records
        if record.name == "todoapp.database.execute" and record.levelno == logging.INFO
    ]
