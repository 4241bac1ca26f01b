"""Kustomizations and HelmReleases as applications."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.errors import ClusterError
from driftd.flux.applications import Place, release_name, to_application, told_apart
from driftd.flux.objects import FluxObjects, Reader
from driftd.flux.specs import HelmReleaseSpec
from driftd.model.application import Application, Destination
from driftd.model.condition import Severity
from driftd.model.flux import FluxObject
from driftd.model.tree import Tree
from tests.unit.flux.builders import SOURCE, flux, kustomization, repository

PLACE = Place(destination=Destination(name="prod"), prefix="prod/", context="kind")
LIVE = {"live": {"v": "live"}}


async def read_live(_namespace: str, name: str) -> dict[str, str] | None:
    """The live ConfigMaps; one of them cannot be read."""
    if name == "hidden":
        raise ClusterError("forbidden")
    return LIVE.get(name)


async def converted(found: FluxObject, *objects: FluxObject) -> Application:
    """The application of an object among others."""
    reader = Reader(FluxObjects([repository(), *objects]), read_live)
    return await to_application(found, reader, PLACE)


def errors(application: Application) -> list[str]:
    """What keeps an application from being judged."""
    assert application.flux is not None
    return [c.message for c in application.flux.conditions if c.severity is Severity.ERROR]


def substitute(application: Application) -> Any:
    """What the sandbox is told of variables."""
    assert application.flux is not None
    return application.flux.render["kustomization"]["substitute"]


async def test_kustomization_is_read() -> None:
    """Source, revision, path, place and name are Flux's."""
    app = await converted(
        kustomization(
            "apps", "./apps", targetNamespace="shop", prune=True, force=True, suspend=True
        ),
        repository(ref={"branch": "main", "tag": "v1"}, ignore="*.md"),
    )
    source = app.spec.source
    assert source is not None
    assert (source.repo_url, source.target_revision, source.path) == (
        "https://git.example/fleet", "v1", "./apps",
    )  # fmt: skip
    assert app.qualified_name == "flux-system/prod/apps"
    assert (app.spec.destination.name, app.spec.destination.namespace) == ("prod", "shop")
    assert app.flux is not None
    assert (app.flux.kind, app.flux.context, app.flux.prune) == ("Kustomization", "kind", True)
    assert app.flux.force
    assert app.flux.render["kustomization"]["ignore"] == "*.md"
    assert [c.type for c in app.flux.conditions] == ["Suspended"]


@pytest.mark.parametrize(
    ("ref", "revision"),
    [
        ({}, "master"),
        ({"branch": "b"}, "b"),
        ({"branch": "b", "commit": "c"}, "c"),
        ({"name": "refs/heads/x", "tag": "t"}, "x"),
        ({"name": "refs/tags/y"}, "y"),
    ],
)
async def test_reference_of_the_repository_decides_the_revision(
    ref: dict[str, str], revision: str
) -> None:
    """commit, name, tag, branch: the first that is set; the branch is master by default."""
    app = await converted(kustomization("a", "./"), repository(ref=ref))
    assert app.spec.source is not None
    assert app.spec.source.target_revision == revision


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (flux("Kustomization", "a", path="x"), "source_ref|sourceRef"),
        (flux("Kustomization", "a", sourceRef={"kind": "Bucket", "name": "b"}), "not declared"),
        (flux("Kustomization", "a", sourceRef={"kind": "OCIRepository", "name": "o"}), "oci://r/x"),
        (flux("Kustomization", "a", sourceRef={"kind": "GitRepository", "name": "s"}), "semver"),
        (flux("HelmRelease", "a"), "neither chart nor chartRef"),
    ],
)
async def test_what_cannot_be_read_is_said(found: FluxObject, text: str) -> None:
    """An object that cannot be used is an application that says why, and nothing else breaks."""
    others = (
        flux("OCIRepository", "o", url="oci://r/x"),
        flux("GitRepository", "s", url="https://git.example/s", ref={"semver": ">=1"}),
    )
    app = await converted(found, *others)
    assert len(errors(app)) == 1
    assert any(one in errors(app)[0] for one in text.split("|"))


async def test_variables_come_from_git_then_from_the_cluster() -> None:
    """Inline beats references, later references beat earlier ones, line breaks go; an
    optional Secret that is not read may set names that nothing else does.
    """
    app = await converted(
        kustomization(
            "a", "./",
            postBuild={
                "substitute": {"x": "inline"},
                "substituteFrom": [
                    {"kind": "ConfigMap", "name": "one"},
                    {"kind": "ConfigMap", "name": "live"},
                    {"kind": "ConfigMap", "name": "absent", "optional": True},
                    {"kind": "Secret", "name": "absent", "optional": True},
                ],
            },
        ),
        flux("ConfigMap", "one", data={"v": "git", "x": "git", "w": "a\nb"}),
    )  # fmt: skip
    assert errors(app) == []
    assert substitute(app)["vars"] == {"v": "live", "x": "inline", "w": "ab"}
    assert substitute(app)["unread"] == ""
    assert "optional Secret absent" in substitute(app)["perhaps"]
    assert substitute(await converted(kustomization("a", "./"))) is None


