"""What slow clients cost the others, and the process: nothing that can be noticed."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import requests

from tests.support.database_server import Server, running
from tests.support.raw import LIVE, POST, client, read_until_closed
from tests.support.waiting import wait_until
from tests.support.web import WebProcess, serving

pytestmark = pytest.mark.slow

Measured = Callable[..., None]

AT_ONCE = 0.5
"""Seconds within which others have to be served."""

BOUND = 4
"""REQUEST_TIMEOUT, to be quick."""

MIB = 2**20
MOST_MEMORY = 384 * MIB
"""What unread responses may take of the memory of two workers. 64 MiB each are kept; a part
of a response stays whole until all of it is sent, and the application may hold a copy."""

BUNDLE = b"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"
LIST = b"GET /api/todos HTTP/1.1\r\nHost: x\r\n\r\n"
HALF_A_HEAD = b"GET / HTTP/1.1\r\nX: "
HALF_A_BODY = POST + b'Content-Length: 100\r\n\r\n{"des'
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("slow") / "postgres", migrated) as postgres:
        yield postgres


@pytest.fixture(scope="module")
def web(server: Server) -> Iterator[WebProcess]:
    server.execute(
        "INSERT INTO todos (description)"
        " SELECT repeat(md5(n::text), 15) FROM generate_series(1, 100000) AS n",
        "todos",
    )
    environ = {"REQUEST_TIMEOUT": str(BOUND), "MALLOC_MMAP_THRESHOLD_": str(256 * 1024)}
    # So that glibc returns what is freed, and the memory that is measured is what is held.
    with serving(DATABASE_URL=server.address, **environ) as process:
        yield process


def workers(web: WebProcess) -> list[psutil.Process]:
    return psutil.Process(web.process.pid).children()


def memory(web: WebProcess) -> int:
    """Return how many bytes the workers have for themselves."""
    return sum(worker.memory_full_info().uss for worker in workers(web))


def temporary_files(web: WebProcess) -> set[str]:
    """Return the files without a name that the workers have open."""
    opened = {
        str(descriptor.readlink())
        for worker in workers(web)
        for descriptor in Path(f"/proc/{worker.pid}/fd").iterdir()
        if descriptor.is_symlink()
    }
    return {path for path in opened if path.endswith("(deleted)")}


def cpu_seconds(web: WebProcess) -> float:
    """Return the CPU time of the workers."""
    return sum(sum(worker.cpu_times()[:2]) for worker in workers(web))


def cost(web: WebProcess, data: bytes) -> float:
    """Return the CPU time that a request takes, the least of three: others may be served too."""
    costs = []
    for _ in range(3):
        before = cpu_seconds(web)
        with client(web, data) as connection:
            assert connection.recv(9) == b"HTTP/1.1 "
        costs.append(cpu_seconds(web) - before)
    return min(costs)


def longest_wait(web: WebProcess, seconds: float = 1) -> float:
    """Read a todo again and again, each time on a new connection; return the longest wait."""
    longest, end = 0.0, time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        assert requests.get(web.url("/api/todos/1"), timeout=60).status_code == 200
        longest = max(longest, time.monotonic() - began)
    return longest


@contextmanager
def many(web: WebProcess, count: int, data: bytes = b"") -> Iterator[list[socket.socket]]:
    """So many clients that have sent `data`."""
    with ExitStack() as stack:
        yield [stack.enter_context(client(web, data)) for _ in range(count)]


@contextmanager
def in_background(step: Callable[[], None], pause: float) -> Iterator[None]:
    """Do something again and again, until the block ends."""
    ending = threading.Event()

    def repeat() -> None:
        while not ending.wait(pause):
            step()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


@pytest.mark.parametrize(
    ("count", "data"),
    [(100, HALF_A_HEAD), (100, HALF_A_BODY), (300, HALF_A_HEAD), (300, HALF_A_BODY)],
    ids=["100 half heads", "100 half bodies", "300 half heads", "300 half bodies"],
)
def test_half_requests_delay_no_others_and_end_when_their_time_is_over(
    web: WebProcess, measured: Measured, request: pytest.FixtureRequest, count: int, data: bytes
) -> None:
    began = time.monotonic()
    with many(web, count, data) as clients:
        longest = longest_wait(web)
        last_words = [read_until_closed(each) for each in clients]
        ended = time.monotonic() - began

    assert {words.partition(b"\r\n")[0] for words in last_words} == {
        b"HTTP/1.1 408 REQUEST TIMEOUT"
    }
    measured(f"{request.node.callspec.id}: longest wait of others", longest)
    measured(f"{request.node.callspec.id}: all are cut off after", ended)
    assert longest < AT_ONCE
    assert BOUND - 1 < ended < BOUND + 2


def test_a_byte_a_second_gains_no_time(web: WebProcess, measured: Measured) -> None:
    began = time.monotonic()
    with many(web, 100, HALF_A_HEAD) as clients:

        def send_a_byte() -> None:
            for each in clients:
                with suppress(OSError):
                    each.send(b"x")

        with in_background(send_a_byte, pause=1):
            longest = longest_wait(web)
            for each in clients:
                # More may have been sent to a connection that was closed.
                with suppress(ConnectionResetError):
                    assert b" 408 " in read_until_closed(each)
        ended = time.monotonic() - began

    measured("100 clients with a byte a second: longest wait of others", longest)
    assert longest < AT_ONCE
    assert ended < BOUND + 3


@pytest.mark.parametrize(
    "data", [BUNDLE * 8, LIST], ids=["8 pipelined files", "a list of 100,000 todos"]
)
def test_clients_that_read_nothing_delay_no_others_and_take_little_memory(
    web: WebProcess, measured: Measured, request: pytest.FixtureRequest, data: bytes
) -> None:
    longest_wait(web)
    idle, waits, most, before = memory(web), [], 0, temporary_files(web)
    # Others come before the time of the first ones is over.
    for _ in range(3):
        with many(web, 16, data):
            waits.append(longest_wait(web, seconds=0.9 * BOUND))
            most = max(most, memory(web))
            assert temporary_files(web) == before

    measured(f"16 clients do not read {request.node.callspec.id}: longest wait", max(waits))
    what = f"16 clients do not read {request.node.callspec.id}: memory"
    measured(what, (most - idle) / MIB, unit="MiB")
    assert max(waits) < AT_ONCE
    assert most - idle < MOST_MEMORY


def test_clients_that_read_slowly_delay_no_others(web: WebProcess, measured: Measured) -> None:
    longest_wait(web)
    idle, received = memory(web), [0] * 16
    with many(web, 16, LIST) as clients:
        began = time.monotonic()

        def read_some() -> None:
            due = int((time.monotonic() - began) * 300 * 1024)
            for number, each in enumerate(clients):
                received[number] += len(each.recv(max(due - received[number], 1)))

        with in_background(read_some, pause=0.05):
            longest = longest_wait(web, seconds=3 * BOUND)
        most = memory(web)

    measured("16 clients read a list at 300 KiB/s: longest wait of others", longest)
    measured("16 clients read a list at 300 KiB/s: memory", (most - idle) / MIB, unit="MiB")
    assert longest < AT_ONCE
    assert most - idle < MOST_MEMORY
    # None was cut off.
    assert min(received) > 3 * BOUND * 256 * 1024


@pytest.mark.parametrize("data", [b"", HALF_A_HEAD], ids=["idle", "half a head"])
def test_with_2400_connections_a_new_client_is_served_within_a_second(
    web: WebProcess, measured: Measured, request: pytest.FixtureRequest, data: bytes
) -> None:
    with many(web, 2400, data):
        longest = longest_wait(web)

    measured(f"2,400 connections, {request.node.callspec.id}: longest wait", longest)
    assert longest < 1


def test_a_body_in_39000_chunks_costs_less_than_50_ms(web: WebProcess, measured: Measured) -> None:
    body = b'{"description": "x"}'.ljust(39_000)
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    wait_until(lambda: cost(web, LIVE) == 0)  # nothing is left to do for earlier clients
    each = cost(web, CHUNKED + chunks + b"0\r\n\r\n")

    measured("a body in 39,000 chunks: CPU", each * 1000, unit="ms")
    assert each < 0.05


def test_300_bodies_of_tiny_chunks_delay_no_others(web: WebProcess, measured: Measured) -> None:
    with many(web, 300, CHUNKED + b"1\r\na\r\n" * (65 * 1024 // 6)):
        longest = longest_wait(web)

    measured("300 unfinished bodies of tiny chunks: longest wait of others", longest)
    assert longest < AT_ONCE


@pytest.mark.parametrize(
    "name",
    [
        *(b"Expect", b"Content-Length", b"Transfer-Encoding", b"Host", b"Connection"),
        *(b"Origin", b"If-None-Match", b"If-Match", b"Content-Type", b"Accept-Encoding"),
        *(b"X-Request-ID", b"X-Forwarded-For", b"Cookie"),
    ],
)
def test_hostile_heads_cost_less_than_50_ms(
    web: WebProcess, measured: Measured, name: bytes
) -> None:
    heads = [
        b"GET /health/live HTTP/1.1\r\n" + name + b":" + before + blank * size + after + b"\r\n\r\n"
        for before in (b"", b"a")
        for blank in (b" ", b"\t", b" \t")
        for size in (100, 2_000, 15_000)
        for after in (b"", b"b", b"\r", b"\r\n x")
    ]
    most = max(cost(web, head) for head in heads)

    measured(f"a hostile head, {name.decode()}: CPU", most * 1000, unit="ms")
    assert most < 0.05


def test_unread_responses_are_bounded_as_a_whole(web: WebProcess, measured: Measured) -> None:
    idle = memory(web)
    with many(web, 400, LIST):
        wait_until(lambda: "output buffer limit reached" in web.output())
        longest = longest_wait(web)
        most = memory(web)

    measured("400 clients do not read a list: memory", (most - idle) / MIB, unit="MiB")
    measured("400 clients do not read a list: longest wait of others", longest)
    assert most - idle < MOST_MEMORY


def test_complete_responses_that_are_not_read_are_bounded_and_make_room(
    web: WebProcess, measured: Measured
) -> None:
    idle = memory(web)
    with many(web, 2400, b"GET /api/todos?limit=1000 HTTP/1.1\r\nHost: x\r\n\r\n"):
        longest = longest_wait(web)
        most = memory(web)

    measured("2,400 clients do not read a page of 1,000: memory", (most - idle) / MIB, unit="MiB")
    measured("2,400 clients do not read a page of 1,000: longest wait of others", longest)
    assert most - idle < MOST_MEMORY


def test_pipelines_of_small_requests_delay_no_others(web: WebProcess, measured: Measured) -> None:
    with many(web, 300, b"GET / HTTP/1.1\r\n\r\n" * 455):
        longest = longest_wait(web)

    measured("300 pipelines of 455 requests: longest wait of others", longest)
    assert longest < 2
