"""Entries of kustomizations that match nothing with a change: a name is mostly misspelt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from driftd.controller.declared import Declared, Entry
from driftd.controller.desired import Desired
from driftd.controller.idle_reasons import fits, of_image, of_target
from driftd.controller.observed import ClusterView
from driftd.controller.preview_pairs import Pair
from driftd.controller.preview_sides import Side
from driftd.model.condition import Condition, Severity
from driftd.model.resource import Manifest, ResourceKey
from driftd.model.tree import ResolvedSource
from driftd.render import idle_entries
from driftd.render.idle_alternatives import Alternative, alternatives_of, dead, slip_of
from driftd.render.idle_entries import Probe, entries_of, kustomizations_of

IDLE: Final = "IdleEntryWarning"
_SHOWN: Final = ("group", "version", "kind", "name", "namespace", "labelSelector",
                 "annotationSelector")  # fmt: skip


async def idle_warnings(
    pair: Pair, before: Side, old: Declared, after: Side, new: Declared, view: ClusterView | None
) -> list[Condition]:
    """The entries that match nothing with the change and did at the base, or are new.

    An application without such entries, or whose kustomizations and objects cannot be rendered,
    costs nothing.
    """
    if pair.after is None or pair.new is None or not pair.new.complete:
        return []
    earlier = (
        {one.source.path: one for one in await before.sources(pair.before, old.urls)}
        if pair.before is not None
        else {}
    )
    told = []
    for source in await after.sources(pair.after, new.urls):
        base = earlier.get(source.source.path)
        if source.source.chart or (base is not None and _is_same(pair, base, source)):
            continue
        found = dead(
            await _probe(pair.after, source, after, view).idle(_entries(source)),
            source.tree,
            sorted({one.key.kind for one in pair.new.manifests}),
        )
        if found and base is not None and pair.before is not None:
            probe = _probe(pair.before, base, before, view)
            found = await _brought(found, _entries(base), probe)
        elif pair.before is not None:
            found = []
        told += [_condition(one, pair) for one in found]
    return told


def _entries(source: ResolvedSource) -> list[idle_entries.Entry]:
    entries = entries_of(source.tree, source.source.path)
    return [*entries, *alternatives_of(entries)]


def _is_same(pair: Pair, base: ResolvedSource, source: ResolvedSource) -> bool:
    """Whether a source's kustomizations and what the application renders are as at the base.

    Most changes of a repository are at a few of its applications.
    """
    old, new = base.tree, source.tree
    if old.id == new.id:
        return True
    if pair.old is None or pair.new is None or _bodies(pair.old) != _bodies(pair.new):
        return False
    files = kustomizations_of(new, source.source.path)
    return all(old.files.get(file) == new.files[file] for file in files)


def _bodies(desired: Desired) -> dict[ResourceKey, bytes]:
    return {one.key: one.body for one in desired.manifests}


async def _brought(
    found: Sequence[idle_entries.Entry], known: Sequence[idle_entries.Entry], probe: Probe
) -> list[idle_entries.Entry]:
    """Those that the change has brought: an entry that was as idle at the base is none."""
    same = {id(one): _same(one, known) for one in found}
    wanted = [one for one in same.values() if one is not None]
    idle = await probe.idle(wanted)
    brought = []
    for one in found:
        twin = same[id(one)]
        if twin is None:
            # What a Component does not find, another that uses it may have.
            if not one.component:
                brought.append(one)
        elif not any(twin is other for other in idle):
            brought.append(one)
    return brought


def _same(
    one: idle_entries.Entry, known: Sequence[idle_entries.Entry]
) -> idle_entries.Entry | None:
    """The entry of the base: the same, of a Component else the one in its place."""
    here = [each for each in known if (each.file, each.section) == (one.file, one.section)]
    for each in here:
        if each.value == one.value:
            return each
    wanted = "name" if one.section == "images" else "target"
    for each in here:
        if each.value[wanted] == one.value[wanted]:
            return each
    at = [each for each in here if each.index == one.index]
    return at[0] if at and one.component else None


def _probe(entry: Entry, source: ResolvedSource, side: Side, view: ClusterView | None) -> Probe:
    return Probe(
        entry.application,
        source,
        side.workspace.sandbox,
        kube_version=view.version if view else "",
        api_versions=view.api_versions if view else (),
    )


def _condition(one: idle_entries.Entry, pair: Pair) -> Condition:
    objects = pair.new.manifests if pair.new else ()
    if one.section == "images":
        name = str(one.value["name"])
        why = of_image(name, pair.old.manifests if pair.old else (), objects, one.file)
        what = f"no image is called {name}"
    elif isinstance(one, Alternative):
        return _alternative(one, objects)
    else:
        why = of_target(one.value["target"], objects)
        what = f"no object fits the target {_shown(one.value['target'])}"
    text = f"{one.file}:{one.line}: {what}: this entry of {one.section} changes nothing"
    return Condition(IDLE, f"{text}; {why}".rstrip("; "), Severity.WARNING)


def _alternative(one: Alternative, objects: Sequence[Manifest]) -> Condition:
    """An alternative of a target that fits nothing, where another one fits."""
    if one.field == "kind":
        why = f"did you mean {slip_of(one.text, sorted({each.key.kind for each in objects}))}?"
    else:
        # What the target fits already was not meant by another of its alternatives.
        wanted = one.value["target"]
        rest = [each for each in objects if fits(wanted, each) or not fits(one.target, each)]
        why = of_target(wanted, rest)
    text = (
        f"{one.file}:{one.line}: no object fits {one.text} of the target {_shown(one.target)}: "
        "this entry of patches changes only what else the target fits"
    )
    return Condition(IDLE, f"{text}; {why}".rstrip("; "), Severity.WARNING)


def _shown(target: dict[str, Any]) -> str:
    return ", ".join(f"{key}={target[key]}" for key in _SHOWN if target.get(key))
