"""What messages mean to tools that keep incidents: which one, whether it is over, how bad it is."""

from __future__ import annotations

import hashlib
from typing import Final

from driftd.model.report import ApplicationStatus
from driftd.notify.message import Message
from driftd.store.types import Transition

_BESIDE: Final = frozenset(
    {
        Transition.RULE_TROUBLE,
        Transition.SILENCE_EXPIRED,
        Transition.PAUSE_FORGOTTEN,
        Transition.HISTORY_REWRITTEN,
    }
)


def is_incident(message: Message) -> bool:
    """Whether a message begins, goes on with or ends an incident.

    What is told beside the drifts has no end that could close one, and is for channels that
    people read.
    """
    return message.type not in _BESIDE


def is_over(message: Message) -> bool:
    """Whether nothing is wrong with the application any more."""
    return message.status is ApplicationStatus.SYNCED


def key_of(message: Message, limit: int) -> str:
    """The same for all messages about one application on one cluster; at most `limit` long."""
    named = f"driftd/{message.cluster}/{message.qualified_name}"
    if len(named) <= limit and named.isprintable() and named.isascii():
        return named
    return f"driftd/{hashlib.sha256(named.encode()).hexdigest()[:40]}"


def severity_of(message: Message) -> str:
    """The highest severity that is known: high where none is, or it cannot be judged."""
    return message.severity or "high"
