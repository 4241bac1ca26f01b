"""Kustomizations and HelmReleases as Flux's controllers build them."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.errors import RenderError

from .conftest import objects

CONFIG = """\
apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}}}
data: {{value: "{value}"}}
"""


def config(name: str, value: str = "x") -> str:
    """A ConfigMap."""
    return CONFIG.format(name=name, value=value)


def kustomization(**fields: Any) -> dict[str, Any]:
    """What the sandbox is told of a Kustomization's spec."""
    return {"kustomization": fields}


def names(result: Any) -> list[str]:
    """The names of the rendered objects, sorted."""
    return sorted(one["metadata"]["name"] for one in objects(result))


async def test_folder_without_kustomization_gets_one(render: Any) -> None:
    """All manifests below count; a folder with a kustomization is built as what it is."""
    files = {
        "app/one.yaml": config("one"),
        "app/deep/two.yml": config("two"),
        "app/empty.yaml": "\n",
        "app/notes.txt": "no manifest",
        "app/built/kustomization.yaml": "namePrefix: pre-\nresources: [three.yaml]\n",
        "app/built/three.yaml": config("three"),
        "app/built/unused.yaml": config("unused"),
        "app/.github/workflow.yaml": "on: push\n",
        "other/four.yaml": config("four"),
    }
    result = await render(files, {"path": "./app"}, flux=kustomization())
    assert names(result) == ["one", "pre-three", "two"]
    assert {d.file for d in result.documents} == {
        "app/one.yaml", "app/deep/two.yml", "app/built/three.yaml",
    }  # fmt: skip


async def test_sourceignore_and_spec_ignore_leave_files_out(render: Any) -> None:
    """Patterns are those of .gitignore; the last one that matches decides."""
    files = {
        ".sourceignore": "*.tmp.yaml\n/app/private/\n",
        "app/one.yaml": config("one"),
        "app/two.tmp.yaml": config("two"),
        "app/private/three.yaml": config("three"),
        "app/docs/four.yaml": config("four"),
        "app/docs/keep.yaml": config("keep"),
    }
    ignore = "# comment\napp/docs/*\n!app/docs/keep.yaml\n"
    result = await render(files, {"path": "app"}, flux=kustomization(ignore=ignore))
    assert names(result) == ["keep", "one"]


async def test_fields_of_the_spec_edit_the_kustomization(render: Any) -> None:
    """Namespace, prefix, suffix, patches, images and components are applied, metadata after all."""
    files = {
        "app/kustomization.yaml": (
            "resources: [pod.yaml]\nimages: [{name: web, newTag: '1'}, {name: db, newTag: '1'}]\n"
        ),
        "app/pod.yaml": (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {team: git}}\n"
            "spec: {containers: [{name: web, image: web}, {name: db, image: db}]}\n"
        ),
        "parts/kustomization.yaml": (
            "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
            "commonAnnotations: {from: component}\n"
        ),
    }
    flux = kustomization(
        targetNamespace="shop",
        namePrefix="a-",
        nameSuffix="-z",
        images=[{"name": "web", "newTag": "2"}],
        components=["../parts", "../absent"],
        ignoreMissingComponents=True,
        patches=[
            {
                "patch": "- {op: add, path: /spec/hostname, value: h}",
                "target": {"kind": "Pod"},
            }
        ],
        patchesStrategicMerge=[
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "p"},
                "spec": {"subdomain": "s"},
            }
        ],
    )
    flux["commonMetadata"] = {"labels": {"team": "flux"}, "annotations": {"note": "n"}}
    result = await render(files, {"path": "app"}, flux=flux)
    (pod,) = objects(result)
    assert pod["metadata"] == {
        "name": "a-p-z",
        "namespace": "shop",
        "labels": {"team": "flux"},
        "annotations": {"from": "component", "note": "n"},
    }
    assert [c["image"] for c in pod["spec"]["containers"]] == ["web:2", "db:1"]
    assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == ("h", "s")
    assert "absent" in result.warnings[0]


