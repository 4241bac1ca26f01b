"""When episodes begin and end."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from driftd.model.report import ApplicationStatus, ChangeClass, ResourceStatus
from driftd.store.episodes import FIRST_STEPS, MOST_STEPS, Before, judged, state_change, told_of
from driftd.store.types import Ending, Held, Recovery, Transition
from tests.unit.reports import START, after, change, report, resource

SYNCED, OUT, UNKNOWN = (
    ApplicationStatus.SYNCED,
    ApplicationStatus.OUT_OF_SYNC,
    ApplicationStatus.UNKNOWN,
)
REPLICAS = change("/spec/replicas", desired=3, live=5)


def paths(drifts):
    """What a test compares: object, path and kind."""
    return [(d.key.resource.name, d.key.path, d.key.kind) for d in drifts]


def test_a_first_clean_look_is_no_change():
    """An application that is Synced when first seen is nothing to tell."""
    found = state_change(Before(), [], report(resource("web")), START)
    assert (found.transition, found.open, found.previous) == (Transition.NONE, (), None)


def test_a_first_look_with_drift_opens_it():
    """Declared and undeclared changes, Missing and Extra objects are drift; others are not."""
    look = report(
        resource(
            "web",
            REPLICAS,
            change("/spec/paused", change_class=ChangeClass.UNDECLARED),
            change("/metadata/labels/x", change_class=ChangeClass.REVIEW),
            change("/spec/template", change_class=ChangeClass.PENDING),
            change("/spec/revisionHistoryLimit", ignored_by="rule"),
        ),
        resource("gone", status=ResourceStatus.MISSING),
        resource("left", status=ResourceStatus.EXTRA),
    )
    found = state_change(Before(), [], look, START)
    assert found.transition is Transition.DRIFTED
    assert paths(found.opened) == [
        ("gone", "", "Missing"),
        ("left", "", "Extra"),
        ("web", "/spec/paused", "modified"),
        ("web", "/spec/replicas", "modified"),
    ]
    assert found.open == found.opened
    assert {d.first_seen for d in found.open} == {START}


def test_an_accepted_object_opens_nothing():
    """An object that is Missing or Extra and accepted as such is no drift; one known closes."""
    gone = resource("gone", status=ResourceStatus.MISSING)
    accepted = report(msgspec.structs.replace(gone, ignored_by="baseline b#1"), status=SYNCED)
    assert state_change(Before(), [], accepted, START).opened == ()
    first = state_change(Before(), [], report(gone), START)
    found = state_change(Before(status=OUT), first.open, accepted, after(60))
    assert (found.transition, paths(found.closed)) == (
        Transition.RECOVERED,
        [("gone", "", "Missing")],
    )


def test_an_episode_keeps_its_onset_and_takes_the_latest_value():
    """The same field drifting on is one episode: no change of state, newest value kept."""
    first = state_change(Before(), [], report(resource("web", REPLICAS)), START)
    later = report(resource("web", change("/spec/replicas", desired=3, live=9)))
    found = state_change(Before(status=OUT), first.open, later, after(60))
    assert found.transition is Transition.NONE
    [drift] = found.open
    assert (drift.first_seen, drift.last_seen) == (START, after(60))
    assert drift.change is not None
    assert drift.change.live == 9


def test_another_set_of_drifts_is_a_change():
    """One drift opened and one closed while OutOfSync is one change of state."""
    first = state_change(Before(), [], report(resource("web", REPLICAS)), START)
    look = report(resource("web", change("/spec/paused")))
    found = state_change(Before(status=OUT), first.open, look, after(60))
    assert found.transition is Transition.CHANGED
    assert paths(found.opened) == [("web", "/spec/paused", "modified")]
    assert paths(found.closed) == [("web", "/spec/replicas", "modified")]


def test_a_look_that_could_not_see_closes_nothing():
    """Unreachable cluster, unknown or unchecked object: the drift stays open (invariant 1)."""
    first = state_change(Before(), [], report(resource("web", REPLICAS)), START)
    blind = (
        report(complete=False),
        report(resource("web", status=ResourceStatus.UNKNOWN), complete=False),
        report(resource("web", status=ResourceStatus.NOT_CHECKED)),
        report(resource("other"), complete=False),
    )
    for look in blind:
        found = state_change(Before(status=OUT), first.open, look, after(60))
        assert found.closed == ()
        assert found.open == first.open
    assert (
        state_change(Before(status=OUT), first.open, blind[0], after(60)).transition
        is Transition.UNKNOWN
    )


def test_an_incomplete_look_closes_what_it_did_judge():
    """One object that cannot be seen does not keep the drifts of others open (invariant 2)."""
    first = state_change(
        Before(), [], report(resource("web", REPLICAS), resource("api", REPLICAS)), START
    )
    look = report(resource("web"), resource("api", status=ResourceStatus.UNKNOWN), complete=False)
    found = state_change(Before(status=OUT), first.open, look, after(60))
    assert paths(found.closed) == [("web", "/spec/replicas", "modified")]
    assert paths(found.open) == [("api", "/spec/replicas", "modified")]


def test_an_object_that_left_git_and_cluster_closes_at_a_complete_look():
    """A complete look without the object ends its drifts."""
    first = state_change(Before(), [], report(resource("web", REPLICAS)), START)
    found = state_change(Before(status=OUT), first.open, report(resource("api")), after(60))
    assert found.transition is Transition.RECOVERED
    assert paths(found.closed) == [("web", "/spec/replicas", "modified")]


def test_transitions_between_states():
    """Each change of status is told once; staying is not told."""
    drifted, clean, blind = report(resource("w", REPLICAS)), report(), report(complete=False)
    expected = {
        (None, blind): Transition.UNKNOWN,
        (SYNCED, clean): Transition.NONE,
        (SYNCED, drifted): Transition.DRIFTED,
        (SYNCED, blind): Transition.UNKNOWN,
        (UNKNOWN, clean): Transition.RECOVERED,
        (UNKNOWN, drifted): Transition.DRIFTED,
        (UNKNOWN, blind): Transition.NONE,
        (OUT, clean): Transition.RECOVERED,
    }
    for (previous, look), transition in expected.items():
        assert state_change(Before(status=previous), [], look, START).transition is transition


def test_deletion_under_way_closes_no_episode():
    """The fields of an object that is being deleted are not judged; once it is gone, they end."""
    first = state_change(Before(), [], report(resource("web", REPLICAS)), START)
    going = report(resource("web", status=ResourceStatus.OUT_OF_SYNC), status=OUT)
    found = state_change(Before(status=OUT), first.open, going, after(60))
    assert (paths(found.closed), paths(found.open)) == ([], paths(first.open))
    gone = report(resource("web", status=ResourceStatus.MISSING))
    assert paths(state_change(Before(status=OUT), found.open, gone, after(120)).closed) == paths(
        first.open
    )


def test_an_extra_object_that_cannot_be_seen_stays_open():
    """Where a kind could not be searched, what was Extra is not taken to be gone."""
    left = resource("left", status=ResourceStatus.EXTRA)
    opened = state_change(Before(), [], report(left), START).open
    kind = f"{left.kind}.{left.group}" if left.group else left.kind
    unseen = [kind, f"*.{left.group}" if left.group else "*"]
    for name in unseen:
        blind = msgspec.structs.replace(report(status=SYNCED), not_searched=(name,))
        found = state_change(Before(status=OUT), opened, blind, after(60))
        assert (found.closed, paths(found.open)) == ((), [("left", "", "Extra")])
    other = msgspec.structs.replace(report(status=SYNCED), not_searched=("Secret", "*.example.com"))
    assert paths(state_change(Before(status=OUT), opened, other, after(60)).closed) == [
        ("left", "", "Extra")
    ]


def held(drift):
    """Holds every drift for five minutes from its onset."""
    return Held("Argo CD syncs", drift.first_seen + timedelta(minutes=5))


def test_what_is_held_is_recorded_and_told_when_it_is_held_no_longer():
    """The episode is open from the first look on; receivers hear of it once, when it is free."""
    look = report(resource("web", REPLICAS))
    first = state_change(Before(status=SYNCED, told=SYNCED), [], look, START, hold=held)
    assert (first.transition, first.status, paths(first.open)) == (
        Transition.NONE,
        OUT,
        [("web", "/spec/replicas", "modified")],
    )
    before = Before(status=OUT, told=told_of(Before(status=SYNCED, told=SYNCED), first))
    assert before.told is SYNCED
    still = state_change(before, first.open, look, after(60), hold=held)
    assert (still.transition, still.released) == (Transition.NONE, ())
    free = state_change(before, still.open, look, after(120))
    assert (free.transition, free.opened, free.told) == (Transition.DRIFTED, (), SYNCED)
    assert paths(free.released) == paths(first.open)
    assert free.released[0].first_seen == START
    assert told_of(before, free) is OUT


def test_what_is_held_is_told_when_its_time_is_over():
    """Nothing is held beyond the moment that is shown, whatever goes on."""
    look = report(resource("web", REPLICAS))
    first = state_change(Before(), [], look, START, hold=held)
    assert first.open[0].held == Held("Argo CD syncs", after(300))
    found = state_change(Before(status=OUT, told=SYNCED), first.open, look, after(300), hold=held)
    assert (found.transition, found.open[0].held) == (Transition.DRIFTED, None)


def test_what_ends_while_it_is_held_is_never_told():
    """A drift that a sync has put back by its end is in the history alone."""
    first = state_change(Before(), [], report(resource("web", REPLICAS)), START, hold=held)
    before = Before(status=OUT, told=told_of(Before(), first))
    found = state_change(before, first.open, report(resource("web")), after(60))
    assert (found.transition, len(found.closed), told_of(before, found)) == (
        Transition.NONE,
        1,
        SYNCED,
    )


def test_what_is_held_hides_nothing_that_is_told_already():
    """Beside a drift that is told a held one changes nothing; the end of the first is told."""
    look = report(resource("web", REPLICAS))
    both = report(resource("web", REPLICAS, change("/spec/paused")))
    first = state_change(Before(), [], look, START)
    before = Before(status=OUT, told=OUT)
    found = state_change(before, first.open, both, after(60), hold=held)
    assert (found.transition, len(found.opened), told_of(before, found)) == (
        Transition.NONE,
        1,
        OUT,
    )
    later = state_change(before, found.open, both, after(120))
    assert (later.transition, paths(later.released)) == (
        Transition.CHANGED,
        [("web", "/spec/paused", "modified")],
    )
    ended = report(resource("web", change("/spec/paused")))
    gone = state_change(before, found.open, ended, after(120), hold=held)
    assert (gone.transition, len(gone.closed)) == (Transition.CHANGED, 1)


def colour(live: object):
    """A look that finds a colour."""
    return report(resource("web", change("/data/colour", desired="blue", live=live)))


def test_an_open_episode_keeps_the_values_that_it_had():
    """Each other value is kept until when it was seen last; looks without change add nothing."""
    drifts = ()
    for second, live in enumerate(["red", "red", "green", True, 1]):
        drifts = state_change(Before(status=OUT), drifts, colour(live), after(second)).open
    (drift,) = drifts
    kept = [(step.live, step.desired, step.until) for step in drift.steps]
    assert kept == [
        ("red", "blue", after(2)),
        ("green", "blue", after(3)),
        (True, "blue", after(4)),
    ]
    assert (drift.change.live, drift.first_seen) == (1, START)


def test_values_of_an_open_episode_are_bounded():
    """A field that changes all the time keeps the first and the last of its values."""
    drifts = ()
    for second in range(100):
        drifts = state_change(Before(status=OUT), drifts, colour(second), after(second)).open
    kept = [step.live for step in drifts[0].steps]
    last = MOST_STEPS - FIRST_STEPS
    assert kept == [*range(FIRST_STEPS), *range(99 - last, 99)]


def test_a_look_that_saw_nothing_proves_no_onset():
    """What a look could not judge, because it was ended, may have been there before it."""
    blind = Before(status=UNKNOWN, observed_at=START, judged=judged(report(complete=False)))
    (drift,) = state_change(blind, [], colour("red"), after(60)).opened
    assert drift.clean_at is None
    seen = Before(
        status=UNKNOWN,
        observed_at=START,
        judged=judged(report(resource("web"), complete=False)),
    )
    (drift,) = state_change(seen, [], colour("red"), after(60)).opened
    assert drift.clean_at == START


def grave(path, severity, **fields):
    """A drifted field of a severity."""
    return change(path, severity=severity, **fields)


def test_a_severity_that_rises_is_told_as_worse_and_one_that_falls_is_not():
    """Once per rise: by a new drift or by one that has another value; never on the way down."""
    low, high = grave("/spec/a", "low"), grave("/spec/b", "high")
    first = state_change(Before(), [], report(resource("web", low)), START)
    before = Before(status=OUT)
    worse = state_change(before, first.open, report(resource("web", low, high)), after(1))
    assert (worse.transition, worse.severity_before) == (Transition.WORSENED, "low")
    same = state_change(before, worse.open, report(resource("web", low, high)), after(2))
    assert same.transition is Transition.NONE
    better = state_change(before, same.open, report(resource("web", low)), after(3))
    assert better.transition is Transition.CHANGED
    grown = report(resource("web", grave("/spec/a", "critical", live=9)))
    again = state_change(before, better.open, grown, after(4))
    assert (again.transition, again.opened) == (Transition.WORSENED, ())


def test_a_drift_that_driftd_put_back_is_told_as_healed():
    """Of what driftd put back receivers hear so; what others put back has recovered."""

    def by_driftd(_drift):
        return Ending(Recovery.HEALED, "driftd")

    both = report(resource("web", change("/spec/a"), change("/spec/b")))
    first = state_change(Before(), [], both, START)
    before = Before(status=OUT)
    one = report(resource("web", change("/spec/b")))
    part = state_change(before, first.open, one, after(1), by_driftd)
    assert (part.transition, part.status) == (Transition.HEALED, OUT)
    rest = state_change(before, part.open, report(resource("web")), after(2), by_driftd)
    assert (rest.transition, rest.status) == (Transition.HEALED, SYNCED)
    fresh = report(resource("web", change("/spec/c")))
    assert state_change(before, part.open, fresh, after(2), by_driftd).transition is (
        Transition.CHANGED
    ), "what is new comes first; the healed drift is among the closed ones"
    alone = state_change(before, part.open, report(resource("web")), after(2))
    assert alone.transition is Transition.RECOVERED
