"""Who changed a live Application, HelmRelease or what that uses beside Git. Pure.

Argo CD deploys what its live Application says, so an override that somebody set there (in Argo CD's
own UI, or with kubectl) decides what an application is, and Git does not know of it. Flux does the
same with its Kustomizations and HelmReleases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from driftd.model.condition import Condition, Severity

EDITED: Final = "LiveApplicationEdited"
"""The condition of an Application, Kustomization or HelmRelease of Flux among them, of which
somebody set a part beside who declares the rest."""
_HANDS: Final = ("argocd-server", "kubectl-edit", "kubectl-patch", "kubectl-set", "Mozilla")
"""Field managers of people: Argo CD's UI and CLI, kubectl's commands, dashboards."""
_FLUX: Final = "kustomize-controller"
"""The field manager that applies the objects of Flux that Git declares."""
_SUSPENDED: Final = "spec.suspend"
"""Decides when Flux works, not what it deploys; a condition of its own tells it."""
_NAMED = 3

_Owned = tuple[Mapping[str, Any], list[str]]
"""An entry of managedFields and the places of the spec that it owns."""


def edited(raw: Mapping[str, Any]) -> tuple[Condition, ...]:
    """A warning that names the fields of a live Application's spec that a person's client owns.

    None where a person's client owns all of it: who creates it so declares it so.
    """
    owned = _owned(raw)
    hands = [one for one in owned if one[0].get("manager") in _HANDS]
    others = [one for one in owned if one[0].get("manager") not in _HANDS]
    return _conditions("Application", hands, others)


def edited_beside_flux(kind: str, raw: Mapping[str, Any]) -> tuple[Condition, ...]:
    """As `edited`, of a live Kustomization or HelmRelease of Flux."""
    return _conditions(kind, *_of_flux(raw))


def edits_beside_flux(raw: Mapping[str, Any]) -> str:
    """The fields that `edited_beside_flux` would name, by whom and when; empty without any."""
    hands, others = _of_flux(raw)
    return "; ".join(_told(entry, paths) for entry, paths in hands) if others else ""


def edited_used(
    name: str, raw: Mapping[str, Any], part: str, counts: Callable[[str], bool]
) -> tuple[Condition, ...]:
    """As `edited_beside_flux`, of an object that such an application uses, such as its source.

    `name` is its kind, namespace and name; `counts` says of a place below `part` (`spec` or `data`)
    whether it decides what is deployed. None where Flux does not apply the object: then nobody
    can tell what of it is Git's.
    """
    return _conditions(name, *_of_used(raw, part, counts))


def edits_used(raw: Mapping[str, Any], part: str, counts: Callable[[str], bool]) -> str:
    """The fields that `edited_used` would name, by whom and when; empty without any."""
    hands, _ = _of_used(raw, part, counts)
    return "; ".join(_told(entry, paths) for entry, paths in hands)


def _of_used(
    raw: Mapping[str, Any], part: str, counts: Callable[[str], bool]
) -> tuple[list[_Owned], list[_Owned]]:
    owned = _owned(raw, part)
    entries = (raw.get("metadata") or {}).get("managedFields") or ()
    applied = [one for one in entries if one.get("manager") == _FLUX and not one.get("subresource")]
    # Of a ConfigMap with one key, which somebody has edited, labels are all that Flux still owns.
    git = [one for one in owned if one[0] in applied] or [(one, []) for one in applied]
    kept = [(entry, [path for path in paths if counts(path)]) for entry, paths in owned]
    return (_beside(kept, git), git) if git else ([], [])


def _beside(owned: Iterable[_Owned], git: Sequence[_Owned]) -> list[_Owned]:
    """What others own alone."""
    declared = {path for _, paths in git for path in paths}
    rest = [
        (entry, [path for path in paths if path not in declared])
        for entry, paths in owned
        if entry.get("manager") != _FLUX
    ]
    return [one for one in rest if one[1]]


def _of_flux(raw: Mapping[str, Any]) -> tuple[list[_Owned], list[_Owned]]:
    """What people own of a live object's spec, and what is Git's.

    Of one that kustomize-controller applies, all counts that others own alone (the `flux` CLI too);
    of any other, what people's clients own.
    """
    owned = [(entry, [p for p in paths if p != _SUSPENDED]) for entry, paths in _owned(raw)]
    git = [one for one in owned if one[0].get("manager") == _FLUX]
    if not git:
        hands = [one for one in owned if one[0].get("manager") in _HANDS and one[1]]
        return hands, [one for one in owned if one not in hands]
    return _beside(owned, git), git


def _owned(raw: Mapping[str, Any], part: str = "spec") -> list[_Owned]:
    entries = (raw.get("metadata") or {}).get("managedFields") or ()
    return [
        (entry, paths)
        for entry in entries
        if not entry.get("subresource")
        and (paths := list(_paths(part, (entry.get("fieldsV1") or {}).get(f"f:{part}"))))
    ]


def _conditions(
    kind: str, hands: Sequence[_Owned], others: Sequence[_Owned]
) -> tuple[Condition, ...]:
    if not hands or not others:
        return ()
    told = "; ".join(_told(entry, paths) for entry, paths in hands)
    rest = ", ".join(sorted({str(entry["manager"]) for entry, _ in others}))
    text = (
        f"the live {kind} was edited: {told}; {rest} wrote the rest. What is deployed, and "
        f"called Git's value here, follows the live {kind}"
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
