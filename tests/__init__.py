"""The tests, in directories like those of `todoapp/`; `support/` has their helpers."""
