"""Life cycle of the web process: start-up checks, durability, concurrency, graceful shutdown."""

import signal
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import flask_migrate
import psutil
import psycopg2
import pytest
import requests
from flask import Flask

from dev.postgres import Postgres
from tests.database.test_migrations import HEAD
from tests.support.types import Sql
from tests.support.waiting import wait_until
from tests.support.web import ECHO, PROCFILE, WebProcess, run, serving, started


def descriptions(web: WebProcess) -> list[str]:
    return [todo["description"] for todo in web.request("GET", "/api/todos").json()]


# Start-up


def test_the_two_commands_of_the_procfile_run_the_service(empty_database: str) -> None:
    assert PROCFILE == {"release": "flask db upgrade", "web": "gunicorn wsgi:app"}
    release = run("release", DATABASE_URL=empty_database)
    assert release.returncode == 0, release.stderr

    with serving(DATABASE_URL=empty_database) as web:
        web.create_todo()
        assert descriptions(web) == ["Buy groceries"]
        assert web.request("GET", "/health").json() == {"status": "healthy"}
        assert web.terminate() == 0


@pytest.mark.parametrize("process_type", ["release", "web"])
@pytest.mark.parametrize(
    ("url", "error"),
    [
        ({}, "DATABASE_URL is not set"),
        ({"DATABASE_URL": "postgres://ann:s3cret@db:port/todos"}, "DATABASE_URL is malformed"),
    ],
)
def test_an_invalid_setting_is_a_one_line_error_that_names_it(
    process_type: str, url: dict[str, str], error: str
) -> None:
    result = run(process_type, **url)

    assert result.returncode == 1
    (line,) = (result.stdout + result.stderr).splitlines()
    assert line.startswith(f"Configuration error: {error}")
    assert "s3cret" not in line


def test_an_unreachable_database_prevents_start_up() -> None:
    result = run("web", DATABASE_URL="postgres://ann:s3cret@127.0.0.1:1/todos")

    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("Cannot start: the database 127.0.0.1:1/todos cannot be used")
    assert "Connection refused" in line
    assert "Check DATABASE_URL" in line
    assert "s3cret" not in line
    assert "Listening" not in result.stdout


def test_an_unresponsive_database_prevents_start_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unresponsive:
        place = f"127.0.0.1:{unresponsive.getsockname()[1]}/todos"
        result = run("web", DATABASE_URL=f"postgres://ann:s3cret@{place}")

    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"Cannot start: the database {place} cannot be used")


@pytest.mark.parametrize("revision", [None, "001"])
def test_an_older_schema_prevents_start_up(
    empty_database: str, make_app: Callable[..., Flask], revision: str | None
) -> None:
    if revision:
        with make_app(DATABASE_URL=empty_database).app_context():
            flask_migrate.upgrade(revision=revision)

    result = run("web", DATABASE_URL=empty_database)

    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert (
        f"is at revision {revision or 'none'}, the code at {HEAD}. Run `flask db upgrade`" in line
    )
    assert "Listening" not in result.stdout


def test_a_newer_schema_prevents_start_up(database: str, sql: Sql) -> None:
    sql("UPDATE alembic_version SET version_num = '999'")

    line = run("web", DATABASE_URL=database).stderr

    assert f"is at revision 999, the code at {HEAD}. Deploy the code that has this revision" in line


def test_a_database_with_an_encoding_other_than_utf8_prevents_start_up(
    postgres: Postgres,
) -> None:
    postgres.execute(
        "CREATE DATABASE latin ENCODING LATIN1 TEMPLATE template0 LOCALE_PROVIDER libc"
    )

    result = run("web", DATABASE_URL=postgres.url("latin"))
    postgres.execute("DROP DATABASE latin")

    (line,) = result.stderr.splitlines()
    assert "is encoded in LATIN1" in line


def test_a_role_without_privileges_prevents_start_up(
    database: str, as_guest: Callable[[str], str]
) -> None:
    result = run("web", DATABASE_URL=as_guest(database))

    (line,) = result.stderr.splitlines()
    assert "permission denied for table alembic_version" in line


def test_start_up_waits_for_a_database_that_is_still_starting(tmp_path: Path) -> None:
    with Postgres(tmp_path / "postgres").running() as postgres:
        url = postgres.create_database("todos")
        assert run("release", DATABASE_URL=url).returncode == 0
        postgres.stop()
        with started(DATABASE_URL=url) as web:
            wait_until(lambda: "Starting gunicorn" in web.output())
            postgres.start()
            wait_until(web.serves)


