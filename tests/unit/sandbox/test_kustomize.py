"""Kustomize as Argo CD runs it: `edit`, then `build`, on a tree in memory."""

from __future__ import annotations

import json
from typing import Any

import pytest

from driftd.errors import RenderError
from driftd.model.application import ApplicationSource, KustomizeReplicas, KustomizeSource
from driftd.sandbox.pool import SandboxPool

from .conftest import make_tree, objects

pytestmark = pytest.mark.slow

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "registry/web:1"}]}
"""
BASE = {
    "base/kustomization.yaml": "resources: [deployment.yaml]\n",
    "base/deployment.yaml": DEPLOYMENT,
}
OVERLAY = BASE | {
    "prod/kustomization.yaml": "resources: [../base]\nimages: [{name: registry/web, newTag: '2'}]\n"
    "configMapGenerator: [{name: settings, literals: [a=b]}]\n"
}


def kustomize(**fields: Any) -> dict[str, Any]:
    """A source that renders prod with fields of source.kustomize."""
    return {"path": "prod", "kustomize": fields}


async def test_overlay(render: Any) -> None:
    """An overlay renders with its origin files, and without origin annotations."""
    result = await render(OVERLAY, {"path": "prod"})
    assert result.type == "Kustomize"
    assert [document.file for document in result.documents] == [
        "base/deployment.yaml",
        "prod/kustomization.yaml",
    ]
    deployment, settings = objects(result)
    assert deployment["metadata"] == {"name": "web"}
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "registry/web:2"
    assert settings["metadata"]["name"].startswith("settings-")


async def test_all_fields_of_the_source(render: Any) -> None:
    """Prefix, suffix, images, replicas, labels, annotations, namespace, patches, components."""
    files = OVERLAY | {
        "more/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\n"
        "kind: Component\nresources: [extra.yaml]\n",
        "more/extra.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: extra}\n",
    }
    source = ApplicationSource(
        path="prod",
        kustomize=KustomizeSource(
            name_prefix="p-",
            name_suffix="-s",
            images=("registry/web=mirror/web:$ARGOCD_APP_REVISION_SHORT",),
            replicas=(KustomizeReplicas(name="web", count=3),),
            common_labels={"team": "a", "app-name": "${ARGOCD_APP_NAME}"},
            common_annotations={"rev": "$ARGOCD_APP_REVISION_SHORT_8"},
            common_annotations_envsubst=True,
            namespace="shop",
            patches=(
                {
                    "target": {"kind": "Deployment"},
                    "patch": '[{"op": "add", "path": "/spec/paused", "value": true}]',
                },
            ),
            components=("../more",),
        ),
    )
    deployment, settings, extra = objects(await render(files, source))
    assert deployment["metadata"] == {
        "name": "p-web-s",
        "namespace": "shop",
        "labels": {"team": "a", "app-name": "shop"},
        "annotations": {"rev": "01234567"},
    }
    assert deployment["spec"]["paused"] is True
    assert deployment["spec"]["replicas"] == 3
    assert deployment["spec"]["selector"]["matchLabels"]["team"] == "a"
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "mirror/web:0123456"
    assert settings["metadata"]["namespace"] == "shop"
    assert extra["metadata"]["name"] == "p-extra-s"


async def test_labels_without_selector(render: Any) -> None:
    """Labels without selector leave selectors alone; templates get them if asked for."""
    labels = {"commonLabels": {"team": "a"}, "labelWithoutSelector": True}
    plain, _ = objects(await render(OVERLAY, kustomize(**labels)))
    both, _ = objects(await render(OVERLAY, kustomize(**labels, labelIncludeTemplates=True)))
    assert plain["spec"]["selector"]["matchLabels"] == {"app": "web"}
    assert plain["metadata"]["labels"] == {"team": "a"}
    assert plain["spec"]["template"]["metadata"]["labels"] == {"app": "web"}
    assert both["spec"]["template"]["metadata"]["labels"] == {"app": "web", "team": "a"}


async def test_annotations_without_substitution(render: Any) -> None:
    """Without commonAnnotationsEnvsubst a $ stays as it is."""
    deployment, _ = objects(await render(OVERLAY, kustomize(commonAnnotations={"a": "$X"})))
    assert deployment["metadata"]["annotations"] == {"a": "$X"}


async def test_label_conflict_is_an_error_unless_forced(render: Any) -> None:
    """A label that the kustomization sets already is refused, and replaced with force."""
    files = BASE | {"prod/kustomization.yaml": "resources: [../base]\ncommonLabels: {team: a}\n"}
    with pytest.raises(RenderError, match="kustomize edit add label") as caught:
        await render(files, kustomize(commonLabels={"team": "b"}))
    assert caught.value.reason == "kustomize-error"
    forced = kustomize(commonLabels={"team": "b"}, forceCommonLabels=True)
    (deployment,) = objects(await render(files, forced))
    assert deployment["metadata"]["labels"]["team"] == "b"


async def test_missing_components(render: Any) -> None:
    """A missing component is an error, or left out with a warning if the source says so."""
    with pytest.raises(RenderError):
        await render(OVERLAY, kustomize(components=["../gone"]))
    result = await render(OVERLAY, kustomize(components=["../gone"], ignoreMissingComponents=True))
    assert len(result.documents) == 2
    assert result.warnings == (
        "source.kustomize.components: ../gone does not exist and is left out",
    )


async def test_own_origin_annotations_stay(render: Any) -> None:
    """An application that asks Kustomize for origin annotations gets them."""
    files = BASE | {
        "prod/kustomization.yaml": "resources: [../base]\nbuildMetadata: [originAnnotations]\n"
    }
    result = await render(files, {"path": "prod"})
    (deployment,) = objects(result)
    assert deployment["metadata"]["annotations"] == {
        "config.kubernetes.io/origin": "path: ../base/deployment.yaml\n"
    }
    assert result.documents[0].file == "base/deployment.yaml"


async def test_noting_origins_changes_no_outcome(render: Any) -> None:
    """A patch that tests or replaces the annotations sees them as Kustomize alone shows them."""
    operations = [
        {"op": "test", "path": "/metadata/annotations/config.kubernetes.io~1origin"},
        {"op": "add", "path": "/metadata/annotations", "value": {"a": "b"}},
    ]

    def patched(*patches: dict[str, Any]) -> dict[str, Any]:
        text = json.dumps(patches)
        return kustomize(patches=[{"target": {"kind": "Deployment"}, "patch": text}])

    result = await render(OVERLAY, patched(operations[1]))
    assert objects(result)[0]["metadata"]["annotations"] == {"a": "b"}
    with pytest.raises(RenderError, match="test"):
        await render(OVERLAY, patched(operations[0] | {"value": "path: ../base/deployment.yaml\n"}))


@pytest.mark.parametrize(
    ("field", "remote"),
    [
        ("resources: [%s]", "https://example.org/install.yaml"),
        ("resources: ['%s']", "git@github.com:org/repo?ref=--upload-pack=x"),
        ("resources: [%s]", "github.com/org/repo//base"),
        ("resources: [%s]", "ssh://host/repo"),
        ("resources: [%s]", "file:///etc"),
        ("resources: [%s]", "HTTPS://example.org/a.yaml"),
        ("bases: [%s]", "git::https://example.org/repo"),
        ("components: [%s]", "https://example.org/repo"),
        ("crds: [%s]", "https://example.org/crd.json"),
        ("configurations: [%s]", "https://example.org/c.yaml"),
        ("openapi: {path: %s}", "https://example.org/schema.json"),
        ("patches: [{path: %s}]", "https://example.org/p.yaml"),
        ("patchesStrategicMerge: [%s]", "https://example.org/p.yaml"),
        ("generators: [%s]", "https://example.org/g"),
        ("transformers: [%s]", "https://example.org/t"),
        ("replacements: [{path: %s}]", "https://example.org/r.yaml"),
        ("configMapGenerator: [{name: a, files: [k=%s]}]", "https://example.org/f"),
        ("secretGenerator: [{name: a, envs: [%s]}]", "https://example.org/e"),
    ],
)
async def test_remote_entries_are_refused(render: Any, field: str, remote: str) -> None:
    """Whatever would be fetched is refused, also in a base, naming file and entry."""
    files = {
        "prod/kustomization.yaml": "resources: [../base]\n",
        "base/kustomization.yaml": field % remote + "\n",
    }
    with pytest.raises(RenderError) as caught:
        await render(files, {"path": "prod"})
    assert caught.value.reason == "remote-resource"
    assert str(caught.value).startswith("base/kustomization.yaml: ")
    assert remote in str(caught.value)
    assert caught.value.hint


async def test_remote_component_of_the_source_is_refused(render: Any) -> None:
    """source.kustomize.components may name nothing remote either."""
    with pytest.raises(RenderError) as caught:
        await render(OVERLAY, kustomize(components=["https://example.org/repo"]))
    assert caught.value.reason == "remote-resource"


@pytest.mark.parametrize(
    "text",
    [
        "resources: [/etc/passwd]",
        "resources: [../../../etc/passwd]",
        "configMapGenerator: [{name: a, files: [../base/deployment.yaml]}]",
        "configMapGenerator: [{name: a, files: [/etc/passwd]}]",
        "configMapGenerator: [{name: a, files: [link]}]",
        "resources: [../prod]",
        "resources: [loop]",
    ],
)
async def test_files_outside_are_refused(render: Any, text: str) -> None:
    """Absolute paths, escapes, load restrictions, links out of the tree and cycles are errors."""
    files = BASE | {"prod/kustomization.yaml": text + "\n"}
    with pytest.raises(RenderError) as caught:
        await render(files, {"path": "prod"}, links={"prod/link": "/etc/passwd", "prod/loop": "."})
    assert caught.value.reason == "kustomize-error"
    assert "root:" not in str(caught.value)


async def test_links_inside_the_tree_work(render: Any) -> None:
    """A base behind a symbolic link renders."""
    files = BASE | {"prod/kustomization.yaml": "resources: [../current]\n"}
    result = await render(files, {"path": "prod"}, links={"current": "base"})
    assert [o["metadata"]["name"] for o in objects(result)] == ["web"]


async def test_executing_plugins_are_refused(render: Any) -> None:
    """An exec or container function as transformer does not run."""
    function = """\
