"""The worker of the web process: gunicorn's threads, which never wait for a client to send.

gunicorn's own worker gives a thread to a client that has only begun to send, and its main loop
waits for one that does not hang up; a few such clients keep all others waiting. Here the main
loop, which waits for everybody at once, collects requests, and a thread gets one when it is there.
TLS is the proxy's.
"""

import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from http import HTTPStatus
from queue import SimpleQueue
from selectors import EVENT_READ
from typing import Any

import gunicorn.util
import orjson
from gunicorn import http
from gunicorn.http.errors import (
    ExpectationFailed,
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
    UnsupportedTransferCoding,
)
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, ThreadWorker

from . import security
from .config import load_config
from .framing import Incoming

RECEIVE_SIZE = 64 * 1024
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

REFUSALS = {
    ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
}
"""What is answered to what gunicorn does not understand. All else is a 400."""

LEAST_RATE = 256 * 1024
"""Bytes of a long answer for which a client that reads slowly has a second more."""

LATE = 0.8
"""The part of REQUEST_TIMEOUT after which a request is begun no more: its answer takes time."""

LINGER_SECONDS = 2
"""How long a client may send on after the last answer: hung up on at once, it could lose that."""

HEALTH = (b"GET /health", b"HEAD /health")
HEALTH_THREADS = 2

STOPPING = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)

waited_too_long: ContextVar[bool] = ContextVar("waited_too_long", default=False)
"""Whether the request of this thread has waited for it until it was too late."""


