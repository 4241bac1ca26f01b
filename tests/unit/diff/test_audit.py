"""Which audited write made a change: what a log proves, and what it leaves open."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from driftd.diff.audit import Search, Span, Subject, applied, hands, owns_nothing_else
from driftd.model.audit import AuditedObject, AuditedWrite
from driftd.model.report import UNSET, Change, ChangeClass, ChangeKind

WEB = AuditedObject("apps", "deployments", "shop", "web")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
DEPLOYERS = frozenset({"argocd-controller", "kubectl-client-side-apply"})
ENGINE = "system:serviceaccount:argocd:engine"


def at(second: float) -> str:
    """An RFC 3339 time, so many seconds after noon."""
    return datetime.fromtimestamp(NOON + second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def write(user: str, second: float, **fields: Any) -> AuditedWrite:
    """A patch by kubectl-edit that took a tenth of a second."""
    body = fields.pop("body", None)
    known: dict[str, Any] = {
        "target": WEB,
        "verb": "patch",
        "manager": "kubectl-edit",
        "manager_named": True,
        "received": NOON + second,
        "completed": NOON + second + 0.1,
        "body": json.dumps(body).encode() if body is not None else b"",
    }
    return AuditedWrite(user=user, **(known | fields))


def deployment(second: float, user: str = ENGINE, **fields: Any) -> AuditedWrite:
    """A server-side apply under Argo CD's name."""
    return write(user, second, **{"manager": "argocd-controller"} | fields)


def replicas(second: float | None, **fields: Any) -> Change:
    """Replicas that kubectl-edit set, as managedFields tell."""
    known: dict[str, Any] = {
        "kind": ChangeKind.MODIFIED,
        "change_class": ChangeClass.DECLARED,
        "path": "/spec/replicas",
        "ssa_path": "f:spec/f:replicas",
        "desired": 3,
        "live": 5,
        "manager": "kubectl-edit",
        "operation": "Update",
        "confidence": "exact",
    }
    if second is not None:
        known["time"] = at(second)
    return Change(**(known | fields))


def removal(**fields: Any) -> Change:
    """A label that somebody removed."""
    known: dict[str, Any] = {
        "kind": ChangeKind.MISSING,
        "change_class": ChangeClass.DECLARED,
        "path": "/metadata/labels/team",
        "ssa_path": "f:metadata/f:labels/f:team",
        "desired": "shop",
    }
    return Change(**(known | fields))


def asked(
    change: Change,
    *writes: AuditedWrite,
    begins: float | None = 0,
    ends: float | None = 290,
    created: float | None = 0,
    alone: bool = False,
    version: str = "",
) -> Change:
    """The change with what the log says; five minutes after noon, when all of it began."""
    search = Search(
        Subject(
            target=WEB,
            version=version,
            changes=(change,),
            created=None if created is None else NOON + created,
            alone=frozenset({0}) if alone else frozenset(),
            deployers=DEPLOYERS,
        )
    )
    for one in writes:
        search.offer(one)
    span = Span(*(None if one is None else NOON + one for one in (begins, ends)))
    (answer,) = search.answers(hands([search]), span, now=NOON + 300)
    return applied(change, answer)


def name_of(change: Change) -> str:
    """The person that is told; empty if none is certain."""
    told: Any = change.attribution or {}
    assert (change.confidence == "audit") is ("user" in told)
    return str(told.get("user", ""))


def candidates(change: Change) -> list[str]:
    """The users that are told as candidates."""
    told: Any = change.attribution or {}
    return [one["user"] for one in told.get("candidates", [])]


def test_one_write_is_the_author() -> None:
    """The only write of the manager at the entry's time gives person, tool, address and event."""
    found = asked(
        replicas(60),
        write("alice", 60, user_agent="kubectl/v1", source_ips=("192.0.2.7",), groups=("dev",),
              audit_id="id-1"),
    )  # fmt: skip
    assert found.confidence == "audit"
    assert found.attribution == {
        "user": "alice",
        "groups": ["dev"],
        "userAgent": "kubectl/v1",
        "sourceIPs": ["192.0.2.7"],
        "verb": "patch",
        "auditID": "id-1",
        "time": at(60),
    }
    assert found.manager == "kubectl-edit"


@pytest.mark.parametrize(
    "fields",
    [
        {"manager": "helm"},
        {"verb": "delete"},
        {"subresource": "status"},
        {"subresource": "scale"},
        {"received": NOON + 70, "completed": NOON + 71},
    ],
    ids=str,
)
def test_other_writes_are_not(fields: dict[str, Any]) -> None:
    """Another manager, verb, subresource, or a write after the entry's time says nothing."""
    assert asked(replicas(60), write("alice", 60, **fields)) == replicas(60)