def test_no_database_connection_is_inherited_across_the_fork(web: WebProcess, sql: Sql) -> None:
    ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'todoapp'"
    assert sql(f"{ours} AND datname = current_database()") == [(0,)]


def test_the_application_is_loaded_once_for_all_workers(database: str) -> None:
    with serving(ECHO, DATABASE_URL=database, WEB_CONCURRENCY="3") as web:
        wait_until(lambda: web.output().count("Booting worker") == 3)

        assert web.output().count("The application is loaded.") == 1


def test_the_process_creates_no_files_in_the_home_directory(database: str, tmp_path: Path) -> None:
    with serving(DATABASE_URL=database, HOME=str(tmp_path)) as web:
        web.terminate()

    assert list(tmp_path.iterdir()) == []


# Durability and concurrency


def test_todos_survive_a_restart(database: str) -> None:
    with serving(DATABASE_URL=database) as web:
        todo_id = web.create_todo()
    with serving(DATABASE_URL=database) as web:
        assert web.request("GET", f"/api/todos/{todo_id}").ok


def test_acknowledged_writes_survive_sigkill(database: str) -> None:
    with serving(DATABASE_URL=database) as web:
        todo_id = web.create_todo()
        workers = web.workers()
        web.process.kill()
        web.process.wait()
        psutil.wait_procs(workers)  # workers exit once their master is gone
    with serving(DATABASE_URL=database) as web:
        assert web.request("GET", f"/api/todos/{todo_id}").ok


def test_200_concurrent_requests_create_200_todos(web: WebProcess) -> None:
    with ThreadPoolExecutor(max_workers=50) as clients:
        ids = list(clients.map(lambda number: web.create_todo(f"todo {number}"), range(200)))

    assert sorted(ids) == list(range(1, 201))
    assert sorted(descriptions(web)) == sorted(f"todo {number}" for number in range(200))


def test_concurrent_changes_of_different_fields_are_all_applied(web: WebProcess) -> None:
    ids = [web.create_todo() for _ in range(20)]
    changes = [
        (todo_id, change)
        for todo_id in ids
        for change in ({"description": "Buy milk"}, {"completed": True})
    ]

    with ThreadPoolExecutor(max_workers=20) as clients:
        responses = list(
            clients.map(
                lambda change: web.request("PATCH", f"/api/todos/{change[0]}", json=change[1]),
                changes,
            )
        )

    assert {response.status_code for response in responses} == {200}
    todos = web.request("GET", "/api/todos").json()
    assert {(todo["description"], todo["completed"]) for todo in todos} == {("Buy milk", True)}
    assert len({response.json()["updated_at"] for response in responses}) == len(responses)


def test_a_write_is_visible_to_all_workers_at_once(web: WebProcess) -> None:
    for _ in range(20):
        path = f"/api/todos/{web.create_todo()}"
        assert {web.request("GET", path).status_code for _ in range(5)} == {200}
        web.request("DELETE", path)
        assert {web.request("GET", path).status_code for _ in range(5)} == {404}


# Graceful shutdown


def test_sigterm_lets_a_request_in_progress_finish(
    web: WebProcess, database: str, sql: Sql
) -> None:
    path = f"/api/todos/{web.create_todo()}"
    with ThreadPoolExecutor() as clients:
        with psycopg2.connect(database) as other:
            other.cursor().execute("SELECT * FROM todos FOR UPDATE")
            in_progress = clients.submit(web.request, "PATCH", path, json={"completed": True})
            wait_until(lambda: sql("SELECT 1 FROM pg_locks WHERE NOT granted"))
            web.process.send_signal(signal.SIGTERM)
            wait_until(lambda: "Handling signal: term" in web.output())
        other.close()

        assert in_progress.result().json()["completed"] is True
    assert web.process.wait(timeout=30) == 0


def test_sigterm_refuses_new_connections_while_a_request_is_in_progress(
    web: WebProcess, database: str, sql: Sql
) -> None:
    path = f"/api/todos/{web.create_todo()}"
    with ThreadPoolExecutor() as clients:
        with psycopg2.connect(database) as other:
            other.cursor().execute("SELECT * FROM todos FOR UPDATE")
            in_progress = clients.submit(web.request, "PATCH", path, json={"completed": True})
            wait_until(lambda: sql("SELECT 1 FROM pg_locks WHERE NOT granted"))
            web.process.send_signal(signal.SIGTERM)
            # Accepted by the kernel, a connection would be reset at the end: too late for a proxy
            # to send its request to another machine.
            wait_until(lambda: not accepts_connections(web), seconds=2)
            assert not in_progress.done()
        other.close()

        assert in_progress.result().json()["completed"] is True


