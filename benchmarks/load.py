"""Load: one run of wrk, and what it counted."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

SCRIPTS = Path(__file__).parent / "wrk"
# How long wrk waits for the last answers.
PATIENCE_SECONDS = 90


@dataclass(frozen=True)
class Load:
    """What wrk counted.

    `answers` are those with a status from 200 to 299, `seconds` go from the first request to the
    last answer, and `p99` is in seconds too.
    """

    answers: int
    seconds: float
    p99: float
    errors: dict[str, int]


def wrk(script: str, url: str, *arguments: str, connections: int, seconds: int) -> Load:
    """Send requests on `connections` for `seconds`, and wait for the answers to them."""
    result = subprocess.run(
        (
            "wrk",
            "--threads=1",
            f"--connections={connections}",
            f"--duration={seconds + PATIENCE_SECONDS}s",
            f"--timeout={seconds + PATIENCE_SECONDS}s",
            f"--script={script}",
            url,
            "--",
            str(seconds),
            *arguments,
        ),
        cwd=SCRIPTS,
        capture_output=True,
        text=True,
        check=False,
        # Ctrl-C is for us; run() then ends wrk.
        process_group=0,
    )
    lines = [line for line in result.stdout.splitlines() if line.startswith("{")]
    if result.returncode or not lines:
        raise SystemExit(f"wrk failed: {result.stderr or result.stdout}")
    counted = json.loads(lines[-1])
    errors = {
        "not answered": counted["sent"] - counted["answered"],
        "not 2xx": counted["bad"],
        "not connected": counted["not_connected"],
    }
    return Load(
        answers=counted["answered"] - counted["bad"],
        seconds=counted["seconds"],
        p99=counted["p99"],
        errors={kind: count for kind, count in errors.items() if count},
    )
