"""Constraints on timestamps, and the table of idempotency keys.

RFC 3339 has the years 0001 to 9999, so a timestamp outside of them, or infinite, cannot be
expressed in JSON. The nearest one that can replaces it. An `updated_at` before `created_at` becomes
equal to it.

The constraints are added first for new rows (`NOT VALID`), which takes an instant, and then
validated, while the table can be read and written:
https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES

`idempotency_keys` has no foreign key: the todo of a key may have been deleted.
"""

import sqlalchemy as sa
from alembic import op

revision = "008"
down_revision = "007"

FIRST = "'0001-01-01 00:00:00Z'::timestamptz"
LAST = "'9999-12-31 23:59:59.999999Z'::timestamptz"
CONSTRAINTS = {
    "created_at_range": f"created_at BETWEEN {FIRST} AND {LAST}",
    "updated_at_range": f"updated_at BETWEEN created_at AND {LAST}",
}


def upgrade() -> None:
    created_at = f"least(greatest(created_at, {FIRST}), {LAST})"
    op.execute(
        f"UPDATE todos SET created_at = {created_at},"  # noqa: S608  # constants
        f" updated_at = least(greatest(updated_at, {created_at}), {LAST})"
        f" WHERE NOT ({' AND '.join(CONSTRAINTS.values())})"
    )
    with op.get_context().autocommit_block():
        for name, condition in CONSTRAINTS.items():
            op.execute(f"ALTER TABLE todos DROP CONSTRAINT IF EXISTS ck_todos_{name}")
            op.execute(
                f"ALTER TABLE todos ADD CONSTRAINT ck_todos_{name} CHECK ({condition}) NOT VALID"
            )
            op.execute(f"ALTER TABLE todos VALIDATE CONSTRAINT ck_todos_{name}")
    op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.String(255)),
        sa.Column("fingerprint", sa.String(32), nullable=False),
        sa.Column("todo_id", sa.Integer, nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()
        ),
        sa.PrimaryKeyConstraint("key", name="pk_idempotency_keys_key"),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])


def downgrade() -> None:
    op.drop_table("idempotency_keys")
    for name in CONSTRAINTS:
        op.drop_constraint(op.f(f"ck_todos_{name}"), "todos")
