import pytest
from sqlalchemy import make_url

from dev.postgres import Postgres
from tests.support.types import Sql


@pytest.fixture
def sql(database: str, postgres: Postgres) -> Sql:
    """Execute a statement in the web process's database, on a separate connection."""
    name = make_url(database).database
    return lambda statement: postgres.execute(statement, name)
