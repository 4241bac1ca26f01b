"""What is said of the engine that deploys an application: what it puts back, what it leaves."""

import msgspec
import pytest

from driftd.model.application import Application, AutomatedSync
from driftd.model.flux import FluxSpec, LiveEdit
from driftd.model.report import ChangeClass, ChangeKind
from driftd.model.resource import ResourceKey
from driftd.sync.engine import (
    asking_flux,
    before_asking_flux,
    engine_of,
    overwrites_ignored,
    puts_back,
    removes,
    stays,
)
from tests.unit.reports import change
from tests.unit.sync.builders import application

ADDED = {"kind": ChangeKind.ADDED, "change_class": ChangeClass.UNDECLARED}
BY_KUBECTL = change("/data/x", live="1", manager="kubectl-edit", **ADDED)
BY_OTHERS = change("/data/x", live="1", manager="Mozilla", **ADDED)
KEY = ResourceKey("kustomize.toolkit.fluxcd.io", "Kustomization", "flux-system", "apps")
PAUSED = change("/spec/suspend", live=True, manager="flux", **ADDED)
ARGO, FLUX = "Argo CD", "Flux"
FORCED = "flux reconcile helmrelease apps -n argocd --force"


def of_flux(kind: str, **fields: object) -> Application:
    """An application that Flux deploys."""
    spec = FluxSpec(kind=kind, object_name="apps", render={}, **fields)
    return msgspec.structs.replace(application(), flux=spec)


def of_argo(automated: AutomatedSync | None, *options: str) -> Application:
    """An application that Argo CD deploys."""
    app = application(automated=automated)
    policy = msgspec.structs.replace(app.spec.sync_policy, sync_options=options)
    spec = msgspec.structs.replace(app.spec, sync_policy=policy)
    return msgspec.structs.replace(app, spec=spec)


@pytest.mark.parametrize(
    ("app", "managers", "expected"),
    [
        (application(), (), ""),
        (application(), ("kubectl", "Mozilla"), ""),
        (application(), ("argocd-controller", "kubectl"), ARGO),
        (application(origin="hub prod"), (), ARGO),
        (application(), ("helm-controller",), FLUX),
        (of_flux("Kustomization"), ("argocd-controller",), FLUX),
    ],
)
def test_which_engine_deploys(app, managers, expected):
    """Flux's own object or a live Application says it, else a field manager of an engine."""
    assert engine_of(app, managers) == expected


@pytest.mark.parametrize(
    ("app", "engine", "begins", "ends"),
    [
        (of_argo(None), ARGO, "a sync (argocd app sync shop)", "puts back only what Git declares"),
        (of_argo(AutomatedSync()), ARGO, "a sync (argocd app", "puts back only what Git declares"),
        (of_argo(AutomatedSync(self_heal=True)), ARGO, "it heals only", "what Git declares"),
        (
            of_argo(AutomatedSync(self_heal=True, enabled=False)),
            ARGO,
            "a sync",
            "only what Git declares",
        ),
        (of_argo(None, "Replace=true"), ARGO, "a sync (argocd app", "differs, additions too"),
        (of_flux("Kustomization"), FLUX, "a reconciliation", "only what kubectl wrote"),
        (of_flux("HelmRelease"), FLUX, "a reconciliation", "puts back only what Git declares"),
        (
            of_flux("HelmRelease", corrects_drift=False),
            FLUX,
            "spec.driftDetection.mode",
            "declares",
        ),
    ],
)
def test_what_it_puts_back(app, engine, begins, ends):
    """What Git declares, by a sync alone where nothing heals by itself; additions rarely."""
    told = puts_back(app, engine)
    assert told.startswith(begins)
    assert told.endswith(ends)


