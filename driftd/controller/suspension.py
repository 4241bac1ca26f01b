"""That Flux puts nothing of an application back before somebody resumes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from driftd.cluster.operations import is_suspended
from driftd.cluster.reader import ClusterReader
from driftd.controller.check import Looked
from driftd.controller.live_uses import with_live_edits
from driftd.controller.observed import ClusterView
from driftd.errors import ClusterError
from driftd.model.application import Application
from driftd.model.condition import Condition, Severity
from driftd.sync.engine import asking_flux, before_asking_flux

_IN_GIT: Final = "suspended in Git"
_LIVE: Final = "suspended live"


async def suspended_live(looked: Looked) -> bool:
    """Whether Flux's own object is suspended live; False where that cannot be read."""
    return await _is_suspended(_home(looked), looked.desired.entry.application)


async def _is_suspended(reader: ClusterReader | None, application: Application) -> bool:
    try:
        return reader is not None and await is_suspended(reader, application)
    except ClusterError:
        return False


async def merged_in_vain(application: Application, view: ClusterView | None) -> Iterator[Condition]:
    """That merging changes nothing on the cluster, for Flux is suspended for an application.

    `application` is as the change declares it.
    """
    suspended = await _is_suspended(_reader(application, view), application)
    where = _where(application, suspended=suspended)
    until = "while Git says spec.suspend" if where == _IN_GIT else "before it is resumed"
    text = f"{_named(application)} is {where}: merging changes nothing on the cluster {until}"
    return iter([Condition("Suspended", text, Severity.WARNING)] if where else ())


async def as_live(looked: Looked) -> Application:
    """The application of a look with what was edited beside Git of its live objects.

    As it is where these are known, or cannot be read: a look at a checkout alone renders Git.
    """
    application, reader = looked.desired.entry.application, _home(looked)
    flux = application.flux
    if flux is None or flux.edited or reader is None or application.origin.startswith("hub "):
        return application
    try:
        return await with_live_edits(reader, application)
    except ClusterError:
        return application


def _home(looked: Looked) -> ClusterReader | None:
    """The cluster that Flux's own object of an application is on, if it can be asked."""
    return _reader(looked.desired.entry.application, looked.view)


def _reader(application: Application, view: ClusterView | None) -> ClusterReader | None:
    flux = application.flux
    # Another cluster than the one that Flux itself runs on is known by its kubeconfig's name alone.
    at_home = flux is not None and (flux.context or application.spec.destination.server)
    if not at_home or view is None or view.problem is not None:
        return None
    return view.reader


def suspension(application: Application, *, suspended: bool) -> str:
    """That Flux reconciles nothing of an application; empty if it does, or has no part in it.

    `suspended` says whether the live object is, whatever Git says.
    """
    where = _where(application, suspended=suspended)
    until = "while Git says spec.suspend" if where == _IN_GIT else "before it is resumed"
    return f"{_named(application)} is {where}: Flux puts nothing back {until}" if where else ""


def _where(application: Application, *, suspended: bool) -> str:
    flux = application.flux
    if flux is None:
        return ""
    told = any(one.type == "Suspended" for one in flux.conditions)
    if told and not application.origin.startswith("hub "):
        return _IN_GIT
    return _LIVE if told or suspended else ""


def _named(application: Application) -> str:
    flux = application.flux
    return f"{flux.kind} {application.namespace}/{flux.object_name}" if flux else ""


def what_comes_first(application: Application, *, suspended: bool) -> str:
    """Where Flux is suspended for an application, and how that ends; empty if it is not.

    `suspended` is as for `suspension`.
    """
    where = _where(application, suspended=suspended)
    if not where:
        return ""
    resume = asking_flux(application, suspended=True)
    first = "taking spec.suspend out of Git" if where == _IN_GIT else resume
    return f"{_named(application)} is {where}; {first} comes first"


async def halted(looked: Looked) -> str:
    """What comes first before Flux puts things back, as the live object of a look says.

    It is resumed, or put back itself where it was edited.
    """
    application = looked.desired.entry.application
    if application.flux is None:
        return ""
    paused = what_comes_first(application, suspended=await suspended_live(looked))
    return paused or before_asking_flux(await as_live(looked))
