"""What every receiver has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from driftd.errors import ConfigError, NotifyError
from driftd.notify.message import Message

if TYPE_CHECKING:
    import aiohttp

_ANSWER_LIMIT = 200
_RETRY_AFTER_LIMIT = 86_400.0


class Notifier(Protocol):
    """Delivers messages to one receiver."""

    async def send(self, message: Message) -> None:
        """Deliver one message. Raises NotifyError or ConfigError, without secrets in the text."""
        ...


class Rejected(NotifyError):
    """The receiver answered, but did not accept the message."""

    reason = "Rejected"

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds that the receiver asks to wait, if it does."""


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
) -> None:
    """POST `body` as JSON; only 2xx counts as accepted, redirects are not followed.

    `receiver` names the receiver in errors: the URL may be a secret. `limit` is in seconds.
    Raises NotifyError.
    """
    import aiohttp

    try:
        async with session.post(
            url,
            data=body,
            headers={"Content-Type": "application/json", **headers},
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=limit),
        ) as response:
            if 200 <= response.status < 300:
                return
            answer = await response.content.read(_ANSWER_LIMIT)
            wait = _retry_after(response.headers.get("Retry-After"))
    except TimeoutError:
        raise NotifyError(f"{receiver} did not answer within {limit:g} s") from None
    except (aiohttp.InvalidURL, ValueError):
        raise NotifyError(f"the URL of {receiver} is not valid") from None
    except (aiohttp.ClientError, OSError) as error:
        raise NotifyError(f"cannot reach {receiver}: {type(error).__name__}") from None
    text = answer.decode("utf-8", "replace").split("\n")[0].strip()
    said = f": {text}" if text.isprintable() and text else ""
    raise Rejected(f"{receiver} answered HTTP {response.status}{said}", retry_after=wait)


def _retry_after(value: Any) -> float | None:
    """Seconds of a `Retry-After` header; its form as a date is not used by webhooks."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return min(seconds, _RETRY_AFTER_LIMIT) if seconds > 0 else None
