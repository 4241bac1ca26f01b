"""Everything that fetches from other machines, opened and closed together."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from driftd.clock import Clock
from driftd.model.repository import AccessTable
from driftd.sandbox.pool import SandboxPool
from driftd.source.charts import Charts
from driftd.source.egress import Egress
from driftd.source.remotes import Remotes


@dataclass(frozen=True, slots=True)
class Fetching:
    """Charts and artifacts, and remote Git repositories."""

    charts: Charts
    remotes: Remotes

    def use(self, table: AccessTable) -> None:
        """Log in as this table says from now on."""
        self.charts.use(table)
        self.remotes.table = table


@asynccontextmanager
async def open_fetching(
    sandbox: SandboxPool, clock: Clock, table: AccessTable
) -> AsyncIterator[Fetching]:
    """What fetches; connections, mirrors and files of credentials are gone at the end."""
    egress = Egress()
    with tempfile.TemporaryDirectory(prefix="driftd-mirrors-") as folder:
        remotes = Remotes(Path(folder), egress, clock, table)
        try:
            yield Fetching(Charts(sandbox, egress, table), remotes)
        finally:
            remotes.close()
            await egress.close()
