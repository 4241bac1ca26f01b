"""When self-healing is remarked, and which line puts an object back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from driftd.controller.next_steps import Asked, next_steps
from driftd.diff.facts import Bounds
from driftd.model.application import AutomatedSync, SyncPolicy
from driftd.model.condition import Condition, Severity
from driftd.model.flux import FluxSpec, LiveEdit
from driftd.model.report import (
    ApplicationReport,
    ApplicationStatus,
    Change,
    ChangeClass,
    ChangeKind,
    Invalid,
    ReportDestination,
    ReportOrigin,
    ResourceReport,
    ResourceStatus,
)
from tests.unit.controller.builders import application

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


def steps(
    minutes: int,
    *,
    heal: bool = True,
    kind: ChangeClass = ChangeClass.DECLARED,
    changes: tuple[Change, ...] = (),
    scaler: Bounds | None = None,
) -> str:
    """The steps for a change of that age, as one text."""
    app = application()
    policy = SyncPolicy(automated=AutomatedSync(self_heal=heal))
    app = msgspec.structs.replace(
        app, name="shop", namespace="argocd",
        spec=msgspec.structs.replace(app.spec, sync_policy=policy),
    )  # fmt: skip
    change = Change(
        kind=ChangeKind.MODIFIED, change_class=kind, path="/spec/replicas", manager="kubectl",
        time=(NOW - timedelta(minutes=minutes)).isoformat(),
    )  # fmt: skip
    resource = ResourceReport(
        group="apps", version="v1", kind="Deployment", namespace="web", name="web",
        status=ResourceStatus.OUT_OF_SYNC, changes=changes or (change,),
    )  # fmt: skip
    report = ApplicationReport(
        name="shop", namespace="argocd", project="default", cluster="one",
        destination=ReportDestination(server="https://one.example.com", namespace="web"),
        revisions=(), deployers=("argocd-controller",), status=ApplicationStatus.OUT_OF_SYNC,
        conditions=(), resources=(resource,),
    )  # fmt: skip
    return "\n".join(next_steps(app, report, resource, NOW, scaler=scaler))


@pytest.mark.parametrize(("minutes", "heal", "told"), [(13, True, True), (1, True, False), (13, False, False)])  # fmt: skip  # noqa: E501
def test_self_healing_that_did_not_happen(minutes: int, heal: bool, told: bool) -> None:
    """Only an old change below selfHeal is remarked, with the command that says why."""
    text = steps(minutes, heal=heal)
    assert ("selfHeal is on in Git, and the change is 13 min old" in text) is told
    assert ("argocd app get shop" in text) is told


def test_what_git_is_silent_about_is_not_put_back_by_a_sync() -> None:
    """A declared field has a sync of its object; an undeclared one has to be removed by hand."""
    assert "put it back: argocd app sync shop --resource apps:Deployment:web/web" in steps(1)
    silent = steps(13, kind=ChangeClass.UNDECLARED)
    assert "argocd" not in silent
    assert "kubectl edit deployment.v1.apps/web -n web --context one" in silent


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
@pytest.mark.parametrize("fixed", [True, False])
def test_an_immutable_object_is_made_anew(kind: str, fixed: bool) -> None:
    """The API server takes no other data for it: a sync fails, and the object has to go first."""
    change = Change(kind=ChangeKind.MODIFIED, change_class=ChangeClass.DECLARED, path="/data/a")
    app = msgspec.structs.replace(application(), name="shop", namespace="argocd")
    resource = ResourceReport(
        group="", version="v1", kind=kind, namespace="web", name="web",
        status=ResourceStatus.OUT_OF_SYNC, changes=(change,),
    )  # fmt: skip
    report = ApplicationReport(
        name="shop", namespace="argocd", project="default", cluster="one",
        destination=ReportDestination(server="https://one.example.com", namespace="web"),
        revisions=(), deployers=("argocd-controller",), status=ApplicationStatus.OUT_OF_SYNC,
        conditions=(), resources=(resource,),
    )  # fmt: skip
    text = "\n".join(next_steps(app, report, resource, NOW, fixed=fixed))
    assert ("(the live one is immutable: true); a sync fails before that" in text) is fixed
    deleting = f"kubectl delete {kind.lower()}/web -n web --context one, then argocd app sync shop"
    assert (deleting in text) is fixed


def whole(
    status: ResourceStatus, policy: SyncPolicy, *, flux: FluxSpec | None = None,
    suspended: bool = False, origin: str = "", deployer: str = "argocd-controller",
) -> str:  # fmt: skip
    """The steps for an object that is there or away as a whole."""
    app = application()
    app = msgspec.structs.replace(
        app, name="shop", namespace="argocd", flux=flux, origin=origin,
        spec=msgspec.structs.replace(app.spec, sync_policy=policy),
    )  # fmt: skip
    place = ReportOrigin(file="apps/web.yaml", line=6)
    resource = ResourceReport(
        group="", version="v1", kind="Service", namespace="web", name="web", status=status,
        origin=place if status is ResourceStatus.MISSING else msgspec.UNSET,
    )  # fmt: skip
    report = ApplicationReport(
        name="shop", namespace="argocd", project="default", cluster="one",
        destination=ReportDestination(server="https://one.example.com", namespace="web"),
        revisions=(), deployers=(deployer,), status=ApplicationStatus.OUT_OF_SYNC,
        conditions=(), resources=(resource,),
    )  # fmt: skip
    return "\n".join(next_steps(app, report, resource, NOW, suspended=suspended))


@pytest.mark.parametrize(
    ("automated", "told"),
    [
        (
            AutomatedSync(prune=True),
            "so Argo CD deletes it when it syncs by itself, if the live Application has it too",
        ),
        (
            AutomatedSync(),
            "and all else that is Extra, unless the live Application has it on (--hub CONTEXT",
        ),
        (AutomatedSync(enabled=False, prune=True), "only argocd app sync shop --prune deletes it"),
        (None, "prune is off in Git, so only argocd app sync shop --prune deletes it"),
    ],
)
def test_what_git_dropped_may_be_declared_again(automated: AutomatedSync | None, told: str) -> None:
    """An Extra object may have been dropped by mistake, and prune is said to delete it or not."""
    text = whole(ResourceStatus.EXTRA, SyncPolicy(automated=automated))
    assert "remove it: kubectl delete service/web -n web --context one" in text
    assert "or declare it again in Git, if it was dropped by mistake" in text
    assert told in text


@pytest.mark.parametrize(
    ("prune", "told"),
    [(True, "is on, Argo CD deletes it"), (False, "is off, only argocd app sync shop --prune")],
)
def test_prune_of_the_live_application(prune: bool, told: str) -> None:
    """Through a hub it is the live Application that says whether prune is on, without a doubt."""
    policy = SyncPolicy(automated=AutomatedSync(prune=prune))
    text = whole(ResourceStatus.EXTRA, policy, origin="hub one")
    assert f"syncPolicy.automated.prune of the live Application {told}" in text
    assert "--hub" not in text


@pytest.mark.parametrize(
    ("manager", "synced", "told"),
    [("argocd", (), True), ("argocd", ("a" * 40,), False), ("kubectl-create", (), False)],
)
def test_an_extra_object_may_be_dropped_by_a_newer_commit(
    manager: str, synced: tuple[str, ...], told: bool
) -> None:
    """What the deployer created may be what a waiting commit drops; what a person created not."""
    app = msgspec.structs.replace(
        application(), name="shop", namespace="argocd", synced_revisions=synced
    )
    resource = ResourceReport(
        group="", version="v1", kind="ConfigMap", namespace="web", name="web",
        status=ResourceStatus.EXTRA, manager=manager,
    )  # fmt: skip
    text = "\n".join(next_steps(app, looked_at(resource, "argocd"), resource, NOW))
    caution = (
        "argocd created it, so Git may have dropped it in a commit that nobody has synced yet "
        "(--hub CONTEXT tells): if so, sync, and delete nothing by hand"
    )
    assert (caution in text) is told
    assert "remove it: kubectl delete configmap/web" in text


def test_what_is_used_is_not_to_be_deleted() -> None:
    """Of an Extra object that others name, these are told in place of the command to delete it."""
    app = msgspec.structs.replace(application(), name="shop", namespace="argocd")
    resource = ResourceReport(
        group="", version="v1", kind="ConfigMap", namespace="web", name="web",
        status=ResourceStatus.EXTRA,
    )  # fmt: skip
    users = ("Deployment a", "Deployment b", "Deployment c", "Job d")
    text = "\n".join(next_steps(app, looked_at(resource, "argocd"), resource, NOW, users=users))
    assert (
        "do not delete it while Deployment a, Deployment b, Deployment c and 1 more name it: "
        "their Pods may not start without it"
    ) in text
    assert "leave it to prune, after a sync of what names it: " in text
    assert "kubectl delete" not in text


def test_flux_prunes_what_git_dropped() -> None:
    """Of Flux, it is spec.prune that deletes an Extra object."""
    flux = FluxSpec(kind="Kustomization", object_name="shop", render={})
    text = whole(ResourceStatus.EXTRA, SyncPolicy(), flux=flux)
    assert "or leave that to prune: spec.prune is on, Flux deletes it when it reconciles" in text


SUSPENDED = Condition("Suspended", "spec.suspend is true", Severity.INFO)


@pytest.mark.parametrize(
    ("live", "conditions", "origin", "told"),
    [
        (True, (), "clusters/a.yaml", "argocd/shop is suspended live: Flux puts nothing back"),
        (False, (SUSPENDED,), "hub one", "argocd/shop is suspended live: Flux puts nothing back"),
        (True, (SUSPENDED,), "clusters/a.yaml", "argocd/shop is suspended in Git: Flux puts"),
    ],
)
def test_what_is_suspended_is_resumed(
    live: bool, conditions: tuple[Condition, ...], origin: str, told: str
) -> None:
    """A suspended Kustomization does not reconcile: it is said, and resume is the command."""
    flux = FluxSpec(kind="Kustomization", object_name="shop", render={}, conditions=conditions)
    missing = whole(ResourceStatus.MISSING, SyncPolicy(), flux=flux, suspended=live, origin=origin)
    assert missing.startswith(f"Kustomization {told}")
    assert "put it back: flux resume kustomization shop -n argocd" in missing
    assert "flux reconcile" not in missing
    extra = whole(ResourceStatus.EXTRA, SyncPolicy(), flux=flux, suspended=live, origin=origin)
    assert "Flux deletes it when it reconciles, once it is resumed" in extra


@pytest.mark.parametrize(
    ("kind", "desired", "live", "told"),
    [
        ("Kustomization", UNSET, True, "flux resume kustomization apps -n flux-system"),
        ("HelmRelease", False, True, "flux resume helmrelease apps -n flux-system"),
        ("GitRepository", True, UNSET, "flux suspend source git apps -n flux-system"),
        ("HelmRelease", True, False, "flux suspend helmrelease apps -n flux-system"),
    ],
)
def test_an_object_of_flux_is_suspended_and_resumed_by_flux(
    kind: str, desired: Any, live: Any, told: str
) -> None:
    """Nobody edits the object for that; what else differs of it is put back besides."""
    group = "source" if kind == "GitRepository" else kind.partition("R")[0].lower()
    changes = [
        Change(
            kind=ChangeKind.ADDED if desired is UNSET else ChangeKind.MODIFIED,
            change_class=ChangeClass.UNDECLARED if desired is UNSET else ChangeClass.DECLARED,
            path="/spec/suspend",
            desired=desired,
            live=live,
        ),
        Change(kind=ChangeKind.ADDED, change_class=ChangeClass.UNDECLARED, path="/spec/a", live=1),
    ]
    flux = FluxSpec(kind="Kustomization", object_name="flux-system", render={})
    app = msgspec.structs.replace(application(), flux=flux, namespace="flux-system")
    for number in (1, 2):
        resource = ResourceReport(
            group=f"{group}.toolkit.fluxcd.io", version="v1", kind=kind, namespace="flux-system",
            name="apps", status=ResourceStatus.OUT_OF_SYNC, changes=tuple(changes[:number]),
        )  # fmt: skip
        asked = Asked(flags={"kubectl": "--kubeconfig kc"})
        found = next_steps(app, looked_at(resource), resource, NOW, asked=asked)
        what = "it" if number == 1 else "spec.suspend"
        assert found[0] == f"put {what} back: {told} --kubeconfig kc --context one"
        assert any("kubectl --kubeconfig kc edit" in one for one in found) is (number == 2)


def test_what_is_not_suspended_is_reconciled() -> None:
    """Else nothing is said of it, and flux reconcile puts an object back."""
    flux = FluxSpec(kind="HelmRelease", object_name="shop", render={})
    text = whole(ResourceStatus.MISSING, SyncPolicy(), flux=flux)
    first, second = text.splitlines()[:2]
    assert "a commit that Flux has not applied yet" in first
    assert second.startswith("put it back: flux reconcile helmrelease shop -n argocd")
    assert "suspended" not in text


@pytest.mark.parametrize("status", [ResourceStatus.EXTRA, ResourceStatus.MISSING])
def test_a_hub_tells_nothing_of_what_kubectl_deploys(status: ResourceStatus) -> None:
    """It is not pointed to where no live Application can be known."""
    assert "--hub" in whole(status, SyncPolicy())
    assert "--hub" not in whole(status, SyncPolicy(), deployer="kubectl-client-side-apply")


def test_what_is_missing_may_be_removed_from_git() -> None:
    """A Missing object is put back, or removed from the file of Git that declares it."""
    lines = whole(ResourceStatus.MISSING, SyncPolicy()).splitlines()
    assert lines[0] == (
        "somebody deleted it, or what declares it is a commit that nobody has synced yet "
        "(--hub CONTEXT tells)"
    )
    assert lines[1].startswith("put it back: argocd app sync shop --resource :Service:web/web")
    assert lines[2] == "or remove it from Git at apps/web.yaml:6, if it is to stay away"
    assert "declare it again" not in "".join(lines)


def scaled_steps(declared: int, live: int, *others: Change, scaler: Bounds | None = None) -> str:
    """The steps for a count of replicas where an autoscaler allows 2 to 20."""
    change = Change(
        kind=ChangeKind.MODIFIED, change_class=ChangeClass.DECLARED, path="/spec/replicas",
        desired=declared, live=live, origin=ReportOrigin(file="apps/web.yaml", line=9),
    )  # fmt: skip
    return steps(1, changes=(change, *others), scaler=scaler or Bounds(2, 20, "web"))


@pytest.mark.parametrize(
    ("declared", "live", "told"),
    [
        (4, 6, ()),
        (1, 9, ("Git's 1 is outside these bounds: a sync to it would not last",)),
        (4, 30, ("the live 30 is outside these bounds: it does not last",)),
    ],
)
def test_replicas_of_an_autoscaler(declared: int, live: int, told: tuple[str, ...]) -> None:
    """Neither count is put back or committed: the autoscaler and the line in Git are named."""
    lines = scaled_steps(declared, live).splitlines()
    assert lines[0] == (
        "HorizontalPodAutoscaler web scales the object between 2 and 20: it sets replicas, "
        "which therefore does not belong in Git at apps/web.yaml:9"
    )
    assert tuple(lines[1:-2]) == told
    assert lines[-2].startswith("or accept it for a while")


def test_other_drift_beside_an_autoscaler() -> None:
    """What else differs is put back and may be kept as ever."""
    other = Change(kind=ChangeKind.MODIFIED, change_class=ChangeClass.DECLARED, path="/spec/paused")
    text = scaled_steps(4, 6, other)
    assert "put it back: argocd app sync shop" in text


def test_an_autoscaler_that_is_switched_off() -> None:
    """A live count of 0 is no autoscaler's work: a sync puts the count back."""
    text = scaled_steps(4, 0)
    assert "0 replicas switch it off until another count is set" in text
    assert "put it back: argocd app sync shop" in text
    idle = Bounds(0, 5, "web", kind="ScaledObject")
    assert "put it back" not in scaled_steps(4, 0, scaler=idle)


