"""Metrics."""

from __future__ import annotations

import re

from prometheus_client.parser import text_string_to_metric_families

from driftd.telemetry.metrics import Metrics
from tests.unit.reports import change, report, resource

LABELS = {
    *("cluster", "engine", "guard", "provider", "reason", "receiver"),
    *("result", "severity", "state", "status", "version"),
}
"""Every label there is; each has few values, none of them an application or an object."""


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
    """Only known applications stay in the gauges, and only their clusters."""
    metrics = Metrics("0")
    metrics.look(report(resource("a"), name="one"), 0.1)
    metrics.look(report(name="two"), 0.1)
    metrics.known({"argocd/one": "east", "argocd/two": "west"})
    for cluster in ("east", "west"):
        metrics.cluster(cluster, up=True)
        metrics.watches(cluster, 3, 1)
    metrics.known({"argocd/two": "west"})
    found = values(metrics)
    assert found[("driftd_applications", ("status", "Synced"))] == 1
    assert found[("driftd_resources", ("status", "Synced"))] == 0
    assert [key for key in found if ("cluster", "east") in key] == []
    assert found[("driftd_cluster_up", ("cluster", "west"))] == 1
    assert found[("driftd_watches", ("cluster", "west"), ("state", "failing"))] == 1


def test_counters_and_gauges_of_events():
    """Heals, errors, notifications, open drifts and clusters have their series."""
    metrics = Metrics("0")
    metrics.heal("applied")
    metrics.look_error("Forbidden")
    metrics.notification("slack", "sent")
    metrics.digest("slack")
    metrics.drift_open({"critical": 1, "low": 2, "": 1})
    metrics.cluster("east", up=False)
    metrics.blocked()
    metrics.detection(0.02)
    found = values(metrics)
    assert found[("driftd_heals_total", ("result", "applied"))] == 1
    assert found[("driftd_look_errors_total", ("reason", "Forbidden"))] == 1
    assert found[("driftd_notifications_total", ("receiver", "slack"), ("result", "sent"))] == 1
    drifts = {key[1][1]: value for key, value in found.items() if key[0] == "driftd_drift_open"}
    assert drifts == {"critical": 1, "high": 0, "medium": 0, "low": 2, "none": 1}
    assert found[("driftd_cluster_up", ("cluster", "east"))] == 0
    assert found[("driftd_event_loop_blocks_total",)] == 1
    assert found[("driftd_drift_detection_seconds_count",)] == 1
    assert found[("driftd_drift_detection_seconds_bucket", ("le", "0.025"))] == 1


def test_the_age_of_a_verdict_is_that_of_the_last_full_one():
    """The oldest of each cluster, as the clock says at the scrape; a blind look renews nothing."""
    now = [100.0]
    metrics = Metrics("0", monotonic=lambda: now[0])
    metrics.known({"argocd/one": "prod", "argocd/two": "prod", "argocd/lost": ""})
    now[0] = 110.0
    metrics.look(report(resource("a"), name="one"), 0.1)
    metrics.look(report(name="two", complete=False), 0.1)
    now[0] = 130.0
    metrics.look(report(resource("a"), name="one"), 0.1)
    now[0] = 131.5

    def age(cluster):
        return values(metrics)[("driftd_verdict_age_seconds", ("cluster", cluster))]

    assert (age("prod"), age("unmapped")) == (31.5, 31.5)
    metrics.known({"argocd/one": "prod"})
    assert age("prod") == 1.5


def test_ages_go_on_after_a_restart():
    """What the process before this one judged is as old as it is, before anything is read."""
    now = [100.0]
    metrics = Metrics("0", monotonic=lambda: now[0])
    metrics.judged("argocd/one", "prod", 3600.0)
    metrics.judged("argocd/gone", "", 9999.0)
    now[0] = 101.0
    age = ("driftd_verdict_age_seconds", ("cluster", "prod"))
    assert values(metrics)[age] == 3601.0
    metrics.known({"argocd/one": "prod", "argocd/two": "prod"})
    assert values(metrics)[age] == 3601.0
    metrics.look(report(resource("a"), name="one"), 0.1)
    assert values(metrics)[age] == 0.0