@pytest.mark.parametrize(("name", "text"), [("gone", "neither in Git"), ("hidden", "forbidden")])
async def test_missing_variables_make_the_application_unknown(name: str, text: str) -> None:
    """A ConfigMap that is nowhere, or cannot be seen, is no empty one."""
    reference = {"kind": "ConfigMap", "name": name}
    app = await converted(kustomization("a", "./", postBuild={"substituteFrom": [reference]}))
    assert text in errors(app)[0]


async def test_secret_leaves_certain_what_it_cannot_overwrite() -> None:
    """Of a Secret in Git the keys are known; any other may overwrite all that comes before."""
    references = [{"kind": "ConfigMap", "name": "one"}, {"kind": "Secret", "name": "s"}]
    found = kustomization(
        "a", "./", postBuild={"substitute": {"i": "1"}, "substituteFrom": references}
    )
    one = flux("ConfigMap", "one", data={"v": "1", "w": "2"})
    known = substitute(await converted(found, one, flux("Secret", "s", stringData={"w": "ENC"})))
    assert (known["vars"], known["unknown"]) == ({"v": "1", "i": "1"}, ["w"])
    unknown = substitute(await converted(found, one))
    assert (unknown["vars"], unknown["unknown"]) == ({"i": "1"}, None)
    assert "Secret s" in unknown["unread"]


async def test_other_clusters_are_destinations() -> None:
    """spec.kubeConfig names the cluster as `--cluster NAME=CONTEXT` does."""
    app = await converted(kustomization("a", "./", kubeConfig={"secretRef": {"name": "spoke"}}))
    assert app.spec.destination.name == "spoke"
    assert app.flux is not None
    assert app.flux.context == ""


def release(**fields: Any) -> FluxObject:
    """A HelmRelease whose chart lies in the repository."""
    chart = {"spec": {"chart": "./charts/c", "sourceRef": {**SOURCE, "namespace": "flux-system"}}}
    return flux("HelmRelease", "web", namespace="shop", **{"chart": chart, **fields})


async def test_release_is_read() -> None:
    """Names, namespace, CRDs and layers of values are Flux's, single values at a path last."""
    app = await converted(
        release(
            targetNamespace="prod",
            values={"a": None, "b": 1},
            valuesFrom=[
                {"kind": "ConfigMap", "name": "v", "valuesKey": "k", "targetPath": "x.y"},
                {"kind": "ConfigMap", "name": "v"},
            ],
            install={"crds": "Skip"},
        ),
        flux("ConfigMap", "v", namespace="shop", data={"k": "7", "values.yaml": "b: 0"}),
    )
    assert app.spec.source is not None
    assert app.spec.source.path == "./charts/c"
    assert app.flux is not None
    told = app.flux.render["helmRelease"]
    assert (told["releaseName"], told["namespace"], told["skipCrds"]) == ("prod-web", "prod", True)
    assert [one["from"] for one in told["values"]] == [
        "spec.valuesFrom ConfigMap v", "spec.values", "spec.valuesFrom ConfigMap v",
    ]  # fmt: skip
    assert told["values"][1]["object"] == {"a": None, "b": 1}
    assert app.flux.values == (
        "a.yaml (ConfigMap shop/v, key k) for x.y",
        "spec.values",
        "a.yaml (ConfigMap shop/v, key values.yaml)",
    )
    assert app.flux.crds_once
    updated = await converted(release(upgrade={"crds": "CreateReplace"}))
    assert updated.flux is not None
    assert not updated.flux.crds_once


async def test_the_line_of_values_in_a_config_map() -> None:
    """Values of a ConfigMap in Git are told with the line of their key, where it is found."""
    text = "---\nkind: ConfigMap\nmetadata: {name: v, namespace: shop}\ndata:\n  values.yaml: |\n"
    values = flux("ConfigMap", "v", "apps/v.yaml", namespace="shop", data={"values.yaml": "b: 0"})
    reader = Reader(
        FluxObjects([repository(), values]), read_live, Tree("t", {"apps/v.yaml": text.encode()})
    )
    found = release(valuesFrom=[{"kind": "ConfigMap", "name": "v"}])
    app = await to_application(found, reader, PLACE)
    assert app.flux is not None
    assert app.flux.values == ("apps/v.yaml:5 (ConfigMap shop/v, key values.yaml)",)


