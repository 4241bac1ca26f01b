"""Who made a change, in words: the person that an audit log names before any field manager."""

from __future__ import annotations

from msgspec import UNSET

from driftd.cli.terminal import age, printable
from driftd.model.audit import acting_as
from driftd.model.report import (
    NOT_APPLIED,
    Attribution,
    AuditedAuthor,
    Change,
    ChangeClass,
    ChangeKind,
    ResourceReport,
    ResourceStatus,
)

_AUTHORLESS = frozenset({ChangeClass.INJECTED, ChangeClass.REWRITTEN})


def person(author: AuditedAuthor) -> str:
    """The user, whom the user acted as, and service accounts by their names."""
    return printable(acting_as(author.get("user", ""), author.get("impersonatedUser", "")))


def author_of(change: Change, now: str) -> str:
    """Who made `change` and when, as far as the cluster's records say.

    Empty where the class of the change already says that nobody is on record, and where the
    mistake is Git's own.
    """
    if change.invalid is not UNSET:
        return ""
    told = _attribution(change)
    how = _how(change)
    named = change.manager if isinstance(change.manager, str) else ""
    time = change.time if isinstance(change.time, str) else ""
    facts = []
    if told.get("user"):
        tool = named or _program(told)
        facts.append(f"by {person(told)}" + (f" ({', '.join(filter(None, (tool, how)))})"))
        time = time or told.get("time", "")
    elif named:
        facts.append(f"by {named}" + (f" ({how})" if how else ""))
    elif change.change_class in _AUTHORLESS:
        return ""
    else:
        facts.append(_unknown(change))
    if time:
        ago = age(time, now)
        facts.append(f"{ago} ago ({time})" if ago else time)
    if change.confidence is not UNSET:
        facts.append("audit log" if change.confidence == "audit" else change.confidence)
    if change.confidence != "audit":
        if told.get("after") and told.get("before"):
            facts.append(f"between {told['after']} and {told['before']}")
        facts.append(candidates(told))
    return printable(", ".join(fact for fact in facts if fact))


def name_of(change: Change) -> str:
    """The person who made a change, else its field manager; empty if neither is known."""
    if change.invalid is not UNSET:
        return ""
    told = _attribution(change)
    if told.get("user"):
        return person(told)
    return printable(change.manager) if isinstance(change.manager, str) else ""


def candidates(told: Attribution) -> str:
    """Whom the audit log leaves to choose from; empty if nobody."""
    names = [person(one) for one in told.get("candidates", ())]
    if not names:
        return ""
    if told.get("more"):
        names.append(f"{told['more']} more")
    if len(names) == 1:
        return f"perhaps {names[0]} (audit log)"
    return f"one of {', '.join(names[:-1])} and {names[-1]} (audit log)"


def evidence(told: Attribution) -> str:
    """The event of the audit log that names the person: what was done, by what, from where."""
    if not told.get("user"):
        return ""
    facts = [told.get("verb", "write")]
    if told.get("writes"):
        facts[0] = f"the last of {told['writes']} writes, {facts[0]}"
    if told.get("userAgent"):
        facts.append(f"by {told['userAgent']}")
    if told.get("sourceIPs"):
        facts.append(f"from {', '.join(told['sourceIPs'])}")
    if told.get("time"):
        facts.append(f"at {told['time']}")
    if told.get("auditID"):
        facts.append(f"(audit ID {told['auditID']})")
    return printable(" ".join(facts))


def whole_author(resource: ResourceReport) -> str:
    """Who deleted an object that is Missing, or made one that is Extra; empty if not known."""
    verb = {ResourceStatus.MISSING: "deleted", ResourceStatus.EXTRA: "created"}.get(resource.status)
    if verb is None:
        return ""
    told = resource.attribution if resource.attribution is not UNSET else Attribution()
    manager = resource.manager if isinstance(resource.manager, str) else ""
    if told.get("user"):
        tool = manager or _program(told)
        name = person(told) + (f" ({printable(tool)})" if tool else "")
        return f"{verb} by {name} at {printable(told.get('time', ''))}"
    if told.get("candidates"):
        whom = candidates(told)
        sure = f"by {whom}" if whom.startswith("one of ") else whom.replace(" ", " by ", 1)
        return f"{verb} {sure}"
    return f"created by {printable(manager)}" if manager and verb == "created" else ""


def _attribution(change: Change) -> Attribution:
    return change.attribution if change.attribution is not UNSET else Attribution()


def _how(change: Change) -> str:
    how = change.operation if isinstance(change.operation, str) else ""
    if change.subresource is not UNSET and change.subresource:
        how = f"{how} through /{change.subresource}".strip()
    return how


def _program(told: AuditedAuthor) -> str:
    """What the user agent begins with, as the API server names managers."""
    return told.get("userAgent", "").partition("/")[0]


def _unknown(change: Change) -> str:
    if change.reason == NOT_APPLIED:
        return NOT_APPLIED
    if change.kind not in {ChangeKind.MISSING, ChangeKind.REORDERED}:
        return "author unknown (no field manager owns it)"
    seen_before = bool(_attribution(change).get("after"))
    if change.kind is ChangeKind.MISSING and change.desired is not UNSET and not seen_before:
        return "author unknown: removed, or not synced yet"
    leaves = "removal" if change.kind is ChangeKind.MISSING else "reordering"
    return f"author unknown (a {leaves} leaves no trace in the object)"
