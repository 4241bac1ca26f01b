"""What Kustomizations and HelmReleases wait for that is nowhere declared."""

from __future__ import annotations

from collections.abc import Iterator

from driftd.flux.objects import FluxObjects
from driftd.model.choices import nearest
from driftd.model.condition import Condition, Severity
from driftd.model.flux import FluxObject

_KINDS = ("Kustomization", "HelmRelease")


def unmet_dependencies(objects: FluxObjects) -> list[Condition]:
    """A warning for each entry of `spec.dependsOn` that names nothing of `objects`.

    Flux applies such an object never. All that a root leads to has to be known.
    """
    found = []
    for kind in _KINDS:
        every = list(objects.of_kind(kind))
        known = {(one.namespace, one.name) for one in every}
        for one in every:
            lacking = [wanted for wanted in _wanted(one) if wanted not in known]
            names = sorted(name for _, name in known)
            found += [_told(one, wanted, names) for wanted in lacking]
    return found


def _wanted(one: FluxObject) -> Iterator[tuple[str, str]]:
    spec = one.body.get("spec")
    listed = spec.get("dependsOn") if isinstance(spec, dict) else None
    for reference in listed if isinstance(listed, list) else ():
        if isinstance(reference, dict) and isinstance(reference.get("name"), str):
            yield str(reference.get("namespace") or one.namespace), reference["name"]


def _told(one: FluxObject, wanted: tuple[str, str], names: list[str]) -> Condition:
    namespace, name = wanted
    place = f"{namespace}/{name}" if namespace != one.namespace else name
    meant = nearest((other for other in names if other != one.name), name).strip()
    hint = meant or "declare it, or remove the entry"
    return Condition(
        "DependencyNotFound",
        f"{one.origin}: {one} depends on {one.kind} {place}, which nothing here declares: Flux "
        f"waits for it and does not apply this one; {hint}",
        Severity.WARNING,
    )
