"""The HTTP contract, tested with Flask's test client."""
