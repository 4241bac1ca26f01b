"""Where a value is to be changed that a template or a program has made."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from driftd.controller.value_places import (
    field_name,
    lines_to_change,
    place_of_value,
    values_behind,
)
from driftd.model.application import Application, ApplicationSpec
from driftd.model.flux import FluxSpec
from driftd.model.report import Change, ChangeClass, ChangeKind, ReportOrigin
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


@pytest.mark.parametrize(
    ("helm", "alone"),
    [
        ({"valueFiles": ["prod.yaml"]}, "charts/web/prod.yaml"),
        ({}, "the values of argocd/web.yaml"),
    ],
)
def test_the_very_lines_are_named(helm: dict[str, Any], alone: str) -> None:
    """Those of a chart's defaults too, with where the application may have a value of its own."""
    found = app({"path": "charts/web", "helm": helm})
    own = ReportOrigin(file="charts/web/prod.yaml", line=4, value="image.tag")
    default = ReportOrigin(file="charts/web/values.yaml", line=1, value="replicaCount")
    origin = Origin(0, TEMPLATE)
    told = "change image.tag in charts/web/prod.yaml:4"
    assert lines_to_change(found, origin, [own], FILES) == told
    assert lines_to_change(found, origin, [own, default], FILES) == (
        f"{told} and replicaCount in charts/web/values.yaml:1 (the defaults, shared by all that "
        f"use the chart), or set replicaCount for this application alone in {alone}"
    )
    archived = ReportOrigin(file="charts/web/charts/db.tgz", value="db.size")
    assert lines_to_change(found, origin, [default, archived], FILES) == ""


def test_values_of_a_helm_release() -> None:
    """A HelmRelease's layers are told by file, patches of its values before its own file."""
    flux = FluxSpec(
        kind="HelmRelease", object_name="web", render={"helmRelease": {"valuesFiles": []}},
        values=("spec.values", "apps/values.yaml (ConfigMap shop/a, key values.yaml)"),
    )  # fmt: skip
    found = app({"path": "charts/web"}, flux=flux, origin="apps/web.yaml")
    weaker = ["apps/values.yaml (ConfigMap shop/a, key values.yaml)", DEFAULTS]
    origin = Origin(0, TEMPLATE)
    assert values_behind(found, origin, FILES) == ["apps/web.yaml (spec.values)", *weaker]
    lines = {"apps/web.yaml": (3, 4), "prod/kustomization.yaml": (9,)}
    assert values_behind(found, origin, FILES, lines) == [
        "prod/kustomization.yaml:9 (spec.values of the patched HelmRelease web)",
        "apps/web.yaml:3,4 (spec.values)",
        *weaker,
    ]


def test_values_files_of_a_helm_release() -> None:
    """They take the place of the chart's own values, unless they name these too."""
    for names, places in (
        (["./charts/web/prod.yaml"], ["charts/web/prod.yaml"]),
        (["charts/web/values.yaml", "/prod.yaml"], ["prod.yaml", "charts/web/values.yaml"]),
    ):
        render = {"helmRelease": {"valuesFiles": names}}
        flux = FluxSpec(kind="HelmRelease", object_name="web", render=render)
        found = app({"path": "./charts/web"}, flux=flux)
        assert values_behind(found, Origin(0, TEMPLATE), FILES) == places


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


READS = (
    b"image: {{ .Values.image.repository }}:{{ .Values.image.tag }}\n"
    b"domain: {{ .Values.global.domain }}\n"
)
UMBRELLA = {
    "charts/shop/Chart.yaml": b"name: shop\ndependencies:\n  - {name: cache, version: 1.0.0}\n"
    b"  - {name: cache, alias: spare, version: 1.0.0}\n  - {name: queue, version: 1.x}\n"
    b"  - {name: mail, alias: post, version: 1.x, repository: 'file://../mail'}\n",
    "charts/shop/values.yaml": b"cache: {}\n",
    "charts/shop/charts/cache/Chart.yaml": b"name: cache\n",
    "charts/shop/charts/cache/values.yaml": b"image: {}\n",
    "charts/shop/charts/cache/templates/a.yaml": READS,
    "charts/shop/charts/cache/charts/deep/Chart.yaml": b"name: deep\n",
    "charts/shop/charts/cache/charts/deep/values.yaml": b"image: {}\n",
    "charts/shop/charts/cache/charts/deep/templates/a.yaml": READS,
    "charts/shop/charts/queue-1.2.0.tgz": b"",
    "charts/mail/Chart.yaml": b"name: mail\n",
    "charts/mail/values.yaml": b"image: {}\n",
    "charts/mail/templates/a.yaml": READS,
}
SHOP = "charts/shop/values.yaml (the defaults, shared by all that use the chart)"
CACHE = "charts/shop/charts/cache"


