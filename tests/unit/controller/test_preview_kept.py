"""Applications that Git no longer declares while nothing deletes the objects that they are."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from msgspec import structs

from driftd.controller.preview_fate import ABSENT, PRUNES
from driftd.controller.preview_inside import Ended
from driftd.controller.preview_kept import Found, settled, still_met
from driftd.controller.preview_pairs import Pair
from driftd.controller.preview_pruning import FAILS
from driftd.model.application import Application
from driftd.model.condition import Condition, Severity
from driftd.model.flux import GROUPS, FluxSpec
from driftd.model.preview import Action, ApplicationAction, ApplicationPreview, ObjectPreview
from driftd.model.resource import ResourceKey
from tests.unit.controller.builders import application, desired

WHY = f"{FAILS}: ConfigMap wrong is refused"
GONE = Action.DELETE
LEFT = Action.LEAVE


def of_flux(
    name: str, kind: Literal["Kustomization", "HelmRelease"], by: str, namespace: str = "apps"
) -> Application:
    """An application of Flux that Kustomization `by` of the same namespace applies."""
    spec = FluxSpec(kind=kind, object_name=name, render={}, applied_by=by and f"{namespace}/{by}")
    return structs.replace(application(name=name), namespace=namespace, flux=spec)


def of_argo(name: str, origin: str = "") -> Application:
    """An Application of Argo CD."""
    return structs.replace(application(name=name), origin=origin)


def resource(key: ResourceKey, action: Action, reason: str) -> ObjectPreview:
    """What becomes of an object that Git no longer declares."""
    return ObjectPreview(
        group=key.group, version="v1", kind=key.kind, namespace=key.namespace, name=key.name,
        action=action, reason=reason, severity="high", severity_reason="the object is deleted",
    )  # fmt: skip


def key_of(app: Application, kind: str = "Application") -> ResourceKey:
    """The object that an application is."""
    if app.flux is None:
        return ResourceKey("argoproj.io", kind, "argocd", app.name)
    return ResourceKey(GROUPS[app.flux.kind], app.flux.kind, app.namespace, app.name)


def previewed(
    app: Application, *resources: ObjectPreview, gone: bool = False, elsewhere: str = ""
) -> tuple[Pair, ApplicationPreview]:
    """One application with what the change does to its objects."""
    entry = desired(app=app).entry
    pair = Pair(entry, None if gone else entry, elsewhere)
    action = ApplicationAction.DELETE if gone else ApplicationAction.CHANGE
    return pair, pair.report(action, resources)


INSIDE = (
    resource(ResourceKey("", "ConfigMap", "shop", "a"), GONE, "Flux deletes what it has applied"),
    resource(ResourceKey("", "Namespace", "", "shop"), GONE, "Flux deletes what it has applied"),
)


def told(*each: tuple[Pair, ApplicationPreview], ended: Ended | None = None) -> dict[str, Any]:
    """The applications as they are told, by name; the first and the rest are of two clusters."""
    declared = [pair.before.application for pair, _ in each if pair.before]
    found = [Found(some, ended or Ended()) for some in (each[:1], each[1:])]
    return {one.name: one for one in settled(found, declared)}


@pytest.mark.parametrize("reason", [WHY, "spec.prune is off"])
@pytest.mark.parametrize("kind", ["HelmRelease", "Kustomization"])
def test_an_application_of_flux_stays_with_its_object(kind: Any, reason: str) -> None:
    """Nothing of it is told as deleted, and why is said; its Namespace is not lost either."""
    child = of_flux("shop", kind, "all")
    top = previewed(of_flux("all", "Kustomization", ""), resource(key_of(child), LEFT, reason))
    inside = Ended({"shop": (ResourceKey("", "Secret", "shop", "other"),)})
    one = told(top, previewed(child, *INSIDE, gone=True), ended=inside)["shop"]
    assert (one.action, one.resources, one.conditions) == (ApplicationAction.UNCHANGED, (), ())
    assert one.reason == f"{kind} apps/shop stays with its objects: {reason}"


@pytest.mark.parametrize(
    ("action", "reason"), [(GONE, "Flux prunes it"), (LEFT, ABSENT), (GONE, ABSENT)]
)
def test_an_application_goes_with_its_object(action: Action, reason: str) -> None:
    """Where Flux prunes the HelmRelease, or it is gone, its objects are told as before."""
    child = of_flux("shop", "HelmRelease", "all")
    top = previewed(of_flux("all", "Kustomization", ""), resource(key_of(child), action, reason))
    gone = previewed(child, *INSIDE, gone=True)
    assert told(top, gone)["shop"] == gone[1]


def test_what_a_kustomization_declares_that_stays_stays_too() -> None:
    """A HelmRelease of a Kustomization that is not deleted is not deleted either."""
    middle, child = of_flux("mid", "Kustomization", "all"), of_flux("shop", "HelmRelease", "mid")
    top = previewed(of_flux("all", "Kustomization", ""), resource(key_of(middle), LEFT, WHY))
    under = previewed(middle, resource(key_of(child), GONE, "Flux prunes it"), gone=True)
    found = told(top, under, previewed(child, *INSIDE, gone=True))
    assert found["shop"].reason == f"HelmRelease apps/shop stays with its objects: {WHY}"
    assert {one.action for name, one in found.items() if name != "all"} == {"unchanged"}


def test_another_root_does_not_keep_an_application() -> None:
    """Objects of one name in the Flux of two clusters are kept apart by what applies them."""
    child = of_flux("shop", "HelmRelease", "all")
    left = resource(key_of(child), LEFT, WHY)
    gone = previewed(child, *INSIDE, gone=True)
    assert told(previewed(of_flux("other", "Kustomization", ""), left), gone)["shop"] == gone[1]


@pytest.mark.parametrize("kind", ["Application", "ApplicationSet"])
def test_a_child_of_an_app_of_apps_stays_where_the_sync_fails(kind: str) -> None:
    """So does what an ApplicationSet generates that is not deleted, on whatever cluster."""
    child = of_argo("shop", "ApplicationSet shop" if kind == "ApplicationSet" else "")
    top = previewed(of_argo("root"), resource(key_of(child, kind), LEFT, WHY))
    one = told(top, previewed(child, *INSIDE, gone=True))["shop"]
    assert (one.action, one.resources) == (ApplicationAction.UNCHANGED, ())
    assert one.reason == f"{kind} argocd/shop stays with its objects: {WHY}"


@pytest.mark.parametrize(
    ("action", "reason", "elsewhere"),
    [
        (GONE, PRUNES, ""),
        (LEFT, "it stays until somebody syncs with prune: syncPolicy is not automated", ""),
        (LEFT, WHY, "it goes to two instead"),
    ],
)
def test_a_child_of_an_app_of_apps_is_told_as_before(
    action: Action, reason: str, elsewhere: str
) -> None:
    """Argo CD prunes before it applies, a later sync may prune, and a move deletes no object."""
    child = of_argo("shop")
    top = previewed(of_argo("root"), resource(key_of(child), action, reason))
    gone = previewed(child, *INSIDE, gone=True, elsewhere=elsewhere)
    assert told(top, gone)["shop"] == gone[1]


def test_an_application_of_a_file_is_told_as_before() -> None:
    """What no application declares goes as somebody deletes it."""
    gone = previewed(of_argo("shop"), *INSIDE, gone=True)
    assert told(previewed(of_argo("root")), gone)["shop"] == gone[1]


def test_what_keeps_an_application_need_not_be_asked_for() -> None:
    """A parent that no name of the command line chooses keeps its child, and is not told itself."""
    child = of_argo("shop")
    top = previewed(of_argo("root"), resource(key_of(child), LEFT, WHY))
    top[0].asked = False
    found = told(top, previewed(child, *INSIDE, gone=True))
    assert list(found) == ["shop"]
    assert found["shop"].action is ApplicationAction.UNCHANGED


@pytest.mark.parametrize(("place", "met"), [("mid", True), ("apps/mid", True), ("other", False)])
def test_what_depends_on_an_application_that_stays_is_not_held_up(place: str, met: bool) -> None:
    """Flux finds a Kustomization that is not deleted: that it waits is said of others alone."""
    child = of_flux("mid", "Kustomization", "all")
    top = previewed(of_flux("all", "Kustomization", ""), resource(key_of(child), LEFT, WHY))
    found = told(top, previewed(child, *INSIDE, gone=True))
    text = (
        f"a.yaml:9: Kustomization apps/shop depends on Kustomization {place}, which nothing here "
        "declares: Flux waits for it and does not apply this one; declare it, or remove the entry"
    )
    given = Condition("DependencyNotFound", text, Severity.WARNING)
    (one,) = still_met([given], list(found.values()))
    assert (f"stays on the cluster ({WHY}): Flux goes on" in one.message) is met
    assert ("Flux waits for it" in one.message) is not met
