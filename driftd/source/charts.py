"""Fetches charts of Helm repositories and registries, OCI artifacts, and what charts depend on.

Names, versions and digests are settled here; what must be parsed for it (indexes, `Chart.yaml`,
ranges of versions) is asked of the sandbox, which has the libraries that Helm itself uses.
"""

from __future__ import annotations

import asyncio
import hashlib
import posixpath
import re
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from driftd.errors import RenderError, SourceError
from driftd.model.application import ApplicationSource
from driftd.model.repository import AccessTable, RepositoryAccess
from driftd.model.tree import Tree
from driftd.sandbox.pool import SandboxPool
from driftd.sealed import SealedFolder
from driftd.source.access import (
    find_access,
    named_origins,
    reach_of,
    share_of,
    trusted_certificate,
)
from driftd.source.archive import ArchiveLimits, unpack, without_top
from driftd.source.egress import Egress
from driftd.source.helmrepo import ChartVersion, HelmRepository, sendable
from driftd.source.kept import KeptCharts
from driftd.source.oci import (
    CONTENT_TYPES,
    HELM_CHART,
    HELM_CHART_OLD,
    Layer,
    Manifest,
    OciRepository,
    chart_tag,
    is_digest,
    tag_version,
)
from driftd.source.process import MIB
from driftd.source.ranges import Chosen, is_range
from driftd.source.url import printable

_KEPT_BYTES = 128 * MIB
"""Packed charts that stay in memory."""
_CHART_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*\Z")
_EXACT = re.compile(r"v?\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?\Z")
_HOSTS = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}
_LOOPBACK = re.compile(r"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?\Z")

_Key: TypeAlias = tuple[str, RepositoryAccess | None]


class Packed(msgspec.Struct, frozen=True):
    """A chart or an artifact as it was published."""

    data: bytes
    revision: str
    """A chart's version, or an artifact's digest."""
    is_chart: bool = True


class _Needed(msgspec.Struct, frozen=True):
    name: str
    version: str = ""
    repository: str = ""


class _Needs(msgspec.Struct, frozen=True):
    folder: str
    needs: tuple[_Needed, ...]


def is_remote_chart(source: ApplicationSource) -> bool:
    """Whether a source is a chart or an artifact of a Helm or OCI repository, not files in Git."""
    return bool(source.chart) or source.repo_url.startswith("oci://")


