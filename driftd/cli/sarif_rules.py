"""The rules of the SARIF format: one for each class and kind of change, with help."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from msgspec import UNSET

from driftd.cli import order
from driftd.model.report import Change, ChangeClass, ChangeKind, ResourceStatus

_CLASSES: Final = {
    ChangeClass.DECLARED: (
        "Git says otherwise",
        "Let the application sync to put Git's value back, or commit the live value.",
    ),
    ChangeClass.UNDECLARED: (
        "Git is silent, and somebody set it",
        "Remove it from the cluster, declare it in Git, or ignore it by spec.ignoreDifferences.",
    ),
    ChangeClass.REVIEW: ("harmless as far as known", "Nothing has to be done."),
    ChangeClass.INJECTED: ("nobody owns it, as with webhooks", "Nothing has to be done."),
    ChangeClass.REWRITTEN: (
        "Git's value was applied, and admission stored another",
        "Write the stored value into Git, or leave it.",
    ),
    ChangeClass.PENDING: ("Git is ahead of the cluster", "Wait for the sync, or start it."),
    order.IGNORED: ("a rule ignores it", "Remove the rule if the change should count."),
}
_KINDS: Final = {
    ChangeKind.MODIFIED: "a field has another value than in Git",
    ChangeKind.MISSING: "a field that Git declares is not in the cluster",
    ChangeKind.ADDED: "a field is in the cluster and not in Git",
    ChangeKind.FORMERLY_DECLARED: "a field that Git declared before is still in the cluster",
    ChangeKind.REORDERED: "the items of a list are in another order than in Git",
    ChangeKind.RENAMED: "an item has another name than in Git",
}
_MISTAKES: Final = {
    "unknown-field": (
        "Git declares a field that the kind does not have",
        "the API server drops it or refuses the object, and no sync changes that",
        "Correct the name of the field in Git, or remove it.",
    ),
    "refused-value": (
        "Git declares a value that the API server refuses",
        "the kind's schema allows no such value, and no sync changes that",
        "Correct the value in Git.",
    ),
}
_OBJECTS: Final = {
    ResourceStatus.MISSING: (
        "An object that Git declares is not in the cluster",
        "Let the application sync to create it, or remove it from Git.",
    ),
    ResourceStatus.EXTRA: (
        "An object that the application tracks is not in Git",
        "Delete it, declare it in Git, or mark it with the compare option IgnoreExtraneous.",
    ),
    ResourceStatus.OUT_OF_SYNC: (
        "An object that Git declares is being deleted",
        "See which finalizers hold it; the next sync creates it again.",
    ),
}


_NOT_JUDGED: Final = {
    ResourceStatus.UNKNOWN: "Objects that could not be judged; never: objects that are gone.",
    ResourceStatus.NOT_CHECKED: "Objects that were left out of the comparison on purpose.",
}


def notification_descriptors(kinds: Collection[str]) -> list[dict[str, Any]]:
    """What the invocation's notifications of these kinds say; a condition's message says all."""
    return [
        {"id": str(status), "shortDescription": {"text": text}}
        for status, text in _NOT_JUDGED.items()
        if status in kinds
    ]


def rule_of(change: Change) -> dict[str, Any]:
    """The rule of a change: its class (or that it is ignored) and its kind."""
    section = order.section_of(change)
    if change.invalid is not UNSET and section == ChangeClass.DECLARED:
        name = "unknown-field" if change.invalid.cause == "UnknownField" else "refused-value"
        title, meaning, remedy = _MISTAKES[name]
        text = f"{title}: {meaning}."
        return _rule(f"{section}/{name}", title, text, remedy, ["drift", section])
    meaning, remedy = _CLASSES[section]
    kind = _KINDS[change.kind]
    title = f"{kind[0].upper()}{kind[1:]} ({section})"
    text = f"{title}: {meaning}."
    return _rule(f"{section}/{change.kind}", title, text, remedy, ["drift", section])


def object_rule(status: ResourceStatus) -> dict[str, Any]:
    """The rule of an object that is Missing, Extra or being deleted."""
    title, remedy = _OBJECTS[status]
    name = "deleting" if status is ResourceStatus.OUT_OF_SYNC else str(status).lower()
    return _rule(f"object/{name}", title, f"{title}.", remedy, ["drift", "object"], level="error")


def _rule(
    rule_id: str, title: str, text: str, remedy: str, tags: list[str], *, level: str = "warning"
) -> dict[str, Any]:
    words = rule_id.replace("/", "-").split("-")
    return {
        "id": rule_id,
        "name": "".join(word.capitalize() for word in words),
        "shortDescription": {"text": title},
        "fullDescription": {"text": text},
        "help": {"text": f"{text} {remedy}", "markdown": f"{text}\n\n{remedy}"},
        "defaultConfiguration": {"level": level},
        "properties": {"tags": tags},
    }
