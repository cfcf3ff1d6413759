"""Run wrk and parse its counts."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

SCRIPTS = Path(__file__).parent / "wrk"
# Grace period for responses to requests that are still in flight when the sending ends.
DRAIN_SECONDS = 90


@dataclass(frozen=True)
class Load:
    """Counts of one run of wrk.

    Attributes:
        responses: the number of responses with a 2xx status.
        seconds: the time from the first request to the last response.
        p99: the 99th percentile of the latency in seconds.
        errors: the number of failed requests, by kind.
    """

    responses: int
    seconds: float
    p99: float
    errors: dict[str, int]


def wrk(script: str, url: str, *arguments: str, connections: int, seconds: int) -> Load:
    """Send requests for `seconds` on `connections` connections, and await all responses."""
    result = subprocess.run(
        (
            "wrk",
            "--threads=1",
            f"--connections={connections}",
            f"--duration={seconds + DRAIN_SECONDS}s",
            f"--timeout={seconds + DRAIN_SECONDS}s",
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
        # Ctrl-C must reach this process only; run() then kills wrk.
        process_group=0,
    )
    lines = [line for line in result.stdout.splitlines() if line.startswith("{")]
    if result.returncode or not lines:
        raise SystemExit(f"wrk failed: {result.stderr or result.stdout}")
    counted = json.loads(lines[-1])
    errors = {
        "no response": counted["sent"] - counted["received"],
        "status not 2xx": counted["bad"],
        "connection failed": counted["not_connected"],
    }
    return Load(
        responses=counted["received"] - counted["bad"],
        seconds=counted["seconds"],
        p99=counted["p99"],
        errors={kind: count for kind, count in errors.items() if count},
    )
