"""ApplicationSet templates without `goTemplate`: `{{name}}` in all texts. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from driftd.model.resource import Json

_TAG = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


_NEVER_LITERAL = ("project", "destination", "source", "sources")
_NAMES = ("repoURL", "path", "chart", "targetRevision", "server", "name", "namespace")


def open_tags(template: Json) -> Iterator[str]:
    """What no parameter has replaced, in fields where it cannot be meant to stay.

    Values of Helm, say, may hold templates of their own.
    """
    for _, tag in open_fields(template):
        yield tag


def open_fields(template: Json) -> Iterator[tuple[str, str]]:
    """The same, each with its field: `spec.destination.namespace` and `{{app.namespace}}`."""
    spec = template.get("spec")
    held = [("metadata.name", (template.get("metadata") or {}).get("name"))]
    for field in _NEVER_LITERAL if isinstance(spec, dict) else ():
        value = spec.get(field)
        several = isinstance(value, list)
        for number, one in enumerate(value if several else [value]):
            place = f"spec.{field}[{number}]" if several else f"spec.{field}"
            if isinstance(one, dict):
                held += [(f"{place}.{name}", one.get(name)) for name in _NAMES]
            else:
                held.append((place, one))
    for place, text in held:
        if isinstance(text, str):
            yield from ((place, tag[0]) for tag in _TAG.finditer(text))


def unused(template: Json, parameters: Mapping[str, str]) -> list[str]:
    """The parameters that a template does not take, sorted."""
    taken = {tag.strip() for tag in _TAG.findall(str(template))}
    return sorted(parameters.keys() - taken)


def filled(template: Json, parameters: Mapping[str, str]) -> Json:
    """`template` with every `{{name}}` of its texts and keys replaced.

    Spaces inside the braces do not matter; a name without a parameter stays as written,
    as with Argo CD. Numbers and booleans of the template are never replaced.
    """
    if isinstance(template, str):
        return _TAG.sub(lambda tag: parameters.get(tag[1].strip(), tag[0]), template)
    if isinstance(template, dict):
        return {filled(key, parameters): filled(item, parameters) for key, item in template.items()}
    if isinstance(template, list):
        return [filled(item, parameters) for item in template]
    return template