class ClientSocket(socket.socket):
    """A socket that does not block; only to send all of an answer, it waits for its client."""

    patience: float
    """How many seconds it waits, at most, for a client that has just taken something."""

    deadline: float
    """When its client has to have taken what was sent, by time.monotonic(). It begins with the
    request, so that clients that do not read are cut off all at once, not one after the other."""

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send `data`.

        Raises:
            TimeoutError: the client has not taken it in time.
        """
        try:
            sent = self.send(data, flags)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            time_left = self.deadline - time.monotonic()
            self.settimeout(max(time_left, self.patience * (1 - LATE)))
            super().sendall(memoryview(data)[sent:], flags)
            self.setblocking(False)
            self.deadline = min(
                self.deadline + len(data) / LEAST_RATE, time.monotonic() + self.patience
            )


class Connection:
    """A client's connection, with the names of gunicorn's `TConn` where its worker uses them."""

    def __init__(self, client_socket: ClientSocket, client: Any, server: Any) -> None:
        self.sock = client_socket
        self.client = client
        self.server = server
        self.incoming = Incoming()
        self.timeout = 0.0
        """When its time is over, by time.monotonic()."""
        self.waiting: deque[Connection]
        """Those that wait for the same as it does."""

    def read(self) -> bytes | None:
        """Return what the client has sent, nothing if it has left, None if it sent nothing yet."""
        try:
            return self.sock.recv(RECEIVE_SIZE)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def send_error(self, status: HTTPStatus, detail: str = "") -> None:
        """Say, as every failure is answered, that there will be no answer."""
        body = orjson.dumps({"detail": detail or status.phrase.capitalize()})
        headers = {
            "Connection": "close",
            "Content-Type": "application/json",
            "Content-Length": len(body),
            **dict(security.headers()),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        answer = f"HTTP/1.1 {status.value} {status.phrase}\r\n{head}\r\n".encode() + body
        # It is short. Where even that has no room, the client does not read.
        with suppress(OSError):
            self.sock.send(answer)

    def close(self) -> None:
        gunicorn.util.close(self.sock)


class Worker(ThreadWorker):  # type: ignore[misc]
    """Reads requests in the main loop, and answers them in threads.

    A connection is to send a request (`pending_conns`), or may send another (`keepalived_conns`),
    or is with a thread, or is to hang up (`closing_conns`). Each of these is in the order in which
    their time is over.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request_timeout = load_config().request_timeout
        self.closing_conns: deque[Connection] = deque()
        self.early_signals: SimpleQueue[int] = SimpleQueue()
        """What its master was told last before the worker was forked, and it since then."""

    def init_signals(self) -> None:
        """Listen to signals of its own, and to those that came before."""
        super().init_signals()
        # Until now a signal went to what was its master's handler, and into a copy of its queue.
        while not self.early_signals.empty():
            if self.early_signals.get_nowait() in STOPPING:
                self.alive = False

    def init_process(self) -> None:
        """Serve, until told to stop."""
        # Who asks how the service is does not queue behind those that wait for the database.
        self.health_pool = ThreadPoolExecutor(HEALTH_THREADS)
        super().init_process()

    def accept(self, listener: socket.socket) -> None:
        """Accept a client that connects."""
        try:
            accepted, client = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # another worker was faster, or the client has left
        except OSError as error:
            self.log.warning("Cannot accept a client: %s", error)
            self.make_room()
            return
        self.nr_conns += 1
        client_socket = ClientSocket(fileno=accepted.detach())
        client_socket.setblocking(False)
        client_socket.patience = self.request_timeout
        conn = Connection(client_socket, client, listener.getsockname())
        self.await_request(conn)
        if self.nr_conns >= self.worker_connections:
            self.make_room()

    def make_room(self) -> None:
        """Hang up on the client that has been idle for the longest time."""
        if self.keepalived_conns:
            self.drop(self.keepalived_conns[0])

    def receive(self, conn: Connection, _: socket.socket) -> None:
        """Take what a client has sent; when a request is there, pass it to a thread."""
        data = conn.read()
        incoming = conn.incoming
        if data is None:
            return
        if not data and not incoming.data:
            self.drop(conn)
        elif not data:
            self.refuse(conn, HTTPStatus.BAD_REQUEST, "The request breaks off")
        else:
            incoming.add(data)
            self.go_on(conn)

    def go_on(self, conn: Connection) -> None:
        """Pass the request to a thread if it is there, or else go on waiting for it."""
        incoming = conn.incoming
        if incoming.is_broken:
            self.refuse(conn, HTTPStatus.BAD_REQUEST, "The body breaks off")
        elif incoming.is_there:
            self.stop_waiting(conn)
            self.enqueue_req(conn)
        elif incoming.head_is_too_long:
            self.refuse(conn, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif conn.waiting is self.keepalived_conns:
            self.stop_waiting(conn)
            self.await_request(conn)
        if incoming.expects_continue and not incoming.is_there:
            # Told so now, the client sends the body: RFC 9110, section 10.1.1.
            incoming.expects_continue = False
            with suppress(OSError):
                conn.sock.send(CONTINUE)

    def await_request(self, conn: Connection) -> None:
        """Wait for a request, or for the rest of one."""
        self.wait(conn, self.pending_conns, self.request_timeout, self.receive)

    def enqueue_req(self, conn: Connection) -> None:
        """Pass a request to the next free thread."""
        now = time.monotonic()
        conn.sock.deadline = now + self.request_timeout
        conn.timeout = now + self.request_timeout * LATE
        pool = self.health_pool if conn.incoming.data.startswith(HEALTH) else self.tpool
        pool.submit(self.handle, conn).add_done_callback(
            lambda future: self.method_queue.defer(self.finish_request, conn, future)
        )

    def handle(self, conn: Connection) -> bytes | None:
        """Answer a request, in a thread.

        Return what has come after it, or None if no other request can.
        """
        data, is_last = bytes(conn.incoming.data), conn.incoming.is_last
        conn.incoming = Incoming()
        waited_too_long.set(time.monotonic() > conn.timeout)
        request = None
        try:
            # What has not come will not come, for all that gunicorn knows.
            parser = http.get_parser(self.cfg, [data], conn.client)
            request = next(parser)
            if is_last:
                request.force_close()
            if self.handle_request(request, conn) and parser.finish_body():
                return parser.unreader.take_buffered()  # type: ignore[no-any-return]
        except ParseException as error:
            self.log.info("Refused a client: %s", type(error).__name__)
            # Else it has its answer, and only the rest of its body is wrong.
            if request is None:
                conn.send_error(REFUSALS.get(type(error), HTTPStatus.BAD_REQUEST), str(error))
        except TimeoutError:
            self.log.info("Cut off a client that did not read its answer")
        except (OSError, StopIteration) as error:  # NoMoreData is one, too
            self.log.debug("Closed a connection: %r", error)
        except Exception:
            self.log.exception("A request could not be answered")
            conn.send_error(HTTPStatus.INTERNAL_SERVER_ERROR)
        return None

    def finish_request(self, conn: Connection, future: "Future[bytes | None]") -> None:
        """Wait for the next request of a client that has its answer, or hang up."""
        rest = future.result()
        if rest is None:
            self.hang_up(conn)
        elif rest:
            conn.incoming.add(rest)
            self.await_request(conn)
            self.go_on(conn)
        else:
            seconds = self.cfg.keepalive if self.alive else STOP_KEEPALIVE_LINGER
            self.wait(conn, self.keepalived_conns, seconds, self.receive)

    def murder_pending(self) -> None:
        """Cut off those whose time is over."""
        now = time.monotonic()
        while self.pending_conns and self.pending_conns[0].timeout <= now:
            conn = self.pending_conns[0]
            if conn.incoming.data:
                self.refuse(conn, HTTPStatus.REQUEST_TIMEOUT)
            else:
                self.drop(conn)
        while self.closing_conns and self.closing_conns[0].timeout <= now:
            self.drop(self.closing_conns[0])

    def refuse(self, conn: Connection, status: HTTPStatus, detail: str = "") -> None:
        """Answer what is not a request and will not become one."""
        self.log.info("Refused a client: %s", detail or status.phrase)
        self.stop_waiting(conn)
        conn.send_error(status, detail)
        self.hang_up(conn)

    def hang_up(self, conn: Connection) -> None:
        """Close a connection, without destroying what is still on its way: RFC 9112, section 9.6"""
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.forget(conn)
        else:
            self.wait(conn, self.closing_conns, LINGER_SECONDS, self.discard)

    def discard(self, conn: Connection, _: socket.socket) -> None:
        """Throw away what a client sends after its last answer, until it hangs up as well."""
        if conn.read() == b"":
            self.drop(conn)

    def drop(self, conn: Connection) -> None:
        """Close a connection at once."""
        self.stop_waiting(conn)
        self.forget(conn)

    def forget(self, conn: Connection) -> None:
        """Close a connection that waits for nothing."""
        self.nr_conns -= 1
        conn.close()

    def wait(
        self,
        conn: Connection,
        among: "deque[Connection]",
        seconds: float,
        callback: Callable[[Connection, socket.socket], None],
    ) -> None:
        """Call back when a client sends something, for as long as it has time for that."""
        conn.timeout = time.monotonic() + seconds
        conn.waiting = among
        among.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(callback, conn))

    def stop_waiting(self, conn: Connection) -> None:
        """Do not call back any more."""
        self.poller.unregister(conn.sock)
        conn.waiting.remove(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        """Let nobody who has not begun a request keep a worker from stopping.

        One that has begun stands before them, and may keep it for REQUEST_TIMEOUT.
        """
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            if not conn.incoming.data:
                conn.timeout = min(conn.timeout, deadline)
