"""SQL that fills the table for tests of long lists."""

# SQL expressions for descriptions; a todo with a unique one has 610 bytes of JSON.
IDENTICAL = "repeat('x', 500)"
UNIQUE = "repeat(md5(n::text), 15)"


def insert_todos(count: int, description: str = UNIQUE) -> str:
    """Return a statement that inserts `count` todos; `description` is a SQL expression of `n`."""
    return (
        f"INSERT INTO todos (description) SELECT {description}"
        f" FROM generate_series(1, {count}) AS n"
    )
