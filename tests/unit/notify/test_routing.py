"""Which messages go where, and when."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from driftd.notify.composing import Composer
from driftd.notify.message import Subject, build
from driftd.notify.routing import clock_time, quiet_until, routed
from driftd.notify.subscriptions import subscribed
from driftd.settings.channels import SlackApp, Webhook
from driftd.settings.notifications import Notifications, QuietHours, Route
from driftd.settings.routes import KINDS, problems
from driftd.store.episodes import Before, state_change
from driftd.store.types import Ending, Recovery, Transition
from tests.unit.reports import START, after, change, report, resource

NAMES = ("chat", "pager")
NIGHT = QuietHours(begin="22:00", end="07:00", zone="Europe/Berlin")
CHANGE = state_change(
    Before(), [], report(resource("web", change("/spec/x", severity="high"))), START
)
MESSAGE = replace(build(CHANGE), episode_severity="high", owner="team-a")


def targets(message, *routes, **fields):
    """The receivers of a message."""
    told = Notifications(routes=routes, **fields)
    return sorted(routed(message, told, NAMES, START))


def at(text):
    """A moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_without_routes_everybody_is_told_everything():
    """Nothing has to be set up for the first message."""
    assert targets(MESSAGE) == ["chat", "pager"]


@pytest.mark.parametrize(
    ("fields", "matches"),
    [
        ({"severities": ("critical", "high")}, True),
        ({"severities": ("critical",)}, False),
        ({"projects": ("def*",)}, True),
        ({"projects": ("other",)}, False),
        ({"clusters": ("prod*",)}, True),
        ({"clusters": ("stag*",)}, False),
        ({"applications": ("argocd/shop",)}, True),
        ({"applications": ("sh?p",)}, True),
        ({"applications": ("other/*",)}, False),
        ({"owners": ("team-*",)}, True),
        ({"owners": ("team-b",)}, False),
        ({"kinds": ("drifted", "healed")}, True),
        ({"kinds": ("recovered",)}, False),
        ({"severities": ("high",), "clusters": ("stag*",)}, False),
    ],
)
def test_a_route_matches_where_all_that_it_asks_for_holds(fields, matches):
    """Severity, project, cluster, application, owner and kind, each by itself and together."""
    route = Route(receivers=("pager",), **fields)
    assert targets(MESSAGE, route, otherwise=()) == (["pager"] if matches else [])


def test_the_first_route_counts_or_all_do():
    """As the settings say; what none matches goes to the others that are named."""
    routes = (Route(receivers=("pager",), severities=("high",)), Route(receivers=("chat",)))
    assert targets(MESSAGE, *routes) == ["pager"]
    assert targets(MESSAGE, *routes, route_match="all") == ["chat", "pager"]
    nothing = Route(receivers=("pager",), severities=("low",))
    assert targets(MESSAGE, nothing) == ["chat", "pager"]
    assert targets(MESSAGE, nothing, otherwise=("chat",)) == ["chat"]
    assert targets(MESSAGE, Route(receivers=())) == []


def test_who_heard_of_a_critical_drift_hears_of_its_end():
    """The severity of the episode counts, also when only lesser drifts are left at the end."""
    pager = Route(receivers=("pager",), severities=("critical",))
    end = replace(MESSAGE, severity="low", previous_severity="low", episode_severity="critical")
    assert targets(end, pager, otherwise=()) == ["pager"]


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-03-01T20:59", None),
        ("2026-03-01T21:00", "2026-03-02T06:00"),
        ("2026-03-02T05:59", "2026-03-02T06:00"),
        ("2026-03-02T06:00", None),
        ("2026-07-01T21:30", "2026-07-02T05:00"),
        # The nights in which clocks are changed are an hour shorter and longer.
        ("2026-03-28T21:00", "2026-03-29T05:00"),
        ("2026-10-24T21:00", "2026-10-25T06:00"),
    ],
)
def test_quiet_hours_follow_the_clock_of_their_zone(now, until):
    """Over midnight, in summer and winter, and in the nights between."""
    assert quiet_until(NIGHT, at(now)) == (at(until) if until else None)


def test_quiet_hours_within_a_day_end_on_it():
    """A begin before the end is a span of one day."""
    noon = QuietHours(begin="12:00", end="13:30")
    assert quiet_until(noon, at("2026-03-01T12:00")) == at("2026-03-01T13:30")
    assert quiet_until(noon, at("2026-03-01T13:30")) is None


