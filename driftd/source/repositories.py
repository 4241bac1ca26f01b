"""The reading of the repositories that sources name: each revision and tree once per look.

Which one a source is read from, `driftd.source.bindings` says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeAlias

import msgspec

from driftd.aio import gather_isolated
from driftd.clock import Clock
from driftd.errors import DriftdError, SourceError
from driftd.model.application import Application, ApplicationSource
from driftd.model.condition import Condition, Severity
from driftd.model.gitobject import AnnotatedTag, GitObject
from driftd.model.project import SignatureDemand
from driftd.model.tree import ResolvedSource, Tree
from driftd.source.bindings import Checkout, RepositoryMap, parse_repo_flags, real
from driftd.source.charts import Charts, is_remote_chart
from driftd.source.git import GitRepository
from driftd.source.inflation import with_charts
from driftd.source.lastgood import STALE, LastGood
from driftd.source.objects import CommitInfo
from driftd.source.ranges import TagRanges
from driftd.source.remote_bases import RemoteBases
from driftd.source.revision import short_name
from driftd.source.url import identity, printable

_FETCHES = 4
"""Repositories that are fetched at a time."""


OpenMirror: TypeAlias = Callable[[str, str], "Repository"]
"""The repository of a URL, as applications of a project reach it."""


class Repository(Protocol):
    """What a local repository and a mirror of a remote one have in common."""

    @property
    def name(self) -> str:
        """The repository in messages."""
        ...

    async def resolve(self, revision: str) -> str:
        """The commit id of a revision."""
        ...

    async def tree(self, sha: str) -> Tree:
        """All files of a commit."""
        ...

    async def commit_info(self, sha: str) -> CommitInfo:
        """Author, date and subject of a commit."""
        ...

    async def tags(self) -> Sequence[str]:
        """The names of all tags, without `refs/tags/`."""
        ...

    async def annotated_tag(self, revision: str) -> AnnotatedTag | None:
        """The annotated tag that a revision names; None where it names something else."""
        ...

    async def objects(self, ids: Sequence[str]) -> Mapping[str, GitObject]:
        """Some objects as they are stored; those that are not there are left out."""
        ...

    async def ancestors(self, sha: str, limit: int) -> Sequence[str]:
        """Commits from `sha` back, each before all of its parents, at most `limit`."""
        ...

    async def is_branch(self, name: str) -> bool:
        """Whether there is a branch of this short name."""
        ...

    async def is_cut(self) -> bool:
        """Whether commits may have parents that `ancestors` does not give."""
        ...


def git_urls(applications: Iterable[Application]) -> frozenset[str]:
    """The repoURLs of all Git sources of all applications."""
    sources = (s for app in applications for s in app.spec.all_sources)
    return frozenset(s.repo_url for s in sources if s.repo_url and not is_remote_chart(s))


class Home(msgspec.Struct, frozen=True, kw_only=True):
    """A repository in which Applications are looked for: a checkout's path, or a URL."""

    path: str = ""
    url: str = ""
    revision: str = "HEAD"
    demand: SignatureDemand | None = None
    """How a revision must be signed whose Applications and projects count."""


class Reading(msgspec.Struct, frozen=True):
    """The files of a repository at one revision."""

    tree: Tree
    revision: str
    """A commit's full id, `<id>-dirty` for a work tree with changes."""
    home: Home | None = None
    """What was asked for, where Applications are looked for."""
    stale: str = ""
    """Why it may be older than what the remote has now, and since when; else empty."""


class Resolution(msgspec.Struct, frozen=True):
    """What became of an Application's sources: those that resolved, and why others did not."""

    sources: tuple[ResolvedSource, ...]
    conditions: tuple[Condition, ...]


