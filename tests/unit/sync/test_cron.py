"""Schedules, beside a count of every minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.sync.cron import Cron, instant

MINUTE = timedelta(minutes=1)
ZONES = ("UTC", "Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata")
CHANGES = [
    datetime(2026, 3, 8, tzinfo=UTC),
    datetime(2026, 3, 29, tzinfo=UTC),
    datetime(2026, 4, 4, 12, tzinfo=UTC),
    datetime(2026, 10, 3, 12, tzinfo=UTC),
    datetime(2026, 10, 25, tzinfo=UTC),
    datetime(2026, 11, 1, tzinfo=UTC),
    datetime(2026, 7, 1, tzinfo=UTC),
]


def clock(text: str) -> datetime:
    """What clocks on a wall show."""
    return datetime.fromisoformat(text)


@cache
def walls(zone_name: str, day: datetime) -> list[tuple[datetime, list[datetime]]]:
    """Each minute around a day, with the times on clocks that are new then: shown or skipped."""
    zone, found, shown = ZoneInfo(zone_name), [], set()
    at = day - timedelta(hours=5)
    last = at.astimezone(zone).replace(tzinfo=None) - MINUTE
    while at < day + timedelta(hours=20):
        wall = at.astimezone(zone).replace(tzinfo=None, fold=0)
        skipped = [last + n * MINUTE for n in range(1, max(1, (wall - last) // MINUTE))]
        found.append((at, [*skipped, *([] if wall in shown else [wall])]))
        shown.add(wall)
        last, at = wall, at + MINUTE
    return found


fields = st.sampled_from(
    [
        *("* * * * *", "*/7 * * * *", "30 1 * * *", "0 0 * * *", "15 2 * * *", "59 23 * * *"),
        *("*/20 1-3 * * *", "0 2 * * sun", "0 1 25-31 * 0", "10,40 0-4 * 3-11 *"),
        "5/25 */2 * * *",
    ]
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(fields, st.sampled_from(ZONES), st.sampled_from(CHANGES), st.integers(0, 50_000))
def test_starts_are_those_that_counting_every_minute_finds(
    text: str, zone_name: str, day: datetime, second: int
) -> None:
    """Before, at and after a change of clocks; a skipped time comes next, a repeated one once."""
    cron, zone = Cron.parse(text), ZoneInfo(zone_name)
    start = day - timedelta(hours=1)
    minutes = walls(zone_name, day)
    expected = [at for at, new in minutes if at >= start and any(map(cron.matches, new))]
    now = day + timedelta(seconds=second)
    later = [at for at in expected if at > now]
    earlier = [at for at in expected if at <= now]
    if later:
        assert cron.after(now, zone) == later[0]
    assert cron.latest(now, zone, start - timedelta(seconds=1)) == (earlier or [None])[-1]


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(ZONES),
    st.datetimes(clock("2026-01-01"), clock("2026-12-31")),
    st.integers(0, 180),
)
def test_later_clocks_are_never_earlier_instants(
    zone_name: str, wall: datetime, minutes: int
) -> None:
    """That is what lets starts be looked for on the clocks' face."""
    zone = ZoneInfo(zone_name)
    assert instant(wall, zone) <= instant(wall + timedelta(minutes=minutes), zone)


def test_a_skipped_time_begins_with_the_next_instant() -> None:
    """Half past one was skipped in London, a quarter past two on Lord Howe Island."""
    london, island = ZoneInfo("Europe/London"), ZoneInfo("Australia/Lord_Howe")
    assert instant(clock("2026-03-29 01:30"), london) == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert instant(clock("2026-10-04 02:15"), island) == datetime(2026, 10, 3, 15, 30, tzinfo=UTC)


def test_names_lists_steps_and_either_day() -> None:
    """Fields mean what they mean to Argo CD's parser."""
    assert Cron.parse("0 0 * jan,DEC Mon-fri").months == {1, 12}
    assert Cron.parse("0 0 * jan,DEC Mon-fri").weekdays == {1, 2, 3, 4, 5}
    assert Cron.parse("10/20 * * * *").minutes == (10, 30, 50)
    assert Cron.parse("0 8-18/4 ? * ?").hours == (8, 12, 16)
    friday_or_13th = Cron.parse("0 0 13 * 5")
    assert friday_or_13th.matches(clock("2026-11-27"))
    assert friday_or_13th.matches(clock("2026-10-13"))
    assert not friday_or_13th.matches(clock("2026-10-14"))
    both = Cron.parse("0 0 13 * */1")
    assert not both.matches(clock("2026-11-27"))
    odd_days = Cron.parse("0 0 13 * */2")
    assert odd_days.matches(clock("2026-11-26"))


def test_a_day_that_never_comes_has_no_start() -> None:
    """30 February is looked for in five years, and that is the end of it."""
    assert Cron.parse("0 0 30 2 *").after(datetime(2026, 1, 1, tzinfo=UTC), ZoneInfo("UTC")) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("* * * *", "five fields, not 4"),
        ("@daily", "five fields, not 1"),
        ("TZ=UTC * * * * *", "five fields, not 6"),
        ("60 * * * *", "minute: '60' is not within 0-59"),
        ("* 5-3 * * *", "hour: '5-3' is not within"),
        ("* * 0 * *", "day of month: '0'"),
        ("* * * foo *", "month: 'foo' is no number"),
        ("* * * * 7", "day of week: '7'"),
        ("*/0 * * * *", "minute: the step of"),
        ("1-2-3 * * * *", "no range"),
        ("1/2/3 * * * *", "no range"),
        (", * * * *", "minute is empty"),
        ("-1 * * * *", "minute: '' is no number"),
    ],
)
def test_what_is_no_schedule_says_where(text: str, said: str) -> None:
    """The field and what is wrong with it."""
    with pytest.raises(ValueError, match=r"\w") as caught:
        Cron.parse(text)
    assert said in str(caught.value)
