"""The repositories that declare Applications, as far as what they declare may count."""

from __future__ import annotations

from driftd.controller.workspace import Workspace
from driftd.errors import VerificationError
from driftd.model.condition import Condition, Severity
from driftd.source.lastgood import STALE
from driftd.source.repositories import Reading


async def trusted_homes(workspace: Workspace) -> tuple[list[Reading], list[Condition]]:
    """The readings that count, and why others do not: unreadable, or not signed as demanded.

    Raises DriftdError where none of them counts.
    """
    readings, failures = await workspace.repositories.homes()
    told = [Condition("ComparisonError", failure.message) for failure in failures]
    told += [Condition(STALE, one.stale, Severity.WARNING) for one in readings if one.stale]
    trusted: list[Reading] = []
    for reading in readings:
        refused = await workspace.integrity.home(
            reading, repositories=workspace.repositories, hub=workspace.hub
        )
        if refused is None:
            trusted.append(reading)
        else:
            told.append(refused)
    if not trusted:
        raise VerificationError(told[-1].message)
    return trusted, told
