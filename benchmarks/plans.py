"""The statement that a request sends, and its plan."""

import re
import statistics
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import quote

import psycopg2

from benchmarks.datasets import Database
from benchmarks.targets import Target
from todoapp.database.engine import WORK_MEM

RUNS = 7
LOG_STATEMENTS = "?options=" + quote("-c log_min_duration_statement=0", safe="")
"""Appended to DATABASE_URL, lets PostgreSQL log all statements."""

# A statement in PostgreSQL's log. Continuation lines begin with a tab.
LOGGED = re.compile(r"LOG:  duration: \S+ ms  statement: (.*(?:\n\t.*)*)")


def captured_statement(target: Target, path: str) -> str:
    """Send a GET to a target with LOG_STATEMENTS; return its statement from PostgreSQL's log."""
    # The text is complete, because psycopg2 interpolates parameters on the client side.
    begin = target.database.log.stat().st_size
    target.request("GET", path).raise_for_status()
    logged = target.database.log.read_bytes()[begin:].decode()
    found = [each.replace("\n\t", "\n") for each in LOGGED.findall(logged)]
    statements: list[str] = [each for each in found if "todos" in each]
    if len(statements) != 1:
        raise SystemExit(f"{path}: expected one statement, got {statements}")
    return statements[0]


def explain(database: Database, name: str, statement: str) -> dict[str, Any]:
    """Return the plan of `statement`, and the median of its times over several executions.

    The connection has the memory that the service requests for its own.
    """
    explain_statement = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}"
    results: list[dict[str, Any]] = []
    with (
        closing(psycopg2.connect(database.url(name), options=WORK_MEM)) as connection,
        connection.cursor() as cursor,
    ):
        for _ in range(RUNS):
            cursor.execute(explain_statement)
            results += cursor.fetchall()[0][0]
    return {
        "statement": " ".join(statement.split()),
        "execution_ms": statistics.median(result["Execution Time"] for result in results),
        "planning_ms": statistics.median(result["Planning Time"] for result in results),
        "plan": " ← ".join(_nodes(results[0]["Plan"])),
    }


def _nodes(plan: dict[str, Any]) -> Iterator[str]:
    """Yield the names of the nodes of a plan, from the root to the leaves."""
    yield plan["Node Type"] + (f" ({plan['Index Name']})" if "Index Name" in plan else "")
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
