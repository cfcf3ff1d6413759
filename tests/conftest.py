"""A real PostgreSQL for each process of the test run, its schema made by the migrations."""

import logging
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

# Nothing of a test database has to outlive the test. A test that lets the server crash has one
# of its own, with PostgreSQL's own settings.
FAST_AND_FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A running server."""
    with Postgres(tmp_path_factory.mktemp("postgres"), FAST_AND_FORGETFUL).running() as server:
        yield server


@pytest.fixture(scope="session")
def make_app() -> Callable[..., Flask]:
    """Make an application, given its environment variables."""

    def make(**environ: str) -> Flask:
        return create_app(Config.from_environ(environ))

    return make


@pytest.fixture(scope="session")
def template(postgres: Postgres, make_app: Callable[..., Flask]) -> str:
    """The name of a database that the migrations have made."""
    app = make_app(DATABASE_URL=postgres.create_database("template_todos"))
    with app.app_context():
        flask_migrate.upgrade()
    return "template_todos"


@pytest.fixture(scope="session")
def databases(postgres: Postgres) -> Iterator[Callable[..., str]]:
    """Make databases: each call returns the address of a new one."""
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
    """The address of a database with nothing in it."""
    return databases()


@pytest.fixture
def database(databases: Callable[..., str], template: str) -> str:
    """The address of a migrated database of this test's own."""
    return databases(template)


@pytest.fixture
def web(database: str) -> Iterator[WebProcess]:
    """A web process of this test's own."""
    with serving(DATABASE_URL=database) as process:
        yield process


@pytest.fixture(scope="session")
def as_guest(postgres: Postgres) -> Callable[[str], str]:
    """Turn the address of a database into that for a role without rights."""
    postgres.execute("CREATE ROLE guest LOGIN")
    return lambda url: url.replace("postgres@", "guest@")


@pytest.fixture(scope="session")
def shared_app(
    databases: Callable[..., str], template: str, make_app: Callable[..., Flask]
) -> Flask:
    return make_app(DATABASE_URL=databases(template))


@pytest.fixture
def app(shared_app: Flask, sql: Callable[..., list[tuple]]) -> Iterator[Flask]:
    """The application, over a database without todos."""
    yield shared_app
    sql("TRUNCATE todos RESTART IDENTITY")


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def sql(shared_app: Flask, postgres: Postgres) -> Callable[..., list[tuple]]:
    """Execute a statement in the application's database, on a connection of its own."""
    database = shared_app.config["SQLALCHEMY_DATABASE_URI"].database
    return lambda statement: postgres.execute(statement, database)


@pytest.fixture
def statements(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Return the statements that the application has sent since the test began."""
    caplog.set_level(logging.INFO, "todoapp.database.execute")
    return lambda: [
        record.getMessage()
        for record in caplog.records
        if record.name == "todoapp.database.execute" and record.levelno == logging.INFO
    ]
