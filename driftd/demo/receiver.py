"""A webhook receiver, as one's own would be: it verifies signatures and hands messages on."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import orjson

if TYPE_CHECKING:
    from aiohttp import web


class Receiver:
    """Listens on a free port of 127.0.0.1, as an asynchronous context manager."""

    def __init__(self, arrived: Callable[[Any], None]) -> None:
        """`arrived` is called with each message whose signature is right."""
        self._arrived = arrived
        self._key = secrets.token_bytes(32)
        self._runner: web.ServerRunner | None = None
        self.url = ""
        self.refused = 0
        """Requests whose signature was wrong; each was answered with 401."""

    @property
    def secret(self) -> str:
        """The signing secret as Standard Webhooks writes it."""
        return f"whsec_{base64.b64encode(self._key).decode()}"

    async def __aenter__(self) -> Self:
        from aiohttp import web

        self._runner = web.ServerRunner(web.Server(self._answer))
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        from aiohttp import web

        body = await request.read()
        named = [request.headers.get(f"webhook-{name}", "") for name in ("id", "timestamp")]
        signed = f"{'.'.join(named)}.".encode() + body
        right = base64.b64encode(hmac.new(self._key, signed, hashlib.sha256).digest()).decode()
        given = request.headers.get("webhook-signature", "")
        if not hmac.compare_digest(given.encode(), f"v1,{right}".encode()):
            self.refused += 1
            return web.Response(status=401)
        self._arrived(orjson.loads(body)["data"])
        return web.Response(status=204)