@pytest.mark.parametrize(
    ("app", "engine", "one", "gone", "told"),
    [
        (of_argo(None), ARGO, BY_KUBECTL, False, "a sync leaves that: edit the live object"),
        (of_argo(None, "Replace=true"), ARGO, BY_OTHERS, True, "but a sync removes that"),
        (of_flux("Kustomization"), FLUX, BY_KUBECTL, True, "but Flux removes that"),
        (of_flux("Kustomization"), FLUX, BY_OTHERS, False, "and Flux leaves that: edit"),
        (of_flux("HelmRelease"), FLUX, BY_KUBECTL, False, "and Flux leaves that: edit"),
        (of_flux("Kustomization"), FLUX, PAUSED, False, "flux resume kustomization apps -n"),
        (application(), "", BY_KUBECTL, False, "and an apply leaves that: edit"),
    ],
)
def test_what_becomes_of_additions(app, engine, one, gone, told):
    """An apply leaves other managers' fields; kustomize-controller takes over those of kubectl."""
    assert removes(app, engine, one) is gone
    assert told in stays(app, engine, ((KEY, one),))


def test_a_helm_release_without_drift_detection_has_to_be_forced():
    """Without a new revision helm-controller upgrades nothing, also when it is resumed."""
    app = of_flux("HelmRelease", corrects_drift=False)
    assert asking_flux(app, suspended=False) == FORCED
    resumed = asking_flux(app, suspended=True)
    assert resumed == f"flux resume helmrelease apps -n argocd, then {FORCED}"
    assert FORCED in puts_back(app, FLUX)


@pytest.mark.parametrize("above", ["flux-system/releases", ""])
def test_an_edited_release_is_put_back_before_it_is_reconciled(above):
    """What applies the object is named, unless that is itself, and nothing that rolls it out."""
    assert before_asking_flux(of_flux("HelmRelease")) == ""
    edit = LiveEdit(
        kind="HelmRelease", namespace="argocd", name="apps", how="was edited beside Git",
        applied_by=above,
    )  # fmt: skip
    app = of_flux("HelmRelease", edited=(edit,))
    told = puts_back(app, FLUX)
    assert told == before_asking_flux(app)
    assert told.startswith("the live HelmRelease was edited beside Git, and a reconciliation")
    assert FORCED not in told
    assert "kubectl edit helmrelease apps -n argocd" in told
    named = "flux reconcile kustomization releases -n flux-system" in told
    assert named is (above == "flux-system/releases")
    assert ("flux reconcile" in told) is named


@pytest.mark.parametrize(
    ("kind", "edited", "above", "named"),
    [
        ("HelmRelease", "ConfigMap", "flux-system/releases", True),
        ("HelmRelease", "ConfigMap", "argocd/apps", True),
        ("Kustomization", "ConfigMap", "flux-system/releases", True),
        # It would itself be applied as edited.
        ("Kustomization", "ConfigMap", "argocd/apps", False),
        ("HelmRelease", "GitRepository", "flux-system/releases", False),
    ],
)
def test_what_an_application_uses_is_put_back_first(kind, edited, above, named):
    """An edited ConfigMap or source is named, and never a reconciliation that rolls it out."""
    edit = LiveEdit(
        kind=edited, namespace="web", name="vars", how="was edited", applied_by=above
    )  # fmt: skip
    told = before_asking_flux(of_flux(kind, edited=(edit,)))
    assert told.startswith(f"the live {edited} web/vars was edited, and a reconciliation rolls")
    assert f"kubectl edit {edited.lower()} vars -n web" in told
    assert ("flux reconcile kustomization" in told) is named


@pytest.mark.parametrize(
    ("app", "overwrites"),
    [
        (of_argo(None), True),
        (of_argo(None, "ServerSideApply=true"), True),
        (of_argo(None, "RespectIgnoreDifferences=true"), False),
        (of_flux("Kustomization"), False),
    ],
)
def test_ignore_rules_count_for_syncs_only_where_argo_cd_is_told_so(app, overwrites):
    """Without `RespectIgnoreDifferences=true` a sync of Argo CD writes ignored fields."""
    assert overwrites_ignored(app) is overwrites
