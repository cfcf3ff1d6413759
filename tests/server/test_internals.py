"""Internals of gunicorn, waitress and httptools that server/ depends on.

pyproject.toml pins the three packages exactly. An upgrade that changes one of these internals must
fail here rather than in production.
"""

import inspect
import select
import socket
from collections.abc import Callable, Iterator
from typing import Any

import gunicorn.workers.base
import httptools
import pytest
import waitress.channel
import waitress.server
import waitress.task
from gunicorn.arbiter import Arbiter
from waitress import wasyncore
from waitress.adjustments import Adjustments

from server.channel import Channel
from server.server import Dispatcher, Server
from server.worker import Worker

OVERRIDDEN = {
    (Channel, waitress.channel.HTTPChannel): {
        "handle_close",
        "handle_expt",
        "handle_read",
        "handle_write",
        "readable",
        "received",
        "send",
        "service",
        "writable",
        "write_soon",
    },
    (Server, waitress.server.BaseWSGIServer): {
        "accept",
        "fix_addr",
        "getsockname",
        "handle_accept",
        "maintenance",
        "readable",
        "set_socket_options",
    },
    (Dispatcher, waitress.task.ThreadedTaskDispatcher): {"add_task"},
    (Worker, gunicorn.workers.base.Worker): {"init_signals", "run"},
}
CHANNEL_ATTRIBUTES = {
    *("adj", "addr", "close_when_flushed", "connected", "last_activity"),
    *("logger", "outbuf_lock", "request", "requests", "requests_lock", "send_continue"),
    *("sent_continue", "server", "socket", "total_outbufs_len", "will_close", "write_soon"),
    *("_flush_exception", "_flush_some_if_lockable"),
}
SERVER_ATTRIBUTES = {
    *("accepting", "active_channels", "adj", "application", "del_channel", "effective_host"),
    *("effective_port", "logger", "pull_trigger", "task_dispatcher", "trigger", "add_task"),
}


def parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


@pytest.fixture
def server() -> Iterator[Server]:
    """Server without a running event loop."""
    listener = socket.create_server(("127.0.0.1", 0))
    dispatcher = Dispatcher(1)
    created = Server(
        lambda environ, start_response: [],
        {},
        _sock=listener,
        dispatcher=dispatcher,
        adj=Adjustments(),
        sockinfo=(listener.family, listener.type),
        bind_socket=False,
    )
    yield created
    created.close()
    dispatcher.shutdown()
    dispatcher.readiness.shutdown()
    dispatcher.lightweight.shutdown()


@pytest.mark.parametrize(("ours", "base"), OVERRIDDEN, ids=lambda each: each.__module__)
def test_overridden_methods_have_the_parameters_of_the_base_class(ours: Any, base: Any) -> None:
    functions = inspect.getmembers(ours, inspect.isfunction)
    overridden = {name for name, _ in functions if name in vars(ours) and hasattr(base, name)} - {
        "__init__"
    }

    assert overridden == OVERRIDDEN[ours, base]
    for name in overridden:
        assert parameters(getattr(ours, name)) == parameters(getattr(base, name))


def test_channel_and_server_have_the_attributes_that_are_used(server: Server) -> None:
    server_end, client_end = socket.socketpair()
    channel = Channel(server, server_end, ("127.0.0.1", 1), server.adj, map={})

    assert [name for name in CHANNEL_ATTRIBUTES if not hasattr(channel, name)] == []
    assert [name for name in SERVER_ATTRIBUTES if not hasattr(server, name)] == []
    assert server.active_channels == {server_end.fileno(): channel}

    channel.handle_close()
    client_end.close()
    assert server.active_channels == {}


def test_one_pass_may_close_a_connection_and_report_that_it_is_writable(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server_end, client_end = socket.socketpair()
    channel = Channel(server, server_end, ("127.0.0.1", 1), server.adj, map={})
    client_end.close()
    channel.close_when_flushed = True

    wasyncore.readwrite(channel, select.POLLIN | select.POLLOUT)

    assert server.active_channels == {}
    assert caplog.messages == []


def test_the_dispatcher_has_a_queue(server: Server) -> None:
    assert not server.has_queued_requests
    assert len(server.task_dispatcher.queue) == 0


def test_the_trigger_runs_a_callback_in_the_event_loop(server: Server) -> None:
    ran: list[bool] = []
    server.trigger.pull_trigger(lambda: ran.append(True))

    wasyncore.poll2(1, server._map)

    assert ran == [True]


def test_gunicorn_has_the_methods_and_the_signal_queue_that_are_used() -> None:
    for name in ("handle_exit", "init_process", "notify"):
        assert callable(getattr(gunicorn.workers.base.Worker, name))
    assert "self.SIG_QUEUE" in inspect.getsource(Arbiter)


def test_httptools_parses_strictly_by_default() -> None:
    parser = httptools.HttpRequestParser(object())
    with pytest.raises(httptools.HttpParserError):
        parser.feed_data(b"GET / HTTP/1.1\nHost: x\n\n")
