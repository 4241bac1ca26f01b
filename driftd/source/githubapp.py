"""Tokens of GitHub Apps: signed for, kept until shortly before they end."""

from __future__ import annotations

import asyncio
import base64
from datetime import datetime, timedelta
from typing import TypeVar
from urllib.parse import quote

import msgspec

from driftd.clock import Clock
from driftd.errors import SourceError
from driftd.model.repository import GitHubApp, RepositoryAccess
from driftd.source.access import tls_context
from driftd.source.egress import Answer, Egress, Reach, origin_of
from driftd.source.process import MIB
from driftd.source.rsa import RsaKey
from driftd.source.url import parse, printable

_Kind = TypeVar("_Kind")
_API = "https://api.github.com"
_AHEAD = timedelta(minutes=5)
"""How long before its end a token is replaced."""
_BACKDATED, _LIFETIME = 60, 540
"""Seconds that a signed claim begins early, for clocks that differ, and lasts (at most 600)."""


class _Token(msgspec.Struct, frozen=True):
    token: str
    expires_at: datetime


class _Installation(msgspec.Struct, frozen=True):
    id: int


class GitHubTokens:
    """All installation tokens of a process; each is asked for once."""

    def __init__(self, egress: Egress, clock: Clock) -> None:
        self._egress = egress
        self._clock = clock
        self._known: dict[tuple[GitHubApp, str], _Token] = {}
        self._asking = asyncio.Lock()

    async def token(self, app: GitHubApp, url: str, access: RepositoryAccess) -> str:
        """The token that opens a repository. Raises SourceError."""
        place = "" if app.installation_id else _path(url)
        async with self._asking:
            known = self._known.get((app, place))
            if known is None or known.expires_at - _AHEAD <= self._clock.now():
                known = await self._installed(app, place, url, access)
                self._known[(app, place)] = known
        return known.token

    async def _installed(
        self, app: GitHubApp, place: str, url: str, access: RepositoryAccess
    ) -> _Token:
        base = app.base_url.rstrip("/") or _API
        name = f"GitHub App {printable(app.app_id)} for {printable(url)}"
        trust = msgspec.structs.replace(access, client_certificate="", client_key="")
        claim = self._claim(app, access.origin or name)
        reach = Reach(
            origin_of(base),
            authorization=f"Bearer {claim}",
            ssl=tls_context(trust),
            proxy=access.proxy,
            no_proxy=access.no_proxy,
        )
        installation = app.installation_id
        if not installation:
            answer = await self._egress.ask(
                f"{base}/repos/{place}/installation", reach, what=name, limit=MIB
            )
            installation = str(_decoded(answer, _Installation, name).id)
        answer = await self._egress.ask(
            f"{base}/app/installations/{quote(installation, safe='')}/access_tokens",
            reach,
            what=name,
            limit=MIB,
            method="POST",
            headers={"Accept": "application/vnd.github+json"},
            body=b"",
            accepted=frozenset({201}),
        )
        return _decoded(answer, _Token, name)

    def _claim(self, app: GitHubApp, place: str) -> str:
        """The signed statement that the App asks itself (a JSON Web Token, RS256)."""
        now = int(self._clock.now().timestamp())
        header = {"alg": "RS256", "typ": "JWT"}
        claim = {"iat": now - _BACKDATED, "exp": now + _LIFETIME, "iss": app.app_id}
        signed = b".".join(_encoded(msgspec.json.encode(part)) for part in (header, claim))
        signature = RsaKey(app.private_key, place).sign(signed)
        return b".".join((signed, _encoded(signature))).decode()


def _path(url: str) -> str:
    """Owner and name of a repository of GitHub."""
    path = parse(url).path.strip("/").removesuffix(".git").rstrip("/")
    return "/".join(quote(part, safe="") for part in path.split("/"))


def _decoded(answer: Answer, kind: type[_Kind], name: str) -> _Kind:
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise SourceError(f"{name}: GitHub's answer cannot be read") from None


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
