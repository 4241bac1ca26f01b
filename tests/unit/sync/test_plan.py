"""What driftd would write, and above all what it would not."""

from __future__ import annotations

import json

import msgspec
import pytest

from driftd.model.application import AutomatedSync
from driftd.model.flux import FluxSpec
from driftd.model.report import (
    ChangeClass,
    ChangeKind,
    Evidence,
    Invalid,
    ResourceReport,
    ResourceStatus,
)
from driftd.settings.healing import Rung
from driftd.sync.plan import plan
from tests.unit.reports import change, report, resource
from tests.unit.sync.builders import application, manifest

WEB = manifest("web", spec={"replicas": 3})
REPLICAS = change("/spec/replicas", desired=3, live=5)


def planned(*resources, manifests=(WEB,), app=None, rung=Rung.FIELDS, deployers=(), held=()):
    """The plan for a look at these objects."""
    look = report(*resources, deployers=deployers)
    return plan(app or application(), look, manifests, rung=rung, held=held)


def reasons(found):
    """Why each skipped object is skipped."""
    return {s.key.name: s.reason for s in found.skipped}


def test_a_drifted_object_is_applied_whole_with_preconditions():
    """The body is what Git declares plus the uid and resourceVersion of the verdict."""
    [task] = planned(resource("web", REPLICAS)).tasks
    assert json.loads(task.body) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "uid": "uid-web",
            "resourceVersion": "41",
        },
        "spec": {"replicas": 3},
    }
    assert (task.create, task.remains) == (False, ())


def test_a_missing_object_is_created_without_preconditions():
    """Nothing is known of an object that is not there; a uid in Git is not sent."""
    gone = manifest("web", spec={})
    body = json.loads(gone.body)
    body["metadata"]["uid"] = "from-git"
    body["metadata"]["managedFields"] = []
    gone = type(gone)(gone.key, gone.version, json.dumps(body).encode(), gone.origin)
    [task] = planned(resource("web", status=ResourceStatus.MISSING), manifests=[gone]).tasks
    assert json.loads(task.body)["metadata"] == {"name": "web", "namespace": "shop"}
    assert task.create


def test_an_accepted_missing_object_is_not_created():
    """What a baseline accepts as Missing is left so, and the plan says why."""
    gone = msgspec.structs.replace(
        resource("web", status=ResourceStatus.MISSING), ignored_by="baseline b#1"
    )
    found = planned(gone)
    assert (found.tasks, reasons(found)) == (
        (),
        {"web": "that it is Missing is accepted by baseline b#1"},
    )


def test_masked_values_of_the_report_are_never_applied():
    """The body comes from Git alone (invariant 3): a mask cannot reach the cluster."""
    secret = manifest("db", kind="Secret", api_version="v1", data={"password": "Z2l0"})
    masked = {"masked": True}
    look = resource(
        "db", change("/data/password", desired=masked, live=masked), kind="Secret", group=""
    )
    [task] = planned(look, manifests=[secret]).tasks
    assert json.loads(task.body)["data"] == {"password": "Z2l0"}
    assert b"masked" not in task.body


@pytest.mark.parametrize(
    ("app", "rung", "deployers", "expected"),
    [
        (application(), Rung.OBSERVE, (), "not opened healing"),
        (application(automated=None), Rung.FIELDS, (), "does not ask for"),
        (application(automated=AutomatedSync(prune=True)), Rung.FIELDS, (), "does not ask for"),
        (
            application(automated=AutomatedSync(enabled=False, self_heal=True)),
            Rung.FIELDS,
            (),
            "does not ask for",
        ),
        (
            application(annotations={"argocd.argoproj.io/skip-reconcile": "true"}),
            Rung.FIELDS,
            (),
            "paused",
        ),
        (application(origin="hub production"), Rung.FIELDS, (), "Argo CD manages"),
        (application(), Rung.FIELDS, ("kubectl", "argocd-controller"), "Argo CD is active"),
        (application(), Rung.FIELDS, ("argocd-application-controller",), "Argo CD is active"),
        (application(), Rung.FIELDS, ("kustomize-controller",), "Flux is active"),
        (application(), Rung.DRY_RUN, ("helm-controller",), "Flux is active"),
    ],
)
def test_whole_applications_that_are_left_alone(app, rung, deployers, expected):
    """Without both consents, and where another engine is active, there is no task at all."""
    found = planned(resource("web", REPLICAS), app=app, rung=rung, deployers=deployers)
    assert expected in found.refusal
    assert found.tasks == ()


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"managers": {"helm", "argocd-controller"}}, "Argo CD is active"),
        ({"complete": False}, "not everything that Git declares"),
    ],
)
def test_what_is_known_beside_the_report(known, expected):
    """An engine that is no deployer, and half of what Git declares, stop every write."""
    look = report(resource("web", REPLICAS))
    found = plan(application(), look, [WEB], rung=Rung.FIELDS, **known)
    assert expected in found.refusal
    assert found.tasks == ()


