r"""What lists and the search need: their indexes, built while others read and write.

`todo_words` takes a description apart: a run of letters and digits is a word, and so is every
other character that can be seen, and each Han character, because there are no spaces between
those. Upper case comes first, for letters with two lower cases, as Greek has one. `todo_query` is
what finds all words of a search by their beginnings.

What each index is for, with EXPLAIN (ANALYZE) of a page of 50 out of a million todos:

- ix_todos_words: `search=passport`, which 100 todos hold.
  Without: Seq Scan, 3600 ms. With: Bitmap Index Scan on ix_todos_words, 0.2 ms.
- ix_todos_created_at: `sort_by=created_at`.
  Without: Seq Scan and Sort, 330 ms for every page. With: Index Scan, 0.1 ms.
- ix_todos_description: `sort_by=description`. The same, 420 ms and 0.1 ms.

`updated_at` and `completed` have none: they are what changes when a todo is completed. Without
an index on them such an update touches no index at all (see 003), 80 microseconds instead of
220; so a page by `updated_at` reads the whole table, 330 ms for a million todos.

Everything runs outside of a transaction, because CREATE INDEX CONCURRENTLY does. Interrupted,
the migration begins anew, and drops what may have been left as an invalid index:
https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
"""

from alembic import op

revision = "004"
down_revision = "003"

# COST: the planner shall not take it for one of the cheap functions. The first replacement is of
# white space other than the space, the second sets spaces around what is a word of its own.
TODO_WORDS = r"""
CREATE OR REPLACE FUNCTION todo_words(phrase text) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE STRICT COST 1000 AS $$
BEGIN
    phrase := translate(left(lower(upper(phrase)), 500), E'\u03c2', E'\u03c3');
    phrase := regexp_replace(phrase,
        '[\t-\r\u001c-\u001f\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]',
        ' ', 'g');
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
        # To build an index is to wait until every transaction has ended that began before, but
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
    op.execute("DROP FUNCTION todo_query, todo_words")
