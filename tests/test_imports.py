"""Import direction: page → todos → web → database → observability."""

import ast
from pathlib import Path

import pytest

from tests.support.web import ROOT

PACKAGES = {"observability", "database", "web", "todos", "page"}


def imported(path: Path) -> set[str]:
    """Return the fully qualified names that a module imports."""
    package = path.relative_to(ROOT).parent.parts
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else ()
            start = [*parents, node.module] if node.module else parents
            names |= {".".join([*start, alias.name]) for alias in node.names}
    return names


def forbidden_imports(folder: str, forbidden: set[str]) -> dict[str, set[str]]:
    """Return the forbidden imports in a directory tree, by module."""
    modules = list((ROOT / folder).rglob("*.py"))
    assert len(modules) > 1
    violations = {
        module.relative_to(ROOT).as_posix(): {
            name
            for name in imported(module)
            if any(f"{name}.".startswith(f"{prefix}.") for prefix in forbidden)
        }
        for module in modules
    }
    return {module: names for module, names in violations.items() if names}


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("observability", set()),
        ("database", {"observability"}),
        ("web", {"observability", "database"}),
        ("todos", {"observability", "database", "web"}),
        ("page", {"todos", "web"}),
    ],
)
def test_imports_run_in_one_direction(package: str, allowed: set[str]) -> None:
    forbidden = {f"todoapp.{name}" for name in PACKAGES - allowed - {package}}

    assert forbidden_imports(f"todoapp/{package}", forbidden) == {}


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("todoapp", {"gunicorn", "httptools", "server", "waitress"}),
        ("server", {"flask", "todoapp", "werkzeug"}),
    ],
)
def test_the_application_and_the_server_do_not_depend_on_each_other(
    folder: str, forbidden: set[str]
) -> None:
    assert forbidden_imports(folder, forbidden) == {}
