"""The tests: the modules of `todoapp`, by behaviour; `process/` runs the real web process."""
