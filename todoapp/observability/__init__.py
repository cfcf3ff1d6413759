"""Logs, metrics, and the per-request context that feeds them."""
