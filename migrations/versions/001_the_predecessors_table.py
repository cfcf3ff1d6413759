"""Create the predecessor's table, exactly as its own revision 001 did.

A database with this table but without a version table was created by hand, and is adopted
unchanged.
"""

import sqlalchemy as sa
from alembic import op

from migrations import predecessor

revision = "001"
down_revision = None


def upgrade() -> None:
    if sa.inspect(op.get_bind()).has_table("todos"):
        predecessor.check_table(op.get_bind())
        return
    op.create_table(
        "todos",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("description", sa.String(500), nullable=False),
        sa.Column("completed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_at", sa.DateTime(), server_default=sa.func.now(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_todos_id")),
    )
    op.create_index(op.f("ix_todos_id"), "todos", ["id"])


def downgrade() -> None:
    op.drop_table("todos")
