"""A pool of real workers, and trees to give them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from driftd.model.application import ApplicationSource
from driftd.model.tree import Tree
from driftd.sandbox.pool import RenderApplication, SandboxPool
from driftd.sandbox.results import RenderResult

APPLICATION = RenderApplication(name="shop", project="team", destination_namespace="shop-prod")
REVISION = "0123456789abcdef0123456789abcdef01234567"


def make_tree(files: dict[str, str | bytes], links: dict[str, str] | None = None) -> Tree:
    """A tree with an id made from its content."""
    content = {
        name: data.encode() if isinstance(data, str) else data for name, data in files.items()
    }
    digest = hashlib.sha256(repr((sorted(content.items()), links)).encode()).hexdigest()
    return Tree(id=digest, files=content, links=links or {})


def objects(result: RenderResult) -> list[dict[str, Any]]:
    """The rendered objects as Python values."""
    return [msgspec.json.decode(document.object) for document in result.documents]


@pytest.fixture
async def pool() -> AsyncIterator[SandboxPool]:
    """A pool of one worker."""
    async with SandboxPool(size=1) as running:
        yield running


@pytest.fixture
def tree() -> Callable[..., Tree]:
    """Makes trees."""
    return make_tree


@pytest.fixture
def render(pool: SandboxPool) -> Callable[..., Any]:
    """Renders a source given as Argo CD's JSON from files given as text."""

    async def run(
        files: dict[str, str | bytes],
        source: dict[str, Any] | ApplicationSource,
        *,
        links: dict[str, str] | None = None,
        **options: Any,
    ) -> RenderResult:
        options.setdefault("application", APPLICATION)
        options.setdefault("revision", REVISION)
        options.setdefault("kube_version", "1.36.0")
        return await pool.render(make_tree(files, links), source, **options)

    return run
