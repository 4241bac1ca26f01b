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
from driftd.model.resource import LiveObject
from driftd.settings.healing import Rung
from driftd.sync.plan import plan
from tests.unit.reports import change, report, resource
from tests.unit.sync.builders import application, manifest

WEB = manifest("web", spec={"replicas": 3})
REPLICAS = change("/spec/replicas", desired=3, live=5)


def planned(*resources, manifests=(WEB,), app=None, rung=Rung.FIELDS, deployers=(), **fields):
    """The plan for a look at these objects."""
    look = report(*resources, deployers=deployers)
    return plan(app or application(), look, manifests, rung=rung, **fields)


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
        (application(automated=None), Rung.FIELDS, ("argocd-controller",), "Argo CD is active"),
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


def test_what_it_would_take_is_foreseen_where_nothing_may_be_written():
    """Asked to foresee, a refused plan has its tasks beside the refusal; half of Git has none."""
    look = report(resource("web", REPLICAS))
    known = {"rung": Rung.FIELDS, "managers": {"argocd-controller"}, "foreseen": True}
    found = plan(application(), look, [WEB], **known)
    assert "Argo CD is active" in found.refusal
    assert [task.key.name for task in found.tasks] == ["web"]
    assert plan(application(), look, [WEB], **{**known, "complete": False}).tasks == ()


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
        (resource("web", REPLICAS, change("/spec/x", ignored_by="r")), "not at hand"),
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


def live_of(declared, **content):
    """The live object of a manifest, with other content, as the verdict of `resource` saw it."""
    body = json.loads(declared.body)
    body["metadata"] |= {"uid": f"uid-{declared.key.name}", "resourceVersion": "41"}
    body = {**body, **content}
    served = json.dumps(body).encode()
    return LiveObject(declared.key, "v1", body["metadata"]["uid"], "41", served)


def with_live(look, declared, live, **more):
    """The plan for one object whose live state is at hand."""
    seen = {} if live is None else {declared.key: live}
    return plan(application(), report(look), [declared], rung=Rung.FIELDS, live=seen, **more)


def operations(task):
    """The patch of a task, without the tests that it begins with."""
    first, second, *rest = task.removals
    assert (first.op, first.path, first.value) == ("test", "/metadata/uid", f"uid-{task.key.name}")
    assert (second.op, second.path, second.value) == ("test", "/metadata/resourceVersion", "41")
    return [(one.op, one.path, one.value) for one in rest]


ADDED = change(
    "/spec/paused", kind=ChangeKind.ADDED, change_class=ChangeClass.UNDECLARED, live=True
)


def test_additions_are_left_and_named_unless_the_rule_says_otherwise():
    """Beside a healable field they are `remains`; alone they are no reason to write."""
    live = live_of(WEB, spec={"replicas": 5, "paused": True})
    [task] = with_live(resource("web", REPLICAS, ADDED), WEB, live).tasks
    assert (task.remains, task.removals) == (("/spec/paused",), ())
    alone = with_live(resource("web", ADDED), WEB, live)
    assert alone.tasks == ()
    [skipped] = alone.skipped
    assert "undeclared: true" in skipped.reason
    assert skipped.remains == ("/spec/paused",)


def test_additions_are_removed_where_the_rule_says_so():
    """One patch takes the addition out and puts the declared value back, before the apply."""
    live = live_of(WEB, spec={"replicas": 5, "paused": True})
    look = resource("web", REPLICAS, ADDED)
    [task] = with_live(look, WEB, live, undeclared=True).tasks
    assert operations(task) == [
        ("remove", "/spec/paused", None),
        ("replace", "/spec/replicas", 3),
    ]
    assert (task.remains, task.heals) == ((), (REPLICAS, ADDED))


