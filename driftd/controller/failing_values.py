"""The values behind a template that fails: where the mistake probably is, if one has changed them.

Helm names the template alone, which all share who use the chart.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Final

from driftd.controller.declared import Declared
from driftd.controller.desired import Desired
from driftd.controller.release_values import release_lines
from driftd.controller.value_places import values_behind
from driftd.controller.workspace import Workspace
from driftd.errors import DriftdError
from driftd.model.application import Application
from driftd.model.condition import Condition
from driftd.model.resource import Origin
from driftd.model.tree import ResolvedSource

_FAILING: Final = re.compile(
    r"(?:execution error at \(|executing \")[^\s/\"]+/(?P<file>[^\s:\")]*templates/[^\s:\")]+)"
)
"""Where a template runs into what it is given; one that does not parse has no values to blame."""
_SOURCE: Final = re.compile(r"source (\d+) \(")
_NAMED: Final = 3


async def with_values(
    workspace: Workspace, desired: Desired, declared: Declared
) -> tuple[Condition, ...]:
    """The conditions of a rendering, those of failing templates with the files of their values."""
    conditions = desired.conditions
    if not any(_FAILING.search(one.message) for one in conditions):
        return conditions
    application = desired.entry.application
    try:
        sources = (await workspace.repositories.resolve(application, declared.urls)).sources
    except DriftdError:
        return conditions
    lines = await release_lines(workspace, declared, application)
    return tuple(_placed(one, application, sources, lines) for one in conditions)


def _placed(
    condition: Condition,
    application: Application,
    sources: Sequence[ResolvedSource],
    lines: Mapping[str, Sequence[int]],
) -> Condition:
    failing = _FAILING.search(condition.message)
    numbered = _SOURCE.match(condition.message)
    index = int(numbered[1]) - 1 if numbered else 0
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
