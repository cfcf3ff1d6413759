"""A function for the JSON of one todo, planned once per connection.

PostgreSQL inlines `todo_json(todos)`, which is right for a list: each row costs no call. But a
statement on one todo then spends more time on planning the expression than on evaluating it.
PL/pgSQL keeps the plan:
https://www.postgresql.org/docs/current/plpgsql-implementation.html#PLPGSQL-PLAN-CACHING
"""

from alembic import op

revision = "006"
down_revision = "005"


def upgrade() -> None:
    op.execute("""
        CREATE FUNCTION prepared_todo_json(todo todos) RETURNS text LANGUAGE plpgsql STABLE AS
        'BEGIN RETURN todo_json(todo); END'
    """)


def downgrade() -> None:
    op.execute("DROP FUNCTION prepared_todo_json")
