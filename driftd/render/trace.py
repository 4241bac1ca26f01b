"""Which values of a chart decide fields of a rendered object, and which decide nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from driftd.errors import DriftdError
from driftd.model.application import Application
from driftd.model.resource import Manifest, ResourceKey
from driftd.model.tree import ResolvedSource
from driftd.render.renderer import source_document
from driftd.sandbox.pool import ChartQuestion, Home, RenderApplication, SandboxPool, Traced
from driftd.sandbox.results import UnreadValue, ValuePlace

FIELDS = 100
"""How many fields of one application are looked for."""
_BYTES = 8 << 20
_TIMEOUT = 10.0
_RENDERED: Final = re.compile(r"^Application \S+ \((.*)\)$")
"""The origin of an Application that another one renders: the file is in parentheses."""

Asked = tuple[str, Any]
"""A field (`ssaPath`), and what the cluster has there; None where that is masked, or nothing."""
Found = Mapping[tuple[ResourceKey, str], tuple[tuple[str, ValuePlace], ...]]
"""By object and field the values that decide it, each with the repository of its file."""


async def field_values(
    app: Application,
    sources: Sequence[ResolvedSource],
    fields: Mapping[ResourceKey, Sequence[Asked]],
    manifests: Mapping[ResourceKey, Manifest],
    sandbox: SandboxPool,
    *,
    kube_version: str = "",
    api_versions: Sequence[str] = (),
) -> Found:
    """The values behind some fields; what is not certain is not there.

    Nothing is asked of objects that no template has made. A failure leaves out its source and is
    no error: a verdict never depends on values.
    """
    found: dict[tuple[ResourceKey, str], tuple[tuple[str, ValuePlace], ...]] = {}
    refs = {one.source.ref: one for one in sources if one.source.ref}
    for source in sources:
        wanted = _bounded(source, fields, manifests)
        if not wanted:
            continue
        try:
            asked = _question(app, source, refs, kube_version, api_versions)
            answer = await sandbox.trace_values(asked, [one for _, one in wanted], timeout=_TIMEOUT)
        except DriftdError:
            continue
        for (key, one), values in zip(wanted, answer.values, strict=True):
            for path, places in zip(one.paths, values, strict=True):
                if places:
                    found[key, path] = tuple(
                        (refs[place.ref].repo_url if place.ref else source.repo_url, place)
                        for place in places
                    )
    return found


async def unread_values(
    app: Application,
    sources: Sequence[ResolvedSource],
    sandbox: SandboxPool,
    *,
    kube_version: str = "",
    api_versions: Sequence[str] = (),
) -> list[tuple[str, UnreadValue]]:
    """The values that charts are given in vain, each with the repository of its file.

    A failure leaves out its source and is no error: what is rendered is the same without them.
    """
    found: list[tuple[str, UnreadValue]] = []
    refs = {one.source.ref: one for one in sources if one.source.ref}
    for source in sources:
        asked = _question(app, source, refs, kube_version, api_versions)
        try:
            answer = await sandbox.unread_values(asked, timeout=_TIMEOUT)
        except DriftdError:
            continue
        found += [
            (refs[one.ref].repo_url if one.ref else source.repo_url, one) for one in answer.values
        ]
    return found


def _question(
    app: Application,
    source: ResolvedSource,
    refs: Mapping[str, ResolvedSource],
    kube_version: str,
    api_versions: Sequence[str],
) -> ChartQuestion:
    return ChartQuestion(
        tree=source.tree,
        source=source_document(app, source),
        home=_home(app, source),
        application=RenderApplication.of(app),
        revision=source.revision,
        repo_url=source.repo_url,
        kube_version=kube_version,
        api_versions=api_versions,
        refs={name: ref.tree for name, ref in refs.items()},
        flux=app.flux.render if app.flux else None,
    )


def _bounded(
    source: ResolvedSource,
    fields: Mapping[ResourceKey, Sequence[Asked]],
    manifests: Mapping[ResourceKey, Manifest],
) -> list[tuple[ResourceKey, Traced]]:
    """What is asked of one source: the first fields, up to a number and a size of objects."""
    wanted: list[tuple[ResourceKey, Traced]] = []
    count = size = 0
    for key, asked in fields.items():
        manifest = manifests.get(key)
        if manifest is None or manifest.origin.source != source.index:
            continue
        origin = manifest.origin
        if "templates" not in (origin.template or origin.file).split("/"):
            continue
        count += len(asked)
        size += len(manifest.body)
        if count > FIELDS or size > _BYTES:
            break
        paths, live = (path for path, _ in asked), (value for _, value in asked)
        wanted.append((key, Traced(msgspec.Raw(manifest.body), tuple(paths), tuple(live))))
    return wanted


def _home(app: Application, source: ResolvedSource) -> Home:
    """The document of the application, as far as its file is known."""
    file = _RENDERED.sub(r"\1", app.origin)
    if not file.endswith((".yaml", ".yml", ".json")):
        return Home()
    if app.flux is not None:
        return Home(file, app.flux.kind, app.flux.object_name)
    steps = ("spec", "sources", source.index) if app.spec.sources else ("spec", "source")
    return Home(file, "Application", app.name, steps)