UNKNOWN = Invalid(
    cause="UnknownField", path="/spec/replcas", meant="/spec/replicas", message="no such field"
)


def wrong(invalid: Invalid) -> Change:
    """A mistake in Git, and the line on which it is."""
    return Change(
        kind=ChangeKind.MISSING, change_class=ChangeClass.DECLARED, path=invalid.path,
        invalid=invalid, origin=ReportOrigin(file="apps/web.yaml", line=6),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("invalid", "told"),
    [
        (UNKNOWN, "write replicas for replcas"),
        (
            msgspec.structs.replace(
                UNKNOWN,
                path="/replicas",
                message="the kind has no field replicas here: the API server drops it; "
                "it belongs under spec: check the indentation",
            ),
            "replicas belongs under spec: check the indentation",
        ),
        (
            msgspec.structs.replace(UNKNOWN, meant=msgspec.UNSET),
            "the kind has no field replcas: correct its name or remove it",
        ),
        (
            Invalid(cause="WrongType", path="/a", message="the API server refuses the object: no"),
            "no",
        ),
    ],
)
def test_a_mistake_in_git_is_corrected_there(invalid: Invalid, told: str) -> None:
    """No sync and no commit of a live value is proposed where neither can work."""
    text = steps(1, changes=(wrong(invalid),))
    assert f"correct Git at apps/web.yaml:6: {told}\n" in f"{text}\n"
    assert "put it back" not in text
    assert "keep it" not in text
    assert "selfHeal" not in text
    assert "driftd baseline" not in text


