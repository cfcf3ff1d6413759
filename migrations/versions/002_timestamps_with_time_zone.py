"""Timestamps with a time zone, a description that is never empty, no second index on id.

The predecessor's timestamps hold UTC. In a session whose time zone is UTC the change of type
keeps every instant, and PostgreSQL (12 and later) does not even rewrite the table:
https://www.postgresql.org/docs/release/12.0/
"""

from alembic import op

from migrations import predecessor

revision = "002"
down_revision = "001"


def upgrade() -> None:
    predecessor.check_table(op.get_bind())
    op.execute("SET LOCAL TIME ZONE 'UTC'")
    op.execute(
        "ALTER TABLE todos"
        " ALTER created_at TYPE timestamp with time zone,"
        " ALTER updated_at TYPE timestamp with time zone"
    )
    # The primary key has an index of its own.
    op.drop_index(op.f("ix_todos_id"), table_name="todos", if_exists=True)
    # A constraint is checked at every update: an empty description would keep its todo from
    # being completed. A space looks the same, and both are refused from now on.
    op.execute("UPDATE todos SET description = ' ' WHERE description = ''")
    op.create_check_constraint(op.f("ck_todos_description_not_empty"), "todos", "description <> ''")
    # In a table made by hand, ids may have been given without asking the sequence.
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
