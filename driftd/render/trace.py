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
from driftd.sandbox.pool import (
    Above,
    ChartQuestion,
    Home,
    RenderApplication,
    SandboxPool,
    Traced,
)
from driftd.sandbox.results import FailingValue, UnreadValue, ValuePlace

FIELDS = 100
"""How many fields of one application are looked for."""
_BYTES = 8 << 20
_TIMEOUT = 10.0
_RENDERED: Final = re.compile(r"^Application (\S+) \((.*)\)$")
"""The origin of an Application that another one renders: the file is in parentheses."""

Asked = tuple[str, Any]
"""A field (`ssaPath`), and what the cluster has there; None where that is masked, or nothing."""
Found = Mapping[tuple[ResourceKey, str], tuple[tuple[str, ValuePlace], ...]]
"""By object and field the values that decide it, each with the repository of its file."""


class Renders(msgspec.Struct, frozen=True):
    """The application that renders the document of another one, and its source that does."""

    application: Application
    source: ResolvedSource


class Asker(msgspec.Struct, frozen=True, kw_only=True):
    """An application whose values are asked for, with its sources."""

    application: Application
    sources: Sequence[ResolvedSource]
    above: Renders | None = None
    kube_version: str = ""
    api_versions: Sequence[str] = ()


async def field_values(
    app: Application,
    sources: Sequence[ResolvedSource],
    fields: Mapping[ResourceKey, Sequence[Asked]],
    manifests: Mapping[ResourceKey, Manifest],
    sandbox: SandboxPool,
    *,
    above: Renders | None = None,
    kube_version: str = "",
    api_versions: Sequence[str] = (),
) -> Found:
    """The values behind some fields; what is not certain is not there.

    Inline values are found through overlays where it is known what renders the application.
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
            asked = _question(app, source, refs, above, kube_version, api_versions)
            answer = await sandbox.trace_values(asked, [one for _, one in wanted], timeout=_TIMEOUT)
        except DriftdError:
            continue
        for (key, one), values in zip(wanted, answer.values, strict=True):
            for path, places in zip(one.paths, values, strict=True):
                if places:
                    found[key, path] = tuple(
                        (_repository(place, source, refs, above), place) for place in places
                    )
    return found


async def unread_values(
    app: Application,
    sources: Sequence[ResolvedSource],
    sandbox: SandboxPool,
    *,
    above: Renders | None = None,
    kube_version: str = "",
    api_versions: Sequence[str] = (),
) -> list[tuple[str, UnreadValue]]:
    """The values that charts are given in vain, each with the repository of its file.

    A failure leaves out its source and is no error: what is rendered is the same without them.
    """
    found: list[tuple[str, UnreadValue]] = []
    refs = {one.source.ref: one for one in sources if one.source.ref}
    for source in sources:
        asked = _question(app, source, refs, above, kube_version, api_versions)
        try:
            answer = await sandbox.unread_values(asked, timeout=_TIMEOUT)
        except DriftdError:
            continue
        found += [(_repository(one, source, refs, above), one) for one in answer.values]
    return found


async def failing_values(
    asked: Asker, base: Asker, index: int, sandbox: SandboxPool
) -> list[tuple[str, FailingValue]]:
    """The values of a change that make a chart fail, each with the repository of its file.

    `base` is the application before the change, `index` that of the source. A failure is none.
    """
    questions = []
    for one in (asked, base):
        source = next((source for source in one.sources if source.index == index), None)
        if source is None:
            return []
        refs = {each.source.ref: each for each in one.sources if each.source.ref}
        question = _question(
            one.application, source, refs, one.above, one.kube_version, one.api_versions
        )
        questions.append((question, source, refs))
    (now, source, refs), (before, _, _) = questions
    try:
        answer = await sandbox.failing_values(now, before, timeout=_TIMEOUT)
    except DriftdError:
        return []
    return [(_repository(one, source, refs, asked.above), one) for one in answer.values]


def rendered_by(app: Application) -> tuple[str, str]:
    """The name of the Application that renders another one, and the file; empty if none does."""
    match = _RENDERED.match(app.origin)
    return (match[1], match[2]) if match else ("", "")


def declaring_file(app: Application) -> str:
    """The file that declares an application; empty where that is none, or not known."""
    file = _RENDERED.sub(r"\2", app.origin)
    return file if file.endswith((".yaml", ".yml", ".json")) else ""


def _repository(
    place: ValuePlace | UnreadValue | FailingValue,
    source: ResolvedSource,
    refs: Mapping[str, ResolvedSource],
    above: Renders | None,
) -> str:
    if place.at_home and above is not None:
        return above.source.repo_url
    return refs[place.ref].repo_url if place.ref else source.repo_url


def _question(
    app: Application,
    source: ResolvedSource,
    refs: Mapping[str, ResolvedSource],
    above: Renders | None,
    kube_version: str,
    api_versions: Sequence[str],
) -> ChartQuestion:
    return ChartQuestion(
        tree=source.tree,
        source=source_document(app, source),
        home=_home(app, source, above),
        home_tree=above.source.tree if above else None,
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


def _home(app: Application, source: ResolvedSource, above: Renders | None) -> Home:
    """The document of the application, as far as its file is known."""
    file = declaring_file(app)
    if not file:
        return Home()
    flux = app.flux
    if flux is not None:
        home = Home(file, flux.kind, flux.object_name)
    else:
        steps = ("spec", "sources", source.index) if app.spec.sources else ("spec", "source")
        home = Home(file, "Application", app.name, steps)
    if above is None:
        return home
    return msgspec.structs.replace(
        home,
        tree=above.source.tree.id,
        above=Above(
            tree=above.source.tree.id,
            source=source_document(above.application, above.source),
            application=RenderApplication.of(above.application),
            flux=above.application.flux.render if above.application.flux else None,
        ),
        object=_document(app),
    )


def _document(app: Application) -> dict[str, Any]:
    """What a document says that another application renders; of Flux's what matters of it."""
    flux = app.flux
    if flux is None:
        return {name: value for name, value in app.raw.items() if name != "status"}
    layers = (flux.render.get("helmRelease") or {}).get("values") or ()
    values = next((one["object"] for one in layers if "object" in one), None)
    return {
        "apiVersion": flux.api_version,
        "kind": flux.kind,
        "metadata": {"name": flux.object_name, "namespace": app.namespace},
        "spec": {"values": values},
    }