def test_what_was_declared_formerly_is_removed_by_the_patch():
    """An apply would leave it to whoever else owns it; nothing is patched without live state."""
    former = change("/spec/paused", kind=ChangeKind.FORMERLY_DECLARED, live=True, manager="kubectl")
    live = live_of(WEB, spec={"replicas": 3, "paused": True})
    [task] = with_live(resource("web", former), WEB, live).tasks
    assert operations(task) == [("remove", "/spec/paused", None)]
    blind = with_live(resource("web", former), WEB, None)
    assert (blind.tasks, reasons(blind)) == (
        (),
        {"web": "it cannot be put back without a doubt: its live object is not at hand"},
    )


@pytest.mark.parametrize("why", ["ignored", "rewritten", "trusted"])
def test_what_is_no_drift_keeps_its_live_value_in_what_is_applied(why):
    """Ignored, accepted, rewritten and trusted values are sent as they are, or not at all."""
    declared = manifest("web", spec={"replicas": 3, "minReadySeconds": 5, "paused": False})
    live = live_of(declared, spec={"replicas": 5, "minReadySeconds": 9})
    kept = {
        "ignored": {"ignored_by": "rule"},
        "rewritten": {"change_class": ChangeClass.REWRITTEN},
        "trusted": {"change_class": ChangeClass.REVIEW},
    }[why]
    look = resource(
        "web",
        REPLICAS,
        change("/spec/minReadySeconds", desired_path="/spec/minReadySeconds", live=9, **kept),
        change("/spec/paused", kind=ChangeKind.MISSING, desired_path="/spec/paused", **kept),
    )
    [task] = with_live(look, declared, live).tasks
    assert json.loads(task.body)["spec"] == {"replicas": 3, "minReadySeconds": 9}
    assert task.heals == (REPLICAS,)


def test_an_empty_value_that_git_leaves_to_a_controller_is_not_sent():
    """Git's empty certificate authority would empty the one that was filled in."""
    declared = manifest("web", spec={"replicas": 3, "ca": ""})
    live = live_of(declared, spec={"replicas": 5, "ca": "filled"})
    [task] = with_live(resource("web", REPLICAS), declared, live).tasks
    assert json.loads(task.body)["spec"] == {"replicas": 3}


def test_a_live_object_of_another_version_is_not_written_from():
    """What was read after the verdict may be other than what was judged."""
    live = msgspec.structs.replace(live_of(WEB), resource_version="42")
    found = with_live(resource("web", REPLICAS), WEB, live)
    assert "another version" in reasons(found)["web"]


def test_string_data_is_applied_as_data():
    """A Secret's data is owned under the name that it is stored under."""
    secret = manifest(
        "db", kind="Secret", api_version="v1", stringData={"a": "b"}, data={"c": "ZA=="}
    )
    look = resource("db", kind="Secret", group="", status=ResourceStatus.MISSING)
    [task] = planned(look, manifests=[secret]).tasks
    body = json.loads(task.body)
    assert (body["data"], "stringData" in body) == ({"a": "Yg==", "c": "ZA=="}, False)


@pytest.mark.parametrize("live", [5, 1])
def test_replicas_that_git_leaves_out_from_now_on(live):
    """They would fall back to one: held, unless there is one already."""
    former = change("/spec/replicas", kind=ChangeKind.FORMERLY_DECLARED, live=live)
    declared = manifest("web", spec={"paused": False})
    seen = live_of(declared, spec={"replicas": live, "paused": True})
    look = resource("web", former, change("/spec/paused", desired=False, live=True))
    found = with_live(look, declared, seen)
    assert len(found.tasks) == (live == 1)
    if live != 1:
        assert "would set them to 1" in reasons(found)["web"]


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
    assert found.tasks == ()
    assert found.refusal.startswith(f"Flux manages this application as a {kind}: a reconciliation")
    held = planned(resource("web", REPLICAS), app=app, halted="it is suspended")
    assert held.refusal == "Flux manages this application, and it is suspended"


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


RULES = [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}]
OTHERS = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]


