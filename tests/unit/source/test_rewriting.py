"""Branches whose history was rewritten, in real repositories."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from driftd.source import rewriting
from driftd.source.git import GitRepository
from driftd.source.rewriting import is_rewritten
from tests.testbed.gitrepo import GitRepo


@pytest.fixture
def commits(git_repo: GitRepo) -> dict[str, str]:
    """Three commits of main, and one of an unrelated history that replaces them."""
    found = {name: git_repo.commit(name) for name in ("one", "two", "three")}
    git_repo.git("branch", "kept")
    git_repo.git("tag", "v1")
    git_repo.git("checkout", "--quiet", "--orphan", "other")
    found["other"] = git_repo.commit("other")
    git_repo.git("branch", "--force", "main", "other")
    return found


async def test_which_moves_are_a_rewriting(git_repo: GitRepo, commits: dict[str, str]) -> None:
    """A branch that goes on is none; one that is set back or replaced is; tags may move."""
    repository = GitRepository.open(str(git_repo.path))
    one, three, other = commits["one"], commits["three"], commits["other"]
    moves = [
        ("main", one, three), ("main", three, one), ("main", three, other), ("", three, other),
        ("refs/heads/main", three, other), ("v1", three, other), ("main", three, three),
        ("main", three, "1.2.3"), ("main", "f" * 40, other),
    ]  # fmt: skip
    found = await asyncio.gather(*(is_rewritten(repository, *move) for move in moves))
    assert found == [False, True, True, True, True, False, False, False, True]


async def test_what_is_not_known_is_not_told(
    git_repo: GitRepo, commits: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a shallow clone, and beyond the commits that are looked through, nothing is claimed."""
    old, new = "f" * 40, commits["three"]
    shallow = tmp_path / "shallow"
    origin = f"file://{git_repo.path}"
    git_repo.git("clone", "--quiet", "--depth=1", "--branch=kept", origin, str(shallow))
    assert not await is_rewritten(GitRepository.open(str(shallow)), "kept", old, new)
    whole = GitRepository.open(str(git_repo.path))
    assert await is_rewritten(whole, "kept", old, new)
    monkeypatch.setattr(rewriting, "STEPS", (1, 3))
    assert not await is_rewritten(whole, "kept", old, new)


async def test_most_moves_cost_one_short_question() -> None:
    """A branch that went on by a few commits has only the first of them read."""
    asked: list[int] = []

    class Long:
        async def ancestors(self, sha: str, limit: int) -> Sequence[str]:
            asked.append(limit)
            return ["a" * 40, "b" * 40, *(["c" * 40] * (limit - 2))]

        async def is_branch(self, name: str) -> bool:
            return True

        async def is_cut(self) -> bool:
            return False

    assert not await is_rewritten(Long(), "main", "b" * 40, "a" * 40)
    assert asked == [50]
