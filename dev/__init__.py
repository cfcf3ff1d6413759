"""What development needs and production does not: a PostgreSQL of its own, and `make run`."""
