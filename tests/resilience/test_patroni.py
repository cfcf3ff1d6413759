"""Automatic failover: the service on three nodes under Patroni, with docs/patroni.yml."""

import time
from collections.abc import Iterator

import pytest

from tests.support.load import load
from tests.support.patroni import Cluster, running_cluster
from tests.support.types import Measured
from tests.support.waiting import wait_until
from tests.support.web import WebProcess, serving

TTL = 20


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


def test_switchover_interrupts_changes_for_a_few_seconds(
    cluster: Cluster, web: WebProcess, measured: Measured
) -> None:
    (candidate,) = cluster.with_role("synchronous")
    with load(web.url("")) as log:
        begun = time.monotonic()
        cluster.switch_over(candidate)
        log.wait_for_successes(200)
    assert cluster.leader is candidate
    failures = [each for each in log.outcomes if each.failed]
    outage = max(each.ended for each in failures) - min(each.started for each in failures)
    measured("Patroni: switchover, without changes for", outage)
    assert outage < 5
    assert log.recovery_time(begun) < 15
    log.assert_durable(cluster.leader)


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
