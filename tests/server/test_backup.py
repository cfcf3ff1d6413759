"""`flask todos export` and `flask todos import` as an operator types them: pipes and signals."""

import os
import pty
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.database.test_backup import ndjson, todo
from tests.support.waiting import wait_until
from tests.support.web import ROOT

FLASK = Path(sys.executable).with_name("flask")
MANY = "INSERT INTO todos (description) SELECT repeat('x', 500) FROM generate_series(1, 9000)"
Sql = Callable[[str], list[tuple]]


def start(database: str, *arguments: str, **options: object) -> subprocess.Popen[bytes]:
    """Start `flask todos …`, with pipes for what `options` does not name."""
    return subprocess.Popen(  # type: ignore[call-overload]  # options are keywords of Popen
        [FLASK, "todos", *arguments],
        cwd=ROOT,
        env={"DATABASE_URL": database, "PATH": os.environ["PATH"]},
        **dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE) | options,
    )


def only_line(process: subprocess.Popen[bytes]) -> str:
    """Return the one line with which a command failed."""
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1, stderr
    (line,) = stderr.decode().splitlines()
    return line


def holds_the_table(sql: Sql) -> list[tuple]:
    return sql("SELECT FROM pg_locks WHERE granted AND mode = 'ShareRowExclusiveLock'")


@pytest.mark.slow
def test_a_pipe_from_one_database_to_another(
    database: str, databases: Callable[..., str], template: str, sql: Sql
) -> None:
    sql(MANY)
    other = databases(template)

    export = start(database, "export", "-")
    import_ = start(other, "import", "-", stdin=export.stdout)
    said, _ = import_.communicate(timeout=60)
    export.communicate(timeout=60)

    assert (export.returncode, import_.returncode) == (0, 0)
    assert said == b"Imported 9000 todos.\n"
    both = [start(url, "export").communicate(timeout=60)[0] for url in (database, other)]
    assert both[0] == both[1] != b""


def test_a_disk_that_is_full_is_one_line_and_the_backup_before_stays(
    database: str, sql: Sql, tmp_path: Path
) -> None:
    sql(MANY)
    file = tmp_path / "todos.ndjson"
    file.write_text("the one before")

    with Path("/dev/full").open("wb") as full:
        to_stdout = start(database, "export", stdout=full)
        assert only_line(to_stdout) == "Error: [Errno 28] No space left on device"
    to_file = start(
        database,
        "export",
        str(file),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20)),
    )
    assert only_line(to_file) == "Error: [Errno 27] File too large"
    assert file.read_text() == "the one before"
    assert list(tmp_path.iterdir()) == [file]


def test_a_pipe_that_nobody_reads_is_one_line(database: str, sql: Sql) -> None:
    sql(MANY)
    export = start(database, "export")
    assert export.stdout.read(1000)
    export.stdout.close()
    export.stdout = None

    assert only_line(export) == "Error: [Errno 32] Broken pipe"


def test_what_breaks_off_in_a_pipe_does_not_pass_for_a_backup(database: str, sql: Sql) -> None:
    sql(MANY)
    export = start(database, "export")
    begin = os.read(export.stdout.fileno(), 1000)
    sql(
        "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity"
        " WHERE application_name = 'todoapp' AND datname = current_database()"
    )
    rest, stderr = export.communicate(timeout=60)
    sql("TRUNCATE todos")
    import_ = start(database, "import")
    _, refusal = import_.communicate(begin + rest, timeout=60)

    assert export.returncode == 1
    assert stderr.startswith(b"Error: The database says: ")
    assert stderr.count(b"\n") == 1
    assert import_.returncode == 1
    assert b"the file is incomplete" in refusal
    assert sql("SELECT count(*) FROM todos") == [(0,)]


def test_while_an_import_runs_others_read_and_get_ids_after_its_own(
    database: str, sql: Sql
) -> None:
    sql("INSERT INTO todos (description) VALUES ('here before')")
    import_ = start(database, "import")
    import_.stdin.write(ndjson(todo(2)))
    import_.stdin.flush()
    # A batch is read as a whole, so the lock comes first.
    wait_until(lambda: holds_the_table(sql))
    with ThreadPoolExecutor() as others:
        create = "INSERT INTO todos (description) VALUES ('meanwhile') RETURNING id"
        created = others.submit(sql, create)
        wait_until(lambda: sql("SELECT FROM pg_locks WHERE NOT granted"))
        assert sql("SELECT id FROM todos") == [(1,)]
        import_.communicate(ndjson(todo(3)), timeout=60)

        assert created.result(timeout=60) == [(4,)]
    assert import_.returncode == 0


def test_ctrl_c_leaves_nothing_of_an_import(database: str, sql: Sql) -> None:
    import_ = start(database, "import")
    import_.stdin.write(ndjson(*map(todo, range(1, 5000))))
    import_.stdin.flush()
    wait_until(lambda: holds_the_table(sql))
    import_.send_signal(signal.SIGINT)
    _, stderr = import_.communicate(timeout=60)

    assert import_.returncode == 1
    assert stderr.split() == [b"Aborted!"]
    wait_until(lambda: not holds_the_table(sql))
    assert sql("SELECT count(*) FROM todos") == [(0,)]


def test_ctrl_c_is_heard_while_new_todos_are_added(database: str, sql: Sql) -> None:
    sql(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(600); RETURN new; END $$;"
        "CREATE TRIGGER wait BEFORE INSERT ON todos FOR EACH ROW EXECUTE FUNCTION wait()"
    )
    import_ = start(database, "import", "--skip-duplicates")
    import_.stdin.write(ndjson(todo(1)))
    import_.stdin.close()
    import_.stdin = None
    adding = "SELECT FROM pg_stat_activity WHERE query LIKE 'INSERT%' AND wait_event = 'PgSleep'"
    wait_until(lambda: sql(adding))
    import_.send_signal(signal.SIGINT)
    _, stderr = import_.communicate(timeout=60)

    assert import_.returncode == 1
    assert b"Traceback" not in stderr
    wait_until(lambda: not sql(adding))
    assert sql("SELECT count(*) FROM todos") == [(0,)]


@pytest.mark.parametrize("command", ["export", "import"])
@pytest.mark.slow
def test_without_a_database_or_its_schema_it_says_so_in_one_line(
    command: str, empty_database: str
) -> None:
    nowhere = start("postgresql://ann:s3cret@127.0.0.1:1/todos", command)
    unmigrated = start(empty_database, command)

    line = only_line(nowhere)
    assert "Connection refused" in line
    assert "s3cret" not in line
    assert "flask db upgrade" in only_line(unmigrated)


@pytest.mark.slow
def test_on_a_terminal_both_show_how_far_they_are(database: str, sql: Sql, tmp_path: Path) -> None:
    sql(MANY)
    file = tmp_path / "todos.ndjson"

    def shown(*arguments: str) -> str:
        terminal, screen = pty.openpty()
        process = start(database, *arguments, stderr=screen)
        os.close(screen)
        # What is shown fits into the terminal's buffer.
        process.communicate(timeout=60)
        text = os.read(terminal, 2**16).decode()
        os.close(terminal)
        assert process.returncode == 0, text
        return text

    assert "Exporting  [####################################]  100%" in shown("export", str(file))
    sql("TRUNCATE todos")
    assert "Importing  [####################################]  100%" in shown("import", str(file))
