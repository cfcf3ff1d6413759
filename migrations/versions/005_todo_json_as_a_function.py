"""A todo's JSON as a function of the row, `todo_json(todos)`, instead of a stored column.

A new field then needs neither a rewrite of the table nor a lock for longer than an instant: see
docs/decisions/json-in-sql.md. Dropping a column changes the catalog only.

Between this migration and the start of the new code, the old code still selects `todos.json`.
PostgreSQL resolves that to `json(todos)` if the table has no such column, so a function of that
name keeps the old code working until it stops. The next migration may drop it:
https://www.postgresql.org/docs/current/rowtypes.html#ROWTYPES-USAGE

`flask todos export` of the old code selects `json` without the table's name, and fails meanwhile.
"""

import sqlalchemy as sa
from alembic import op

revision = "005"
down_revision = "004"

# A single expression, and STABLE, so PostgreSQL inlines it into the query. concat() takes less time
# to plan than a chain of ||.
TODO_JSON = """
CREATE FUNCTION todo_json(todo todos) RETURNS text LANGUAGE sql STABLE
RETURN concat(
    '{"id":', todo.id,
    ',"description":', to_json(todo.description),
    ',"completed":', todo.completed::text,
    ',"created_at":"',
    to_char(todo.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    '","updated_at":"',
    to_char(todo.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    '"}')
"""
JSON_FOR_THE_OLD_CODE = """
CREATE FUNCTION "json"(todo todos) RETURNS text LANGUAGE sql STABLE RETURN todo_json(todo)
"""

# The function and the column of migration 003.
TODO_JSON_003 = """
CREATE FUNCTION todo_json(
    id integer, description text, completed boolean, created_at timestamptz, updated_at timestamptz
) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN concat(
        '{"id":', id,
        ',"description":', to_json(description),
        ',"completed":', completed::text,
        ',"created_at":"', to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        '","updated_at":"', to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        '"}');
END $$
"""


def upgrade() -> None:
    op.drop_column("todos", "json")
    op.execute("DROP FUNCTION todo_json")
    op.execute(TODO_JSON)
    op.execute(JSON_FOR_THE_OLD_CODE)


def downgrade() -> None:
    op.execute('DROP FUNCTION "json"(todos)')
    op.execute("DROP FUNCTION todo_json(todos)")
    op.execute(TODO_JSON_003)
    made = sa.Computed(
        "todo_json(id, description, completed, created_at, updated_at)", persisted=True
    )
    op.add_column("todos", sa.Column("json", sa.Text(), made, nullable=False))
