"""Prometheus metrics in a registry of our own; few series, none per object."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from driftd.model.report import ApplicationReport, ApplicationStatus, ResourceStatus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_LOOK_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """The metrics of one process; every method is cheap and never fails."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._seen: dict[str, tuple[ApplicationStatus, Tally[ResourceStatus]]] = {}
        self._applications = self._gauge(
            "driftd_applications", "Applications by status of the last look", "status"
        )
        self._resources = self._gauge(
            "driftd_resources", "Objects by status of the last look", "status"
        )
        self._open_drifts = self._gauge("driftd_open_drifts", "Drifts that are open now")
        self._look_duration = Histogram(
            "driftd_look_duration_seconds",
            "Time from taking an application off the queue to its verdict",
            buckets=_LOOK_BUCKETS,
            registry=self.registry,
        )
        self._look_errors = self._counter(
            "driftd_look_errors", "Looks that could not judge everything, by reason", "reason"
        )
        self._heals = self._counter(
            "driftd_heals", "Writes to managed objects, by result", "result"
        )
        self._watches = self._gauge(
            "driftd_watches", "Watches of a cluster, by whether they run", "cluster", "state"
        )
        self._notifications = self._counter(
            "driftd_notifications",
            "Delivery attempts, by receiver and result",
            "receiver",
            "result",
        )
        self._blocked = self._counter(
            "driftd_event_loop_blocks",
            "Times that something blocked the event loop for more than a second",
        )
        build = self._gauge("driftd_build_info", "The version that runs", "version")
        build.labels(version).set(1)
        for status in ApplicationStatus:
            self._applications.labels(status.value)
        for resource_status in ResourceStatus:
            self._resources.labels(resource_status.value)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(name, meaning, labels, registry=self.registry)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, labels, registry=self.registry)

    def look(self, report: ApplicationReport, seconds: float) -> None:
        """A look ended with `report` after `seconds`."""
        tally = Tally(resource.status for resource in report.resources)
        self._seen[f"{report.namespace}/{report.name}"] = (report.status, tally)
        self._look_duration.observe(seconds)
        self._publish()

    def look_error(self, reason: str) -> None:
        """Something could not be judged; `reason` is a `DriftdError.reason`."""
        self._look_errors.labels(reason).inc()

    def known(self, applications: Iterable[str]) -> None:
        """Only these applications (`namespace/name`) exist now; others are counted no longer."""
        names = set(applications)
        self._seen = {name: seen for name, seen in self._seen.items() if name in names}
        self._publish()

    def open_drifts(self, count: int) -> None:
        """So many drifts are open."""
        self._open_drifts.set(count)

    def heal(self, result: str) -> None:
        """A write to a managed object ended: `applied`, `dry-run` or `failed`."""
        self._heals.labels(result).inc()

    def watches(self, cluster: str, running: int, failing: int) -> None:
        """So many watches of a cluster run, and so many do not."""
        self._watches.labels(cluster, "running").set(running)
        self._watches.labels(cluster, "failing").set(failing)

    def blocked(self) -> None:
        """Something blocks the event loop."""
        self._blocked.inc()

    def notification(self, receiver: str, result: str) -> None:
        """A delivery attempt ended: `sent`, `failed` or `undeliverable`."""
        self._notifications.labels(receiver, result).inc()

    def exposition(self) -> bytes:
        """The text format; takes milliseconds per hundred series, so call it in a thread."""
        return generate_latest(self.registry)

    def _publish(self) -> None:
        statuses = Tally(status for status, _ in self._seen.values())
        for status in ApplicationStatus:
            self._applications.labels(status.value).set(statuses[status])
        resources: Tally[ResourceStatus] = Tally()
        for _, tally in self._seen.values():
            resources.update(tally)
        for resource_status in ResourceStatus:
            self._resources.labels(resource_status.value).set(resources[resource_status])
