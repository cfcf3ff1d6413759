"""Use timestamptz, forbid empty descriptions, drop the redundant index on id.

The predecessor's timestamps are in UTC. With the session time zone set to UTC, the change of type
preserves every timestamp, and PostgreSQL 12 and later does not rewrite the table:
https://www.postgresql.org/docs/release/12.0/
"""

import logging

import sqlalchemy as sa
from alembic import op

from migrations import predecessor

revision = "002"
down_revision = "001"

logger = logging.getLogger("alembic.runtime.migration")


def upgrade() -> None:
    predecessor.check_table(op.get_bind())
    # At the time of each todo: summer time is another offset.
    offsets = sa.text(
        "SELECT DISTINCT extract(timezone FROM created_at::timestamptz) / 3600 AS hours FROM todos"
        " WHERE isfinite(created_at) ORDER BY hours"
    )
    hours = op.get_bind().scalars(offsets).all()
    if any(hours):
        logger.warning(
            "The time zone of the database is %s hours from UTC. All timestamps are taken as "
            "UTC, also those of todos that were inserted by plain SQL: see docs/deployment.md.",
            " or ".join(f"{offset:+.2f}" for offset in hours),
        )
    op.execute("SET LOCAL TIME ZONE 'UTC'")
    op.execute(
        "ALTER TABLE todos"
        " ALTER created_at TYPE timestamp with time zone,"
        " ALTER updated_at TYPE timestamp with time zone"
    )
    # The primary key already has an index.
    op.drop_index(op.f("ix_todos_id"), table_name="todos", if_exists=True)
    # A check constraint applies to every update, so a todo with an empty description could not even
    # be completed. A space looks the same. The API rejects both.
    op.execute("UPDATE todos SET description = ' ' WHERE description = ''")
    op.create_check_constraint(op.f("ck_todos_description_not_empty"), "todos", "description <> ''")
    # In a table created by hand, ids may have been inserted without advancing the sequence.
    op.execute(
        "SELECT setval(pg_get_serial_sequence('todos', 'id'), max(id)) FROM todos HAVING max(id)"
        " > coalesce(pg_sequence_last_value(pg_get_serial_sequence('todos', 'id')::regclass), 0)"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_todos_description_not_empty"), "todos")
    op.create_index(op.f("ix_todos_id"), "todos", ["id"])
    op.execute("SET LOCAL TIME ZONE 'UTC'")
    op.execute(
        "ALTER TABLE todos"
        " ALTER created_at TYPE timestamp without time zone,"
        " ALTER updated_at TYPE timestamp without time zone"
    )
