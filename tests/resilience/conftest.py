"""The servers of the fault tests, and the table of how long each recovery took."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.database_server import Server, make_migrated, running
from tests.support.web import WebProcess, serving


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a server whose database is migrated."""
    return make_migrated(tmp_path_factory.mktemp("migrated"))


@pytest.fixture
def server(tmp_path: Path, migrated: Path) -> Iterator[Server]:
    """A running PostgreSQL of this test's own."""
    with running(tmp_path / "postgres", migrated) as postgres:
        yield postgres


@pytest.fixture
def web(server: Server) -> Iterator[WebProcess]:
    """A web process of this test's own, with nothing configured that has a default."""
    with serving(DATABASE_URL=server.address) as process:
        yield process


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Record a figure, in seconds or in `unit`."""
    return lambda what, figure, unit="s": record_property("measured", [what, figure, unit])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what was measured."""
    rows = [
        measured
        for report in terminalreporter.getreports("passed")
        for name, measured in report.user_properties
        if name == "measured"
    ]
    if rows:
        terminalreporter.section("measured")
    for what, figure, unit in sorted(rows):
        terminalreporter.line(f"{figure:7.2f} {unit:3}  {what}")
