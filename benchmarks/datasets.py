"""Datasets: one PostgreSQL server, with a database for each schema and number of todos."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.processes import cpu_seconds
from dev.postgres import Postgres
from tests.support.web import free_port

ROOT = Path(__file__).parents[1]
BINARIES = Path(sys.executable).parent
PATH = f"{BINARIES}:{os.environ['PATH']}"

# Scenarios that write have databases of their own, so that lists keep their length.
SIZES = {
    "hundred": 100,
    "changes": 100,
    "ten_thousand": 10_000,
    "million": 1_000_000,
    "curve_hundred": 100,
    "curve_ten_thousand": 10_000,
    "curve_million": 1_000_000,
    "curve_ten_million": 10_000_000,
}

SETTINGS = {
    "max_connections": "300",
    # All tables fit in memory.
    "shared_buffers": "1GB",
    # No background work, which would affect some measurements and not others: VACUUM ANALYZE and
    # CHECKPOINT run before the measurements.
    "autovacuum": "off",
    "checkpoint_timeout": "1d",
    "max_wal_size": "16GB",
}

SEARCH_WORD = "passport"
SEARCH_EVERY = 10_000
SEARCH_FIRST = 5_000

PLAIN_TABLE = """
CREATE TABLE todos (
    id serial PRIMARY KEY,
    description varchar(500) NOT NULL,
    completed boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
)"""

VERBS = "Buy Call Check Clean Collect Compare Find Fix Order Pay Print Read Return Sell Send Write"
THINGS = (
    "bicycle,birthday cake,bookshelf,camera,coffee machine,contract,curtains,dentist,garden chairs,"
    "insurance,invoice,ladder,letters,library books,light bulbs,meeting notes,photographs,"
    "printer paper,rent,running shoes,school bag,tax return,train tickets,washing machine,windows"
)
PEOPLE = (
    "the neighbours,my sister,the office,grandmother,the children,the landlord,Friday,the weekend,"
    "the new flat,the holidays,the club,next month,Alex"
)
ROWS = f"""
INSERT INTO todos (id, description, completed, created_at, updated_at)
SELECT n,
    CASE WHEN n % {SEARCH_EVERY} = {SEARCH_FIRST} THEN 'Renew the {SEARCH_WORD}'
    ELSE verbs[1 + n * 7 % 16] || ' the ' || things[1 + n / 3 % 25] END
    || ' for ' || people[1 + n / 5 % 13]
    || CASE WHEN n % 4 = 0 THEN ', no. ' || n * 37 % 10000 ELSE '' END,
    n % 3 = 0, instant, instant
FROM generate_series(1, {{todos}}) AS n,
    LATERAL (SELECT timestamptz '2024-01-01 00:00:00Z' + n * interval '61.012345 s') AS i (instant),
    (SELECT string_to_array('{VERBS}', ' '), string_to_array('{THINGS}', ','),
        string_to_array('{PEOPLE}', ',')) AS words (verbs, things, people)"""


class Database(Postgres):
    """The PostgreSQL server, reached over TCP, which every client library supports."""

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.settings['port']}/{database}"

    def cpu_seconds(self) -> float:
        """Return the CPU time of all server processes."""
        return cpu_seconds(self.pid())

    def busy(self, database: str) -> bool:
        """Return whether a statement is running in `database`."""
        return bool(
            self.execute(
                "SELECT FROM pg_stat_activity WHERE state <> 'idle' AND pid <> pg_backend_pid()"
                f" AND datname = '{database}'"
            )
        )


@contextmanager
def postgres() -> Iterator[Database]:
    """Run a PostgreSQL server in a temporary directory."""
    port = {"listen_addresses": "127.0.0.1", "port": str(free_port())}
    with tempfile.TemporaryDirectory(prefix="todoapp-benchmark-") as directory:
        database = Database(Path(directory) / "postgres", {**SETTINGS, **port})
        with database.running():
            yield database


def make(database: Database, schema: str, dataset: str, migrations: Path) -> None:
    """Create the database of `schema` with the rows of `dataset`, equal for every schema.

    `migrations` is the checkout of this service whose migrations create the schema; the schema
    `plain` is the bare table.
    """
    name = f"{schema}_{dataset}"
    log_progress(f"creating database {name} …")
    url = database.create_database(name)
    if schema == "plain":
        database.execute(PLAIN_TABLE, name)
    else:
        subprocess.run(
            (BINARIES / "flask", "db", "upgrade"),
            cwd=migrations,
            env={"PATH": PATH, "DATABASE_URL": url, "LOG_LEVEL": "warning"},
            check=True,
        )
    database.execute(ROWS.format(todos=SIZES[dataset]), name)
    database.execute(
        "SELECT setval(pg_get_serial_sequence('todos', 'id'), max(id)) FROM todos", name
    )
    database.execute("VACUUM (ANALYZE) todos", name)


def log_progress(line: str) -> None:
    """Print a line to stderr."""
    print(line, file=sys.stderr, flush=True)
