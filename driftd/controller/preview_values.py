"""Values that a change gives to a chart and nothing reads: mostly a name that is misspelt."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import Final

from driftd.controller.declared import Declared, Entry
from driftd.controller.observed import ClusterView
from driftd.controller.preview_pairs import Pair
from driftd.controller.preview_sides import Side
from driftd.controller.renders import renders
from driftd.controller.value_places import release_files
from driftd.model.application import Application
from driftd.model.choices import listed, nearest
from driftd.model.condition import Condition, Severity
from driftd.model.tree import ResolvedSource, Tree
from driftd.render.trace import unread_values
from driftd.sandbox.results import UnreadValue
from driftd.source.url import public

UNREAD: Final = "UnreadValueWarning"
_SHOWN: Final = 10


class UnreadValues:
    """What the changes of two sides give to charts in vain."""

    def __init__(self, before: Side, old: Declared, after: Side, new: Declared) -> None:
        self._before, self._old = before, old
        self._after, self._new = after, new
        self._changed: dict[tuple[str, str], frozenset[str]] = {}

    async def of(self, pair: Pair, view: ClusterView | None) -> list[Condition]:
        """The warnings of one application; one whose values stay as they are costs nothing."""
        if pair.after is None:
            return []
        old = await self._before.sources(pair.before, self._old.urls)
        new = await self._after.sources(pair.after, self._new.urls)
        if not self._may_differ(pair, old, new):
            return []
        told = await _values(self._after, self._new, pair.after, new, view)
        if told and pair.before is not None:
            values = await _values(self._before, self._old, pair.before, old, view)
            known = {(one.key, one.digest) for _, one in values}
            told = [(url, one) for url, one in told if (one.key, one.digest) not in known]
        told = [(url, one) for url, one in told if _is_plain(one, new=pair.before is None)]
        told.sort(key=lambda item: (item[1].file, item[1].line))
        conditions = [
            Condition(UNREAD, message_of(one, _elsewhere(url, new)), Severity.WARNING)
            for url, one in told[:_SHOWN]
        ]
        if len(told) > _SHOWN:
            names = ", ".join(one.key for _, one in told[_SHOWN:])
            text = f"no template of the chart reads these either: {names}"
            conditions.append(Condition(UNREAD, text, Severity.WARNING))
        return conditions

    def _may_differ(
        self, pair: Pair, old: Sequence[ResolvedSource], new: Sequence[ResolvedSource]
    ) -> bool:
        """Whether the change is at an application's values, or at its chart."""
        assert pair.after is not None  # noqa: S101 - looked at by the caller
        if pair.before is None or pair.spec_changed or len(old) != len(new):
            return True
        if pair.before.application.flux != pair.after.application.flux:
            return True  # its `values`, and what `valuesFrom` takes from ConfigMaps
        names = {posixpath.basename(name) for name in _values_files(pair.after.application)}
        patterns = any(set(name) & set("*?[") for name in names)
        folders = [_folder(source) for source in new]
        changed = {
            name
            for one, other in zip(old, new, strict=True)
            for name in self._files(one.tree, other.tree)
        }
        return any(
            patterns
            or posixpath.basename(name) in names
            or any(name.startswith(folder) for folder in folders)
            for name in changed
        )

    def _files(self, old: Tree, new: Tree) -> frozenset[str]:
        key = (old.id, new.id)
        if key not in self._changed:
            self._changed[key] = frozenset(
                name
                for name in {*old.files, *new.files}
                if old.files.get(name) != new.files.get(name)
            )
        return self._changed[key]


async def _values(
    side: Side,
    declared: Declared,
    entry: Entry,
    sources: Sequence[ResolvedSource],
    view: ClusterView | None,
) -> list[tuple[str, UnreadValue]]:
    workspace = side.workspace
    return await unread_values(
        entry.application,
        sources,
        workspace.sandbox,
        above=await renders(workspace, declared, entry.application),
        kube_version=view.version if view else "",
        api_versions=view.api_versions if view else (),
    )


def _values_files(application: Application) -> list[str]:
    names = [
        name
        for source in application.spec.all_sources
        if source.helm is not None
        for name in source.helm.value_files
    ]
    return [*names, *release_files(application)]


def _folder(source: ResolvedSource) -> str:
    path = posixpath.normpath(source.source.path) if source.source.path else "."
    return "" if path == "." else f"{path}/"


def _elsewhere(url: str, sources: Sequence[ResolvedSource]) -> str:
    """The repository of a file, where that is not the one of all sources."""
    return "" if {source.repo_url for source in sources} == {url} else public(url)


def _is_plain(one: UnreadValue, *, new: bool) -> bool:
    """Whether a value is worth a word: a chart may well keep one of its own that nobody reads.

    What it has below the name of a subchart is given to that one, unless all of it is new. One that
    a template may print is none unless its name is nearly one that its list's item lacks.
    """
    if one.loose and not (one.proven and _meant(one)):
        return False
    return not one.own or bool(_meant(one)) or (not new and "." in one.key)


def message_of(one: UnreadValue, url: str) -> str:
    """What is told of a value; `url` is the repository of its file, if that needs a word."""
    where = f"{one.file}:{one.line}" if one.line else one.file
    if where and url:
        where += f" of {url}"
    told = f"the chart does not know the value {one.key}"
    if one.own:
        told = f"no template of the chart reads the value {one.key}"
    if one.proven:
        told += ": it changes nothing that is rendered"
    return f"{f'{where}: ' if where else ''}{told}{f'; {near}' if (near := _meant(one)) else ''}"


def _meant(one: UnreadValue) -> str:
    """What was probably meant, if that can be told."""
    if one.elsewhere:
        return f"the chart has it as {one.elsewhere}: look at the indentation"
    if one.subcharts:
        several = len(one.subcharts) > 1
        return f"{'subcharts have' if several else 'a subchart has'} it: {listed(one.subcharts)}"
    return nearest(one.beside, one.key.rpartition(".")[2]).rstrip()
