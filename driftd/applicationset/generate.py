"""Expands ApplicationSets with list generators into Applications. Pure.

Everything else an ApplicationSet can do is refused by name: Argo CD has expanded it in the
hub cluster, and `--hub` reads the result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from driftd.applicationset.documents import InvalidDocument, application, identity
from driftd.applicationset.template import filled
from driftd.model.application import Application
from driftd.model.resource import Json

HUB_HINT = "read what Argo CD has generated with --hub CONTEXT"


class Unsupported(InvalidDocument):
    """The set is valid, but driftd cannot expand it; the message ends with the remedy."""


def expand(document: dict[str, Json], elements: Mapping[int, Json]) -> list[Application]:
    """The Applications that a set generates, in order.

    `elements` are the decoded `elementsYaml` of its generators, by the generator's index.
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
    for where, parameters in _parameters(spec, elements):
        app = _generated(filled(template, parameters), name, namespace, where)
        if app.name in generated:
            raise InvalidDocument(
                f"{where} generates the name {app.name} a second time; "
                "every generated name must be different"
            )
        generated[app.name] = app
    return list(generated.values())


def elements_yaml(document: dict[str, Json]) -> dict[int, str]:
    """The `elementsYaml` texts of a set's list generators, by the generator's index."""
    spec = document.get("spec")
    generators = spec.get("generators") if isinstance(spec, dict) else None
    texts: dict[int, str] = {}
    for index, generator in enumerate(generators if isinstance(generators, list) else ()):
        source = generator.get("list") if isinstance(generator, dict) else None
        text = source.get("elementsYaml") if isinstance(source, dict) else None
        if isinstance(text, str) and text.strip():
            texts[index] = text
    return texts


def _refuse_unsupported(spec: dict[str, Json]) -> None:
    if spec.get("goTemplate"):
        raise Unsupported(f"spec.goTemplate is not supported yet; {HUB_HINT}")
    if spec.get("templatePatch"):
        raise Unsupported(f"spec.templatePatch is not supported yet; {HUB_HINT}")
    generators = spec.get("generators")
    if not isinstance(generators, list):
        raise InvalidDocument("spec.generators is missing or not a list")
    for index, generator in enumerate(generators):
        where = f"spec.generators[{index}]"
        if not isinstance(generator, dict):
            raise InvalidDocument(f"{where} is not a map")
        kinds = sorted(key for key, value in generator.items() if value is not None)
        other = [key for key in kinds if key not in {"list", "selector"}]
        if other:
            raise Unsupported(
                f"{where} is a generator of the kind {', '.join(other)}, "
                f"which is not supported yet; {HUB_HINT}"
            )
        if "list" not in kinds:
            raise InvalidDocument(f"{where} has no generator")
        if generator.get("selector"):
            raise Unsupported(f"{where}.selector is not supported yet; {HUB_HINT}")
        source = generator["list"]
        if isinstance(source, dict) and _has_content(source.get("template")):
            raise Unsupported(f"{where}.list.template is not supported yet; {HUB_HINT}")


def _has_content(value: Json) -> bool:
    """Whether a template says anything (API servers store an empty skeleton)."""
    if isinstance(value, dict):
        return any(_has_content(item) for item in value.values())
    return bool(value)


def _parameters(
    spec: dict[str, Json], elements: Mapping[int, Json]
) -> Iterator[tuple[str, dict[str, str]]]:
    for index, generator in enumerate(spec["generators"]):
        where = f"spec.generators[{index}].list"
        source = generator["list"]
        if not isinstance(source, dict):
            raise InvalidDocument(f"{where} is not a map")
        for field, values in (
            ("elements", source.get("elements")),
            ("elementsYaml", elements.get(index)),
        ):
            if values is None:
                continue
            if not isinstance(values, list):
                raise InvalidDocument(f"{where}.{field} is not a list")
            for number, element in enumerate(values):
                place = f"{where}.{field}[{number}]"
                yield place, _flat(element, place)


def _flat(element: Json, where: str) -> dict[str, str]:
    """One element's parameters; a map under `values` becomes `values.NAME`."""
    if not isinstance(element, dict):
        raise InvalidDocument(f"{where} is not a map")
    parameters: dict[str, str] = {}
    for key, value in element.items():
        if key == "values" and isinstance(value, dict):
            for name, inner in value.items():
                parameters[f"values.{name}"] = _text(inner, f"{where}.values.{name}")
        else:
            parameters[key] = _text(value, f"{where}.{key}")
    return parameters


def _text(value: Json, where: str) -> str:
    if not isinstance(value, str):
        raise InvalidDocument(f"{where} must be text; quote it")
    return value


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