class Charts:
    """All Helm and OCI repositories of a look; each index, list and archive is fetched once."""

    def __init__(
        self,
        sandbox: SandboxPool,
        egress: Egress,
        table: AccessTable | None = None,
        limits: ArchiveLimits | None = None,
        folder: SealedFolder | None = None,
    ) -> None:
        """`folder` keeps what was fetched from one run to the next."""
        self._folder = folder
        self._sandbox = sandbox
        self._egress = egress
        self.use(table or AccessTable())
        self.limits = limits or ArchiveLimits()
        self._helm: dict[_Key, HelmRepository] = {}
        self._oci: dict[_Key, OciRepository] = {}
        self._under_way: dict[tuple[Any, ...], asyncio.Task[Packed]] = {}
        self._kept: OrderedDict[tuple[Any, ...], Packed] = OrderedDict()
        self._kept_bytes = 0

    def use(self, table: AccessTable) -> None:
        """Reach repositories as this table says from now on."""
        self.table = table
        self._egress.named = named_origins(table)

    def forget(self) -> None:
        """Start a new look: ranges and tags resolve again. Pinned versions stay as they are."""
        self._under_way.clear()
        for repository in self._helm.values():
            repository.forget()

    async def read(self, source: ApplicationSource, project: str) -> tuple[Tree, str]:
        """The files of a chart or an artifact, and its version or digest. Raises SourceError."""
        passes = source.helm is not None and source.helm.pass_credentials
        packed = await self.fetch(
            source.repo_url, source.chart, source.target_revision, project, passes=passes
        )
        name = f"{_shown(source)} {printable(packed.revision)}"
        files = await asyncio.to_thread(unpack, packed.data, name, self.limits)
        if packed.is_chart:
            files = without_top(files, name)
        return Tree(f"archive:{hashlib.sha256(packed.data).hexdigest()}", files), packed.revision

    async def complete(self, tree: Tree, source: ApplicationSource, project: str) -> Tree:
        """The tree with what its chart depends on and `charts/` lacks, as Argo CD builds it.

        A tree whose source is no chart, or needs nothing, comes back as it is. Raises SourceError
        naming the dependency.
        """
        folder = _chart_folder(tree, source)
        if folder is None:
            return tree
        try:
            needs = await self.ask(
                "chart-needs", {"path": folder}, _Needs, project=project, trees=(tree,)
            )
        except RenderError as error:
            if error.reason == "dependency-missing":
                raise SourceError(str(error), reason="DependencyMissing") from None
            return tree  # rendering tells what is wrong with the chart
        if not needs.needs:
            return tree
        passes = source.helm is not None and source.helm.pass_credentials
        added: dict[str, bytes] = {}
        digest = hashlib.sha256(tree.id.encode())
        place = posixpath.join(needs.folder, "charts")
        for one in needs.needs:
            packed = await self._dependency(one, needs.folder, project, passes=passes)
            content = hashlib.sha256(packed.data).hexdigest()
            version = packed.revision if _EXACT.match(packed.revision) else content[:12]
            file = f"{one.name}-{version}.tgz"
            added[posixpath.join(place, file)] = packed.data
            digest.update(content.encode())
        return msgspec.structs.replace(
            tree,
            id=f"{tree.id}+charts:{digest.hexdigest()[:32]}",
            files={**tree.files, **added},
        )

    async def _dependency(self, one: _Needed, folder: str, project: str, *, passes: bool) -> Packed:
        file = posixpath.join(folder, "Chart.yaml")
        what = f"{file}: dependency {printable(one.name)} {printable(one.version)}"
        url = self._dependency_url(one, what, project)
        if not _CHART_NAME.match(one.name) or "/" in one.name:
            raise SourceError(
                f"{what}: that is no name of a chart",
                hint="correct it",
                reason="DependencyMissing",
            )
        try:
            return await self.fetch(url, one.name, one.version, project, passes=passes)
        except SourceError as error:
            # What it quotes may end with the same step.
            said = error.message.removesuffix(f"; {error.hint}")
            steps = (error.hint, "vendor it with `helm dependency build`")
            told = SourceError(
                f"{what} of {printable(one.repository)}: {said}",
                hint=", or ".join(filter(None, steps)),
                reason=error.reason,
            )
            told.disposition = error.disposition
            raise told from None

    def _dependency_url(self, one: _Needed, what: str, project: str) -> str:
        if one.repository.startswith(("http://", "https://", "oci://")):
            return one.repository
        alias = one.repository.removeprefix("alias:").removeprefix("@")
        if alias and alias != one.repository:
            for entry in self.table.entries:
                helm = entry.type != "git" and not entry.template
                if helm and entry.name == alias and entry.project in {"", project}:
                    bare = entry.url.removeprefix("oci://")
                    return f"oci://{bare}" if entry.oci else entry.url
            raise SourceError(
                f"{what}: no repository is known by the name {printable(alias)}",
                hint="name it in the repository settings, or write its URL",
                reason="DependencyMissing",
            )
        where = f"of {printable(one.repository)}" if one.repository else "without repository"
        raise SourceError(
            f"{what} {where} is not in charts/",
            hint="vendor it with `helm dependency build`",
            reason="DependencyMissing",
        )

    async def fetch(
        self, url: str, chart: str, revision: str, project: str, *, passes: bool
    ) -> Packed:
        """A packed chart (or artifact, without `chart`); callers of the same share the work."""
        if chart and not _CHART_NAME.match(chart):
            raise SourceError(f"{printable(chart)!r} is no name of a chart", reason="InvalidSource")
        http = url.startswith(("http://", "https://"))
        access = find_access(self.table, url, "helm" if http else "oci", project)
        key = (url, access, chart, revision, passes)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        if key not in self._under_way:
            get = (
                self._from_helm(url, access, chart, revision, project, passes=passes)
                if http
                else self._from_registry(url, access, chart, revision, project)
            )
            self._under_way[key] = asyncio.create_task(get)
        packed = await asyncio.shield(self._under_way[key])
        if packed.revision == revision and (is_digest(revision) or _EXACT.match(revision)):
            self._keep(key, packed)
        return packed

    def _keep(self, key: tuple[Any, ...], packed: Packed) -> None:
        if key in self._kept:
            return
        self._kept[key] = packed
        self._kept_bytes += len(packed.data)
        while self._kept_bytes > _KEPT_BYTES and len(self._kept) > 1:
            self._kept_bytes -= len(self._kept.popitem(last=False)[1].data)

    async def _from_helm(
        self,
        url: str,
        access: RepositoryAccess | None,
        chart: str,
        revision: str,
        project: str,
        *,
        passes: bool,
    ) -> Packed:
        key = (url, access)
        if key not in self._helm:
            reach = reach_of(url, access, trusted_certificate(self.table, url))
            self._helm[key] = HelmRepository(
                url, reach, self._egress, KeptCharts(self._folder, url, share_of(access))
            )
        repository = self._helm[key]
        part = sendable(await repository.index(), chart, repository.name)
        index = Tree(f"index:{hashlib.sha256(part).hexdigest()}", {"index.yaml": part})
        try:
            found: ChartVersion = await self.ask(
                "chart-entry",
                {"file": "index.yaml", "chart": chart, "revision": revision},
                ChartVersion,
                project=project,
                trees=(index,),
            )
        except RenderError as error:
            raise SourceError(f"index of {repository.name}: {error}", hint=error.hint) from None
        if not found.version:
            raise _no_version(f"chart {chart}", repository.name, revision, found.near)
        data = await repository.archive(chart, found, pass_credentials=passes, limits=self.limits)
        return Packed(data, found.version)

    async def _from_registry(
        self,
        url: str,
        access: RepositoryAccess | None,
        chart: str,
        revision: str,
        project: str,
    ) -> Packed:
        repository = self.registry(url, access, chart)
        reference = revision
        if not is_digest(revision):
            reference = await self._tag(repository, chart, revision, project)
        digest, manifest = await repository.resolve(reference)
        layer, is_chart = _content(manifest, repository.name, chart)
        data = await repository.blob(layer, self.limits)
        if not chart or is_digest(revision):
            return Packed(data, digest, is_chart)
        return Packed(data, tag_version(reference), is_chart)

    async def _tag(self, repository: OciRepository, chart: str, revision: str, project: str) -> str:
        """The tag that a revision means: itself, or the highest version of a range."""
        # A chart's revision is looked for among the tags in any case, unless it is exact.
        if _EXACT.match(revision) or not (chart or not revision or is_range(revision)):
            return chart_tag(revision) if chart else revision
        versions = {tag_version(tag): tag for tag in await repository.tags()}
        try:
            found = await self.choose(list(versions), revision, project)
        except SourceError as error:
            raise SourceError(f"{repository.name}: {error.message}", hint=error.hint) from None
        if not found.version:
            raise _no_version("the artifact", repository.name, revision, found.near)
        return versions[found.version]

    async def choose(self, versions: Sequence[str], revision: str, project: str) -> Chosen:
        """The version that a range means, by the rules of Masterminds/semver, as Argo CD has them.

        Raises `SourceError` for what is neither a version nor a range.
        """
        try:
            found: Chosen = await self.ask(
                "select-version",
                {"versions": list(versions), "revision": revision},
                Chosen,
                project=project,
            )
        except RenderError as error:
            raise SourceError(error.message, hint=error.hint, reason="InvalidRevision") from None
        return found

    def registry(self, url: str, access: RepositoryAccess | None, chart: str) -> OciRepository:
        """The repository of a registry that a URL (with or without `oci://`) and chart mean."""
        host, _, path = url.removeprefix("oci://").strip("/").partition("/")
        path = "/".join(part for part in (path, chart) if part)
        key = (f"{host}/{path}", access)
        if key not in self._oci:
            plain = access is not None and (
                access.plain_http
                or (_LOOPBACK.match(host) is not None and not (access.ca or access.insecure))
            )
            base = f"{'http' if plain else 'https'}://{_HOSTS.get(host, host)}"
            reach = reach_of(base, access, trusted_certificate(self.table, base))
            kept = KeptCharts(self._folder, f"{base}/{path}", share_of(access))
            self._oci[key] = OciRepository(base, path, reach, self._egress, kept)
        return self._oci[key]

    async def ask(
        self,
        op: str,
        params: dict[str, Any],
        kind: Any,
        *,
        project: str,
        trees: Sequence[Tree] = (),
    ) -> Any:
        """What an operation of the sandbox answers, about a tree if one is given."""
        if trees:
            params = {"tree": trees[0].id, **params}
        raw = await self._sandbox.call(op, params, project=project, trees=trees)
        return msgspec.json.decode(raw, type=kind)


