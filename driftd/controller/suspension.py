"""That Flux puts nothing of an application back before somebody resumes it."""

from __future__ import annotations

from typing import Final

from driftd.cluster.operations import is_suspended
from driftd.controller.check import Looked
from driftd.errors import ClusterError
from driftd.model.application import Application
from driftd.sync.engine import asking_flux

_IN_GIT: Final = "suspended in Git"
_LIVE: Final = "suspended live"


async def suspended_live(looked: Looked) -> bool:
    """Whether Flux's own object is suspended live; False where that cannot be read."""
    application = looked.desired.entry.application
    flux, view = application.flux, looked.view
    # Another cluster than the one that Flux itself runs on is known by its kubeconfig's name alone.
    at_home = flux is not None and (flux.context or application.spec.destination.server)
    if not at_home or view is None or view.problem is not None:
        return False
    try:
        return await is_suspended(view.reader, application)
    except ClusterError:
        return False


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
    """`what_comes_first` of the application that was looked at, as its live object says."""
    application = looked.desired.entry.application
    if application.flux is None:
        return ""
    return what_comes_first(application, suspended=await suspended_live(looked))
