"""What the engine that deploys an application puts back, and what it leaves, in words. Pure.

Argo CD's sync and Helm's upgrade apply what Git declares and leave fields that other managers
added; kustomize-controller takes over what `kubectl` wrote, so that its apply removes that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from driftd.model.application import Application
from driftd.model.flux import SOURCES, FluxSpec, LiveEdit
from driftd.model.report import Change, ChangeClass
from driftd.model.resource import ResourceKey

ENGINES: Final = {
    "argocd-controller": "Argo CD",
    "argocd-application-controller": "Argo CD",
    "kustomize-controller": "Flux",
    "helm-controller": "Flux",
}
"""Field managers of engines that put things back themselves."""
_ARGO_NAMESPACE: Final = "argocd"
_TAKEN_OVER: Final = ("kubectl", "before-first-apply")
"""What the names begin with of managers whose fields kustomize-controller makes its own."""
_SUSPENDED: Final = "/spec/suspend"
_FLUX_GROUP: Final = ".toolkit.fluxcd.io"
_FLUX_KINDS: Final = {
    "Kustomization": "kustomization",
    "HelmRelease": "helmrelease",
    "GitRepository": "source git",
    "OCIRepository": "source oci",
    "HelmRepository": "source helm",
    "HelmChart": "source chart",
    "Bucket": "source bucket",
    "ImageRepository": "image repository",
    "ImageUpdateAutomation": "image update",
    "Alert": "alert",
    "Receiver": "receiver",
}
"""What `flux suspend` and `flux resume` call the kinds."""
_EDIT: Final = "edit the live object"
_OR_DECLARE: Final = "or declare it in Git"
_LEAVES: Final = "puts back only what Git declares"


def engine_of(application: Application, managers: Collection[str]) -> str:
    """`Argo CD` or `Flux` where one deploys the application; `managers` wrote its live objects."""
    if application.flux is not None:
        return "Flux"
    if application.origin.startswith("hub "):
        return "Argo CD"
    return next((ENGINES[name] for name in sorted(managers) if name in ENGINES), "")


def argo_name(application: Application) -> str:
    """The name that `argocd app` takes."""
    at_home = application.namespace == _ARGO_NAMESPACE
    return application.name if at_home else application.qualified_name


def asking_flux(application: Application, *, suspended: bool) -> str:
    """The command that has Flux put an application back; `suspended` if it is to be resumed."""
    flux = application.flux
    assert flux is not None  # noqa: S101 - asked of applications of Flux alone
    what = f"{flux.kind.lower()} {flux.object_name} -n {application.namespace}"
    if flux.corrects_drift:
        return f"flux {'resume' if suspended else 'reconcile'} {what}"
    first = f"flux resume {what}, then " if suspended else ""
    return f"{first}flux reconcile {what} --force"


def resuming(key: ResourceKey, change: Change) -> str:
    """The command of Flux that puts `spec.suspend` of one of its objects back; else empty."""
    kind = _FLUX_KINDS.get(key.kind) if key.group.endswith(_FLUX_GROUP) else None
    if kind is None or change.path != _SUSPENDED or change.desired == change.live:
        return ""
    what = "resume" if change.live is True else "suspend"
    return f"flux {what} {kind} {key.name} -n {key.namespace}"


def before_asking_flux(application: Application) -> str:
    """What comes before a reconciliation of an application whose live objects are not Git's word.

    That would roll out what they say. Empty where they say what Git does.
    """
    flux = application.flux
    if flux is None:
        return ""
    return "; ".join(_put_back_first(application, flux, one) for one in flux.edited)


def _put_back_first(application: Application, flux: FluxSpec, edit: LiveEdit) -> str:
    own = (flux.kind, application.namespace, flux.object_name)
    is_own = own == (edit.kind, edit.namespace, edit.name)
    namespace, _, name = edit.applied_by.partition("/")
    how = f"kubectl edit {edit.kind.lower()} {edit.name} -n {edit.namespace}"
    # What applies it must not itself roll out what it says; of a source it may well be made.
    rolls_out = own == ("Kustomization", namespace, name) or edit.kind in SOURCES
    if name and not rolls_out:
        how = (
            f"flux reconcile kustomization {name} -n {namespace} for what Git declares of it, "
            f"{how} for what it does not"
        )
    which = edit.kind if is_own else f"{edit.kind} {edit.namespace}/{edit.name}"
    return (
        f"the live {which} {edit.how}, and a reconciliation rolls that out: put "
        f"that {edit.kind} back first ({how}), or commit what it says"
    )


def puts_back(application: Application, engine: str) -> str:
    """What `engine` does about drift, and how it is asked."""
    flux = application.flux
    if engine == "Argo CD":
        automated = application.spec.sync_policy.automated
        heals = automated is not None and automated.enabled is not False and automated.self_heal
        sync = f"a sync (argocd app sync {argo_name(application)})"
        if replaces(application):
            return f"{sync} replaces what differs, additions too"
        return "it heals only what Git declares" if heals else f"{sync} {_LEAVES}"
    if first := before_asking_flux(application):
        return first
    if flux is None:
        return f"a reconciliation {_LEAVES}"
    if flux.kind == "Kustomization":
        return (
            "a reconciliation puts back what Git declares, and of what others added only what "
            "kubectl wrote"
        )
    if flux.corrects_drift:
        return f"a reconciliation {_LEAVES}"
    return (
        f"spec.driftDetection.mode is not enabled, so only "
        f"{asking_flux(application, suspended=False)} {_LEAVES}"
    )


def replaces(application: Application) -> bool:
    """Whether a sync of Argo CD replaces objects, rather than applying what Git declares."""
    return "Replace=true" in application.spec.sync_policy.sync_options


def overwrites_ignored(application: Application) -> bool:
    """Whether a sync puts back what ignore rules leave out of the comparison.

    Argo CD's do only that, unless `RespectIgnoreDifferences=true` has them count for syncs, too
    (its sync options).
    """
    options = application.spec.sync_policy.sync_options
    return application.flux is None and "RespectIgnoreDifferences=true" not in options


def removes(application: Application, engine: str, change: Change) -> bool:
    """Whether `engine` removes an addition that Git is silent about."""
    if engine == "Argo CD":
        return replaces(application)
    flux = application.flux
    return (
        flux is not None
        and flux.kind == "Kustomization"
        and isinstance(change.manager, str)
        and change.manager.startswith(_TAKEN_OVER)
    )


def stays(
    application: Application, engine: str, changes: Iterable[tuple[ResourceKey, Change]]
) -> str:
    """Why driftd leaves additions of an application that it may not write to, and what ends them.

    `engine` is empty where none deploys it.
    """
    silent = "Git is silent about what was added"
    added = [item for item in changes if item[1].change_class is ChangeClass.UNDECLARED]
    if added and all(removes(application, engine, one) for _, one in added):
        return f"{silent}, but {'a sync' if engine == 'Argo CD' else engine} removes that"
    resumed = [resuming(key, one) for key, one in added]
    how = " and ".join(dict.fromkeys(resumed)) if all(resumed) else ""
    return f"{silent}, and {who_leaves(engine)} leaves that: {how or _EDIT}, {_OR_DECLARE}"


def who_leaves(engine: str) -> str:
    """What leaves additions that Git is silent about."""
    return {"Argo CD": "a sync", "Flux": "Flux"}.get(engine, "an apply")