async def test_a_release_may_create_its_namespace() -> None:
    """install.createNamespace makes the namespace that the release goes to; without it none is."""
    creating = release(targetNamespace="prod", install={"createNamespace": True})
    assert (await converted(creating)).created_namespace == "prod"
    assert (await converted(release(targetNamespace="prod"))).created_namespace == ""


async def test_whether_a_release_corrects_drift() -> None:
    """Helm's controller puts drift back by itself only in the mode enabled; warn tells of it."""
    for mode, corrects in (("enabled", True), ("warn", False), ("disabled", False), ("", False)):
        app = await converted(release(driftDetection={"mode": mode} if mode else {}))
        assert app.flux is not None
        assert app.flux.corrects_drift is corrects, mode


async def test_unread_values_make_a_release_unknown() -> None:
    """Values of a Secret are not read, and a key that is not there is an error."""
    values = [{"kind": "Secret", "name": "s"}, {"kind": "ConfigMap", "name": "live"}]
    app = await converted(release(valuesFrom=values))
    assert ["is not read" in text or "no key" in text for text in errors(app)] == [True, True]


@pytest.mark.parametrize(
    "fields",
    [
        {"chart": {"spec": {"chart": "c", "version": "1", "sourceRef":
                            {"kind": "HelmRepository", "name": "h", "namespace": "flux-system"}}}},
        {"chart": None, "chartRef": {"kind": "OCIRepository", "name": "o",
                                     "namespace": "flux-system"}},
        {"chart": None, "chartRef": {"kind": "HelmChart", "name": "hc",
                                     "namespace": "flux-system"}},
    ],
)  # fmt: skip
async def test_remote_charts_are_charts(fields: dict[str, Any]) -> None:
    """A chart of a repository or registry is a source with its URL and name."""
    app = await converted(
        release(**fields),
        flux("HelmRepository", "h", url="https://charts.example"),
        flux("OCIRepository", "o", url="oci://registry.example/c"),
        flux("HelmChart", "hc", chart="c", sourceRef={"kind": "HelmRepository", "name": "h"}),
    )
    assert errors(app) == []
    assert app.spec.source is not None
    source = app.spec.source
    assert (source.repo_url, source.chart, source.target_revision) in {
        ("https://charts.example", "c", "1"),
        ("https://charts.example", "c", ""),
        ("oci://registry.example/c", "", "latest"),
    }


def test_long_release_names_are_shortened() -> None:
    """The composition is cut at 40 characters and ends in its hash."""
    spec = HelmReleaseSpec(target_namespace="a-very-lengthy-target-namespace")
    name = release_name(spec, "with-a-nice-object-name")
    assert name == "a-very-lengthy-target-namespace-with-a-n-97af5d7f41f3"
    assert release_name(HelmReleaseSpec(release_name="r"), "x") == "r"
    assert release_name(HelmReleaseSpec(), "x") == "x"


async def test_ignore_rules_become_rules_of_the_application() -> None:
    """Pointers and plain targets are taken over; selectors are told, not guessed."""
    app = await converted(
        kustomization(
            "a", "./",
            ignore=[
                {"paths": ["/spec/replicas"], "target": {"kind": "Deployment", "name": "web"}},
                {"paths": ["/data"], "target": {"labelSelector": "a=b"}},
                {"paths": ["/x"]},
            ],
        )
    )  # fmt: skip
    rules = [(one.group, one.kind, one.name, one.json_pointers) for one in
             app.spec.ignore_differences]  # fmt: skip
    assert rules == [
        ("*", "Deployment", "web", ("/spec/replicas",)),
        ("*", "*", "", ()),
        ("*", "*", "", ("/x",)),
    ]
    assert app.flux is not None
    assert [c.type for c in app.flux.conditions] == ["IgnoreRuleFailed"]


@pytest.mark.parametrize("text", ["main@sha1:{}", "main/{}", "sha1:{}"])
async def test_applied_revision_is_the_synced_one(text: str) -> None:
    """Every way in which Flux has written revisions is understood."""
    commit = "a" * 40
    found = kustomization("a", "./")
    found.body["status"] = {"lastAppliedRevision": text.format(commit)}
    assert (await converted(found)).synced_revisions == (commit,)


async def test_equal_names_are_told_apart_by_kind() -> None:
    """A HelmRelease named like a Kustomization of its namespace says what it is."""
    one = await converted(kustomization("web", "./"))
    other = await converted(flux("HelmRelease", "web"))
    assert [app.name for app in told_apart([one, other])] == ["prod/web", "helmrelease/prod/web"]
