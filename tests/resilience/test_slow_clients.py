"""Slow and hostile clients: bounds on the latency of others, on memory and on CPU time."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import requests

from tests.support.database_server import Server, running
from tests.support.raw import LIVE, POST, client, read_until_closed
from tests.support.todos import insert_todos
from tests.support.types import Measured
from tests.support.waiting import wait_until
from tests.support.web import WebProcess, serving

pytestmark = pytest.mark.slow

WORKERS = 2
MAX_LATENCY = 0.5
"""Seconds within which other clients must be served."""

REQUEST_TIMEOUT = 4
"""Seconds; shorter than the default, to keep the tests fast."""

MIB = 2**20
MAX_MEMORY = 384 * MIB
"""Memory that unread responses may use in both workers. Each buffers up to 64 MiB; a part of a
response is freed only once all of it is sent, and the application may hold a copy."""

GET_BUNDLE = b"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"
GET_LIST = b"GET /api/todos HTTP/1.1\r\nHost: x\r\n\r\n"
PARTIAL_HEADER = b"GET / HTTP/1.1\r\nX: "
PARTIAL_BODY = POST + b'Content-Length: 100\r\n\r\n{"des'
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("slow") / "postgres", migrated) as postgres:
        yield postgres


@pytest.fixture(scope="module")
def web(server: Server) -> Iterator[WebProcess]:
    server.execute(
        insert_todos(100000),
        "todos",
    )
    environ = {"REQUEST_TIMEOUT": str(REQUEST_TIMEOUT), "MALLOC_MMAP_THRESHOLD_": str(256 * 1024)}
    # MALLOC_MMAP_THRESHOLD_ makes glibc return freed memory, so that USS shows memory in use.
    with serving(DATABASE_URL=server.address, **environ) as process:
        yield process


def memory(web: WebProcess) -> int:
    """Return the memory of the workers in bytes (USS)."""
    return sum(worker.memory_full_info().uss for worker in web.workers())


def temporary_files(web: WebProcess) -> set[str]:
    """Return the unlinked files that the workers have open."""
    opened = {
        str(descriptor.readlink())
        for worker in web.workers()
        for descriptor in Path(f"/proc/{worker.pid}/fd").iterdir()
        if descriptor.is_symlink()
    }
    return {path for path in opened if path.endswith("(deleted)")}


def cpu_seconds(web: WebProcess) -> float:
    """Return the CPU time of the workers."""
    return sum(sum(worker.cpu_times()[:2]) for worker in web.workers())


def cpu_cost(web: WebProcess, data: bytes) -> float:
    """Return the CPU time of a request: the minimum of three, to exclude other work."""
    costs = []
    for _ in range(3):
        before = cpu_seconds(web)
        with client(web, data) as connection:
            assert connection.recv(9) == b"HTTP/1.1 "
        costs.append(cpu_seconds(web) - before)
    return min(costs)


def max_latency(
    web: WebProcess, seconds: float = 1, clock: Callable[[], float] = time.monotonic
) -> float:
    """Read a todo repeatedly, each time on a new connection; return the maximum latency."""
    latency, end = 0.0, time.monotonic() + seconds
    while time.monotonic() < end:
        began = clock()
        assert requests.get(web.url("/api/todos/1"), timeout=60).status_code == 200
        latency = max(latency, clock() - began)
    return latency


@contextmanager
def many(web: WebProcess, count: int, data: bytes = b"") -> Iterator[list[socket.socket]]:
    """Connect `count` clients that each send `data`."""
    with ExitStack() as stack:
        yield [stack.enter_context(client(web, data)) for _ in range(count)]


@contextmanager
def in_background(step: Callable[[], None], pause: float) -> Iterator[None]:
    """Call `step()` repeatedly until the block ends."""
    stopping = threading.Event()

    def repeat() -> None:
        while not stopping.wait(pause):
            step()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


@pytest.mark.parametrize(
    ("count", "data"),
    [(100, PARTIAL_HEADER), (100, PARTIAL_BODY), (300, PARTIAL_HEADER), (300, PARTIAL_BODY)],
    ids=["100 partial headers", "100 partial bodies", "300 partial headers", "300 partial bodies"],
)
def test_partial_requests_delay_no_others_and_time_out(
    web: WebProcess, measured: Measured, request: pytest.FixtureRequest, count: int, data: bytes
) -> None:
    began = time.monotonic()
    with many(web, count, data) as clients:
        latency = max_latency(web)
        responses = [read_until_closed(connection) for connection in clients]
        ended = time.monotonic() - began

    assert {response.partition(b"\r\n")[0] for response in responses} == {
        b"HTTP/1.1 408 REQUEST TIMEOUT"
    }
    measured(f"{request.node.callspec.id}: max latency of others", latency)
    measured(f"{request.node.callspec.id}: time until all disconnected", ended)
    assert latency < MAX_LATENCY
    assert REQUEST_TIMEOUT - 1 < ended < REQUEST_TIMEOUT + 2


def test_sending_a_byte_per_second_does_not_extend_the_deadline(
    web: WebProcess, measured: Measured
) -> None:
    began = time.monotonic()
    with many(web, 100, PARTIAL_HEADER) as clients:

        def send_a_byte() -> None:
            for connection in clients:
                with suppress(OSError):
                    connection.send(b"x")

        with in_background(send_a_byte, pause=1):
            latency = max_latency(web)
            for connection in clients:
                # Sending on a closed connection resets it.
                with suppress(ConnectionResetError):
                    assert b" 408 " in read_until_closed(connection)
        ended = time.monotonic() - began

    measured("100 clients sending a byte per second: max latency of others", latency)
    assert latency < MAX_LATENCY
    assert ended < REQUEST_TIMEOUT + 3


@pytest.mark.parametrize(
    "data", [GET_BUNDLE * 8, GET_LIST], ids=["8 pipelined files", "a list of 100,000 todos"]
)
def test_unread_responses_delay_no_others_and_use_bounded_memory(
    web: WebProcess, measured: Measured, request: pytest.FixtureRequest, data: bytes
) -> None:
    max_latency(web)
    idle, latencies, peak, before = memory(web), [], 0, temporary_files(web)
    # New clients connect before the first ones have timed out.
    for _ in range(3):
        with many(web, 16, data):
            latencies.append(max_latency(web, seconds=0.9 * REQUEST_TIMEOUT))
            peak = max(peak, memory(web))
            assert temporary_files(web) == before

    name = f"16 clients not reading {request.node.callspec.id}"
    measured(f"{name}: max latency of others", max(latencies))
    measured(f"{name}: memory", (peak - idle) / MIB, unit="MiB")
    assert max(latencies) < MAX_LATENCY
    assert peak - idle < MAX_MEMORY


def test_slow_readers_delay_no_others(web: WebProcess, measured: Measured) -> None:
    max_latency(web)
    idle, received = memory(web), [0] * 16
    with many(web, 16, GET_LIST) as clients:
        began = time.monotonic()

        def read_some() -> None:
            due = int((time.monotonic() - began) * 300 * 1024)
            for number, connection in enumerate(clients):
                received[number] += len(connection.recv(max(due - received[number], 1)))

        with in_background(read_some, pause=0.05):
            latency = max_latency(web, seconds=3 * REQUEST_TIMEOUT)
        peak = memory(web)

    measured("16 clients reading a list at 300 KiB/s: max latency of others", latency)
    measured("16 clients reading a list at 300 KiB/s: memory", (peak - idle) / MIB, unit="MiB")
    assert latency < MAX_LATENCY
    assert peak - idle < MAX_MEMORY
    # No client was disconnected: each has read faster than the minimum rate throughout.
    assert min(received) > 3 * REQUEST_TIMEOUT * 256 * 1024


@pytest.mark.parametrize("data", [b"", PARTIAL_HEADER], ids=["idle", "partial headers"])
def test_a_new_client_is_served_within_a_second_despite_2400_connections(
    web: WebProcess, measured: Measured, request: pytest.FixtureRequest, data: bytes
) -> None:
    with many(web, 2400, data):
        latency = max_latency(web)

    measured(f"2,400 connections, {request.node.callspec.id}: max latency", latency)
    assert latency < 1


def test_a_body_in_39000_chunks_costs_less_than_50_ms(web: WebProcess, measured: Measured) -> None:
    body = b'{"description": "x"}'.ljust(39_000)
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    wait_until(lambda: cpu_cost(web, LIVE) == 0)  # work for earlier clients has ended
    seconds = cpu_cost(web, CHUNKED + chunks + b"0\r\n\r\n")

    measured("body in 39,000 chunks: CPU time", seconds * 1000, unit="ms")
    assert seconds < 0.05


def test_300_bodies_of_tiny_chunks_delay_no_others(web: WebProcess, measured: Measured) -> None:
    latencies = []
    for _ in range(3):
        with many(web, 300, CHUNKED + b"1\r\na\r\n" * (65 * 1024 // 6)):
            # Others wait while the workers parse these bodies. The CPU time of that, and the
            # minimum of three, exclude other work of the machine.
            latencies.append(max_latency(web, clock=lambda: cpu_seconds(web) / WORKERS))

    measured("300 partial bodies of tiny chunks: CPU time while others wait", min(latencies))
    assert min(latencies) < MAX_LATENCY


@pytest.mark.parametrize(
    "name",
    [
        *(b"Expect", b"Content-Length", b"Transfer-Encoding", b"Host", b"Connection"),
        *(b"Origin", b"If-None-Match", b"If-Match", b"Content-Type", b"Accept-Encoding"),
        *(b"X-Request-ID", b"X-Forwarded-For", b"Cookie"),
    ],
)
def test_hostile_headers_cost_less_than_50_ms(
    web: WebProcess, measured: Measured, name: bytes
) -> None:
    hostile_requests = [
        b"GET /health/live HTTP/1.1\r\n" + name + b":" + before + blank * size + after + b"\r\n\r\n"
        for before in (b"", b"a")
        for blank in (b" ", b"\t", b" \t")
        for size in (100, 2_000, 15_000)
        for after in (b"", b"b", b"\r", b"\r\n x")
    ]
    seconds = max(cpu_cost(web, each) for each in hostile_requests)

    measured(f"hostile {name.decode()} header: CPU time", seconds * 1000, unit="ms")
    assert seconds < 0.05


def test_the_total_size_of_unread_responses_is_bounded(web: WebProcess, measured: Measured) -> None:
    idle = memory(web)
    with many(web, 400, GET_LIST):
        wait_until(lambda: "output buffer limit reached" in web.output())
        latency = max_latency(web)
        peak = memory(web)

    measured("400 clients not reading a list: memory", (peak - idle) / MIB, unit="MiB")
    measured("400 clients not reading a list: max latency of others", latency)
    assert peak - idle < MAX_MEMORY


def test_clients_that_do_not_read_complete_responses_are_evicted_at_the_connection_limit(
    web: WebProcess, measured: Measured
) -> None:
    # 150 MB in all. With larger pages, it is a matter of the machine whether load shedding begins.
    idle = memory(web)
    with many(web, 2400, b"GET /api/todos?limit=100 HTTP/1.1\r\nHost: x\r\n\r\n"):
        latency = max_latency(web)
        peak = memory(web)

    measured("2,400 clients not reading a page of 100: memory", (peak - idle) / MIB, unit="MiB")
    measured("2,400 clients not reading a page of 100: max latency of others", latency)
    assert peak - idle < MAX_MEMORY


def test_pipelines_of_small_requests_delay_no_others(web: WebProcess, measured: Measured) -> None:
    with many(web, 300, b"GET / HTTP/1.1\r\n\r\n" * 455):
        latency = max_latency(web)

    measured("300 pipelines of 455 requests: max latency of others", latency)
    assert latency < 2
