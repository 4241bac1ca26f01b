"""Lines and owners that a preview tells: a real repository and sandbox, a cluster in memory."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from msgspec import UNSET

from driftd.cli import preview_findings as findings
from driftd.cluster.destinations import ClusterTarget
from driftd.controller.options import CheckOptions
from driftd.controller.preview import preview
from driftd.errors import SourceError, Unreachable
from driftd.model.preview import (
    Action,
    ApplicationAction,
    ApplicationPreview,
    FieldKind,
    PreviewReport,
)
from driftd.model.report import ReportOrigin
from driftd.source.repositories import Repositories
from tests.unit.controller.builders import URL
from tests.unit.controller.conftest import World
from tests.unit.reports import START, VirtualClock

pytestmark = pytest.mark.slow

MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\ndata: {colour: red}\n"


async def previewed(world: World, *names: str) -> PreviewReport:
    """What merging the branch `change`, which is checked out, into `main` does to applications."""
    repositories = await Repositories.open([str(world.repo.path)])
    workspace = replace(world.workspace, repositories=repositories)
    return await preview(
        workspace,
        CheckOptions(applications=names),
        "main",
        progress=world.progress,
        clock=VirtualClock(START),
    )


def one(report: PreviewReport, name: str) -> ApplicationPreview:
    """The application of a name."""
    return next(app for app in report.applications if app.name == name)


async def test_a_kind_that_is_not_served_has_its_place(world: World) -> None:
    """The condition of an object whose kind is unknown begins with the line that names the kind."""
    cluster = world.clusters.open(ClusterTarget("context", "one"))
    cluster.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    world.repo.git("checkout", "--quiet", "-b", "change")
    wrong = MAP.replace("ConfigMap", "Configmap").replace("NAME", "odd")
    world.repo.write("apps/shop/odd.yaml", f"# odd\n{wrong}")
    world.repo.commit()
    (condition,) = one(await previewed(world), "shop").conditions
    assert condition.type == "KindNotServed"
    assert condition.message.startswith(
        "apps/shop/odd.yaml:3: Configmap shop/odd: the cluster does not serve v1 Configmap"
    )


async def test_an_object_of_an_overlay_has_its_line(world: World) -> None:
    """A new object that Kustomize renders has the line of its document in the base."""
    world.repo.git("checkout", "--quiet", "-b", "change")
    world.repo.write("base/kustomization.yaml", "resources: [maps.yaml]\n")
    world.repo.write("base/maps.yaml", f"{MAP}---\n{MAP}".replace("NAME", "a", 1))
    world.repo.write("apps/shop/kustomization.yaml", "resources: [../../base, map.json]\n")
    world.repo.commit()
    found = {each.name: each.origin for each in one(await previewed(world), "shop").resources}
    assert all(origin is not UNSET for origin in found.values())
    assert {name: (at.file, at.line) for name, at in found.items() if at is not UNSET} == {
        "a": ("base/maps.yaml", 1),
        "NAME": ("base/maps.yaml", 6),
    }


async def test_a_renamed_volume_has_its_line(world: World) -> None:
    """An item whose key alone changes has the line that it has under the new key."""
    cluster = world.clusters.open(ClusterTarget("context", "one"))
    cluster.down = Unreachable("cluster one: timed out", hint="is it up?")
    text = (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n"
        "  containers: [{name: web, image: web}]\n  volumes:\n"
        "    - name: other\n      emptyDir: {sizeLimit: 1Gi}\n"
        "    - name: cache\n      emptyDir: {}\n"
    )
    world.repo.write("apps/shop/kustomization.yaml", "resources: [web.yaml, map.json]\n")
    world.repo.write("apps/shop/web.yaml", text)
    world.repo.commit()
    world.repo.git("checkout", "--quiet", "-b", "change")
    world.repo.write("apps/shop/web.yaml", text.replace("cache", "store"))
    world.repo.commit()
    (resource,) = one(await previewed(world), "shop").resources
    (change,) = resource.changes
    assert (change.kind, change.new) == (FieldKind.RENAMED, {"name": "store", "emptyDir": {}})
    assert change.origin == ReportOrigin(file="apps/shop/web.yaml", line=9)


async def test_a_namespace_that_is_taken_out_has_its_line(world: World) -> None:
    """What goes with a Namespace of an overlay begins with the line that declared it."""
    cluster = world.clusters.open(ClusterTarget("context", "one"))
    cluster.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    space = "# ours\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
    world.repo.write("apps/shop/space.yaml", space)
    world.repo.write("apps/shop/kustomization.yaml", "resources: [space.yaml, map.json]\n")
    world.repo.commit()
    world.repo.git("checkout", "--quiet", "-b", "change")
    world.repo.write("apps/shop/kustomization.yaml", "resources: [map.json]\n")
    world.repo.commit()
    (condition,) = one(await previewed(world), "shop").conditions
    assert condition.type == "NamespaceInUse"
    lead = "apps/shop/space.yaml:2: Git no longer declares Namespace shop, but 2 objects in it: "
    assert condition.message.startswith(lead)


@pytest.mark.parametrize("how", ["down", "unknown"])
async def test_a_copy_of_an_application_without_a_cluster(world: World, how: str) -> None:
    """Git alone tells that a new application declares what one does that stays as it is."""
    world.repo.git("tag", "v1")
    if how == "down":
        cluster = world.clusters.open(ClusterTarget("context", "one"))
        cluster.down = Unreachable("cluster one: timed out", hint="is it up?")
    pinned = {"repoURL": URL, "path": "apps/shop", "targetRevision": "v1"}
    world.declare("shop", "one" if how == "down" else "nowhere", source=pinned)
    world.repo.commit()
    world.repo.git("checkout", "--quiet", "-b", "change")
    body = (world.repo.path / "argocd/shop.json").read_text()
    world.repo.write("argocd/copy.json", body.replace('"name": "shop"', '"name": "copy"', 1))
    world.repo.commit()
    report = await previewed(world)
    copy = one(report, "copy")
    shared = [c.message for c in copy.conditions if c.type == "SharedResourceWarning"]
    assert shared == [
        "the applications copy and shop would declare the same object: ConfigMap shop/shop"
    ]
    assert [app.name for app in report.applications] == ["copy"]
    (resource,) = copy.resources
    assert resource.reason == "application shop declares it too: each sync undoes the other's"


def declared_by_a_set(world: World, pattern: str) -> None:
    """Let an ApplicationSet alone declare what stands in the folders of a pattern."""
    template = {
        "metadata": {"name": "set-{{path.basename}}"},
        "spec": {
            "source": {"repoURL": URL, "path": "{{path}}"},
            "destination": {"name": "one", "namespace": "shop"},
        },
    }
    generator = {"git": {"repoURL": URL, "directories": [{"path": pattern}]}}
    document = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "ApplicationSet",
        "metadata": {"name": "fleet", "namespace": "argocd"},
        "spec": {"generators": [generator], "template": template},
    }
    world.repo.write("argocd/set.json", json.dumps(document))


async def test_a_set_that_comes_to_match_nothing(world: World) -> None:
    """A slip in the only set removes all it made; of a set without any before, it is an error."""
    for name in ("shop", "kept"):
        world.repo.remove(f"argocd/{name}.json")
    declared_by_a_set(world, "apps/*")
    world.repo.commit()
    world.repo.git("checkout", "--quiet", "-b", "change")
    declared_by_a_set(world, "app/*")
    world.repo.commit()
    report = await previewed(world)
    assert [(app.name, app.action) for app in report.applications] == [
        ("set-kept", ApplicationAction.DELETE),
        ("set-shop", ApplicationAction.DELETE),
    ]
    assert [each.action for app in report.applications for each in app.resources] == [
        Action.DELETE,
        Action.DELETE,
    ]
    (told,) = [each for each in report.conditions if each.type == "ApplicationSetEmpty"]
    assert told.message.endswith(
        "generates no Application: nothing in the repository matches app/*; did you mean apps/*?"
    )
    world.repo.git("checkout", "--quiet", "-B", "main")
    with pytest.raises(SourceError, match="nothing in the repository matches app/"):
        await previewed(world)


async def test_a_failing_template_has_its_values(world: World) -> None:
    """Where a value breaks a template, its condition ends with the files of values."""
    chart = "apiVersion: v2\nname: web\nversion: 1.0.0\n"
    template = MAP.replace("NAME", "{{ .Values.image.name }}")
    world.repo.write("charts/web/Chart.yaml", chart)
    world.repo.write("charts/web/templates/map.yaml", template)
    world.repo.write("charts/web/values.yaml", "{}\n")
    world.repo.write("charts/web/prod.yaml", "image: {name: a}\n")
    helm = {"valueFiles": ["prod.yaml"]}
    source = {"repoURL": URL, "path": "charts/web", "helm": helm}
    world.declare("web", source=source)
    world.declare("two", sources=[{"repoURL": URL, "path": "apps/two"}, source], source=None)
    world.repo.commit()
    world.repo.git("checkout", "--quiet", "-b", "change")
    world.repo.write("charts/web/prod.yaml", "imgae: {name: a}\n")
    world.repo.commit()
    report = await previewed(world)
    for name in ("web", "two"):
        (told,) = [c for c in one(report, name).conditions if c.type == "ComparisonError"]
        assert "nil pointer evaluating interface {}.name; its values are in" in told.message
        assert told.message.endswith(
            "in charts/web/prod.yaml, charts/web/values.yaml (the defaults, shared by all that use "
            "the chart)"
        )
    world.repo.write("charts/web/prod.yaml", "# ours\nimage: a\n")
    world.repo.commit()
    report = await previewed(world)
    for name in ("web", "two"):  # proven by rendering once more
        (told,) = [c for c in one(report, name).conditions if c.type == "ComparisonError"]
        assert told.message.endswith(
            "; charts/web/prod.yaml:2: the change gives image another value, and with that of the "
            "base the chart renders"
        )


async def test_a_broken_reference_has_the_line_of_its_field(world: World) -> None:
    """Also of an object that Kustomize renders, whose own line is not known."""
    pod = (
        "spec: {template: {spec: {\n  serviceAccountName: ACCOUNT,\n  containers: [{name: web,\n"
        "    ports: [{name: http, containerPort: 80}],\n    livenessProbe: {httpGet:\n"
        "      {port: PORT}}}]}}}\n"
    )
    web = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n" + pod
    account = MAP.replace("ConfigMap", "ServiceAccount").replace("NAME", "runner")
    world.repo.write("apps/shop/kustomization.yaml", "resources: [web.yaml, account.yaml]\n")
    world.repo.write("apps/shop/account.yaml", account)
    world.repo.write("apps/shop/web.yaml", web.replace("ACCOUNT", "runner").replace("PORT", "http"))
    world.repo.commit()
    world.repo.git("checkout", "--quiet", "-b", "change")
    web = web.replace("ACCOUNT", "runer").replace("PORT", "http").replace("name: http", "name: www")
    world.repo.write("apps/shop/web.yaml", web.replace("{name: web,", "{name: front,"))
    world.repo.commit()
    told = [
        condition.message
        for condition in one(await previewed(world), "shop").conditions
        if condition.type == "DanglingReference"
    ]
    assert told == [
        (
            "apps/shop/web.yaml:9: Deployment.apps shop/web: "
            "containers[name=front].livenessProbe.httpGet.port http is no port of the container; "
            "at the base it was whole"
        ),
        (
            "apps/shop/web.yaml:5: Deployment.apps shop/web: serviceAccountName names "
            "ServiceAccount runer, which no application declares; at the base it was "
            "ServiceAccount runner; did you mean runner?"
        ),
    ]


async def test_a_changed_field_of_a_chart_has_its_value(world: World) -> None:
    """The line of the values file that the change is in; what no value decides has none."""
    template = "".join(
        (MAP.replace("NAME", "web"), "  size: {{ .Values.size | quote }}\n",
         "  colour: {{ .Values.colour }}\n", "  sum: {{ .Values.size | toString | sha256sum }}\n")
    ).replace("data: {colour: red}", "data:")  # fmt: skip
    world.repo.write("charts/web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n")
    world.repo.write("charts/web/templates/map.yaml", template)
    world.repo.write("charts/web/values.yaml", "size: 1\ncolour: red\n")
    world.repo.write("charts/web/prod.yaml", "# prod\nsize: 2\n")
    helm = {"valueFiles": ["prod.yaml"]}
    world.declare("web", source={"repoURL": URL, "path": "charts/web", "helm": helm})
    world.repo.commit()
    world.repo.git("checkout", "--quiet", "-b", "change")
    world.repo.write("charts/web/prod.yaml", "# prod\nsize: 3\n")
    world.repo.write("charts/web/values.yaml", "size: 1\ncolour: blue\n")
    world.repo.commit()
    (changed,) = one(await previewed(world), "web").resources
    told = {findings.path_of(f, changed): findings.place_of(f, changed) for f in changed.changes}
    assert told == {
        "data.colour": "from charts/web/values.yaml:2: colour",
        "data.size": "from charts/web/prod.yaml:2: size",
        "data.sum": "",
    }
    note = findings.origin_to_note(changed)
    assert note is not None
    assert note.line == 2


async def test_a_change_that_mends_an_application(world: World) -> None:
    """What merging deploys is held against the cluster; why the base is no measure is a warning."""
    world.declare("shop", destination={"namespace": "shop"})
    for name in ("new", "same"):
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {}}
        world.repo.write(f"apps/shop/{name}.json", json.dumps(body))
    cluster = world.clusters.open(ClusterTarget("context", "one"))
    cluster.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    metadata = {"name": "same", "namespace": "shop"}
    cluster.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {}})
    world.paint("shop", "red")
    world.repo.commit()
    world.repo.git("checkout", "--quiet", "-b", "change")
    world.declare("shop")
    world.repo.commit()
    report = await previewed(world)
    app = one(report, "shop")
    assert report.sound
    assert app.action is ApplicationAction.CHANGE
    assert "spec.destination; Argo CD refuses the spec of the base" in str(app.reason)
    (told,) = app.conditions
    assert (told.type, told.severity) == ("InvalidSpecError", "warning")
    assert told.message.startswith("at the base: argocd/shop.json")
    assert [(each.action, each.name) for each in app.resources] == [
        (Action.CREATE, "new"),
        (Action.CHANGE, "shop"),
    ]
    (change,) = app.resources[1].changes
    assert (change.path, change.old, change.new) == ("/data/colour", "red", "blue")


async def test_a_new_application_that_is_refused(world: World) -> None:
    """It is told as refused at its destination, of which no cluster is said to go unread."""
    world.repo.git("checkout", "--quiet", "-b", "change")
    world.declare("odd", cluster="far", source=None)
    world.repo.commit()
    report = await previewed(world)
    app = one(report, "odd")
    assert app.action is ApplicationAction.REFUSE
    assert findings.cluster_of(app) == "far"
    assert not report.sound
    assert "argocd/odd.json" in app.conditions[0].message
    assert "ClusterNotReadWarning" not in [each.type for each in report.conditions]


async def test_only_what_was_asked_for_is_told(world: World) -> None:
    """Others are compared beside one that is removed, and told with neither it nor its cluster."""
    world.repo.git("checkout", "--quiet", "-b", "change")
    world.repo.remove("argocd/shop.json")
    world.repo.write("apps/kept/more.yaml", MAP.replace("NAME", "more"))
    world.declare("far", cluster="far")
    world.repo.commit()
    assert [app.name for app in (await previewed(world)).applications] == ["far", "kept", "shop"]
    report = await previewed(world, "shop")
    assert [(app.name, app.action) for app in report.applications] == [
        ("shop", ApplicationAction.DELETE)
    ]
    assert report.summary.applications == {"delete": 1}
    assert not any("far" in each.message for each in report.conditions)


APP = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: own, namespace: argocd}
spec:
  source:
    repoURL: URL
    path: apps/shop
    targetRevision: HEAD
  destination: {name: one, namespace: shop}
  syncPolicy:
    automated: {selfHeal: false}
"""


