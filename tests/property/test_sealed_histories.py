"""Random histories: the walk of mode strict finds what the definition of seals says."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from driftd.model.gitobject import GitObject
from driftd.model.project import SignatureDemand, SignatureMode
from driftd.verify import revision
from driftd.verify.keys import KeySet
from driftd.verify.outcome import Finding, Outcome
from driftd.verify.revision import RevisionCheck
from driftd.verify.signed import SignedObject
from driftd.verify.verifier import Verifier

TREE = "a" * 40
GOOD, STRANGER = "G" * 40, "5" * 40
HISTORIES = 400


class Subjects(Verifier):
    """Takes who signed a commit from its subject; real signatures are tested elsewhere."""

    async def finding(self, signed: SignedObject) -> Finding:
        """`good` is signed by the allowed key, `stranger` by another one."""
        text = signed.payload.decode()
        if "\n\ngood" in text:
            return Finding(Outcome.GOOD, GOOD)
        if "\n\nstranger" in text:
            return Finding(Outcome.GOOD, STRANGER)
        return Finding(Outcome.UNSIGNED)


@dataclass(slots=True)
class History:
    """Commits in the order in which they were made, each with its parents."""

    objects_: dict[str, GitObject] = field(default_factory=dict)
    parents: dict[str, tuple[str, ...]] = field(default_factory=dict)
    good: set[str] = field(default_factory=set)
    seals: set[str] = field(default_factory=set)

    def commit(self, who: str, *parents: str, seal: bool) -> str:
        """One more commit."""
        lines = [f"tree {TREE}", *(f"parent {one}" for one in parents)]
        lines += ["author A <a@x> 1 +0000", f"committer C{len(self.parents)} <c@x> 1 +0000"]
        trailer = "\n\nArgocd-gpg-seal: reviewed" if seal else ""
        data = ("\n".join(lines) + f"\n\n{who}{trailer}\n").encode()
        oid = hashlib.sha1(b"commit %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
        self.objects_[oid] = GitObject(oid, "commit", data)
        self.parents[oid] = parents
        if who == "good":
            self.good.add(oid)
            if seal:
                self.seals.add(oid)
        return oid

    def behind(self, oid: str) -> set[str]:
        """Everything before a commit."""
        found: set[str] = set()
        waiting = list(self.parents[oid])
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting += self.parents[one]
        return found

    def expected(self, tip: str) -> set[str]:
        """The commits that are wrong by definition: not good, and before no good seal."""
        reached = {tip} | self.behind(tip)
        vouched = {one for seal in self.seals & reached for one in self.behind(seal)}
        return reached - vouched - self.good

    async def objects(self, ids: Sequence[str]) -> Mapping[str, GitObject]:
        """The objects."""
        return {oid: self.objects_[oid] for oid in ids if oid in self.objects_}

    async def ancestors(self, sha: str, limit: int) -> Sequence[str]:
        """The newest first, so that each comes before its parents."""
        reached = {sha} | self.behind(sha)
        return [one for one in reversed(self.parents) if one in reached][:limit]


def history(chosen: random.Random) -> tuple[History, str]:
    """A random history with merges, and its tip."""
    made = History()
    commits: list[str] = []
    for _ in range(chosen.randrange(1, 25)):
        recent = commits[-6:]
        count = min(len(recent), chosen.choice((1, 1, 1, 2, 2, 3)))
        who = chosen.choices(("good", "stranger", "nobody"), (6, 1, 2))[0]
        parents = chosen.sample(recent, count)
        commits.append(made.commit(who, *parents, seal=chosen.random() < 0.25))
    return made, commits[-1]


async def test_the_walk_finds_what_the_definition_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of hundreds of histories just the commits are told that no seal vouches for."""
    monkeypatch.setattr(revision, "_TOLD", 1000)
    chosen = random.Random(14)  # noqa: S311 - a test repeats itself
    demand = SignatureDemand(project="team", mode=SignatureMode.STRICT, keys=(GOOD,))
    outcomes = set()
    for batch in (1, 3, 250):
        monkeypatch.setattr(revision, "_BATCH", batch)
        for _ in range(HISTORIES // 3):
            made, tip = history(chosen)
            check = RevisionCheck(made, Subjects(KeySet()), demand)
            told = await check.problems(tip, TREE, None)
            wrong = {oid for oid in made.parents for text in told if oid[:12] in text}
            assert wrong == made.expected(tip)
            assert len(told) == len(wrong)
            outcomes.add(bool(wrong))
    assert outcomes == {True, False}


async def test_proofs_change_no_answer() -> None:
    """With one verifier for a growing history the answers are those of fresh ones."""
    chosen = random.Random(15)  # noqa: S311
    demand = SignatureDemand(project="team", mode=SignatureMode.STRICT, keys=(GOOD,))
    for _ in range(40):
        made, _ = history(chosen)
        kept = Subjects(KeySet())
        for tip in made.parents:
            told = await RevisionCheck(made, kept, demand).problems(tip, TREE, None)
            assert bool(told) is bool(made.expected(tip))
