"""One measurement: a run of wrk, and the CPU time of the server and PostgreSQL."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.datasets import SIZES
from benchmarks.load import Load, wrk
from benchmarks.scenarios import Scenario
from benchmarks.targets import Target

WARM_UP_SECONDS = 1
WARM_UP_CONNECTIONS = 16


@dataclass(frozen=True)
class Run:
    """Result of one run of wrk. CPU times are in seconds, for the whole run."""

    scenario: str
    dataset: str
    server: str
    connections: int
    round: int
    responses: int
    seconds: float
    p99: float
    errors: dict[str, int]
    server_cpu: float
    postgres_cpu: float


def warm_up(scenario: Scenario, targets: Sequence[Target]) -> None:
    """Send requests to each server for a moment, so that its first measurement is no outlier."""
    for target in targets:
        url = target.url(scenario.path(target))
        _load(scenario, target, url, WARM_UP_CONNECTIONS, WARM_UP_SECONDS)
        target.settle()


def measure(
    scenario: Scenario, target: Target, *, connections: int, seconds: int, number: int
) -> Run:
    """Measure `scenario` on `target` in round `number`, and log the result to stderr."""
    # First, because determining the path may take a request, which must not count as CPU time.
    url = target.url(scenario.path(target))
    server_before, postgres_before = target.cpu_seconds()
    load = _load(scenario, target, url, connections, seconds)
    server_after, postgres_after = target.cpu_seconds()
    target.settle()
    run = Run(
        scenario=scenario.name,
        dataset=target.dataset,
        server=target.name,
        connections=connections,
        round=number,
        responses=load.responses,
        seconds=load.seconds,
        p99=load.p99,
        errors=load.errors,
        server_cpu=round(server_after - server_before, 3),
        postgres_cpu=round(postgres_after - postgres_before, 3),
    )
    cpu = (run.server_cpu + run.postgres_cpu) / max(run.responses, 1) * 1e6
    print(
        f"round {number}  {scenario.title:21} {connections:3} connections  {run.server:8}"
        f"{cpu:10,.0f} µs of CPU  {run.responses / (run.seconds or 1):8,.1f}/s  {run.errors or ''}",
        file=sys.stderr,
        flush=True,
    )
    return run


def _load(scenario: Scenario, target: Target, url: str, connections: int, seconds: int) -> Load:
    todos = str(SIZES[target.dataset])
    return wrk(scenario.script, url, todos, connections=connections, seconds=seconds)
