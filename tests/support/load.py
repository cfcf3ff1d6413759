"""Clients that create, read, patch and delete without pause, and write down every answer."""

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
"""The description of a todo, and whether it is completed; None where there is no such todo."""

PAUSE_SECONDS = 0.02
"""What a client waits after a failure: asking again at once would only take our own CPU."""


@dataclass(frozen=True)
class Answer:
    """What became of one request. The instants are those of `time.monotonic()`."""

    method: str
    status: int | None
    detail: str
    retry_after: str | None
    started: float
    ended: float

    @property
    def lost(self) -> bool:
        """Whether the connection broke before there was an answer."""
        return self.status is None

    @property
    def failed(self) -> bool:
        """Whether it is lost, or the service could not do its work."""
        return self.status is None or self.status >= 500

    @property
    def is_uncertain(self) -> bool:
        """Whether the change may have been made all the same.

        A proxy that has lost the service says 502 or 504. The service itself says so in a 503
        where the database fell silent after the statement was sent.
        """
        return self.failed and (self.status != 503 or "may have been made" in self.detail)

    @property
    def seconds(self) -> float:
        """How long the client waited."""
        return self.ended - self.started


class Load:
    """What clients were told, and so what the table must hold."""

    def __init__(self, address: str, connect_anew: bool = False) -> None:
        """Take the address of the service, and whether each request has its own connection."""
        self.address = address
        self.connect_anew = connect_anew
        self.answers: list[Answer] = []
        self.todos: dict[int, set[State]] = {}
        self.perhaps_created: set[str] = set()
        self.surprises: list[str] = []
        self.ending = threading.Event()

    # While it runs

    def wait_for(self, count: int, condition: Callable[[Answer], object] = lambda _: True) -> None:
        """Return after `count` more answers of requests that begin from now on."""
        now = time.monotonic()
        wait_until(
            lambda: (
                self.surprises or sum(1 for answer in self.since(now) if condition(answer)) >= count
            )
        )

    def wait_for_successes(self, count: int) -> None:
        """Return after `count` more requests have succeeded.

        Use it where recovery is measured: during an outage a client fails some fifty times a
        second, so a number of responses says nothing about whether the service is back.
        """
        self.wait_for(count, lambda answer: not answer.failed)

    # Afterwards

    def since(self, start: float, end: float | None = None) -> list[Answer]:
        """Return what was answered to requests that began after `start` and ended before `end`."""
        return [
            answer
            for answer in self.answers.copy()
            if answer.started >= start and (end is None or answer.ended <= end)
        ]

    def recovery(self, since: float) -> float:
        """Return how many seconds after `since` the service was whole again, to stay so.

        That is when the last failure was answered, and a request of each kind succeeded.
        """
        last_failure = max([answer.ended for answer in self.answers if answer.failed], default=0)
        successes = {
            answer.method: answer.ended
            for answer in sorted(self.since(since), key=lambda answer: answer.ended, reverse=True)
            if not answer.failed
        }
        assert {"POST", "GET", "PATCH", "DELETE"} <= successes.keys(), "it did not recover"
        return max(last_failure, *successes.values(), since) - since

    def longest_wait(self, start: float, end: float) -> float:
        """Return the longest that any client waited between the two instants."""
        return max(
            min(answer.ended, end) - max(answer.started, start)
            for answer in self.answers
            if answer.ended >= start and answer.started <= end
        )

    def assert_refused(self, start: float, end: float, within: float) -> None:
        """Check that whatever was asked between the two instants is a proper 503, in time."""
        answers = self.since(start, end)
        assert answers, "nothing was asked meanwhile"
        assert {(answer.status, answer.retry_after) for answer in answers} == {(503, "1")}
        # Those count too that were under way already.
        assert self.longest_wait(start, end) <= within

    def assert_kept(self, postgres: Postgres) -> None:
        """Check that the table holds exactly what was acknowledged."""
        rows = {
            todo_id: (description, completed)
            for todo_id, description, completed in postgres.execute(
                "SELECT id, description, completed FROM todos", "todos"
            )
        }
        wrong = {
            todo_id: (rows.get(todo_id), states)
            for todo_id, states in self.todos.items()
            if rows.get(todo_id) not in states
        }
        assert not wrong, f"(in the table, as it was answered): {wrong}"
        others = [row[0] for todo_id, row in rows.items() if todo_id not in self.todos]
        assert sorted(others) == sorted(set(others)), "a todo was created twice"
        assert set(others) <= self.perhaps_created, "a todo is there whose creation was refused"


