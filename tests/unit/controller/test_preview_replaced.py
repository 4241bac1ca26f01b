"""Generated objects that get another name with what they hold, in previews."""

from __future__ import annotations

from base64 import b64encode
from typing import Any, cast

import msgspec

from driftd.controller.preview_objects import application_preview
from driftd.controller.preview_pairs import Pair, touched
from driftd.controller.preview_replaced import note_replaced, owners_to_find
from driftd.controller.verdict import Look
from driftd.model.preview import Action, ObjectPreview
from driftd.sandbox.pool import SandboxPool
from tests.unit.controller.builders import application, config_map, desired, looked
from tests.unit.controller.cluster import MemoryCluster

NO_SANDBOX = cast("SandboxPool", None)
"""No application of these tests has ignore rules."""
OLD, NEW, OTHER = "web-b77658hf65", "web-47m6d8cfff", "web-57989td4g5"
PLACE = f"takes the place of ConfigMap shop/{OLD}"
APP = application(syncPolicy={"automated": {"prune": True}})


def pair(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Pair:
    """An application whose objects change."""
    before, after = desired(*old, app=APP), desired(*new, app=APP)
    return Pair(before.entry, after.entry, old=before, new=after)


async def previewed(one: Pair, look: Look | None = None) -> dict[str, ObjectPreview]:
    """What a preview says of the objects, by name."""
    objects = touched([one])
    note_replaced(objects)
    report = await application_preview(one, objects, look, NO_SANDBOX, [])
    return {found.name: found for found in report.resources}


async def previewed_on(one: Pair, *live: dict[str, Any]) -> dict[str, ObjectPreview]:
    """The same beside a cluster with these objects."""
    cluster = MemoryCluster()
    for body in live:
        cluster.put(body)
    assert one.old
    assert one.new
    return await previewed(one, await looked(cluster, one.old, one.new))


def tracked(body: dict[str, Any]) -> dict[str, Any]:
    """A live object with the mark of application `shop`."""
    meta = body["metadata"]
    mark = f"shop:/{body['kind']}:{meta['namespace']}/{meta['name']}"
    meta["annotations"] = {"argocd.argoproj.io/tracking-id": mark}
    return body


def secret(name: str, token: str, **fields: Any) -> dict[str, Any]:
    """A Secret of one value."""
    data = {"token": b64encode(token.encode()).decode()}
    return {**config_map(name), "kind": "Secret", "data": data, **fields}


async def test_what_changes_in_a_generated_object_is_told_as_a_change_of_its_fields() -> None:
    """The new one names the old one and has its fields; the end of that one is no loss."""
    found = await previewed(
        pair([config_map(OLD, retries="3", mode="a")], [config_map(NEW, retries="5", mode="a")])
    )
    new, old = found[NEW], found[OLD]
    (field,) = new.changes
    assert (field.ssa_path, field.old, field.new) == ("f:data/f:retries", "3", "5")
    assert (new.action, new.replaces, new.reason) == (Action.CREATE, OLD, PLACE)
    assert (new.severity, new.severity_reason) == (field.severity, field.severity_reason)
    assert (old.action, old.severity) == (Action.DELETE, "medium")
    assert old.severity_reason == "another object takes its place"


async def test_a_secret_is_masked_and_nothing_is_recreated() -> None:
    """Neither value is told; what cannot be changed in place (immutable) is no matter here."""
    sides = [secret(OLD, "hunter2", immutable=True), secret(NEW, "sesame-9", immutable=True)]
    new = (await previewed(pair(sides[:1], sides[1:])))[NEW]
    assert (new.replaces, len(new.changes), new.effect) == (OLD, 1, msgspec.UNSET)
    text = msgspec.json.encode(new).decode()
    for value in ("hunter2", "sesame-9"):
        assert value not in text
        assert b64encode(value.encode()).decode() not in text


async def test_a_hash_alone_that_goes_changes_nothing_of_the_content() -> None:
    """`disableNameSuffixHash` gives an object of the same content another name."""
    new = (await previewed(pair([config_map(OLD, a="1")], [config_map("web", a="1")])))["web"]
    assert (new.replaces, new.changes, new.severity) == (OLD, (), "low")


async def test_only_one_of_each_side_is_one() -> None:
    """Two with the same name but for the hash, other kinds, and other names stay as they are."""
    several = pair([config_map(OLD), config_map(OTHER)], [config_map(NEW, a="1")])
    kinds = pair([config_map(OLD)], [secret(NEW, "x")])
    names = pair([config_map(OLD)], [config_map("api-47m6d8cfff")])
    spaces = pair([config_map(OLD)], [config_map(NEW, namespace="other")])
    for one in (several, kinds, names, spaces):
        found = (await previewed(one)).values()
        assert not any(each.replaces or each.changes for each in found)
        assert any(each.severity_reason == "the object is deleted" for each in found)


async def test_an_object_that_is_refused_takes_no_place() -> None:
    """What the API server refuses replaces nothing, and the end of the old one stays a loss."""
    found = await previewed(pair([config_map(OLD)], [config_map(NEW, **{"a b": "1"})]))
    assert (found[NEW].action, found[NEW].replaces) == (Action.REFUSE, msgspec.UNSET)
    assert found[OLD].severity_reason == "the object is deleted"


async def test_what_the_cluster_has_in_place_of_the_old_one() -> None:
    """An object of another hash with the application's mark is named; one of nobody is not."""
    change = pair([config_map(OLD, a="1")], [config_map(NEW, a="2")])
    found = await previewed_on(change, tracked(config_map(OTHER, a="0")))
    assert found[OLD].reason == f"it is not on the cluster, which has {OTHER} instead"
    assert (found[OLD].severity, found[OLD].severity_reason) == (
        "low",
        "there is nothing to delete",
    )
    for live in (config_map(OTHER), tracked(config_map("api-57989td4g5"))):
        assert (await previewed_on(change, live))[OLD].reason == "it is not on the cluster"
    here = await previewed_on(change, tracked(config_map(OLD, a="1")))
    assert here[OLD].reason == "syncPolicy.automated.prune deletes it"


async def test_a_new_object_that_the_application_has_made_already() -> None:
    """Its own is on the cluster already; another's is taken over."""
    change = pair([config_map(OLD, a="1")], [config_map(NEW, a="2")])
    own = await previewed_on(change, tracked(config_map(NEW, a="2")))
    assert own[NEW].reason == f"{PLACE}; it is on the cluster already"
    assert own[OLD].reason == f"it is not on the cluster, which has {NEW} instead"
    other = (await previewed_on(change, config_map(NEW, a="2")))[NEW]
    assert other.reason == f"{PLACE}; it exists on the cluster already and is taken over"


def test_marks_are_looked_for_only_where_a_generated_object_goes() -> None:
    """Other changes read no more of a cluster than before."""
    goes = touched([pair([config_map(OLD)], [])])
    stays = touched([pair([config_map("web"), config_map(OLD)], [config_map(OLD, a="1")])])
    assert owners_to_find(goes) == {"shop", "argocd_shop"}
    assert owners_to_find(stays) == set()
