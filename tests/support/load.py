"""Load generator that records every outcome, to check that no acknowledged write is lost."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import requests

from dev.postgres import Postgres
from tests.support.waiting import wait_until

State = tuple[str, bool] | None
"""The description and the `completed` flag of a todo; None if the todo does not exist."""

PAUSE_SECONDS = 0.02
"""Backoff after a failure: retrying at once would only use up the CPU that the service needs."""


@dataclass(frozen=True)
class Outcome:
    """Outcome of one request; times are those of `time.monotonic()`."""

    method: str
    status: int | None
    detail: str
    retry_after: str | None
    started: float
    ended: float

    @property
    def connection_lost(self) -> bool:
        """Whether the connection was lost before a response arrived."""
        return self.status is None

    @property
    def failed(self) -> bool:
        """Whether the connection was lost, or the response is a server error (5xx)."""
        return self.status is None or self.status >= 500

    @property
    def is_uncertain(self) -> bool:
        """Whether the change may have been made despite the failure.

        A proxy responds 502 or 504 if it loses the service. The service itself says so in its 503
        if the database stops responding after the statement was sent.
        """
        return self.failed and (self.status != 503 or "may have been made" in self.detail)

    @property
    def seconds(self) -> float:
        """Latency of the request."""
        return self.ended - self.started


class Load:
    """Recorded outcomes, and the state of the table that follows from them."""

    def __init__(
        self, address: str, reconnect: bool = False, deletes_are_repeated: bool = False
    ) -> None:
        """Set the service's address, and how clients behave.

        Args:
            address: the URL of the service or of its proxy.
            reconnect: whether to open a new connection for each request.
            deletes_are_repeated: whether a proxy may send a DELETE again, and so get a 404.
        """
        self.address = address
        self.reconnect = reconnect
        self.deletes_are_repeated = deletes_are_repeated
        self.outcomes: list[Outcome] = []
        self.expected: dict[int, set[State]] = {}
        self.possibly_created: set[str] = set()
        self.unexpected_errors: list[str] = []
        self.stopping = threading.Event()

    # While the load runs

    def wait_for(self, count: int, condition: Callable[[Outcome], object] = lambda _: True) -> None:
        """Wait for `count` matching outcomes of requests that start from now on."""
        now = time.monotonic()
        wait_until(
            lambda: (
                self.unexpected_errors
                or sum(1 for outcome in self.outcomes_since(now) if condition(outcome)) >= count
            )
        )

    def wait_for_successes(self, count: int) -> None:
        """Wait for `count` more requests to succeed.

        Use this to measure recovery: during an outage each client fails about fifty times a
        second, so a number of responses does not show whether the service has recovered.
        """
        self.wait_for(count, lambda outcome: not outcome.failed)

    # After the load has ended

    def outcomes_since(self, start: float, end: float | None = None) -> list[Outcome]:
        """Return the outcomes of requests that started after `start` and ended before `end`."""
        return [
            outcome
            for outcome in self.outcomes.copy()
            if outcome.started >= start and (end is None or outcome.ended <= end)
        ]

    def recovery_time(self, since: float) -> float:
        """Return the seconds from `since` until the service had fully recovered.

        That is after the last failure, and after a request of each method has succeeded.
        """
        last_failure = max(
            (outcome.ended for outcome in self.outcomes if outcome.failed), default=0
        )
        latest_first = sorted(
            self.outcomes_since(since), key=lambda outcome: outcome.ended, reverse=True
        )
        successes = {
            outcome.method: outcome.ended for outcome in latest_first if not outcome.failed
        }
        assert {"POST", "GET", "PATCH", "DELETE"} <= successes.keys(), "no recovery"
        return max(last_failure, *successes.values(), since) - since

    def max_latency(self, start: float, end: float) -> float:
        """Return the longest time that a client waited between `start` and `end`."""
        return max(
            min(outcome.ended, end) - max(outcome.started, start)
            for outcome in self.outcomes
            if outcome.ended >= start and outcome.started <= end
        )

    def assert_unavailable(self, start: float, end: float, within: float) -> None:
        """Check that every request between `start` and `end` got a 503 within `within` seconds."""
        outcomes = self.outcomes_since(start, end)
        assert outcomes, "no requests between start and end"
        assert {(outcome.status, outcome.retry_after) for outcome in outcomes} == {(503, "1")}
        # Includes requests that were in progress at `start`.
        assert self.max_latency(start, end) <= within

    def assert_durable(self, postgres: Postgres) -> None:
        """Check that the table contains exactly the acknowledged writes."""
        self.assert_acknowledged(
            {
                todo_id: (description, completed)
                for todo_id, description, completed in postgres.execute(
                    "SELECT id, description, completed FROM todos", "todos"
                )
            }
        )

    def assert_acknowledged(self, rows: dict[int, State]) -> None:
        """Check that `rows`, by their IDs, are exactly the acknowledged writes."""
        wrong = {
            todo_id: (rows.get(todo_id), states)
            for todo_id, states in self.expected.items()
            if rows.get(todo_id) not in states
        }
        assert not wrong, f"(in the table, acknowledged): {wrong}"
        others = [row[0] for todo_id, row in rows.items() if todo_id not in self.expected]
        assert sorted(others) == sorted(set(others)), "a todo was created twice"
        assert set(others) <= self.possibly_created, "a todo exists whose creation was refused"


class Client:
    """Client that changes only the todos it has created, so their expected state is known."""

    def __init__(self, load: Load, name: str) -> None:
        self.load = load
        self.name = name
        self.count = 0
        self.random = random.Random(name)  # noqa: S311  # not security-relevant
        self.session = requests.Session()
        self.own_todos: list[int] = []

    def run(self) -> None:
        """Send requests until the load ends."""
        steps = (
            self.create,
            self.read,
            self.patch,
            self.read,
            self.patch,
            self.create,
            self.delete,
        )
        for step in cycle(steps):
            if self.load.stopping.is_set():
                return
            try:
                step()
            except Exception as error:  # noqa: BLE001  # reported by load()
                self.load.unexpected_errors.append(repr(error))
                return

    def create(self) -> None:
        self.count += 1
        description = f"{self.name}, number {self.count}"
        outcome, todo = self.request("POST", "", 201, {"description": description})
        if todo:
            self.load.expected[todo["id"]] = {(description, False)}
            self.own_todos.append(todo["id"])
        elif outcome.is_uncertain:
            self.load.possibly_created.add(description)

    def read(self) -> None:
        for todo_id in self.random_own_todo():
            _, todo = self.request("GET", f"/{todo_id}", 200)
            if todo:
                (expected,) = self.load.expected[todo_id]
                assert (todo["description"], todo["completed"]) == expected

    def patch(self) -> None:
        self.count += 1
        for todo_id in self.random_own_todo():
            ((description, completed),) = self.load.expected[todo_id]
            change: dict[str, Any] = self.random.choice(
                ({"completed": not completed}, {"description": f"{self.name}, {self.count}"})
            )
            after = (
                change.get("description", description),
                change.get("completed", completed),
            )
            outcome, _ = self.request("PATCH", f"/{todo_id}", 200, change)
            self.record(todo_id, outcome, after)

    def delete(self) -> None:
        for todo_id in self.random_own_todo():
            outcome, _ = self.request("DELETE", f"/{todo_id}", 204)
            self.record(todo_id, outcome, None)
            if not outcome.failed:
                self.own_todos.remove(todo_id)
                self.request("GET", f"/{todo_id}", 404)

    def random_own_todo(self) -> list[int]:
        return self.random.sample(self.own_todos, 1) if self.own_todos else []

    def record(self, todo_id: int, outcome: Outcome, after: State) -> None:
        """Record the expected state of a todo; stop using the todo if its state is uncertain."""
        if not outcome.failed:
            self.load.expected[todo_id] = {after}
        elif outcome.is_uncertain:
            self.load.expected[todo_id].add(after)
            self.own_todos.remove(todo_id)

    def request(
        self, method: str, path: str, expected: int, body: dict[str, Any] | None = None
    ) -> tuple[Outcome, dict | None]:
        """Send a request; return its outcome, and the todo if the response contains one."""
        if self.load.reconnect:
            self.session.close()
        started = time.monotonic()
        try:
            response = self.session.request(
                method, f"{self.load.address}/api/todos{path}", json=body, timeout=60
            )
        except requests.RequestException as error:
            status, detail, retry_after, todo = None, str(error), None, None
        else:
            status, retry_after = response.status_code, response.headers.get("Retry-After")
            repeated = method == "DELETE" and status == 404 and self.load.deletes_are_repeated
            assert repeated or status in (expected, 502, 503, 504), (
                f"{method}: {status} {response.text}"
            )
            detail = response.json()["detail"] if status >= 400 else ""
            todo = response.json() if status in (200, 201) else None
        outcome = Outcome(method, status, detail, retry_after, started, time.monotonic())
        self.load.outcomes.append(outcome)
        if outcome.failed:
            time.sleep(PAUSE_SECONDS)
        return outcome, todo


@contextmanager
def load(address: str, clients: int = 4, **options: bool) -> Iterator[Load]:
    """Run clients against the service at `address` until the block ends, then join them."""
    log = Load(address, **options)
    threads = [
        threading.Thread(target=Client(log, f"Client {number}").run) for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    try:
        log.wait_for(10 * clients)
        yield log
    finally:
        log.stopping.set()
        for thread in threads:
            thread.join()
    assert not log.unexpected_errors, log.unexpected_errors
