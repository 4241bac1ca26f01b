"""Objects that several applications declare."""

from __future__ import annotations

from driftd.cluster.destinations import ClusterTarget, TargetKind
from driftd.controller.desired import Desired
from driftd.controller.shared import Claims, same_cluster
from driftd.model.condition import Condition, Severity
from driftd.model.resource import ResourceKey
from tests.unit.controller.builders import TARGET, application, config_map, desired

SETTINGS = ResourceKey("", "ConfigMap", "shop", "settings")
OTHER = ClusterTarget(TargetKind.CONTEXT, "two", "https://two.example.com")


def app(name: str, *objects: str, conditions: tuple[Condition, ...] = ()) -> Desired:
    """An application that declares ConfigMaps of these names."""
    bodies = (config_map(one) for one in objects)
    return desired(*bodies, app=application(name=name), conditions=conditions)


def claims(*each: Desired) -> Claims:
    """What these applications declare on one cluster."""
    found = Claims()
    for one in each:
        found.declare(TARGET, one)
    return found


def messages(found: Claims, name: str) -> list[str]:
    """What an application is told."""
    return [one.message for one in found.conditions(name)]


def test_both_applications_and_files_are_named() -> None:
    """Each application hears of the other, of the object and of the file of either."""
    found = claims(app("a", "settings", "own"), app("b", "settings"))
    text = (
        "the applications argocd/a and argocd/b declare the same object, which driftd heals for "
        "none of them: ConfigMap shop/settings (shop.yaml and shop.yaml)"
    )
    told = Condition("SharedResourceWarning", text, Severity.WARNING)
    assert found.conditions("argocd/a") == found.conditions("argocd/b") == (told,)
    assert found.others("argocd/a") == {SETTINGS: "argocd/b (shop.yaml)"}


def test_many_objects_are_one_condition() -> None:
    """Five of the objects are named, the rest is counted; other sharers are another condition."""
    names = [f"m{number}" for number in range(7)]
    found = claims(app("a", *names, "x"), app("b", *names), app("c", "x"), app("d", "x"))
    first, second = messages(found, "argocd/a")
    assert "declare the same 7 objects" in first
    assert first.count("ConfigMap") == 5
    assert first.endswith("; and 2 more")
    assert second.startswith("the applications argocd/a, argocd/c and argocd/d declare")
    assert found.others("argocd/d") == {
        ResourceKey("", "ConfigMap", "shop", "x"): "argocd/a (shop.yaml) and argocd/c (shop.yaml)"
    }


def test_another_cluster_has_another_object() -> None:
    """Objects are the same in one cluster only, whatever the context that leads there."""
    found = claims(app("a", "settings"))
    found.declare(OTHER, app("b", "settings"))
    assert messages(found, "argocd/a") == []
    again = ClusterTarget(TargetKind.HUB_CLUSTER, "prod", "https://ONE.example.com:443/")
    found.declare(again, app("b", "settings"))
    assert len(messages(found, "argocd/a")) == 1
    assert same_cluster(TARGET, again)
    assert not same_cluster(ClusterTarget(TargetKind.CONTEXT, "x"), OTHER)


def test_what_is_declared_no_longer_is_not_shared() -> None:
    """A new rendering counts in place of the old one, and a removed application not at all."""
    found = claims(app("a", "settings"), app("b", "settings"), app("c", "settings"))
    found.declare(TARGET, app("b", "other"))
    assert "argocd/a and argocd/c" in messages(found, "argocd/a")[0]
    found.outdated({"argocd/a", "argocd/b"})
    assert messages(found, "argocd/a") == []
    assert messages(found, "argocd/c") == []


def test_half_a_rendering_takes_nothing_back() -> None:
    """What could not be rendered completely may still declare what it did."""
    found = claims(app("a", "settings"), app("b", "settings"))
    broken = Condition("ComparisonError", "source apps/b: no")
    found.declare(TARGET, app("b", "other", conditions=(broken,)))
    assert found.others("argocd/a") == {SETTINGS: "argocd/b (shop.yaml)"}


def test_who_was_told_otherwise_is_named_once() -> None:
    """An application whose conditions others have changed is due another look, no other is."""
    found = claims(app("a", "settings"))
    assert messages(found, "argocd/a") == []
    found.declare(TARGET, app("b", "settings"))
    assert len(messages(found, "argocd/b")) == 1
    assert found.changed() == ["argocd/a"]
    assert found.changed() == []
    found.declare(TARGET, app("b", "settings"))
    assert found.changed() == []
    found.declare(TARGET, app("b"))
    assert found.changed() == ["argocd/a"]


def test_freshness() -> None:
    """A reading of Git makes every rendering an old one, and forgets none if some are unread."""
    found = claims(app("a", "settings"), app("b", "settings"))
    assert found.is_fresh("argocd/a")
    found.outdated(None)
    assert not found.is_fresh("argocd/a")
    assert len(messages(found, "argocd/a")) == 1
    found.declare(TARGET, app("a", "settings"))
    assert found.is_fresh("argocd/a")
