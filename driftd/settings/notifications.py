"""Settings of the receivers that are told about changes of state, and of the telling."""

from __future__ import annotations

from typing import Literal

from driftd.settings.channels import (
    Alertmanager,
    Apprise,
    Email,
    GitHubStatus,
    Opsgenie,
    PagerDuty,
    Slack,
    SlackApp,
    Teams,
    Webhook,
)
from driftd.settings.quantity import Duration
from driftd.settings.struct import SettingsStruct


class Storm(SettingsStruct, frozen=True, kw_only=True):
    """From when on a receiver gets digests in place of single messages."""

    messages: int = 2
    """Messages that it gets one by one within `window`; what is more waits."""
    window: Duration = Duration("10s")
    quiet: Duration = Duration("5s")
    """What waits goes out as one digest when nothing new came for so long."""
    longest: Duration = Duration("30s")
    """Or when the first of it has waited so long; also the least time between two digests."""


class QuietHours(SettingsStruct, frozen=True, kw_only=True):
    """When a route tells nothing but what is critical; the rest comes at the end, in one digest."""

    begin: str
    """`22:00`, by the clock of `zone`."""
    end: str
    """`07:00`; before `begin`: on the next day."""
    zone: str = "UTC"
    """A zone of the IANA, such as `Europe/Berlin`."""


class Route(SettingsStruct, frozen=True, kw_only=True):
    """Which messages go to which receivers; what is empty matches every message."""

    receivers: tuple[str, ...]
    """Names of receivers; empty: nobody is told."""
    severities: tuple[Literal["critical", "high", "medium", "low", "info"], ...] = ()
    """The highest severity since the application began to drift."""
    projects: tuple[str, ...] = ()
    """Globs, as in `clusters` and `owners`."""
    clusters: tuple[str, ...] = ()
    applications: tuple[str, ...] = ()
    """Names or globs, `namespace/name` or `name`."""
    owners: tuple[str, ...] = ()
    """What the label of `ownerLabel` says."""
    kinds: tuple[str, ...] = ()
    """Kinds of messages, such as `drifted` or `healed`."""
    quiet: QuietHours | None = None


class Notifications(SettingsStruct, frozen=True, kw_only=True):
    """Who is told about a change of state."""

    webhooks: tuple[Webhook, ...] = ()
    slack: tuple[Slack, ...] = ()
    slack_apps: tuple[SlackApp, ...] = ()
    email: tuple[Email, ...] = ()
    teams: tuple[Teams, ...] = ()
    pagerduty: tuple[PagerDuty, ...] = ()
    opsgenie: tuple[Opsgenie, ...] = ()
    github: tuple[GitHubStatus, ...] = ()
    alertmanager: tuple[Alertmanager, ...] = ()
    apprise: tuple[Apprise, ...] = ()
    timeout: Duration = Duration("10s")
    """Limit of one delivery attempt."""
    max_attempts: int = 200
    """After so many failed attempts a message is kept as undeliverable."""
    backoff: Duration = Duration("10s")
    """Wait after the first failed attempt; doubles with each further one."""
    backoff_limit: Duration = Duration("10m")
    give_up_after: Duration = Duration("24h")
    """Age at which a message that fails again is kept as undeliverable."""
    storm: Storm = Storm()
    routes: tuple[Route, ...] = ()
    """In order; without any, every receiver is told everything."""
    route_match: Literal["first", "all"] = "first"
    """Whether only the first route counts that matches a message, or all that do."""
    otherwise: tuple[str, ...] | None = None
    """Receivers of what no route matches; all of them where it is left out."""
    owner_label: str = "driftd.io/owner"
    """Label (or annotation) of Applications that says whose they are."""
    subscriptions: bool = True
    """Honour Argo CD's annotations `notifications.argoproj.io/subscribe.TRIGGER.SERVICE`."""
    allow_networks: tuple[str, ...] = ()
    """Networks that receivers may lie in beside the public ones: `10.0.0.0/8`, `127.0.0.1`."""
    hold: Duration = Duration("10m")
    """How long a new drift is not told at most while Argo CD or Flux works on its application."""
