"""Report of results.json; `python -m benchmarks.report` rewrites results.md."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.scenarios import SCENARIOS

RESULTS = Path(__file__).parent / "results.json"
RESULTS_PAGE = Path(__file__).parent / "results.md"
CHART = "../docs/benchmark.png"

OURS = "todoapp"
LOWER_BOUND = "floor"
GROUPS = {
    "One todo": ("get", "create", "patch"),
    "Whole lists": ("list-100", "list-10000"),
    "A million todos": ("page-first", "page-last", "search"),
}
TITLES = {scenario.name: scenario.title for scenario in SCENARIOS}
MEBIBYTE = 2**20
LONG = ("full list", "complete all", "export")
"""The operations of the curve that take so long that their duration matters."""

HEAD = """\
# Results

Measured on {date} by `python -m benchmarks`, on one machine. The raw data is in
[results.json](results.json). Before the measurements, the benchmark checks that all servers return
equivalent responses.{note}

![CPU time per request]({chart})

- Machine: {cpu}, {cores} cores; {kernel}; data on {file_system}.
- Python {Python}, PostgreSQL {PostgreSQL}, wrk {wrk}, Node.js {Node}.
- Figures are medians of {rounds} rounds, in which the servers take turns of {seconds} seconds.
- PostgreSQL has its default durability: `fsync` and `synchronous_commit` are on. All tables are in
  memory (`shared_buffers` is 1 GB). Autovacuum is off, and no checkpoint occurs during the
  measurements. `VACUUM ANALYZE` runs after the rows are inserted and before each round.
- Each server has two processes, this service with four threads each, and no access log.
- Among a million todos, the other services find a page by `OFFSET`, and search with `ILIKE` and no
  index for it. `floor` pages and searches as this service does.

| Server | Description | Versions |
| --- | --- | --- |
"""

EXPLANATION = """
Each cell has the **CPU time per request** (server processes + PostgreSQL), the throughput in
requests per second, and the 99th percentile of the latency. CPU time is the most reliable figure:
wrk shares the cores with the servers, so the throughput depends on this machine, and the latency
mostly reflects the length of the queue. A run ends when every request has its response, so all work
of the servers is counted.
"""

COMPARED = """
## CPU time per request, compared

The CPU time of the other servers relative to this service, and of this service relative to `floor`,
the lower bound.

"""

CURVE = """
## From a hundred to ten million todos

Requests to this service, one after the other on one connection. Each cell has the CPU time per
request (the service + PostgreSQL), and for {long} also its duration.
`complete all` changes two thirds of the todos in one statement; `export` is `flask todos export`,
with the start of its process. Table and indexes of {largest} todos are larger than
`shared_buffers`, but not than the machine's memory.

![CPU time per request by the number of todos](../docs/curve.png)

{costs}
PostgreSQL's part, by `EXPLAIN (ANALYZE, TIMING OFF)` of the statement that the service sent: the
time for execution + planning in ms, and the plan with {largest} todos.

{plans}
The table, its indexes, and the memory of all processes of the service (proportional set size):

{sizes}
The full list compared with PostgreSQL itself, `COPY (SELECT row_to_json(…) FROM todos ORDER BY id)
TO STDOUT` of the same five fields, read by psycopg2:

