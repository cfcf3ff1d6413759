"""/metrics: right across all processes, whatever becomes of each one."""

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
    """A web process that counts, and keeps its temporary files in a directory of the test's own."""
    with serving(DATABASE_URL=database, METRICS="1", TMPDIR=str(tmp_path)) as process:
        yield process


def read(web: WebProcess) -> dict[tuple[str, ...], float]:
    """Return what /metrics says: values by name and labels, those in the order of their names."""
    response = web.request("GET", "/metrics")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def workers(web: WebProcess) -> list[psutil.Process]:
    return psutil.Process(web.process.pid).children()


def directories(tmp_path: Path) -> list[Path]:
    return list(tmp_path.glob("todoapp-metrics-*"))


def counted(web: WebProcess, method: str, route: str, status: str) -> float:
    return read(web).get(("todoapp_requests_total", method, route, status), 0)


def get_todos(web: WebProcess, times: int) -> None:
    """Ask for a todo that is not there, until as many answers have come, from every worker."""
    with ThreadPoolExecutor(max_workers=8) as clients:
        answers = clients.map(lambda _: web.request("GET", "/api/todos/7"), range(times))
        assert {answer.status_code for answer in answers} == {404}


def test_unless_it_is_configured_there_is_no_such_path(database: str, tmp_path: Path) -> None:
    with serving(DATABASE_URL=database, TMPDIR=str(tmp_path)) as web:
        response = web.request("GET", "/metrics")

        assert response.status_code == 404
        assert response.json() == {"detail": "Not found"}
        assert directories(tmp_path) == []


def test_unless_it_is_configured_nothing_of_it_is_imported() -> None:
    code = "import sys, wsgi; sys.exit(any(name.startswith('prometheus') for name in sys.modules))"
    environ = {"PATH": PATH, "DATABASE_URL": "postgresql://db/todos"}

    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environ, check=False)

    assert result.returncode == 0


def test_requests_are_counted_by_route_method_and_status(web: WebProcess) -> None:
    web.request("POST", "/api/todos", json={"description": "x"})
    for path in ("/api/todos/1", "/api/todos/1/", "/api/todos/7", "/api/todos/8", "/nowhere"):
        web.request("GET", path)
    web.request("BREW", "/api/todos")

    metrics = read(web)
    requests = {
        key[1:]: value for key, value in metrics.items() if key[0] == "todoapp_requests_total"
    }
    del requests["GET", "/health/live", "200"]
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
def test_the_numbers_of_all_workers_add_up_after_some_were_killed_too(web: WebProcess) -> None:
    get_todos(web, 40)
    for number in (1, 2):
        for worker in workers(web):
            worker.kill()
            psutil.wait_procs([worker])
        wait_until(lambda: len(workers(web)) == 2 and web.serves())
        wait_until(lambda: read(web)["todoapp_pool_size",] == 8)
        get_todos(web, 40)

        assert counted(web, "GET", TODO, "404") == 40 * (number + 1)
    assert read(web)["todoapp_pool_connections_in_use",] == 0


@pytest.mark.slow
def test_a_reload_goes_on_counting(web: WebProcess, tmp_path: Path) -> None:
    get_todos(web, 10)
    (directory,) = directories(tmp_path)
    before = {worker.pid for worker in workers(web)}

    web.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(workers(web)) == 2 and not before & {w.pid for w in workers(web)})
    get_todos(web, 10)

    assert counted(web, "GET", TODO, "404") == 20
    assert read(web)["todoapp_pool_size",] == 8
    assert directories(tmp_path) == [directory]


@pytest.mark.slow
def test_a_second_master_counts_for_itself_and_outlives_the_first(
    web: WebProcess, tmp_path: Path
) -> None:
    # A reload is where the first master's variable would get into the second one's environment.
    web.process.send_signal(signal.SIGHUP)
    wait_until(lambda: web.output().count("Booting worker") == 4)
    (first,) = directories(tmp_path)
    web.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: web.output().count("Booting worker") == 6)
    second = next(child for child in workers(web) if child.children())
    try:
        assert web.terminate() == 0
        wait_until(lambda: len(second.children()) == 2 and not first.exists())

        get_todos(web, 10)
        assert counted(web, "GET", TODO, "404") == 10
    finally:
        second.terminate()
        wait_until(lambda: not second.is_running() or second.status() == psutil.STATUS_ZOMBIE)
    assert directories(tmp_path) == []


def test_the_connections_in_use_are_those_that_requests_have_now(
    web: WebProcess, database: str
) -> None:
    with ThreadPoolExecutor() as clients:
        with psycopg2.connect(database) as other:
            other.cursor().execute("LOCK TABLE todos")
            waiting = [clients.submit(web.request, "GET", "/api/todos") for _ in range(3)]
            wait_until(lambda: read(web)["todoapp_pool_connections_in_use",] == 3)
        other.close()
        for answer in waiting:
            answer.result()

    assert read(web)["todoapp_pool_connections_in_use",] == 0


def test_a_connection_that_was_replaced_is_in_use_once(web: WebProcess, sql: Any) -> None:
    for _ in range(3):
        get_todos(web, 10)
        sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    get_todos(web, 10)

    assert read(web)["todoapp_pool_connections_in_use",] == 0


@pytest.mark.slow
def test_the_errors_of_the_database_are_counted_by_kind(
    database: str, tmp_path: Path, sql: Any
) -> None:
    settings = {"WEB_THREADS": "3", "DB_POOL_SIZE": "1", "DB_POOL_TIMEOUT": "1"}
    one = {"WEB_CONCURRENCY": "1", "METRICS": "1", "TMPDIR": str(tmp_path)}
    with serving(DATABASE_URL=database, **settings, **one) as web:
        with ThreadPoolExecutor() as clients, psycopg2.connect(database) as other:
            other.cursor().execute("LOCK TABLE todos")
            answers = [clients.submit(web.request, "GET", "/api/todos") for _ in range(2)]
            assert [answer.result().status_code for answer in answers] == [503, 503]
        other.close()
        sql("ALTER TABLE todos RENAME TO elsewhere")
        assert web.request("GET", "/api/todos").status_code == 500

        errors = {key[1:]: n for key, n in read(web).items() if "errors_total" in key[0]}
    assert errors == {("pool_timeout",): 1, ("lock_not_available",): 1, ("undefined_table",): 1}


@pytest.mark.slow
def test_nothing_of_it_is_left_when_the_process_ends(web: WebProcess, tmp_path: Path) -> None:
    for worker in workers(web):
        # Again and again: one that is just being born does not hear it yet.
        wait_until(lambda worker=worker: not worker.is_running() or worker.terminate())  # type: ignore[misc]
    assert len(directories(tmp_path)) == 1

    web.terminate()

    assert directories(tmp_path) == []


@pytest.mark.slow
def test_nothing_of_it_is_left_when_the_process_cannot_start(tmp_path: Path) -> None:
    environ = {"DATABASE_URL": "postgresql://127.0.0.1:1/todos", "METRICS": "1"}
    subprocess.run(
        ["gunicorn", "wsgi:app"],
        cwd=ROOT,
        env={"PATH": PATH, "TMPDIR": str(tmp_path), **environ},
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert directories(tmp_path) == []
