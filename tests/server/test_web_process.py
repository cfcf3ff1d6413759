"""What an operator and a client can rely on, whatever happens to the process."""

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
from tests.support.waiting import wait_until
from tests.support.web import PROCFILE, WebProcess, run, serving, started


def create(web: WebProcess, description: str = "Buy groceries") -> int:
    """Create a todo on a connection of its own and return its id."""
    response = web.request("POST", "/api/todos", json={"description": description})
    assert response.status_code == 201, response.text
    return response.json()["id"]


def descriptions(web: WebProcess) -> list[str]:
    return [todo["description"] for todo in web.request("GET", "/api/todos").json()]


# Starting


def test_the_two_commands_of_the_procfile_run_the_service(empty_database: str) -> None:
    assert PROCFILE == {"release": "flask db upgrade", "web": "gunicorn wsgi:app"}
    release = run("release", DATABASE_URL=empty_database)
    assert release.returncode == 0, release.stderr

    with serving(DATABASE_URL=empty_database) as web:
        create(web)
        assert descriptions(web) == ["Buy groceries"]
        assert web.request("GET", "/health").json() == {"status": "healthy"}
        assert web.terminate() == 0


@pytest.mark.parametrize("process_type", ["release", "web"])
@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ({}, "DATABASE_URL is not set"),
        ({"DATABASE_URL": "postgres://ann:s3cret@db:port/todos"}, "DATABASE_URL is malformed"),
    ],
)
def test_a_wrong_setting_ends_each_command_with_one_line_that_names_it(
    process_type: str, url: dict[str, str], fault: str
) -> None:
    result = run(process_type, **url)

    assert result.returncode == 1
    (line,) = (result.stdout + result.stderr).splitlines()
    assert line.startswith(f"Configuration error: {fault}")
    assert "s3cret" not in line


def test_without_a_database_it_does_not_start_and_says_which_and_why() -> None:
    result = run("web", DATABASE_URL="postgres://ann:s3cret@127.0.0.1:1/todos")

    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("Cannot start: the database 127.0.0.1:1/todos cannot be used")
    assert "Connection refused" in line
    assert "Check DATABASE_URL" in line
    assert "s3cret" not in line
    assert "Listening" not in result.stdout


def test_with_a_database_that_never_answers_it_does_not_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}/todos"
        result = run("web", DATABASE_URL=f"postgres://ann:s3cret@{place}")

    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"Cannot start: the database {place} cannot be used")


