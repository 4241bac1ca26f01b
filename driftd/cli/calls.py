"""Every call from the command line into the rest of driftd, imported when it is made.

The modules are imported by name, so that help and completion never pay for clients of clusters,
databases and HTTP.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from driftd.cli.progress import Narrator
    from driftd.model.application import Application
    from driftd.model.condition import Condition
    from driftd.model.report import DiffReport, DriftReport
    from driftd.model.resource import Manifest


class CatalogEntry(Protocol):
    """One declared application and where its destination leads."""

    @property
    def application(self) -> Application:
        """The Application as declared or generated."""

    @property
    def cluster(self) -> str:
        """The kubeconfig context (or cluster name) it is read through; empty if there is none."""

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What is wrong with it."""


class Catalog(Protocol):
    """What the repository declares."""

    @property
    def entries(self) -> tuple[CatalogEntry, ...]:
        """The chosen applications."""

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What concerns no single application."""


def check(options: Mapping[str, Any], narrator: Narrator) -> DriftReport:
    """One look at the chosen applications; `options` are the fields of `CheckOptions`."""
    from driftd.clock import SystemClock
    from driftd.controller.options import CheckOptions

    controller = _load("driftd.controller.check")
    chosen = CheckOptions(**options)
    look = controller.check(chosen, progress=narrator, clock=SystemClock())
    report: DriftReport = asyncio.run(look)
    return report


def render(options: Mapping[str, Any], application: str, narrator: Narrator) -> list[Manifest]:
    """The manifests of one application as Git declares them."""
    from driftd.controller.options import CheckOptions

    controller = _load("driftd.controller.check")
    chosen = CheckOptions(**options)
    return list(asyncio.run(controller.render(chosen, application, progress=narrator)))


def catalog(options: Mapping[str, Any], narrator: Narrator) -> Catalog:
    """The declared applications and the mapping of their destinations."""
    from driftd.controller.options import CheckOptions

    controller = _load("driftd.controller.check")
    chosen = CheckOptions(**options)
    found: Catalog = asyncio.run(controller.catalog(chosen, progress=narrator))
    return found


def diff(*, desired: Path, live: Path, schemas: tuple[Path, ...], mode: str) -> DiffReport:
    """Compare the manifests of `desired` with the objects of `live`, offline."""
    from driftd.controller.offline import compare_files
    from driftd.sandbox.pool import SandboxPool

    async def compare() -> DiffReport:
        async with SandboxPool(size=1) as sandbox:
            return await compare_files(
                desired=desired, live=live, schemas=schemas, mode=mode, sandbox=sandbox
            )

    return asyncio.run(compare())


def run_daemon(settings: Path, *, once: bool) -> int:
    """Run the daemon until it is told to stop; its exit code."""
    return int(_load("driftd.app").run_daemon(settings, once=once) or 0)


def demo(arguments: tuple[str, ...]) -> int:
    """Run the demonstration; its exit code."""
    return int(_load("driftd.demo.main").main(arguments) or 0)


def worker_versions() -> dict[str, str]:
    """What the sandbox worker is built from: library and version."""
    from driftd.sandbox.pool import SandboxPool

    async def ask() -> dict[str, str]:
        async with SandboxPool(size=1) as sandbox:
            hello = await sandbox.hello()
        return {"go": hello.go, **hello.libraries}

    return asyncio.run(ask())


def _load(module: str) -> Any:
    return importlib.import_module(module)
