"""`-o sarif`: SARIF 2.1.0, for code scanning and other viewers of findings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec
from msgspec import UNSET

from driftd import __version__
from driftd.cli import findings, mistakes, order, unchecked
from driftd.cli.authors import author_of
from driftd.cli.findings import Group
from driftd.cli.github import place_of
from driftd.cli.sarif_rules import notification_descriptors, object_rule, rule_of
from driftd.model.condition import Severity
from driftd.model.report import (
    Change,
    DiffReport,
    DriftReport,
    ReportCondition,
    ResourceReport,
)

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS: Final = {
    "critical": "error",
    "high": "error",
    "medium": "warning",
    "low": "note",
    "info": "note",
}
_ROOT: Final = "SRCROOT"
_CLUSTER: Final = "CLUSTER"
"""The base of objects that no file in Git is known for."""


def sarif(report: DriftReport | DiffReport, *, show: frozenset[str] = frozenset()) -> str:
    """The report as one SARIF run, indented.

    Every drifted field is a result, and every change of the sections in `show` one that is no
    failure. What could not be judged is a notification of the invocation.
    """
    run = _Run(report, show)
    document = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run.document()]}
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


class _Run:
    """One run, with the tables that its results point into."""

    def __init__(self, report: DriftReport | DiffReport, show: frozenset[str]) -> None:
        self._report = report
        self._show = show
        self._now = report.generated_at if isinstance(report, DriftReport) else ""
        self._rules: dict[str, dict[str, Any]] = {}
        self._places: dict[str, int] = {}
        self._logical: list[dict[str, Any]] = []
        self._repositories: dict[str, str] = {}
        self._revisions: dict[str, str] = {}
        self._bases: dict[str, str] = {}

    def document(self) -> dict[str, Any]:
        groups = findings.groups(self._report)
        results = [
            self._result(group, resource, change)
            for group in groups
            for resource in group.resources
            for change in self._findings(resource)
        ]
        notifications = self._notifications(groups)
        driver: dict[str, Any] = {
            "name": "driftd",
            "version": __version__,
            "semanticVersion": __version__,
            "rules": list(self._rules.values()),
        }
        kinds = {notification["descriptor"]["id"] for notification in notifications}
        if descriptors := notification_descriptors(kinds):
            driver["notifications"] = descriptors
        invocation: dict[str, Any] = {
            "executionSuccessful": self._report.complete,
            "toolExecutionNotifications": notifications,
        }
        if self._now:
            invocation["endTimeUtc"] = self._now
        run: dict[str, Any] = {
            "tool": {"driver": driver},
            "invocations": [invocation],
            "columnKind": "unicodeCodePoints",
            "originalUriBaseIds": {
                base: {"description": {"text": text}} for base, text in self._bases.items()
            },
            "logicalLocations": self._logical,
            "results": results,
        }
        if self._repositories:
            run["versionControlProvenance"] = [
                self._provenance(url, base) for url, base in self._repositories.items()
            ]
        return run

    def _findings(self, resource: ResourceReport) -> list[Change | None]:
        accepted = order.IGNORED in self._show and findings.is_accepted(resource)
        shown = accepted or findings.has_whole_finding(resource)
        whole: list[Change | None] = [None] if shown else []
        return [*whole, *findings.changes_of(resource, self._show)]

    def _result(
        self, group: Group, resource: ResourceReport, change: Change | None
    ) -> dict[str, Any]:
        rule = object_rule(resource.status) if change is None else rule_of(change)
        index = list(self._rules).index(rule["id"]) if rule["id"] in self._rules else -1
        if index < 0:
            index = len(self._rules)
            self._rules[rule["id"]] = rule
        name = findings.fingerprint(group, resource, change)
        location: dict[str, Any] = {
            "physicalLocation": self._physical(group, resource, change),
            "logicalLocations": [self._leaf(group, resource, change)],
        }
        result: dict[str, Any] = {
            "ruleId": rule["id"],
            "ruleIndex": index,
            **_level(resource, change),
            "message": {"text": _message(group, resource, change)},
            "locations": [location],
            # Code scanning tells results of one line apart by the first of these alone.
            "partialFingerprints": {"primaryLocationLineHash": f"{name}:1", "driftd/v1": name},
            "properties": _properties(group, resource, change),
        }
        by = resource.ignored_by if change is None else change.ignored_by
        if by is not UNSET:
            why = findings.one_line(by)
            result["suppressions"] = [{"kind": "external", "justification": why}]
        return result

    def _physical(
        self, group: Group, resource: ResourceReport, change: Change | None
    ) -> dict[str, Any]:
        """The file in Git, or the object's place: code scanning refuses results without any."""
        origin = findings.origin_of(resource, change)
        if origin is None:
            place = self._leaf(group, resource, None)["fullyQualifiedName"]
            self._bases[_CLUSTER] = "an object that no file in Git is known to declare"
            return {"artifactLocation": {"uri": quote(place), "uriBaseId": _CLUSTER}}
        url = "" if origin.repo_url is UNSET else origin.repo_url
        revision = resource.evidence.revision
        if url and revision is not UNSET:
            self._revisions.setdefault(url, revision)
        return {
            "artifactLocation": {
                "uri": quote(origin.file, errors="backslashreplace"),
                "uriBaseId": self._base(url),
            },
            # Code scanning wants a line of every result; without one the file is meant.
            "region": {"startLine": 1 if origin.line is UNSET else origin.line},
        }

    def _base(self, url: str) -> str:
        """The symbolic name of a repository's root."""
        number = len(self._repositories) + 1
        base = _ROOT if number == 1 or not url else f"{_ROOT}{number}"
        if url:
            base = self._repositories.setdefault(url, base)
        self._bases.setdefault(base, f"root of {url or 'the repository'}")
        return base

    def _provenance(self, url: str, base: str) -> dict[str, Any]:
        found: dict[str, Any] = {
            "repositoryUri": quote(url, safe=":/@%?=&~[]+"),
            "mappedTo": {"uriBaseId": base},
        }
        if url in self._revisions:
            found["revisionId"] = self._revisions[url]
        return found

    def _leaf(
        self, group: Group, resource: ResourceReport, change: Change | None
    ) -> dict[str, Any]:
        """The object, or the field in it, below its namespace and cluster."""
        steps = [(group.cluster, "cluster"), (resource.namespace, "namespace")]
        steps.append((f"{findings.kind_and_group(resource)}/{resource.name}", "object"))
        parent = -1
        path: list[str] = []
        for name, kind in steps:
            if name:
                path.append(name.replace("/", "~1") if kind != "object" else name)
                parent = self._place("/".join(path), name, kind, parent)
        whole = self._logical[parent]
        if change is None:
            return {**whole, "index": parent}
        full = f"{whole['fullyQualifiedName']}#{change.path}"
        name = findings.one_line(change.path) or "/"
        leaf = {"name": name, "fullyQualifiedName": findings.one_line(full), "kind": "property"}
        return {**leaf, "parentIndex": parent}

    def _place(self, full: str, name: str, kind: str, parent: int) -> int:
        if full not in self._places:
            place: dict[str, Any] = {
                "name": findings.one_line(name),
                "fullyQualifiedName": findings.one_line(full),
                "kind": kind,
            }
            if parent >= 0:
                place["parentIndex"] = parent
            self._places[full] = len(self._logical)
            self._logical.append(place)
        return self._places[full]

    def _notifications(self, groups: list[Group]) -> list[dict[str, Any]]:
        """What could not be judged, and what else was told."""
        complete = self._report.complete
        found = [self._told(c, "", complete=complete) for c in self._report.conditions]
        for group in groups:
            found += [self._told(c, group.name, complete=group.complete) for c in group.conditions]
            for reason, resources in findings.unknown_reasons(group):
                found.append(self._not_judged(group, "Unknown", reason, resources))
            for reason, placed in unchecked.of_group(group.resources).items():
                found.append(self._not_judged(group, "NotChecked", reason, [r for _, r in placed]))
        return found

    def _told(
        self, condition: ReportCondition, application: str, *, complete: bool
    ) -> dict[str, Any]:
        """A condition, with the file and line that its message begins with, if any."""
        level = _condition_level(condition, complete=complete)
        notification = _notification(condition.type, condition.message, application, level)
        place = place_of(condition.message)
        if place:
            uri = quote(place["file"], errors="backslashreplace")
            physical: dict[str, Any] = {
                "artifactLocation": {"uri": uri, "uriBaseId": self._base("")}
            }
            if "line" in place:
                physical["region"] = {"startLine": int(place["line"])}
            notification["locations"] = [{"physicalLocation": physical}]
        return notification

    def _not_judged(
        self, group: Group, status: str, reason: str, resources: list[ResourceReport]
    ) -> dict[str, Any]:
        level = "error" if status == "Unknown" else "note"
        notification = _notification(status, reason, group.name, level)
        notification["locations"] = [
            {"logicalLocations": [self._leaf(group, resource, None)]} for resource in resources
        ]
        return notification


