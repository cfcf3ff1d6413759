"""The web process on its own: HTTP, slow and hostile clients, and what it relies on."""
