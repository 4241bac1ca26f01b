"""GitHub commit statuses: whether clusters are what a revision says, beside that revision."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from driftd.clock import Clock
from driftd.errors import ConfigError, NotifyError, SourceError
from driftd.model.report import ApplicationStatus
from driftd.model.repository import GitHubApp, RepositoryAccess
from driftd.notify.egress import Answer, call
from driftd.notify.message import Message
from driftd.notify.notifier import accepted, check_url
from driftd.notify.spoken import Kept
from driftd.notify.templates import Texts
from driftd.notify.wording import Told, shortened, visible
from driftd.settings.channels import GitHubStatus
from driftd.settings.load import read_secret
from driftd.source.egress import Egress, origin_of
from driftd.source.githubapp import GitHubTokens

if TYPE_CHECKING:
    import aiohttp

DESCRIPTION_LIMIT: Final = 140
CONTEXT_LIMIT: Final = 200
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_UNKNOWN_COMMIT: Final = 422
_STATES: Final = {
    ApplicationStatus.SYNCED: "success",
    ApplicationStatus.OUT_OF_SYNC: "failure",
    ApplicationStatus.UNKNOWN: "error",
}

_PAGE: Final = "https://github.com"

Login: TypeAlias = Callable[[GitHubStatus], Awaitable[str]]
"""A token of the GitHub App that a channel names. Raises DriftdError."""


def status(message: Message, told: Told) -> dict[str, Any]:
    """The status of one commit; its context is the same for all messages of one application."""
    context = f"driftd/{message.cluster or 'unknown'}/{message.qualified_name}"
    _, _, said = told.headline.partition(": ")
    return {
        "state": _STATES[message.status],
        "description": shortened(said or told.headline, DESCRIPTION_LIMIT),
        "context": shortened(visible(context), CONTEXT_LIMIT),
    }


class GitHubNotifier(Kept):
    """Sets statuses in one repository; its token is read from the file at each attempt.

    Building one raises ConfigError when it cannot log in.
    """

    def __init__(
        self,
        settings: GitHubStatus,
        session: aiohttp.ClientSession,
        limit: float,
        texts: Texts,
        login: Login | None = None,
    ) -> None:
        """`login` is needed where the channel names a GitHub App."""
        super().__init__(texts)
        self._settings = settings
        self._session = session
        self._limit = limit
        self._login = login
        self._receiver = f"GitHub {settings.name}"
        check_url(settings.api_url, self._receiver)
        if settings.app is not None:
            read_secret(settings.app.private_key_file, "the private key of the GitHub App")
        else:
            self._token_of_file()

    async def keep(self, message: Message, told: Told) -> None:
        """See `Kept.keep`; revisions that are no commits of the repository are left out.

        An application with several sources names revisions of several repositories: those that
        this one does not have are refused by GitHub, which is no failure.
        """
        commits = [one for one in dict.fromkeys(message.revisions) if _COMMIT.fullmatch(one)]
        if not commits:
            return
        body = msgspec.json.encode(status(message, told))
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {await self._token()}",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        base = f"{self._settings.api_url.rstrip('/')}/repos/{self._settings.repository}/statuses"
        for commit in commits:
            answer = await call(
                self._session,
                "POST",
                f"{base}/{commit}",
                body,
                headers=headers,
                receiver=self._receiver,
                limit=self._limit,
            )
            if not _is_elsewhere(answer):
                accepted(answer, self._receiver)

    async def _token(self) -> str:
        if self._settings.app is None:
            return self._token_of_file()
        if self._login is None:
            raise NotifyError(f"{self._receiver} has no way to log in as a GitHub App")
        try:
            async with asyncio.timeout(self._limit):
                return await self._login(self._settings)
        except TimeoutError:
            raise NotifyError(f"{self._receiver} could not log in in {self._limit:g} s") from None
        except SourceError as error:
            raise NotifyError(f"{self._receiver} cannot log in: {error}") from None

    def _token_of_file(self) -> str:
        if not self._settings.token_file:
            raise ConfigError(f"{self._receiver} needs either tokenFile or app")
        return read_secret(self._settings.token_file, "the token for GitHub")


class AppLogin:
    """Logs in as the GitHub Apps that channels name; each token is kept until it ends."""

    def __init__(self, clock: Clock) -> None:
        self._egress = Egress()
        self._tokens = GitHubTokens(self._egress, clock)

    async def close(self) -> None:
        """Close all connections."""
        await self._egress.close()

    async def __call__(self, settings: GitHubStatus) -> str:
        """A token for the repository of a channel. Raises DriftdError."""
        app = settings.app
        if app is None:
            raise ConfigError(f"{settings.name} names no GitHub App")
        key = read_secret(app.private_key_file, "the private key of the GitHub App")
        known = GitHubApp(
            app_id=app.app_id,
            private_key=key,
            installation_id=app.installation_id,
            base_url=app.base_url or settings.api_url,
        )
        self._egress.named |= {origin_of(known.base_url)}
        url = f"{_PAGE}/{settings.repository}"
        return await self._tokens.token(known, url, RepositoryAccess(url=url))


def _is_elsewhere(answer: Answer) -> bool:
    """Whether GitHub says that the repository has no such commit."""
    return answer.status == _UNKNOWN_COMMIT and b"No commit found" in answer.body
