"""Which applications a selection or a healing rule names."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

import msgspec

from driftd.settings.healing import Healing, HealingRule, Rung
from driftd.settings.types import ApplicationSelection


def names_application(patterns: Iterable[str], namespace: str, name: str) -> bool:
    """Whether any pattern is a glob of `name`, or of `namespace/name` where it has a slash.

    The name of a Flux application has a slash itself (`ROOT/NAME`); commands print it without
    its namespace, so that a pattern may be written so, too.
    """
    return any(
        fnmatchcase(name, pattern)
        or ("/" in pattern and fnmatchcase(f"{namespace}/{name}", pattern))
        for pattern in patterns
    )


def selected(selection: ApplicationSelection, namespace: str, name: str) -> bool:
    """Whether an application is looked at: included and not excluded."""
    return (
        selection.namespace in ("", namespace)
        and names_application(selection.include, namespace, name)
        and not names_application(selection.exclude, namespace, name)
    )


def rung_of(healing: Healing, namespace: str, name: str) -> Rung:
    """The rung that the operator has opened for an application; `observe` without a rule."""
    return rule_of(healing, namespace, name).rung


def lowered(healing: Healing) -> Healing:
    """The same rules with every rung that writes lowered to dry runs."""
    rules = tuple(
        msgspec.structs.replace(rule, rung=Rung.DRY_RUN) if rule.rung is Rung.FIELDS else rule
        for rule in healing.rules
    )
    return msgspec.structs.replace(healing, rules=rules)


def rule_of(healing: Healing, namespace: str, name: str) -> HealingRule:
    """The first healing rule that names an application; one that opens nothing if none does."""
    for rule in healing.rules:
        if names_application(rule.applications, namespace, name):
            return rule
    return HealingRule(applications=())
