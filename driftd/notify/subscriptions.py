"""Argo CD's annotations by which an Application or a project subscribes to messages. Pure.

`notifications.argoproj.io/subscribe.TRIGGER.SERVICE: RECIPIENT;RECIPIENT`, with the triggers of
drift that Argo CD's own catalogue lacks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from driftd.notify.dispatch import RECIPIENT
from driftd.notify.message import Message
from driftd.store.types import Transition

PREFIX: Final = "notifications.argoproj.io/subscribe."
TRIGGERS: Final = ("on-drift", "on-drift-recovered", "on-healed")
_LONGEST: Final = 128
"""Characters of a receiver and its recipient together."""
_ONSET: Final = frozenset(
    {Transition.DRIFTED, Transition.WORSENED, Transition.CHANGED, Transition.FIGHTING}
)


def subscribed(
    message: Message, annotations: Mapping[str, str], receivers: Mapping[str, str]
) -> Iterator[str]:
    """The targets that annotations name for a message.

    `receivers` are the names of all receivers with the service that each is of, such as `slack`.
    An annotation names a receiver, or a service: then the first receiver of it. Without
    recipients the receiver's own count. What names nothing that is there is Argo CD's business.
    """
    for key, value in annotations.items():
        if not key.startswith(PREFIX):
            continue
        trigger, _, service = key.removeprefix(PREFIX).partition(".")
        name = _receiver(service, receivers)
        if not name or not fires(trigger, message):
            continue
        for recipient in _recipients(value) or ("",):
            target = f"{name}{RECIPIENT}{recipient}" if recipient else name
            if len(target) <= _LONGEST:
                yield target


def fires(trigger: str, message: Message) -> bool:
    """Whether a message is what a trigger waits for."""
    if trigger == "on-drift":
        return message.type in _ONSET
    if trigger == "on-drift-recovered":
        return message.ends_drift
    if trigger == "on-healed":
        return message.type is Transition.HEALED or any(
            one.ended == "healed" for one in message.closed
        )
    return False


def _receiver(service: str, receivers: Mapping[str, str]) -> str:
    if service in receivers:
        return service
    return next((name for name, kind in receivers.items() if kind == service), "")


def _recipients(value: str) -> Sequence[str]:
    return [one.strip() for one in value.split(";") if one.strip()]
