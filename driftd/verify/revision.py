"""Whether a revision is signed as is demanded: its commit or tag, or all of its history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        wanted, vouched, looked = {tip.id}, set[str](), 0
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            found = await self.reader.objects(batch)
            for oid in batch:
                if oid not in wanted and oid not in vouched:
                    continue
                if oid not in found:
                    continue
                signed = read_object(found[oid])
                wanted.discard(oid)
                if oid in vouched:
                    vouched.update(signed.parents)
                    continue
                looked += 1
                if looked > MOST_COMMITS:
                    raise _too_long()
                good = await self._judge(signed, f"commit {oid[:12]}")
                if good and (signed.sealed or self.verifier.is_proven((oid, key))):
                    vouched.update(signed.parents)
                else:
                    wanted.update(signed.parents)
            wanted -= vouched
            if not wanted:
                break
        if wanted:
            raise _cut_off(next(iter(wanted)), len(order))
        if not self._wrong:
            self.verifier.prove((tip.id, key))


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
