"""The two sides of a preview: the revision with the change, and the base that it is compared with.

The base is the merge base: what the other branch has got meanwhile is no part of the change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from driftd.controller.declared import Entry
from driftd.controller.options import CheckOptions
from driftd.controller.workspace import Progress, Workspace
from driftd.errors import ConfigError, DriftdError
from driftd.model.counts import counted
from driftd.model.preview import PreviewRevision
from driftd.model.tree import ResolvedSource
from driftd.source.git import GitRepository, is_expression
from driftd.source.revision import short_name

WORK_TREE = "work tree"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One revision, and a workspace in which the checkout's `HEAD` means it."""

    revision: PreviewRevision
    workspace: Workspace

    async def sources(self, entry: Entry | None, urls: frozenset[str]) -> Sequence[ResolvedSource]:
        """The sources of an application of this side; none where there is no such, or it fails."""
        if entry is None:
            return ()
        try:
            return (await self.workspace.repositories.resolve(entry.application, urls)).sources
        except DriftdError:
            return ()


async def choose_sides(
    workspace: Workspace, options: CheckOptions, against: str | None, progress: Progress
) -> tuple[Side, Side]:
    """The base and the change. Each choice that was not given is told.

    `against` names what is merged into; None for the default branch of the remote.

    Raises ConfigError if there is no checkout or no such branch, and SourceError for
    revisions that do not exist.
    """
    repository = workspace.repositories.primary
    if repository is None:
        raise ConfigError(
            "a preview compares two revisions of a checkout, and there is none",
            hint="run it inside a checkout, or give one with --repo PATH",
        )
    default = await repository.default_branch()
    target = against or default
    if not target:
        raise ConfigError(
            "which branch the change is merged into is not known: the checkout has no origin/HEAD",
            hint="name it with --against, for example --against main",
        )
    if not against:
        progress(f"note: compared against {target}, the default branch of origin; --against "
                 "names another")  # fmt: skip
    name = options.revision or "HEAD"
    tip = await repository.ancestor(name)
    for flag, given in (("--revision", name), ("--against", target)):
        if told := await _shadowed(repository, flag, given):
            progress(f"note: {told}")
    base = await _base(repository, tip, target, progress)
    branch = short_name(target).removeprefix("origin/")
    if not await repository.is_branch(branch):
        branch = default
    followers = frozenset({branch} - {""})
    before = workspace.repositories.at(base, followers=followers)
    head = tip if is_expression(name) else name
    after = workspace.repositories.at(head, worktree=options.worktree, followers=followers)
    commit, shown = tip, name
    if options.worktree:
        commit, shown = (await after.homes())[0][0].revision, WORK_TREE
    elif name == "HEAD":
        shown = await repository.branch() or name
    return (
        Side(
            revision=PreviewRevision(name=short_name(target), commit=base),
            workspace=replace(workspace, repositories=before),
        ),
        Side(
            revision=PreviewRevision(name=short_name(shown), commit=commit),
            workspace=replace(workspace, repositories=after),
        ),
    )


async def _shadowed(repository: GitRepository, flag: str, name: str) -> str:
    """What a local branch has that is not taken, since origin's branch of its name counts.

    Applications that name a branch are read as Argo CD and Flux read them: from the remote.
    """
    found = None if is_expression(name) else await repository.shadowed(name)
    more = await repository.ahead(*found) if found else 0
    if not found or not more:
        return ""
    return (
        f"{name} is origin/{name} ({found[0][:8]}); the local branch {name} ({found[1][:8]}) has "
        f"{counted(more, 'commit')} more, not counted here: push, or take it with "
        f"{flag} refs/heads/{name}"
    )


async def _base(repository: GitRepository, tip: str, target: str, progress: Progress) -> str:
    """Where the change left the branch that it is merged into."""
    other = await repository.ancestor(target)
    base = await repository.merge_base(tip, other)
    if not base:
        progress(
            f"note: no common commit with {target} is known (a shallow clone?), so its tip is the "
            "base: what it has got meanwhile shows as undone; fetch the whole history"
        )
        return other
    if base != other:
        count = await repository.ahead(base, other)
        commits = counted(count, "commit")
        progress(
            f"note: {target} has {commits} that the change does not have; the base is where they "
            f"parted, {base[:8]}"
        )
    return base
