"""Namespaces that Git stops declaring while it declares objects in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import structs

from driftd.controller.preview_fate import ABSENT
from driftd.controller.preview_inside import Ended, ended_namespaces, with_ended
from driftd.controller.preview_objects import application_preview
from driftd.controller.preview_pairs import Pair, touched
from driftd.model.application import Application
from driftd.model.flux import FluxSpec
from driftd.model.preview import Action, ApplicationPreview
from tests.unit.controller.builders import application, config_map, desired, manifest

PRUNES = {"automated": {"prune": True}}
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data", "namespace": "shop"},
}


def namespace(name: str = "shop", **annotations: str) -> dict[str, Any]:
    """A Namespace."""
    metadata = {"name": name, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def pair(*bodies: dict[str, Any], app: Application, gone: dict[str, Any] | None = None) -> Pair:
    """An application that loses its Namespace and keeps, or gets, other objects."""
    old = desired(config_map("a"), gone or namespace(), app=app)
    new = desired(config_map("a"), *bodies, app=app)
    return Pair(old.entry, new.entry, old=old, new=new)


async def previewed(
    *pairs: Pair, declares: Sequence[dict[str, Any]] = ()
) -> tuple[list[ApplicationPreview], Ended]:
    """The applications of a cluster that cannot be read; those that stay declare the same."""

    async def stand(waiting: Sequence[Pair]) -> None:
        for one in waiting:
            one.standing = frozenset(manifest(body).key for body in declares)
            one.stands = True

    objects = touched(pairs)
    ended = await ended_namespaces(objects, pairs, stand)
    reports = [
        await application_preview(one, [o for o in objects if o.owner is one], None, None, ())
        for one in pairs
        if one.new is not None or one.old is not None
    ]
    return with_ended(reports, ended), ended


def flux(*, prune: bool) -> Application:
    """A Kustomization of Flux."""
    spec = FluxSpec(kind="Kustomization", object_name="shop", render={}, prune=prune)
    return structs.replace(application(), flux=spec)


@pytest.mark.parametrize(
    ("app", "action", "told"),
    [
        (application(syncPolicy=PRUNES), Action.DELETE, "syncs fail from then on, for nothing"),
        (flux(prune=True), Action.DELETE, "syncs fail from then on, for nothing creates it"),
        (
            application(syncPolicy={**PRUNES, "syncOptions": ["CreateNamespace=true"]}),
            Action.DELETE,
            "a later sync creates them anew, but not their data",
        ),
        (application(), Action.LEAVE, "nothing deletes it now (it stays until somebody syncs"),
        (
            application(syncPolicy={"automated": {}}),
            Action.LEAVE,
            "nothing deletes it now (it stays until somebody prunes it",
        ),
        (flux(prune=False), Action.LEAVE, "nothing deletes it now (spec.prune is off)"),
    ],
    ids=["argo", "flux", "created", "manual", "no prune", "flux keeps"],
)
async def test_what_goes_with_its_namespace_is_told(
    app: Application, action: Action, told: str
) -> None:
    """The file, what is deleted with it, and what comes of it, by who deploys and prunes."""
    (report,), _ = await previewed(pair(CLAIM, app=app))
    gone = next(one for one in report.resources if one.kind == "Namespace")
    assert (gone.action, gone.declared_inside) == (action, 2)
    (condition,) = (one for one in report.conditions if one.type == "NamespaceInUse")
    named = ": PersistentVolumeClaim data, ConfigMap a; "
    assert condition.message.startswith("shop.yaml: ")
    assert named in condition.message
    assert told in condition.message
    assert ("with their data" in condition.message) == (action is Action.DELETE)


async def test_what_moves_into_a_deleted_namespace_is_refused() -> None:
    """New objects there, another application's too, are refused unless a sync creates it anew."""
    other = application(name="other", destination={"name": "one", "namespace": "elsewhere"})
    empty, full = desired(app=other), desired(config_map("b"), app=other)
    for options, action in (([], Action.REFUSE), (["CreateNamespace=true"], Action.CREATE)):
        app = application(syncPolicy={**PRUNES, "syncOptions": options})
        mover = Pair(empty.entry, full.entry, old=empty, new=full)
        reports, _ = await previewed(pair(app=app), mover)
        (moved,) = reports[1].resources
        assert moved.action is action
        assert moved.reason == "the change deletes namespace shop" or action is Action.CREATE


async def test_objects_of_applications_that_stay_as_they_are_count() -> None:
    """An application that the change does not touch loses its objects all the same."""
    entry = desired(app=application(name="other")).entry
    loser = pair(app=application(syncPolicy=PRUNES))
    _, ended = await previewed(loser, Pair(entry, entry), declares=[config_map("b")])
    assert [key.name for key in ended.inside["shop"]] == ["a", "b"]
    _, ended = await previewed(loser, Pair(entry, entry), declares=[namespace()])
    assert ended == Ended(created=frozenset({""}))


@pytest.mark.parametrize(
    ("app", "annotations"),
    [
        (application(syncPolicy=PRUNES), {"argocd.argoproj.io/sync-options": "Prune=false"}),
        (flux(prune=True), {"kustomize.toolkit.fluxcd.io/prune": "disabled"}),
        (
            structs.replace(
                flux(prune=True), flux=FluxSpec(kind="HelmRelease", object_name="a", render={})
            ),
            {"helm.sh/resource-policy": "keep"},
        ),
        (
            structs.replace(
                application(syncPolicy=PRUNES),
                raw={"spec": {"syncPolicy": {**PRUNES, "managedNamespaceMetadata": {}}}},
            ),
            {},
        ),
    ],
    ids=["argo", "kustomization", "helm", "managed"],
)
async def test_a_namespace_that_is_kept_is_left_without_a_warning(
    app: Application, annotations: dict[str, str]
) -> None:
    """An option or annotation that keeps the Namespace was set for that: it says so, no more."""
    loser = pair(CLAIM, app=app, gone=namespace(**annotations))
    (report,), ended = await previewed(loser)
    gone = next(one for one in report.resources if one.kind == "Namespace")
    assert gone.action is Action.LEAVE
    assert str(gone.reason).endswith("keeps it")
    assert not ended.inside
    assert not [one for one in report.conditions if one.type == "NamespaceInUse"]


async def test_a_namespace_that_is_gone_takes_nothing_along() -> None:
    """Of what the cluster does not have any more nothing is deleted."""
    loser = pair(CLAIM, app=application(syncPolicy=PRUNES))
    (report,), ended = await previewed(loser)
    assert ended.inside
    resources = [structs.replace(one, reason=ABSENT) for one in report.resources]
    gone = structs.replace(report, resources=tuple(resources), conditions=())
    assert not with_ended([gone], ended)[0].conditions
