"""What requests cost this service at a hundred to ten million todos, sent one after the other."""

import http.client
import json
import resource
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from random import Random
from statistics import median
from typing import Any

import psycopg2

from benchmarks.datasets import BINARIES, PATH, ROOT, SEARCH_WORD, Database, log_progress, make
from benchmarks.plans import LOG_STATEMENTS, captured_statement, explain
from benchmarks.processes import memory
from benchmarks.scenarios import PAGE, TODOS, page_after
from benchmarks.servers import THIS
from benchmarks.targets import Target, running

DATASETS = ("curve_hundred", "curve_ten_thousand", "curve_million", "curve_ten_million")
COMMON_WORD = "the"
MEASURE_SECONDS = 3
SAMPLE_SECONDS = 0.05
# The limit for requests would hide how long the most expensive ones take.
TIMEOUT_SECONDS = 1000
SERVER = replace(THIS, environ={**THIS.environ, "DB_STATEMENT_TIMEOUT": str(TIMEOUT_SECONDS)})
BUFFER = bytearray(1 << 20)
# The JSON that a client receives, built by PostgreSQL from the five columns.
COPY = (
    "COPY (SELECT row_to_json(todos) FROM (SELECT id, description, completed, created_at,"
    " updated_at FROM todos ORDER BY id) AS todos) TO STDOUT"
)

random = Random(1)  # noqa: S311  # the same todos in each run


@dataclass(frozen=True)
class Operation:
    """A kind of request.

    Attributes:
        path: returns the path of the next request for a number of todos.
        is_explained: whether the plan of its statement is part of the result.
    """

    name: str
    path: Callable[[int], str]
    method: str = "GET"
    body: dict[str, Any] | None = None
    is_explained: bool = False


def one(todos: int) -> str:
    """Return the path of a random todo."""
    return f"{TODOS}/{random.randint(1, todos)}"


def collection(query: str = "") -> Callable[[int], str]:
    """Return a function that returns the path of the collection, whatever the number of todos."""
    return lambda _: TODOS + query


FULL_LIST = Operation("full list", collection())
# First those that leave the todos as they are.
OPERATIONS = (
    Operation("get", one),
    Operation("first page", collection(f"?limit={PAGE}"), is_explained=True),
    Operation("last page", lambda todos: page_after(todos - PAGE), is_explained=True),
    Operation(
        "search, rare word", collection(f"?search={SEARCH_WORD}&limit={PAGE}"), is_explained=True
    ),
    Operation(
        "search, common word", collection(f"?search={COMMON_WORD}&limit={PAGE}"), is_explained=True
    ),
    FULL_LIST,
    Operation("patch", one, "PATCH", {"completed": True}),
    Operation("create", collection(), "POST", {"description": "Buy groceries for the weekend"}),
)
COMPLETE_ALL = Operation(
    "complete all", collection("?status=incomplete"), "PATCH", {"completed": True}
)
EXPORT = "export"


def measure_curve(database: Database) -> list[dict[str, Any]]:
    """Create each dataset, measure it, and drop it again; return the results."""
    results = []
    for dataset in DATASETS:
        make(database, "todoapp", dataset, ROOT)
        database.execute("CHECKPOINT")
        results.append(measure_dataset(database, dataset))
        database.execute(f"DROP DATABASE todoapp_{dataset}")
    return results


def measure_dataset(database: Database, dataset: str) -> dict[str, Any]:
    """Return the sizes, the memory of the service, and the cost of each operation."""
    name = f"todoapp_{dataset}"
    todos = int(database.execute("SELECT count(*) FROM todos", name)[0][0])
    found: dict[str, Any] = {"todos": todos, **sizes(database, name)}
    costs = {EXPORT: export(database, name)}
    found["copy_seconds"] = copy(database, name)
    with running(SERVER, dataset, database, LOG_STATEMENTS) as target:
        plans = {
            operation.name: explain(
                database, name, captured_statement(target, operation.path(todos))
            )
            for operation in OPERATIONS
            if operation.is_explained
        }
    with running(SERVER, dataset, database) as target:
        found["idle_memory"] = memory(target.pid)
        with sampled_memory(target.pid) as samples, connected(target) as connection:
            send(connection, FULL_LIST, todos)
        found["peak_memory"] = max(samples)
        costs |= {each.name: cost(target, each, todos, MEASURE_SECONDS) for each in OPERATIONS}
        # Only the first request changes all todos.
        costs[COMPLETE_ALL.name] = cost(target, COMPLETE_ALL, todos, seconds=0)
    found["costs"] = {
        operation: each | plans.get(operation, {}) for operation, each in costs.items()
    }
    return found


