"""Whether a revision is signed as is demanded: its commit or tag, or all of its history."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from driftd.errors import VerificationError
from driftd.model.gitobject import AnnotatedTag, GitObject
from driftd.model.project import SignatureDemand, SignatureMode
from driftd.verify.outcome import Outcome, allows
from driftd.verify.signed import SignedObject, read_object
from driftd.verify.verifier import Verifier

MOST_COMMITS = 2_000
"""Commits that strict mode looks at; a longer history needs a seal."""
_LISTED = 20_000
_BATCH = 250
_AHEAD = 16
"""Commits whose signatures are checked side by side."""
_TAG_DEPTH = 5
_TOLD = 5
"""Commits that are told by name."""


class ObjectReader(Protocol):
    """What is read of a repository; nothing that it says is believed."""

    async def objects(self, ids: Sequence[str]) -> Mapping[str, GitObject]:
        """Some objects by id; those that are not there are left out."""
        ...

    async def ancestors(self, sha: str, limit: int) -> Sequence[str]:
        """Commits from `sha` back, each before its parents, at most `limit`."""
        ...


@dataclass(slots=True)
class RevisionCheck:
    """One check of one revision of one repository."""

    reader: ObjectReader
    verifier: Verifier
    demand: SignatureDemand
    _wrong: list[str] = field(default_factory=list)
    _seen: set[tuple[Outcome, str]] = field(default_factory=set)

    async def problems(self, commit: str, tree: str, tag: AnnotatedTag | None) -> tuple[str, ...]:
        """What is wrong, in words; empty for a revision that is signed as demanded.

        `tree` is the id of the files that are to be rendered, `tag` what the revision names.
        Raises `VerificationError` where that cannot be told.
        """
        signed = await self._one(commit)
        if signed.tree != tree:
            raise VerificationError(
                f"commit {commit[:12]} has other files than those that were read"
            )
        if tag is not None:
            await self._tag(tag, commit)
        if self.demand.mode is SignatureMode.STRICT:
            await self._history(signed)
        elif tag is None:
            await self._judge(signed, f"commit {commit[:12]}")
        return self._told()

    def _told(self) -> tuple[str, ...]:
        more = len(self._wrong) - _TOLD
        rest = (f"and {more} more",) if more > 0 else ()
        return (*self._wrong[:_TOLD], *rest)

    async def _one(self, oid: str) -> SignedObject:
        found = (await self.reader.objects((oid,))).get(oid)
        if found is None:
            raise VerificationError(f"object {oid[:12]} is missing from the repository")
        return read_object(found)

    async def _tag(self, tag: AnnotatedTag, commit: str) -> None:
        """The signature of the tag itself; what it names in the end must be the commit."""
        outer = signed = await self._one(tag.id)
        if outer.name != tag.name:
            # A tag's object can be served under any name: an old release as the newest.
            raise VerificationError(
                f"tag {tag.name} was signed under another name, as {outer.name[:80]!a}",
                hint="make the tag anew, or name it as it was signed",
            )
        for _ in range(_TAG_DEPTH):
            if signed.target_kind != "tag":
                break
            signed = await self._one(signed.target)
        if signed.target != commit:
            raise VerificationError(f"tag {tag.name} has moved while it was read")
        await self._judge(outer, f"tag {tag.name}")

    async def _judge(self, signed: SignedObject, what: str) -> bool:
        """Whether one object is signed by an allowed key; if not, that is told."""
        finding = await self.verifier.finding(signed)
        if finding.outcome is Outcome.GOOD and allows(self.demand.keys, finding):
            return True
        who = f" by {signed.who}" if signed.who else ""
        text = f"{what}{who} {finding.told()}"
        if finding.outcome is Outcome.GOOD:
            text += ", which the project does not allow"
        self._wrong.append(text)
        return False

    async def _history(self, tip: SignedObject) -> None:
        """Every commit from the tip back to seals: those vouch for all that lies before them.

        A seal is a seal only with a good signature by an allowed key. Commits are seen before
        their parents, so that what any seal vouches for is known when it is reached.
        """
        key = (self.demand.keys, self.demand.mode)
        if self.verifier.is_proven((tip.id, key)):
            return
        order = await self.reader.ancestors(tip.id, _LISTED)
        walk = _Walk(wanted={tip.id})
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            found = await self.reader.objects(batch)
            for number, oid in enumerate(batch):
                if number % _AHEAD == 0:
                    await self._ahead(batch[number : number + _AHEAD], found, walk)
                if oid in found and walk.reaches(oid):
                    await self._step(found[oid], walk, key)
            walk.wanted -= walk.vouched
            if not walk.wanted:
                break
        if walk.wanted:
            raise _cut_off(next(iter(walk.wanted)), len(order))
        if not self._wrong:
            self.verifier.prove((tip.id, key))

    async def _step(self, found: GitObject, walk: _Walk, key: Hashable) -> None:
        """Judge one commit of the history, or pass on what vouches for it."""
        walk.wanted.discard(found.id)
        if found.id in walk.vouched:
            with suppress(VerificationError):  # however odd, somebody has vouched for it
                walk.vouched.update(read_object(found).parents)
            return
        signed = read_object(found)
        walk.looked += 1
        if walk.looked > MOST_COMMITS:
            raise _too_long()
        good = await self._judge(signed, f"commit {found.id[:12]}")
        if good and (signed.sealed or self.verifier.is_proven((found.id, key))):
            walk.vouched.update(signed.parents)
        else:
            walk.wanted.update(signed.parents)

    async def _ahead(self, ids: Sequence[str], found: Mapping[str, GitObject], walk: _Walk) -> None:
        """Have a few signatures checked side by side; most of them are asked for one by one."""
        if walk.wanted.isdisjoint(ids):
            return

        async def check(oid: str) -> None:
            with suppress(VerificationError):  # told where the commit counts
                await self.verifier.finding(read_object(found[oid]))

        wanted = [oid for oid in ids if oid in found and oid not in walk.vouched]
        await asyncio.gather(*(check(oid) for oid in wanted))


@dataclass(slots=True)
class _Walk:
    """How far a history has been looked at."""

    wanted: set[str]
    """Commits that must be signed."""
    vouched: set[str] = field(default_factory=set)
    """Commits that a seal below vouches for."""
    looked: int = 0

    def reaches(self, oid: str) -> bool:
        """Whether a commit belongs to what was seen so far."""
        return oid in self.wanted or oid in self.vouched


def _too_long() -> VerificationError:
    return VerificationError(
        f"the history has more than {MOST_COMMITS:,} commits since the last seal",
        hint='make a signed commit with --trailer="Argocd-gpg-seal: REASON", which vouches for '
        "everything before it",
    )


def _cut_off(oid: str, listed: int) -> VerificationError:
    if listed >= _LISTED:
        return _too_long()
    return VerificationError(
        f"the history is cut off: commit {oid[:12]} is missing from the repository",
        hint="strict mode needs the whole history: fetch it (git fetch --unshallow; "
        "fetch-depth: 0 in GitHub Actions, GIT_DEPTH: 0 in GitLab CI)",
    )