apiVersion: example.org/v1
kind: Hack
metadata:
  name: hack
  annotations:
    config.kubernetes.io/function: |
      exec: {path: /bin/true}
"""
    files = BASE | {
        "prod/kustomization.yaml": "resources: [../base]\ntransformers: [hack.yaml]\n",
        "prod/hack.yaml": function,
    }
    with pytest.raises(RenderError) as caught:
        await render(files, {"path": "prod"})
    assert caught.value.reason == "kustomize-error"


async def test_charts_in_a_kustomization_need_an_option(render: Any) -> None:
    """Charts are inflated only where Argo CD's build options permit it; the message says so."""
    for field in ("helmCharts", "helmChartInflationGenerator"):
        files = {"prod/kustomization.yaml": f"{field}: [{{name: redis}}]\n"}
        with pytest.raises(RenderError, match="--enable-helm") as caught:
            await render(files, {"path": "prod"})
        assert caught.value.reason == "unsupported"


INFLATED = {
    "prod/kustomization.yaml": "helmCharts: [{name: web, repo: 'https://charts.example.com', "
    "version: 1.0.0, releaseName: '%s', nameTemplate: '%s'}]\n",
    "prod/charts/web-1.0.0/web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n",
    "prod/charts/web-1.0.0/web/values.yaml": "{}\n",
    "prod/charts/web-1.0.0/web/templates/map.yaml": "apiVersion: v1\nkind: ConfigMap\n"
    "metadata: {name: '{{ .Release.Name }}'}\ndata: {id: '{{ uuidv4 }}'}\n",
}
HELM = {"helm": True}