@pytest.mark.parametrize(("path", "refused"), [("/spec/selector/matchLabels/app", True), ("/spec/replicas", False)])  # fmt: skip  # noqa: E501
def test_a_field_that_is_refused_in_place(path: str, refused: bool) -> None:
    """No sync puts back what the API server does not change: the object is to be made anew."""
    change = Change(kind=ChangeKind.MODIFIED, change_class=ChangeClass.DECLARED, path=path)
    text = steps(1, changes=(change,))
    first = "spec.selector cannot be changed in place: recreate the object; a sync fails"
    deleted = "put it back: kubectl delete deployment.v1.apps/web -n web --context one, which"
    assert (first in text, deleted in text) == (refused, refused)
    assert "argocd app sync shop --resource apps:Deployment:web/web" in text


def test_a_mistake_beside_drift() -> None:
    """What to correct comes first; nothing else is put back before."""
    drift = Change(kind=ChangeKind.MODIFIED, change_class=ChangeClass.DECLARED, path="/spec/paused")
    lines = steps(1, changes=(wrong(UNKNOWN), drift)).splitlines()
    assert lines[0].startswith("correct Git at apps/web.yaml:6")
    assert lines[1] == "until then a sync leaves that out, or fails for the whole object"
    assert lines[2].startswith("then explain it again, for its 1 other difference")
    assert len(lines) == 3


