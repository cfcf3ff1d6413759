"""Types of fixtures."""

from collections.abc import Callable

Sql = Callable[[str], list[tuple]]
Measured = Callable[..., None]