@pytest.mark.parametrize(
    ("second", "known"), [(58, True), (62.9, True), (57, False), (63.1, False)]
)
def test_slack(second: float, known: bool) -> None:
    """Times may disagree by two seconds, no more."""
    found = asked(replicas(60), write("alice", second), alone=True)
    assert (name_of(found) == "alice") is known


def test_an_older_write_may_have_taken_the_field() -> None:
    """Two people under one manager: both are candidates, the later one first."""
    found = asked(replicas(60), write("alice", 20), write("bob", 60))
    assert candidates(found) == ["bob", "alice"]
    assert found.confidence == "exact"


def test_several_writes_of_one_person() -> None:
    """All possible writes are of one person: that person, with how many there are."""
    found = asked(replicas(60), write("alice", 20), write("alice", 60))
    assert name_of(found) == "alice"
    assert found.attribution
    assert found.attribution["writes"] == 2


def test_a_manager_that_owns_nothing_else() -> None:
    """Where the manager owns the one field, the entry's time is the field's."""
    assert name_of(asked(replicas(60), write("alice", 20), write("bob", 60), alone=True)) == "bob"


def test_a_log_that_begins_too_late() -> None:
    """A log that does not reach back to the creation has a candidate, and no author."""
    found = asked(replicas(60), write("bob", 60), begins=50)
    assert candidates(found) == ["bob"]
    assert name_of(asked(replicas(60), write("bob", 60), begins=50, alone=True)) == "bob"


def test_bodies_decide() -> None:
    """With bodies the one who sent the live value is the author, whoever else wrote."""
    five, other = {"spec": {"replicas": 5}}, {"spec": {"paused": True}}
    found = asked(
        replicas(60), write("alice", 20, body=five), write("bob", 60, body=other), begins=10
    )
    assert name_of(found) == "alice"
    seven = {"spec": {"replicas": 7}}
    found = asked(
        replicas(60), write("alice", 20, body=seven), write("bob", 60, body=five), begins=10
    )
    assert name_of(found) == "bob"


def test_who_repeats_a_value_is_not_the_author() -> None:
    """Of two who sent the live value the first made the change, unless it was undone between."""
    five, three = {"spec": {"replicas": 5}}, {"spec": {"replicas": 3}}
    writes = [write("alice", 20, body=five), write("bob", 60, body=five)]
    assert name_of(asked(replicas(60), *writes)) == "alice"
    undone = write("carol", 40, body=three, manager="tool")
    assert name_of(asked(replicas(60), *writes, undone)) == "bob"


def test_a_value_that_the_server_spells_otherwise() -> None:
    """The only write at the entry's time is the author though the value is stored otherwise."""
    assert name_of(asked(replicas(60), write("alice", 60, body={"spec": {"replicas": "5"}})))


def test_scale_leaves_no_time() -> None:
    """A change through /scale has no time: the last write through it counts."""
    change = replicas(None, subresource="scale", manager="kubectl")
    first, last = (
        write(user, second, subresource="scale", manager="kubectl", verb="update")
        for user, second in (("alice", 20), ("bob", 60))
    )
    assert name_of(asked(change, first, last, write("carol", 70))) == "bob"


def test_apply_needs_a_named_manager() -> None:
    """An Apply is a patch with a field manager in its URI; it states all of its fields at once."""
    change = replicas(60, operation="Apply", manager="tool")
    mine = write("alice", 20, manager="tool"), write("bob", 60, manager="tool")
    assert name_of(asked(change, *mine, begins=50)) == "bob"
    assert asked(change, write("bob", 60, manager="tool", manager_named=False)) == change
    assert asked(change, write("bob", 60, manager="tool", verb="update")) == change


@pytest.mark.parametrize("operation", ["Apply", "Update"])
def test_a_spoofed_deployer(operation: str) -> None:
    """Whoever writes under a deployer's name is told, and not who deploys."""
    change = replicas(60, manager="argocd-controller", operation=operation)
    found = asked(change, deployment(10), deployment(60, "mallory"), deployment(61))
    assert name_of(found) == "mallory"


def test_a_removal() -> None:
    """A removal is of whoever alone wrote the object after it was last deployed."""
    writes = [write("carol", 5), deployment(10), write("alice", 30)]
    assert name_of(asked(removal(), *writes)) == "alice"
    found = asked(removal(), *writes, write("bob", 40))
    assert candidates(found) == ["bob", "alice"]
    assert found.confidence is removal().confidence


