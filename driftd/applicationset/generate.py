"""Expands ApplicationSets into Applications, as far as Git alone decides what they generate.

Everything else an ApplicationSet can do is refused by name: Argo CD has expanded it in the
hub cluster, and `--hub` reads the result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from driftd.applicationset.documents import InvalidDocument, application, identity
from driftd.applicationset.generators import HUB_HINT, Unsupported, parameters
from driftd.applicationset.inputs import Inputs
from driftd.applicationset.template import filled, open_tags
from driftd.model.application import Application
from driftd.model.resource import Json


async def expand(document: dict[str, Json], inputs: Inputs) -> list[Application]:
    """The Applications that a set generates, in order.

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
    yielded = [
        found
        for index, generator in enumerate(spec["generators"])
        for found in await parameters(generator, f"spec.generators[{index}]", inputs)
    ]
    made = [(where, filled(template, given)) for where, given in yielded]
    _refuse_open(template, made, yielded)
    for where, document in made:
        app = _generated(document, name, namespace, where)
        if app.name in generated:
            raise InvalidDocument(
                f"{where} generates the name {app.name} a second time; "
                "every generated name must be different"
            )
        generated[app.name] = app
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