def looked_at(resource: ResourceReport, *deployers: str) -> ApplicationReport:
    """The look at the application `shop` that has this object alone."""
    return ApplicationReport(
        name="shop", namespace="argocd", project="default", cluster="one",
        destination=ReportDestination(server="https://one.example.com", namespace="web"),
        revisions=(), deployers=deployers, status=ApplicationStatus.OUT_OF_SYNC,
        conditions=(), resources=(resource,),
    )  # fmt: skip


def of_missing(*, origin: str = "", flux: FluxSpec | None = None, asked: Asked | None = None,
               deployers: tuple[str, ...] = ()) -> str:  # fmt: skip
    """The steps for an object that an application declares which the cluster has nothing of."""
    app = msgspec.structs.replace(application(), name="shop", namespace="argocd", origin=origin)
    app = msgspec.structs.replace(app, flux=flux)
    resource = ResourceReport(
        group="", version="v1", kind="Service", namespace="web", name="web",
        status=ResourceStatus.MISSING,
    )  # fmt: skip
    report = looked_at(resource, *deployers)
    return "\n".join(next_steps(app, report, resource, NOW, asked=asked))


@pytest.mark.parametrize(
    ("origin", "told"),
    [
        ("ApplicationSet services (apps/set.yaml)", "ApplicationSet services then creates the"),
        ("Application root (apps/root.yaml)", "a sync of Application root then creates the"),
        ("apps/shop.yaml", "the Application in apps/shop.yaml is then to be created where Argo"),
        ("hub prod", "then argocd app sync shop creates what it declares"),
    ],
)
def test_an_application_that_was_never_deployed(origin: str, told: str) -> None:
    """It is merged, and who creates it is named; nothing is applied past Argo CD."""
    text = of_missing(origin=origin)
    assert text.startswith("not deployed yet, as it seems: ")
    assert f"merge it, unless it is; {told}" in text
    for advice in ("kubectl", "driftd render", "put it back"):
        assert advice not in text


