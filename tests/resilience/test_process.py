"""What a client can rely on when the web process is killed, reloaded or replaced."""

import re
import signal
import time
from collections.abc import Callable

import psutil
import pytest

from tests.support.database_server import Server
from tests.support.load import load
from tests.support.waiting import wait_until
from tests.support.web import WebProcess


def workers(master: int) -> set[int]:
    """Return the process ids of the workers that serve."""
    return {child.pid for child in psutil.Process(master).children()}


def test_a_killed_worker_loses_its_own_requests_alone_and_another_is_there_within_2_seconds(
    server: Server, web: WebProcess, measured: Callable[[str, float], None]
) -> None:
    clients = 8
    with load(web.url(""), clients) as log:
        before = workers(web.process.pid)
        victim = psutil.Process(min(before))
        lost_at_most = len(victim.net_connections("tcp"))
        victim.kill()
        killed = time.monotonic()
        wait_until(lambda: len(workers(web.process.pid) - before) == 1)
        replaced = time.monotonic()
        log.wait_for(300)

    lost = [answer for answer in log.answers if answer.failed]
    assert all(answer.lost for answer in lost)
    assert len(lost) <= min(clients, lost_at_most)
    assert all(answer.started < killed + 0.2 for answer in lost)
    measured("a worker is killed (-9): another one is there", replaced - killed)
    measured("a worker is killed (-9): last lost answer", log.recovery(killed))
    assert replaced - killed < 2
    log.assert_kept(server)


@pytest.mark.slow
@pytest.mark.parametrize("connect_anew", [False, True], ids=["kept connections", "new connections"])
def test_three_reloads_in_a_row_fail_no_request(
    server: Server, web: WebProcess, connect_anew: bool, measured: Callable[[str, float], None]
) -> None:
    with load(web.url(""), connect_anew=connect_anew) as log:
        for _ in range(3):
            before = workers(web.process.pid)
            asked = time.monotonic()
            web.process.send_signal(signal.SIGHUP)
            wait_until(lambda old=before: not workers(web.process.pid) & old)  # type: ignore[misc]
            log.wait_for(100)
            replaced = time.monotonic() - asked

    assert [answer for answer in log.answers if answer.failed] == []
    measured(f"SIGHUP ({len(log.answers)} requests, none failed)", replaced)
    log.assert_kept(server)


@pytest.mark.slow
@pytest.mark.parametrize("connect_anew", [False, True], ids=["kept connections", "new connections"])
def test_a_hand_over_to_a_new_master_fails_no_request(
    server: Server, web: WebProcess, connect_anew: bool, measured: Callable[[str, float], None]
) -> None:
    old = psutil.Process(web.process.pid)
    new = None
    try:
        with load(web.url(""), connect_anew=connect_anew) as log:
            asked = time.monotonic()
            old.send_signal(signal.SIGUSR2)
            wait_until(lambda: [child for child in old.children() if len(child.children()) == 2])
            (new,) = (child for child in old.children() if child.children())
            wait_until(lambda: web.output().count("Booting worker") == 4)
            log.wait_for(100)
            old.terminate()
            assert web.process.wait(timeout=30) == 0
            replaced = time.monotonic() - asked
            log.wait_for(200)
    finally:
        if new:
            new.terminate()
            new.wait(30)

    assert [answer for answer in log.answers if answer.failed] == []
    measured(f"USR2, TERM ({len(log.answers)} requests, none failed)", replaced)
    log.assert_kept(server)
    assert not re.search("Traceback|ERROR", web.output())
