"""CloudEvents over HTTP, signed in the two ways that receivers have libraries for."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import msgspec

from driftd.clock import Clock
from driftd.errors import ConfigError
from driftd.notify.digest import Digest
from driftd.notify.message import Message
from driftd.notify.notifier import Notifier, Receipt, check_url, post
from driftd.settings.channels import Webhook
from driftd.settings.load import read_secret

if TYPE_CHECKING:
    import aiohttp

EVENT_TYPE: Final = "io.driftd.application"
"""What the types of events begin with; the kind of the message follows."""
DIGEST_TYPE: Final = "io.driftd.digest"

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


def sign_body(secret: str, body: bytes) -> str:
    """The `X-Signature` of a body: the key is the secret's text as its file has it."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


def event(message: Message) -> dict[str, Any]:
    """A message as CloudEvents 1.0 in structured mode; `data` is all of it."""
    cluster = quote(message.cluster or "unknown", safe="")
    return {
        "specversion": "1.0",
        "id": message.id,
        "source": f"/driftd/clusters/{cluster}",
        "type": f"{EVENT_TYPE}.{message.type}",
        "subject": message.qualified_name,
        "time": message.at,
        "datacontenttype": "application/json",
        "data": message,
    }


def digest_event(digest: Digest) -> dict[str, Any]:
    """Many messages as one event."""
    return {
        "specversion": "1.0",
        "id": digest.id,
        "source": "/driftd",
        "type": DIGEST_TYPE,
        "time": digest.at,
        "datacontenttype": "application/json",
        "data": msgspec.structs.replace(digest, further=msgspec.UNSET),
    }


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
        self._secret()

    async def send(self, message: Message, earlier: Receipt | None = None) -> None:
        """See `Notifier.send`."""
        await self._post(message.id, event(message))

    async def send_digest(self, digest: Digest) -> None:
        """See `Notifier.send_digest`."""
        await self._post(digest.id, digest_event(digest))

    async def _post(self, name: str, found: dict[str, Any]) -> None:
        secret, key = self._secret()
        body = msgspec.json.encode(found)
        timestamp = int(self._clock.now().timestamp())
        headers = {
            "Content-Type": "application/cloudevents+json; charset=utf-8",
            "X-Signature": sign_body(secret, body),
            "webhook-id": name,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(key, name, timestamp, body),
        }
        await post(
            self._session,
            self._settings.url,
            body,
            headers=headers,
            receiver=self._receiver,
            limit=self._limit,
        )

    def _secret(self) -> tuple[str, bytes]:
        """The secret's text and the key that it stands for."""
        path = self._settings.secret_file
        secret = read_secret(path, "the webhook secret")
        return secret, signing_key(secret, path)
