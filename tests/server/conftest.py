"""What the tests of the real process need."""

from tests.process.conftest import sql

__all__ = ["sql"]
