"""Failover from a lost primary to its synchronous standby."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.database_server import Server, running
from tests.support.load import load
from tests.support.types import Measured
from tests.support.waiting import wait_until
from tests.support.web import serving

pytestmark = pytest.mark.slow


@pytest.fixture
def pair(tmp_path: Path, migrated: Path) -> Iterator[tuple[Server, Server]]:
    """Primary and its synchronous standby, which confirms every commit."""
    with ExitStack() as servers:
        primary = servers.enter_context(running(tmp_path / "primary", migrated))
        standby = primary.make_standby(tmp_path / "standby")
        servers.enter_context(standby.running())
        primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.execute("SELECT pg_reload_conf()")
        wait_until(
            lambda: primary.execute("SELECT sync_state FROM pg_stat_replication") == [("sync",)]
        )
        yield primary, standby


def test_failover_to_the_standby_loses_no_acknowledged_write(
    pair: tuple[Server, Server], measured: Measured
) -> None:
    primary, standby = pair
    hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
    url = f"postgresql://postgres@{hosts}/todos?target_session_attrs=read-write"

    with serving(DATABASE_URL=url) as web:
        with load(web.url("")) as log:
            primary.kill()
            killed = time.monotonic()
            log.wait_for(50)
            promoting = time.monotonic()
            standby.promote()
            promoted = time.monotonic()
            log.wait_for_successes(200)
        assert web.output().count("Booting worker") == 2

    log.assert_unavailable(killed, promoting, within=5)
    measured("failover to a standby: recovery after its promotion", log.recovery_time(promoted))
    assert log.recovery_time(promoted) < 5
    log.assert_durable(standby)
