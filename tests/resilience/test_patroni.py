"""Automatic failover: the service on three nodes under Patroni, with docs/patroni.yml."""

import time
from collections.abc import Iterator

import pytest

from tests.support.load import load
from tests.support.patroni import Cluster, haproxy, running_cluster
from tests.support.types import Measured
from tests.support.waiting import wait_until
from tests.support.web import WebProcess, serving

pytestmark = pytest.mark.slow

TTL = 20
"""Seconds until Patroni replaces a leader that is lost."""


@pytest.fixture(scope="module")
def lasting_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster for all tests: it takes half a minute to start."""
    with running_cluster(tmp_path_factory.mktemp("patroni")) as cluster:
        yield cluster


@pytest.fixture
def cluster(lasting_cluster: Cluster) -> Cluster:
    """The cluster, with an empty table, and as healthy as it was at first."""
    lasting_cluster.wait_until_healthy()
    lasting_cluster.leader.execute("TRUNCATE todos", "todos")
    return lasting_cluster


@pytest.fixture
def web(cluster: Cluster) -> Iterator[WebProcess]:
    """The service, whose processes must survive the test."""
    with serving(DATABASE_URL=cluster.url) as web:
        yield web
        assert web.output().count("Booting worker") == 2


def assert_switchover_succeeds(cluster: Cluster, web: WebProcess) -> float:
    """Make the synchronous standby the leader, under load; return how long changes failed."""
    (candidate,) = cluster.with_role("synchronous")
    with load(web.url("")) as log:
        cluster.switch_over(candidate)
        log.wait_for_successes(200)
    assert cluster.leader is candidate
    log.assert_durable(candidate)
    failed = [outcome for outcome in log.outcomes if outcome.failed]
    assert failed
    return max(each.ended for each in failed) - min(each.started for each in failed)


def test_switchover_interrupts_the_service_for_a_few_seconds(
    cluster: Cluster, web: WebProcess, measured: Measured
) -> None:
    seconds = assert_switchover_succeeds(cluster, web)

    measured("Patroni: switchover", seconds)
    assert seconds < 5


def test_switchover_behind_haproxy_interrupts_the_service_for_a_few_seconds(
    cluster: Cluster, measured: Measured
) -> None:
    with haproxy(cluster) as url, serving(DATABASE_URL=url) as web:
        seconds = assert_switchover_succeeds(cluster, web)

    measured("Patroni: switchover behind HAProxy", seconds)
    assert seconds < 10


def test_loss_of_the_leader_loses_no_acknowledged_change(
    cluster: Cluster, web: WebProcess, measured: Measured
) -> None:
    lost = cluster.leader
    with load(web.url("")) as log:
        lost.kill()
        killed = time.monotonic()
        wait_until(lambda: cluster.with_role("leader"), TTL + 10)
        log.wait_for_successes(200)
    measured("Patroni: failover after the loss of the leader", log.recovery_time(killed))
    assert log.recovery_time(killed) < TTL + 5
    log.assert_durable(cluster.leader)

    # It comes back as a replica of the new leader.
    lost.start()
    cluster.wait_until_healthy()
    assert lost.role() != "leader"


def test_leader_that_only_the_service_reaches_is_replaced_without_losing_a_change(
    cluster: Cluster, web: WebProcess, measured: Measured
) -> None:
    isolated = cluster.leader
    others = [node for node in cluster.nodes if node is not isolated]
    with load(web.url("")) as log:
        isolated.cut_off()
        cut = time.monotonic()
        wait_until(lambda: any(node.role() == "leader" for node in others), TTL + 10)
        assert isolated.role() != "leader"
        log.wait_for_successes(200)
    measured("Patroni: failover after the leader was cut off", log.recovery_time(cut))
    assert log.recovery_time(cut) < TTL + 5
    log.assert_durable(cluster.leader)

    isolated.reconnect()
    cluster.wait_until_healthy()
    assert isolated.role() != "leader"
    log.assert_durable(cluster.leader)


def test_loss_of_the_synchronous_standby_fails_no_request(
    cluster: Cluster, web: WebProcess, measured: Measured
) -> None:
    (lost,) = cluster.with_role("synchronous")
    with load(web.url("")) as log:
        lost.kill()
        killed = time.monotonic()
        wait_until(lambda: cluster.with_role("synchronous"), TTL + 10)
        log.wait_for_successes(200)
    measured(
        "Patroni: longest wait after the loss of a standby",
        log.max_latency(killed, time.monotonic()),
    )
    assert not [each for each in log.outcomes if each.failed]
    log.assert_durable(cluster.leader)
    lost.start()


def test_loss_of_etcd_makes_the_service_unavailable_until_it_is_back(
    cluster: Cluster, web: WebProcess, measured: Measured
) -> None:
    with load(web.url("")) as log:
        cluster.stop_etcd()
        wait_until(lambda: not cluster.with_role("leader"), TTL + 10)
        log.wait_for(20, lambda each: each.status == 503)
        stepped_down = time.monotonic()
        log.wait_for(100)
        restarted = time.monotonic()
        cluster.start_etcd()
        log.wait_for_successes(200)
    log.assert_unavailable(stepped_down, restarted, within=5)
    measured("Patroni: recovery after etcd is back", log.recovery_time(restarted))
    log.assert_durable(cluster.leader)
