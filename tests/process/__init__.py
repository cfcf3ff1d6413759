"""The real web process, and `make run`, as their users start them."""