def accepts_connections(web: WebProcess) -> bool:
    try:
        socket.create_connection(("127.0.0.1", web.port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_connections_that_are_pending_at_sigterm_are_served(web: WebProcess) -> None:
    workers = web.workers()
    for worker in workers:
        worker.suspend()
    with ThreadPoolExecutor(max_workers=8) as clients:
        pending = [clients.submit(web.request, "GET", "/health/live") for _ in range(8)]
        wait_until(lambda: established(web) == 8)
        web.process.send_signal(signal.SIGTERM)
        wait_until(lambda: all(has_pending_sigterm(worker) for worker in workers))
        for worker in workers:
            worker.resume()

        assert [each.result().status_code for each in pending] == [200] * 8
    assert web.process.wait(timeout=30) == 0


def established(web: WebProcess) -> int:
    """Return the number of connections to the port, whether or not a process has accepted them."""
    return sum(
        connection.status == psutil.CONN_ESTABLISHED and web.port in connection.laddr
        for connection in psutil.net_connections("tcp")
    )


def has_pending_sigterm(worker: psutil.Process) -> bool:
    status = Path(f"/proc/{worker.pid}/status").read_text()
    pending = int(status.split("ShdPnd:")[1].split()[0], 16)
    return bool(pending >> (signal.SIGTERM - 1) & 1)


def test_a_worker_that_is_still_starting_handles_sigterm(database: str) -> None:
    command = "gunicorn --config tests/support/slow_fork.py wsgi:app"
    with started(command, DATABASE_URL=database, WEB_CONCURRENCY="1") as web:
        wait_until(lambda: "forked" in web.output())
        web.process.send_signal(signal.SIGTERM)
        # If the signal were lost, the worker would be killed after graceful_timeout, 20 seconds.
        assert web.process.wait(timeout=15) == 0


def test_sigterm_under_load_loses_no_acknowledged_write(web: WebProcess, sql: Sql) -> None:
    acknowledged: list[int] = []

    def create_until_disconnected() -> None:
        with requests.Session() as session:
            while True:
                try:
                    response = session.post(
                        web.url("/api/todos"), json={"description": "x"}, timeout=30
                    )
                except requests.ConnectionError:
                    return
                assert response.status_code == 201
                acknowledged.append(response.json()["id"])

    with ThreadPoolExecutor(max_workers=8) as clients:
        loads = [clients.submit(create_until_disconnected) for _ in range(8)]
        wait_until(lambda: len(acknowledged) > 100)
        assert web.terminate() == 0
        for load in loads:
            load.result()

    kept = {todo_id for (todo_id,) in sql("SELECT id FROM todos")}
    assert set(acknowledged) <= kept
    assert len(kept) - len(acknowledged) <= 8


# Logs (see also test_logs.py) and proxies


def test_log_sql_logs_statements_without_their_parameters(database: str) -> None:
    with serving(DATABASE_URL=database, LOG_SQL="1") as web:
        web.create_todo("my secret")
        web.terminate()

        assert "INSERT INTO todos" in web.output()
        assert "my secret" not in web.output()


def test_a_higher_log_level_disables_the_access_log(database: str) -> None:
    # On the loopback interface, as there is a warning where other machines can connect.
    command = f"{PROCFILE['web']} --bind 127.0.0.1:{{port}}"
    with serving(command, DATABASE_URL=database, LOG_LEVEL="warning") as web:
        web.create_todo()
        web.terminate()

        assert web.output() == ""


FORWARDED = {
    "X-Forwarded-For": "203.0.113.9, 198.51.100.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "todos.example.com",
}


@pytest.mark.parametrize(
    ("trusted", "seen"),
    [
        ("0", {"address": "127.0.0.1", "scheme": "http"}),
        (
            "1",
            {"address": "198.51.100.7", "scheme": "https"},
        ),
    ],
)
def test_forwarded_headers_are_trusted_only_with_trusted_proxies(
    database: str, trusted: str, seen: dict[str, str]
) -> None:
    # On an IPv4-only address, gunicorn by default trusts a proxy on 127.0.0.1.
    command = f"{ECHO} --bind 127.0.0.1:{{port}}"
    with serving(command, DATABASE_URL=database, TRUSTED_PROXIES=trusted) as web:
        client = web.request("GET", "/echo", headers=FORWARDED).json()

        assert client == {"host": f"127.0.0.1:{web.port}", **seen}
