"""The endpoints to which Git servers post: `POST /hooks/PROVIDER`.

A post can ask for one thing alone: that a repository be resolved anew, soon. What else it says is
not read. It answers nobody who does not know the provider's secret, and takes bounded memory.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from driftd.controller.refreshes import Refreshes
from driftd.errors import ConfigError
from driftd.settings.githooks import GitWebhooks
from driftd.telemetry.logs import get_logger
from driftd.telemetry.metrics import Metrics
from driftd.web.providers.known import PROVIDERS, Post, Provider
from driftd.web.server import answer

if TYPE_CHECKING:
    from aiohttp import web

BODY_LIMIT: Final = 1 << 20
"""Bytes of a post."""
BODY_SECONDS: Final = 10.0
"""Seconds that a body may take to come."""
SECRET_BYTES: Final = 16
"""The shortest secret."""
_SMALL: Final = 64 << 10
_SMALL_AT_A_TIME: Final = 32
_LARGE_AT_A_TIME: Final = 2
"""Posts of up to 64 KiB, and others, that are read at a time: 4 MiB in all."""
_WAITING: Final = 256
_DELIVERIES: Final = 10_000
"""Ids of posts that are remembered."""


class Refused(Exception):
    """A post that is not taken: the status, what is counted, and why."""

    def __init__(self, status: int, result: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.result = result
        self.text = text


class _Secrets:
    """The lines of a file, read again when it has changed."""

    def __init__(self, provider: str, file: str) -> None:
        """Raises ConfigError for a file without a secret that is long enough."""
        self._path = Path(file)
        self._stamp: tuple[int, int] | None = None
        self._found: tuple[bytes, ...] = ()
        if not self.current():
            raise ConfigError(
                f"the secret file of gitWebhooks for {provider} has no secret of at least "
                f"{SECRET_BYTES} bytes: {file}",
                hint="write one on each line, such as `openssl rand -hex 32` prints",
            )

    def current(self) -> tuple[bytes, ...]:
        """The secrets of now; the last ones while a new file is being put there."""
        try:
            stat = self._path.stat()
            stamp = (stat.st_mtime_ns, stat.st_ino)
            if stamp != self._stamp:
                lines = (line.strip() for line in self._path.read_bytes().splitlines())
                self._found = tuple(line for line in lines if len(line) >= SECRET_BYTES)
                self._stamp = stamp
        except OSError:
            return self._found
        return self._found


class GitHooks:
    """Takes the posts of the providers that the settings name."""

    def __init__(
        self,
        settings: GitWebhooks,
        refreshes: Refreshes,
        metrics: Metrics,
        *,
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        """`refreshes` are told which repositories are to be asked. Raises ConfigError."""
        self._secrets = {
            name: _Secrets(name, file) for name, file in settings.secret_files().items()
        }
        self._refreshes = refreshes
        self._metrics = metrics
        self._body_seconds = body_seconds
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._small = asyncio.Semaphore(_SMALL_AT_A_TIME)
        self._large = asyncio.Semaphore(_LARGE_AT_A_TIME)
        self._waiting = 0
        self._told: set[tuple[str, str]] = set()
        """Kinds of refusals that are in the log since the last post that was taken."""
        self._log = get_logger("driftd.web")

    def add_to(self, app: web.Application) -> None:
        """Serve them; a provider without a secret has no path."""
        for name in self._secrets:
            app.router.add_post(f"/hooks/{name}", self._handler(name))

    def _handler(self, name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def post(request: web.Request) -> web.Response:
            return await self._post(name, request)

        return post

    async def _post(self, name: str, request: web.Request) -> web.Response:
        try:
            result, text = await self._taken(name, request)
        except Refused as refused:
            self._metrics.git_webhook(name, refused.result)
            if (name, refused.result) not in self._told:
                self._told.add((name, refused.result))
                self._log.warning("webhook refused", provider=name, why=refused.text)
            response = answer(refused.status, refused.text)
            if refused.status in (413, 408, 415):
                response.force_close()  # the rest of the body is not waited for
            return response
        self._told = {one for one in self._told if one[0] != name}
        self._metrics.git_webhook(name, result)
        return answer(202, text)

    async def _taken(self, name: str, request: web.Request) -> tuple[str, str]:
        """Take a post over; what is counted, and the answer. Raises Refused."""
        provider, secrets = PROVIDERS[name], self._secrets[name].current()
        headers: Mapping[str, str] = request.headers
        shown = provider.proof.shown(headers)
        # Nobody without a proof makes us read a body.
        if not shown or (not provider.proof.needs_body and not _holds(provider, shown, secrets)):
            raise _unauthorized()
        body = await self._body(request)
        if not _holds(provider, shown, secrets, body):
            raise _unauthorized()
        post = read_post(provider, headers, body)
        if not post.urls:
            return "ignored", "nothing to do: no refs have moved"
        if self._is_repeated(name, post.delivery):
            return "repeated", "taken before"
        if not self._refreshes.ask(post.urls):
            return "unknown", "nothing to do: no application reads this repository"
        return "taken", "the repository will be asked"

    def _is_repeated(self, name: str, delivery: str) -> bool:
        key = (name, delivery)
        if not delivery:
            return False
        if key in self._seen:
            return True
        self._seen[key] = None
        if len(self._seen) > _DELIVERIES:
            self._seen.popitem(last=False)
        return False

    async def _body(self, request: web.Request) -> bytes:
        """The body of a request, as it comes. Raises Refused beyond the limits."""
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Refused(415, "malformed", "bodies must not be packed")
        length = request.content_length
        if (length or 0) > BODY_LIMIT:
            raise _too_long()
        places = self._small if length is not None and length <= _SMALL else self._large
        if self._waiting >= _WAITING:
            raise Refused(429, "busy", "too many posts wait to be read")
        self._waiting += 1
        try:
            # To wait for a place counts, too: whoever posts gives up by then.
            async with asyncio.timeout(self._body_seconds), places:
                return await _bounded(request)
        except TimeoutError:
            text = f"the body did not come within {self._body_seconds:g}s"
            raise Refused(408, "slow", text) from None
        finally:
            self._waiting -= 1


async def _bounded(request: web.Request) -> bytes:
    from aiohttp import ClientPayloadError, http_exceptions

    found = bytearray()
    try:
        async for chunk in request.content.iter_any():
            if len(found) + len(chunk) > BODY_LIMIT:
                raise _too_long()
            found += chunk
    except (ClientPayloadError, http_exceptions.HttpProcessingError, ConnectionError):
        raise Refused(400, "malformed", "the body ends early or is badly framed") from None
    return bytes(found)


def _holds(provider: Provider, shown: bytes, secrets: tuple[bytes, ...], body: bytes = b"") -> bool:
    return provider.proof.holds(shown, body, secrets)


def read_post(provider: Provider, headers: Mapping[str, str], body: bytes) -> Post:
    """What a post says whose proof holds. Raises Refused for whatever is no such post."""
    try:
        return provider.read(headers, body)
    except ValueError as error:
        raise Refused(400, "malformed", f"the post cannot be read: {error}") from None
    except Exception:  # noqa: BLE001 - whatever a post brings about is the post's fault
        raise Refused(400, "malformed", "the post cannot be read") from None


def _unauthorized() -> Refused:
    return Refused(401, "unauthorized", "unauthorized")


def _too_long() -> Refused:
    return Refused(413, "too long", f"the body is longer than {BODY_LIMIT >> 20} MiB")
