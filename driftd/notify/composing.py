"""From a change of state to the messages of its receivers. Pure: called inside a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from driftd.notify.message import Message, Subject, messages_of
from driftd.notify.routing import routed
from driftd.notify.subscriptions import subscribed
from driftd.settings.channels import channels
from driftd.settings.notifications import Notifications
from driftd.store.protocol import Compose
from driftd.store.types import OutboxMessage, StateChange

SERVICES: Final = {
    "webhooks": "webhook",
    "slack": "slack",
    "slackApps": "slack",
    "email": "email",
    "teams": "teams-workflows",
    "pagerduty": "pagerdutyv2",
    "opsgenie": "opsgenie",
    "github": "github",
    "alertmanager": "alertmanager",
    "apprise": "apprise",
}
"""What Argo CD calls the receivers of each list of the settings."""


class Composer:
    """Composes messages as the settings route them."""

    def __init__(self, told: Notifications) -> None:
        self._told = told
        found = [(one.name, SERVICES[key.partition("[")[0]], key) for key, one in channels(told)]
        # A Slack app can reach any conversation: it comes before webhooks, which have one.
        found.sort(key=lambda one: not one[2].startswith("slackApps"))
        self._receivers = {name: service for name, service, _ in found}

    def of(self, subject: Subject) -> Compose:
        """What composes the messages about one application."""

        def compose(change: StateChange) -> Sequence[OutboxMessage]:
            if not change.is_told or not self._receivers:
                return ()
            return [
                one
                for message in messages_of(change, subject)
                for one in self._all(message, change, subject)
            ]

        return compose

    def _all(self, message: Message, change: StateChange, subject: Subject) -> list[OutboxMessage]:
        targets = routed(message, self._told, self._receivers, change.at)
        if self._told.subscriptions:
            for annotations in (subject.annotations, subject.project_annotations):
                for target in subscribed(message, annotations, self._receivers):
                    targets[target] = None
        payload = msgspec.json.encode(message)
        return [
            OutboxMessage(message.id, target, change.application, payload, due_at=until)
            for target, until in targets.items()
        ]
