"""Messages as data."""

from __future__ import annotations

import msgspec

from driftd.model.report import ApplicationStatus, ResourceStatus
from driftd.model.resource import ResourceKey
from driftd.notify.message import DRIFT_LIMIT, Subject, build, messages_of
from driftd.store.episodes import Before, state_change
from driftd.store.types import Ending, Held, Notice, Recovery, Transition
from tests.unit.notify.told import composer
from tests.unit.reports import START, after, change, report, resource

REPLICAS = change("/spec/replicas", desired=3, live=5, manager="kubectl-edit", operation="Update")


def drifted(*changes):
    """The change of state of a first look at an object with these changes."""
    return state_change(Before(), [], report(resource("web", *changes)), START)


def test_a_message_carries_application_counts_and_values():
    """The wire form has what, where, since when, who, and Git beside live."""
    found = msgspec.json.decode(msgspec.json.encode(build(drifted(REPLICAS))))
    assert found["apiVersion"] == "driftd.io/v1"
    assert (found["kind"], found["type"], found["status"]) == (
        "StateChange",
        "drifted",
        "OutOfSync",
    )
    assert found["counts"] == {"open": 1, "opened": 1, "closed": 0}
    assert found["drifts"] == [
        {
            "group": "apps",
            "kind": "Deployment",
            "namespace": "shop",
            "name": "web",
            "change": "modified",
            "path": "/spec/replicas",
            "class": "declared",
            "desired": 3,
            "live": 5,
            "manager": "kubectl-edit",
            "operation": "Update",
            "since": "2026-03-01T12:00:00Z",
        }
    ]


def test_a_person_is_named():
    """Where an audit log proves it, the person is told beside the field manager."""
    known = {"user": "system:serviceaccount:ci:robot", "impersonatedUser": "bob"}
    proved = change("/x", manager="kubectl", confidence="audit", attribution=known)
    open_ = change("/y", manager="kubectl", attribution={"candidates": [known]})
    first, second = build(drifted(proved, open_)).drifts
    assert (first.user, first.manager) == ("service account ci/robot as bob", "kubectl")
    assert second.user is msgspec.UNSET


def test_a_missing_object_has_no_path_and_no_values():
    """Whole objects are named without a field."""
    look = report(resource("gone", status=ResourceStatus.MISSING))
    [drift] = msgspec.to_builtins(build(state_change(Before(), [], look, START)))["drifts"]
    assert drift["change"] == "Missing"
    assert {"path", "desired", "live"} & set(drift) == set()


def test_new_drifts_come_first_and_long_lists_are_cut_but_counted():
    """A message stays small; what is new is never cut in favour of what is old."""
    old = drifted(*(change(f"/spec/a{i:03}") for i in range(DRIFT_LIMIT)))
    look = report(resource("web", *(d.change for d in old.open), change("/spec/z")))
    found = build(state_change(Before(status=old.status), old.open, look, after(1)))
    assert found.drifts[0].path == "/spec/z"
    assert len(found.drifts) == DRIFT_LIMIT
    assert (found.counts.open, found.counts.opened) == (DRIFT_LIMIT + 1, 1)


def test_no_change_of_state_makes_no_message():
    """The composer is silent when nothing changed, and without receivers."""
    first = drifted(REPLICAS)
    again = state_change(
        Before(status=first.status), first.open, report(resource("web", REPLICAS)), after(1)
    )
    assert composer(["a"])(again) == ()
    assert composer([])(first) == ()


def test_one_message_per_receiver_with_one_id():
    """All receivers get the same message under the same id; other changes have other ids."""
    first, second = composer(["a", "b"])(drifted(REPLICAS))
    assert (first.id, first.payload) == (second.id, second.payload)
    assert [first.target, second.target] == ["a", "b"]
    later = state_change(Before(), [], report(resource("web", REPLICAS)), after(1))
    assert build(later).id != first.id == build(drifted(REPLICAS)).id


