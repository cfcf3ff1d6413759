"""What `make run` runs: the service as it is deployed, over a PostgreSQL of its own.

The database is in instance/ and stays there. With DATABASE_URL set, that one is used instead.
"""

import errno
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
# A foreign web page must not reach the todos by a name of its own that resolves to this machine.
LOCAL_HOSTS = "localhost,127.0.0.1,[::1]"
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
            url = os.environ["DATABASE_URL"] = postgres.create_database("todos")
            return serve(f"  Database  DATABASE_URL='{url}'\n")
    except KeyboardInterrupt:
        return 0
    except PostgresError as error:
        sys.exit(str(error))


def serve(announcement: str = "") -> int:
    """Run the two commands of the Procfile; return the exit status of the one that ended.

    Args:
        announcement: what to tell beside the addresses, once it serves.
    """
    os.environ.setdefault("TRUSTED_HOSTS", LOCAL_HOSTS)
    port = load_config().port
    addresses = free_addresses(port)
    release = subprocess.run([PROGRAMS / "flask", "db", "upgrade"], check=False)
    if release.returncode:
        return release.returncode
    with web_process(addresses) as web:
        if answers(port, web):
            print(
                f"\n  Todos     http://localhost:{port}/"
                f"\n  API       http://localhost:{port}/docs"
                f"\n{announcement}  Ctrl-C stops it all.\n",
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


def free_addresses(port: int) -> list[str]:
    """Return the addresses of this machine, or exit if another program listens on one of them.

    `localhost` is ::1 first for many clients, Node's fetch among them; not every machine has it.
    """
    addresses = []
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            socket.create_server((host, port), family=family).close()
        except OSError as error:
            if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                continue
            sys.exit(
                f"Port {port} cannot be used ({os.strerror(error.errno or 0)}); "
                "try another one: `make run PORT=8001`"
            )
        addresses.append(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    return addresses


@contextmanager
def web_process(addresses: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run gunicorn as the Procfile does, but for this machine alone; stop it in the end."""
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