{full_list}"""


@dataclass(frozen=True)
class Figures:
    """Medians over the runs of a scenario. CPU times are in seconds per request."""

    cpu: float
    server_cpu: float
    postgres_cpu: float
    rate: float
    p99: float
    errors: int


Runs = Sequence[dict[str, Any]]
Curve = Sequence[dict[str, Any]]


def write() -> None:
    """Write results.md from results.json."""
    RESULTS_PAGE.write_text(render(json.loads(RESULTS.read_text())))


def select(runs: Runs, **values: object) -> list[dict[str, Any]]:
    """Return the runs with these values."""
    return [run for run in runs if all(run[name] == value for name, value in values.items())]


def figures(runs: Runs) -> Figures | None:
    """Return the medians of `runs`, or None if one of them completed no request."""
    if not runs or not all(run["responses"] for run in runs):
        return None
    per_request = sorted(
        (
            (run["server_cpu"] + run["postgres_cpu"]) / run["responses"],
            run["server_cpu"] / run["responses"],
            run["postgres_cpu"] / run["responses"],
        )
        for run in runs
    )
    # All three from the median run, so that the parts add up to the total.
    cpu, server_cpu, postgres_cpu = per_request[(len(runs) - 1) // 2]
    return Figures(
        cpu=cpu,
        server_cpu=server_cpu,
        postgres_cpu=postgres_cpu,
        rate=median(run["responses"] / run["seconds"] for run in runs),
        p99=median(run["p99"] for run in runs),
        errors=count_errors(runs),
    )


def count_errors(runs: Runs) -> int:
    """Return the number of failed requests: connection errors, error statuses and timeouts."""
    return sum(sum(run["errors"].values()) for run in runs)


def render(results: dict[str, Any]) -> str:
    """Return the text of results.md."""
    names = [server["name"] for server in results["servers"]]
    runs = results["runs"]
    page = HEAD.format(
        date=results["date"],
        rounds=results["rounds"],
        seconds=results["seconds"],
        chart=CHART,
        note=f"\n\n**Note:** {results['note']}" if "note" in results else "",
        **results["machine"],
    )
    for server in results["servers"]:
        versions = ", ".join(f"{name} {value}" for name, value in server["versions"].items())
        page += row(server["name"], server["title"], versions)
    page += EXPLANATION
    for group, scenarios in GROUPS.items():
        rows = [
            [where, *(cell(each) for each in by_server)]
            for where, by_server in measured(runs, names, scenarios)
        ]
        if rows:
            page += f"\n## {group}\n\n" + table(["", *names], rows)
    page += ratios(runs, names)
    if results["curve"]:
        page += curve(results["curve"])
    return page


def measured(
    runs: Runs, names: Sequence[str], scenarios: Iterable[str] = TITLES
) -> Iterator[tuple[str, list[Runs]]]:
    """Yield the runs of each server, for each scenario and number of connections."""
    for scenario in scenarios:
        of_scenario = select(runs, scenario=scenario)
        for connections in sorted({run["connections"] for run in of_scenario}):
            by_server: list[Runs] = [
                select(of_scenario, server=name, connections=connections) for name in names
            ]
            yield f"{TITLES[scenario]}, {connections} connections", by_server


def cell(runs: Runs) -> str:
    """Format the figures of one server in one scenario."""
    found, errors = figures(runs), count_errors(runs)
    failed = f"<br>**{errors:,} errors**" if errors else ""
    if found is None:
        return f"nothing completed{failed}"
    return (
        f"{cpu(found.server_cpu, found.postgres_cpu)}"
        f"<br>{found.rate:,.{0 if found.rate >= 100 else 1}f}/s<br>{duration(found.p99)}{failed}"
    )


def cpu(server: float, postgres: float) -> str:
    """Format the CPU time of a request: the sum, and what the server and PostgreSQL use of it."""
    return f"**{duration(server + postgres)}** ({duration(server)} + {duration(postgres)})"


def ratios(runs: Runs, names: Sequence[str]) -> str:
    """Return the section that compares the CPU time per request of all servers."""
    others = [name for name in names if name != OURS]
    if OURS not in names or not others:
        return ""
    rows = []
    for where, by_server in measured(runs, names):
        found = dict(zip(names, map(figures, by_server), strict=True))
        rows.append([where, *(ratio(found[OURS], found[name], name) for name in others)])
    heads = [f"{OURS} ÷ {name}" if name == LOWER_BOUND else f"{name} ÷ {OURS}" for name in others]
    return COMPARED + table(["", *heads], rows)


def ratio(ours: Figures | None, other: Figures | None, name: str) -> str:
    if ours is None or other is None:
        return "—"
    found = ours.cpu / other.cpu if name == LOWER_BOUND else other.cpu / ours.cpu
    # Errors cost little CPU time, so they make a server look faster than it is.
    return f"{found:.2f}" + (" (errors)" if ours.errors or other.errors else "")


def curve(datasets: Curve) -> str:
    """Return the section about the number of todos."""
    heads = ["", *(f"{dataset['todos']:,}" for dataset in datasets)]
    largest = datasets[-1]
    return CURVE.format(
        long=", ".join(f"`{name}`" for name in LONG),
        largest=heads[-1],
        costs=table(heads, (cost_row(datasets, name) for name in largest["costs"])),
        plans=table(
            [*heads, "plan"],
            (plan_row(datasets, name) for name, cost in largest["costs"].items() if "plan" in cost),
        ),
        sizes=table(heads, size_rows(datasets)),
        full_list=table(heads, full_list_rows(datasets)),
    )


def cost_row(datasets: Curve, name: str) -> list[str]:
    cells = [name]
    for dataset in datasets:
        cost = dataset["costs"][name]
        lasted = f"<br>{duration(cost['seconds'])}" if name in LONG else ""
        cells.append(cpu(cost["server_cpu"], cost["postgres_cpu"]) + lasted)
    return cells


def plan_row(datasets: Curve, name: str) -> list[str]:
    costs = [dataset["costs"][name] for dataset in datasets]
    times = [f"{cost['execution_ms']:,.2f} + {cost['planning_ms']:.2f}" for cost in costs]
    return [name, *times, costs[-1]["plan"]]


def size_rows(datasets: Curve) -> Iterator[list[str]]:
    yield ["table", *(mebibytes(dataset["table_bytes"]) for dataset in datasets)]
    for index in datasets[-1]["index_bytes"]:
        yield [f"`{index}`", *(mebibytes(each["index_bytes"][index]) for each in datasets)]
    yield ["memory before the full list", *(mebibytes(each["idle_memory"]) for each in datasets)]
    yield ["memory during it, at most", *(mebibytes(each["peak_memory"]) for each in datasets)]


def full_list_rows(datasets: Curve) -> Iterator[list[str]]:
    lists = [dataset["costs"]["full list"] for dataset in datasets]
    yield ["time", *(duration(each["seconds"]) for each in lists)]
    yield ["time to first byte", *(duration(each["first_byte"]) for each in lists)]
    yield ["time of COPY", *(duration(dataset["copy_seconds"]) for dataset in datasets)]
    yield [
        "speed relative to COPY",
        *(
            f"{dataset['copy_seconds'] / each['seconds']:.0%}"
            for dataset, each in zip(datasets, lists, strict=True)
        ),
    ]


def mebibytes(size: int) -> str:
    return f"{size / MEBIBYTE:,.1f} MiB"


def duration(seconds: float) -> str:
    """Format a duration with three or four significant digits."""
    if seconds < 0.01:
        return f"{seconds * 1e6:,.0f} µs"
    value, unit = (seconds, "s") if seconds >= 1 else (seconds * 1e3, "ms")
    return f"{value:,.{0 if value >= 100 else 1}f} {unit}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return row(*head) + row(*("---" for _ in head)) + "".join(row(*each) for each in rows)


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    write()
