"""Helpers: they start processes, send raw requests, and wait."""
