"""Which part of the project may import which."""

import ast
from pathlib import Path

import pytest

from tests.process.web import ROOT


def imported(path: Path) -> set[str]:
    """Return the top-level packages that a module imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("todoapp", {"gunicorn", "httptools", "server", "waitress"}),
        ("server", {"flask", "todoapp", "werkzeug"}),
    ],
)
def test_the_application_and_the_server_do_not_depend_on_each_other(
    package: str, forbidden: set[str]
) -> None:
    modules = list((ROOT / package).rglob("*.py"))

    assert len(modules) > 3
    assert {
        module.name: names for module in modules if (names := imported(module) & forbidden)
    } == {}
