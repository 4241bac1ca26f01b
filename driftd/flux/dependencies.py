"""What Kustomizations and HelmReleases wait for that is nowhere declared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from driftd.flux.objects import FluxObjects
from driftd.flux.written import place_of
from driftd.model.choices import nearest
from driftd.model.condition import Condition, Severity
from driftd.model.flux import FluxObject
from driftd.model.tree import Tree

_KINDS = ("Kustomization", "HelmRelease")


def unmet_dependencies(
    objects: FluxObjects, home: Tree | None = None, hidden: Iterable[FluxObject] | None = None
) -> list[Condition]:
    """A warning for each entry of `spec.dependsOn` that names nothing of `objects`.

    Flux applies such an object never. `home` are the files, for lines. `hidden` is to be given
    where not all that a root leads to is known, and is what files declare: then only slips of a
    known name are told, which no file declares either.
    """
    found = []
    written = None if hidden is None else {(one.kind, one.name) for one in hidden}
    for kind in _KINDS:
        every = list(objects.of_kind(kind))
        known = {(one.namespace, one.name) for one in every}
        for one in every:
            lacking = [wanted for wanted in _wanted(one) if wanted not in known]
            for namespace, name in lacking:
                others = {other for _, other in known if other != one.name}
                meant = nearest(sorted(others), name).strip()
                elsewhere = sorted(space for space, other in known if other == name)
                if elsewhere:
                    meant = f"did you mean the one of namespace {', '.join(elsewhere)}?"
                if written is not None and (not meant or (kind, name) in written):
                    continue  # what is not seen may declare it
                at = place_of(one, home, "name", name)
                place = f"{namespace}/{name}" if namespace != one.namespace else name
                found.append(_told(one, at, place, meant))
    return found


def _wanted(one: FluxObject) -> Iterator[tuple[str, str]]:
    spec = one.body.get("spec")
    listed = spec.get("dependsOn") if isinstance(spec, dict) else None
    for reference in listed if isinstance(listed, list) else ():
        if isinstance(reference, dict) and isinstance(reference.get("name"), str):
            yield str(reference.get("namespace") or one.namespace), reference["name"]


def _told(one: FluxObject, at: str, place: str, meant: str) -> Condition:
    hint = meant or "declare it, or remove the entry"
    return Condition(
        "DependencyNotFound",
        f"{at}: {one} depends on {one.kind} {place}, which nothing here declares: Flux "
        f"waits for it and does not apply this one; {hint}",
        Severity.WARNING,
    )
