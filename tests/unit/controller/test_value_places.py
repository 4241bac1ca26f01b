"""Where a value is to be changed that a template or a program has made."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from driftd.controller.value_places import place_of_value
from driftd.model.application import Application, ApplicationSpec
from driftd.model.flux import FluxSpec
from driftd.model.resource import Origin
from tests.unit.controller.builders import application

TEMPLATE = "charts/web/templates/deployment.yaml"
FILES = {
    TEMPLATE: b"spec:\n  replicas: {{ .Values.replicaCount }}\n  paused: false\n"
    b'  image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default 1 }}"\n'
    b"  twice: {{ .Values.a }}\n---\n  twice: {{ .Values.b }}\n",
    "charts/web/Chart.yaml": b"name: web\n",
    "charts/web/values.yaml": b"replicaCount: 1\n",
}
DEFAULTS = "charts/web/values.yaml (the defaults, shared by all that use the chart)"
MORE = f"https://a.example/v.yaml, env/prod.yaml, charts/base.yaml and {DEFAULTS}"


def app(*sources: dict[str, Any], **fields: Any) -> Application:
    """An Application of `argocd/web.yaml` with these sources."""
    documents = [{"repoURL": "https://git.example.com/a.git", **one} for one in sources]
    text = {"sources": documents} if len(documents) > 1 else {"source": documents[0]}
    spec = msgspec.convert(text, ApplicationSpec)
    fields = {"name": "web", "origin": "argocd/web.yaml", **fields}
    return msgspec.structs.replace(application(), spec=spec, **fields)


def told(found: Application, file: str = TEMPLATE, *fields: str, **options: Any) -> str:
    """The place of a value of an object of `file`."""
    return place_of_value(found, Origin(0, file), FILES, fields, **options)


@pytest.mark.parametrize(
    ("helm", "places"),
    [
        ({}, DEFAULTS),
        (
            {"valuesObject": {"replicaCount": 2}, "valueFiles": ["values-prod.yaml"]},
            "argocd/web.yaml (spec.source.helm.valuesObject), charts/web/values-prod.yaml and "
            + DEFAULTS,
        ),
        (
            {
                "values": "replicaCount: 2",
                "parameters": [{"name": "a", "value": "b"}],
                "valueFiles": ["../base.yaml", "/env/prod.yaml", "https://u:p@a.example/v.yaml"],
            },
            "argocd/web.yaml (spec.source.helm.parameters, spec.source.helm.values), " + MORE,
        ),
    ],
)
def test_values_of_a_chart(helm: dict[str, Any], places: str) -> None:
    """The values are named with the strongest first, and the template as what it is."""
    text = told(app({"path": "charts/web", "helm": helm}), TEMPLATE, "replicas")
    assert text == (
        f"change .Values.replicaCount behind {TEMPLATE}, which is a template: this application's "
        f"values are in {places}"
    )


@pytest.mark.parametrize(
    ("field", "what"),
    [
        ("image", ".Values.image.repository and .Values.image.tag"),
        ("twice", "the value"),
        ("paused", "the value"),
        ("0", "the value"),
    ],
)
def test_what_the_template_reads(field: str, what: str) -> None:
    """A value is named only where the template reads the same one wherever it sets the field."""
    text = told(app({"path": "charts/web"}), TEMPLATE, field)
    assert text.startswith(f"change {what} behind {TEMPLATE}, ")


def test_value_files_of_another_source() -> None:
    """`$ref` files are named in their own repository, without its password."""
    found = app(
        {"path": "charts/web", "helm": {"valueFiles": ["$values/prod/web.yaml", "$own/a.yaml"]}},
        {"ref": "values", "repoURL": "https://bot:secret@git.example.com/values.git"},
        {"ref": "own"},
    )
    text = told(found)
    assert "values are in a.yaml, prod/web.yaml of https://git.example.com/values.git and" in text


def test_a_chart_from_elsewhere() -> None:
    """Of a chart that is not in the repository the Application has the values, if anything."""
    found = app({"chart": "redis"}, origin="hub argo")
    assert place_of_value(found, Origin(0, "redis/templates/a.yaml"), {}, ()) == (
        "change the value behind redis/templates/a.yaml, which is a template, in the values of "
        "the live Application web"
    )


def test_values_of_a_helm_release() -> None:
    """A HelmRelease's layers of values are told by the fields that hold them."""
    render = {
        "valuesFiles": ["values-prod.yaml"],
        "values": [{"from": "spec.valuesFrom ConfigMap a"}, {"from": "spec.values"}],
    }
    flux = FluxSpec(kind="HelmRelease", object_name="web", render=render)
    found = app({"path": "charts/web"}, flux=flux, origin="apps/web.yaml")
    assert (
        "values are in spec.values of apps/web.yaml, spec.valuesFrom ConfigMap a of "
        "apps/web.yaml, values-prod.yaml of the chart and charts/web/values.yaml"
    ) in told(found)


def test_programs() -> None:
    """A Jsonnet file computes its values, perhaps from what the Application gives it."""
    plain = app({"path": "apps"})
    assert told(plain, "apps/web.jsonnet") == "change what apps/web.jsonnet computes"
    given = {"jsonnet": {"tlas": [{"name": "a", "value": "b"}]}}
    assert told(app({"path": "apps", "directory": given}), "apps/web.jsonnet") == (
        "change what apps/web.jsonnet computes: it reads directory.jsonnet.tlas of argocd/web.yaml"
    )


def test_plain_files() -> None:
    """A manifest says its values itself, unless options of the Application may override them."""
    assert told(app({"path": "apps"}), "apps/web.yaml") == ""
    found = app({"path": "apps", "kustomize": {"images": ["web:2"], "namePrefix": "a-"}})
    assert told(found, "apps/web.yaml") == (
        "the value is in apps/web.yaml or is set by kustomize.images of argocd/web.yaml"
    )
    assert told(found, "apps/web.yaml", traced=True) == ""
    assert told(app({"path": "apps"}), "apps/templates/web.yaml") == ""
