"""The alert rules by Prometheus' own tool: each fires when it should, and not before."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.cli.grafana import MONITORING, PROMETHEUS, panels
from tests.services.conftest import demand

pytestmark = pytest.mark.services

PROMTOOL = Path("/usr/bin/promtool")
ALERTS, CASES = MONITORING / "alerts.yaml", Path(__file__).with_name("alerts.yaml")


def promtool(*arguments: str | Path) -> str:
    demand(PROMTOOL, "prometheus")
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_rules_are_understood() -> None:
    """Prometheus reads every rule."""
    rules = [rule for group in yaml.safe_load(ALERTS.read_text("utf-8"))["groups"] for rule in group["rules"]]
    assert f"SUCCESS: {len(rules)} rules found" in promtool("check", "rules", ALERTS)


def test_alerts_fire_and_stay_silent() -> None:
    """Each alert fires once its condition has lasted, and each is silent before, and where all is well."""
    assert "SUCCESS" in promtool("test", "rules", CASES)


def test_each_alert_is_tried() -> None:
    """None is left out of the cases: one where it is silent, one where it fires."""
    alerts = set(re.findall(r"alert: (\w+)", ALERTS.read_text("utf-8")))
    cases = [
        case for test in yaml.safe_load(CASES.read_text("utf-8"))["tests"] for case in test["alert_rule_test"]
    ]
    for fires in (True, False):
        assert {case["alertname"] for case in cases if ("exp_alerts" in case) is fires} == alerts


def test_the_dashboard_is_understood(tmp_path: Path) -> None:
    """Prometheus reads every expression of the dashboard."""
    rules = [
        {"record": f"panel:{number}", "expr": expression}
        for number, (_, _, expression) in enumerate(panels(PROMETHEUS))
    ]
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"SUCCESS: {len(rules)} rules found" in promtool("check", "rules", file)
