"""The web process, started as in production: HTTP, logs, metrics, CLI commands."""
