"""Entries of images and patches that match nothing with a change: mostly a name is misspelt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from driftd.controller.declared import Declared, Entry
from driftd.controller.desired import Desired
from driftd.controller.idle_reasons import fits, of_image, of_target
from driftd.controller.observed import ClusterView
from driftd.controller.own_places import own_places, path_of
from driftd.controller.preview_pairs import Pair
from driftd.controller.preview_sides import Side
from driftd.model.application import Application
from driftd.model.condition import Condition, Severity
from driftd.model.resource import Manifest, ResourceKey
from driftd.model.tree import ResolvedSource
from driftd.render import idle_entries
from driftd.render.idle_alternatives import Alternative, alternatives_of, dead, slip_of
from driftd.render.idle_entries import Probe, entries_of, kustomizations_of
from driftd.render.idle_own import At, own_lists, own_values, values_of
from driftd.render.trace import declaring_file

IDLE: Final = "IdleEntryWarning"
_SHOWN: Final = ("group", "version", "kind", "name", "namespace", "labelSelector",
                 "annotationSelector")  # fmt: skip


async def idle_warnings(
    pair: Pair, before: Side, old: Declared, after: Side, new: Declared, view: ClusterView | None
) -> list[Condition]:
    """The entries that match nothing with the change and did at the base, or are new.

    An application without such entries, or whose entries and objects stay as they are, costs
    nothing.
    """
    if pair.after is None or pair.new is None or not pair.new.complete:
        return []
    earlier = (
        {_of(one): one for one in await before.sources(pair.before, old.urls)}
        if pair.before is not None
        else {}
    )
    found: list[idle_entries.Entry] = []
    for source in await after.sources(pair.after, new.urls):
        base = earlier.get(_of(source))
        if base is None and pair.before is not None:
            continue
        if base is not None and _is_same(pair, base, source):
            continue
        idle = await _idle(pair, source, after, view)
        if idle and base is not None and pair.before is not None:
            probe = _probe(pair.before, base, before, view)
            idle = await _brought(idle, _entries(pair.before.application, base), probe)
        found += idle
    places = await _own_places(after, new, pair.after, found)
    return [
        _condition(one, pair, places.get(id(one), ""))
        for one in found
        if not (one.at and _is_shared(one, pair.after.application, new, places.get(id(one), "")))
    ]


def _of(source: ResolvedSource) -> tuple[str, str]:
    return source.source.path, source.source.chart


async def _idle(
    pair: Pair, source: ResolvedSource, after: Side, view: ClusterView | None
) -> list[idle_entries.Entry]:
    """The entries that match nothing for one source, and the alternatives that are mistakes."""
    assert pair.after is not None  # noqa: S101 - looked at by the caller
    assert pair.new is not None  # noqa: S101 - looked at by the caller
    app = pair.after.application
    kinds = sorted({one.key.kind for one in pair.new.manifests})
    idle = await _probe(pair.after, source, after, view).idle(_entries(app, source))
    found = dead(idle, source.tree, kinds)
    if view is not None or not _is_release(app):
        return found
    # What a chart renders depends on what the cluster serves: only slips are certain without it.
    return [one for one in found if _is_slip(one, kinds)]


def _is_release(app: Application) -> bool:
    return app.flux is not None and app.flux.kind == "HelmRelease"


def _is_slip(one: idle_entries.Entry, kinds: Sequence[str]) -> bool:
    return not one.is_image and slip_of(str(one.wanted.get("kind") or ""), kinds) != ""


def _entries(app: Application, source: ResolvedSource) -> list[idle_entries.Entry]:
    """Those of the kustomizations and the application's own, and alternatives of targets.

    An own image takes the place of one of its name in the kustomization that it is added to.
    """
    own = [
        idle_entries.Entry(
            declaring_file(app) or app.origin,
            0,
            _section(at),
            index,
            value,
            False,
            at,
        )
        for at, items in own_lists(app, source)
        for index, value in values_of(items)
    ]
    if _is_release(app) or source.source.chart:
        return [*own, *alternatives_of(own)]
    names = {one.wanted for one in own if one.is_image}
    top = kustomizations_of(source.tree, source.source.path)[:1]
    files = [
        one
        for one in entries_of(source.tree, source.source.path)
        if not (one.is_image and one.file in top and one.wanted in names)
    ]
    return [*files, *own, *alternatives_of([*files, *own])]


def _section(at: At) -> str:
    """A list as messages name it.

    >>> _section(("spec", "sources", 0, "kustomize", "images"))
    'spec.sources[0].kustomize.images'
    """
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in at)[1:]


async def _own_places(
    after: Side, new: Declared, entry: Entry, found: Sequence[idle_entries.Entry]
) -> dict[int, str]:
    """The places of the application's own entries, by their identity."""
    paths = {id(one): path_of((*one.at, one.index)) for one in found if one.at}
    asked = [(path, 0) for path in paths.values()]
    places = await own_places(after.workspace, new, entry.application, asked)
    return {
        one: f"{places[path, 0].file}:{places[path, 0].line}"
        for one, path in paths.items()
        if (path, 0) in places
    }


