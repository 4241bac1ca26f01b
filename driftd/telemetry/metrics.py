"""Prometheus metrics in a registry of our own: few series, none per application or object.

`Metrics.described` lists them with their labels; docs/reference/metrics.md is made of it.
"""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from driftd.model.report import ApplicationReport, ApplicationStatus, ResourceStatus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
NO_CLUSTER = "unmapped"
"""The label `cluster` of applications whose destination leads to no cluster."""
NO_SEVERITY = "none"
SEVERITIES = ("critical", "high", "medium", "low", NO_SEVERITY)

_LOOK_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_DETECTION_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Described(NamedTuple):
    """A metric as the reference tells of it."""

    name: str
    kind: str
    """counter, gauge or histogram."""
    labels: tuple[str, ...]
    meaning: str

    @property
    def series(self) -> tuple[str, ...]:
        """The names that queries use."""
        if self.kind == "histogram":
            return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))
        return (self.name,)


class Metrics:
    """The metrics of one process; every method is cheap and never fails."""

    def __init__(self, version: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self.described: list[Described] = []
        self._now = monotonic
        self._seen: dict[str, tuple[ApplicationStatus, Tally[ResourceStatus]]] = {}
        self._clusters: dict[str, str] = {}
        """The cluster of each known application."""
        self._judged: dict[str, float] = {}
        """When each known application was judged in full last, or else became known."""
        self._of_looks()
        self._of_clusters()
        self._of_telling()
        self._of_audit()
        self._of_git()
        self._of_the_store()
        self._settings = self._gauge(
            "driftd_settings_current",
            "Whether the settings in force are what their file says: 0 where it was refused, or "
            "waits for a restart",
        )
        self._gauge("driftd_build_info", "The version that runs", "version").labels(version).set(1)

    def _of_looks(self) -> None:
        self._applications = self._gauge(
            "driftd_applications", "Applications by status of the last look", "status"
        )
        for status in ApplicationStatus:
            self._applications.labels(status.value)
        self._resources = self._gauge(
            "driftd_resources", "Objects by status of the last look", "status"
        )
        for resource_status in ResourceStatus:
            self._resources.labels(resource_status.value)
        self._drift_open = self._gauge(
            "driftd_drift_open", "Drifts that are open now, by their highest severity", "severity"
        )
        for severity in SEVERITIES:
            self._drift_open.labels(severity)
        self._detection = self._histogram(
            "driftd_drift_detection_seconds",
            "Time from a watch's event to the stored verdict, of changes that opened a drift",
            _DETECTION_BUCKETS,
        )
        self._look_duration = self._histogram(
            "driftd_look_duration_seconds",
            "Time from taking an application off the queue to its verdict",
            _LOOK_BUCKETS,
        )
        self._glances = self._counter(
            "driftd_glances", "Looks at single objects that a watch has seen change"
        )
        self._look_errors = self._counter(
            "driftd_look_errors", "Looks that could not judge everything, by reason", "reason"
        )
        self._blocked = self._counter(
            "driftd_event_loop_blocks",
            "Times that something blocked the event loop for more than a second",
        )

    def _of_clusters(self) -> None:
        self._up = self._gauge(
            "driftd_cluster_up", "Whether a cluster answered the last look at it", "cluster"
        )
        self._tls = self._gauge(
            "driftd_cluster_tls_verified",
            "Whether TLS proves that the right server answers for a cluster",
            "cluster",
        )
        meaning = (
            "Time since an application was judged in full, of the one that waits longest on each "
            "cluster"
        )
        name = "driftd_verdict_age_seconds"
        self.registry.register(_Ages(name, meaning, self._ages))
        self.described.append(Described(name, "gauge", ("cluster",), meaning))
        self._watches = self._gauge(
            "driftd_watches", "Watches of a cluster, by whether they run", "cluster", "state"
        )

    def _of_telling(self) -> None:
        self._heals = self._counter(
            "driftd_heals", "Writes to managed objects, by result", "result"
        )
        self._worse = self._counter(
            "driftd_heals_made_worse",
            "Heals after which an object that was well is Degraded, or late to be well again: "
            "healing of its application has stopped",
            "reason",
        )
        for reason in ("degraded", "late"):
            self._worse.labels(reason)
        self._held = self._gauge(
            "driftd_heals_held",
            "Drifted objects that a guard of healing holds back",
            "guard",
        )
        self._guards: set[str] = set()
        self._held_by: dict[str, Mapping[str, int]] = {}
        self._asks = self._counter(
            "driftd_asks",
            "Times that an engine was to be asked for a sync, and whether it helped",
            "engine",
            "result",
        )
        self._silenced = self._gauge(
            "driftd_drift_silenced", "Open drifts that a silence keeps from being told"
        )
        self._notifications = self._counter(
            "driftd_notifications",
            "Delivery attempts, by receiver and result",
            "receiver",
            "result",
        )
        self._digests = self._counter(
            "driftd_notification_digests",
            "Digests that were made of many messages, by receiver",
            "receiver",
        )
        self._waiting = self._gauge(
            "driftd_notifications_waiting", "Messages that are neither delivered nor given up"
        )
        self._dead = self._gauge(
            "driftd_notifications_dead",
            "Messages that were given up; `driftd notify dead` lists them",
        )

    def _of_audit(self) -> None:
        self._audit_posts = self._counter(
            "driftd_audit_posts",
            "Posts of audit events, by cluster (empty for unknown clients) and result",
            "cluster",
            "result",
        )
        self._audit_broken = self._counter(
            "driftd_audit_events_unreadable", "Audit events that could not be read", "cluster"
        )
        self._audit_kept = self._gauge(
            "driftd_audit_writes_kept", "Writes that are kept of the events posted", "cluster"
        )

    def _of_git(self) -> None:
        self._git_webhooks = self._counter(
            "driftd_git_webhooks",
            "Posts of Git servers, by provider and result",
            "provider",
            "result",
        )
        self._git_refreshes = self._counter(
            "driftd_git_refreshes", "Repositories that were asked anew because of such a post"
        )

    def _of_the_store(self) -> None:
        self._store_up = self._gauge(
            "driftd_store_up", "Whether the store recorded the last look that it was given"
        )
        self._store_waiting = self._gauge(
            "driftd_store_waiting_looks", "Looks that wait in memory until the store can record"
        )
        self._store_losses = self._counter(
            "driftd_store_losses",
            "Times that the store was found damaged, or without commits that it had",
        )

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        self.described.append(Described(name, "gauge", labels, meaning))
        return Gauge(name, meaning, labels, registry=self.registry)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        self.described.append(Described(f"{name}_total", "counter", labels, meaning))
        return Counter(name, meaning, labels, registry=self.registry)

    def _histogram(self, name: str, meaning: str, buckets: tuple[float, ...]) -> Histogram:
        self.described.append(Described(name, "histogram", (), meaning))
        return Histogram(name, meaning, buckets=buckets, registry=self.registry)

    def look(self, report: ApplicationReport, seconds: float) -> None:
        """A look ended with `report` after `seconds`."""
        tally = Tally(resource.status for resource in report.resources)
        name = f"{report.namespace}/{report.name}"
        self._seen[name] = (report.status, tally)
        if report.complete or name not in self._judged:
            self._judged[name] = self._now()
        self._clusters.setdefault(name, report.cluster or NO_CLUSTER)
        self._look_duration.observe(seconds)
        self._publish()

    def glance(self, report: ApplicationReport) -> None:
        """Some objects of an application were looked at again; `report` is about all of them."""
        tally = Tally(resource.status for resource in report.resources)
        self._seen[f"{report.namespace}/{report.name}"] = (report.status, tally)
        self._glances.inc()
        self._publish()

    def detection(self, seconds: float) -> None:
        """A change opened a drift: `seconds` from its event to the stored verdict."""
        self._detection.observe(seconds)

    def cluster(self, name: str, *, up: bool, verified: bool = True) -> None:
        """A look at a cluster ended: whether it answered, and TLS proves that it was the one."""
        self._up.labels(name).set(up)
        self._tls.labels(name).set(verified)

    def store(self, up: bool, waiting: int) -> None:
        """Whether the store records, and how many looks wait for it."""
        self._store_up.set(up)
        self._store_waiting.set(waiting)

    def store_lost(self) -> None:
        """The store was damaged, or has lost commits."""
        self._store_losses.inc()

    def look_error(self, reason: str) -> None:
        """Something could not be judged; `reason` is a `DriftdError.reason`."""
        self._look_errors.labels(reason).inc()

    def judged(self, name: str, cluster: str, seconds: float) -> None:
        """An application was judged in full so long ago, by the process before this one."""
        self._judged.setdefault(name, self._now() - seconds)
        self._clusters.setdefault(name, cluster or NO_CLUSTER)

    def known(self, applications: Mapping[str, str]) -> None:
        """Only these applications (`namespace/name`) exist now, each with its cluster's name.

        Others are counted no longer, and clusters without applications are not either.
        """
        before = set(self._clusters.values())
        self._clusters = {name: to or NO_CLUSTER for name, to in applications.items()}
        self._seen = {name: seen for name, seen in self._seen.items() if name in applications}
        now = self._now()
        self._judged = {name: self._judged.get(name, now) for name in applications}
        for gone in before - set(self._clusters.values()):
            self._up.remove_by_labels({"cluster": gone})
            self._tls.remove_by_labels({"cluster": gone})
            self._watches.remove_by_labels({"cluster": gone})
        self._held_by = {n: held for n, held in self._held_by.items() if n in applications}
        self._count_held()
        self._publish()

    def drift_open(self, counts: Mapping[str, int]) -> None:
        """How many drifts are open by their severity; empty where it is not known."""
        for severity in SEVERITIES:
            count = counts.get("" if severity == NO_SEVERITY else severity, 0)
            self._drift_open.labels(severity).set(count)

    def heal(self, result: str) -> None:
        """A write to a managed object ended: `applied`, `dry-run` or `failed`."""
        self._heals.labels(result).inc()

    def made_worse(self, reason: str) -> None:
        """Healing of an application stopped, as an object is worse since: `degraded` or `late`."""
        self._worse.labels(reason).inc()

    def held(self, application: str, counts: Mapping[str, int]) -> None:
        """So many drifted objects of an application are held back, by guard."""
        self._held_by[application] = counts
        self._count_held()

    def _count_held(self) -> None:
        total: Tally[str] = Tally()
        for counts in self._held_by.values():
            total.update(counts)
        for guard in self._guards - set(total):
            self._held.labels(guard).set(0)
        for guard, count in total.items():
            self._held.labels(guard).set(count)
        self._guards |= set(total)

    def watches(self, cluster: str, running: int, failing: int) -> None:
        """So many watches of a cluster run, and so many do not."""
        self._watches.labels(cluster, "running").set(running)
        self._watches.labels(cluster, "failing").set(failing)

    def audit_post(self, cluster: str, result: str) -> None:
        """A post of audit events ended: `taken`, or why it was refused."""
        self._audit_posts.labels(cluster, result).inc()

    def audit_broken(self, cluster: str, count: int) -> None:
        """So many events of a post could not be read."""
        self._audit_broken.labels(cluster).inc(count)

    def audit_kept(self, cluster: str, count: int) -> None:
        """So many writes of a cluster are kept now."""
        self._audit_kept.labels(cluster).set(count)

    def git_webhook(self, provider: str, result: str) -> None:
        """A post of a Git server ended: `taken`, or what else became of it."""
        self._git_webhooks.labels(provider, result).inc()

    def git_refresh(self, count: int) -> None:
        """So many repositories were asked anew."""
        self._git_refreshes.inc(count)

    def blocked(self) -> None:
        """Something blocks the event loop."""
        self._blocked.inc()

    def watches_ended(self) -> None:
        """No watch runs any more."""
        self._watches.clear()

    def settings_current(self, *, current: bool) -> None:
        """Whether the settings in force are what their file says."""
        self._settings.set(current)

    def notification(self, receiver: str, result: str) -> None:
        """A delivery attempt ended: `sent`, `failed` or `undeliverable`."""
        self._notifications.labels(receiver, result).inc()

    def digest(self, receiver: str) -> None:
        """A digest was made for a receiver."""
        self._digests.labels(receiver).inc()

    def outbox(self, waiting: int, dead: int) -> None:
        """How many messages wait, and how many were given up."""
        self._waiting.set(waiting)
        self._dead.set(dead)

    def asked(self, engine: str, result: str) -> None:
        """An engine was `asked`; `held`, `failed`, `helped` or `did not help` beside that."""
        self._asks.labels(engine, result).inc()

    def silenced(self, count: int) -> None:
        """So many open drifts are silenced now."""
        self._silenced.set(count)

    def exposition(self) -> bytes:
        """The text format; takes milliseconds per hundred series, so call it in a thread."""
        return generate_latest(self.registry)

    def _ages(self) -> Mapping[str, float]:
        """Of each cluster, the age of its oldest verdict; called by the thread of a scrape."""
        now = self._now()
        ages: dict[str, float] = {}
        for name, moment in list(self._judged.items()):
            cluster = self._clusters.get(name, NO_CLUSTER)
            ages[cluster] = max(ages.get(cluster, 0.0), now - moment)
        return ages

    def _publish(self) -> None:
        statuses = Tally(status for status, _ in self._seen.values())
        for status in ApplicationStatus:
            self._applications.labels(status.value).set(statuses[status])
        resources: Tally[ResourceStatus] = Tally()
        for _, tally in self._seen.values():
            resources.update(tally)
        for resource_status in ResourceStatus:
            self._resources.labels(resource_status.value).set(resources[resource_status])


class _Ages(Collector):
    """A gauge whose values are what the clock says at the scrape."""

    def __init__(self, name: str, meaning: str, ages: Callable[[], Mapping[str, float]]) -> None:
        self._name = name
        self._meaning = meaning
        self._ages = ages

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The value of each cluster."""
        family = GaugeMetricFamily(self._name, self._meaning, labels=["cluster"])
        for cluster, age in sorted(self._ages().items()):
            family.add_metric([cluster], age)
        yield family