def test_names_help_and_labels_follow_the_conventions():
    """What promtool asks for: base units, `_total` for counters alone, help, plain names."""
    metrics = used(10)
    for family in metrics.registry.collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        assert re.fullmatch(r"driftd_[a-z]+(_[a-z]+)*", name), name
        assert family.type in {"counter", "gauge", "histogram"}, name
        last = name.rpartition("_")[2]
        assert (last == "total") == (family.type == "counter"), name
        assert last not in {"count", "sum", "bucket", "gauge", "counter", "histogram"}, name
        unit = {"milliseconds", "minutes", "hours", "ms", "kilobytes", "percent", "age", "duration"}
        assert last not in unit, name
        assert (last == "seconds") == ("duration" in name or "age" in name or "detection" in name)
        assert 10 < len(family.documentation) < 120, name
        assert not family.documentation.endswith("."), name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert labels <= LABELS, name
        assert not any(label in name.split("_") for label in labels - {"cluster"}), name


def test_what_is_described_is_what_is_exposed():
    """The reference is made of the same list: names, kinds and labels, none missing, none more."""
    metrics = used(3)
    exposed = set()
    for family in metrics.registry.collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        exposed.add((name, family.type, frozenset(labels), family.documentation))
    told = {(d.name, d.kind, frozenset(d.labels), d.meaning) for d in metrics.described}
    assert told == exposed
    assert len(metrics.described) == len(told)


def test_held_objects_are_counted_by_guard_over_all_applications():
    """What is held no longer counts no longer, nor does an application that is gone."""
    metrics = Metrics("0")
    metrics.known({"a/b": "c", "a/d": "c"})
    metrics.held("a/b", {"G-20": 2, "G-04": 1})
    metrics.held("a/d", {"G-20": 3})
    series = 'driftd_heals_held{guard="G-20"} '
    assert f"{series}5.0" in metrics.exposition().decode()
    metrics.held("a/b", {})
    assert f"{series}3.0" in metrics.exposition().decode()
    assert 'driftd_heals_held{guard="G-04"} 0.0' in metrics.exposition().decode()
    metrics.known({"a/b": "c"})
    assert f"{series}0.0" in metrics.exposition().decode()


def test_the_number_of_series_does_not_grow_with_applications():
    """A thousand applications have as many series as ten have."""
    assert len(values(used(1000))) == len(values(used(10)))


def used(applications):
    """Metrics of a daemon with so many applications on two clusters, every method called."""
    metrics = Metrics("0")
    names = {f"argocd/app-{i}": f"cluster-{i % 2}" for i in range(applications)}
    metrics.known(names)
    for name in names:
        metrics.look(report(resource("a"), name=name.partition("/")[2]), 0.1)
        metrics.detection(0.1)
    for cluster in ("cluster-0", "cluster-1"):
        metrics.cluster(cluster, up=True)
        metrics.watches(cluster, 1, 0)
        metrics.audit_post(cluster, "taken")
        metrics.audit_broken(cluster, 1)
        metrics.audit_kept(cluster, 7)
    metrics.look_error("Forbidden")
    metrics.held("argocd/app-0", {"G-20": 1})
    metrics.made_worse("degraded")
    metrics.git_webhook("github", "taken")
    metrics.asked("argocd", "asked")
    metrics.heal("applied")
    metrics.notification("slack", "sent")
    metrics.digest("slack")
    metrics.drift_open({"high": 1})
    return metrics


def test_two_instances_share_nothing():
    """The registry belongs to the instance, so tests and embedders do not collide."""
    Metrics("0").heal("applied")
    assert ("driftd_heals_total", ("result", "applied")) not in values(Metrics("0"))