async def test_variables_are_substituted_in_braces_only(render: Any) -> None:
    """Bash's forms work, `$name` and `$${name}` stay, and numbers become numbers."""
    files = {
        "app/one.yaml": config("one", "${a} ${b:=default} $a $${a} ${a:0:2}${nothing}"),
        "app/two.yaml": (
            "apiVersion: v1\nkind: Service\nmetadata: {name: two}\n"
            "spec: {ports: [{port: '${port}'}]}\n"
        ),
        "app/three.yaml": (
            "apiVersion: v1\nkind: ConfigMap\ndata: {value: '${a}'}\nmetadata: "
            "{name: three, annotations: {kustomize.toolkit.fluxcd.io/substitute: disabled}}\n"
        ),
    }
    substitute = {"vars": {"a": "value", "port": "80"}, "unread": ""}
    result = await render(files, {"path": "app"}, flux=kustomization(substitute=substitute))
    by_name = {one["metadata"]["name"]: one for one in objects(result)}
    assert by_name["one"]["data"]["value"] == "value default $a ${a} va"
    assert by_name["three"]["data"]["value"] == "${a}"
    assert by_name["two"]["spec"]["ports"] == [{"port": 80}]
    assert result.undecided == {}


async def test_undefined_variables_are_named(render: Any) -> None:
    """Those without a default, value, doubt or mark that keeps the object as it is."""
    marked = config("two", "${domian}").replace(
        "metadata: {", "metadata: {labels: {kustomize.toolkit.fluxcd.io/substitute: disabled}, "
    )
    values = "${domian}${a} ${x:=y} ${x:-${inner}} ${a:-${unused}} ${low^^} ${secret} $${no} $no"
    files = {
        "app/one.yaml": config("one", values.replace("${secret} ", "")),
        "app/secret.yaml": config("secret", values),
        "app/two.yaml": marked,
        "app/three.yaml": config("three", "${a}"),
    }
    substitute = {"vars": {"a": "v"}, "unread": "Secret s is not read", "unknown": ["secret"]}
    result = await render(files, {"path": "app"}, flux=kustomization(substitute=substitute))
    (one,) = result.undefined
    assert [d.file for d in result.documents if d.index == one] == ["app/one.yaml"]
    assert result.undefined[one] == ("domian", "inner", "low")


async def test_an_optional_secret_may_set_what_nothing_else_does(render: Any) -> None:
    """An object that uses such a variable is undecided; values and defaults count as before."""
    files = {"app/one.yaml": config("one", "${a}${x:=y}"), "app/two.yaml": config("two", "${b}")}
    substitute = {"vars": {"a": "v"}, "unread": "", "unknown": [], "perhaps": "Secret s may set it"}
    result = await render(files, {"path": "app"}, flux=kustomization(substitute=substitute))
    assert list(result.undecided.values()) == ["it uses ${b}, and Secret s may set it"]
    assert result.undefined == {}
    assert [one["data"]["value"] for one in objects(result)] == ["vy", "${b}"]


async def test_without_any_variable_nothing_is_substituted(render: Any) -> None:
    """References that lead to no variable at all leave braces as they are, as Flux does."""
    files = {"app/one.yaml": config("one", "${a}")}
    substitute = {"vars": {}, "unread": "", "unknown": []}
    result = await render(files, {"path": "app"}, flux=kustomization(substitute=substitute))
    assert objects(result)[0]["data"]["value"] == "${a}"
    assert result.undefined == {}


async def test_without_substitutions_nothing_is_substituted(render: Any) -> None:
    """Braces stay as they are when spec.postBuild names nothing."""
    files = {"app/one.yaml": config("one", "${a:=b}")}
    result = await render(files, {"path": "app"}, flux=kustomization())
    (one,) = objects(result)
    assert one["data"]["value"] == "${a:=b}"


async def test_unread_secret_leaves_only_its_objects_undecided(render: Any) -> None:
    """Objects that use variables of a Secret are undecided; the others are substituted."""
    files = {
        "app/one.yaml": config("one", "${known}"),
        "app/two.yaml": config("two", "${password:-none}"),
        "app/three.yaml": config("three", "${other:-none}"),
    }
    substitute = {"vars": {"known": "k"}, "unread": "Secret s is not read", "unknown": ["password"]}
    result = await render(files, {"path": "app"}, flux=kustomization(substitute=substitute))
    (why,) = result.undecided.values()
    assert why == "it uses ${password}, and Secret s is not read"
    values = {one["metadata"]["name"]: one["data"]["value"] for one in objects(result)}
    assert values == {"one": "k", "two": "${password:-none}", "three": "none"}

    substitute["unknown"] = None
    result = await render(files, {"path": "app"}, flux=kustomization(substitute=substitute))
    assert len(result.undecided) == 2


async def test_broken_substitution_leaves_out_one_object(render: Any) -> None:
    """One object that cannot be substituted is an error; the others are there."""
    files = {"app/one.yaml": config("one", "${a"), "app/two.yaml": config("two", "${a}")}
    substitute = {"vars": {"a": "1"}, "unread": ""}
    result = await render(files, {"path": "app"}, flux=kustomization(substitute=substitute))
    assert names(result) == ["two"]
    assert "app/one.yaml: ConfigMap one: variable substitution failed" in result.errors[0]


