"""A real HTTP receiver on loopback that keeps what it got."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Receiver:
    """What arrived, and what is answered: queued answers first, then 200."""

    url: str = ""
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    """Path and query of each request."""
    answers: list[web.Response] = field(default_factory=list)
    answering: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is cleared, nothing is answered."""

    @property
    def base(self) -> str:
        """The address without a path."""
        return self.url.partition("/hook/")[0]

    @property
    def bodies(self) -> list[Any]:
        """The JSON of each request."""
        return [json.loads(body) for _, body in self.requests]

    async def handle(self, request: web.Request) -> web.Response:
        """Keep the request and answer."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.paths.append(request.path_qs)
        self.requests.append((headers, await request.read()))
        await self.answering.wait()
        return self.answers.pop(0) if self.answers else web.Response(text="ok")


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver that listens on a free port of loopback."""
    found = Receiver()
    found.answering.set()
    app = web.Application()
    app.router.add_post("/{rest:.*}", found.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    found.url = f"http://127.0.0.1:{port}/hook/T0/s3cr3t-part"
    try:
        yield found
    finally:
        await runner.cleanup()
