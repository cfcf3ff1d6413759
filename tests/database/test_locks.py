"""What is installed is what requirements.txt and requirements-dev.txt say, to the byte.

`make` installs requirements-dev.txt with --require-hashes before any test can run. What these
tests add is that requirements.txt is a part of it, line by line, and lacks nothing.
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
    """Return the requirements of a lock file by their names, each with its hashes."""
    text = "\n".join(
        line for line in (ROOT / lock).read_text().splitlines() if not line.lstrip().startswith("#")
    )
    found = {}
    for entry in re.split(r"\n(?=\S)", text):
        requirement, *hashes = re.split(r"\s*\\\n\s*", entry.strip())
        parsed = Requirement(requirement)
        found[parsed.name] = parsed, frozenset(hashes)
    return found


def installed_here(lock: str) -> list[Requirement]:
    """Return the requirements of a lock file that this machine and this Python need."""
    return [
        requirement
        for requirement, _ in entries(lock).values()
        if requirement.marker is None or requirement.marker.evaluate()
    ]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_pinned_and_has_hashes(lock: str) -> None:
    assert entries(lock)
    for requirement, hashes in entries(lock).values():
        assert re.fullmatch(r"==[0-9][^*,]*", str(requirement.specifier)), requirement
        assert hashes, requirement
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", word) for word in hashes)


@pytest.mark.parametrize("lock", LOCKS)
def test_what_the_project_names_is_pinned_within_its_bounds(lock: str) -> None:
    for named in map(Requirement, DIRECT[lock]):
        pinned, _ = entries(lock)[named.name]
        (pin,) = pinned.specifier
        assert named.specifier.contains(pin.version), named


def test_what_production_installs_is_what_the_tests_have_run_with() -> None:
    production, development = map(entries, LOCKS)

    assert {name: development.get(name) for name in production} == production


def test_what_is_installed_is_what_is_pinned() -> None:
    for requirement in installed_here("requirements-dev.txt"):
        (pin,) = requirement.specifier
        assert metadata.version(requirement.name) == pin.version


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_everything_that_its_packages_need(lock: str) -> None:
    # pip refuses what has no hash, so one missing name and nothing can be installed.
    pinned = {requirement.name for requirement in installed_here(lock)}
    for name in pinned:
        for needed in map(Requirement, metadata.requires(name) or []):
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                assert re.sub(r"[-_.]+", "-", needed.name).lower() in pinned, f"{name}: {needed}"


def test_make_installs_nothing_without_its_hash() -> None:
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
