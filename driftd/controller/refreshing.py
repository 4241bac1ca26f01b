"""What is looked at when a repository is said to have moved."""

from __future__ import annotations

from collections.abc import Callable

from driftd.controller.reconciler import Reconciler
from driftd.model.application import Application
from driftd.source.url import provider_key


async def refreshed(reconciler: Reconciler, keys: frozenset[str]) -> list[str]:
    """Resolve these repositories anew (by `provider_key`); the applications to look at.

    That is every application with a source there, and those that are declared otherwise than
    before. No other repository is asked. Raises DriftdError when nothing can be read.
    """

    def is_meant(url: str) -> bool:
        return provider_key(url) in keys

    before = dict(reconciler.entries)
    await reconciler.declared_names(is_meant)
    return [
        name
        for name, entry in sorted(reconciler.entries.items())
        if before.get(name) != entry or _reads(entry.application, is_meant)
    ]


def _reads(application: Application, is_meant: Callable[[str], bool]) -> bool:
    return any(is_meant(source.repo_url) for source in application.spec.all_sources)