def test_a_kustomization_that_was_never_deployed() -> None:
    """Of Flux the Kustomization above creates it."""
    flux = FluxSpec(kind="Kustomization", object_name="shop", render={}, applied_by="flux/root")
    told = "Kustomization flux/root then creates the Kustomization, and Flux what it declares"
    assert f"merge it; {told}" in of_missing(flux=flux, asked=Asked(unmerged="the work tree"))


def test_what_only_the_work_tree_has() -> None:
    """A new object of an application that is deployed is merged, else put back."""
    asked = Asked(unmerged="the work tree")
    text = of_missing(deployers=("argocd-controller",), asked=asked)
    assert text.startswith(
        "if only the work tree says it: merge it; put it back: argocd app sync shop --resource"
    )


def test_no_command_that_would_write_masked_values() -> None:
    """What holds values that driftd masks is never put back from what driftd prints."""
    app = msgspec.structs.replace(application(), name="shop", namespace="argocd")
    resource = ResourceReport(
        group="", version="v1", kind="Secret", namespace="web", name="login",
        status=ResourceStatus.MISSING,
    )  # fmt: skip
    told = "\n".join(next_steps(app, looked_at(resource, "kubectl"), resource, NOW, masked=True))
    assert "put it back: apply it as it was deployed" in told
    assert "driftd render" not in told