def _notification(kind: str, message: str, application: str, level: str) -> dict[str, Any]:
    notification: dict[str, Any] = {
        "descriptor": {"id": findings.one_line(kind)},
        "level": level,
        "message": {"text": _plain(findings.one_line(message)) or "without a message"},
    }
    if application:
        notification["properties"] = {"application": findings.one_line(application)}
    return notification


def _condition_level(condition: ReportCondition, *, complete: bool) -> str:
    level = findings.level_of(condition, complete=complete)
    return "note" if level is Severity.INFO else str(level)


def _level(resource: ResourceReport, change: Change | None) -> dict[str, str]:
    if change is None and findings.is_accepted(resource):
        return {"kind": "informational", "level": "none"}
    if change is None:
        return {"kind": "fail", "level": "error"}
    if not change.is_drift:
        # Of what is no failure the level is "none", says the specification.
        review = order.section_of(change) == "review"
        return {"kind": "review" if review else "informational", "level": "none"}
    if change.severity is UNSET:
        return {"kind": "fail", "level": "warning"}
    return {"kind": "fail", "level": _LEVELS[change.severity]}


def _message(group: Group, resource: ResourceReport, change: Change | None) -> str:
    where = f"{findings.object_name(resource)}"
    if group.cluster:
        where += f" on cluster {findings.one_line(group.cluster)}"
    if change is None:
        return _plain(f"{where}: {findings.whole_text(resource)}")
    told = [f"{where}: {findings.path_of(change, resource)}, {findings.arrow_text(change)}"]
    # Without an age: results are kept, and told anew only if their text changes.
    told.append(mistakes.mistake_of(change) or author_of(change, ""))
    if change.severity_reason is not UNSET:
        told.append(f"{change.severity}: {findings.one_line(change.severity_reason)}")
    return _plain("\n".join(line for line in told if line))


def _plain(text: str) -> str:
    """`text` as a message: braces would be placeholders, `[…](…)` a link."""
    return text.replace("{", "{{").replace("}", "}}").replace("](", "] (")


def _properties(group: Group, resource: ResourceReport, change: Change | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"status": str(resource.status)}
    if group.application is not None:
        facts["application"] = findings.one_line(group.name)
    if group.cluster:
        facts["cluster"] = findings.one_line(group.cluster)
    facts |= _known(resource.evidence, ("revision", "resource_version", "uid"))
    if change is not None:
        facts["class"] = str(change.change_class)
        names = ("path", "ssa_path", "severity", "severity_reason", "reason")
        facts |= _known(
            change, (*names, "manager", "operation", "subresource", "time", "confidence")
        )
        if change.invalid is not UNSET:
            facts |= _known(change.invalid, ("cause", "meant", "expected"))
    return facts


def _known(value: msgspec.Struct, names: tuple[str, ...]) -> Mapping[str, Any]:
    """The published fields of `value` that are set."""
    fields = {field.name: field.encode_name for field in msgspec.structs.fields(value)}
    known = {fields[name]: getattr(value, name) for name in names}
    return {
        name: findings.one_line(text) for name, text in known.items() if text is not UNSET and text
    }
