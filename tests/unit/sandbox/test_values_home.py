"""The lines of an application's own values where a kustomization renders its document."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.sandbox.pool import (
    Above,
    ChartQuestion,
    Home,
    RenderApplication,
    SandboxPool,
    Traced,
)
from tests.unit.sandbox.conftest import APPLICATION, REVISION, make_tree

pytestmark = pytest.mark.slow

CHART = {
    "chart/Chart.yaml": "apiVersion: v2\nname: chart\nversion: 1.0.0\n",
    "chart/values.yaml": "size: 1\ncolour: red\nhosts: [a.example]\nkept: old\n",
    "chart/templates/map.yaml": (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop}\ndata:\n"
        '  size: "{{ .Values.size }}"\n  colour: {{ .Values.colour }}\n'
        "  host: {{ last .Values.hosts }}\n  kept: {{ .Values.kept }}\n"
    ),
}
RELEASE = """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: shop, namespace: shop}
spec:
  values:
    size: 2
    colour: blue
"""
MERGE = RELEASE.replace("size: 2", "size: 6").replace(
    "colour: blue", "hosts: [b.example, c.example]"
)
APP = """\
kind: Application
apiVersion: argoproj.io/v1alpha1
metadata: {name: shop}
spec:
  source:
    path: chart
    helm:
      parameters:
        - {name: size, value: "2"}
"""


OVERLAY = "resources: [../base/shop.yaml]\npatches:\n  - path: patch.yaml\n"


def question(
    files: dict[str, str],
    document: dict[str, Any],
    *,
    helm: dict[str, Any] | None = None,
    above: dict[str, Any] | None = None,
    elsewhere: bool = False,
) -> ChartQuestion:
    """The chart with the values of a document; `elsewhere` if the chart has its own tree."""
    files = {"prod/kustomization.yaml": OVERLAY, **files}
    home_tree = make_tree(files if elsewhere else {**CHART, **files})
    flux = None
    if document["kind"] == "HelmRelease":
        values = [{"from": "spec.values", "object": document["spec"]["values"]}]
        flux = {"helmRelease": {"releaseName": "shop", "namespace": "shop", "values": values}}
        above = above or {"kustomization": {}}
    return ChartQuestion(
        tree=make_tree(dict(CHART)) if elsewhere else home_tree,
        source={"path": "chart", "helm": helm} if helm else {"path": "chart"},
        home=Home(
            "base/shop.yaml",
            document["kind"],
            "shop",
            ("spec", "source"),
            tree=home_tree.id,
            above=Above(home_tree.id, {"path": "prod"}, RenderApplication(name="root"), above),
            object=document,
        ),
        home_tree=home_tree,
        application=APPLICATION,
        revision=REVISION,
        flux=flux,
    )


async def told(pool: SandboxPool, *files_and_document: Any, **options: Any) -> list[list[str]]:
    """Where size, colour, host and kept come from."""
    asked = question(*files_and_document, **options)
    made = await pool.render(
        asked.tree, asked.source, application=APPLICATION, revision=REVISION, flux=asked.flux
    )
    paths = tuple(f"f:data/f:{name}" for name in ("size", "colour", "host", "kept"))
    traced = Traced(made.documents[0].object, paths, (None,) * len(paths))
    result = await pool.trace_values(asked, [traced])
    assert all(one.at_home == (one.file[:5] != "chart") for of in result.values[0] for one in of)
    return [[f"{one.file}:{one.line} {one.key}" for one in of] for of in result.values[0]]


def release(**values: Any) -> dict[str, Any]:
    """The HelmRelease as its kustomization renders it."""
    metadata = {"name": "shop", "namespace": "shop"}
    kind = {"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease"}
    return {**kind, "metadata": metadata, "spec": {"values": values}}


def app(**helm: Any) -> dict[str, Any]:
    """The Application as its kustomization renders it."""
    kind = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application"}
    spec = {"source": {"path": "chart", "helm": helm}}
    return {**kind, "metadata": {"name": "shop"}, "spec": spec}


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_patch_of_a_release(pool: SandboxPool, elsewhere: bool) -> None:
    """A value is told at the line of the patch that sets it, else of the release's own file."""
    files = {"base/shop.yaml": RELEASE, "prod/patch.yaml": MERGE}
    document = release(size=6, colour="blue", hosts=["b.example", "c.example"])
    assert await told(pool, files, document, elsewhere=elsewhere) == [
        ["prod/patch.yaml:6 size"],
        ["base/shop.yaml:7 colour"],
        ["prod/patch.yaml:7 hosts[1]"],
        ["chart/values.yaml:4 kept"],
    ]