@pytest.mark.parametrize(
    ("manager", "synced", "told"),
    [
        ("argocd", (), True),
        ("argocd", ("a" * 40,), False),
        ("kubectl-edit", (), False),
        ("kubectl", (), False),  # a deployer by its name, but Argo CD is at work here
    ],
)
def test_a_difference_that_may_be_a_newer_commit(
    manager: str, synced: tuple[str, ...], told: bool
) -> None:
    """Live as Git's hand wrote it may be older; who knows what was synced is told no such."""
    app = application()
    app = msgspec.structs.replace(app, name="shop", namespace="argocd", synced_revisions=synced)
    change = Change(
        kind=ChangeKind.MODIFIED, change_class=ChangeClass.DECLARED, path="/spec/replicas",
        manager=manager,
    )  # fmt: skip
    resource = ResourceReport(
        group="apps", version="v1", kind="Deployment", namespace="web", name="web",
        status=ResourceStatus.OUT_OF_SYNC, changes=(change,),
    )  # fmt: skip
    report = looked_at(resource, "argocd", "argocd-controller", "kubectl")
    text = "\n".join(next_steps(app, report, resource, NOW))
    assert ("a commit that nobody has synced yet" in text) is told
    assert "first settle what counts" not in text
    edited = Condition("LiveApplicationDiffers", "spec.project is x", Severity.WARNING)
    app = msgspec.structs.replace(app, conditions=(edited,))
    first = next_steps(app, report, resource, NOW)[0]
    assert first == "first settle what counts, for a sync brings it too: spec.project is x"
    flux = FluxSpec(kind="HelmRelease", object_name="shop", render={})
    edit = LiveEdit(kind="HelmRelease", namespace="argocd", name="shop", how="was edited")
    flux = msgspec.structs.replace(flux, edited=(edit,))
    app = msgspec.structs.replace(app, flux=flux)
    steps = next_steps(app, report, resource, NOW)
    assert steps[0] == "first settle what counts: spec.project is x"
    assert "flux reconcile" not in "\n".join(steps)
    assert any(step.startswith("the live HelmRelease was edited, and a") for step in steps)