def test_a_removal_within_a_window() -> None:
    """Between two looks only their writes count, and a log that begins within is not enough."""
    window: Any = {"after": at(100), "before": at(200)}
    change = removal(attribution=window, confidence="window")
    writes = [write("alice", 50), write("bob", 150)]
    found = asked(change, *writes, begins=90)
    assert name_of(found) == "bob"
    assert found.attribution
    assert found.attribution["after"] == at(100)
    assert candidates(asked(change, *writes, begins=120)) == ["bob"]


def test_a_log_that_ends_too_early() -> None:
    """A log that ends before the look, or before the first look without, leaves removals open."""
    writes = [deployment(10), write("alice", 30)]
    assert candidates(asked(removal(), *writes, ends=200)) == ["alice"]
    window: Any = {"after": at(20), "before": at(210)}
    assert name_of(asked(removal(attribution=window), *writes, ends=200)) == "alice"
    gone = {"metadata": {"labels": {"team": None}}}
    assert name_of(asked(removal(), write("alice", 30, body=gone), ends=40)) == "alice"


def test_an_apply_that_is_not_in_the_log() -> None:
    """Who applied the same before is not the author where the entry's own write is missing."""
    five = {"spec": {"replicas": 5}}
    change = replicas(60, operation="Apply", manager="tool")
    found = asked(change, write("alice", 20, manager="tool", body=five))
    assert candidates(found) == ["alice"]


def test_a_removal_by_body() -> None:
    """With bodies the one who removed the place is the author among all who wrote."""
    gone = {"metadata": {"labels": {"team": None}}}
    found = asked(
        removal(), write("alice", 30, body=gone), write("bob", 40, body={"spec": {"x": 1}})
    )
    assert name_of(found) == "alice"


def test_creation_removes_nothing() -> None:
    """Who created the object is no candidate for a removal, nor is a write of its status."""
    writes = write("alice", 0, verb="create"), write("kubelet", 30, subresource="status")
    assert asked(removal(), *writes) == removal()


def test_an_earlier_object_of_the_name() -> None:
    """Writes before the object was created were to another one."""
    assert asked(replicas(60), write("alice", 60), created=90) == replicas(60)


def test_many_candidates() -> None:
    """Five candidates are told, each person once, and how many more there are."""
    writes = [write(f"user-{number % 8}", number) for number in range(16)]
    found = asked(removal(), *writes)
    assert candidates(found) == [f"user-{number}" for number in (7, 6, 5, 4, 3)]
    assert found.attribution
    assert found.attribution["more"] == 3


def test_an_unknown_manager() -> None:
    """Without request URI a manager fits that begins like the user agent, or the very time."""
    unknown = {"manager_known": False, "manager_named": False}
    assert name_of(asked(replicas(60), write("alice", 60, manager="kubectl", **unknown)))
    assert name_of(asked(replicas(60), write("alice", 60, manager="other", **unknown)))
    assert asked(replicas(60), write("alice", 20, manager="other", **unknown)) == replicas(60)


def test_impersonation() -> None:
    """Two who act as the same user are two people, and both names are told."""
    acted = {"impersonated_user": "ops"}
    found = asked(replicas(60), write("alice", 20, **acted), write("bob", 60, **acted))
    assert candidates(found) == ["bob", "alice"]
    found = asked(replicas(60), write("alice", 60, **acted))
    assert found.attribution
    assert found.attribution["impersonatedUser"] == "ops"


def test_nothing_of_a_body_is_told() -> None:
    """What a request sent is in no answer."""
    body = {"spec": {"replicas": 5, "note": "CANARY"}}
    found = asked(replicas(60), write("alice", 60, body=body))
    assert name_of(found) == "alice"
    assert "CANARY" not in repr(found)


def test_who_deletes_and_creates() -> None:
    """The last write says who deleted; a collection's deletion only who may have."""
    search = Search(Subject(target=WEB))
    search.offer(write("alice", 10, verb="create"))
    assert search.deleted_by() is None
    search.offer(write("bob", 20, verb="delete"))
    told = search.deleted_by()
    assert told is not None
    assert told["user"] == "bob"
    search.offer(write("carol", 30, verb="deletecollection"))
    told = search.deleted_by()
    assert told is not None
    assert [one["user"] for one in told["candidates"]] == ["carol"]
    made = Search(Subject(target=WEB, created=NOON + 10))
    made.offer(write("alice", 10, verb="create"))
    made.offer(write("bob", 20))
    created = made.created_by()
    assert created is not None
    assert created["user"] == "alice"


