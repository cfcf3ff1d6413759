"""Access to PostgreSQL. Knows nothing about todos or HTTP."""
