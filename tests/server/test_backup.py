"""`flask todos export` and `flask todos import` on the command line: pipes and signals."""

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

from tests.support.todos import IDENTICAL, insert_todos, ndjson, todo
from tests.support.types import Sql
from tests.support.waiting import wait_until
from tests.support.web import ROOT

FLASK = Path(sys.executable).with_name("flask")
INSERT_MANY = insert_todos(9000, IDENTICAL)


def start(database: str, *arguments: str, **options: object) -> subprocess.Popen[bytes]:
    """Start `flask todos …`; streams that `options` does not set are pipes."""
    return subprocess.Popen(  # type: ignore[call-overload]  # options are keywords of Popen
        [FLASK, "todos", *arguments],
        cwd=ROOT,
        env={"DATABASE_URL": database, "PATH": os.environ["PATH"]},
        **dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE) | options,
    )


def error_line(process: subprocess.Popen[bytes]) -> str:
    """Return the single error line of a command that failed."""
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1, stderr
    (line,) = stderr.decode().splitlines()
    return line


def table_locks(sql: Sql) -> list[tuple]:
    return sql("SELECT FROM pg_locks WHERE granted AND mode = 'ShareRowExclusiveLock'")


@pytest.mark.slow
def test_export_piped_into_import_copies_a_database(
    database: str, databases: Callable[..., str], template: str, sql: Sql
) -> None:
    sql(INSERT_MANY)
    other = databases(template)

    export = start(database, "export", "-")
    import_ = start(other, "import", "-", stdin=export.stdout)
    output, _ = import_.communicate(timeout=60)
    export.communicate(timeout=60)

    assert (export.returncode, import_.returncode) == (0, 0)
    assert output == b"Imported 9000 todos.\n"
    both = [start(url, "export").communicate(timeout=60)[0] for url in (database, other)]
    assert both[0] == both[1] != b""


def test_a_full_disk_is_a_one_line_error_and_keeps_the_previous_backup(
    database: str, sql: Sql, tmp_path: Path
) -> None:
    sql(INSERT_MANY)
    file = tmp_path / "todos.ndjson"
    file.write_text("previous backup")

    with Path("/dev/full").open("wb") as full:
        to_stdout = start(database, "export", stdout=full)
        assert error_line(to_stdout) == "Error: [Errno 28] No space left on device"
    to_file = start(
        database,
        "export",
        str(file),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20)),
    )
    assert error_line(to_file) == "Error: [Errno 27] File too large"
    assert file.read_text() == "previous backup"
    assert list(tmp_path.iterdir()) == [file]


def test_a_closed_pipe_is_a_one_line_error(database: str, sql: Sql) -> None:
    sql(INSERT_MANY)
    export = start(database, "export")
    assert export.stdout.read(1000)
    export.stdout.close()
    export.stdout = None

    assert error_line(export) == "Error: [Errno 32] Broken pipe"


@pytest.mark.parametrize("format_", ["ndjson", "csv"])
def test_import_refuses_a_truncated_export(database: str, sql: Sql, format_: str) -> None:
    sql(INSERT_MANY)
    export = start(database, "export", "--format", format_)
    begin = os.read(export.stdout.fileno(), 1000)
    sql(
        "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity"
        " WHERE application_name = 'todoapp' AND datname = current_database()"
    )
    rest, stderr = export.communicate(timeout=60)
    sql("TRUNCATE todos")
    import_ = start(database, "import", "--format", format_)
    _, refusal = import_.communicate(begin + rest, timeout=60)

    assert export.returncode == 1
    assert stderr.startswith(b"Error: The database says: ")
    assert stderr.count(b"\n") == 1
    assert import_.returncode == 1
    assert b"the file is incomplete" in refusal
    assert sql("SELECT count(*) FROM todos") == [(0,)]


def test_reads_proceed_during_an_import_and_later_todos_get_later_ids(
    database: str, sql: Sql
) -> None:
    sql("INSERT INTO todos (description) VALUES ('here before')")
    import_ = start(database, "import")
    import_.stdin.write(ndjson(todo(2)))
    import_.stdin.flush()
    # The lock is taken before the first batch has been read.
    wait_until(lambda: table_locks(sql))
    with ThreadPoolExecutor() as others:
        create = "INSERT INTO todos (description) VALUES ('meanwhile') RETURNING id"
        created = others.submit(sql, create)
        wait_until(lambda: sql("SELECT FROM pg_locks WHERE NOT granted"))
        assert sql("SELECT id FROM todos") == [(1,)]
        import_.communicate(ndjson(todo(3)), timeout=60)

        assert created.result(timeout=60) == [(4,)]
    assert import_.returncode == 0


def test_sigint_rolls_back_an_import(database: str, sql: Sql) -> None:
    import_ = start(database, "import")
    import_.stdin.write(ndjson(*map(todo, range(1, 5000))))
    import_.stdin.flush()
    wait_until(lambda: table_locks(sql))
    import_.send_signal(signal.SIGINT)
    _, stderr = import_.communicate(timeout=60)

    assert import_.returncode == 1
    assert stderr.split() == [b"Aborted!"]
    wait_until(lambda: not table_locks(sql))
    assert sql("SELECT count(*) FROM todos") == [(0,)]


def test_sigint_interrupts_the_insertion_of_todos(database: str, sql: Sql) -> None:
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
def test_a_missing_database_or_schema_is_a_one_line_error(
    command: str, empty_database: str
) -> None:
    nowhere = start("postgresql://ann:s3cret@127.0.0.1:1/todos", command)
    unmigrated = start(empty_database, command)

    line = error_line(nowhere)
    assert "Connection refused" in line
    assert "s3cret" not in line
    assert "flask db upgrade" in error_line(unmigrated)


@pytest.mark.slow
def test_both_commands_show_progress_on_a_terminal(database: str, sql: Sql, tmp_path: Path) -> None:
    sql(INSERT_MANY)
    file = tmp_path / "todos.ndjson"

    def terminal_output(*arguments: str) -> str:
        terminal, screen = pty.openpty()
        process = start(database, *arguments, stderr=screen)
        os.close(screen)
        # The output fits into the terminal's buffer.
        process.communicate(timeout=60)
        text = os.read(terminal, 2**16).decode()
        os.close(terminal)
        assert process.returncode == 0, text
        return text

    assert "Exporting  [####################################]  100%" in terminal_output(
        "export", str(file)
    )
    sql("TRUNCATE todos")
    assert "Importing  [####################################]  100%" in terminal_output(
        "import", str(file)
    )
