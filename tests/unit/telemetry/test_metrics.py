"""Metrics."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from driftd.telemetry.metrics import Metrics
from tests.unit.reports import change, report, resource


def values(metrics):
    """Every sample: name and labels to value."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
    }


def test_statuses_are_counted_over_the_last_look_of_each_application():
    """A second look replaces the first; every status has a series from the start."""
    metrics = Metrics("1.2.3")
    assert values(metrics)[("driftd_applications", ("status", "OutOfSync"))] == 0
    metrics.look(report(resource("a", change("/x")), resource("b"), name="one"), 0.2)
    metrics.look(report(resource("c"), name="two"), 0.3)
    metrics.look(report(resource("a"), resource("b"), name="one"), 0.1)
    found = values(metrics)
    assert found[("driftd_applications", ("status", "Synced"))] == 2
    assert found[("driftd_applications", ("status", "OutOfSync"))] == 0
    assert found[("driftd_resources", ("status", "Synced"))] == 3
    assert found[("driftd_look_duration_seconds_count",)] == 3
    assert found[("driftd_build_info", ("version", "1.2.3"))] == 1


def test_applications_that_left_are_counted_no_longer():
    """Only known applications stay in the gauges."""
    metrics = Metrics("0")
    metrics.look(report(resource("a"), name="one"), 0.1)
    metrics.look(report(name="two"), 0.1)
    metrics.known(["argocd/two"])
    assert values(metrics)[("driftd_applications", ("status", "Synced"))] == 1
    assert values(metrics)[("driftd_resources", ("status", "Synced"))] == 0


def test_counters_and_gauges_of_events():
    """Heals, errors, notifications and open drifts have their series."""
    metrics = Metrics("0")
    metrics.heal("applied")
    metrics.look_error("Forbidden")
    metrics.notification("slack", "sent")
    metrics.open_drifts(7)
    found = values(metrics)
    assert found[("driftd_heals_total", ("result", "applied"))] == 1
    assert found[("driftd_look_errors_total", ("reason", "Forbidden"))] == 1
    assert found[("driftd_notifications_total", ("receiver", "slack"), ("result", "sent"))] == 1
    assert found[("driftd_open_drifts",)] == 7


def test_two_instances_share_nothing():
    """The registry belongs to the instance, so tests and embedders do not collide."""
    Metrics("0").heal("applied")
    assert ("driftd_heals_total", ("result", "applied")) not in values(Metrics("0"))
