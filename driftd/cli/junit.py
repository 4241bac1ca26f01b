"""`-o junit`: a test suite for each application, a test case for each object."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from msgspec import UNSET

from driftd.cli import findings, git_places, mistakes
from driftd.cli.authors import name_of
from driftd.cli.findings import Group
from driftd.model.counts import counted
from driftd.model.report import (
    DiffReport,
    DriftReport,
    ReportOrigin,
    ResourceReport,
    ResourceStatus,
)

_PATHS_IN_MESSAGE = 4
_COUNTED = ("failure", "error", "skipped")


def junit(report: DriftReport | DiffReport) -> str:
    """The report as JUnit XML.

    A failure is drift, an error is what could not be judged, skipped is what was left out on
    purpose.
    """
    now = report.generated_at if isinstance(report, DriftReport) else ""
    root = Element("testsuites", name="driftd")
    for group in findings.groups(report):
        _suite(root, group, now)
    if report.conditions:
        _repository(root, report, now)
    _count(root, list(root.iter("testcase")))
    indent(root)
    text = tostring(root, encoding="unicode", short_empty_elements=True)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _suite(root: Element, group: Group, now: str) -> None:
    suite = _new_suite(root, group.name, now)
    if group.cluster:
        suite.set("hostname", findings.one_line(group.cluster))
    facts = group.facts
    if facts:
        properties = SubElement(suite, "properties")
        for name, value in facts.items():
            SubElement(properties, "property", name=name, value=value)
    for resource in group.resources:
        _case(suite, group, resource)
    _conditions(suite, group)
    _count(suite, suite.findall("testcase"))


def _new_suite(root: Element, name: str, now: str) -> Element:
    suite = SubElement(root, "testsuite", name=findings.one_line(name))
    if now:
        suite.set("timestamp", now[:19])
    return suite


def _conditions(suite: Element, group: Group) -> None:
    """What is told of the application itself: an error if it hides something, else output."""
    causes: list[str] = []
    notes: list[str] = []
    for condition in group.conditions:
        hides = findings.hides(condition, complete=group.complete)
        (causes if hides else notes).append(findings.condition_text(condition))
    seen = any(resource.status is ResourceStatus.UNKNOWN for resource in group.resources)
    if not group.complete and (causes or not seen):
        case = SubElement(suite, "testcase", name="application", classname=suite.attrib["name"])
        message = causes[0] if causes else "could not be judged"
        _outcome(case, "error", message, "Unknown", "\n".join(causes))
    if notes:
        SubElement(suite, "system-out").text = "\n".join(notes)


def _repository(root: Element, report: DriftReport | DiffReport, now: str) -> None:
    """What concerns no single application: a case for each condition, which hides something or
    passes.
    """
    suite = _new_suite(root, "repository", now)
    for number, condition in enumerate(report.conditions, 1):
        case = SubElement(suite, "testcase", classname="repository")
        case.set("name", findings.one_line(f"{number} {condition.type}"))
        text = findings.condition_text(condition)
        if not findings.hides(condition, complete=report.complete):
            SubElement(case, "system-out").text = text
        else:
            _outcome(case, "error", text, findings.one_line(condition.type), "")
    _count(suite, suite.findall("testcase"))


def _case(suite: Element, group: Group, resource: ResourceReport) -> None:
    kind, place = findings.kind_and_group(resource), findings.object_name(resource)
    name = findings.one_line(f"{kind} {place.partition(' ')[2]}")
    case = SubElement(suite, "testcase", name=name, classname=suite.attrib["name"])
    origin = _origin(resource)
    if origin is not None:
        case.set("file", findings.one_line(origin.file))
        if origin.line is not UNSET:
            case.set("line", str(origin.line))
    reason = "" if resource.reason is UNSET else findings.one_line(resource.reason)
    if resource.is_drift:
        text = "\n".join(_lines(group, resource))
        _outcome(case, "failure", _message(resource), str(resource.status), text)
    elif resource.status is ResourceStatus.UNKNOWN:
        _outcome(case, "error", reason or "could not be judged", "Unknown", reason)
    elif resource.status is ResourceStatus.NOT_CHECKED:
        SubElement(case, "skipped", message=reason or "not checked")
    elif findings.is_accepted(resource):
        told = f"{resource.status}: {findings.whole_text(resource)}"
        SubElement(case, "system-out").text = told
    elif resource.status is ResourceStatus.PENDING:
        told = reason or "Git is ahead, waits for a sync"
        SubElement(case, "system-out").text = f"Pending: {told}"
    elif reason:
        SubElement(case, "system-out").text = f"{resource.status}: {reason}"


def _origin(resource: ResourceReport) -> ReportOrigin | None:
    """The line that sets the worst drifted field, else that of the object."""
    drifted = [change for change in findings.changes_of(resource, frozenset()) if change.is_drift]
    whole = not drifted or findings.has_whole_finding(resource)
    return findings.origin_of(resource, None if whole else drifted[0])


def _message(resource: ResourceReport) -> str:
    """One line: which fields, and who."""
    if findings.has_whole_finding(resource):
        return findings.whole_text(resource)
    drifted = [change for change in findings.changes_of(resource, frozenset()) if change.is_drift]
    paths = [findings.path_of(change, resource) for change in drifted]
    rest = f" and {len(paths) - _PATHS_IN_MESSAGE} more" if len(paths) > _PATHS_IN_MESSAGE else ""
    authors = sorted(filter(None, {findings.one_line(name_of(c)) for c in drifted}))
    who = f"; by {', '.join(authors)}" if authors else ""
    wrong = [text for change in drifted if (text := mistakes.mistake_of(change))]
    more = f" (and {counted(len(wrong) - 1, 'more mistake')} in Git)" if len(wrong) > 1 else ""
    why = f"; {wrong[0]}{more}" if wrong else ""
    return f"{', '.join(paths[:_PATHS_IN_MESSAGE])}{rest}{who}{why}"


def _lines(group: Group, resource: ResourceReport) -> list[str]:
    lines = []
    if findings.has_whole_finding(resource):
        lines.append(findings.whole_text(resource))
    lines += [
        f"{change.change_class}  {findings.change_text(change, resource, now='')}"
        for change in findings.changes_of(resource, frozenset())
    ]
    origin = git_places.file_and_line(resource.origin)
    if origin:
        lines.append(f"in {origin}")
    if group.cluster:
        lines.append(f"on cluster {findings.one_line(group.cluster)}")
    return lines


def _outcome(case: Element, tag: str, message: str, kind: str, text: str) -> None:
    SubElement(case, tag, message=message, type=kind).text = text or message


def _count(element: Element, cases: list[Element]) -> None:
    element.set("tests", str(len(cases)))
    for tag in _COUNTED:
        attribute = tag if tag == "skipped" else f"{tag}s"
        element.set(attribute, str(sum(case.find(tag) is not None for case in cases)))
    element.set("time", "0")
    for case in cases:
        case.set("time", "0")
