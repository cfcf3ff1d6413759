"""Development tools, never used in production: a bundled PostgreSQL server and `make run`."""
