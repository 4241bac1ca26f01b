"""The values behind a template that fails: where the mistake probably is, if one has changed them.

Helm names the template alone, which all share who use the chart.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from driftd.controller.declared import Declared, Entry
from driftd.controller.desired import Desired
from driftd.controller.observed import ClusterView
from driftd.controller.release_values import release_lines
from driftd.controller.renders import renders
from driftd.controller.value_places import values_behind
from driftd.controller.workspace import Workspace
from driftd.errors import DriftdError
from driftd.model.application import Application
from driftd.model.condition import Condition
from driftd.model.resource import Origin
from driftd.model.tree import ResolvedSource
from driftd.render.trace import Asker, failing_values
from driftd.sandbox.results import FailingValue
from driftd.source.url import public

_FAILING: Final = re.compile(
    r"(?:execution error at \(|executing \")[^\s/\"]+/(?P<file>[^\s:\")]*templates/[^\s:\")]+)"
)
"""Where a template runs into what it is given; one that does not parse has no values to blame."""
_SOURCE: Final = re.compile(r"source (\d+) \(")
_NAMED: Final = 3


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """An application before the change that makes a template fail."""

    workspace: Workspace
    declared: Declared
    entry: Entry


async def with_values(
    workspace: Workspace,
    desired: Desired,
    declared: Declared,
    base: Base | None = None,
    view: ClusterView | None = None,
) -> tuple[Condition, ...]:
    """The conditions of a rendering, those of failing templates with where the mistake is.

    Against a `base` that renders these are the values of the change without which the template
    does, as it was tried; else the files of all its values.
    """
    conditions = desired.conditions
    if not any(_FAILING.search(one.message) for one in conditions):
        return conditions
    application = desired.entry.application
    try:
        sources = (await workspace.repositories.resolve(application, declared.urls)).sources
    except DriftdError:
        return conditions
    lines = await release_lines(workspace, declared, application)
    told = []
    for one in conditions:
        cause = ""
        if base is not None and _FAILING.search(one.message):
            asker = await _asker(workspace, declared, desired.entry, view)
            other = await _asker(base.workspace, base.declared, base.entry, view)
            cause = await _cause(one, asker, other, workspace)
        if cause:
            one = Condition(one.type, f"{one.message}; {cause}", one.severity)
        told.append(one if cause else _placed(one, application, sources, lines))
    return tuple(told)


async def _asker(
    workspace: Workspace, declared: Declared, entry: Entry, view: ClusterView | None
) -> Asker | None:
    try:
        resolved = await workspace.repositories.resolve(entry.application, declared.urls)
    except DriftdError:
        return None
    return Asker(
        application=entry.application,
        sources=resolved.sources,
        above=await renders(workspace, declared, entry.application),
        kube_version=view.version if view else "",
        api_versions=view.api_versions if view else (),
    )


async def _cause(
    condition: Condition, asker: Asker | None, base: Asker | None, workspace: Workspace
) -> str:
    """The values of a change that make a template fail; empty where none surely does."""
    if asker is None or base is None:
        return ""
    found = await failing_values(asker, base, _index(condition), workspace.sandbox)
    urls = {source.repo_url for source in asker.sources}
    return "; ".join(
        cause_of(one, "" if urls == {url} else public(url))
        for url, one in sorted(found, key=lambda item: (item[1].file, item[1].line))
    )


def cause_of(one: FailingValue, url: str) -> str:
    """What is told of a value that makes a template fail; `url` is the repository of its file."""
    place = f"{one.file}:{one.line}" if one.line else one.file
    if place and url:
        place += f" of {url}"
    lead = f"{place}: " if place else ""
    if one.added:
        told = f"the change adds the value {one.key}"
        proof = "and without it the chart renders"
    else:
        told = f"the change gives {one.key} another value"
        proof = "and with that of the base the chart renders"
    told += f", {'which is enough to make it fail' if one.alone else proof}"
    if one.before:
        told += f"; at the base it is {one.before}: look at the indentation"
    return lead + told


def _placed(
    condition: Condition,
    application: Application,
    sources: Sequence[ResolvedSource],
    lines: Mapping[str, Sequence[int]],
) -> Condition:
    failing = _FAILING.search(condition.message)
    index = _index(condition)
    source = next((one for one in sources if one.index == index), None)
    if failing is None or source is None:
        return condition
    file = posixpath.normpath(posixpath.join(source.source.path, failing["file"]))
    places = values_behind(application, Origin(index, file), source.tree.files, lines)
    if not places:
        return condition
    more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
    text = f"{condition.message}; its values are in {', '.join(places[:_NAMED])}{more}"
    return Condition(condition.type, text, condition.severity)


def _index(condition: Condition) -> int:
    """The position of the source that a condition is of."""
    numbered = _SOURCE.match(condition.message)
    return int(numbered[1]) - 1 if numbered else 0
