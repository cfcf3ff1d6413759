"""The alerts and the dashboard for the service's metrics (needs Debian's prometheus)."""

import json
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.database_server import Server
from tests.support.machine import find_program
from tests.support.web import ROOT, serving

pytestmark = pytest.mark.slow

RULES = ROOT / "docs" / "prometheus-rules.yml"
DASHBOARD = ROOT / "docs" / "grafana-dashboard.json"

REQUESTS = 'todoapp_requests_total{job="todos",route="/api/todos/{todo_id}",status="%s"}'
HEALTH_CHECKS = 'todoapp_requests_total{job="todos",route="/health",status="%s"}'
DATABASE_ERRORS = 'todoapp_database_errors_total{job="todos",kind="disk_full"}'
BUCKET = (
    "todoapp_request_duration_seconds_bucket"
    '{job="todos",route="/api/todos/{todo_id}",method="GET",le="%s"}'
)
POOL_SIZE = 'todoapp_pool_size{job="todos",instance="%s"}'
IN_USE = 'todoapp_pool_connections_in_use{job="todos",instance="%s"}'
# The values of half an hour, one a minute: "first+difference x count", or "value x count".
HEALTHY = {
    'up{job="todos"}': "1x30",
    REQUESTS % 200: "0+1000x30",
    REQUESTS % 503: "0+9x30",
    HEALTH_CHECKS % 200: "0+60x30",
    DATABASE_ERRORS: "7x30",
    BUCKET % "0.5": "0+1000x30",
    BUCKET % "1": "0+1009x30",
    BUCKET % "+Inf": "0+1009x30",
    POOL_SIZE % "web1": "8x30",
    POOL_SIZE % "web2": "8x30",
    IN_USE % "web1": "0x30",
    IN_USE % "web2": "7x30",
}


@pytest.fixture
def promtool(tmp_path: Path) -> Callable[..., None]:
    """Run promtool with a document that is written to a file; fail if it finds an error."""

    def run(*command: str, document: object) -> None:
        # JSON is YAML.
        path = tmp_path / "document.yml"
        path.write_text(json.dumps(document))
        process = subprocess.run(
            [find_program("promtool", "prometheus"), *command, path],
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == 0, process.stdout + process.stderr

    return run


def firing(series: Mapping[str, str], *names: str) -> dict[str, Any]:
    """Return a test for promtool: the alerts that fire after 20 minutes of a service's metrics."""
    alerts = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in names]
    expression = {
        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
        "eval_time": "20m",
        "exp_samples": alerts,
    }
    samples = [{"series": name, "values": values} for name, values in series.items()]
    tests = [{"interval": "1m", "input_series": samples, "promql_expr_test": [expression]}]
    return {"rule_files": [str(RULES)], "tests": tests}


@pytest.mark.parametrize(
    "series",
    [
        {},
        {REQUESTS % 200: "0+10x30", REQUESTS % 503: "0x10 1x20"},
        {HEALTH_CHECKS % 503: "0x18 1x12"},
    ],
    ids=["busy", "idle", "one failed health check"],
)
def test_no_alert_fires_for_a_healthy_service(
    series: dict[str, str], promtool: Callable[..., None]
) -> None:
    promtool("test", "rules", document=firing(HEALTHY | series))


@pytest.mark.parametrize(
    ("name", "series"),
    [
        ("TodosDown", {'up{job="todos"}': "0x30"}),
        # Not scraped.
        ("TodosDown", {'up{job="todos"}': "_x30"}),
        ("TodosUnavailable", {HEALTH_CHECKS % 200: "0x30", HEALTH_CHECKS % 503: "0+60x30"}),
        ("TodosErrors", {REQUESTS % 503: "0+11x30"}),
        ("TodosDatabaseErrors", {DATABASE_ERRORS: "0+1x30"}),
        ("TodosSlow", {BUCKET % "0.5": "0+980x30"}),
        ("TodosConnectionsUsedUp", {IN_USE % "web2": "8x30"}),
    ],
)
def test_alert_fires(name: str, series: dict[str, str], promtool: Callable[..., None]) -> None:
    promtool("test", "rules", document=firing(HEALTHY | series, name))


@pytest.fixture
def dashboard() -> list[str]:
    """The expressions of the dashboard."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def test_dashboard_has_valid_expressions(
    dashboard: list[str], promtool: Callable[..., None]
) -> None:
    # Grafana replaces the variables; the others are valid as they stand.
    rules = [
        {"record": "panel", "expr": expression.replace("$__rate_interval", "5m")}
        for expression in dashboard
    ]

    promtool("check", "rules", document={"groups": [{"name": "dashboard", "rules": rules}]})


def test_service_has_the_metrics_of_the_alerts_and_the_dashboard(
    dashboard: list[str], server: Server
) -> None:
    expected = set(re.findall(r"\btodoapp_\w+", RULES.read_text() + "".join(dashboard)))
    with serving(DATABASE_URL=server.address, METRICS="1") as web:
        with server.stopped():
            assert web.request("GET", "/api/todos/1").status_code == 503
        metrics = web.request("GET", "/metrics").text

    assert len(expected) >= 5
    assert expected <= set(re.findall(r"^todoapp_\w+", metrics, re.MULTILINE))
