"""The two sides of a preview through a hub: what is live, and what the change makes otherwise."""

from __future__ import annotations

from typing import Any

import msgspec

from driftd.applicationset.generators import HUB_HINT
from driftd.controller.catalogued import Catalogued
from driftd.controller.hub_sides import FluxCheckout, HubCheckout, HubSide
from driftd.controller.live_applications import beside, beside_change
from driftd.flux.objects import FluxObjects
from driftd.model.application import Application, ApplicationSpec
from driftd.model.condition import Condition, Severity
from driftd.model.flux import FluxObject
from driftd.model.project import AppProject, AppProjectSpec


def app(name: str, path: str, origin: str = "", **metadata: Any) -> Application:
    """An Application that deploys a path."""
    spec = {"source": {"repoURL": "https://git.example.com/a.git", "path": path}}
    return Application(
        name=name,
        namespace="argocd",
        spec=msgspec.convert(spec, ApplicationSpec),
        origin=origin,
        raw={"metadata": {"name": name, "namespace": "argocd", **metadata}, "spec": spec},
    )


def sides(base: HubCheckout, change: HubCheckout) -> tuple[HubSide, HubSide]:
    """Both sides of what the checkout declares at two revisions."""
    one, other = (HubSide(base=base, change=change, is_base=is_base) for is_base in (True, False))
    return one, other


def of_argo(*applications: Application, **more: Any) -> HubCheckout:
    """A checkout that declares Applications."""
    return HubCheckout(argo=Catalogued(applications=applications, **more))


def found(side: HubSide, *live: Application) -> dict[str, Application]:
    """The Applications of a side by name, with conditions as a look through a hub gives them."""

    def told(one: Application, base: Application | None, live: Application | None) -> Application:
        return one if side.is_base or live is None else beside_change(one, base, live)

    return {one.name: one for one in side.applications(live, beside, told)}


def paths(side: HubSide, *live: Application) -> dict[str, str]:
    """What each Application of a side deploys."""
    every = found(side, *live)
    return {name: every[name].spec.all_sources[0].path for name in sorted(every)}


def test_what_the_change_alters_is_as_the_checkout_says() -> None:
    """Live where the document is the same on both sides, else each side as it is declared there."""
    live = (app("same", "live"), app("altered", "live"), app("gone", "g"), app("only", "hub"))
    before, after = sides(
        of_argo(app("same", "a"), app("altered", "old"), app("gone", "g")),
        of_argo(app("same", "a"), app("altered", "new"), app("added", "n")),
    )
    assert paths(before, *live) == {"same": "live", "altered": "old", "gone": "g", "only": "hub"}
    assert paths(after, *live) == {"same": "live", "altered": "new", "added": "n", "only": "hub"}


def test_live_is_compared_with_the_base() -> None:
    """What the branch sets is no edit of the live one; what somebody set there is told of both."""
    live = (app("same", "edited"), app("altered", "edited"), app("synced", "a"))
    before, after = sides(
        of_argo(app("same", "a", "s.yaml"), app("altered", "a", "b.yaml"), app("synced", "a")),
        of_argo(app("same", "a", "s.yaml"), app("altered", "new", "n.yaml"), app("synced", "new")),
    )
    told = {name: one.conditions for name, one in found(after, *live).items()}
    assert {name: [one.type for one in of] for name, of in told.items()} == {
        "same": ["LiveApplicationDiffers"],
        "altered": ["LiveApplicationDiffers"],
        "synced": [],
    }
    assert told["altered"][0].message == (
        "the live Application is not as b.yaml declares it at the base; what the change makes is "
        "told from Git's documents, without what is live: spec.source.path is "
        '"edited" (Git: "a")'
    )
    assert "the findings here compare with what the live Application says" in (
        told["same"][0].message
    )
    assert not found(before, *live)["altered"].conditions


def test_a_document_without_namespace_is_of_the_hubs() -> None:
    """An Application that Argo CD has in its own namespace is not told beside its document."""
    live = msgspec.structs.replace(app("shop", "live"), namespace="gitops")
    documents = [app("shop", path) for path in ("old", "new")]
    for one in documents:
        del one.raw["metadata"]["namespace"]
    before, after = sides(*map(of_argo, documents))
    assert (paths(before, live), paths(after, live)) == ({"shop": "old"}, {"shop": "new"})
    placed = sides(of_argo(app("shop", "old")), of_argo(app("shop", "new")))[1]
    names = [one.qualified_name for one in placed.applications([live], beside, lambda a, _b, _l: a)]
    assert names == ["gitops/shop", "argocd/shop"]


