"""Killed workers, reloads and hot upgrades of the web process."""

import re
import signal
import time

import psutil
import pytest

from tests.support.database_server import Server
from tests.support.load import load
from tests.support.types import Measured
from tests.support.waiting import wait_until
from tests.support.web import WebProcess


def worker_pids(web: WebProcess) -> set[int]:
    return {worker.pid for worker in web.workers()}


def test_a_killed_worker_loses_only_its_own_requests_and_is_replaced_within_2_seconds(
    server: Server, web: WebProcess, measured: Measured
) -> None:
    clients = 8
    with load(web.url(""), clients) as log:
        before = worker_pids(web)
        victim = psutil.Process(min(before))
        max_lost = len(victim.net_connections("tcp"))
        victim.kill()
        killed = time.monotonic()
        wait_until(lambda: len(worker_pids(web) - before) == 1)
        replaced = time.monotonic()
        log.wait_for(300)

    lost = [outcome for outcome in log.outcomes if outcome.failed]
    assert all(outcome.connection_lost for outcome in lost)
    assert len(lost) <= min(clients, max_lost)
    assert all(outcome.started < killed + 0.2 for outcome in lost)
    measured("worker killed (SIGKILL): replaced after", replaced - killed)
    measured("worker killed (SIGKILL): recovery", log.recovery_time(killed))
    assert replaced - killed < 2
    log.assert_durable(server)


@pytest.mark.slow
@pytest.mark.parametrize("reconnect", [False, True], ids=["keep-alive", "new connections"])
def test_three_reloads_in_a_row_lose_no_request(
    server: Server, web: WebProcess, reconnect: bool, measured: Measured
) -> None:
    with load(web.url(""), reconnect=reconnect) as log:
        for _ in range(3):
            before = worker_pids(web)
            signalled = time.monotonic()
            web.process.send_signal(signal.SIGHUP)
            wait_until(lambda old=before: not worker_pids(web) & old)  # type: ignore[misc]
            log.wait_for(100)
            replaced = time.monotonic() - signalled

    assert [outcome for outcome in log.outcomes if outcome.failed] == []
    measured(f"reload, SIGHUP ({len(log.outcomes)} requests, none failed)", replaced)
    log.assert_durable(server)


@pytest.mark.slow
@pytest.mark.parametrize("reconnect", [False, True], ids=["keep-alive", "new connections"])
def test_a_hot_upgrade_loses_no_request(
    server: Server, web: WebProcess, reconnect: bool, measured: Measured
) -> None:
    old = psutil.Process(web.process.pid)
    new = None
    try:
        with load(web.url(""), reconnect=reconnect) as log:
            signalled = time.monotonic()
            old.send_signal(signal.SIGUSR2)
            wait_until(lambda: [child for child in old.children() if len(child.children()) == 2])
            (new,) = (child for child in old.children() if child.children())
            wait_until(lambda: web.output().count("Booting worker") == 4)
            log.wait_for(100)
            old.terminate()
            assert web.process.wait(timeout=30) == 0
            replaced = time.monotonic() - signalled
            log.wait_for(200)
    finally:
        if new:
            new.terminate()
            new.wait(30)

    assert [outcome for outcome in log.outcomes if outcome.failed] == []
    measured(f"hot upgrade, SIGUSR2 ({len(log.outcomes)} requests, none failed)", replaced)
    log.assert_durable(server)
    assert not re.search("Traceback|ERROR", web.output())
