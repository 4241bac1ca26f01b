"""JSON over HTTP, signed as Standard Webhooks describes, which receivers have libraries for."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import TYPE_CHECKING

import msgspec

from driftd.clock import Clock
from driftd.errors import ConfigError
from driftd.notify.digest import Digest
from driftd.notify.message import Message
from driftd.notify.notifier import Notifier, Receipt, check_url, post
from driftd.settings.load import read_secret
from driftd.settings.notifications import Webhook

if TYPE_CHECKING:
    import aiohttp

_PREFIX = "whsec_"
_KEY_SIZES = range(24, 65)


def signing_key(secret: str, path: str) -> bytes:
    """The key in a secret as Standard Webhooks writes it. Raises ConfigError naming `path`."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) not in _KEY_SIZES:
        raise ConfigError(
            f"the webhook secret in {path} is not 24 to 64 bytes in base64",
            hint="make one with: openssl rand -base64 32",
        )
    return key


def sign(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` of a body; `timestamp` is in seconds since 1970."""
    content = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(key, content, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


class WebhookNotifier(Notifier):
    """Posts messages to one receiver; the secret's file is read at each attempt (rotation).

    Building one raises ConfigError when the URL or the secret cannot work.
    """

    def __init__(
        self, settings: Webhook, session: aiohttp.ClientSession, clock: Clock, limit: float
    ) -> None:
        self._settings = settings
        self._session = session
        self._clock = clock
        self._limit = limit
        self._receiver = f"webhook {settings.name}"
        check_url(settings.url, self._receiver)
        self._key()

    async def send(self, message: Message, earlier: Receipt | None = None) -> None:
        """See `Notifier.send`."""
        await self._post(message.id, msgspec.json.encode(message))

    async def send_digest(self, digest: Digest) -> None:
        """See `Notifier.send_digest`."""
        await self._post(digest.id, msgspec.json.encode(digest))

    async def _post(self, name: str, body: bytes) -> None:
        timestamp = int(self._clock.now().timestamp())
        headers = {
            "webhook-id": name,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(self._key(), name, timestamp, body),
        }
        await post(
            self._session,
            self._settings.url,
            body,
            headers=headers,
            receiver=self._receiver,
            limit=self._limit,
        )

    def _key(self) -> bytes:
        path = self._settings.secret_file
        return signing_key(read_secret(path, "the webhook secret"), path)
