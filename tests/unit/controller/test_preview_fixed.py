"""What becomes of a change of a field that cannot be changed in place."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, cast

import pytest
from msgspec import UNSET, structs

from driftd.controller.declared import Entry
from driftd.controller.preview_fixed import settled
from driftd.controller.preview_objects import _Object, application_preview
from driftd.controller.preview_pairs import Pair, Touched
from driftd.model.flux import FluxSpec
from driftd.model.preview import Action, Effect, FieldChange, FieldKind, ObjectPreview
from driftd.model.report import ResourceReport, ResourceStatus
from driftd.model.resource import Unchecked
from driftd.sandbox.pool import SandboxPool
from tests.unit.controller.builders import application, desired, manifest
from tests.unit.diff.objects import deployment
from tests.unit.reports import change, resource

NO_SANDBOX = cast("SandboxPool", None)
"""Only a cluster's objects have rules that are asked of it."""
OPTIONS = "argocd.argoproj.io/sync-options"
FORCE = "kustomize.toolkit.fluxcd.io/force"
BOTH = "Force=true,Replace=true"
FIXED = "the API server refuses the change: spec.selector cannot be changed in place; "


def deployer(*options: str, flux: Any = None, **fields: Any) -> Entry:
    """An Application with sync options, or an object of Flux of that kind."""
    app = application(syncPolicy={"syncOptions": list(options)})
    if flux:
        app = structs.replace(app, flux=FluxSpec(kind=flux, object_name="a", render={}, **fields))
    return desired(app=app).entry


def changed(entry: Entry, *, kind: str = "Deployment", **metadata: dict[str, str]) -> Touched:
    """An object on both sides, the new one with labels or annotations."""
    old = {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "web", "namespace": "shop"}}
    new = {**old, "metadata": {**dict(old["metadata"]), **metadata}}  # type: ignore[call-overload]
    one = manifest(new)
    return Touched(one.key, Pair(entry, entry), manifest(old), one)


FIELDS = (
    FieldChange(
        kind=FieldKind.MODIFIED, path="/spec/selector/matchLabels/app", old="a", new="b",
        severity="high", severity_reason="which Pods are meant", effect=Effect.RECREATE,
        effect_reason="spec.selector cannot be changed in place: recreate the object",
    ),
    FieldChange(
        kind=FieldKind.MODIFIED, path="/spec/template/metadata/labels/app", old="a", new="b",
        severity="medium", severity_reason="", effect=Effect.ROLLOUT,
        effect_reason="its Pods are replaced",
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "kind", "metadata", "how"),
    [
        (deployer(), "Deployment", {}, ""),
        (deployer("Replace=true"), "Deployment", {}, ""),
        (deployer("Force=true", "Replace=true"), "Deployment", {}, ""),
        (deployer("Replace=true"), "Deployment", {OPTIONS: "Force=true"}, "Force=true with"),
        (deployer(), "Deployment", {OPTIONS: BOTH}, "Force=true with Replace=true"),
        (deployer(), "CustomResourceDefinition", {OPTIONS: BOTH}, ""),
        (deployer(), "Deployment", {OPTIONS: "Replace=true"}, ""),
        (deployer(), "Deployment", {OPTIONS: "Force=true"}, "Force=true"),
        (deployer("ServerSideApply=true"), "Deployment", {OPTIONS: "Force=true"}, ""),
        (
            deployer("ServerSideApply=true"),
            "Deployment",
            {OPTIONS: "Force=true,ServerSideApply=false"},
            "Force=true",
        ),
        (deployer(flux="Kustomization"), "Deployment", {}, ""),
        (deployer(flux="Kustomization"), "Deployment", {OPTIONS: BOTH}, ""),
        (deployer(flux="Kustomization"), "Deployment", {FORCE: "Enabled"}, FORCE),
        (deployer(flux="Kustomization"), "Deployment", {FORCE: "true"}, ""),
        (deployer(flux="Kustomization", force=True), "Deployment", {}, "spec.force: true"),
        (deployer(flux="HelmRelease"), "Deployment", {FORCE: "enabled"}, ""),
    ],
)
def test_who_forces(entry: Entry, kind: str, metadata: dict[str, str], how: str) -> None:
    """Argo CD asks the object alone, Flux its Kustomization too, Helm nobody."""
    fields, refusal = settled(changed(entry, kind=kind, annotations=metadata), FIELDS, free=False)
    assert bool(refusal) is not bool(how)
    assert fields[0].effect is Effect.RECREATE
    if how:
        assert fields[1] == FIELDS[1]
        assert "deletes the object and creates it anew (" + how in str(fields[0].effect_reason)
    else:
        assert fields[0].effect_reason == "spec.selector cannot be changed in place"
        assert fields[1].effect is UNSET