async def test_what_is_not_certain_has_no_line(pool: SandboxPool) -> None:
    """A value that no layer sets just so, or that Flux's object itself patches, has none."""
    files = {"base/shop.yaml": RELEASE, "prod/patch.yaml": MERGE}
    document = release(size=7, colour="blue")
    assert (await told(pool, files, document))[:2] == [[], ["base/shop.yaml:7 colour"]]
    patch = '[{"op": "add", "path": "/spec/values/colour", "value": "blue"}]'
    patches = {"kustomization": {"patches": [{"target": {"name": "shop"}, "patch": patch}]}}
    assert (await told(pool, files, document, above=patches))[:2] == [[], []]
    patches["kustomization"]["patches"][0]["target"]["name"] = "other"
    assert (await told(pool, files, document, above=patches))[1] == ["base/shop.yaml:7 colour"]


async def test_patches_of_an_application(pool: SandboxPool) -> None:
    """Parameters, values as an object and as a text are told at the lines of the patches."""
    patch = (
        "- op: replace\n  path: /spec/source/helm/parameters/0/value\n  value: '6'\n"
        "- op: add\n  path: /spec/source/helm/valuesObject\n  value:\n    colour: blue\n"
    )
    overlay = OVERLAY + "    target: {kind: Application, name: shop}\n"
    files = {"base/shop.yaml": APP, "prod/patch.yaml": patch, "prod/kustomization.yaml": overlay}
    helm: dict[str, Any] = {
        "parameters": [{"name": "size", "value": "6"}],
        "valuesObject": {"colour": "blue"},
    }
    found = await told(pool, files, app(**helm), helm=helm)
    assert found[:2] == [["prod/patch.yaml:3 size"], ["prod/patch.yaml:7 colour"]]

    text = "# ours\ncolour: blue\n"
    patch = "kind: Application\napiVersion: argoproj.io/v1alpha1\nmetadata: {name: shop}\nspec:\n"
    patch += "  source:\n    helm:\n      values: |\n        # ours\n        colour: blue\n"
    files = {"base/shop.yaml": APP, "prod/patch.yaml": patch}
    helm = {"parameters": [{"name": "size", "value": "2"}], "values": text}
    found = await told(pool, files, app(**helm), helm=helm)
    assert found[:2] == [["base/shop.yaml:9 size"], ["prod/patch.yaml:9 colour"]]


async def test_values_in_vain(pool: SandboxPool) -> None:
    """A misspelt value has the line of the patch; what the patch takes over by a name is none."""
    files = {"base/shop.yaml": RELEASE, "prod/patch.yaml": MERGE.replace("size", "sise")}
    (found,) = (await pool.unread_values(question(files, release(sise=6)))).values
    assert (found.key, found.file, found.line) == ("sise", "prod/patch.yaml", 6)
    files["prod/patch.yaml"] = MERGE.replace("size: 6", "sise: {}")
    (found,) = (await pool.unread_values(question(files, release(sise={})))).values
    assert (found.key, found.file, found.line) == ("sise", "prod/patch.yaml", 6)
    anchored = MERGE.replace("size: 6", "ours: &size 6\n    size: *size")
    files["prod/patch.yaml"] = anchored
    assert (await pool.unread_values(question(files, release(ours=6, size=6)))).values == ()
