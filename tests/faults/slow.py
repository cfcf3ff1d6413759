"""Clients that are slow on purpose: each would keep a thread of a naive server for good."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import cycle

HEAD = b"POST /api/todos HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
LONG = b"GET /api/todos HTTP/1.1\r\nHost: x\r\n\r\n"

FIRST_BYTES = {
    "silent": b"",
    "half a header": HEAD + b"X-Half: ",
    "half a body": HEAD + b'Content-Length: 100\r\n\r\n{"description":',
    "one byte a second": b"P",
    "never reading": LONG,
}


class SlowClient:
    """One connection."""

    def __init__(self, kind: str, port: int) -> None:
        """Connect, and send what this kind of client sends at first."""
        self.kind = kind
        self.sent = len(FIRST_BYTES[kind])
        self.closed: float | None = None
        self.socket = socket.socket()
        # Little fits on the way to a client that does not read.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(30)
        self.socket.connect(("127.0.0.1", port))
        self.socket.sendall(FIRST_BYTES[kind])
        self.socket.setblocking(False)

    def go_on(self) -> None:
        """Do what there is to do in a second; see whether the server has hung up."""
        if self.closed or self.kind == "never reading":
            return
        try:
            if self.kind == "one byte a second":
                self.socket.send((HEAD * 2)[self.sent : self.sent + 1])
                self.sent += 1
            while self.socket.recv(65536):
                pass
        except BlockingIOError:
            return
        except OSError:
            pass
        self.closed = time.monotonic()

    def was_cut_off(self) -> bool:
        """Say whether the server has ended the connection before its answer, if any, was whole."""
        if self.kind != "never reading":
            return self.closed is not None
        received = b""
        self.socket.settimeout(3)
        try:
            while data := self.socket.recv(1 << 20):
                received = (received + data)[-10:]
        except TimeoutError:
            return False
        except OSError:
            return True
        return not received.endswith(b"0\r\n\r\n")


class SlowClients:
    """Many of them, of every kind."""

    def __init__(self, port: int, count: int) -> None:
        """Connect all of them, which takes a second."""
        self.ending = threading.Event()
        self.began = time.monotonic()
        self.clients = [
            SlowClient(kind, port) for kind, _ in zip(cycle(FIRST_BYTES), range(count), strict=False)
        ]

    def run(self) -> None:
        """Keep them going, each once in a second."""
        while not self.ending.wait(1):
            for client in self.clients:
                client.go_on()

    def open(self) -> dict[str, int]:
        """Return how many of each kind the server has not cut off."""
        kinds = [client.kind for client in self.clients if not client.was_cut_off()]
        return {kind: kinds.count(kind) for kind in FIRST_BYTES if kind in kinds}


@contextmanager
def slow_clients(port: int, count: int = 300) -> Iterator[SlowClients]:
    """Let slow clients use the service on a port until the block ends."""
    slow = SlowClients(port, count)
    thread = threading.Thread(target=slow.run)
    thread.start()
    try:
        yield slow
    finally:
        slow.ending.set()
        thread.join()
        for client in slow.clients:
            with suppress(OSError):
                client.socket.close()
