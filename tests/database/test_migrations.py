"""Migrations: upgrade, downgrade, and adoption of the predecessor's database."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import alembic.command
import flask_migrate
import psycopg2
import pytest
from alembic.util import CommandError
from flask import Flask
from sqlalchemy import make_url

from dev.postgres import Postgres
from tests.support.todos import todo
from tests.support.waiting import wait_until
from todoapp.database.readiness import check_database
from todoapp.extensions import migrate

FLASK = Path(sys.executable).with_name("flask")
ROOT = Path(__file__).parents[2]

PREDECESSORS_TABLE = """
CREATE TABLE todos (
    id serial NOT NULL CONSTRAINT pk_todos_id PRIMARY KEY,
    description varchar(500) NOT NULL,
    completed boolean NOT NULL DEFAULT false,
    created_at timestamp without time zone NOT NULL DEFAULT now(),
    updated_at timestamp without time zone NOT NULL DEFAULT now()
);
CREATE INDEX ix_todos_id ON todos (id);
"""
PREDECESSORS_REVISION = """
CREATE TABLE alembic_version (version_num varchar(32) NOT NULL PRIMARY KEY);
INSERT INTO alembic_version VALUES ('001');
"""
ROWS = """
INSERT INTO todos (description, completed, created_at, updated_at) VALUES
    ('Buy groceries', false, '2025-12-28 10:00:00.123456', '2025-12-28 10:00:00.123456'),
    ('   ', false, '2025-06-28 10:00:00', '2025-06-29 10:00:00'),
    ('', true, '2025-03-30 01:30:00', '2025-03-30 02:30:00'),
    ('Delete me', false, '2025-12-28 10:00:00', '2025-12-28 10:00:00');
