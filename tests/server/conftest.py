from collections.abc import Callable

import pytest
from sqlalchemy import make_url

from dev.postgres import Postgres


@pytest.fixture
def sql(database: str, postgres: Postgres) -> Callable[[str], list[tuple]]:
    """Execute a statement in the web process's database, on a connection of its own."""
    name = make_url(database).database
    return lambda statement: postgres.execute(statement, name)