class Client:
    """One client. What it created it alone changes, so it knows how each todo must be."""

    def __init__(self, load: Load, name: str) -> None:
        self.load = load
        self.name = name
        self.count = 0
        self.random = random.Random(name)  # noqa: S311  # nothing secret
        self.session = requests.Session()
        self.mine: list[int] = []

    def run(self) -> None:
        """Go on until the load ends."""
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
            if self.load.ending.is_set():
                return
            try:
                step()
            except Exception as error:  # noqa: BLE001  # told by load()
                self.load.surprises.append(repr(error))
                return

    def create(self) -> None:
        self.count += 1
        description = f"{self.name}, number {self.count}"
        answer, todo = self.ask("POST", "", 201, {"description": description})
        if todo:
            self.load.todos[todo["id"]] = {(description, False)}
            self.mine.append(todo["id"])
        elif answer.is_uncertain:
            self.load.perhaps_created.add(description)

    def read(self) -> None:
        for todo_id in self.one_of_mine():
            _, todo = self.ask("GET", f"/{todo_id}", 200)
            if todo:
                (expected,) = self.load.todos[todo_id]
                assert (todo["description"], todo["completed"]) == expected

    def patch(self) -> None:
        self.count += 1
        for todo_id in self.one_of_mine():
            ((description, completed),) = self.load.todos[todo_id]
            change: dict[str, Any] = self.random.choice(
                ({"completed": not completed}, {"description": f"{self.name}, {self.count}"})
            )
            after = (
                change.get("description", description),
                change.get("completed", completed),
            )
            answer, _ = self.ask("PATCH", f"/{todo_id}", 200, change)
            self.note(todo_id, answer, after)

    def delete(self) -> None:
        for todo_id in self.one_of_mine():
            answer, _ = self.ask("DELETE", f"/{todo_id}", 204)
            self.note(todo_id, answer, None)
            if not answer.failed:
                self.mine.remove(todo_id)
                self.ask("GET", f"/{todo_id}", 404)

    def one_of_mine(self) -> list[int]:
        return self.random.sample(self.mine, 1) if self.mine else []

    def note(self, todo_id: int, answer: Answer, after: State) -> None:
        """Write down how the todo is now, and leave it alone where that is not certain."""
        if not answer.failed:
            self.load.todos[todo_id] = {after}
        elif answer.is_uncertain:
            self.load.todos[todo_id].add(after)
            self.mine.remove(todo_id)

    def ask(
        self, method: str, path: str, expected: int, body: dict[str, Any] | None = None
    ) -> tuple[Answer, dict | None]:
        """Send a request; return what became of it, and the todo where there is one."""
        if self.load.connect_anew:
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
            assert status in (expected, 502, 503, 504), f"{method}: {status} {response.text}"
            detail = response.json()["detail"] if status >= 400 else ""
            todo = response.json() if status in (200, 201) else None
        answer = Answer(method, status, detail, retry_after, started, time.monotonic())
        self.load.answers.append(answer)
        if answer.failed:
            time.sleep(PAUSE_SECONDS)
        return answer, todo


@contextmanager
def load(address: str, clients: int = 4, connect_anew: bool = False) -> Iterator[Load]:
    """Let clients use the service at `address` until the block ends; then all have their answer."""
    log = Load(address, connect_anew)
    threads = [
        threading.Thread(target=Client(log, f"Client {number}").run) for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    try:
        log.wait_for(10 * clients)
        yield log
    finally:
        log.ending.set()
        for thread in threads:
            thread.join()
    assert not log.surprises, log.surprises
