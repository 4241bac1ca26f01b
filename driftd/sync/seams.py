"""What stands between a plan and its writes: guards, which may only take away, and the journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol, TypeAlias

import msgspec

from driftd.model.application import Application
from driftd.model.project import AppProject
from driftd.model.report import ApplicationReport
from driftd.model.resource import LiveObject, ResourceKey
from driftd.sync.outcome import TaskResult
from driftd.sync.plan import SyncPlan, SyncTask

Wake: TypeAlias = Callable[[str, datetime], None]
"""Has an application (`namespace/name`) looked at again at a moment."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a look knows of an application beside the plan that was made from it."""

    application: Application
    project: AppProject | None
    cluster: str
    """The context or cluster name of the destination."""
    server: str
    """The address of the destination; empty where it is not known."""
    target_server: str = ""
    """The address under which the cluster's identity is pinned."""
    report: ApplicationReport
    declared: int
    """How many objects Git declares for the application."""
    live: Mapping[ResourceKey, LiveObject]
    """The live object of each key with changes, as the verdict was made from it."""


class Guards(Protocol):
    """Decides which of the planned writes may be made now. It never adds one."""

    async def admit(self, plan: SyncPlan, facts: Facts, now: datetime) -> SyncPlan:
        """The plan with every task that may not run now moved to `skipped`, with the guard's name.

        A plan without tasks is handed over, too: guards learn from every look. Raises StoreError
        where what the guards remember cannot be read: then nothing is written.
        """
        ...

    async def refused(self, plan: SyncPlan, facts: Facts, now: datetime) -> None:
        """Learn that nothing at all is planned, and why: no guard holds anything back then.

        Raises StoreError where that cannot be kept.
        """
        ...

    def waking(self, wake: Wake) -> None:
        """Have `wake` called with whatever is to be looked at again, and when."""
        ...

    def due(self, now: datetime) -> list[str]:
        """The applications (`namespace/name`) of which a guard may let pass now what it held."""
        ...


class Journal(Protocol):
    """Keeps what healing is about to do and what came of it."""

    async def intend(self, plan: SyncPlan, facts: Facts) -> None:
        """Called before the first write of a plan. Raises StoreError: then nothing is written."""
        ...

    async def before(self, task: SyncTask, live: bytes | None) -> None:
        """Called before an object is written, with its live JSON; None if it is to be created.

        `task` is the very one of the plan; called once more when a conflict has it tried again.
        Raises StoreError: then this object is not written.
        """
        ...

    async def after(self, task: SyncTask, result: TaskResult) -> None:
        """Called when the write of one object has ended, however it did."""
        ...


class Unguarded:
    """Guards that let every planned write pass."""

    async def admit(self, plan: SyncPlan, facts: Facts, now: datetime) -> SyncPlan:
        """See `Guards`."""
        return plan

    async def refused(self, plan: SyncPlan, facts: Facts, now: datetime) -> None:
        """See `Guards`."""

    def waking(self, wake: Wake) -> None:
        """See `Guards`."""

    def due(self, now: datetime) -> list[str]:
        """See `Guards`."""
        return []


class Unrecorded:
    """A journal that keeps nothing."""

    async def intend(self, plan: SyncPlan, facts: Facts) -> None:
        """See `Journal`."""

    async def before(self, task: SyncTask, live: bytes | None) -> None:
        """See `Journal`."""

    async def after(self, task: SyncTask, result: TaskResult) -> None:
        """See `Journal`."""
