"""The Makefile: the version of Python it requires, and what its targets do."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.web import ROOT

OLD_PYTHON = f"""#!/bin/sh
exec {sys.executable} -c 'import sys; sys.version_info = (3, 9, 2); exec(sys.argv[2])' "$@"
"""
# Formatted wrongly, an unused import that ruff removes, and a bare except that ruff reports only.
BADLY_FORMATTED = "import os\ntry :\n  x=1\nexcept: x = 2\n"
FORMATTED = "try:\n    x = 1\nexcept:\n    x = 2\n"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Copy what make needs, but no code, into a directory."""
    for name in ("Makefile", "pyproject.toml", "requirements-dev.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def make(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_an_unsupported_python_is_reported_in_one_line_and_no_venv_is_created(
    directory: Path,
) -> None:
    python = directory / "python3"
    python.write_text(OLD_PYTHON)
    python.chmod(0o700)

    result = make(directory, "lint", "PYTHON=./python3")

    lines = (result.stdout + result.stderr).splitlines()
    assert result.returncode != 0
    assert [line for line in lines if not line.startswith("make")] == [
        "This project requires Python 3.11 or later; ./python3 is 3.9.2."
    ]
    assert not (directory / ".venv").exists()


def test_make_format_formats_a_file_with_an_error_that_ruff_cannot_fix(directory: Path) -> None:
    (directory / ".venv").symlink_to(sys.prefix)
    module = directory / "module.py"
    module.write_text(BADLY_FORMATTED)

    result = make(directory, "--assume-old=.venv/installed", "format")

    assert result.returncode == 0, result.stderr
    assert module.read_text() == FORMATTED
    assert "E722" in result.stdout


@pytest.mark.slow
def test_the_tests_of_ctrl_c_pass_in_the_background_of_a_script() -> None:
    tests = f"{sys.executable} -m pytest --numprocesses=1 tests/server/test_backup.py -k sigint"
    script = f"{tests} & wait $!"  # a shell without job control: the background ignores SIGINT

    result = subprocess.run(
        ["sh", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )

    assert result.returncode == 0, result.stdout
    assert "2 passed" in result.stdout