class Repositories:
    """All repositories of one look; every revision is resolved and read once.

    Errors of one source are conditions of its application and touch no other.
    """

    def __init__(
        self,
        checkouts: Sequence[GitRepository],
        table: RepositoryMap,
        *,
        worktree: bool = False,
        mirror: OpenMirror | None = None,
        head: str = "HEAD",
        homes: Sequence[Home] = (),
        followers: frozenset[str] | None = None,
        charts: Charts | None = None,
        beside: Sequence[Path] = (),
        renew: Callable[[], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Use `Repositories.open`; `mirror` makes the repository of a remote URL.

        `charts` fetches what lies in Helm and OCI repositories; None: nothing does. `renew` is
        called before each new look, as credentials may have changed. With `clock`, a remote
        that cannot be reached is read as it was last, and its age is told.
        """
        self._last = LastGood(clock)
        self._beside = tuple(beside)
        self._charts = charts
        self._ranges = TagRanges(charts.choose) if charts is not None else None
        self.bases: RemoteBases | None = None
        """The remote bases of kustomizations that may be fetched; None: none may."""
        self._renew = renew
        self._followers = followers
        self.table = table
        self._homes = tuple(homes)
        self._head = head
        self._worktree = worktree
        self._mirror = mirror
        self._local: dict[str, GitRepository] = {c.name: c for c in checkouts}
        self._primary = checkouts[0] if checkouts else None
        self._remote: dict[tuple[str, str], Repository] = {}
        self._written: set[str] = set()
        """The URLs of these as they were written."""
        self._readings: dict[tuple[Repository, str], asyncio.Task[Reading]] = {}
        self._notes: dict[str, None] = {}

    @classmethod
    async def open(
        cls,
        flags: Sequence[str] = (".",),
        *,
        worktree: bool = False,
        mirror: OpenMirror | None = None,
        head: str = "HEAD",
        homes: Sequence[Home] = (),
        charts: Charts | None = None,
        beside: Sequence[Path] = (),
        renew: Callable[[], None] | None = None,
        clock: Clock | None = None,
    ) -> Repositories:
        """From the values of `--repo`; with `mirror`, unknown URLs are fetched.

        `head` is what `HEAD` of the first checkout means; `homes` are the repositories that
        Applications are looked for in (default: the first checkout). Files of `beside` are read
        as they lie on disk: of them it does not matter whether they are committed.

        Raises `SourceError` when a path is no repository.
        """
        paths, pairs = parse_repo_flags(flags)
        checkouts = [GitRepository.open(path) for path in paths]
        remotes = await asyncio.gather(*(c.remotes() for c in checkouts))
        known = [Checkout(c.name, tuple(urls)) for c, urls in zip(checkouts, remotes, strict=True)]
        table = RepositoryMap(checkouts=tuple(known), pairs=pairs, remote=mirror is not None)
        return cls(
            checkouts,
            table,
            worktree=worktree,
            mirror=mirror,
            head=head,
            homes=homes,
            charts=charts,
            beside=beside,
            renew=renew,
            clock=clock,
        )

    @property
    def primary(self) -> GitRepository | None:
        """The first checkout: the one that declares the Applications."""
        return self._primary

    def at(
        self, head: str, *, worktree: bool = False, followers: frozenset[str] = frozenset()
    ) -> Repositories:
        """The same repositories, with another meaning of `HEAD` of the first checkout.

        `followers` are branches that mean `HEAD` too. Trees that were read are shared.
        """
        fresh = Repositories(
            (),
            self.table,
            worktree=worktree,
            mirror=self._mirror,
            head=head,
            homes=self._homes,
            followers=followers,
            charts=self._charts,
            beside=self._beside,
        )
        fresh.bases = self.bases
        fresh._local, fresh._remote = self._local, self._remote
        fresh._primary = self._primary
        return fresh

    def follows(self, repository: Repository, revision: str) -> bool:
        """Whether a revision of a repository means `HEAD` of the first checkout."""
        return repository is self._primary and (
            short_name(revision or "HEAD") in {"HEAD", *(self._followers or ())}
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know about the mappings made so far, each once."""
        return tuple(self._notes)

    def forget(self) -> None:
        """Start a new look: revisions resolve again. Trees of unchanged commits stay cached."""
        self._readings.clear()
        self._notes.clear()
        self._remote.clear()
        self._written.clear()
        if self._renew is not None:
            self._renew()
        if self._charts is not None:
            self._charts.forget()
        if self._ranges is not None:
            self._ranges.forget()

    def urls(self, all_urls: Iterable[str]) -> frozenset[str]:
        """Every URL that something is read from: of sources, of homes and of checkouts."""
        homes = (home.url for home in self._homes if home.url)
        remotes = (url for checkout in self.table.checkouts for url in checkout.remotes)
        return frozenset((*all_urls, *homes, *remotes, *self.table.pairs, *self._written))

    def forget_some(self, is_meant: Callable[[str], bool], all_urls: Iterable[str]) -> None:
        """Resolve anew what is read from the repositories whose URL is meant, and nothing else."""
        urls = frozenset(all_urls)
        meant = {url for url in self.urls(urls) if is_meant(url)}
        paths = {one.path for one in self.table.checkouts if not meant.isdisjoint(one.remotes)}
        for url in meant:
            with suppress(SourceError):
                paths.add(self.table.bind(url, urls).path)
        names = {identity(url) for url in meant}
        stale: set[Repository] = {self._local[path] for path in paths if path in self._local}
        stale |= {one for (name, _), one in self._remote.items() if name in names}
        self._readings = {key: one for key, one in self._readings.items() if key[0] not in stale}
        self._remote = {key: one for key, one in self._remote.items() if key[0] not in names}
        if self._ranges is not None:
            self._ranges.forget_some(stale)
        if meant and self._renew is not None:
            self._renew()

    async def homes(self) -> tuple[list[Reading], list[SourceError]]:
        """The files of every repository that declares Applications, and why others have none.

        The first checkout at its HEAD (as its files lie there with `worktree`), unless homes
        were named. Raises SourceError when none of them can be read.
        """
        if not self._homes:
            if self._primary is None:
                raise SourceError(
                    "no repository to read the Applications from",
                    hint="give one with --repo PATH, or under repositories in the settings of "
                    "driftd run",
                )
            return [await self._read(self._primary, "HEAD")], []
        readings: list[Reading] = []
        failures: list[SourceError] = []
        results = await gather_isolated(
            self._home, self._homes, limit=_FETCHES, isolate=SourceError
        )
        for result in results:
            if isinstance(result, SourceError):
                failures.append(result)
            elif isinstance(result, Reading):
                readings.append(result)
        if not readings:
            raise failures[0]
        return readings, failures

    async def _home(self, home: Home) -> Reading:
        reading = await self._read(await self._of_home(home), home.revision)
        return msgspec.structs.replace(reading, home=home)

    async def _of_home(self, home: Home) -> Repository:
        if home.path:
            return self._checkout(home.path)
        return await self.repository(home.url, [home.url])

    async def named_home(self, home: Home) -> tuple[Repository, AnnotatedTag | None]:
        """As `named`, of a repository in which Applications are looked for."""
        repository = await self._of_home(home)
        return repository, await repository.annotated_tag(home.revision)

    def _checkout(self, path: str) -> GitRepository:
        """The opened repository at a path, however it is written."""
        found = next((r for name, r in self._local.items() if real(name) == real(path)), None)
        return found or GitRepository.open(path)

    async def resolve(self, app: Application, all_urls: Iterable[str]) -> Resolution:
        """The files of every source of an application."""
        urls = frozenset(all_urls)
        sources = app.spec.all_sources
        results = await asyncio.gather(
            *(
                self._resolve_source(number, source, urls, app.spec.project)
                for number, source in enumerate(sources)
            ),
            return_exceptions=True,
        )
        resolved: list[ResolvedSource] = []
        conditions: list[Condition] = []
        for number, result in enumerate(results):
            if isinstance(result, ResolvedSource):
                resolved.append(result)
                if result.stale:
                    conditions.append(Condition(STALE, result.stale, Severity.WARNING))
            elif isinstance(result, DriftdError):
                place = f"source {number + 1}: " if len(sources) > 1 else ""
                if result.reason == "UnknownRevision":
                    place += app.lead("targetRevision")  # the file to mend
                conditions.append(Condition("ComparisonError", f"{place}{result.message}"))
            elif isinstance(result, BaseException):
                raise result
        return Resolution(tuple(resolved), tuple(conditions))

    async def repository(
        self, repo_url: str, all_urls: Iterable[str], project: str = ""
    ) -> Repository:
        """The repository that a repoURL is read from, for a project. Raises `SourceError`."""
        binding = self.table.bind(repo_url, all_urls)
        if binding.note:
            self._notes[binding.note] = None
        if binding.path:
            if binding.path not in self._local:
                self._local[binding.path] = GitRepository.open(binding.path)
            return self._local[binding.path]
        key = (identity(repo_url), project)
        if key not in self._remote:
            assert self._mirror is not None  # noqa: S101 - the table says remote only with it
            self._remote[key] = self._mirror(repo_url, project)
            self._written.add(repo_url)
        return self._remote[key]

    async def named(
        self, source: ResolvedSource, all_urls: Iterable[str]
    ) -> tuple[Repository, AnnotatedTag | None]:
        """The repository of a source, and the annotated tag that its revision names, if it does.

        Raises `SourceError`.
        """
        repository = await self.repository(source.repo_url, all_urls)
        revision = source.tag or source.source.target_revision or "HEAD"
        if self.follows(repository, revision):
            revision = self._head
        return repository, await repository.annotated_tag(revision)

    async def _resolve_source(
        self, index: int, source: ApplicationSource, urls: frozenset[str], project: str
    ) -> ResolvedSource:
        tag = ""
        if is_remote_chart(source):
            reading = await self._chart(source, project)
        else:
            reading, tag = await self._files(source, urls, project)
        tree = reading.tree
        if self._charts is not None and not (source.ref and not source.path and not source.chart):
            tree = await self._charts.complete(tree, source, project)
            tree = await with_charts(tree, source, project, self._charts)
        return ResolvedSource(
            source=source,
            tree=tree,
            revision=reading.revision,
            repo_url=source.repo_url,
            index=index,
            tag=tag,
            stale=reading.stale,
            git_tree="" if is_remote_chart(source) else reading.tree.git or reading.tree.id,
        )

    async def _chart(self, source: ApplicationSource, project: str) -> Reading:
        if self._charts is None:
            chart = source.chart or source.path or "an OCI artifact"
            raise SourceError(
                f"chart {printable(chart)} of {printable(source.repo_url)} is not fetched here",
                hint="vendor the chart into the Git repository",
                reason="UnsupportedSource",
            )
        return Reading(*await self._charts.read(source, project))

    async def _files(
        self, source: ApplicationSource, urls: frozenset[str], project: str
    ) -> tuple[Reading, str]:
        """What a source reads, and the tag that it means by a range."""
        if not source.repo_url:
            raise SourceError("the source has no repoURL", hint="set spec.source.repoURL")
        repository = await self.repository(source.repo_url, urls, project)
        tag = await self._ranges.revision(repository, source, project) if self._ranges else ""
        wanted = tag or source.target_revision or "HEAD"
        reading = await self._read(repository, wanted)
        if repository is self._primary and not self.follows(repository, wanted):
            self._note_pinned(wanted, reading)
        return reading, tag

    def _note_pinned(self, wanted: str, reading: Reading) -> None:
        """Say that a flag does not reach a source that pins its own revision."""
        if self._followers is not None:
            return  # a preview says itself which applications it does not reach
        if self._worktree and not reading.revision.endswith("-dirty"):
            flag = "--worktree reads the branch that is checked out"
        elif self._head != "HEAD":
            flag = f"--revision {self._head} stands for HEAD alone"
        else:
            return
        self._notes[f"sources with targetRevision {wanted} are read at that revision: {flag}"] = (
            None
        )

    async def _note_branch(self, repository: GitRepository) -> None:
        """Say that HEAD is not what a cluster follows that follows the default branch."""
        branch, usual = await repository.branch(), await repository.default_branch()
        if self._followers is None and usual and branch != usual:
            here = f"branch {printable(branch)}" if branch else "no branch (detached)"
            self._notes[
                f"HEAD of {repository.name} is {here}, not {printable(usual)}: sources with "
                f"targetRevision HEAD are read from it; --revision {printable(usual)} reads that"
            ] = None

    async def _read(self, repository: Repository, revision: str) -> Reading:
        """One revision of one repository; concurrent callers share the work."""
        if self.follows(repository, revision):
            revision = self._head
        # Projects that log in differently have different repositories of one name.
        key = (repository, revision)
        if key not in self._readings:
            self._readings[key] = asyncio.create_task(self._read_now(repository, revision))
        return await asyncio.shield(self._readings[key])

    async def _read_now(self, repository: Repository, revision: str) -> Reading:
        reading = await self._read_own(repository, revision)
        if self.bases is None:
            return reading
        tree, problems = await self.bases.added(reading.tree)
        self._notes.update(dict.fromkeys(problems))
        return msgspec.structs.replace(reading, tree=tree)

    async def _read_own(self, repository: Repository, revision: str) -> Reading:
        if isinstance(repository, GitRepository) and not repository.bare:
            if self._worktree and revision in {"HEAD", await repository.branch()}:
                return Reading(*await repository.work_tree())
            if revision == "HEAD":
                if not self._worktree and await repository.uncommitted(self._beside):
                    self._notes[
                        f"uncommitted files in {repository.name} are ignored; --worktree reads them"
                    ] = None
                await self._note_branch(repository)
        tree, sha, stale = await self._last.read(repository, revision)
        return Reading(tree, sha, stale=stale)


def notes_as_conditions(notes: Iterable[str]) -> tuple[Condition, ...]:
    """Notes for a report, as conditions that matter to no verdict."""
    return tuple(Condition("RepositoryNote", note, Severity.INFO) for note in notes)