def _is_shared(one: idle_entries.Entry, app: Application, new: Declared, place: str) -> bool:
    """Whether a set, a chart or a patch gives an own entry to other applications, too.

    There each need match in one of them only. What an application's file says is its own.
    """
    if place.rpartition(":")[0] == one.file:
        return False
    target = one.target if isinstance(one, Alternative) else one.wanted
    value = {**one.value, "name" if one.is_image else "target": target}
    return any(
        value in own_values(other)
        for other in new.applications
        if other.qualified_name != app.qualified_name
    )


def _is_same(pair: Pair, base: ResolvedSource, source: ResolvedSource) -> bool:
    """Whether a source's entries and what the application renders are as at the base.

    Most changes of a repository are at a few of its applications.
    """
    assert pair.before is not None  # noqa: S101 - one that has a base
    assert pair.after is not None  # noqa: S101 - looked at by the caller
    own = [list(own_lists(pair.before.application, base))]
    own.append(list(own_lists(pair.after.application, source)))
    old, new = base.tree, source.tree
    if own[0] != own[1] or (own[0] and (pair.old is None or _differs(pair))):
        return False
    if old.id == new.id:
        return True
    if _differs(pair):
        return False
    files = kustomizations_of(new, source.source.path)
    return all(old.files.get(file) == new.files[file] for file in files)


def _differs(pair: Pair) -> bool:
    return pair.old is None or pair.new is None or _bodies(pair.old) != _bodies(pair.new)


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
    here = [each for each in known if _list(each) == _list(one)]
    for each in here:
        if each.value == one.value:
            return each
    for each in here:
        if each.wanted == one.wanted:
            return each
    at = [each for each in here if each.index == one.index]
    return at[0] if at and one.component else None


def _list(one: idle_entries.Entry) -> tuple[str, str]:
    return "" if one.at else one.file, one.section


def _probe(entry: Entry, source: ResolvedSource, side: Side, view: ClusterView | None) -> Probe:
    return Probe(
        entry.application,
        source,
        side.workspace.sandbox,
        kube_version=view.version if view else "",
        api_versions=view.api_versions if view else (),
    )


def _condition(one: idle_entries.Entry, pair: Pair, at: str) -> Condition:
    """`at` is the place of an application's own entry, where it is known."""
    objects = pair.new.manifests if pair.new else ()
    at = at or (one.file if one.at else f"{one.file}:{one.line}")
    if isinstance(one, Alternative):
        return _alternative(one, objects, at)
    if one.is_image:
        name = str(one.wanted)
        where = f"the kustomization of {pair.entry.application.name}" if one.at else one.file
        why = of_image(name, pair.old.manifests if pair.old else (), objects, where)
        what = f"no image is called {name}"
    else:
        why = of_target(one.wanted, objects)
        what = f"no object fits the target {_shown(one.wanted)}"
    text = f"{at}: {what}: this entry of {one.section} changes nothing"
    return Condition(IDLE, f"{text}; {why}".rstrip("; "), Severity.WARNING)


def _alternative(one: Alternative, objects: Sequence[Manifest], at: str) -> Condition:
    """An alternative of a target that fits nothing, where another one fits."""
    if one.field == "kind":
        why = f"did you mean {slip_of(one.text, sorted({each.key.kind for each in objects}))}?"
    else:
        # What the target fits already was not meant by another of its alternatives.
        rest = [each for each in objects if fits(one.wanted, each) or not fits(one.target, each)]
        why = of_target(one.wanted, rest)
    text = (
        f"{at}: no object fits {one.text} of the target {_shown(one.target)}: "
        f"this entry of {one.section} changes only what else the target fits"
    )
    return Condition(IDLE, f"{text}; {why}".rstrip("; "), Severity.WARNING)


def _shown(target: dict[str, Any]) -> str:
    return ", ".join(f"{key}={target[key]}" for key in _SHOWN if target.get(key))