def test_deployers_that_are_no_engines_do_not_stop_healing():
    """kubectl, Helm and driftd itself do not put things back by themselves."""
    found = planned(resource("web", REPLICAS), deployers=("driftd", "helm", "kubectl"))
    assert (found.refusal, len(found.tasks)) == ("", 1)


@pytest.mark.parametrize(
    ("look", "expected"),
    [
        (resource("web", status=ResourceStatus.UNKNOWN), "could not be judged"),
        (resource("web", status=ResourceStatus.PENDING), "Git is ahead"),
        (resource("web", status=ResourceStatus.EXTRA), "driftd never deletes"),
        (
            resource("web", REPLICAS, change("/spec/x", change_class=ChangeClass.PENDING)),
            "Git is ahead",
        ),
        (resource("web", REPLICAS, change("/spec/x", ignored_by="r")), "ignored differences"),
    ],
)
def test_objects_that_are_left_alone_with_a_reason(look, expected):
    """Unknown, pending, extra and partly ignored objects are skipped and say so."""
    found = planned(look)
    assert found.tasks == ()
    assert expected in reasons(found)["web"]


@pytest.mark.parametrize(
    "look",
    [
        resource("web"),
        resource("web", status=ResourceStatus.NOT_CHECKED),
        resource("web", change("/spec/x", change_class=ChangeClass.REWRITTEN)),
        resource("web", change("/spec/x", change_class=ChangeClass.INJECTED)),
        resource("web", change("/spec/x", change_class=ChangeClass.REVIEW)),
    ],
)
def test_objects_without_drift_are_not_mentioned(look):
    """Synced objects, also those with rewritten or injected fields, are never written."""
    found = planned(look)
    assert (found.tasks, found.skipped) == ((), ())


def test_repeated_and_protected_objects_are_held():
    """A key declared twice, a held key and a protected manifest are not written."""
    never = manifest("safe", annotations={"driftd.io/heal": "never"})
    looks = [resource(name, REPLICAS) for name in ("web", "api", "safe", "lost")]
    found = planned(
        *looks,
        manifests=[WEB, WEB, manifest("api"), never],
        held={manifest("api").key},
    )
    assert found.tasks == ()
    assert reasons(found) == {
        "web": "it is declared more than once",
        "api": "it is declared more than once",
        "safe": "its manifest says driftd.io/heal: never",
        "lost": "its manifest is not at hand",
    }


def test_a_verdict_without_evidence_is_not_acted_upon():
    """Without uid and resourceVersion a write could hit another object than was judged."""
    look = ResourceReport(
        group="apps",
        version="v1",
        kind="Deployment",
        namespace="shop",
        name="web",
        status=ResourceStatus.OUT_OF_SYNC,
        evidence=Evidence(uid="u"),
        changes=(REPLICAS,),
    )
    assert "which live object" in reasons(planned(look))["web"]


def test_additions_that_an_apply_cannot_remove_are_named():
    """Beside a healable field they are `remains`; alone they are no reason to write."""
    added = change(
        "/spec/template/spec/hostNetwork",
        kind=ChangeKind.ADDED,
        change_class=ChangeClass.UNDECLARED,
        live=True,
    )
    [task] = planned(resource("web", REPLICAS, added)).tasks
    assert task.remains == ("/spec/template/spec/hostNetwork",)
    alone = planned(resource("web", added))
    assert alone.tasks == ()
    [skipped] = alone.skipped
    assert "cannot remove" in skipped.reason
    assert skipped.remains == ("/spec/template/spec/hostNetwork",)


def test_what_driftd_itself_declared_formerly_is_removed_by_an_apply():
    """A field that only driftd's own apply owns goes with the next apply; others' stays."""
    former = {"kind": ChangeKind.FORMERLY_DECLARED, "live": "x"}
    own = change("/data/a", manager="driftd", operation="Apply", **former)
    [task] = planned(resource("web", own)).tasks
    assert task.remains == ()
    foreign = change("/data/a", manager="kubectl", operation="Apply", **former)
    assert planned(resource("web", foreign)).tasks == ()


@pytest.mark.parametrize("live", [5, 1])
def test_replicas_that_git_leaves_out_from_now_on(live):
    """They would fall back to one at the next apply: held, unless there is one already."""
    former = change(
        "/spec/replicas",
        kind=ChangeKind.FORMERLY_DECLARED,
        live=live,
        manager="driftd",
        operation="Apply",
    )
    found = planned(resource("web", former, change("/spec/paused", desired=False, live=True)))
    assert len(found.tasks) == (live == 1)
    if live != 1:
        assert "an apply would set them to 1" in reasons(found)["web"]


