"""The HTTP contract, through Flask's test client."""
