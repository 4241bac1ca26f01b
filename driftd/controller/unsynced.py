"""Which drift may be nothing but a commit that is not deployed yet. Pure.

Where nothing tells what was deployed last, such a commit looks like drift that the deployer wrote:
fields with the values of before, objects that Git has no more, objects that only Git has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Final

from driftd.model.application import Application
from driftd.model.report import ApplicationReport, Change, ResourceReport, ResourceStatus
from driftd.sync.engine import ENGINES

_PERSONS_TOOLS: Final = ("helm", "kubectl", "kubectl-client-side-apply")
"""Deployers by default whose name a person's command has too."""
_WITHOUT_ENGINE: Final = frozenset({*_PERSONS_TOOLS, "driftd"})
"""Deployers beside which, where they are alone, no live Application or Kustomization stands."""
_NAMED: Final = 3


def perhaps_persons(deployers: Iterable[str]) -> tuple[str, ...]:
    """Which deployers a person may be, since an engine (Argo CD, Flux) is at work beside them.

    They count as Git's hand by their names alone.
    """
    named = frozenset(deployers)
    if named.isdisjoint(ENGINES):
        return ()
    return tuple(name for name in _PERSONS_TOOLS if name in named)


def hands(deployers: Iterable[str]) -> frozenset[str]:
    """The deployers that bring commits to a cluster, without those that may be a person."""
    named = frozenset(deployers)
    return named.difference(perhaps_persons(named))


def hub_tells(deployers: Iterable[str]) -> bool:
    """Whether a look through a hub may tell what was deployed last.

    Not of what `kubectl` or Helm alone deploy: there is no live Application of it. Where nothing is
    deployed yet, nobody knows who will.
    """
    named = frozenset(deployers)
    return not named or not named <= _WITHOUT_ENGINE


def perhaps_ahead(
    application: Application,
    report: ApplicationReport,
    resource: ResourceReport,
    drift: Collection[Change],
    *,
    commit: str = "",
) -> Iterator[str]:
    """That a finding may be a newer commit, where nobody says what was deployed last.

    `commit` is the one that brought a Missing object into Git, where it may be that one.
    """
    if application.synced_revisions or application.origin.startswith("hub "):
        return
    who, sync = "nobody has synced", "sync"
    if application.flux is not None:
        who, sync = "Flux has not applied", "let Flux reconcile"
    tells = "--hub CONTEXT tells"
    if application.flux is None and not hub_tells(report.deployers):
        who, sync = "nobody has applied", "apply it"
        tells = "a --state FILE kept since before it tells"
    newer = f"a commit that {who} yet ({tells})"
    those = hands(report.deployers)
    if resource.status is ResourceStatus.MISSING:
        # Of what an audit log says who deleted it, the cause is known.
        if not resource.attribution:
            what = f"{commit}, which brought it into Git," if commit else "what declares it"
            yield f"somebody deleted it, or {what} is {newer}"
        return
    if resource.status is ResourceStatus.EXTRA:
        if resource.manager in those:
            yield (
                f"{resource.manager} created it, so Git may have dropped it in {newer}: if so, "
                f"{sync}, and delete nothing by hand"
            )
        return
    writers = sorted({str(one.manager) for one in drift if one.manager in those})
    if writers:
        part = all(one.manager in those for one in drift)
        what, nothing = ("live", "nothing") if part else ("part of live", "none of that")
        yield (
            f"{what} is as {', '.join(writers)} wrote it, so this may be {newer}: if it is, "
            f"{sync}, and keep {nothing}"
        )


def still_used(users: Collection[str]) -> str:
    """That other live objects of the application name an object; empty without any."""
    if not users:
        return ""
    ordered = sorted(users)
    more = f" and {len(ordered) - _NAMED} more" if len(ordered) > _NAMED else ""
    name, whose = ("names", "its Pods") if len(ordered) == 1 else ("name", "their Pods")
    return (
        f"do not delete it while {', '.join(ordered[:_NAMED])}{more} {name} it: {whose} may not "
        "start without it"
    )