def test_who_deploys() -> None:
    """Under a deployer's name the one who wrote most objects deploys, else the first one."""
    searches = []
    for number in range(3):
        search = Search(Subject(target=WEB, deployers=DEPLOYERS))
        search.offer(deployment(number, "mallory" if number == 0 else ENGINE))
        searches.append(search)
    assert hands(searches) == {"argocd-controller": (ENGINE, "")}
    alone = Search(Subject(target=WEB, deployers=DEPLOYERS))
    alone.offer(deployment(20, "mallory"))
    alone.offer(deployment(10))
    assert hands([alone]) == {"argocd-controller": (ENGINE, "")}


def test_kubectl_without_its_command_deploys_nothing() -> None:
    """Where only the user agent is known, a removal by kubectl is no deployment."""
    vague: Any = {"manager": "kubectl", "manager_known": False, "manager_named": False}
    search = Search(Subject(target=WEB, deployers=DEPLOYERS | {"kubectl"}))
    search.offer(write("alice", 10, **vague))
    assert hands([search]) == {}
    search.offer(write("alice", 20, manager="kubectl"))
    assert hands([search]) == {"kubectl": ("alice", "")}


def test_what_an_entry_owns() -> None:
    """An entry owns nothing else if all of its places lie at or below the one."""
    fields = {"f:spec": {"f:containers": {'k:{"name":"a/b"}': {".": {}, "f:image": {}}}}}
    item = 'f:spec/f:containers/k:{"name":"a~1b"}'
    assert owns_nothing_else(fields, item)
    assert owns_nothing_else(fields, f"{item}/f:image")
    assert not owns_nothing_else(fields, "f:spec/f:replicas")
    assert not owns_nothing_else({**fields, "f:metadata": {}}, item)


def test_what_the_server_made_of_a_removal() -> None:
    """Who took the field away brought the server's default there; who repeats it did not."""
    change = replicas(None, manager=UNSET, operation=UNSET, confidence=UNSET, live=1)
    taken = write("alice", 60, body={"spec": {"replicas": None}})
    label = write("bob", 70, body={"metadata": {"labels": {"a": "b"}}})
    assert name_of(asked(change, deployment(1), taken, label)) == "alice"
    whole = write("carol", 65, verb="update", body={"spec": {"replicas": 3}})
    assert name_of(asked(change, deployment(1), taken, whole, label)) == ""


def test_gits_own_value_is_nobodys_change() -> None:
    """Who sent what Git declares, another tool too, did not add what is beside it since."""
    git, live = [{"host": "a"}, {}], [{"host": "a"}, {"host": "b"}]
    change = replicas(
        None, path="/spec/rules", ssa_path="f:spec/f:rules", desired=git, live=live,
        manager=UNSET, operation=UNSET, confidence=UNSET,
    )  # fmt: skip
    fleet = write("fleet", 5, manager="fleet-agent", body={"spec": {"rules": git}})
    added = [{"op": "add", "path": "/spec/rules/1/host", "value": "b"}]
    assert name_of(asked(change, deployment(1), fleet, write("alice", 60, body=added))) == "alice"


@pytest.mark.parametrize(("version", "named"), [("v2", ENGINE), ("v1", "")])
def test_what_another_version_may_have_lost(version: str, named: str) -> None:
    """Who sent something else is named for it, unless somebody wrote through another version."""
    change = replicas(
        1, path="/spec/metrics", ssa_path="f:spec/f:metrics", desired=[{"a": 1, "b": 2}],
        live=[{"a": 1}], manager="argocd-controller", operation="Apply",
    )  # fmt: skip
    sent = deployment(1, version="v2", body={"spec": {"metrics": [{"a": 1, "b": 2}]}})
    label = write("alice", 60, version=version, body={"metadata": {"labels": {"a": "b"}}})
    assert name_of(asked(change, sent, label, version="v2")) == named


def test_writes_through_another_version() -> None:
    """What is called otherwise there may be the change: whoever sent it is not left out."""
    change = replicas(60, path="/spec/behavior", ssa_path="f:spec/f:behavior")
    here = write("alice", 60, version="v2", body={"metadata": {"annotations": {"a": "b"}}})
    there = write("bob", 60.2, version="v1", body={"metadata": {"annotations": {"a": "b"}}})
    assert name_of(asked(change, here, there, version="v2")) == "bob"
    assert name_of(asked(change, here, there)) == ""