async def test_a_pulled_chart_lies_where_helm_unpacks_it(render: Any) -> None:
    """A chart with a repository is found in the folder of its version, and nowhere else."""
    files = dict(INFLATED)
    files["prod/kustomization.yaml"] %= ("shop", "")
    (made,) = objects(await render(files, {"path": "prod"}, build_options=HELM))
    assert made["metadata"]["name"] == "shop"
    del files["prod/charts/web-1.0.0/web/Chart.yaml"]
    elsewhere = {name.replace("web-1.0.0/", ""): data for name, data in files.items()}
    with pytest.raises(
        RenderError, match=r"was not fetched; keep a copy at prod/charts/web-1\.0\.0"
    ):
        await render(elsewhere, {"path": "prod"}, build_options=HELM)


async def test_charts_that_differ_each_time_are_marked(render: Any) -> None:
    """Random values and names of inflated charts are found by the second rendering too."""
    files = dict(INFLATED)
    files["prod/kustomization.yaml"] %= ("shop", "")
    result = await render(files, {"path": "prod"}, build_options=HELM)
    assert result.unstable == {0: ("/data/id",)}
    files["prod/kustomization.yaml"] = INFLATED["prod/kustomization.yaml"] % (
        "",
        "a-{{ randAlpha 9 | lower }}",
    )
    result = await render(files, {"path": "prod"}, build_options=HELM)
    assert result.unstable == {0: ("",)}


async def test_a_name_template_knows_no_host(render: Any) -> None:
    """Functions of the host's environment and names give nothing."""
    files = dict(INFLATED)
    files["prod/kustomization.yaml"] %= (
        "",
        'a{{ env "PATH" }}{{ expandenv "$HOME" }}{{ getHostByName "localhost" }}',
    )
    (made,) = objects(await render(files, {"path": "prod"}, build_options=HELM))
    assert made["metadata"]["name"] == "a"


