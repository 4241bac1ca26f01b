"""Alert rules and board under deploy/monitoring, against the metrics that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from driftd.telemetry.metrics import SEVERITIES, Metrics

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/monitoring"
RUNBOOK = ROOT / "docs/how-to/monitor.md"
SERIES = {name: one for one in Metrics("0").described for name in one.series}
VALUES = {
    "severity": set(SEVERITIES),
    "state": {"running", "failing"},
    "status": {"Synced", "OutOfSync", "Unknown"},
    "result": {"sent", "failed", "undeliverable", "applied"},
}
"""What a label may be compared with."""


def groups() -> list[dict[str, Any]]:
    """The groups of the plain rules file."""
    document = yaml.safe_load((FOLDER / "rules.yaml").read_text(encoding="utf-8"))
    return list(document["groups"])


RULES = [rule for group in groups() for rule in group["rules"]]
BOARD = json.loads((FOLDER / "grafana-dashboard.json").read_text(encoding="utf-8"))


def queries() -> Iterator[tuple[str, str]]:
    """Every query with the name of what it stands in."""
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in BOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


@pytest.mark.parametrize(("name", "query"), list(queries()))
def test_every_metric_and_label_of_a_query_exists(name: str, query: str) -> None:
    """A renamed metric, a wrong label or value would make an alert silent and a panel empty."""
    found = re.findall(r"\b(driftd_\w+)(?:\{([^}]*)\})?", query)
    assert found, name
    for metric, matchers in found:
        assert metric in SERIES, f"{name}: {metric}"
        for label, value in re.findall(r'(\w+)="([^"]*)"', matchers):
            assert label in SERIES[metric].labels, f"{name}: {label}"
            assert value in VALUES[label], f"{name}: {value}"
    labels = {label for metric, _ in found for label in (*SERIES[metric].labels, "le")}
    for listed in re.findall(r"\bby \(([^)]*)\)", query):
        assert {label.strip() for label in listed.split(",")} <= labels, name


def test_every_query_of_a_counter_takes_its_increase() -> None:
    """Counters and buckets start anew with the process: only how they grow says something."""
    for name, query in queries():
        for metric in re.findall(r"\bdriftd_\w+", query):
            grows = SERIES[metric].kind in {"counter", "histogram"}
            taken = re.search(rf"(rate|increase)\({metric}(\{{[^}}]*\}})?\[", query) is not None
            assert grows == taken, f"{name}: {metric}"


def test_every_alert_says_what_to_do() -> None:
    """Summary, description, severity, and a chapter of the runbook; no chapter without alert."""
    text = RUNBOOK.read_text(encoding="utf-8")
    chapters = re.findall(r"(?m)^### (\w+)$", text)
    assert chapters == [rule["alert"] for rule in RULES]
    for rule in RULES:
        notes = rule["annotations"]
        assert set(notes) == {"summary", "description", "runbook"}, rule["alert"]
        assert notes["runbook"] == f"docs/how-to/monitor.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert not notes["summary"].endswith(".")
        assert notes["description"].endswith(".")


def test_templates_use_labels_that_the_query_keeps() -> None:
    """`{{ $labels.cluster }}` of a query that sums the cluster away would be empty."""
    for rule in RULES:
        (first, *_) = re.findall(r"driftd_\w+", rule["expr"])
        kept = re.findall(r"\bby \(([^)]*)\)", rule["expr"])
        labels = set(kept[0].split(", ")) if kept else set(SERIES[first].labels)
        text = " ".join(rule["annotations"].values())
        assert set(re.findall(r"\$labels\.(\w+)", text)) <= labels, rule["alert"]


def test_both_forms_of_the_rules_are_the_same() -> None:
    """The Operator's PrometheusRule holds the groups of the plain file."""
    text = (FOLDER / "prometheusrule.yaml").read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    assert (document["kind"], document["spec"]["groups"]) == ("PrometheusRule", groups())


def test_every_metric_is_on_the_board() -> None:
    """What is worth a metric is worth a panel."""
    shown = {metric for _, query in queries() for metric in re.findall(r"driftd_\w+", query)}
    missing = {one.name for one in Metrics("0").described if not shown & set(one.series)}
    assert missing == set()


def test_the_board_can_be_imported() -> None:
    """Panels have ids of their own, do not lie over each other, and take the chosen source."""
    panels = BOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) == 23
    sources = {target["datasource"]["uid"] for panel in panels for target in panel["targets"]}
    assert sources == {"${datasource}"}
    assert [one["name"] for one in BOARD["templating"]["list"]] == ["datasource"]


def test_what_is_scraped_is_the_port_of_the_service() -> None:
    """The ServiceMonitor selects driftd's Service and names its port."""
    monitor = yaml.safe_load((FOLDER / "servicemonitor.yaml").read_text(encoding="utf-8"))
    service = yaml.safe_load((ROOT / "deploy/base/service.yaml").read_text(encoding="utf-8"))
    selected = monitor["spec"]["selector"]["matchLabels"].items()
    assert selected <= service["metadata"]["labels"].items()
    ports = {port["name"] for port in service["spec"]["ports"]}
    assert {one["port"] for one in monitor["spec"]["endpoints"]} <= ports
