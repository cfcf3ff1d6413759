"""The lock files: complete, hashed, and consistent with pyproject.toml and each other.

`make` installs requirements-dev.txt with --require-hashes before any test runs, so these tests
check the rest: that requirements.txt is a subset of it, and that no dependency is missing.
"""

import re
import subprocess
import tomllib
from importlib import metadata

import pytest
from packaging.requirements import Requirement

from tests.support.web import ROOT

LOCKS = ("requirements.txt", "requirements-dev.txt")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DIRECT = {
    "requirements.txt": PROJECT["project"]["dependencies"],
    "requirements-dev.txt": PROJECT["dependency-groups"]["dev"],
}


def entries(lock: str) -> dict[str, tuple[Requirement, frozenset[str]]]:
    """Return the requirements of a lock file by name, each with its hashes."""
    text = "\n".join(
        line for line in (ROOT / lock).read_text().splitlines() if not line.lstrip().startswith("#")
    )
    found = {}
    for entry in re.split(r"\n(?=\S)", text):
        requirement, *hashes = re.split(r"\s*\\\n\s*", entry.strip())
        parsed = Requirement(requirement)
        found[parsed.name] = parsed, frozenset(hashes)
    return found


def applicable(lock: str) -> list[Requirement]:
    """Return the requirements whose markers match this platform and Python version."""
    return [
        requirement
        for requirement, _ in entries(lock).values()
        if requirement.marker is None or requirement.marker.evaluate()
    ]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_pinned_and_hashed(lock: str) -> None:
    assert entries(lock)
    for requirement, hashes in entries(lock).values():
        assert re.fullmatch(r"==[0-9][^*,]*", str(requirement.specifier)), requirement
        assert hashes, requirement
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", word) for word in hashes)


@pytest.mark.parametrize("lock", LOCKS)
def test_direct_dependencies_are_pinned_within_their_range(lock: str) -> None:
    for direct in map(Requirement, DIRECT[lock]):
        pinned, _ = entries(lock)[direct.name]
        (pin,) = pinned.specifier
        assert direct.specifier.contains(pin.version), direct


def test_production_and_development_pin_the_same_versions() -> None:
    production, development = map(entries, LOCKS)

    assert {name: development.get(name) for name in production} == production


def test_the_installed_versions_are_the_pinned_ones() -> None:
    for requirement in applicable("requirements-dev.txt"):
        (pin,) = requirement.specifier
        assert metadata.version(requirement.name) == pin.version


@pytest.mark.parametrize("lock", LOCKS)
def test_every_transitive_dependency_is_pinned(lock: str) -> None:
    # With --require-hashes, one missing dependency makes the whole installation fail.
    pinned = {requirement.name for requirement in applicable(lock)}
    for name in pinned:
        for dependency in map(Requirement, metadata.requires(name) or []):
            if dependency.marker is None or dependency.marker.evaluate({"extra": ""}):
                assert re.sub(r"[-_.]+", "-", dependency.name).lower() in pinned, (
                    f"{name}: {dependency}"
                )


def test_make_installs_only_with_hashes() -> None:
    commands = subprocess.run(
        ["make", "--dry-run", "--always-make", ".venv/installed"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    installs = [line for line in commands.splitlines() if "pip install" in line]
    assert installs
    assert all("--require-hashes -r requirements-dev.txt" in line for line in installs)