async def test_the_charts_to_pull(pool: SandboxPool) -> None:
    """Charts of bases, components and generators are listed, those that are there are not."""
    remote = "repo: 'https://charts.example.com'"
    files = {
        "app/kustomization.yaml": f"resources: [../base]\ncomponents: [own]\ngenerators: [g.yaml]\n"
        f"helmGlobals: {{chartHome: ../vendor}}\nhelmCharts: [{{name: a, version: 1.x, {remote}}}, "
        f"{{name: local}}, {{name: b, devel: true, {remote}}}, {{name: b, {remote}}}]\n",
        "app/g.yaml": f"kind: HelmChartInflationGenerator\nname: c\n{remote}\n",
        "app/own/kustomization.yaml": "helmChartInflationGenerator: "
        "[{chartName: d, chartRepoUrl: 'oci://charts.example.com/x', chartVersion: 2.0.0}]\n",
        "base/kustomization.yaml": f"resources: [../app]\nhelmCharts: [{{name: e, {remote}}}]\n",
        "base/charts/e/Chart.yaml": "",
        "more/kustomization.yaml": f"helmCharts: [{{name: f, {remote}}}]\n",
        "bad/kustomization.yaml": "helmCharts: 1\n",
    }
    tree = make_tree(files)
    params = {"tree": tree.id, "path": "app", "components": ["../more", "../none", "../bad"]}
    raw = await pool.call("kustomize-charts", params, project="team", trees=(tree,))
    found = {
        (one["name"], one["version"], one["place"]) for one in json.loads(bytes(raw))["charts"]
    }
    assert found == {
        ("a", "1.x", "vendor/a-1.x"),
        ("b", "", "vendor"),
        ("c", "", "app/charts"),
        ("d", "2.0.0", "app/own/charts/d-2.0.0"),
        ("f", "", "more/charts"),
    }


async def test_bases_nested_too_deep_are_refused(render: Any) -> None:
    """A tower of bases is refused before Kustomize climbs it."""
    files = {f"b{i}/kustomization.yaml": f"resources: [../b{i + 1}]\n" for i in range(60)}
    with pytest.raises(RenderError, match="nested deeper than 32") as caught:
        await render(files, {"path": "b0"})
    assert caught.value.reason == "limit"


async def test_two_kustomization_files_are_an_error(render: Any) -> None:
    """Kustomize wants exactly one; so does the worker."""
    files = OVERLAY | {"prod/kustomization.yml": "resources: []\n"}
    with pytest.raises(RenderError, match="2 kustomization files"):
        await render(files, {"path": "prod"})


async def test_reorder_is_a_closed_choice(render: Any) -> None:
    """Only none and legacy are build options; anything else is refused."""
    files = {
        "kustomization.yaml": "resources: [a.yaml]\n",
        "a.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n---\n"
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: b}\n",
    }
    kept = objects(await render(files, {}))
    sorted_ = objects(await render(files, {}, build_options={"reorder": "legacy"}))
    assert [o["kind"] for o in kept] == ["Service", "Namespace"]
    assert [o["kind"] for o in sorted_] == ["Namespace", "Service"]
    with pytest.raises(RenderError, match="reorder"):
        await render(files, {}, build_options={"reorder": "--enable-exec"})


async def test_a_schema_stays_with_its_application(render: Any) -> None:
    """A custom schema is used by its own kustomization alone, not by what is rendered next."""
    patch = (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n"
        "spec: {template: {spec: {containers: [{name: web, args: [a]}]}}}\n"
    )
    files = BASE | {
        "prod/kustomization.yaml": "resources: [../base]\npatches: [{path: patch.yaml}]\n",
        "prod/patch.yaml": patch,
    }
    custom = {
        **files,
        "prod/kustomization.yaml": files["prod/kustomization.yaml"]
        + "openapi: {path: schema.json}\n",
        "prod/schema.json": '{"definitions": {}}',
    }
    merged = {"name": "web", "image": "registry/web:1", "args": ["a"]}
    for tree, expected in ((files, merged), (custom, {"name": "web", "args": ["a"]})) * 2:
        (deployment,) = objects(await render(tree, {"path": "prod"}))
        assert deployment["spec"]["template"]["spec"]["containers"] == [expected]


async def test_load_restrictor_none_stays_inside_of_the_tree(render: Any) -> None:
    """Without the restriction files of the whole repository are read, and none outside of it."""
    files = BASE | {"prod/kustomization.yaml": "resources: [../base/deployment.yaml]\n"}
    options = {"loadRestrictor": "none"}
    (deployment,) = objects(await render(files, {"path": "prod"}, build_options=options))
    assert deployment["metadata"]["name"] == "web"
    outside = BASE | {"prod/kustomization.yaml": "resources: [../../../etc/passwd]\n"}
    with pytest.raises(RenderError):
        await render(outside, {"path": "prod"}, build_options=options)
    with pytest.raises(RenderError, match="loadRestrictor"):
        await render(files, {"path": "prod"}, build_options={"loadRestrictor": "some"})
