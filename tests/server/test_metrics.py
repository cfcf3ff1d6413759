"""/metrics: totals over all workers, across restarts, reloads and hot upgrades."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.waiting import wait_until
from tests.support.web import PATH, ROOT, WebProcess, serving

TODO = "/api/todos/{todo_id}"


@pytest.fixture
def web(database: str, tmp_path: Path) -> Iterator[WebProcess]:
    """Web process with metrics; its temporary files are in a directory of the test."""
    with serving(DATABASE_URL=database, METRICS="1", TMPDIR=str(tmp_path)) as process:
        yield process


def read_metrics(web: WebProcess) -> dict[tuple[str, ...], float]:
    """Return the samples of /metrics by name and label values, in the order of label names."""
    response = web.request("GET", "/metrics")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def metrics_directories(tmp_path: Path) -> list[Path]:
    return list(tmp_path.glob("todoapp-metrics-*"))


def request_count(web: WebProcess, method: str, route: str, status: str) -> float:
    return read_metrics(web).get(("todoapp_requests_total", method, route, status), 0)


def wait_for_request_count(web: WebProcess, expected: int) -> None:
    """Wait until `expected` requests for a missing todo are counted; fail if there are more.

    A request is counted when its response has been sent, so the client can be earlier.
    """
    wait_until(lambda: request_count(web, "GET", TODO, "404") >= expected)
    assert request_count(web, "GET", TODO, "404") == expected


def get_missing_todo(web: WebProcess, times: int) -> None:
    """Request a todo that does not exist `times` times, on several connections at once."""
    with ThreadPoolExecutor(max_workers=8) as clients:
        responses = clients.map(lambda _: web.request("GET", "/api/todos/7"), range(times))
        assert {response.status_code for response in responses} == {404}


def test_without_metrics_the_path_does_not_exist(database: str, tmp_path: Path) -> None:
    with serving(DATABASE_URL=database, TMPDIR=str(tmp_path)) as web:
        response = web.request("GET", "/metrics")

        assert response.status_code == 404
        assert response.json() == {"detail": "Not found"}
        assert metrics_directories(tmp_path) == []


def test_without_metrics_prometheus_client_is_not_imported() -> None:
    code = "import sys, wsgi; sys.exit(any(name.startswith('prometheus') for name in sys.modules))"
    environ = {"PATH": PATH, "DATABASE_URL": "postgresql://db/todos"}

    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environ, check=False)

    assert result.returncode == 0


def test_requests_are_counted_by_route_method_and_status(web: WebProcess) -> None:
    web.request("POST", "/api/todos", json={"description": "x"})
    for path in ("/api/todos/1", "/api/todos/1/", "/api/todos/7", "/api/todos/8", "/nowhere"):
        web.request("GET", path)
    web.request("BREW", "/api/todos")

    # A request is counted when its response has been sent, so the client can be earlier.
    wait_until(
        lambda: ("todoapp_request_duration_seconds_sum", "other", "none") in read_metrics(web)
    )
    metrics = read_metrics(web)
    requests = {
        key[1:]: value
        for key, value in metrics.items()
        if key[0] == "todoapp_requests_total" and key[2] not in ("/health/live", "/metrics")
    }
    assert requests == {
        ("POST", "/api/todos", "201"): 1,
        ("GET", TODO, "200"): 2,
        ("GET", TODO, "404"): 2,
        ("GET", "none", "404"): 1,
        ("other", "none", "405"): 1,
    }
    assert metrics["todoapp_request_duration_seconds_count", "GET", TODO] == 4
    assert 0 < metrics["todoapp_request_duration_seconds_sum", "GET", TODO] < 30
    assert metrics["todoapp_request_duration_seconds_bucket", "+Inf", "GET", TODO] == 4


@pytest.mark.slow
def test_counters_include_all_workers_and_killed_ones(web: WebProcess) -> None:
    get_missing_todo(web, 40)
    wait_for_request_count(web, 40)
    for number in (1, 2):
        for worker in web.workers():
            worker.kill()
            psutil.wait_procs([worker])
        wait_until(lambda: len(web.workers()) == 2 and web.serves())
        wait_until(lambda: read_metrics(web)["todoapp_pool_size",] == 8)
        get_missing_todo(web, 40)

        wait_for_request_count(web, 40 * (number + 1))
    assert read_metrics(web)["todoapp_pool_connections_in_use",] == 0


def test_file_that_a_killed_worker_left_empty_is_skipped(web: WebProcess, tmp_path: Path) -> None:
    (directory,) = metrics_directories(tmp_path)
    (directory / "counter_1.db").touch()
    get_missing_todo(web, 10)

    wait_for_request_count(web, 10)


def test_file_that_is_removed_while_metrics_are_read_is_skipped(
    web: WebProcess, tmp_path: Path
) -> None:
    (directory,) = metrics_directories(tmp_path)
    # Like the file of a process that has just ended: it is listed, and cannot be opened.
    (directory / "gauge_livesum_1.db").symlink_to("removed")
    get_missing_todo(web, 10)

    wait_for_request_count(web, 10)


@pytest.mark.slow
def test_counters_survive_a_reload(web: WebProcess, tmp_path: Path) -> None:
    get_missing_todo(web, 10)
    (directory,) = metrics_directories(tmp_path)
    before = {worker.pid for worker in web.workers()}

    web.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(web.workers()) == 2 and not before & {w.pid for w in web.workers()})
    get_missing_todo(web, 10)

    wait_for_request_count(web, 20)
    assert read_metrics(web)["todoapp_pool_size",] == 8
    assert metrics_directories(tmp_path) == [directory]


@pytest.mark.slow
def test_after_a_hot_upgrade_the_new_master_has_its_own_counters(
    web: WebProcess, tmp_path: Path
) -> None:
    # A reload could leak the first master's environment variable into the second master.
    web.process.send_signal(signal.SIGHUP)
    wait_until(lambda: web.output().count("Booting worker") == 4)
    (first,) = metrics_directories(tmp_path)
    web.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: web.output().count("Booting worker") == 6)
    second = next(child for child in web.workers() if child.children())
    try:
        assert web.terminate() == 0
        wait_until(lambda: len(second.children()) == 2 and not first.exists())

        get_missing_todo(web, 10)
        wait_for_request_count(web, 10)
    finally:
        second.terminate()
        wait_until(lambda: not second.is_running() or second.status() == psutil.STATUS_ZOMBIE)
    assert metrics_directories(tmp_path) == []


def test_connections_in_use_are_those_of_requests_in_progress(
    web: WebProcess, database: str
) -> None:
    with ThreadPoolExecutor() as clients:
        with psycopg2.connect(database) as other:
            other.cursor().execute("LOCK TABLE todos")
            waiting = [clients.submit(web.request, "GET", "/api/todos") for _ in range(3)]
            wait_until(lambda: read_metrics(web)["todoapp_pool_connections_in_use",] == 3)
        other.close()
        for response in waiting:
            response.result()

    wait_until(lambda: read_metrics(web)["todoapp_pool_connections_in_use",] == 0)


def test_replaced_connections_are_not_counted_as_in_use(web: WebProcess, sql: Any) -> None:
    for _ in range(3):
        get_missing_todo(web, 10)
        sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    get_missing_todo(web, 10)

    assert read_metrics(web)["todoapp_pool_connections_in_use",] == 0


@pytest.mark.slow
def test_database_errors_are_counted_by_kind(database: str, tmp_path: Path, sql: Any) -> None:
    settings = {"WEB_THREADS": "3", "DB_POOL_SIZE": "1", "DB_POOL_TIMEOUT": "1"}
    one = {"WEB_CONCURRENCY": "1", "METRICS": "1", "TMPDIR": str(tmp_path)}
    with serving(DATABASE_URL=database, **settings, **one) as web:
        with ThreadPoolExecutor() as clients, psycopg2.connect(database) as other:
            other.cursor().execute("LOCK TABLE todos")
            responses = [clients.submit(web.request, "GET", "/api/todos") for _ in range(2)]
            assert [response.result().status_code for response in responses] == [503, 503]
        other.close()
        sql("ALTER TABLE todos RENAME TO elsewhere")
        assert web.request("GET", "/api/todos").status_code == 500

        wait_until(
            lambda: ("todoapp_database_errors_total", "undefined_table") in read_metrics(web)
        )
        errors = {key[1:]: n for key, n in read_metrics(web).items() if "errors_total" in key[0]}
    assert errors == {("pool_timeout",): 1, ("lock_not_available",): 1, ("undefined_table",): 1}


@pytest.mark.slow
def test_no_metrics_files_remain_after_shutdown(web: WebProcess, tmp_path: Path) -> None:
    for worker in web.workers():
        # Repeatedly: a worker that is just starting may miss the first signal.
        wait_until(lambda worker=worker: not worker.is_running() or worker.terminate())  # type: ignore[misc]
    assert len(metrics_directories(tmp_path)) == 1

    web.terminate()

    assert metrics_directories(tmp_path) == []


@pytest.mark.slow
def test_no_metrics_files_remain_after_a_failed_start(tmp_path: Path) -> None:
    environ = {"DATABASE_URL": "postgresql://127.0.0.1:1/todos", "METRICS": "1"}
    subprocess.run(
        ["gunicorn", "wsgi:app"],
        cwd=ROOT,
        env={"PATH": PATH, "TMPDIR": str(tmp_path), **environ},
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert metrics_directories(tmp_path) == []
