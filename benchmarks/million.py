"""This service with a million todos, compared with a hundred todos and with PostgreSQL itself."""

import http.client
import re
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import quote

import psycopg2

from benchmarks.datasets import SIZES, Database
from benchmarks.measure import Run, measure, warm_up
from benchmarks.processes import memory
from benchmarks.scenarios import SCENARIOS, TODOS, Scenario
from benchmarks.servers import Server
from benchmarks.targets import Target, running

CONNECTIONS = 16
STATEMENT_RUNS = 7
EXPORT_RUNS = 5
SAMPLE_SECONDS = 0.02
BUFFER = bytearray(1 << 20)

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
# A statement in PostgreSQL's log. Continuation lines begin with a tab.
LOGGED = re.compile(r"LOG:  duration: \S+ ms  statement: (.*(?:\n\t.*)*)")
# The service's own statement timeout of 10 seconds would hide how slow a statement is.
LOG_STATEMENTS = "?options=" + quote(
    "-c log_min_duration_statement=0 -c statement_timeout=0", safe=""
)
# The JSON that a client receives, built by PostgreSQL from the five columns.
COPY = (
    "COPY (SELECT row_to_json(todos) FROM (SELECT id, description, completed, created_at,"
    " updated_at FROM todos ORDER BY id) AS todos) TO STDOUT"
)


def measure_million(
    server: Server, database: Database, rounds: int, seconds: int
) -> dict[str, Any]:
    """Run all measurements of `server`, this service, with a million todos."""
    return {
        "single": [vars(run) for run in single_todos(server, database, rounds, seconds)],
        "statements": statements(server, database),
        "export": export(server, database),
        "copy": copy(database),
    }


def single_todos(server: Server, database: Database, rounds: int, seconds: int) -> Iterator[Run]:
    """Measure requests for a single todo, in a table of a hundred and of a million."""
    scenarios = [BY_NAME[name] for name in ("get", "create", "patch")]
    with (
        running(server, "single_hundred", database) as few,
        running(server, "single_million", database) as many,
    ):
        for scenario in scenarios:
            warm_up(scenario, (few, many))
        for number in range(1, rounds + 1):
            for target in (few, many):
                target.vacuum()
            for scenario in scenarios:
                for target in (few, many):
                    yield measure(
                        scenario, target, connections=CONNECTIONS, seconds=seconds, number=number
                    )


def statements(server: Server, database: Database) -> dict[str, dict[str, Any]]:
    """Return execution time and plan of the statements for pages and search."""
    found = {}
    with running(server, "million", database, LOG_STATEMENTS) as target:
        for name in ("page-first", "page-last", "search"):
            scenario = BY_NAME[name]
            statement = captured_statement(target, scenario)
            found[name] = explain(database, statement)
            log_progress(f"{scenario.title}: {found[name]['milliseconds']} ms in the database")
    return found


def captured_statement(target: Target, scenario: Scenario) -> str:
    """Send the request of `scenario`, and return its statement from PostgreSQL's log."""
    path = scenario.path(target)
    # The text is complete, because psycopg2 interpolates parameters on the client side.
    begin = target.database.log.stat().st_size
    target.request("GET", path).raise_for_status()
    logged = target.database.log.read_bytes()[begin:].decode()
    found = [each.replace("\n\t", "\n") for each in LOGGED.findall(logged)]
    statements: list[str] = [each for each in found if "todos" in each]
    if len(statements) != 1:
        raise SystemExit(f"{scenario.title}: expected one statement, got {statements}")
    return statements[0]


def explain(database: Database, statement: str) -> dict[str, Any]:
    """Return the plan of `statement`, and the median of its times over several executions."""
    explain_statement = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}"
    results: list[dict[str, Any]] = []
    with (
        closing(psycopg2.connect(database.url("todoapp_million"))) as connection,
        connection.cursor() as cursor,
    ):
        for _ in range(STATEMENT_RUNS):
            cursor.execute(explain_statement)
            results += cursor.fetchall()[0][0]
    return {
        "statement": " ".join(statement.split()),
        "milliseconds": statistics.median(result["Execution Time"] for result in results),
        "planning": statistics.median(result["Planning Time"] for result in results),
        "plan": " ← ".join(nodes(results[0]["Plan"])),
    }


def nodes(plan: dict[str, Any]) -> Iterator[str]:
    """Yield the names of the nodes of a plan, from the root to the leaves."""
    yield plan["Node Type"] + (f" ({plan['Index Name']})" if "Index Name" in plan else "")
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def export(server: Server, database: Database) -> dict[str, Any]:
    """Measure throughput and memory usage of the list of a million todos."""
    with running(server, "million", database) as target:
        idle = memory(target.pid)
        with sampled_memory(target.pid) as samples:
            read_list(target)
        afterwards = memory(target.pid)
        # Timed without memory sampling, which costs CPU time.
        reads = [read_list(target) for _ in range(EXPORT_RUNS)]
    found = {
        "idle_memory": idle,
        "peak_memory": max(samples),
        "memory_afterwards": afterwards,
        "bytes": reads[0]["bytes"],
        "seconds": statistics.median(read["seconds"] for read in reads),
        "first_byte": statistics.median(read["first_byte"] for read in reads),
    }
    log_progress(f"list of 1,000,000: {found}")
    return found


def read_list(target: Target) -> dict[str, float]:
    """Read the whole list; return its size, the total time and the time to first byte."""
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=120)
    begin = time.perf_counter()
    connection.request("GET", TODOS)
    response = connection.getresponse()
    length = len(response.read(1))
    first_byte = time.perf_counter() - begin
    last_byte = 0
    while count := response.readinto(BUFFER):
        length += count
        last_byte = BUFFER[count - 1]
    seconds = time.perf_counter() - begin
    connection.close()
    if response.status != 200 or last_byte != ord("]"):
        raise SystemExit(f"The list of 1,000,000 is truncated (status {response.status})")
    return {"bytes": length, "seconds": seconds, "first_byte": first_byte}


@contextmanager
def sampled_memory(pid: int) -> Iterator[list[int]]:
    """Sample the memory usage of the process tree `pid` during the block."""
    samples = [memory(pid)]
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(SAMPLE_SECONDS):
            samples.append(memory(pid))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()


class Sink:
    """Count the bytes written."""

    def __init__(self) -> None:
        self.bytes = 0

    def write(self, data: bytes) -> None:
        self.bytes += len(data)


def copy(database: Database) -> dict[str, float]:
    """Measure how fast PostgreSQL itself returns the same todos as JSON."""
    seconds = []
    with (
        closing(psycopg2.connect(database.url("todoapp_million"))) as connection,
        connection.cursor() as cursor,
    ):
        for _ in range(EXPORT_RUNS):
            sink = Sink()
            begin = time.perf_counter()
            cursor.copy_expert(COPY, sink)
            seconds.append(time.perf_counter() - begin)
    found = {"bytes": sink.bytes, "seconds": statistics.median(seconds)}
    log_progress(f"COPY of {SIZES['million']:,}: {found}")
    return found


def log_progress(line: str) -> None:
    """Print a line to stderr."""
    print(line, file=sys.stderr, flush=True)
