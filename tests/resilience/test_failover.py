"""What holds when the primary is lost and a synchronous standby takes its place."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.database_server import Server, running
from tests.support.load import load
from tests.support.waiting import wait_until
from tests.support.web import serving

pytestmark = pytest.mark.slow


@pytest.fixture
def pair(tmp_path: Path, migrated: Path) -> Iterator[tuple[Server, Server]]:
    """A primary, and a standby without which nothing is acknowledged."""
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


def test_after_a_failover_the_standby_is_used_and_nothing_acknowledged_is_lost(
    pair: tuple[Server, Server], measured: Callable[[str, float], None]
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

    log.assert_refused(killed, promoting, within=5)
    measured("the primary is killed, its standby promoted", log.recovery(promoted))
    assert log.recovery(promoted) < 5
    log.assert_kept(standby)
