"""Objects that were left out of the comparison, in words: a verdict must not hide them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import UNSET

from driftd.cli import findings, order
from driftd.cli.exit_code import meaning
from driftd.cli.terminal import printable
from driftd.model.counts import counted
from driftd.model.report import (
    ApplicationReport,
    DriftReport,
    ReportCondition,
    ResourceReport,
    ResourceStatus,
    has_drift,
)

NAMED: Final = 3
"""Objects that are named where not all are asked for."""
NOT_COMPARED: Final = "left out of the comparison"
"""The reason of objects that come without any."""

Placed = tuple[str, ResourceReport]
"""An object and the cluster it is on; the cluster is empty where there is only one."""


def wants_all(show: frozenset[str]) -> bool:
    """Whether `--show all` was given: then every name is listed."""
    return show >= set(order.OPTIONAL_SECTIONS)


def by_reason(placed: Iterable[Placed]) -> dict[str, list[Placed]]:
    """The objects that are NotChecked, by the reason why, in the order they came."""
    found: dict[str, list[Placed]] = {}
    for cluster, resource in placed:
        if resource.status is ResourceStatus.NOT_CHECKED:
            reason = "" if resource.reason is UNSET else findings.one_line(resource.reason)
            found.setdefault(reason or NOT_COMPARED, []).append((cluster, resource))
    return found


def of_group(resources: Iterable[ResourceReport]) -> dict[str, list[Placed]]:
    """`by_reason` of objects that are all on one cluster."""
    return by_reason(("", resource) for resource in resources)


def of_groups(groups: Sequence[findings.Group]) -> dict[str, list[Placed]]:
    """`by_reason` of applications; clusters are named where there are several."""
    several = len({group.cluster for group in groups}) > 1
    return by_reason(
        (group.cluster if several else "", resource)
        for group in groups
        for resource in group.resources
    )


def count_of(placed: Sequence[Placed]) -> str:
    """`6 Secrets`, or `6 objects` where they are of other kinds too."""
    return counted(len(placed), "Secret" if _are_secrets(placed) else "object")


def names_of(placed: Sequence[Placed], *, whole: bool, more: str = "") -> str:
    """The names, the first ones unless `whole`; `more` is how to get the rest.

    Names that occur on several clusters stand there once.
    """
    clusters: dict[str, list[str]] = {}
    for cluster, resource in placed:
        clusters.setdefault(_name(resource, kind=not _are_secrets(placed)), []).append(cluster)
    shown = list(clusters.items())[: None if whole else NAMED]
    listed = ", ".join(name + _on(found, whole=whole) for name, found in shown)
    rest = len(placed) - sum(len(found) for _, found in shown)
    return listed + (f" and {rest} more{more}" if rest else "")


def any_judged(resources: Iterable[ResourceReport]) -> bool:
    """Whether any object has a verdict: what nothing is known of is not without drift."""
    blind = {ResourceStatus.UNKNOWN, ResourceStatus.NOT_CHECKED}
    return any(resource.status not in blind for resource in resources)


def sentence(resources: Iterable[ResourceReport]) -> str:
    """`6 Secrets (WHY)`: what a report that found no drift did not look at; empty if nothing."""
    found = of_group(resources)
    if not found:
        return ""
    why = next(iter(found)) if len(found) == 1 else "the reasons stand above"
    return f"{count_of([one for listed in found.values() for one in listed])} ({why})"


def verdict(resources: Sequence[ResourceReport], *, complete: bool) -> str:
    """What a look came to, in a few words."""
    drift = has_drift(tuple(resources))
    judged = any_judged(resources)
    if not complete:
        if drift:
            return "drift found, not everything could be judged"
        return "not everything could be judged" if judged else "nothing could be judged"
    left_out = [one for listed in of_group(resources).values() for one in listed]
    text = "no drift" if judged else "nothing was compared"
    text += f", {count_of(left_out)} not checked" if left_out else ""
    return "drift found" if drift else text


def ending(
    resources: Sequence[ResourceReport],
    *,
    complete: bool,
    report_drift: bool,
    conditions: Iterable[ReportCondition],
) -> str:
    """The line that says what the exit code of a report means."""
    return meaning(
        complete=complete,
        drift=has_drift(tuple(resources)),
        report_drift=report_drift,
        unchecked=sentence(resources),
        judged=any_judged(resources),
        looks_empty=findings.looks_empty(conditions),
    )


def _are_secrets(placed: Sequence[Placed]) -> bool:
    return all((one.group, one.kind) == ("", "Secret") for _, one in placed)


def _name(resource: ResourceReport, *, kind: bool) -> str:
    name = findings.object_name(resource)
    return name if kind else name.partition(" ")[2]


def _on(clusters: Sequence[str], *, whole: bool) -> str:
    """The clusters that have an object; nothing where there is only one in all."""
    if not any(clusters):
        return ""
    if len(clusters) > 1 and not whole:
        return f" on {counted(len(clusters), 'cluster')}"
    return f" on {', '.join(findings.one_line(cluster) for cluster in clusters)}"


def aside(report: DriftReport, doctor: str) -> list[str]:
    """What `orphaned` and `not_searched` tell."""
    return [*orphaned(report), *not_searched(report.applications, doctor)]


def not_searched(applications: Iterable[ApplicationReport], doctor: str) -> list[str]:
    """The kinds in which objects that Git dropped were not looked for, a line for each cluster.

    Clusters are named where there are several. `doctor` is the command that says why.
    """
    by_cluster: dict[str, set[str]] = {}
    for app in applications:
        kinds = () if app.not_searched is UNSET else app.not_searched
        by_cluster.setdefault(app.cluster, set()).update(kinds)
    return [
        "Not searched for objects that Git dropped"
        + (f", on {printable(cluster)}" if len(by_cluster) > 1 else "")
        + f": {printable(', '.join(sorted(kinds)))} ({doctor} says why)"
        for cluster, kinds in sorted(by_cluster.items())
        if kinds
    ]


def orphaned(report: DriftReport) -> list[str]:
    """The objects of applications that nothing declares, a line for each application.

    Clusters are named where there are several.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for one in () if report.orphaned is UNSET else report.orphaned:
        place = f"{one.namespace}/" if one.namespace else ""
        objects = found.setdefault((one.cluster, one.application), [])
        objects.append(f"{one.kind} {place}{one.name}")
    several = len({app.cluster for app in report.applications}) > 1
    return [
        f"Of {printable(owner)}, which nothing declares"
        + (f", on {printable(cluster)}" if several else "")
        + f": {printable(', '.join(objects))}"
        for (cluster, owner), objects in found.items()
    ]
