"""Every call from the command line into the rest of driftd.

The imports stand inside the functions, so that help and completion never pay for the clients of
clusters, databases and HTTP.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from driftd.cli.progress import Narrator
    from driftd.controller.declared import Declared
    from driftd.controller.desired import Desired
    from driftd.model.report import DiffReport, DriftReport


def check(options: Mapping[str, Any], narrator: Narrator) -> DriftReport:
    """One look at the chosen applications; `options` are the fields of `CheckOptions`."""
    from driftd import app
    from driftd.clock import SystemClock
    from driftd.controller.options import CheckOptions

    chosen = CheckOptions(**options)
    return asyncio.run(app.check(chosen, progress=narrator, clock=SystemClock()))


def render(options: Mapping[str, Any], narrator: Narrator) -> Sequence[Desired]:
    """What Git declares for the chosen applications."""
    from driftd import app
    from driftd.controller.options import CheckOptions

    return asyncio.run(app.render(CheckOptions(**options), progress=narrator))


def catalog(options: Mapping[str, Any], narrator: Narrator) -> Declared:
    """The declared applications and the clusters of their destinations."""
    from driftd import app
    from driftd.controller.options import CheckOptions

    return asyncio.run(app.catalog(CheckOptions(**options), progress=narrator))


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
