"""Fixtures: `flask todos …`, run in-process."""

from collections.abc import Callable

import pytest
from click.testing import Result
from flask import Flask


@pytest.fixture
def invoke(app: Flask) -> Callable[..., Result]:
    """Run `flask todos …` and return its result."""
    runner = app.test_cli_runner()
    return lambda *arguments, **options: runner.invoke(args=["todos", *arguments], **options)


@pytest.fixture
def import_(invoke: Callable[..., Result]) -> Callable[..., str]:
    """Import data from standard input and return the command's output."""

    def import_(data: bytes, *options: str) -> str:
        result = invoke("import", *options, input=data)
        assert result.exit_code == 0, result.output
        return result.stdout

    return import_


@pytest.fixture
def import_error(invoke: Callable[..., Result]) -> Callable[..., str]:
    """Run an import that fails and return its one-line error message."""

    def import_error(data: bytes, *options: str) -> str:
        result = invoke("import", *options, input=data)
        assert result.exit_code == 1, result.output
        assert result.stdout == ""
        (line,) = result.stderr.splitlines()
        return line

    return import_error
