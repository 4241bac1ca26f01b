"""Renderings that later looks use again: rendering is a pure function of what it is given."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence

import msgspec

from driftd.cluster.reader import Discovery
from driftd.model.application import Application
from driftd.model.tree import ResolvedSource
from driftd.policy.project import Scopes
from driftd.render.renderer import Rendered, render_application
from driftd.sandbox.pool import SandboxPool

_OBJECTS = 20_000
"""How many rendered objects are kept; some 2 KB each."""


class RenderMemory:
    """The renderings used last, by the application and everything that they depend on.

    The same Application, trees and served APIs give the same manifests, so an unchanged
    revision is rendered once. A rendering that failed anywhere is never kept.
    """

    def __init__(self, limit: int = _OBJECTS) -> None:
        """`limit` is how many rendered objects are kept at most."""
        self._limit = limit
        self._kept: OrderedDict[bytes, Rendered] = OrderedDict()
        self._objects = 0
        self.used = 0
        """How many renderings were saved."""

    async def render(
        self,
        application: Application,
        sources: Sequence[ResolvedSource],
        sandbox: SandboxPool,
        discovery: Discovery | None,
        kube_version: str,
    ) -> Rendered:
        """What `render_application` says of these, now or before."""
        key = _key(application, sources, discovery, kube_version)
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            self.used += 1
            return kept
        rendered = await rendering(application, sources, sandbox, discovery, kube_version)
        if rendered.complete:
            self._keep(key, rendered)
        return rendered

    def _keep(self, key: bytes, rendered: Rendered) -> None:
        # Two looks may have rendered the same at the same time.
        if key in self._kept:
            return
        self._kept[key] = rendered
        self._objects += _size(rendered)
        while self._objects > self._limit and self._kept:
            _, oldest = self._kept.popitem(last=False)
            self._objects -= _size(oldest)


async def rendering(
    application: Application,
    sources: Sequence[ResolvedSource],
    sandbox: SandboxPool,
    discovery: Discovery | None,
    kube_version: str,
) -> Rendered:
    """Render for a cluster. Without `discovery` scopes are unknown and charts see no API."""
    return await render_application(
        application,
        sources,
        sandbox,
        scopes_of(discovery),
        kube_version=kube_version,
        api_versions=discovery.api_versions() if discovery else (),
    )


def scopes_of(discovery: Discovery | None) -> Scopes:
    """Which kinds are namespaced; unknown for all without `discovery`."""
    if discovery is not None:
        return discovery.scope
    return _unknown


def _unknown(_group: str, _kind: str) -> bool | None:
    return None


def _size(rendered: Rendered) -> int:
    return 1 + len(rendered.manifests) + len(rendered.not_compared)


def _key(
    application: Application,
    sources: Sequence[ResolvedSource],
    discovery: Discovery | None,
    kube_version: str,
) -> bytes:
    """A digest of bytes, since equality of values would take 1 for true."""
    # The status of a live Application changes all the time and is rendered nowhere.
    raw = {name: value for name, value in application.raw.items() if name != "status"}
    encode: Callable[[object], bytes] = msgspec.msgpack.encode
    digest = hashlib.blake2b(digest_size=32)
    for part in (
        msgspec.structs.replace(application, raw=raw, synced_revisions=()),
        [(s.source, s.tree.id, s.revision, s.repo_url, s.index) for s in sources],
        kube_version,
        None if discovery is None else discovery.api_versions(),
        None if discovery is None else _scopes(discovery),
    ):
        encoded = encode(part)
        digest.update(len(encoded).to_bytes(8))
        digest.update(encoded)
    return digest.digest()


def _scopes(discovery: Discovery) -> list[tuple[str, str, bool]]:
    return [(*kind, found.namespaced) for kind, found in sorted(discovery.by_group_kind.items())]
