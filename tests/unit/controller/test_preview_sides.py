"""Which commits the names of a preview mean, with real git."""

from __future__ import annotations

from dataclasses import replace

import pytest

from driftd.controller.options import CheckOptions
from driftd.controller.preview_sides import choose_sides
from driftd.source.repositories import Repositories
from tests.unit.controller.conftest import World

pytestmark = pytest.mark.slow


async def notes(world: World, against: str, revision: str = "HEAD") -> tuple[str, list[str]]:
    """The base that is chosen, and what is told of the choice."""
    repositories = await Repositories.open([str(world.repo.path)])
    told: list[str] = []
    before, _ = await choose_sides(
        replace(world.workspace, repositories=repositories),
        CheckOptions(revision=revision), against, told.append,
    )  # fmt: skip
    return before.revision.commit, told


async def test_a_local_branch_ahead_of_its_remote(world: World) -> None:
    """Origin's counts; both commits and how to take the local one are told. That has no note."""
    pushed = world.repo.head
    world.repo.git("update-ref", "refs/remotes/origin/main", pushed)
    assert await notes(world, "main") == (pushed, [])
    world.repo.write("README.md", "More\n")
    ahead = world.repo.commit()
    text = (
        f"note: main is origin/main ({pushed[:8]}); the local branch main ({ahead[:8]}) has 1 "
        "commit more, not counted here: push, or take it with FLAG refs/heads/main"
    )
    assert await notes(world, "main") == (pushed, [text.replace("FLAG", "--against")])
    assert await notes(world, "refs/heads/main") == (ahead, [])
    assert await notes(world, "origin/main", "refs/heads/main") == (pushed, [])
    assert (await notes(world, "origin/main", "main"))[1] == [text.replace("FLAG", "--revision")]
    world.repo.git("update-ref", "refs/remotes/origin/main", ahead)
    world.repo.git("branch", "--force", "old", pushed)
    world.repo.git("update-ref", "refs/remotes/origin/old", ahead)
    assert (await notes(world, "old"))[1] == []
