"""Budgets as buckets of tokens."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from driftd.sync.budget import left, refilled, spent
from tests.unit.reports import START

HOUR = timedelta(hours=1)


@given(
    st.integers(1, 300), st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 50)), max_size=60)
)
def test_no_span_of_time_has_more_writes_than_a_bucket_and_what_comes_back(per_hour, demands):
    """Whatever is asked for and when: at most one hour's tokens and those of the time between."""
    now, full_at = START, None
    written = []
    for seconds, wanted in demands:
        now += timedelta(seconds=seconds)
        count = min(wanted, left(full_at, per_hour, now))
        full_at = spent(full_at, per_hour, now, count)
        written.append((now, count))
    for index, (begin, _) in enumerate(written):
        total = 0
        for end, count in written[index:]:
            total += count
            assert total <= per_hour + (end - begin) / HOUR * per_hour + 1e-6


@given(st.integers(1, 300), st.integers(0, 7200))
def test_an_empty_bucket_has_a_token_when_it_says_so(per_hour, seconds):
    """At that moment, and not a second before."""
    full_at = spent(None, per_hour, START, per_hour)
    now = START + timedelta(seconds=seconds)
    at = refilled(full_at, per_hour, now)
    assert left(full_at, per_hour, at) >= 1
    if at > now + timedelta(seconds=1):
        assert left(full_at, per_hour, at - timedelta(seconds=1)) == 0


def test_an_unused_bucket_is_full_and_spending_nothing_changes_nothing():
    """None stands for a bucket that was never used."""
    assert left(None, 30, START) == 30
    assert spent(None, 30, START, 0) is None
