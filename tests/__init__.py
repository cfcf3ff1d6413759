"""The tests: a file for each room of `todoapp`; `process/` runs the real web process."""
