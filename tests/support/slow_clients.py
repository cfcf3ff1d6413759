"""Slow-client attack: each client would occupy a thread of a naive server indefinitely."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import cycle

import psutil

HEAD = b"POST /api/todos HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
GET_LIST = b"GET /api/todos HTTP/1.1\r\nHost: x\r\n\r\n"

FIRST_BYTES = {
    "silent": b"",
    "partial header": HEAD + b"X-Partial: ",
    "partial body": HEAD + b'Content-Length: 100\r\n\r\n{"description":',
    "one byte per second": b"P",
    "not reading": GET_LIST,
}


class SlowClient:
    """Connection of one slow client."""

    def __init__(self, kind: str, port: int) -> None:
        """Connect, and send the first bytes of this kind of client."""
        self.kind = kind
        self.sent = len(FIRST_BYTES[kind])
        self.socket = socket.socket()
        # A small receive buffer, so that unread responses fill up the server's buffers.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(30)
        self.socket.connect(("127.0.0.1", port))
        self.port = self.socket.getsockname()[1]
        self.socket.sendall(FIRST_BYTES[kind])
        self.socket.setblocking(False)

    def got_503(self) -> bool:
        """Return whether the server has responded 503."""
        try:
            return self.socket.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 503"
        except OSError:
            return False

    def send_next_byte(self) -> None:
        """Send the next byte if this kind of client keeps sending."""
        if self.kind == "one byte per second":
            with suppress(OSError):
                self.socket.send((HEAD * 2)[self.sent : self.sent + 1])
                self.sent += 1


class SlowClients:
    """Slow clients of every kind."""

    def __init__(self, port: int, count: int) -> None:
        """Connect `count` clients, 100 per second."""
        self.stopping = threading.Event()
        self.clients = []
        for kind, _ in zip(cycle(FIRST_BYTES), range(count), strict=False):
            self.clients.append(SlowClient(kind, port))
            time.sleep(0.01)
        self.connected_at = time.monotonic()
        """When all clients were connected."""

    def run(self) -> None:
        """Let each client send its next byte once per second."""
        while not self.stopping.wait(1):
            for client in self.clients:
                client.send_next_byte()

    def open_connections(self, master_pid: int) -> dict[str, int]:
        """Return the number of open connections by kind of client; a 503 counts as closed."""
        open_ports = {
            connection.raddr.port
            for process in psutil.Process(master_pid).children()
            for connection in process.net_connections("tcp")
            if connection.raddr
        }
        kinds = [
            client.kind
            for client in self.clients
            if client.port in open_ports and not client.got_503()
        ]
        return {kind: kinds.count(kind) for kind in FIRST_BYTES if kind in kinds}


@contextmanager
def slow_clients(port: int, count: int = 300) -> Iterator[SlowClients]:
    """Run slow clients against a port until the block ends."""
    slow = SlowClients(port, count)
    thread = threading.Thread(target=slow.run)
    thread.start()
    try:
        yield slow
    finally:
        slow.stopping.set()
        thread.join()
        for client in slow.clients:
            with suppress(OSError):
                client.socket.close()