def test_what_is_critical_passes_quiet_hours():
    """Everything else waits until their end."""
    told = Notifications(routes=(Route(receivers=("chat",), quiet=NIGHT),))
    night = at("2026-03-01T23:00")
    assert routed(MESSAGE, told, NAMES, night) == {"chat": at("2026-03-02T06:00")}
    grave = replace(MESSAGE, severity="critical")
    assert routed(grave, told, NAMES, night) == {"chat": None}


@pytest.mark.parametrize("text", ["7:00", "24:00", "07-00", "", "07:0a"])
def test_what_is_no_time_of_day_is_refused(text):
    """Misspelt times are errors, not midnight."""
    with pytest.raises(ValueError, match=r"time|hour|literal"):
        clock_time(text)


def test_settings_name_what_is_not_there():
    """Unknown receivers, kinds, zones, times and networks are found at the start."""
    quiet = QuietHours(begin="25:00", end="07:00", zone="Mars/Base")
    told = Notifications(
        routes=(Route(receivers=("nobody",), kinds=("sad",), quiet=quiet),),
        otherwise=("none",),
        allow_networks=("10.0.0.0/33",),
    )
    assert [key for key, *_ in problems(told, {"chat"})] == [
        "notifications.routes[0].receivers",
        "notifications.routes[0].kinds",
        "notifications.routes[0].quiet.begin",
        "notifications.routes[0].quiet.zone",
        "notifications.otherwise",
        "notifications.allowNetworks",
    ]
    assert set(KINDS) == {one.value for one in Transition} - {"none"}


SERVICES = {"ops": "slack", "hook": "webhook", "mail": "email"}
SUBSCRIBE = "notifications.argoproj.io/subscribe."


def test_annotations_subscribe_as_argo_cd_has_it():
    """By service or by name, with recipients or without; what is not ours is left alone."""
    annotations = {
        f"{SUBSCRIBE}on-drift.slack": "team-a; team-b",
        f"{SUBSCRIBE}on-drift.hook": "",
        f"{SUBSCRIBE}on-drift-recovered.email": "a@example.com",
        f"{SUBSCRIBE}on-sync-failed.slack": "team-c",
        f"{SUBSCRIBE}on-drift.grafana": "x",
        "other": "y",
    }
    assert list(subscribed(MESSAGE, annotations, SERVICES)) == ["ops|team-a", "ops|team-b", "hook"]


def test_triggers_of_ends_and_heals_fire_for_them_alone():
    """`on-drift-recovered` for any end, `on-healed` where it was driftd's hand."""
    annotations = {f"{SUBSCRIBE}on-drift-recovered.hook": "", f"{SUBSCRIBE}on-healed.slack": ""}
    clean = report(resource("web"))
    known = Before(status=CHANGE.status)
    recovered = state_change(known, CHANGE.open, clean, after(1))
    healed = state_change(
        known, CHANGE.open, clean, after(1), lambda _: Ending(Recovery.HEALED, "driftd")
    )
    assert list(subscribed(build(recovered), annotations, SERVICES)) == ["hook"]
    assert list(subscribed(build(healed), annotations, SERVICES)) == ["hook", "ops"]
    assert list(subscribed(MESSAGE, annotations, SERVICES)) == []


def test_subscriptions_come_beside_the_routes():
    """Whom an Application or its project names is told whatever the routes say, once each."""
    told = Notifications(
        webhooks=(Webhook(url="https://x.example.com", secret_file="s", name="hook"),),
        slack_apps=(SlackApp(token_file="t", channel="#all", name="ops"),),
        routes=(Route(receivers=("hook",)),),
    )
    subject = Subject(
        annotations={f"{SUBSCRIBE}on-drift.slack": "team-a"},
        project_annotations={f"{SUBSCRIBE}on-drift.slack": "team-a;all-teams"},
    )
    found = [one.target for one in Composer(told).of(subject)(CHANGE)]
    assert found == ["hook", "ops|team-a", "ops|all-teams"]
    silent = replace(told, subscriptions=False)
    assert [one.target for one in Composer(silent).of(subject)(CHANGE)] == ["hook"]
