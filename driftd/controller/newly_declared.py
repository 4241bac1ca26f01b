"""Missing objects that may be a commit which is not deployed yet, as far as Git's history tells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import UNSET

from driftd.controller.declared import Declared
from driftd.controller.unsynced import hub_tells
from driftd.controller.workspace import Progress, Workspace
from driftd.errors import SourceError
from driftd.model.counts import counted
from driftd.model.gitobject import Addition
from driftd.model.report import ApplicationReport, ReportOrigin, ResourceReport, ResourceStatus
from driftd.source.git import GitRepository
from driftd.source.objects import is_object_id

_COMMITS: Final = 50
"""Newest commits that are looked at."""
_NAMED: Final = 3
_SHORT: Final = 8

Place = tuple[str, str]
"""A repository's URL and a revision."""


class NewlyDeclared(NamedTuple):
    """A Missing object, and the commit that added its file."""

    resource: ResourceReport
    commit: Addition


async def note_newly_declared(
    workspace: Workspace,
    declared: Declared,
    reports: Iterable[ApplicationReport],
    progress: Progress,
) -> None:
    """Say which Missing objects may wait for a sync, where nothing tells what was synced last."""
    if workspace.hub is not None or workspace.memory is not None:
        return
    known: dict[Place, Sequence[Addition]] = {}
    deployers: set[str] = set()
    found: list[NewlyDeclared] = []
    for report in reports:
        for place in {_place(one) for one in _missing(report)}:
            if place not in known:
                known[place] = await _additions(workspace, declared, place)
        added = newly_declared(report, known)
        if added:
            found += added
            deployers |= set(report.deployers)
    if found:
        progress(f"note: {_told(found, hub=hub_tells(deployers))}")


async def commit_of(
    workspace: Workspace, declared: Declared, report: ApplicationReport, resource: ResourceReport
) -> str:
    """The commit that brought a Missing object into Git, if it may wait for a sync; else empty."""
    if resource.status is not ResourceStatus.MISSING:
        return ""
    place = _place(resource)
    history = {place: await _additions(workspace, declared, place)}
    found = newly_declared(report, history)
    return next((_named(one.commit) for one in found if one.resource.key == resource.key), "")


def newly_declared(
    report: ApplicationReport, history: Mapping[Place, Sequence[Addition]]
) -> Iterator[NewlyDeclared]:
    """The Missing objects of an application whose commit has left no trace in the cluster.

    Where an object is there whose file came with the same commit or a later one, that commit was
    deployed: then somebody deleted what is Missing. `history` has the newest commits first.
    """
    if not report.deployers:
        return  # nothing of it was ever deployed, as far as the cluster shows
    added = {
        place: {file: number for number, one in reversed([*enumerate(of)]) for file in one.files}
        for place, of in history.items()
    }
    newest: dict[Place, int] = {}
    for one in report.resources:
        number = added.get(_place(one), {}).get(_file(one))
        if number is not None and one.evidence.uid is not UNSET:
            newest[_place(one)] = min(number, newest.get(_place(one), number))
    for one in _missing(report):
        place = _place(one)
        number = added.get(place, {}).get(_file(one))
        if number is not None and number < newest.get(place, number + 1):
            yield NewlyDeclared(one, history[place][number])


def _missing(report: ApplicationReport) -> Iterator[ResourceReport]:
    for one in report.resources:
        # Of what an audit log says who deleted it, the cause is known.
        if one.status is ResourceStatus.MISSING and one.is_drift and not one.attribution:
            yield one


def _place(resource: ResourceReport) -> Place:
    origin, revision = resource.origin, resource.evidence.revision
    url = origin.repo_url if isinstance(origin, ReportOrigin) else UNSET
    return ("" if url is UNSET else url, "" if revision is UNSET else revision)


def _file(resource: ResourceReport) -> str:
    return resource.origin.file if isinstance(resource.origin, ReportOrigin) else ""


async def _additions(workspace: Workspace, declared: Declared, place: Place) -> Sequence[Addition]:
    """What the newest commits of a repository on this machine added; empty where not known."""
    url, revision = place
    if not url or not is_object_id(revision):
        return ()
    try:
        repository = await workspace.repositories.repository(url, declared.urls)
        if not isinstance(repository, GitRepository):
            return ()
        return await repository.additions(revision, _COMMITS)
    except SourceError:
        return ()


def _told(found: Sequence[NewlyDeclared], *, hub: bool) -> str:
    objects = [f"{one.resource.kind} {one.resource.name}" for one in found]
    more = f" and {len(objects) - _NAMED} more" if len(objects) > _NAMED else ""
    commits = dict.fromkeys(_named(one.commit) for one in found)
    it = "it" if len(objects) == 1 else "they"
    named = f"{', '.join(objects[:_NAMED])}{more}"
    tells = "--hub CONTEXT tells" if hub else "a --state FILE kept since before tells"
    return (
        f"{counted(len(objects), 'Missing object')} ({named}) came into Git with "
        f"{', '.join([*commits][:_NAMED])}, and nothing of the application that came with it or "
        f"later is there: {it} may not be synced yet; {tells} that (Pending) from drift"
    )


def _named(commit: Addition) -> str:
    return f"{commit.commit[:_SHORT]} of {commit.date}"
