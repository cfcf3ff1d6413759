"""Migrations, statements, locks and backups, on a real PostgreSQL."""