async def test_the_fields_of_an_applications_own_document(world: World) -> None:
    """Each that changes has its values and line; none where another application declares it."""
    world.repo.remove("argocd/shop.json")
    app = APP.replace("URL", URL)
    changed = app.replace("selfHeal: false", "prune: true").replace("HEAD", "main")
    world.repo.write("own/app.yaml", app)
    world.repo.commit()
    world.repo.git("checkout", "--quiet", "-b", "change")
    world.repo.write("own/app.yaml", changed)
    world.repo.commit()
    own = one(await previewed(world), "own")
    assert list(findings.own_fields(own, width=60)) == [
        "spec.source.targetRevision  HEAD → main  (in own/app.yaml:8)",
        "spec.syncPolicy.automated.prune  (not set) → true  (in own/app.yaml:11)",
        "spec.syncPolicy.automated.selfHeal  false → (removed)",
    ]
    world.repo.git("checkout", "--quiet", "main")
    source = {"repoURL": URL, "path": "own"}
    world.declare("root", source=source)
    world.repo.commit()
    world.repo.git("checkout", "--quiet", "-B", "change")
    world.repo.write("own/app.yaml", changed)
    world.repo.commit()
    report = await previewed(world)
    assert [each.name for each in one(report, "root").resources] == ["own"]
    assert list(findings.own_fields(one(report, "own"), width=60)) == []