def test_order_is_wave_then_kind_then_name():
    """Argo CD's order; kinds that it does not name come last."""
    wave = "argocd.argoproj.io/sync-wave"
    manifests = [
        manifest("late", kind="ConfigMap", api_version="v1", annotations={wave: "1"}),
        manifest("x", kind="Widget", api_version="example.com/v1"),
        manifest("b"),
        manifest("a"),
        manifest("svc", kind="Service", api_version="v1"),
        manifest("early", kind="Job", api_version="batch/v1", annotations={wave: "-1"}),
        manifest("odd", kind="CronJob", api_version="batch/v1", annotations={wave: "soon"}),
    ]
    looks = [
        resource(m.key.name, kind=m.key.kind, group=m.key.group, status=ResourceStatus.MISSING)
        for m in manifests
    ]
    found = planned(*looks, manifests=manifests)
    assert [t.key.name for t in found.tasks] == ["early", "svc", "a", "b", "odd", "x", "late"]


def test_namespaces_and_definitions_come_before_what_needs_them():
    """A namespace or a definition takes over the wave of its first user."""
    wave = "argocd.argoproj.io/sync-wave"
    manifests = [
        manifest("web", annotations={wave: "-5"}),
        manifest("w", kind="Widget", api_version="example.com/v1", annotations={wave: "-7"}),
        manifest("shop", kind="Namespace", api_version="v1", namespace=""),
        manifest(
            "widgets.example.com",
            kind="CustomResourceDefinition",
            api_version="apiextensions.k8s.io/v1",
            namespace="",
            spec={"group": "example.com", "names": {"kind": "Widget"}},
        ),
    ]
    looks = [
        resource(
            m.key.name,
            kind=m.key.kind,
            group=m.key.group,
            namespace=m.key.namespace,
            status=ResourceStatus.MISSING,
        )
        for m in manifests
    ]
    found = planned(*looks, manifests=manifests)
    assert [t.key.kind for t in found.tasks] == [
        "Namespace",
        "CustomResourceDefinition",
        "Widget",
        "Deployment",
    ]


@pytest.mark.parametrize("kind", ["Kustomization", "HelmRelease"])
def test_nothing_is_written_to_an_application_of_flux(kind):
    """Whatever rung is open and whoever wrote the objects: Flux puts its own back."""
    spec = FluxSpec(kind=kind, object_name="apps", render={})
    app = msgspec.structs.replace(application(), flux=spec)
    assert planned(resource("web", REPLICAS)).tasks
    found = planned(resource("web", REPLICAS), app=app)
    assert (found.tasks, found.refusal) == (
        (),
        f"Flux manages this application as a {kind}; let it reconcile",
    )


def test_what_is_rendered_otherwise_each_time_is_not_healed():
    """Healing would write another random value at every look."""
    unstable = msgspec.structs.replace(WEB, unstable=("/spec/seed",))
    found = planned(resource("web", REPLICAS), manifests=[unstable])
    assert (found.tasks, reasons(found)) == ((), {"web": "it is rendered otherwise each time"})


def test_objects_of_other_applications_too_are_held():
    """What another application declares as well is written for none, and the plan says whose."""
    look = report(resource("web", REPLICAS), resource("api", status=ResourceStatus.MISSING))
    api = manifest("api")
    shared = {api.key: "argocd/other (api.yaml)", WEB.key: "argocd/other (web.yaml)"}
    found = plan(application(), look, [WEB, api], rung=Rung.FIELDS, shared=shared)
    assert found.tasks == ()
    assert reasons(found) == {
        "api": "it is declared by argocd/other (api.yaml) too",
        "web": "it is declared by argocd/other (web.yaml) too",
    }


def test_a_mistake_in_git_is_not_applied():
    """An apply of what the API server drops or refuses ends no drift: Git is to be corrected."""
    wrong = msgspec.structs.replace(
        change("/spec/replcas", kind=ChangeKind.MISSING, desired=2),
        invalid=Invalid(cause="UnknownField", path="/spec/replcas", message="no such field"),
    )
    found = planned(resource("web", REPLICAS, wrong))
    assert found.tasks == ()
    assert reasons(found) == {"web": "Git is to be corrected at /spec/replcas: no such field"}


def test_a_missing_object_with_a_mistake_is_not_created():
    """What the API server refuses is not tried again with each look."""
    wrong = Invalid(cause="WrongType", path="/spec/replicas", message="an integer is expected")
    gone = msgspec.structs.replace(resource("web", status=ResourceStatus.MISSING), invalid=wrong)
    found = planned(gone)
    assert (found.tasks, reasons(found)) == (
        (),
        {"web": "Git is to be corrected at /spec/replicas: an integer is expected"},
    )
