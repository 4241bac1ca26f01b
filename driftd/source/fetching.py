"""Everything that fetches from other machines, opened and closed together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from driftd.clock import Clock, SystemClock
from driftd.model.project import SignatureDemand, SignatureMode
from driftd.model.repository import AccessTable
from driftd.sandbox.pool import SandboxPool
from driftd.scratch import ScratchFolder
from driftd.sealed import SealedFolder
from driftd.settings.types import RemoteBaseFile, RepositorySignatures, Settings
from driftd.source.charts import Charts
from driftd.source.egress import Egress
from driftd.source.remote_bases import RemoteBase, RemoteBases
from driftd.source.remotes import Remotes
from driftd.source.repositories import Home, Repositories


@dataclass(frozen=True, slots=True)
class Fetching:
    """Charts and artifacts, remote Git repositories, and remote bases of kustomizations."""

    charts: Charts
    remotes: Remotes
    egress: Egress

    def use(self, table: AccessTable) -> None:
        """Log in as this table says from now on."""
        self.charts.use(table)
        self.remotes.table = table

    def bases(self, allowed: Sequence[RemoteBaseFile]) -> RemoteBases | None:
        """What fetches remote bases; None where none is allowed. Raises ConfigError."""
        if not allowed:
            return None
        return RemoteBases([RemoteBase(one.url, one.sha256) for one in allowed], self.egress)


@asynccontextmanager
async def open_fetching(
    sandbox: SandboxPool, clock: Clock, table: AccessTable, charts: SealedFolder | None = None
) -> AsyncIterator[Fetching]:
    """What fetches; connections, mirrors and files of credentials are gone at the end.

    `charts` is where fetched charts stay.
    """
    egress = Egress()
    # What a killed process left may be large.
    with await asyncio.to_thread(ScratchFolder, "driftd-mirrors-") as folder:
        remotes = Remotes(folder, egress, clock, table)
        try:
            yield Fetching(Charts(sandbox, egress, table, folder=charts), remotes, egress)
        finally:
            remotes.close()
            await egress.close()


async def settings_repositories(
    settings: Settings, fetching: Fetching, *, remote: bool, renew: Callable[[], None]
) -> Repositories:
    """The repositories of a daemon: checkouts as they lie there, URLs through mirrors.

    `remote` fetches URLs even where the settings name none. Raises SourceError.
    """
    named = settings.repositories
    homes = [
        Home(path=one.path, url=one.url, revision=one.revision, demand=_demand(one.signatures))
        for one in named
    ]
    return await Repositories.open(
        [one.path for one in named if one.path],
        mirror=fetching.remotes.mirror if remote or any(one.url for one in named) else None,
        homes=homes,
        charts=fetching.charts,
        renew=renew,
        clock=SystemClock(),
    )


def _demand(settings: RepositorySignatures) -> SignatureDemand | None:
    if not settings.mode:
        return None
    return SignatureDemand(project="", mode=SignatureMode(settings.mode), keys=settings.keys)