def test_a_label_marks_an_object_for_flux_as_well() -> None:
    """Flux looks for its mark among the labels, too."""
    one = changed(deployer(flux="Kustomization"), labels={FORCE: "enabled"})
    assert settled(one, FIELDS, free=False)[1] == ""


@pytest.mark.parametrize(
    ("entry", "kind", "told"),
    [
        (deployer(), "Deployment", f"Argo CD creates it anew; or give it the sync options {BOTH}"),
        (deployer(flux="Kustomization"), "Deployment", f"or annotate it with {FORCE}: enabled"),
        (deployer(flux="HelmRelease"), "Deployment", "anew: spec.upgrade.force does not"),
        (deployer(), "PersistentVolumeClaim", "anew (the data of the volume may be lost); or"),
    ],
)
def test_the_refusal_says_what_helps(entry: Entry, kind: str, told: str) -> None:
    """The reason names the field, what each deployer needs, and what is lost with the object."""
    refusal = settled(changed(entry, kind=kind), FIELDS, free=False)[1]
    assert refusal.startswith(f"{FIXED}delete it, and ")
    assert told in refusal


def test_what_is_not_there_is_created() -> None:
    """Nothing is refused of an object that the cluster lacks, or that Flux leaves alone."""
    item = changed(deployer())
    told = settled(item, FIELDS, free=True)
    assert (told[1], {one.effect for one in told[0]}) == ("", {UNSET})
    assert item.new
    item.new = structs.replace(item.new, unchecked=Unchecked("Flux leaves it alone"))
    assert settled(item, FIELDS, free=False)[1] == ""


def test_what_moves_may_be_gone_before() -> None:
    """An object that the other application prunes is not said to be refused; one that stays is."""
    item = changed(deployer())
    for prune, refused in ((True, False), (False, True)):
        app = application(syncPolicy={"automated": {"prune": prune}})
        source = desired(app=app).entry
        item.moved_from = Pair(source, source)
        assert bool(settled(item, FIELDS, free=False)[1]) is refused


async def test_the_preview_refuses_the_object() -> None:
    """Another selector is no change but a refusal, and the rollout beside it does not happen."""
    old = deployment()
    new = deepcopy(old)
    new["spec"]["selector"]["matchLabels"]["team"] = "core"
    new["spec"]["template"]["metadata"]["labels"]["team"] = "core"
    found = await previewed(old, new)
    assert (found.action, found.effect) == (Action.REFUSE, Effect.RECREATE)
    assert str(found.reason).startswith(FIXED)
    assert {one.effect for one in found.changes} == {UNSET, Effect.RECREATE}


@pytest.mark.parametrize(
    ("seen", "action"),
    [
        (resource("web", change("/data/a", ssa_path="f:data/f:a")), Action.REFUSE),
        (None, Action.REFUSE),
        (resource("web", status=ResourceStatus.MISSING), Action.CHANGE),
        (resource("web", change("/immutable", desired=True, live=False)), Action.CHANGE),
    ],
)
def test_the_cluster_says_whether_it_is_fixed(seen: ResourceReport | None, action: Action) -> None:
    """A ConfigMap that is immutable in Git alone, or not there yet, takes the change."""
    old = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}, "immutable": True}
    sides = [manifest({**old, "data": {"a": value}}) for value in "12"]
    entry = deployer()
    work = _Object(Touched(sides[0].key, Pair(entry, entry), *sides), None, seen, seen)
    found = work.preview()
    assert found
    assert found.action is action
    assert (found.effect is Effect.RECREATE) is (action is Action.REFUSE)


async def previewed(old: dict[str, Any], new: dict[str, Any]) -> ObjectPreview:
    """What a preview without a cluster tells of one object."""
    before, after = desired(old), desired(new)
    pair = Pair(before.entry, after.entry, old=before, new=after)
    item = Touched(manifest(new).key, pair, manifest(old), manifest(new))
    (found,) = (await application_preview(pair, [item], None, NO_SANDBOX, [])).resources
    return found
