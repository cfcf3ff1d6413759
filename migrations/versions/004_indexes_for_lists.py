r"""Create the indexes for sorting and full-text search, without blocking reads or writes.

`todo_words` tokenizes a description: a token is a run of letters and digits, or any other single
visible character. Han characters are single tokens too, because words are not separated by spaces.
Text is converted to upper case and then to lower case, because some letters, such as the Greek
sigma, have two lower-case forms. `todo_query` builds the query that matches every word of a search
as a prefix.

The use of each index, by EXPLAIN (ANALYZE) of a page of 50 out of a million todos:

- ix_todos_words: `search=passport`, which matches 100 todos.
  Without: Seq Scan, 3600 ms. With: Bitmap Index Scan on ix_todos_words, 0.2 ms.
- ix_todos_created_at: `sort_by=created_at`.
  Without: Seq Scan and Sort, 330 ms for every page. With: Index Scan, 0.1 ms.
- ix_todos_description: `sort_by=description`. Likewise, 420 ms and 0.1 ms.

`updated_at` and `completed` have no index, because they change when a todo is completed. As neither
is indexed, that is a HOT update (see 003), which takes 80 microseconds instead of 220. In exchange,
a page sorted by `updated_at` scans the whole table, 330 ms for a million todos.

CREATE INDEX CONCURRENTLY cannot run in a transaction. An interrupted migration starts over, and
first drops any invalid index that the interruption left:
https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
"""

from alembic import op

revision = "004"
down_revision = "003"

# COST: the planner must not assume that this function is cheap. The first replacement normalizes
# whitespace to spaces, the second surrounds single-character tokens with spaces.
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
        # The build waits for every transaction that is already open, but blocks no other session
        # while it waits.
        op.execute("SET lock_timeout = 0")
        op.execute(TODO_WORDS)
        op.execute(TODO_QUERY)
        for name, definition in INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON todos {definition}")
        # Without statistics on the tokens, the planner misestimates searches.
        op.execute("ANALYZE todos")
        op.execute("RESET lock_timeout")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        for name in INDEXES:
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        op.execute("RESET lock_timeout")
    op.execute("DROP FUNCTION todo_query, todo_words")
