"""Who changed a live Application beside what declares it. Pure.

Argo CD deploys what its live Application says, so an override that somebody set there (in Argo CD's
own UI, or with kubectl) decides what an application is, and Git does not know of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from driftd.model.condition import Condition, Severity

EDITED: Final = "LiveApplicationEdited"
"""The condition of an Application of which somebody set a part beside who declares the rest."""
_HANDS: Final = ("argocd-server", "kubectl-edit", "kubectl-patch", "kubectl-set", "Mozilla")
"""Field managers of people: Argo CD's UI and CLI, kubectl's commands, dashboards."""
_NAMED = 3


def edited(raw: Mapping[str, Any]) -> tuple[Condition, ...]:
    """A warning that names the fields of a live Application's spec that a person's client owns.

    None where a person's client owns all of it: who creates it so declares it so.
    """
    metadata = raw.get("metadata") or {}
    entries = metadata.get("managedFields") or ()
    owned = [
        (entry, paths)
        for entry in entries
        if not entry.get("subresource")
        and (paths := list(_paths("spec", (entry.get("fieldsV1") or {}).get("f:spec"))))
    ]
    hands = [one for one in owned if one[0].get("manager") in _HANDS]
    others = [one for one in owned if one[0].get("manager") not in _HANDS]
    if not hands or not others:
        return ()
    told = "; ".join(_told(entry, paths) for entry, paths in hands)
    rest = ", ".join(sorted({str(entry["manager"]) for entry, _ in others}))
    text = (
        f"the live Application was edited: {told}; {rest} wrote the rest. What is deployed, and "
        "called Git's value here, follows the live Application"
    )
    return (Condition(EDITED, text, Severity.WARNING),)


def _told(entry: Mapping[str, Any], paths: list[str]) -> str:
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    at = f" at {entry['time']}" if entry.get("time") else ""
    return f"{', '.join(paths[:_NAMED])}{more} by {entry['manager']}{at}"


def _paths(place: str, fields: Any) -> Iterator[str]:
    """The fields that an entry owns, as far as structs go; a list is one place."""
    if not isinstance(fields, Mapping):
        return
    names = [name for name in fields if name.startswith("f:")]
    if not names:
        yield place
    for name in names:
        yield from _paths(f"{place}.{name[2:]}", fields[name])