def test_what_is_held_is_in_no_message():
    """Beside what is told a held drift is neither listed nor counted, until it is free."""
    both = report(resource("web", REPLICAS, change("/spec/paused")))

    def hold(drift):
        if drift.key.path == "/spec/replicas":
            return None
        return Held("Argo CD syncs", after(600))

    first = state_change(Before(), [], both, START, hold=hold)
    found = build(first)
    assert (found.counts.open, found.counts.opened) == (1, 1)
    assert [one.path for one in found.drifts] == ["/spec/replicas"]
    later = build(state_change(Before(status=first.status), first.open, both, after(60)))
    assert (later.counts.open, later.counts.opened) == (2, 1)
    assert [one.path for one in later.drifts] == ["/spec/paused", "/spec/replicas"]
    assert later.drifts[0].since == "2026-03-01T12:00:00Z"


def test_a_first_message_that_was_held_tells_the_status_that_was_told():
    """Receivers hear of a change from what they know, not from what was recorded meanwhile."""
    look = report(resource("web", REPLICAS))
    known = Before(status=ApplicationStatus.SYNCED, told=ApplicationStatus.SYNCED)
    first = state_change(
        known, [], look, START, hold=lambda _drift: Held("Argo CD syncs", after(600))
    )
    then = Before(status=first.status, told=ApplicationStatus.SYNCED)
    found = build(state_change(then, first.open, look, after(60)))
    assert (found.type, found.previous_status) == ("drifted", ApplicationStatus.SYNCED)


def test_a_message_says_severity_why_whose_it_is_what_happens_and_how_to_silence_it():
    """What a reader needs to decide stands in the message itself."""
    grave = change("/spec/paused", severity="high", severity_reason="capacity is lower")
    subject = Subject(owner="team-a", action="puts it back", heals_at="2026-03-01T12:02:00Z")
    found = build(drifted(REPLICAS, grave), subject)
    assert (found.severity, found.owner) == ("high", "team-a")
    assert (found.action, found.heals_at) == ("puts it back", "2026-03-01T12:02:00Z")
    assert found.silence.startswith("driftd silence add argocd/shop ")
    assert {one.severity_reason for one in found.drifts} == {msgspec.UNSET, "capacity is lower"}


def test_an_end_says_how_and_by_whom_and_offers_no_silence():
    """What is over needs no action; each drift that ended says whose hand it was."""
    first = drifted(REPLICAS)
    gone = state_change(
        Before(status=first.status),
        first.open,
        report(resource("web")),
        after(60),
        lambda _drift: Ending(Recovery.HEALED, "driftd"),
    )
    found = build(gone, Subject(action="puts it back"))
    assert [(one.ended, one.ended_by) for one in found.closed] == [("healed", "driftd")]
    assert (found.type, found.ends_drift, found.action, found.silence) == ("healed", True, "", "")


def test_each_kind_of_notice_is_a_message_of_its_own():
    """Rules in trouble and refused heals of one look are told apart from its drifts."""
    key = ResourceKey("apps", "Deployment", "shop", "web")
    told = (
        Notice(type=Transition.RULE_TROUBLE, key="a", text="the rule failed"),
        Notice(type=Transition.HEAL_REFUSED, key="b", text="over budget", resource=key, path="/x"),
        Notice(type=Transition.RULE_TROUBLE, key="c", text="another"),
    )
    found = messages_of(msgspec.structs.replace(drifted(REPLICAS), notices=told))
    assert [one.type for one in found] == ["drifted", "rule-trouble", "heal-refused"]
    assert len({one.id for one in found}) == 3
    assert [one.text for one in found[1].notices] == ["the rule failed", "another"]
    [refused] = found[2].notices
    assert (refused.kind, refused.name, refused.path) == ("Deployment", "web", "/x")
    assert (found[1].drifts, found[1].counts.open) == ((), 1)
