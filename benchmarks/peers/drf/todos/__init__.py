"""Todo application."""
