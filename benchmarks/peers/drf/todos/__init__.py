"""The todos."""
