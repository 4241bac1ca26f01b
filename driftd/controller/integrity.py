"""Holds applications to the signatures that their projects demand: one answer for each source."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from driftd.cluster.hub import GPG_KEYS, Hub
from driftd.errors import DriftdError
from driftd.model.application import Application
from driftd.model.condition import Condition, Severity
from driftd.model.gitobject import AnnotatedTag
from driftd.model.project import AppProject, SignatureDemand
from driftd.model.tree import ResolvedSource
from driftd.policy.integrity import demands_signatures, signature_demand, unusable_keys
from driftd.source.charts import is_remote_chart
from driftd.source.repositories import Reading, Repositories, Repository
from driftd.source.url import printable
from driftd.verify.keys import KeySet, keys_of_map, read_folder
from driftd.verify.revision import RevisionCheck
from driftd.verify.verifier import KEPT_SECONDS, Verifier

REFUSED = "SourceIntegrityError"
"""The condition of an application whose revision is not signed as its project demands."""
NOT_GIT = "SourceIntegrityNote"
"""The condition that says which sources no policy of signatures is about."""
_KEPT = 10_000

_Question = tuple[str, str, str, str, SignatureDemand]
"""URL, revision as written, commit, tree, demand."""
_Named = Callable[[], Awaitable[tuple[Repository, AnnotatedTag | None]]]
"""Finds the repository, and the annotated tag that the revision names."""


@dataclass(slots=True)
class Integrity:
    """Verifies revisions; what was found holds for an hour and the same keys."""

    keyring: Path | None = None
    """Folder of public keys beside those of the hub."""
    monotonic: Callable[[], float] = time.monotonic
    _verifier: Verifier = field(init=False)
    _answers: dict[_Question, tuple[float, asyncio.Task[tuple[str, ...]]]] = field(
        default_factory=dict
    )

    def __post_init__(self) -> None:
        """Begin without any key; each look reads them anew."""
        self._verifier = Verifier(KeySet(), monotonic=self.monotonic)

    async def conditions(
        self,
        application: Application,
        project: AppProject,
        sources: Sequence[ResolvedSource],
        *,
        repositories: Repositories,
        hub: Hub | None,
        urls: frozenset[str],
    ) -> tuple[Condition, ...]:
        """What the project's policies say of the sources; an error means: render nothing.

        A source that cannot be verified is refused as one that is not signed.
        """
        if not demands_signatures(project):
            return ()
        told = [
            *_not_git(application),
            *[
                await self._source(application, project, source, repositories, hub, urls)
                for source in sources
            ],
        ]
        return tuple(one for one in told if one is not None)

    async def home(
        self, reading: Reading, *, repositories: Repositories, hub: Hub | None
    ) -> Condition | None:
        """Why what a repository declares does not count; None where its settings are met."""
        home = reading.home
        demand = home.demand if home is not None else None
        if home is None or demand is None:
            return None
        asked = (home.url or home.path, home.revision, reading.revision, reading.tree.id, demand)
        place = f"repository {printable(home.url or home.path)}: "
        try:
            await self._read_keys(hub)
            problems = await self._answer(asked, lambda: repositories.named_home(home))
        except DriftdError as error:
            return _unverifiable(place, reading.revision, error)
        return self._refusal(place, demand, reading.revision, problems, demand.keys)

    async def _source(
        self,
        application: Application,
        project: AppProject,
        source: ResolvedSource,
        repositories: Repositories,
        hub: Hub | None,
        urls: frozenset[str],
    ) -> Condition | None:
        if is_remote_chart(source.source):
            return None
        several = len(application.spec.all_sources) > 1
        place = f"source {source.index + 1}: " if several else ""
        try:
            demand = signature_demand(project, source.repo_url)
            if demand is None:
                return None
            await self._read_keys(hub)
            problems = await self._problems(source, demand, repositories, urls)
        except DriftdError as error:
            return _unverifiable(place, source.revision, error)
        return self._refusal(place, demand, source.revision, problems, _written(project))

    def _refusal(
        self,
        place: str,
        demand: SignatureDemand,
        revision: str,
        problems: Sequence[str],
        written: Iterable[str],
    ) -> Condition | None:
        """The condition for what is wrong with a revision; None where nothing is."""
        if not problems:
            return None
        whose = f"project {demand.project} demands" if demand.project else "the settings demand"
        text = (
            f"{place}revision {_short(revision)} is not signed as {whose} (mode {demand.mode}): "
            f"{'; '.join(problems)}"
        )
        remarks = self._remarks(demand, written)
        return Condition(REFUSED, "; ".join([text, *remarks, "see driftd help signatures"]))

    def _remarks(self, demand: SignatureDemand, written: Iterable[str]) -> Iterable[str]:
        """What may explain a refusal: keys that match nothing, that are lacking or unreadable."""
        if not demand.keys:
            yield "none of the keys that are listed can be used"
        for key in unusable_keys(written):
            yield (
                f"{key[:60]!a} is listed, which is no key id of 16 digits, fingerprint, or "
                "SHA256:… of an SSH key"
            )
        keys = self._verifier.keys
        yield from keys.problems
        if not (keys.openpgp or keys.allowed_signers):
            where = f" (looked in {', '.join(keys.places)})" if keys.places else ""
            yield f"no public key is known{where}: name a folder of them with --keyring"

    async def keys(self, hub: Hub | None) -> KeySet:
        """The public keys as they are now. Raises `VerificationError` without the folder."""
        keys = KeySet()
        if hub is not None:
            problems = (hub.gpg_problem,) if hub.gpg_problem else ()
            keys = keys_of_map(hub.gpg_keys, GPG_KEYS).joined(KeySet(problems=problems))
        if self.keyring is not None:
            keys = keys.joined(await asyncio.to_thread(read_folder, self.keyring))
        return keys

    async def _read_keys(self, hub: Hub | None) -> None:
        """Take the keys as they are now; with others, earlier findings count no more."""
        keys = await self.keys(hub)
        if keys != self._verifier.keys:
            self._verifier = Verifier(keys, monotonic=self.monotonic)
            self._answers.clear()

    async def _problems(
        self,
        source: ResolvedSource,
        demand: SignatureDemand,
        repositories: Repositories,
        urls: frozenset[str],
    ) -> tuple[str, ...]:
        """The answer to a question that many applications ask, found once."""
        if source.revision.endswith("-dirty") or source.git_tree.startswith("worktree-"):
            return ("files as they lie on disk are signed by nobody: leave --worktree out",)
        revision = source.source.target_revision or "HEAD"
        asked = (source.repo_url, revision, source.revision, source.git_tree, demand)
        return await self._answer(asked, lambda: repositories.named(source, urls))

    async def _answer(self, asked: _Question, named: _Named) -> tuple[str, ...]:
        """What is wrong with a revision, asked once by many."""
        kept = self._answers.get(asked)
        if kept is None or self.monotonic() - kept[0] > KEPT_SECONDS or _failed(kept[1]):
            kept = (self.monotonic(), asyncio.create_task(self._check(asked, named)))
            if len(self._answers) >= _KEPT:
                self._answers.clear()
            self._answers[asked] = kept
        return await asyncio.shield(kept[1])

    async def _check(self, asked: _Question, named: _Named) -> tuple[str, ...]:
        _, _, commit, tree, demand = asked
        repository, tag = await named()
        return await RevisionCheck(repository, self._verifier, demand).problems(commit, tree, tag)


def _unverifiable(place: str, revision: str, error: DriftdError) -> Condition:
    text = f"{place}revision {_short(revision)} cannot be verified: {error.message}"
    return Condition(REFUSED, text)


def _failed(task: asyncio.Task[tuple[str, ...]]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def _not_git(application: Application) -> Iterable[Condition]:
    """Charts and artifacts of registries have no commits: policies of Git say nothing of them."""
    for number, source in enumerate(application.spec.all_sources):
        if is_remote_chart(source):
            what = source.chart or source.path or "an OCI artifact"
            text = f"source {number + 1} ({what}) is not in Git: no signature of it was checked"
            yield Condition(NOT_GIT, text, Severity.INFO)


def _written(project: AppProject) -> Iterable[str]:
    integrity = project.spec.source_integrity
    if integrity is None:
        return [one.key_id for one in project.spec.signature_keys]
    policies = integrity.git.policies if integrity.git else ()
    return [key for policy in policies if policy.gpg for key in policy.gpg.keys]


def _short(revision: str) -> str:
    commit, dash, rest = revision.partition("-")
    return f"{commit[:12]}{dash}{rest}"
