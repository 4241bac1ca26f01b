"""Charts that kustomizations inflate (`helmCharts`): pulled here, laid where Kustomize looks.

Kustomize has helm pull what is not in `chartHome`, and unpack it there. Which charts those are is
asked of the sandbox, which reads kustomizations as Kustomize does; then it finds them in the tree.
"""

from __future__ import annotations

import asyncio
import hashlib
import posixpath
from collections import OrderedDict

import msgspec

from driftd.errors import RenderError, SourceError
from driftd.model.application import ApplicationSource
from driftd.model.tree import Tree
from driftd.source.archive import unpack, without_top
from driftd.source.charts import Charts, is_remote_chart
from driftd.source.paths import checked_path
from driftd.source.url import printable

_KUSTOMIZATIONS = frozenset({"kustomization.yaml", "kustomization.yml", "Kustomization"})
_WORDS = (b"helmChart", b"HelmChartInflationGenerator")
_KEPT = 64
_ANY_WITH_PRERELEASES = ">0.0.0-0"
"""What helm takes `--devel` for where no version is named."""


class _Entry(msgspec.Struct, frozen=True):
    """A chart that a kustomization names and the tree has not."""

    name: str
    version: str
    repo: str
    devel: bool
    place: str
    """The folder that its own one lies in."""
    file: str


class _Entries(msgspec.Struct, frozen=True):
    charts: tuple[_Entry, ...]


_mentions: OrderedDict[str, bool] = OrderedDict()
"""By the ids of some trees, whether anything in them inflates charts at all."""


async def with_charts(tree: Tree, source: ApplicationSource, project: str, charts: Charts) -> Tree:
    """The tree with the charts that the kustomizations of a source pull.

    A tree of whose kustomizations none does so comes back as it is. Raises SourceError naming the
    kustomization and the chart.
    """
    if is_remote_chart(source) or source.helm or source.directory or source.plugin is not None:
        return tree
    if not _mentioned(tree):
        return tree
    components = source.kustomize.components if source.kustomize else ()
    params = {"path": posixpath.normpath(source.path or "."), "components": components}
    try:
        found = await charts.ask(
            "kustomize-charts", params, _Entries, project=project, trees=(tree,)
        )
    except RenderError:
        return tree  # rendering tells what is wrong
    added: dict[str, bytes] = {}
    digest = hashlib.sha256(tree.id.encode())
    for entry in found.charts:
        for path, content in (await _pulled(entry, project, charts)).items():
            added[path] = content
            digest.update(f"{len(path)} {path} {len(content)} ".encode() + content)
    if not added:
        return tree
    return msgspec.structs.replace(
        tree,
        id=f"{tree.id}+pulled:{digest.hexdigest()[:32]}",
        files={**tree.files, **added},
    )


async def _pulled(entry: _Entry, project: str, charts: Charts) -> dict[str, bytes]:
    """The files of a chart by their paths in the tree. Raises SourceError."""
    what = f"{entry.file}: helmCharts: {printable(entry.name)} {printable(entry.version)}".rstrip()
    if not entry.repo.startswith(("http://", "https://", "oci://")):
        raise SourceError(
            f"{what}: {printable(entry.repo)} is no repository of charts",
            hint="begin repo with https:// or oci://, or keep the chart in chartHome",
            reason="InvalidSource",
        )
    revision = entry.version or (_ANY_WITH_PRERELEASES if entry.devel else "")
    try:
        checked_path(f"{entry.place}/{entry.name}".encode())
        packed = await charts.fetch(entry.repo, entry.name, revision, project, passes=False)
        files = await asyncio.to_thread(unpack, packed.data, what, charts.limits)
        files = without_top(files, what)
    except SourceError as error:
        text = error.message if error.message.startswith(what) else f"{what}: {error.message}"
        told = SourceError(text, hint=error.hint, reason=error.reason)
        told.disposition = error.disposition
        raise told from None
    return {f"{entry.place}/{entry.name}/{path}": content for path, content in files.items()}


def _mentioned(tree: Tree) -> bool:
    """Whether a kustomization, or a file that may be a generator, speaks of charts."""
    known = _mentions.get(tree.id)
    if known is None:
        known = any(
            any(word in data for word in _WORDS)
            for path, data in tree.files.items()
            if posixpath.basename(path) in _KUSTOMIZATIONS or path.endswith((".yaml", ".yml"))
        )
        _mentions[tree.id] = known
        while len(_mentions) > _KEPT:
            _mentions.popitem(last=False)
    return known
