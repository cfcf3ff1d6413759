"""What `make run` runs: the service as it is deployed, over a PostgreSQL of its own.

The database is in instance/ and stays there. With DATABASE_URL set, that one is used instead.
"""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from dev.postgres import Postgres, PostgresError
from todoapp.config import load_config

ROOT = Path(__file__).parents[1]
INSTANCE = ROOT / "instance"
PROGRAMS = Path(sys.executable).parent
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Serve until Ctrl-C (or SIGTERM, or the terminal is closed); return the exit status."""
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    os.chdir(ROOT)
    try:
        if os.environ.get("DATABASE_URL"):
            return serve()
        with only_process(), Postgres(INSTANCE / "postgres").running() as postgres:
            url = postgres.create_database("todos")
            print(f"PostgreSQL is at {url}", flush=True)
            os.environ["DATABASE_URL"] = url
            return serve()
    except KeyboardInterrupt:
        return 0
    except PostgresError as error:
        sys.exit(str(error))


def serve() -> int:
    """Run the two commands of the Procfile; return the exit status of the one that ended."""
    port = load_config().port
    check_port(port)
    release = subprocess.run([PROGRAMS / "flask", "db", "upgrade"], check=False)
    if release.returncode:
        return release.returncode
    with web_process(port) as web:
        if answers(port, web):
            print(
                f"\n  Todos  http://localhost:{port}/api/todos"
                f"\n  API    http://localhost:{port}/docs"
                "\n  Ctrl-C stops it all.\n",
                flush=True,
            )
        return web.wait()


@contextmanager
def only_process() -> Iterator[None]:
    """Hold instance/ for this process, or exit: two would start the same database."""
    INSTANCE.mkdir(exist_ok=True)
    with (INSTANCE / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            sys.exit(f"`make run` is running here already, as process {lock.read()}")
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def check_port(port: int) -> None:
    """Exit if another program listens on `port`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            sys.exit(f"Port {port} cannot be used ({error.strerror}); try `make run PORT=8001`")


@contextmanager
def web_process(port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run gunicorn as the Procfile does, for this machine alone; stop it in the end."""
    addresses = [f"127.0.0.1:{port}"]
    if socket.has_dualstack_ipv6():
        # `localhost` is this one first for many clients, Node's fetch among them.
        addresses.append(f"[::1]:{port}")
    binds = [word for address in addresses for word in ("--bind", address)]
    # In a process group of its own: Ctrl-C is for us, and we let it finish its requests.
    web = subprocess.Popen([PROGRAMS / "gunicorn", "wsgi:app", *binds], process_group=0)
    try:
        yield web
    finally:
        web.terminate()
        web.wait()


def answers(port: int, web: subprocess.Popen[bytes]) -> bool:
    """Wait until `web` listens; return False if it ended before."""
    while web.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


def _interrupt(number: int, frame: FrameType | None) -> None:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