def test_what_alters_a_document() -> None:
    """Finalizers decide what is deleted; labels and the file alter nothing that is deployed."""
    base = app("shop", "a", "old.yaml", labels={"helm.sh/chart": "apps-1"})
    live = app("shop", "live")
    for change, path in (
        (app("shop", "a", "new.yaml", labels={"helm.sh/chart": "apps-2"}), "live"),
        (app("shop", "a", "old.yaml", finalizers=["resources-finalizer.argocd.argoproj.io"]), "a"),
    ):
        after = sides(of_argo(base), of_argo(change))[1]
        assert paths(after, live) == {"shop": path}


def test_projects_that_the_change_alters() -> None:
    """Other projects are the hub's; one that the change adds is permitted by it alone."""

    def project(name: str, *repos: str) -> AppProject:
        spec = msgspec.convert({"sourceRepos": repos}, AppProjectSpec)
        return AppProject(name=name, namespace="argocd", spec=spec, origin="")

    live = {one.name: one for one in (project("same", "live"), project("gone", "live"))}
    base = [project("same", "a"), project("gone", "a"), project("altered", "a")]
    change = [project("same", "a"), project("altered", "b"), project("added", "c")]
    before, after = sides(
        *(of_argo(projects={one.name: one for one in of}) for of in (base, change))
    )

    def repos(side: HubSide) -> dict[str, str]:
        return {name: one.spec.source_repos[0] for name, one in side.projects(live).items()}

    assert repos(before) == {"same": "live", "gone": "a", "altered": "a"}
    assert repos(after) == {"same": "live", "altered": "b", "added": "c"}


def test_a_set_that_only_its_argo_cd_can_expand() -> None:
    """What becomes of its live Applications is not known once the change alters it: never alike."""
    owner = [{"kind": "ApplicationSet", "name": "fleet"}]
    live = (app("a-shop", "live", ownerReferences=owner), app("other", "live"))
    base, change = ({"argocd/fleet": {"spec": {"template": one}}} for one in ("old", "new"))
    before, after = sides(of_argo(unexpanded=base), of_argo(unexpanded=change))
    assert list(after.hidden(live)) == ["argocd/a-shop"]
    assert (list(found(before, *live)), list(found(after, *live))) == (
        ["a-shop", "other"],
        ["other"],
    )
    assert [one.severity for one in after.conditions] == [Severity.ERROR]
    assert (before.conditions, sides(of_argo(unexpanded=base), before.base)[1].conditions) == (
        [],
        [],
    )


def test_errors_of_one_side_count() -> None:
    """What was wrong before is no news; what the change breaks is told, without advice of a hub."""
    old = Condition("InvalidSpecError", "a.yaml:3: spec is missing")
    moved = Condition("InvalidSpecError", "a.yaml:4: spec is missing")
    new = Condition("InvalidSpecError", f"set.yaml: a clusters generator; {HUB_HINT}")
    before, after = sides(
        of_argo(app("shop", "a"), conditions=(old,)), of_argo(conditions=(moved, new))
    )
    assert before.conditions == []
    assert [one.message for one in after.conditions] == ["set.yaml: a clusters generator"]
    assert (before.is_blind, after.is_blind) == (True, True)
    same = sides(of_argo(app("shop", "a"), conditions=(old,)), of_argo(app("shop", "a")))[0]
    assert not same.is_blind


def test_objects_of_flux() -> None:
    """The hub's objects, those that the change makes otherwise as each side declares them."""

    def release(name: str, count: int, origin: str = "hub one") -> FluxObject:
        body = {"spec": {"values": {"count": count}}}
        return FluxObject(kind="HelmRelease", namespace="web", name=name, body=body, origin=origin)

    def checkout(*objects: FluxObject) -> HubCheckout:
        return HubCheckout(flux=FluxCheckout(prefix="", objects=FluxObjects(objects)))

    live = [release("same", 9), release("altered", 9), release("gone", 9), release("only", 9)]
    base = checkout(release("same", 1), release("altered", 1), release("gone", 1))
    change = checkout(release("same", 1, "moved"), release("altered", 2), release("added", 3))

    def counts(side: HubSide) -> dict[str, int]:
        return {one.name: one.body["spec"]["values"]["count"] for one in side.flux_objects(live)}

    before, after = sides(base, change)
    assert counts(before) == {"same": 9, "only": 9, "altered": 1, "gone": 1}
    assert counts(after) == {"same": 9, "only": 9, "altered": 2, "added": 3}