@pytest.mark.parametrize("revision", [None, "001"])
def test_with_an_older_schema_it_does_not_start_and_says_what_to_do(
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


def test_with_a_newer_schema_it_does_not_start_and_says_what_to_do(
    database: str, sql: Callable[[str], list[tuple]]
) -> None:
    sql("UPDATE alembic_version SET version_num = '999'")

    line = run("web", DATABASE_URL=database).stderr

    assert f"is at revision 999, the code at {HEAD}. Deploy the code that has this revision" in line


def test_with_a_database_that_cannot_keep_every_character_it_does_not_start(
    postgres: Postgres,
) -> None:
    postgres.execute(
        "CREATE DATABASE latin ENCODING LATIN1 TEMPLATE template0 LOCALE_PROVIDER libc"
    )

    result = run("web", DATABASE_URL=postgres.url("latin"))
    postgres.execute("DROP DATABASE latin")

    (line,) = result.stderr.splitlines()
    assert "is encoded in LATIN1" in line


def test_with_a_role_that_may_not_look_it_does_not_start_and_says_so(
    database: str, as_guest: Callable[[str], str]
) -> None:
    result = run("web", DATABASE_URL=as_guest(database))

    (line,) = result.stderr.splitlines()
    assert "permission denied for table alembic_version" in line


def test_it_waits_for_a_database_that_is_about_to_come(tmp_path: Path) -> None:
    with Postgres(tmp_path / "postgres").running() as postgres:
        url = postgres.create_database("todos")
        assert run("release", DATABASE_URL=url).returncode == 0
        postgres.stop()
        with started(DATABASE_URL=url) as web:
            wait_until(lambda: "Starting gunicorn" in web.output())
            postgres.start()
            wait_until(web.serves)


def test_no_connection_is_opened_before_the_fork_and_shared_after_it(
    web: WebProcess, sql: Callable[[str], list[tuple]]
) -> None:
    ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'todoapp'"
    assert sql(f"{ours} AND datname = current_database()") == [(0,)]


def test_the_application_is_loaded_once_for_all_workers(database: str) -> None:
    with serving(ECHO, DATABASE_URL=database, WEB_CONCURRENCY="3") as web:
        wait_until(lambda: web.output().count("Booting worker") == 3)

        assert web.output().count("The application is loaded.") == 1


def test_it_leaves_nothing_in_the_home_directory(database: str, tmp_path: Path) -> None:
    with serving(DATABASE_URL=database, HOME=str(tmp_path)) as web:
        web.terminate()

    assert list(tmp_path.iterdir()) == []


# Keeping


def test_todos_outlive_a_restart_of_the_process(database: str) -> None:
    with serving(DATABASE_URL=database) as web:
        todo_id = create(web)
    with serving(DATABASE_URL=database) as web:
        assert web.request("GET", f"/api/todos/{todo_id}").ok


def test_what_was_acknowledged_outlives_a_kill_of_the_process(database: str) -> None:
    with serving(DATABASE_URL=database) as web:
        todo_id = create(web)
        family = psutil.Process(web.process.pid).children()
        web.process.kill()
        web.process.wait()
        psutil.wait_procs(family)  # a worker whose master is gone ends by itself
    with serving(DATABASE_URL=database) as web:
        assert web.request("GET", f"/api/todos/{todo_id}").ok


def test_200_concurrent_creations_are_200_todos(web: WebProcess) -> None:
    with ThreadPoolExecutor(max_workers=50) as clients:
        ids = list(clients.map(lambda number: create(web, f"todo {number}"), range(200)))

    assert sorted(ids) == list(range(1, 201))
    assert sorted(descriptions(web)) == sorted(f"todo {number}" for number in range(200))


def test_concurrent_changes_of_different_fields_all_survive(web: WebProcess) -> None:
    ids = [create(web) for _ in range(20)]
    changes = [
        (todo_id, change)
        for todo_id in ids
        for change in ({"description": "Buy milk"}, {"completed": True})
    ]

    with ThreadPoolExecutor(max_workers=20) as clients:
        answers = list(
            clients.map(
                lambda change: web.request("PATCH", f"/api/todos/{change[0]}", json=change[1]),
                changes,
            )
        )

    assert {answer.status_code for answer in answers} == {200}
    todos = web.request("GET", "/api/todos").json()
    assert {(todo["description"], todo["completed"]) for todo in todos} == {("Buy milk", True)}
    assert len({answer.json()["updated_at"] for answer in answers}) == len(answers)


def test_what_one_worker_wrote_every_worker_sees_at_once(web: WebProcess) -> None:
    for _ in range(20):
        path = f"/api/todos/{create(web)}"
        assert {web.request("GET", path).status_code for _ in range(5)} == {200}
        web.request("DELETE", path)
        assert {web.request("GET", path).status_code for _ in range(5)} == {404}


# Stopping


def test_on_sigterm_a_request_under_way_is_finished(
    web: WebProcess, database: str, sql: Callable[[str], list[tuple]]
) -> None:
    path = f"/api/todos/{create(web)}"
    with ThreadPoolExecutor() as clients:
        with psycopg2.connect(database) as other:
            other.cursor().execute("SELECT * FROM todos FOR UPDATE")
            under_way = clients.submit(web.request, "PATCH", path, json={"completed": True})
            wait_until(lambda: sql("SELECT 1 FROM pg_locks WHERE NOT granted"))
            web.process.send_signal(signal.SIGTERM)
            wait_until(lambda: "Handling signal: term" in web.output())
        other.close()

        assert under_way.result().json()["completed"] is True
    assert web.process.wait(timeout=30) == 0


def test_a_worker_that_is_just_being_born_hears_that_it_has_to_stop(database: str) -> None:
    command = "gunicorn --config tests/support/slow_birth.py wsgi:app"
    with started(command, DATABASE_URL=database, WEB_CONCURRENCY="1") as web:
        wait_until(lambda: "forked" in web.output())
        web.process.send_signal(signal.SIGTERM)
        # It would be killed after the 20 seconds that a request may take to be finished.
        assert web.process.wait(timeout=15) == 0


def test_on_sigterm_under_load_nothing_that_was_acknowledged_is_lost(
    web: WebProcess, sql: Callable[[str], list[tuple]]
) -> None:
    acknowledged: list[int] = []

    def create_until_it_ends() -> None:
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
        loads = [clients.submit(create_until_it_ends) for _ in range(8)]
        wait_until(lambda: len(acknowledged) > 100)
        assert web.terminate() == 0
        for load in loads:
            load.result()

    kept = {todo_id for (todo_id,) in sql("SELECT id FROM todos")}
    assert set(acknowledged) <= kept
    assert len(kept) - len(acknowledged) <= 8


# Logs and proxies: more of the logs is in test_logs.py


def test_log_sql_shows_the_statements_and_not_what_people_wrote(database: str) -> None:
    with serving(DATABASE_URL=database, LOG_SQL="1") as web:
        create(web, "my secret")
        web.terminate()

        assert "INSERT INTO todos" in web.output()
        assert "my secret" not in web.output()


def test_a_higher_log_level_keeps_requests_out_of_the_log(database: str) -> None:
    with serving(DATABASE_URL=database, LOG_LEVEL="warning") as web:
        create(web)
        web.terminate()

        assert web.output() == ""


ECHO = "gunicorn tests.support.echo:app"
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
def test_the_headers_of_a_proxy_are_believed_only_where_one_is_configured(
    database: str, trusted: str, seen: dict[str, str]
) -> None:
    # On an address of IPv4 alone, gunicorn by itself would believe a proxy on 127.0.0.1.
    command = f"{ECHO} --bind 127.0.0.1:{{port}}"
    with serving(command, DATABASE_URL=database, TRUSTED_PROXIES=trusted) as web:
        client = web.request("GET", "/echo", headers=FORWARDED).json()

        assert client == {"host": f"127.0.0.1:{web.port}", **seen}
