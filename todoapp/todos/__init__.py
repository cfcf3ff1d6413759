"""The feature: everything about todos, from the table to the routes and the commands."""
