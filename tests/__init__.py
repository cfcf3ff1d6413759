"""Tests, in directories that mirror `todoapp/` and `server/`; `support/` has the helpers."""
