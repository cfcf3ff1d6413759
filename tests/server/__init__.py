"""The real web process, started as in production."""
