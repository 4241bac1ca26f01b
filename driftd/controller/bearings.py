"""Where applications were looked for and found, and where to go if those are not the right ones."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from driftd.cluster.destinations import other_kubeconfig_flags
from driftd.cluster.kubeconfig import OTHER_FILE
from driftd.controller.workspace import Workspace
from driftd.errors import SourceError
from driftd.model.application import Application
from driftd.model.choices import listed
from driftd.model.condition import Condition, Severity
from driftd.model.counts import counted
from driftd.model.report import ApplicationReport, ApplicationStatus, ResourceStatus

NEXT_STEPS = (
    "cd to the repository that declares your applications, name it with --repo PATH, "
    "or read live ones with --hub CONTEXT"
)
NOTHING_JUDGED = "NoApplicationJudged"
_PLACES = 3
"""Files, folders and sets that are told as the places of applications."""
_MANIFESTS = (".yaml", ".yml", ".json")
_UNSEEN = {ResourceStatus.UNKNOWN, ResourceStatus.NOT_CHECKED}
_GENERATED = re.compile(r"Application(Set)? \S+")
"""The origin of what a set generates, or an Application renders."""


async def none_declared(workspace: Workspace, empty: Sequence[Condition] = ()) -> SourceError:
    """The error where nothing declares an application: what was looked for, where, and what now.

    `empty` tell of the sets that are there and generate none.
    """
    if empty:
        return SourceError(
            f"no application is declared: {'; '.join(one.message for one in empty)}",
            hint=f"correct its generators, or {NEXT_STEPS}",
        )
    if workspace.hub is not None:
        return SourceError(
            f"the hub {workspace.hub.name} has no Application of Argo CD, and no Kustomization or "
            "HelmRelease of Flux",
            hint="name the cluster that Argo CD runs in with --hub CONTEXT, or leave --hub out to "
            "read the repository",
        )
    readings, _ = await workspace.repositories.homes()
    files = sum(path.endswith(_MANIFESTS) for reading in readings for path in reading.tree.files)
    primary = workspace.repositories.primary
    where = f" in {primary.path}" if primary else ""
    # Files that nobody has committed yet are the likeliest reason, and their note comes too late.
    looked = "; ".join((_looked_through(files), *workspace.repositories.notes))
    return SourceError(
        f"no Argo CD Application is declared{where}, no ApplicationSet, and no Kustomization or "
        f"HelmRelease of Flux ({looked})",
        hint=NEXT_STEPS,
    )


def _looked_through(files: int) -> str:
    if not files:
        return "it has no YAML or JSON files"
    are = "was" if files == 1 else "were"
    return f"{counted(files, 'YAML or JSON file')} {are} looked through"


def nothing_judged(
    applications: Sequence[Application],
    reports: Sequence[ApplicationReport],
    contexts: Sequence[str] = (),
) -> list[Condition]:
    """A warning where nothing at all could be judged of several applications: are they the right
    ones? It names the files that declare them. Only where they look foreign, that is the question.

    `contexts` are those of the kubeconfig, if none of them is known to be any of their clusters:
    then it is more likely that of other clusters.
    """
    if len(reports) < 2 or not all(map(_is_blind, reports)):
        return []
    lead = (
        f"nothing could be judged of the {len(reports)} applications, which were found in "
        f"{found_in(applications)}"
    )
    if _lacks_kubeconfig(reports):  # which is certain, and that they are not the right ones is not
        text = f"without a usable kubeconfig {lead}: {OTHER_FILE}; if these are not yours, "
        return [Condition(NOTHING_JUDGED, text + NEXT_STEPS, Severity.WARNING)]
    text = f"{lead}; "
    named = [
        one for one in applications if one.spec.destination.server or one.spec.destination.name
    ]
    if contexts and named:
        text += f"{other_kubeconfig(applications, contexts)}; or, "
    text += f"if these are not yours, {NEXT_STEPS}"
    return [Condition(NOTHING_JUDGED, text, Severity.WARNING)]


def _lacks_kubeconfig(reports: Sequence[ApplicationReport]) -> bool:
    """Whether all share one cause, which another kubeconfig mends."""
    told = [{one.message for one in report.conditions} for report in reports]
    return any(one.endswith(OTHER_FILE) for one in set.intersection(*told))


def other_kubeconfig(applications: Iterable[Application], contexts: Sequence[str]) -> str:
    """That the kubeconfig does not look like one for these applications, and the flags."""
    destinations = (one.spec.destination for one in applications)
    wanted = [one for one in dict.fromkeys(d.server or d.name for d in destinations) if one] or [""]
    rest = f" (and {len(wanted) - 1} more)" if len(wanted) > 1 else ""
    which = (
        f"its only context {contexts[0]} is not known to be"
        if len(contexts) == 1
        else f"none of its contexts ({listed(contexts)}) is known to be"
    )
    return (
        f"this kubeconfig does not look like the one for this repository: {which} "
        f"{wanted[0]}{rest}; {other_kubeconfig_flags(wanted[0])}"
    )


def _is_blind(report: ApplicationReport) -> bool:
    statuses = {resource.status for resource in report.resources}
    return report.status is ApplicationStatus.UNKNOWN and statuses <= _UNSEEN


def found_in(applications: Iterable[Application]) -> str:
    """The files that declare applications, many of them as folders with the number of those.

    `apps (12), ApplicationSet previews (3), argocd/shop.yaml`
    """
    counts: Counter[str] = Counter()
    for application in applications:
        generated = _GENERATED.match(application.origin)
        counts[generated.group() if generated else application.origin] += 1
    files = [origin for origin in counts if not _GENERATED.match(origin)]
    places = {_place(group): sum(counts[one] for one in group) for group in _grouped(files)}
    places |= {origin: counts[origin] for origin in counts if _GENERATED.match(origin)}
    ordered = sorted(places.items(), key=lambda item: -item[1])
    alone = len(ordered) == 1
    told = [
        place if alone or (place in files and number == 1) else f"{place} ({number})"
        for place, number in ordered[:_PLACES]
    ]
    more = sum(number for _, number in ordered[_PLACES:])
    return ", ".join(told) + (f" and elsewhere ({more})" if more else "")


def _grouped(files: Iterable[str]) -> list[list[str]]:
    """Files by folder, as deep as there are no more than a few groups."""
    groups = [sorted(files)] if files else []
    while True:
        for group in sorted(groups, key=len, reverse=True):
            parts = _parts(group)
            if len(parts) > 1 and len(groups) + len(parts) - 1 <= _PLACES:
                groups.remove(group)
                groups += parts
                break
        else:
            return groups


def _parts(group: Sequence[str]) -> list[list[str]]:
    """A group by what follows the folder that its files share."""
    folder = _folder(group)
    start = len(folder) + 1 if folder else 0
    parts: dict[str, list[str]] = {}
    for file in group:
        parts.setdefault(file[start:].partition("/")[0], []).append(file)
    return list(parts.values())


def _place(group: Sequence[str]) -> str:
    return group[0] if len(group) == 1 else _folder(group) or "the top folder"


def _folder(group: Iterable[str]) -> str:
    return posixpath.commonpath([posixpath.dirname(file) for file in group])
