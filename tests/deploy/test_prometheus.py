"""Prometheus accepts its files, the alerts fire when they should, and each metric in them is one of ours."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from panopticon.metrics import COUNTERS, GAUGES, HISTOGRAMS
from tests.deploy.compose import FOLDER
from tests.servers.requirements import require

PROMETHEUS = FOLDER / "prometheus"
RULES = (PROMETHEUS / "rules.yml").read_text("utf-8")


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    require(found, "promtool is needed; on Debian and Ubuntu: apt install prometheus")
    return str(found)


def run(*command: str | Path) -> None:
    ran = subprocess.run(command, cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES)["groups"] for rule in group["rules"]]


def known() -> set[str]:
    """Return the names of all series that our processes may serve."""
    parts = {f"{name}_{part}" for name in HISTOGRAMS for part in ("bucket", "sum", "count")}
    return {*COUNTERS, *GAUGES, *parts}


def test_prometheus_accepts_its_settings_and_rules(promtool: str) -> None:
    run(promtool, "check", "config", "prometheus.yml")


def test_the_alerts_fire_when_they_should(promtool: str) -> None:
    run(promtool, "test", "rules", "rules_test.yml")


def test_every_metric_of_ours_in_a_rule_is_served() -> None:
    named = {name for rule in rules() for name in re.findall(r"\bpanopticon_\w+", rule["expr"])}
    assert named
    assert named <= known()


def test_every_label_of_ours_in_a_rule_is_one_of_its_metric() -> None:
    specs = [*COUNTERS.items(), *GAUGES.items()]
    labels = {str(name): spec.labels for name, spec in specs}
    for rule in rules():
        for metric, label in re.findall(r"\b(panopticon_\w+)\{(\w+)", rule["expr"]):
            assert label in labels[metric]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_has_a_summary(rule: dict[str, Any]) -> None:
    assert rule["annotations"]["summary"]