DELETE FROM todos WHERE id = 4;
"""


class Database:
    """A database, and the `flask db` commands an operator runs against it."""

    def __init__(self, postgres: Postgres, url: str) -> None:
        self.postgres = postgres
        self.name = make_url(url).database
        self.environ = {"DATABASE_URL": url, "PATH": os.environ["PATH"]}

    def sql(self, statement: str) -> list[tuple]:
        return self.postgres.execute(statement, self.name)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [FLASK, "db", *arguments],
            cwd=ROOT,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def flask_db(self, *arguments: str) -> str:
        """Run a command that succeeds and return its stdout."""
        process = self.start(*arguments)
        stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == 0, stderr
        return stdout

    def error_line(self, *arguments: str) -> str:
        """Run a command that fails and return its one-line error message."""
        process = self.start(*arguments)
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 1, stderr
        assert "Traceback" not in stderr
        (line,) = [line for line in stderr.splitlines() if not line.startswith("INFO")]
        return line

    def revision(self) -> str | None:
        """Return the current revision, or None before the first migration."""
        if self.sql("SELECT to_regclass('alembic_version')") == [(None,)]:
            return None
        rows = self.sql("SELECT version_num FROM alembic_version")
        return rows[0][0] if rows else None

    def columns(self) -> dict[str, list]:
        return {
            name: rest
            for name, *rest in self.sql(
                "SELECT column_name, data_type, character_maximum_length, is_nullable,"
                " column_default FROM information_schema.columns WHERE table_name = 'todos'"
            )
        }

    def indexes_and_constraints(self) -> set[str]:
        rows = self.sql(
            "SELECT indexname FROM pg_indexes WHERE tablename = 'todos'"
            " UNION SELECT conname FROM pg_constraint"
            " WHERE conrelid = 'todos'::regclass AND contype <> 'n'"
        )
        return {name for (name,) in rows}

    def functions(self) -> set[tuple]:
        return set(
            self.sql(
                "SELECT pg_get_functiondef(oid) FROM pg_proc"
                " WHERE pronamespace = 'public'::regnamespace"
            )
        )


@pytest.fixture
def database(postgres: Postgres, empty_database: str) -> Database:
    return Database(postgres, empty_database)


HEAD = "008"
PREVIOUS = "007"
TABLE_001 = {
    "id": ["integer", None, "NO", "nextval('todos_id_seq'::regclass)"],
    "description": ["character varying", 500, "NO", None],
    "completed": ["boolean", None, "NO", "false"],
    "created_at": ["timestamp without time zone", None, "NO", "now()"],
    "updated_at": ["timestamp without time zone", None, "NO", "now()"],
}
TABLE_002 = {
    **TABLE_001,
    "created_at": ["timestamp with time zone", None, "NO", "now()"],
    "updated_at": ["timestamp with time zone", None, "NO", "now()"],
}
TABLE_003 = {**TABLE_002, "json": ["text", None, "NO", None]}
TABLE_HEAD = TABLE_002


@pytest.mark.slow
def test_each_migration_upgrades_and_downgrades(database: Database) -> None:
    database.flask_db("upgrade", "001")
    assert database.columns() == TABLE_001
    assert database.indexes_and_constraints() == {"pk_todos_id", "ix_todos_id"}

    database.flask_db("upgrade", "002")
    assert database.columns() == TABLE_002
    assert database.indexes_and_constraints() == {"pk_todos_id", "ck_todos_description_not_empty"}

    database.flask_db("upgrade", "003")
    assert database.columns() == TABLE_003

    database.flask_db("upgrade", "004")
    assert database.columns() == TABLE_003
    assert database.indexes_and_constraints() == {
        *("pk_todos_id", "ck_todos_description_not_empty"),
        *("ix_todos_created_at", "ix_todos_description", "ix_todos_words"),
    }

    database.flask_db("upgrade", "005")
    assert database.columns() == TABLE_002

    database.flask_db("upgrade", "007")
    assert database.indexes_and_constraints() == {
        *("pk_todos_id", "ck_todos_description_not_empty"),
        *("ix_todos_created_at", "ix_todos_sort_key", "ix_todos_search"),
    }

    database.flask_db("upgrade", "008")
    assert database.indexes_and_constraints() == {
        *("pk_todos_id", "ck_todos_description_not_empty"),
        *("ck_todos_created_at_range", "ck_todos_updated_at_range"),
        *("ix_todos_created_at", "ix_todos_sort_key", "ix_todos_search"),
    }

    database.flask_db("downgrade", "004")
    assert database.columns() == TABLE_003

    database.flask_db("downgrade", "002")
    assert database.columns() == TABLE_002
    assert database.indexes_and_constraints() == {"pk_todos_id", "ck_todos_description_not_empty"}
    assert database.sql("SELECT 1 FROM pg_proc WHERE proname LIKE 'todo%'") == []

    database.flask_db("downgrade", "001")
    assert database.columns() == TABLE_001
    assert database.indexes_and_constraints() == {"pk_todos_id", "ix_todos_id"}

    database.flask_db("downgrade", "base")
    assert database.columns() == {}


def test_the_newest_migration_upgrades_and_downgrades(database: Database) -> None:
    database.flask_db("upgrade", PREVIOUS)
    before = (database.columns(), database.indexes_and_constraints(), database.functions())
    database.sql("INSERT INTO todos (description) VALUES ('Buy groceries')")

    database.flask_db("upgrade")
    assert database.columns() == TABLE_HEAD

    database.flask_db("downgrade")
    after = (database.columns(), database.indexes_and_constraints(), database.functions())
    assert after == before
    assert database.sql("SELECT description FROM todos") == [("Buy groceries",)]


# The statements of the release with the column `json`.
OLD_STATEMENTS = (
    "INSERT INTO todos (description, completed) VALUES ('x', false) RETURNING todos.json",
    "SELECT todos.json FROM todos WHERE todos.id = 1",
    "UPDATE todos SET completed = true WHERE todos.id = 1 AND json_extract_path_text("
    "CAST(todos.json AS JSON), 'updated_at') = ANY (CAST(ARRAY['x'] AS TEXT[]))"
    " RETURNING todos.json",
    "SELECT string_agg(anon_1.json, ','), count(anon_1.json), NULL FROM"
    " (SELECT todos.json AS json FROM todos ORDER BY todos.id LIMIT 3 OFFSET 0) AS anon_1",
    "SELECT string_agg(anon_1.json, ','), count(anon_1.json), NULL FROM (SELECT anon_2.json AS json"
    " FROM (SELECT todos.id AS id, todos.json AS json FROM todos LIMIT ALL OFFSET 0) AS anon_2"
    " ORDER BY anon_2.id LIMIT 3 OFFSET 0) AS anon_1",
    "DELETE FROM todos WHERE todos.id = 1 RETURNING todos.json",
)


def test_the_release_with_the_stored_json_still_works_after_migration_005(
    database: Database,
) -> None:
    def results() -> list[list[tuple]]:
        database.sql(
            "TRUNCATE todos RESTART IDENTITY;"
            "INSERT INTO todos (description, created_at, updated_at)"
            " SELECT 'a', '2025-12-28 10:00Z', '2025-12-28 10:00Z' FROM generate_series(1, 5);"
            "ALTER TABLE todos ALTER created_at SET DEFAULT '2025-12-28 10:00Z',"
            " ALTER updated_at SET DEFAULT '2025-12-28 10:00Z'"
        )
        return [database.sql(statement) for statement in OLD_STATEMENTS]

    database.flask_db("upgrade", "004")
    before = results()
    database.flask_db("upgrade", "005")

    assert results() == before


def test_the_newest_migration_does_not_rewrite_the_table(database: Database) -> None:
    database.flask_db("upgrade", PREVIOUS)
    before = database.sql("SELECT pg_relation_filenode('todos')")

    database.flask_db("upgrade")

    assert database.sql("SELECT pg_relation_filenode('todos')") == before


def test_the_models_match_the_migrated_schema(database: Database) -> None:
    assert database.flask_db("current") == ""
    database.flask_db("upgrade")

    assert "No new upgrade operations detected" in database.flask_db("check")
    assert database.flask_db("current") == f"{HEAD} (head)\n"
    assert database.flask_db("history").startswith(f"{PREVIOUS} -> {HEAD} (head)")


def test_upgrade_at_head_is_a_no_op(database: Database) -> None:
    database.flask_db("upgrade")
    database.sql("INSERT INTO todos (description) VALUES ('Buy groceries')")

    database.flask_db("upgrade")

    assert database.sql("SELECT id FROM todos") == [(1,)]


def test_a_plain_sql_insert_gets_every_default(database: Database) -> None:
    database.flask_db("upgrade")

    database.sql("INSERT INTO todos (description) VALUES ('Buy groceries')")

    assert database.sql(
        "SELECT id, completed, created_at = updated_at, now() - created_at < '1 minute' FROM todos"
    ) == [(1, False, True, True)]


def test_a_check_constraint_rejects_an_empty_description(database: Database) -> None:
    database.flask_db("upgrade")

    with pytest.raises(psycopg2.errors.CheckViolation):
        database.sql("INSERT INTO todos (description) VALUES ('')")


@pytest.mark.parametrize("time_zone", ["UTC", "Asia/Kathmandu", "America/New_York"])
@pytest.mark.parametrize("version_table", [PREDECESSORS_REVISION, ""], ids=["versioned", "by hand"])
def test_upgrade_adopts_the_predecessors_database(
    database: Database,
    make_app: Callable[..., Flask],
    version_table: str,
    time_zone: str,
) -> None:
    # Set by the client, as an operator might: it overrides the server's time zone.
    database.environ["DATABASE_URL"] += f"&options=-c%20timezone%3D{time_zone}"
    database.sql(PREDECESSORS_TABLE + version_table + ROWS)

    database.flask_db("upgrade")

    assert database.revision() == HEAD
    assert database.columns() == TABLE_HEAD
    client = make_app(DATABASE_URL=database.environ["DATABASE_URL"]).test_client()
    assert client.get("/api/todos").get_json() == [
        todo(1, description="Buy groceries"),
        todo(
            2,
            description="   ",
            created_at="2025-06-28T10:00:00.000000Z",
            updated_at="2025-06-29T10:00:00.000000Z",
        ),
        todo(
            3,
            description=" ",
            completed=True,
            created_at="2025-03-30T01:30:00.000000Z",
            updated_at="2025-03-30T02:30:00.000000Z",
        ),
    ]
    for todo_id in (2, 3):
        completion = client.patch(f"/api/todos/{todo_id}", json={"completed": True})
        assert completion.status_code == 200
        assert client.delete(f"/api/todos/{todo_id}").status_code == 204
    assert client.post("/api/todos", json={"description": "x"}).get_json()["id"] == 5


def test_upgrade_advances_the_sequence_past_the_highest_id(
    database: Database,
) -> None:
    database.sql(PREDECESSORS_TABLE + "INSERT INTO todos (id, description) VALUES (41, 'x')")

    database.flask_db("upgrade")

    assert database.sql("INSERT INTO todos (description) VALUES ('y') RETURNING id") == [(42,)]


def test_upgrade_accepts_a_missing_second_index_and_a_renamed_primary_key(
    database: Database,
) -> None:
    database.sql(PREDECESSORS_TABLE + ROWS)
    database.sql("DROP INDEX ix_todos_id; ALTER INDEX pk_todos_id RENAME TO todos_pkey")

    database.flask_db("upgrade")

    assert database.columns() == TABLE_HEAD


def test_a_failed_migration_is_rolled_back(database: Database) -> None:
    database.sql(PREDECESSORS_TABLE + PREDECESSORS_REVISION + ROWS)
    database.sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE 'not today'; END $$;"
        "CREATE TRIGGER refuse BEFORE UPDATE ON todos FOR EACH ROW EXECUTE FUNCTION refuse()"
    )

    error = database.error_line("upgrade")

    assert error.endswith("The migration was not applied. The database says: not today")
    assert database.columns() == TABLE_001
    assert database.indexes_and_constraints() == {"pk_todos_id", "ix_todos_id"}
    assert database.revision() == "001"


def test_missing_privileges_are_reported_in_one_line(
    database: Database, as_guest: Callable[[str], str]
) -> None:
    database.sql("CREATE TABLE todos ()")
    database.environ["DATABASE_URL"] = as_guest(database.environ["DATABASE_URL"])

    assert "permission denied" in database.error_line("upgrade")


def test_a_revision_without_its_table_is_reported_in_one_line(database: Database) -> None:
    database.sql(PREDECESSORS_REVISION)

    assert "table todos does not exist" in database.error_line("upgrade")


def test_an_in_process_upgrade_releases_its_advisory_lock(
    database: Database, make_app: Callable[..., Flask]
) -> None:
    with make_app(DATABASE_URL=database.environ["DATABASE_URL"]).app_context():
        flask_migrate.upgrade()

        assert database.sql(
            "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database"
            " WHERE locktype = 'advisory' AND datname = current_database()"
        ) == [(0,)]


def test_downgrade_preserves_every_timestamp(database: Database) -> None:
    database.environ["DATABASE_URL"] += "&options=-c%20timezone%3DAsia/Kathmandu"
    database.sql(PREDECESSORS_TABLE + PREDECESSORS_REVISION + ROWS)
    before = database.sql("SELECT id, created_at, updated_at FROM todos")

    database.flask_db("upgrade")
    database.flask_db("downgrade", "001")

    assert database.sql("SELECT id, created_at, updated_at FROM todos") == before


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ("ALTER TABLE todos ADD priority integer", "priority"),
        ("ALTER TABLE todos DROP completed", "completed"),
        ("ALTER TABLE todos ALTER description TYPE text", "description"),
        ("ALTER TABLE todos ALTER description TYPE varchar(100)", "description"),
        ("ALTER TABLE todos ALTER id TYPE bigint", "id"),
        ("ALTER TABLE todos ALTER id DROP DEFAULT", "id"),
        ("ALTER TABLE todos ALTER completed DROP NOT NULL", "completed"),
        ("ALTER TABLE todos ALTER completed SET DEFAULT true", "completed"),
        ("ALTER TABLE todos ALTER created_at TYPE timestamptz", "created_at"),
        ("ALTER TABLE todos DROP CONSTRAINT pk_todos_id", "its primary key"),
        ("ALTER SEQUENCE todos_id_seq OWNED BY NONE", "the sequence of its ids"),
        ("ALTER TABLE todos ADD CONSTRAINT short CHECK (length(description) < 50)", "short"),
        ("CREATE UNIQUE INDEX once ON todos (description)", "once"),
        ("ALTER TABLE todos ADD CONSTRAINT own FOREIGN KEY (id) REFERENCES todos", "own"),
    ],
)
@pytest.mark.parametrize("version_table", [PREDECESSORS_REVISION, ""], ids=["versioned", "by hand"])
def test_upgrade_rejects_an_unexpected_table_and_changes_nothing(
    database: Database,
    make_app: Callable[..., Flask],
    version_table: str,
    change: str,
    difference: str,
) -> None:
    database.sql(PREDECESSORS_TABLE + version_table + ROWS + change)
    before = (database.columns(), database.sql("SELECT * FROM todos"))

    with (
        make_app(DATABASE_URL=database.environ["DATABASE_URL"]).app_context(),
        pytest.raises(CommandError, match=rf"todos.* differs in {re.escape(difference)}\."),
    ):
        alembic.command.upgrade(migrate.get_config(), "head")  # type: ignore[arg-type]  # a stub of Config

    assert (database.columns(), database.sql("SELECT * FROM todos")) == before
    assert database.revision() == ("001" if version_table else None)


def test_concurrent_upgrades_are_serialized_and_both_succeed(database: Database) -> None:
    database.sql(PREDECESSORS_TABLE + ROWS)
    # Waiting for the migration lock is exempt from the connection's timeouts.
    database.environ["DATABASE_URL"] += (
        "&options=-c%20lock_timeout%3D50ms%20-c%20statement_timeout%3D50ms"
    )
    with psycopg2.connect(database.postgres.url(database.name)) as third:
        third.cursor().execute("SELECT pg_advisory_xact_lock(hashtext('todoapp migrations'))")
        upgrades = [database.start("upgrade") for _ in range(2)]
        wait_until(
            lambda: (
                database.sql(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND application_name = 'todoapp' AND query = 'COMMIT'"
                )
                == [(2,)]
            )
        )
        assert database.columns() == TABLE_001
    third.close()

    results = [(upgrade.communicate(timeout=60)[1], upgrade.returncode) for upgrade in upgrades]
    assert [status for _, status in results] == [0, 0], results
    assert all("Another migration is running" in stderr for stderr, _ in results)
    assert database.columns() == TABLE_HEAD


def test_a_migration_that_hits_the_lock_timeout_changes_nothing(
    database: Database,
) -> None:
    database.sql(PREDECESSORS_TABLE + PREDECESSORS_REVISION)
    with psycopg2.connect(database.environ["DATABASE_URL"]) as other:
        other.cursor().execute("SELECT * FROM todos")
        error = database.error_line("upgrade")
    other.close()

    assert "The migration was not applied" in error
    assert "lock timeout" in error
    assert database.columns() == TABLE_001


def test_an_unexpected_table_is_reported_in_one_line(database: Database) -> None:
    database.sql("CREATE TABLE todos (id serial PRIMARY KEY)")

    assert "it differs in completed, created_at, description" in database.error_line("upgrade")


def test_indexes_are_built_concurrently_and_an_interrupted_build_is_retried(
    database: Database,
) -> None:
    def invalid_indexes() -> list[tuple]:
        return database.sql("SELECT FROM pg_index WHERE NOT indisvalid")

    database.flask_db("upgrade", "003")
    with psycopg2.connect(database.environ["DATABASE_URL"]) as other:
        other.cursor().execute("INSERT INTO todos (description) VALUES ('not committed yet')")
        upgrade = database.start("upgrade")
        wait_until(invalid_indexes)
        database.sql("INSERT INTO todos (description) VALUES ('meanwhile')")
        upgrade.kill()
        upgrade.communicate()
        database.sql(
            "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'CREATE INDEX%'"
        )
    other.close()
    assert invalid_indexes()
    assert database.revision() == "003"

    database.flask_db("upgrade")

    assert not invalid_indexes()
    assert database.revision() == HEAD
    assert database.sql("SELECT count(*) FROM todos") == [(2,)]


def test_an_unreachable_database_is_reported_in_one_line(database: Database) -> None:
    database.environ["DATABASE_URL"] = "postgresql://ann:s3cret@127.0.0.1:1/todos"

    error = database.error_line("upgrade")

    assert "Connection refused" in error
    assert "s3cret" not in error


def test_timestamps_that_json_cannot_express_are_replaced_by_the_nearest_that_it_can(
    database: Database,
) -> None:
    database.flask_db("upgrade", "007")
    database.sql(
        "INSERT INTO todos (description, created_at, updated_at) VALUES"
        " ('a', '-infinity', 'infinity'),"
        " ('b', '0044-03-15 10:00Z BC', '2025-12-28 10:00Z'),"
        " ('c', '2025-12-28 10:00Z', '2025-12-27 10:00Z'),"
        " ('d', '12000-01-01 00:00Z', '2025-12-28 10:00Z'),"
        " ('e', '2025-12-27 10:00Z', '2025-12-28 10:00Z')"
    )

    database.flask_db("upgrade", "008")

    first, last = "0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"
    one, two = "2025-12-27T10:00:00.000000Z", "2025-12-28T10:00:00.000000Z"
    assert database.sql(
        "SELECT todo_json(todos)::json ->> 'created_at', todo_json(todos)::json ->> 'updated_at'"
        " FROM todos ORDER BY id"
    ) == [(first, last), (first, two), (two, two), (last, last), (one, two)]


def test_migrations_007_and_008_leave_the_table_writable(database: Database) -> None:
    database.flask_db("upgrade", "006")
    with psycopg2.connect(database.environ["DATABASE_URL"]) as other:
        # Holds up the build of an index.
        other.cursor().execute("INSERT INTO todos (description) VALUES ('not committed yet')")
        # The wait is exempt from the time limits of the role.
        database.environ["DATABASE_URL"] += "&options=-c%20transaction_timeout%3D300ms"
        migration = database.start("upgrade", "007")
        wait_until(lambda: database.sql("SELECT 1 FROM pg_stat_progress_create_index") != [])
        database.sql("INSERT INTO todos (description) VALUES ('Café')")
        database.sql("SELECT pg_sleep(0.5)")
        assert migration.poll() is None
        other.rollback()
    other.close()
    _, stderr = migration.communicate(timeout=60)
    assert migration.returncode == 0, stderr
    database.flask_db("upgrade", "008")

    assert database.sql(
        "SELECT description FROM todos"
        " WHERE todo_search_words(description) @@ todo_search_query('cafe')"
    ) == [("Café",)]


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_with_another_encoding_is_not_migrated(
    postgres: Postgres, encoding: str
) -> None:
    name = f"in_{encoding.lower()}"
    postgres.execute(
        f"CREATE DATABASE {name} ENCODING {encoding} TEMPLATE template0 LOCALE_PROVIDER libc"
        " LOCALE 'C'"
    )
    database = Database(postgres, postgres.url(name))
    database.sql(PREDECESSORS_TABLE + ROWS)

    error = database.error_line("upgrade")

    assert "Nothing was changed." in error
    assert f"/{name} is encoded in {encoding}" in error
    assert database.revision() is None
    assert database.columns() == TABLE_001
    postgres.execute(f"DROP DATABASE {name}")


def test_the_version_table_of_another_application_is_named_as_such(database: Database) -> None:
    database.sql(PREDECESSORS_REVISION.replace("001", "3f2a9c"))

    error = database.error_line("upgrade")

    assert f"/{database.name} is at revision 3f2a9c, which this code does not have." in error
    assert "another application" in error
    assert database.columns() == {}


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ("DROP TABLE todos CASCADE", "todos.id is missing, expected INTEGER NOT NULL"),
        ("ALTER TABLE todos DROP completed CASCADE", "todos.completed is missing, expected BOOL"),
        (
            "DROP TABLE todos CASCADE; CREATE TABLE todos (id bigserial, description text)",
            "todos.id is BIGINT NOT NULL, expected INTEGER NOT NULL;"
            " todos.description is TEXT, expected VARCHAR(500) NOT NULL;",
        ),
        (
            "ALTER TABLE todos ALTER completed DROP NOT NULL",
            "todos.completed is BOOLEAN, expected BOOLEAN NOT NULL",
        ),
        ("DROP TABLE idempotency_keys", "idempotency_keys.key is missing"),
    ],
)
def test_a_table_that_differs_from_its_revision_does_not_start(
    database: Database, make_app: Callable[..., Flask], change: str, difference: str
) -> None:
    database.flask_db("upgrade")
    database.sql(change)

    with pytest.raises(SystemExit) as error:
        check_database(make_app(DATABASE_URL=database.environ["DATABASE_URL"]))

    assert difference in str(error.value)
    assert f"is not that of revision {HEAD}" in str(error.value)


def test_an_additional_column_does_not_prevent_the_start(
    database: Database, make_app: Callable[..., Flask]
) -> None:
    database.flask_db("upgrade")
    database.sql("ALTER TABLE todos ADD note text")

    check_database(make_app(DATABASE_URL=database.environ["DATABASE_URL"]))


def test_an_unexpected_column_is_reported_with_what_is_expected(database: Database) -> None:
    database.sql(PREDECESSORS_TABLE + "ALTER TABLE todos ALTER completed DROP NOT NULL")

    assert (
        "completed: found BOOLEAN DEFAULT false, expected BOOLEAN NOT NULL DEFAULT false."
    ) in database.error_line("upgrade")


@pytest.mark.parametrize(
    ("time_zone", "rows", "hours"),
    [
        ("Asia/Kathmandu", ROWS, "+5.75"),
        ("Europe/London", ROWS, "+0.00 or +1.00"),
        ("UTC", ROWS, None),
        # No todo is affected.
        ("Asia/Kathmandu", "", None),
    ],
)
def test_adopting_todos_in_another_time_zone_prints_the_difference(
    database: Database, time_zone: str, rows: str, hours: str | None
) -> None:
    database.sql(
        f"ALTER DATABASE {database.name} SET timezone = '{time_zone}';" + PREDECESSORS_TABLE + rows
    )

    _, stderr = database.start("upgrade").communicate(timeout=60)

    lines = [line for line in stderr.splitlines() if "hours from UTC" in line]
    assert len(lines) == (1 if hours else 0)
    assert all(f"is {hours} hours from UTC" in line for line in lines)