def test_suggested_commands_carry_on_the_flags() -> None:
    """Each command has those flags of the present one that it has too."""
    flags = {
        "driftd render": "--worktree",
        "driftd baseline": "--worktree --repo /x",
        "kubectl": "--kubeconfig /k",
    }
    text = of_missing(deployers=("kubectl",), asked=Asked(flags=flags))
    assert (
        "driftd render --worktree shop service/web/web"
        " | kubectl --kubeconfig /k apply --context one"
    ) in text
    assert "driftd baseline --worktree --repo /x shop --file FILE" in text


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("apps/web.yaml:2: the cluster does not serve v1 Sevice; did you mean Service (v1)?",
         "correct Git at apps/web.yaml:2: did you mean Service (v1)?"),
        ("no permission to list; grant get and list", "grant get and list"),
        ("the list of its kind is incomplete", "driftd doctor says what is lacking"),
    ],
)  # fmt: skip
def test_what_could_not_be_judged(reason: str, told: str) -> None:
    """The remedy of the reason is the next step, at its place in Git."""
    resource = ResourceReport(
        group="", version="v1", kind="Service", namespace="web", name="web",
        status=ResourceStatus.UNKNOWN, reason=reason,
    )  # fmt: skip
    report = ApplicationReport(
        name="shop", namespace="argocd", project="default", cluster="one",
        destination=ReportDestination(server="https://one.example.com", namespace="web"),
        revisions=(), deployers=(), status=ApplicationStatus.UNKNOWN,
        conditions=(), resources=(resource,),
    )  # fmt: skip
    assert next_steps(application(), report, resource, NOW) == (told,)


@pytest.mark.parametrize(
    ("levels", "told"),
    [
        (
            ("critical", "high"),
            "or accept for a while what is not critical (1 of 2 findings): driftd",
        ),
        (("high", "high"), "or accept it for a while: driftd baseline shop"),
        (("critical", "critical"), "no baseline can accept it: it is critical"),
    ],
)
def test_a_baseline_accepts_nothing_critical(levels: tuple[Any, ...], told: str) -> None:
    """Of several findings it is said how many a baseline can accept."""
    changes = tuple(
        Change(
            kind=ChangeKind.MODIFIED, change_class=ChangeClass.DECLARED, path=f"/spec/{number}",
            severity=level,
        )
        for number, level in enumerate(levels)
    )  # fmt: skip
    assert told in steps(1, changes=changes)


def test_the_commit_that_may_wait_is_named() -> None:
    """Of a Missing object whose commit left no trace, that commit may be what is not synced."""
    app = msgspec.structs.replace(application(), name="shop", namespace="argocd")
    resource = ResourceReport(
        group="", version="v1", kind="ConfigMap", namespace="web", name="web",
        status=ResourceStatus.MISSING,
    )  # fmt: skip
    report = looked_at(resource, "argocd")
    steps = next_steps(app, report, resource, NOW, commit="12345678 of 2026-01-09")
    assert steps[0] == (
        "somebody deleted it, or 12345678 of 2026-01-09, which brought it into Git, is a commit "
        "that nobody has synced yet (--hub CONTEXT tells)"
    )


def test_no_hub_tells_of_what_kubectl_alone_deploys() -> None:
    """No live Application is behind such objects: a state is named in place of --hub."""
    app = msgspec.structs.replace(application(), name="shop", namespace="argocd")
    resource = ResourceReport(
        group="", version="v1", kind="ConfigMap", namespace="web", name="web",
        status=ResourceStatus.MISSING,
    )  # fmt: skip
    tool = "kubectl-client-side-apply"
    first = next_steps(app, looked_at(resource, tool), resource, NOW)[0]
    assert first == (
        "somebody deleted it, or what declares it is a commit that nobody has applied yet "
        "(a --state FILE kept since before it tells)"
    )
    report = looked_at(resource, tool, "argocd-controller")
    assert "(--hub CONTEXT tells)" in next_steps(app, report, resource, NOW)[0]
