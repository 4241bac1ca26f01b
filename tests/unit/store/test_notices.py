"""What stands beside the drifts is told once, as long as it stands."""

from __future__ import annotations

from driftd.store.notices import standing_notices
from driftd.store.types import NO_NOTICES, Notice, Notices, Transition

RULES = frozenset({Transition.RULE_TROUBLE})
FAILED = Notice(type=Transition.RULE_TROUBLE, key="a", text="a rule failed")
UNUSED = Notice(type=Transition.RULE_TROUBLE, key="b", text="matches nothing", told_at_first=False)


def told(*looks: Notices) -> list[list[str]]:
    """The keys that each of several looks tells."""
    stored, found = None, []
    for look in looks:
        now, stored = standing_notices(stored, look)
        found.append([one.key for one in now])
    return found


def test_a_notice_is_told_once_and_again_after_it_was_gone():
    """Standing on it is silent; a look without it ends it; of the next one it is news."""
    stands, gone = Notices(RULES, (FAILED,)), Notices(RULES)
    assert told(stands, stands, gone, gone, stands) == [["a"], [], [], [], ["a"]]


def test_a_look_that_did_not_judge_ends_nothing():
    """What could not be seen is not gone: after a blind look nothing is told again."""
    stands = Notices(RULES, (FAILED,))
    assert told(stands, NO_NOTICES, stands) == [["a"], [], []]


def test_what_is_not_worth_telling_at_first_is_told_when_it_begins_later():
    """An unused rule is silent on the first day, and news once it stops to match."""
    assert told(Notices(RULES, (UNUSED,)), Notices(RULES, (UNUSED,))) == [[], []]
    assert told(Notices(RULES), Notices(RULES, (UNUSED,))) == [[], ["b"]]
    assert told(NO_NOTICES, Notices(RULES, (UNUSED,))) == [[], []]


def test_the_same_thing_twice_in_one_look_is_told_once():
    """Two conditions with one key are one notice."""
    assert told(Notices(RULES, (FAILED, FAILED))) == [["a"]]
