"""`make run`: the service as deployed, with a bundled PostgreSQL.

The database persists in instance/. If DATABASE_URL is set, that database is used instead.
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
BINARIES = Path(sys.executable).parent
# Against DNS rebinding: a web page whose domain resolves to this machine must not read the todos.
LOCAL_HOSTS = "localhost,127.0.0.1,[::1]"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Serve until SIGINT (Ctrl-C), SIGTERM or SIGHUP; return the exit status."""
    for number in SIGNALS:
        is_nohup = number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN
        if not is_nohup:
            signal.signal(number, _interrupt)
    os.chdir(ROOT)
    try:
        if os.environ.get("DATABASE_URL"):
            return serve()
        with instance_lock(), Postgres(INSTANCE / "postgres").running() as postgres:
            url = os.environ["DATABASE_URL"] = postgres.create_database("todos")
            return serve(f"  Database  DATABASE_URL='{url}'\n")
    except KeyboardInterrupt:
        return 0
    except PostgresError as error:
        sys.exit(str(error))


def serve(announcement: str = "") -> int:
    """Run the release and web commands of the Procfile; return the exit status.

    Args:
        announcement: printed with the URLs once the service is up.
    """
    os.environ.setdefault("TRUSTED_HOSTS", LOCAL_HOSTS)
    port = load_config().port
    addresses = free_addresses(port)
    release = subprocess.run([BINARIES / "flask", "db", "upgrade"], check=False)
    if release.returncode:
        return release.returncode
    with web_process(addresses) as web:
        if wait_until_listening(port, web):
            print(
                f"\n  Todos     http://localhost:{port}/"
                f"\n  API       http://localhost:{port}/docs"
                f"\n{announcement}  Press Ctrl-C to stop.\n",
                flush=True,
            )
        return web.wait()


@contextmanager
def instance_lock() -> Iterator[None]:
    """Lock instance/ for this process, or exit: it can run only one database server."""
    INSTANCE.mkdir(exist_ok=True)
    with (INSTANCE / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            sys.exit(f"`make run` is running here already (process {lock.read()})")
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def free_addresses(port: int) -> list[str]:
    """Return the loopback addresses to bind, or exit if the port is in use on one of them.

    Many clients, Node's fetch among them, resolve `localhost` to ::1 first; some machines lack it.
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
                "choose another one: `make run PORT=8001`"
            )
        addresses.append(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    return addresses


@contextmanager
def web_process(addresses: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run gunicorn as in the Procfile, but on the loopback interface; stop it at the end."""
    binds = [word for address in addresses for word in ("--bind", address)]
    # In a new process group, so that Ctrl-C does not reach gunicorn, which finishes its requests.
    web = subprocess.Popen([BINARIES / "gunicorn", "wsgi:app", *binds], process_group=0)
    try:
        yield web
    finally:
        web.terminate()
        web.wait()


def wait_until_listening(port: int, web: subprocess.Popen[bytes]) -> bool:
    """Wait until `web` listens on the port; return False if it exited first."""
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