CHART = {
    "charts/c/Chart.yaml": "apiVersion: v2\nname: c\nversion: 1.0.0\n",
    "charts/c/values.yaml": "a: chart\nb: chart\n",
    "charts/c/templates/config.yaml": (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}, namespace: "
        "{{ .Release.Namespace }}}\ndata: {{ .Values | toJson }}\n"
    ),
    "charts/c/templates/hook.yaml": (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: hook, annotations: "
        "{helm.sh/hook: pre-install}}\n"
    ),
    "charts/c/crds/crd.yaml": (
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"
        "metadata: {name: things.example.com}\n"
    ),
    "values/extra.yaml": "a: file\n",
}


def release(**fields: Any) -> dict[str, Any]:
    """What the sandbox is told of a HelmRelease's spec."""
    return {"helmRelease": {"releaseName": "r", "namespace": "ns"} | fields}


async def test_values_are_merged_in_flux_order(render: Any) -> None:
    """Values files replace the chart's own; later layers win; a target path beats them all."""
    values = [
        {"from": "ConfigMap one", "document": "a: from\nc: from\n"},
        {"from": "spec.values", "object": {"c": "inline", "n": 3}},
        {"from": "ConfigMap two", "document": "7", "targetPath": "n"},
        {"from": "ConfigMap two", "document": "x,y=z", "targetPath": "d", "literal": True},
    ]
    result = await render(CHART, {"path": "./charts/c"}, flux=release(values=values))
    data = next(o["data"] for o in objects(result) if o["metadata"]["name"] == "r")
    assert data == {"a": "from", "b": "chart", "c": "inline", "n": 7, "d": "x,y=z"}
    flux = release(valuesFiles=["values/extra.yaml", "absent.yaml"], ignoreMissingValuesFiles=True)
    result = await render(CHART, {"path": "charts/c"}, flux=flux)
    data = next(o["data"] for o in objects(result) if o["metadata"]["name"] == "r")
    assert data == {"a": "file"}
    with pytest.raises(RenderError, match=r"absent\.yaml does not exist"):
        await render(CHART, {"path": "charts/c"}, flux=release(valuesFiles=["absent.yaml"]))


async def test_values_of_a_subchart_that_are_no_map(render: Any) -> None:
    """A release's null for a subchart is told in words."""
    sub = {"charts/c/charts/sub/Chart.yaml": "apiVersion: v2\nname: sub\nversion: 1.0.0\n"}
    flux = release(values=[{"from": "spec.values", "object": {"sub": None}}])
    with pytest.raises(RenderError, match=r"subchart sub are empty \(null\) where a map") as caught:
        await render({**CHART, **sub}, {"path": "charts/c"}, flux=flux)
    assert "%!" not in str(caught.value)


async def test_post_renderers_change_neither_hooks_nor_crds(render: Any) -> None:
    """Patches and images of post renderers apply to the release's manifests, files stay known."""
    edits = {"patches": [{"patch": "- {op: add, path: /metadata/labels, value: {by: flux}}",
                          "target": {"version": "v1"}}]}  # fmt: skip
    result = await render(CHART, {"path": "charts/c"}, flux=release(postRenderers=[edits]))
    labelled = {o["metadata"]["name"]: o["metadata"].get("labels") for o in objects(result)}
    assert labelled == {"r": {"by": "flux"}, "hook": None, "things.example.com": None}
    assert {d.file for d in result.documents} == {
        "charts/c/templates/config.yaml",
        "charts/c/templates/hook.yaml",
        "charts/c/crds/crd.yaml",
    }


async def test_a_post_renderer_of_all_annotations(render: Any) -> None:
    """A patch that replaces all annotations leaves nothing behind, and the file known."""
    edits = {"patches": [{"patch": "- {op: add, path: /metadata/annotations, value: {by: flux}}",
                          "target": {"version": "v1"}}]}  # fmt: skip
    result = await render(CHART, {"path": "charts/c"}, flux=release(postRenderers=[edits]))
    noted = {o["metadata"]["name"]: o["metadata"].get("annotations") for o in objects(result)}
    assert noted["r"] == {"by": "flux"}
    assert "charts/c/templates/config.yaml" in {d.file for d in result.documents}


async def test_remote_components_are_refused(render: Any) -> None:
    """Nothing is fetched for a component."""
    files = {"app/one.yaml": config("one")}
    flux = kustomization(components=["https://example.com/part"])
    with pytest.raises(RenderError, match="is not fetched"):
        await render(files, {"path": "app"}, flux=flux)