def own(name: str, file: str, prefix: str) -> str:
    """How the own values of a subchart are told."""
    return f"{file} (the defaults of the subchart {name}, there without {prefix}.)"


@pytest.mark.parametrize(
    ("folder", "what", "template", "last"),
    [
        (
            "cache",
            "cache.image.repository and cache.image.tag",
            f"{CACHE}/templates/a.yaml",
            [own("cache", f"{CACHE}/values.yaml", "cache")],
        ),
        (
            "spare",
            "spare.image.repository and spare.image.tag",
            f"{CACHE}/templates/a.yaml",
            [own("spare", f"{CACHE}/values.yaml", "spare")],
        ),
        (
            "cache/charts/deep",
            "cache.deep.image.repository and cache.deep.image.tag",
            f"{CACHE}/charts/deep/templates/a.yaml",
            [
                own("cache", f"{CACHE}/values.yaml", "cache"),
                own("deep", f"{CACHE}/charts/deep/values.yaml", "cache.deep"),
            ],
        ),
        (
            "post",
            "post.image.repository and post.image.tag",
            "charts/mail/templates/a.yaml",
            [own("post", "charts/mail/values.yaml", "post")],
        ),
        (
            "queue",
            "the value",
            "charts/shop/charts/queue/templates/a.yaml",
            [own("queue", "values.yaml in charts/shop/charts/queue-1.2.0.tgz", "queue")],
        ),
    ],
)
def test_values_of_a_subchart(folder: str, what: str, template: str, last: list[str]) -> None:
    """The key is named as the parent's values write it, each file once, the strongest first."""
    helm = {"valueFiles": ["values.yaml", "values-prod.yaml"]}
    found = app({"path": "charts/shop", "helm": helm})
    named = f"charts/shop/charts/{folder}/templates/a.yaml"
    origin = Origin(0, template, template="" if template == named else named)
    name = folder.rpartition("/")[2]
    below = f", below {folder} or global" if what == "the value" else ""
    places = ["charts/shop/values-prod.yaml", SHOP, *last]
    assert values_behind(found, origin, UMBRELLA) == places
    assert place_of_value(found, origin, UMBRELLA, ["image"]) == (
        f"change {what} behind {template}, which is a template of the subchart {name}{below}: "
        f"this application's values are in {', '.join(places[:-1])} and {places[-1]}"
    )


def test_a_global_value_of_a_subchart() -> None:
    """Global values have no subchart's name before them."""
    origin = Origin(0, f"{CACHE}/templates/a.yaml")
    text = place_of_value(app({"path": "charts/shop"}), origin, UMBRELLA, ["domain"])
    assert text.startswith(f"change global.domain behind {CACHE}/templates/a.yaml, ")


@pytest.mark.parametrize(
    ("path", "ssa_path", "name"),
    [
        ("/spec/replicas", "f:spec/f:replicas", "replicas"),
        ("/spec/template/env/1", 'f:spec/f:template/f:env/k:{"name":"DEBUG"}', "env[name=DEBUG]"),
        ("/spec/ports/0/port", 'f:spec/f:ports/k:{"port":80,"protocol":"TCP"}/f:port', "port"),
        (
            "/spec/ports/0",
            'f:spec/f:ports/k:{"port":80,"protocol":"TCP"}',
            "ports[port=80,protocol=TCP]",
        ),
        ("/metadata/annotations/a~1b", "f:metadata/f:annotations/f:a~1b", "a/b"),
        ("/spec/hosts/2", 'f:spec/f:hosts/v:"secret.example"', "hosts"),
        ("/spec/args/0", None, "args"),
    ],
)
def test_a_field_is_named_never_by_its_number(path: str, ssa_path: str | None, name: str) -> None:
    """Items of lists are named by their keys, others by their list, without the value itself."""
    change = Change(
        kind=ChangeKind.ADDED,
        change_class=ChangeClass.UNDECLARED,
        path=path,
        ssa_path=msgspec.UNSET if ssa_path is None else ssa_path,
    )
    assert field_name(change) == name
