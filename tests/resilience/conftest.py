"""Servers for the fault tests, and the report of measured times."""

import socket
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from itertools import count
from pathlib import Path

import pytest

from tests.support.database_server import Server, make_migrated, running
from tests.support.types import Measured
from tests.support.web import WebProcess, serving


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data directory of a stopped server with a migrated database."""
    return make_migrated(tmp_path_factory.mktemp("migrated"))


@pytest.fixture
def server(tmp_path: Path, migrated: Path) -> Iterator[Server]:
    """PostgreSQL server for one test."""
    with running(tmp_path / "postgres", migrated) as postgres:
        yield postgres


@pytest.fixture
def web(server: Server) -> Iterator[WebProcess]:
    """Web process for one test, with default settings."""
    with serving(DATABASE_URL=server.address) as process:
        yield process


@pytest.fixture
def own_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connect each client from a different source address, so that no limit applies."""
    connect = socket.socket.connect
    numbers = count(1)

    def connect_from_own_address(self: socket.socket, address: tuple[str, int]) -> None:
        if address[0] == "127.0.0.1":
            self.bind((str(IPv4Address("127.1.0.0") + next(numbers)), 0))
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_from_own_address)


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Measured:
    """Record a measurement, in seconds unless `unit` is given."""
    return lambda what, figure, unit="s": record_property("measured", [what, figure, unit])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the recorded measurements."""
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