def role(rules=None, *, aggregated=True):
    """A ClusterRole, whose rules are computed unless it is told otherwise."""
    content = {"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}}
    version = "rbac.authorization.k8s.io/v1"
    return manifest(
        "reader", kind="ClusterRole", api_version=version, namespace="",
        labels={"x": "1"}, **(content if aggregated else {}),
        **({} if rules is None else {"rules": rules}),
    )  # fmt: skip


def role_look(*changes):
    """The look at the ClusterRole."""
    return resource(
        "reader", *changes, kind="ClusterRole", group="rbac.authorization.k8s.io", namespace=""
    )


RULES_DRIFT = change("/rules", desired_path="/rules", desired=RULES, live=OTHERS, manager="alice")
LABEL_DRIFT = change("/labels/x", desired="1", live="2")


@pytest.mark.parametrize("rules", [None, [], RULES])
@pytest.mark.parametrize("kind", [ChangeKind.MODIFIED, ChangeKind.FORMERLY_DECLARED])
def test_computed_rules_are_not_driftds_to_put_back(rules, kind):
    """Whoever changed the rules of an aggregated ClusterRole: the controller computes them anew."""
    drift = msgspec.structs.replace(RULES_DRIFT, kind=kind)
    live = live_of(role(rules), rules=OTHERS)
    found = with_live(role_look(drift), role(rules), live, undeclared=True)
    assert found.tasks == ()
    (skipped,) = found.skipped
    assert "computed from other ClusterRoles" in skipped.reason
    assert skipped.remains == ("/rules",)


@pytest.mark.parametrize(("rules", "sent"), [(None, None), ([], None), (RULES, OTHERS)])
def test_a_write_beside_computed_rules_changes_none_of_them(rules, sent):
    """What is applied has the live rules or none, though Git declares others."""
    live = live_of(role(rules), rules=OTHERS, labels={"x": "2"})
    [task] = with_live(role_look(LABEL_DRIFT, RULES_DRIFT), role(rules), live).tasks
    body = json.loads(task.body)
    assert (body.get("rules"), body["labels"]) == (sent, {"x": "1"})
    assert (task.heals, task.remains) == ((LABEL_DRIFT,), ("/rules",))


def test_a_patch_beside_computed_rules_leaves_them_alone():
    """What a patch takes out and lays over, it leaves the rules as they are."""
    added = change(
        "/labels/y", kind=ChangeKind.ADDED, change_class=ChangeClass.UNDECLARED, live="3"
    )
    live = live_of(role(RULES), rules=OTHERS, labels={"x": "2", "y": "3"})
    look = role_look(LABEL_DRIFT, RULES_DRIFT, added)
    [task] = with_live(look, role(RULES), live, undeclared=True).tasks
    assert operations(task) == [("replace", "/labels/x", "1"), ("remove", "/labels/y", None)]


def test_rules_that_git_does_not_have_computed_are_put_back():
    """An aggregation that somebody added goes, and the rules are Git's again, in one patch."""
    added = change(
        "/aggregationRule", kind=ChangeKind.ADDED, change_class=ChangeClass.UNDECLARED, live={}
    )
    plain = role(RULES, aggregated=False)
    live = live_of(plain, rules=OTHERS, aggregationRule={"clusterRoleSelectors": []})
    [task] = with_live(role_look(RULES_DRIFT, added), plain, live, undeclared=True).tasks
    assert json.loads(task.body)["rules"] == RULES
    assert operations(task) == [
        ("remove", "/aggregationRule", None),
        ("replace", "/rules", RULES),
    ]
    [task] = with_live(role_look(RULES_DRIFT), role(RULES, aggregated=False), live).tasks
    assert json.loads(task.body)["rules"] == RULES


def test_a_missing_aggregated_role_is_created_as_git_has_it():
    """Nobody has computed its rules yet."""
    gone = resource(
        "reader", kind="ClusterRole", group="rbac.authorization.k8s.io", namespace="",
        status=ResourceStatus.MISSING,
    )  # fmt: skip
    [task] = planned(gone, manifests=[role(RULES)]).tasks
    assert (json.loads(task.body)["rules"], task.create) == (RULES, True)
