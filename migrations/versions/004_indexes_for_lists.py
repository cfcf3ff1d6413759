"""What the lists need: indexes for the search and for each order that does not change.

Everything is built while others read and write, outside of a transaction. Interrupted, the
migration begins anew: `CREATE INDEX CONCURRENTLY` may have left an index that is not valid.
"""

from alembic import op

revision = "004"
down_revision = "003"

TODO_WORDS = r"""
CREATE OR REPLACE FUNCTION todo_words(phrase text) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE STRICT COST 1000 AS $$
BEGIN
    phrase := left(lower(upper(phrase)), 500);
    phrase := regexp_replace(
        phrase, '[\t-\r\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]', ' ', 'g');
    phrase := regexp_replace(
        phrase, '[^[:alnum:] ]|[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]', ' \& ', 'g');
    RETURN array_to_tsvector(array_remove(string_to_array(phrase, ' '), ''));
END $$
"""
TODO_QUERY = r"""
CREATE OR REPLACE FUNCTION todo_query(phrase text) RETURNS tsquery
LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT string_agg(
        '''' || replace(replace(word, '\', '\\'), '''', '''''') || ''':*', ' & ')::tsquery
    FROM unnest(tsvector_to_array(todo_words(phrase))) AS word
$$
"""
INDEXES = {
    "ix_todos_created_at": "(created_at, id)",
    "ix_todos_description": "(description, id)",
    "ix_todos_words": "USING gin (todo_words(description))",
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # To build an index is to wait until every transaction has ended that began before, and
        # nobody waits for us meanwhile.
        op.execute("SET lock_timeout = 0")
        op.execute(TODO_WORDS)
        op.execute(TODO_QUERY)
        for name, definition in INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON todos {definition}")
        # The planner knows nothing of the words before.
        op.execute("ANALYZE todos")
        op.execute("RESET lock_timeout")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        for name in INDEXES:
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        op.execute("RESET lock_timeout")
    op.execute("DROP FUNCTION IF EXISTS todo_query, todo_words")
