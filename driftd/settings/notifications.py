"""Settings of the receivers that are told about changes of state, and of the telling."""

from __future__ import annotations

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
    max_attempts: int = 10
    """After so many failed attempts a message is kept as undeliverable."""
    backoff: Duration = Duration("10s")
    """Wait after the first failed attempt; doubles with each further one."""
    backoff_limit: Duration = Duration("1h")
    allow_networks: tuple[str, ...] = ()
    """Networks that receivers may lie in beside the public ones: `10.0.0.0/8`, `127.0.0.1`."""
    hold: Duration = Duration("10m")
    """How long a new drift is not told at most while Argo CD or Flux works on its application."""
