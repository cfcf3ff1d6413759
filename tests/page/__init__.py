"""The page at `/`, as the server sends it."""
