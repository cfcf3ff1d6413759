"""The documentation matches the code: settings, operations, links."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.support.web import ROOT
from todoapp.config import Config

DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "[!.]*/**/*.md")
    for path in ROOT.glob(pattern)
    if not {".venv", "node_modules"} & set(path.relative_to(ROOT).parts)
)
URL = "postgresql://localhost/todos"


class Recorder(dict[str, str]):
    """An environment that records which variables are read."""

    def __init__(self, **variables: str) -> None:
        super().__init__(variables)
        self.read: set[str] = set()

    def get(self, name: str, *args: Any) -> Any:
        self.read.add(name)
        return super().get(name, *args)


def rows(text: str) -> Iterator[tuple[str, str]]:
    """Yield the first two cells of each row of the tables in a document."""
    yield from re.findall(r"^\| ([^|]+) \| ([^|]*) \|", text, re.MULTILINE)


def settings() -> dict[str, str]:
    """Return the variables in configuration.md with their defaults."""
    found = rows((ROOT / "docs" / "configuration.md").read_text())
    return {name.strip("`"): default.strip("`") for name, default in found if name.isupper()}


def test_every_setting_is_documented_and_no_other() -> None:
    environ = Recorder(DATABASE_URL=URL)
    Config.from_environ(environ)

    assert set(settings()) == environ.read


def test_every_documented_default_is_the_default() -> None:
    documented = settings()
    documented = {name: each for name, each in documented.items() if each != "(not set)"}
    environ = {
        # A default may be the value of another variable.
        name: "" if default == "(empty)" else documented.get(default, default)
        for name, default in documented.items()
    }
    assert environ["DATABASE_URL"] == "(required)"
    environ["DATABASE_URL"] = URL

    assert Config.from_environ(environ) == Config.from_environ({"DATABASE_URL": URL})


@pytest.fixture
def openapi(client: FlaskClient) -> dict[str, Any]:
    description: dict[str, Any] = client.get("/openapi.json").get_json()
    return description


@pytest.fixture
def sections() -> dict[str, str]:
    """The sections of api.md by their headings."""
    text = (ROOT / "docs" / "api.md").read_text()
    parts = re.split(r"^#{2,3} (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def operations(openapi: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the operations by the headings that they have in api.md."""
    return {
        f"`{method.upper()} {path}`": {
            **operation,
            "parameters": [*item.get("parameters", []), *operation.get("parameters", [])],
        }
        for path, item in openapi["paths"].items()
        for method, operation in item.items()
        if method not in ("parameters", "head")  # described once, for every GET
    }


def common_statuses(openapi: dict[str, Any]) -> set[str]:
    """Return the statuses that every operation has."""
    return set.intersection(*(set(each["responses"]) for each in operations(openapi).values()))


def test_every_operation_is_documented_and_no_other(
    openapi: dict[str, Any], sections: dict[str, str]
) -> None:
    assert {heading for heading in sections if heading[0] == "`"} == set(operations(openapi))


def test_the_parameters_and_statuses_of_each_operation_are_documented(
    openapi: dict[str, Any], sections: dict[str, str]
) -> None:
    common = common_statuses(openapi)
    for heading, operation in operations(openapi).items():
        cells = [cell for cell, _ in rows(sections[heading])]
        parameters = {cell.strip("`") for cell in cells if cell[0] == "`"}
        statuses = {cell for cell in cells if cell.isdigit()}
        headers = {
            name for each in operation["responses"].values() for name in each.get("headers", ())
        }

        assert (heading, parameters) == (
            heading,
            {each["name"] for each in operation["parameters"]},
        )
        assert (heading, statuses) == (heading, set(operation["responses"]) - common)
        for name in headers:
            assert f"`{name}`" in sections[heading], heading


def test_the_statuses_of_every_operation_are_documented(
    openapi: dict[str, Any], sections: dict[str, str]
) -> None:
    documented = {cell for cell, _ in rows(sections["Errors"]) if cell.isdigit()}

    assert documented == common_statuses(openapi)


def test_the_fields_of_a_todo_are_documented(
    openapi: dict[str, Any], sections: dict[str, str]
) -> None:
    fields = [cell.strip("`") for cell, _ in rows(sections["The todo"]) if cell[0] == "`"]

    assert fields == list(openapi["components"]["schemas"]["Todo"]["properties"])


def prose(path: Path) -> str:
    """Return a document without its code."""
    return re.sub(r"^( *)```.*?^\1```$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """Return the anchors that a forge gives the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^()\s]+)\)", prose(path)):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