def _content(manifest: Manifest, name: str, chart: str) -> tuple[Layer, bool]:
    """The layer that holds the files, and whether they are a packed chart."""
    charts = [x for x in manifest.layers if x.media_type in {HELM_CHART, HELM_CHART_OLD}]
    if chart and not charts:
        raise SourceError(
            f"{name} holds no Helm chart",
            hint="push it with `helm push`",
            reason="UnsupportedSource",
        )
    found = charts or [x for x in manifest.layers if x.media_type in CONTENT_TYPES]
    if len(found) != 1:
        types = ", ".join(sorted({printable(x.media_type) for x in manifest.layers})) or "none"
        raise SourceError(
            f"{name} has {len(found)} layers of files instead of one (its layers: {types})",
            hint="push the files as one tar layer",
            reason="UnsupportedSource",
        )
    return found[0], bool(charts)


def _chart_folder(tree: Tree, source: ApplicationSource) -> str | None:
    """The folder of a source's chart, if that names dependencies; None if there is none."""
    others = (source.kustomize, source.directory, source.plugin)
    if source.helm is None and any(one is not None for one in others):
        return None
    folder = "" if source.chart else posixpath.normpath(source.path or ".")
    folder = "" if folder == "." else folder
    if folder.startswith(("/", "..")):
        return None
    for name in ("Chart.yaml", "requirements.yaml"):
        file = posixpath.join(folder, name)
        if b"dependencies" in tree.files.get(file, b"") or file in tree.links:
            return folder
    parts = folder.split("/")
    if any("/".join(parts[:n]) in tree.links for n in range(1, len(parts) + 1)):
        return folder
    return None


def _shown(source: ApplicationSource) -> str:
    if source.chart:
        return f"chart {printable(source.chart)} of {printable(source.repo_url)}"
    return printable(source.repo_url)


def _no_version(what: str, name: str, revision: str, near: Sequence[str]) -> SourceError:
    if not near:
        return SourceError(
            f"{name} has no {what}", hint="check URL and name of it", reason="UnknownRevision"
        )
    return SourceError(
        f"{name}: {what} has no version that {printable(revision or '*')!r} means",
        hint=f"the highest are {', '.join(map(printable, near))}",
        reason="UnknownRevision",
    )
