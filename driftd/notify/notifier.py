"""What every receiver has in common."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable
from urllib.parse import urlsplit

import msgspec

from driftd.errors import ConfigError, NotifyError
from driftd.notify.digest import Digest
from driftd.notify.egress import Answer, call
from driftd.notify.message import Message

if TYPE_CHECKING:
    import aiohttp

_SAID_LIMIT = 200
_RETRY_AFTER_LIMIT = 86_400.0
_MESSAGE_REFUSED = frozenset({400, 413, 415, 422})
"""Statuses by which a receiver refuses this message, and not whatever is sent."""


class Receipt(msgspec.Struct, frozen=True):
    """What a receiver gave back that later messages about the same application need.

    Such as the thread that a message began. It is kept with the delivery, so no secrets in it.
    """

    data: dict[str, str] = {}


class Notifier(Protocol):
    """Delivers messages to one receiver."""

    async def send(self, message: Message, earlier: Receipt | None = None) -> Receipt | None:
        """Deliver one message.

        `earlier` is the last receipt of the same episode at this receiver; None where this one
        begins it, or where none was given. Raises NotifyError or ConfigError, without secrets in
        the text.
        """
        ...

    async def send_digest(self, digest: Digest) -> None:
        """Deliver many messages in one. Raises as `send`."""
        ...


@runtime_checkable
class Addressable(Protocol):
    """A receiver that can deliver to others than those of its settings."""

    def to(self, recipient: str) -> Notifier:
        """The same receiver with one recipient, such as a channel or an address.

        Raises ConfigError for one that cannot be.
        """
        ...


class Rejected(NotifyError):
    """The receiver answered, but did not accept the message."""

    reason = "Rejected"

    def __init__(
        self, message: str, *, retry_after: float | None = None, for_message: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds that the receiver asks to wait, if it does."""
        self.for_message = for_message
        """Whether it refused this message, so that others may be accepted."""


def check_url(url: str, receiver: str) -> None:
    """Raise ConfigError unless `url` can be posted to; the URL itself is not repeated."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(
            f"the URL of {receiver} is not an http or https URL",
            hint="correct it in the settings or in the file that they name",
        )


async def post(
    session: aiohttp.ClientSession,
    url: str,
    body: bytes,
    *,
    headers: dict[str, str],
    receiver: str,
    limit: float,
) -> Answer:
    """POST `body` as JSON; only 2xx counts as accepted, redirects are not followed.

    `receiver` names the receiver in errors: the URL may be a secret. `limit` is in seconds.
    Raises NotifyError.
    """
    sent = {"Content-Type": "application/json", **headers}
    answer = await call(session, "POST", url, body, headers=sent, receiver=receiver, limit=limit)
    return accepted(answer, receiver)


def accepted(answer: Answer, receiver: str) -> Answer:
    """The answer, if its status is 2xx. Raises Rejected with what else it says."""
    if 200 <= answer.status < 300:
        return answer
    text = answer.body[:_SAID_LIMIT].decode("utf-8", "replace").split("\n")[0].strip()
    said = f": {text}" if text.isprintable() and text else ""
    raise Rejected(
        f"{receiver} answered HTTP {answer.status}{said}",
        retry_after=_retry_after(answer.headers.get("retry-after")),
        for_message=answer.status in _MESSAGE_REFUSED,
    )


def _retry_after(value: Any, now: datetime | None = None) -> float | None:
    """Seconds of a `Retry-After` header, which gives them or a date."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        try:
            until = parsedate_to_datetime(str(value))
        except ValueError:
            return None
        moment = until if until.tzinfo is not None else until.replace(tzinfo=UTC)
        seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    return min(seconds, _RETRY_AFTER_LIMIT) if seconds > 0 else None
