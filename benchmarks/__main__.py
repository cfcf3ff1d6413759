"""Benchmark all servers side by side, and write results.json, results.md and the chart."""

import argparse
import json
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks import chart, machine, report
from benchmarks.curve import measure_curve
from benchmarks.datasets import ROOT, Database, make, postgres
from benchmarks.measure import Run, measure, warm_up
from benchmarks.scenarios import SCENARIOS, Scenario, check_equivalent
from benchmarks.servers import THIS, Server, other_checkout, servers
from benchmarks.targets import all_running

CONNECTIONS = (16, 100)
CURVE = "curve"


def main() -> None:
    """Run the benchmark; write files only if no option restricts it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    options = parse(sys.argv[1:])
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: `apt install wrk`, or https://github.com/wg/wrk")
    chosen = [server for server in servers() if server.name in options.servers]
    if options.before:
        chosen.append(other_checkout(options.before))
    scenarios = [scenario for scenario in SCENARIOS if scenario.name in options.scenarios]
    with postgres() as database:
        prepare(database, chosen, scenarios)
        results: dict[str, Any] = {
            "date": datetime.now(UTC).date().isoformat(),
            "rounds": options.rounds,
            "seconds": options.seconds,
            "machine": machine.describe(database),
            "servers": [machine.describe_server(server) for server in chosen],
            "runs": [
                vars(run)
                for run in measure_all(
                    chosen, scenarios, database, rounds=options.rounds, seconds=options.seconds
                )
            ],
            "curve": [],
        }
        if options.everything:
            save(results)
        if CURVE in options.scenarios and THIS in chosen:
            results["curve"] = measure_curve(database)
    if options.everything:
        save(results)
        report.write()
        chart.draw()
    else:
        print(report.render(results))


def save(results: dict[str, Any]) -> None:
    """Write results.json."""
    report.RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the options; `everything` is true if they leave out no server and no scenario."""
    names = [server.name for server in servers()]
    parts = [scenario.name for scenario in SCENARIOS] + [CURVE]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument(
        "--seconds", type=int, default=2, help="duration of each run of wrk, default: %(default)s"
    )
    parser.add_argument("--servers", default=",".join(names), help="default: %(default)s")
    parser.add_argument("--scenarios", default=",".join(parts), help="default: %(default)s")
    parser.add_argument(
        "--before",
        type=Path,
        metavar="DIRECTORY",
        help="compare with another checkout of this service",
    )
    options = parser.parse_args(arguments)
    options.servers = options.servers.split(",")
    options.scenarios = options.scenarios.split(",")
    for given, known in ((options.servers, names), (options.scenarios, parts)):
        for word in set(given) - set(known):
            parser.error(f"unknown name {word}; choose from {', '.join(known)}")
    options.everything = not options.before and (
        set(options.servers + options.scenarios) == {*names, *parts}
    )
    return options


def prepare(database: Database, chosen: Sequence[Server], scenarios: Sequence[Scenario]) -> None:
    """Create the databases of the scenarios."""
    datasets = dict.fromkeys(scenario.dataset for scenario in scenarios)
    # The lower bound uses the schema of this service.
    schemas = {
        server.schema: server.directory if server.name == "before" else ROOT for server in chosen
    }
    for dataset in datasets:
        for schema, migrations in schemas.items():
            make(database, schema, dataset, migrations)
    database.execute("CHECKPOINT")


def measure_all(
    chosen: Sequence[Server],
    scenarios: Sequence[Scenario],
    database: Database,
    *,
    rounds: int,
    seconds: int,
) -> Iterator[Run]:
    """Interleave the measurements of all servers, so that all meet the same conditions."""
    for dataset, group in groupby(scenarios, key=lambda scenario: scenario.dataset):
        each = list(group)
        with all_running(chosen, dataset, database) as targets:
            for scenario in each:
                check_equivalent(scenario, targets)
                warm_up(scenario, targets)
            for number in range(1, rounds + 1):
                # Once per database, because several servers may share one.
                for target in {target.database_name: target for target in targets}.values():
                    target.vacuum()
                for scenario in each:
                    for connections in CONNECTIONS:
                        for target in targets:
                            yield measure(
                                scenario,
                                target,
                                connections=connections,
                                seconds=seconds,
                                number=number,
                            )


def _interrupt(number: int, frame: FrameType | None) -> None:
    # Ignore further signals, so that the cleanup is not interrupted.
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
