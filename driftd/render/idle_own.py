"""The application's own `images` and `patches`, as those of kustomizations. Pure.

Argo CD has them under a source's `kustomize`, a Kustomization of Flux in its spec, and a
HelmRelease in its post renderers.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from driftd.model.application import Application
from driftd.model.tree import ResolvedSource, Tree
from driftd.render.renderer import source_document

At = tuple[str | int, ...]
"""The steps to a list in the application's document."""
_TAG: Final = re.compile(r"(?<!^):[^/:]*$")
_LISTS: Final = ("images", "patches")
_NO_TREE: Final = Tree("", {})


def own_lists(app: Application, source: ResolvedSource) -> Iterator[tuple[At, Sequence[Any]]]:
    """The lists of entries of an application that count for one of its sources."""
    flux = app.flux
    if flux is None:
        several: At = ("sources", source.index) if app.spec.sources else ("source",)
        options = source_document(app, source).get("kustomize")
        yield from _lists(("spec", *several, "kustomize"), options)
    elif flux.kind == "Kustomization":
        yield from _lists(("spec",), flux.render.get("kustomization"))
    else:
        release = flux.render.get("helmRelease") or {}
        for number, one in enumerate(release.get("postRenderers") or ()):
            yield from _lists(("spec", "postRenderers", number, "kustomize"), one)


def own_values(app: Application) -> Iterator[dict[str, Any]]:
    """All entries of an application that say what they match."""
    for index, source in enumerate(app.spec.all_sources):
        resolved = ResolvedSource(
            index=index, source=source, tree=_NO_TREE, revision="", repo_url=source.repo_url
        )
        for _, items in own_lists(app, resolved):
            yield from (value for _, value in values_of(items))


def _lists(at: At, options: Any) -> Iterator[tuple[At, Sequence[Any]]]:
    for name in _LISTS:
        items = options.get(name) if isinstance(options, Mapping) else None
        if isinstance(items, list | tuple) and items:
            yield (*at, name), items


def values_of(items: Sequence[Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The entries that say what they match, with their index.

    Of several images of one name the last counts alone, in Argo CD as in Flux. What variables
    stand in is left out.
    """
    found = [_value(one) for one in items]
    for index, value in enumerate(found):
        name = value.get("name")
        later = [each.get("name") for each in found[index + 1 :]]
        if value.get("target") or (name and name not in later):
            yield index, value


def _value(item: Any) -> dict[str, Any]:
    if isinstance(item, str):
        return {} if "$" in item else {"name": image_name(item), "text": item}
    return dict(item) if isinstance(item, Mapping) else {}


def image_name(text: str) -> str:
    """The name in an entry of Argo CD: `name[=new][:tag|@digest]`.

    >>> image_name("host:5000/web:1.0@sha256:ab"), image_name("web=host:5000/web:1.0")
    ('host:5000/web', 'web')
    """
    name, equals, _ = text.partition("=")
    return name if equals else _TAG.sub("", text.partition("@")[0])


def varied(
    document: dict[str, Any],
    flux: Mapping[str, Any] | None,
    changes: Sequence[tuple[At, int, dict[str, Any]]],
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """What the sandbox is told of an application, its source and Flux's part, with changes."""
    document = copy.deepcopy(document) if changes else document
    render = copy.deepcopy(dict(flux)) if flux is not None else None
    for at, index, change in sorted(changes, key=lambda one: -one[1]):
        if render is None:
            options = document["kustomize"]
        elif at[1] == "postRenderers":
            options = render["helmRelease"]["postRenderers"][at[2]]
        else:
            options = render["kustomization"]
        items = list(options[at[-1]])
        options[at[-1]] = items
        vary(items, index, change)
    return document, render


def vary(items: list[Any], index: int, change: dict[str, Any]) -> None:
    """Change an entry of a list of images, or put a patch before it."""
    if "patch" in change:
        items.insert(index, change)
    elif isinstance(items[index], str):
        items[index] = f"{image_name(items[index])}={change['newName']}"
    else:
        items[index] = {**items[index], **change}
