from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import make_url

from dev.postgres import Postgres
from tests.process.web import WebProcess, serving


@pytest.fixture
def web(database: str) -> Iterator[WebProcess]:
    """A web process of this test's own."""
    with serving(DATABASE_URL=database) as process:
        yield process


@pytest.fixture
def sql(database: str, postgres: Postgres) -> Callable[[str], list[tuple]]:
    """Execute a statement in the web process's database, on a connection of its own."""
    name = make_url(database).database
    return lambda statement: postgres.execute(statement, name)
