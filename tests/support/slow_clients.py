"""Clients that are slow on purpose: each would keep a thread of a naive server for good."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import cycle

import psutil

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
        self.socket = socket.socket()
        # Little fits on the way to a client that does not read.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(30)
        self.socket.connect(("127.0.0.1", port))
        self.port = self.socket.getsockname()[1]
        self.socket.sendall(FIRST_BYTES[kind])
        self.socket.setblocking(False)

    def was_refused(self) -> bool:
        """Say whether the server has said no: an answer so short that it is here in full."""
        try:
            return self.socket.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 503"
        except OSError:
            return False

    def go_on(self) -> None:
        """Send the next byte, if this kind of client sends any more."""
        if self.kind == "one byte a second":
            with suppress(OSError):
                self.socket.send((HEAD * 2)[self.sent : self.sent + 1])
                self.sent += 1


class SlowClients:
    """Many of them, of every kind."""

    def __init__(self, port: int, count: int) -> None:
        """Connect all of them, a hundred in a second."""
        self.ending = threading.Event()
        self.clients = []
        for kind, _ in zip(cycle(FIRST_BYTES), range(count), strict=False):
            self.clients.append(SlowClient(kind, port))
            time.sleep(0.01)
        self.there = time.monotonic()
        """When all of them were there."""

    def run(self) -> None:
        """Keep them going, each once in a second."""
        while not self.ending.wait(1):
            for client in self.clients:
                client.go_on()

    def held_by(self, master: int) -> dict[str, int]:
        """Return how many of each kind the processes of a server wait for."""
        held = {
            connection.raddr.port
            for process in psutil.Process(master).children()
            for connection in process.net_connections("tcp")
            if connection.raddr
        }
        kinds = [
            client.kind
            for client in self.clients
            if client.port in held and not client.was_refused()
        ]
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