def sizes(database: Database, name: str) -> dict[str, Any]:
    """Return the bytes of the table and of each index."""
    table = database.execute("SELECT pg_table_size('todos')", name)[0][0]
    indexes = database.execute(
        "SELECT indexrelid::regclass::text, pg_relation_size(indexrelid)"
        " FROM pg_index WHERE indrelid = 'todos'::regclass ORDER BY 1",
        name,
    )
    return {"table_bytes": table, "index_bytes": dict(indexes)}


@contextmanager
def connected(target: Target) -> Iterator[http.client.HTTPConnection]:
    """Return a connection to the server, and close it at the end of the block."""
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=TIMEOUT_SECONDS)
    with closing(connection):
        yield connection


def cost(target: Target, operation: Operation, todos: int, seconds: float) -> dict[str, float]:
    """Send requests for so many seconds, at least one; return what each of them cost."""
    with connected(target) as connection:
        if seconds:
            send(connection, operation, todos)  # connects to the database, and fills caches
        target.settle()
        server_before, postgres_before = target.cpu_seconds()
        begin = time.perf_counter()
        requests, first_bytes = 0, []
        while not requests or time.perf_counter() - begin < seconds:
            first_bytes.append(send(connection, operation, todos))
            requests += 1
        elapsed = time.perf_counter() - begin
        server_after, postgres_after = target.cpu_seconds()
    found = {
        "requests": requests,
        "server_cpu": (server_after - server_before) / requests,
        "postgres_cpu": (postgres_after - postgres_before) / requests,
        "seconds": elapsed / requests,
        "first_byte": median(first_bytes),
    }
    log_progress(f"{todos:,} todos, {operation.name}: {found}")
    return found


def send(connection: http.client.HTTPConnection, operation: Operation, todos: int) -> float:
    """Send one request, and read its response; return the seconds until its first byte."""
    body = json.dumps(operation.body) if operation.body else None
    path = operation.path(todos)
    begin = time.perf_counter()
    connection.request(operation.method, path, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    last_byte = response.read(1)
    first_byte = time.perf_counter() - begin
    while count := response.readinto(BUFFER):
        last_byte = bytes(BUFFER[count - 1 : count])
    if response.status >= 400 or last_byte not in (b"]", b"}"):
        raise SystemExit(f"{operation.method} {path}: status {response.status}, or truncated")
    return first_byte


@contextmanager
def sampled_memory(pid: int) -> Iterator[list[int]]:
    """Sample the memory of the process tree `pid` during the block."""
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


def export(database: Database, name: str) -> dict[str, float]:
    """Measure `flask todos export`, with the start of its process."""
    before, postgres_before = resource.getrusage(resource.RUSAGE_CHILDREN), database.cpu_seconds()
    begin = time.perf_counter()
    subprocess.run(
        (BINARIES / "flask", "todos", "export"),
        cwd=ROOT,
        env={"PATH": PATH, "DATABASE_URL": database.url(name), "LOG_LEVEL": "warning"},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    elapsed = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = {
        "server_cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "postgres_cpu": database.cpu_seconds() - postgres_before,
        "seconds": elapsed,
    }
    log_progress(f"{EXPORT}: {found}")
    return found


def copy(database: Database, name: str) -> float:
    """Return how many seconds PostgreSQL itself takes to return the same todos as JSON."""
    with closing(psycopg2.connect(database.url(name))) as connection, connection.cursor() as cursor:
        begin = time.perf_counter()
        cursor.copy_expert(COPY, Sink())
        return time.perf_counter() - begin


class Sink:
    """A file that discards what is written."""

    def write(self, data: bytes) -> None:
        """Discard it."""
