"""Expands ApplicationSets into Applications, as far as Git alone decides what they generate.

Everything else an ApplicationSet can do is refused by name: Argo CD has expanded it in the
hub cluster, and `--hub` reads the result.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches

import msgspec

from driftd.applicationset.documents import InvalidDocument, application, identity
from driftd.applicationset.generators import HUB_HINT, Unsupported, parameters
from driftd.applicationset.inputs import Inputs
from driftd.applicationset.template import filled, open_fields, open_tags, unused
from driftd.model.application import Application
from driftd.model.condition import Condition
from driftd.model.resource import Json

_FILE = re.compile(r"\((.+)\)\Z")
"""The file, or folder, that a generator has the parameters from."""


async def expand(
    document: dict[str, Json], inputs: Inputs, placed: Callable[[str], str] = lambda _: ""
) -> list[Application]:
    """The Applications that a set generates, in order.

    One whose parameters leave a field of the template open has an error that says so; `placed`
    tells where the set has a text, as `FILE:LINE`.

    Raises `InvalidDocument`, or `Unsupported` for what driftd does not expand.
    """
    name, namespace = identity(document)
    spec = document.get("spec")
    if not isinstance(spec, dict):
        raise InvalidDocument("spec is missing")
    _refuse_unsupported(spec)
    template = spec.get("template")
    if not isinstance(template, dict) or not isinstance(template.get("metadata"), dict):
        raise InvalidDocument("spec.template.metadata is missing")
    generated: dict[str, Application] = {}
    places: dict[str, str] = {}
    yielded = [
        found
        for index, generator in enumerate(spec["generators"])
        for found in await parameters(generator, f"spec.generators[{index}]", inputs)
    ]
    made = [(where, filled(template, given)) for where, given in yielded]
    _refuse_open(template, made, yielded)
    for (where, given), (_, document) in zip(yielded, made, strict=True):
        lacking = [
            _lacking(one, where, unused(template, given), name, placed)
            for one in dict.fromkeys(open_fields(document))
        ]
        if lacking and next(open_fields(document))[0] == "metadata.name":
            raise InvalidDocument(lacking[0])
        app = _generated(document, name, namespace, where)
        if lacking:
            errors = tuple(Condition("InvalidSpecError", text) for text in lacking)
            app = msgspec.structs.replace(app, conditions=errors, incomplete=True)
        if app.name in generated:
            raise InvalidDocument(
                f"{places[app.name]} and {where} both generate the name {app.name}; "
                "every generated name must be different"
            )
        generated[app.name], places[app.name] = app, where
    return list(generated.values())


def _refuse_unsupported(spec: dict[str, Json]) -> None:
    if spec.get("goTemplate"):
        raise Unsupported(f"spec.goTemplate is not supported yet; {HUB_HINT}")
    if spec.get("templatePatch"):
        raise Unsupported(f"spec.templatePatch is not supported yet; {HUB_HINT}")
    if not isinstance(spec.get("generators"), list):
        raise InvalidDocument("spec.generators is missing or not a list")


def _refuse_open(
    template: Json,
    made: Sequence[tuple[str, Json]],
    yielded: Sequence[tuple[str, Mapping[str, str]]],
) -> None:
    """Refuse a template with a parameter that nothing gives: a slip, for its text would stay."""
    if not made:
        return
    left = set.intersection(*(set(open_tags(document)) for _, document in made))
    for tag in open_tags(template):
        if tag in left:
            known = sorted({name for _, given in yielded for name in given})
            near = get_close_matches(tag[2:-2].strip(), known, n=1, cutoff=0.6)
            remedy = f"did you mean {{{{{near[0]}}}}}?" if near else "correct its name"
            raise InvalidDocument(
                f"spec.template has {tag}, a parameter that its generators do not give; {remedy}",
                written=tag,
            )


def _lacking(
    field: tuple[str, str],
    where: str,
    spare: Sequence[str],
    name: str,
    placed: Callable[[str], str],
) -> str:
    """What one element of a generator does not give, and what to do.

    `spare` is what it gives and the template does not take.
    """
    path, tag = field
    key = tag[2:-2].strip()
    file = _FILE.search(where)
    whose = file[1] if file else where
    at = placed(tag)
    near = get_close_matches(key, spare, n=1, cutoff=0.6)
    remedy = f"did you mean {near[0]} there?" if near else f"add {key} to {whose}"
    return (
        f"{whose} does not give {key}, which spec.template.{path} of ApplicationSet {name}"
        f"{f' ({at})' if at else ''} takes; {remedy}"
    )


def _generated(template: Json, name: str, namespace: str, where: str) -> Application:
    metadata = template["metadata"]
    document = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {**metadata, "namespace": namespace},
        "spec": template.get("spec"),
    }
    try:
        return application(document, f"ApplicationSet {name}")
    except InvalidDocument as error:
        raise InvalidDocument(f"{where} generates an invalid Application: {error}") from None
