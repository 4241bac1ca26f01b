"""Of what an engine is asked, and what is told where it would not help."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest

from driftd.controller.asking import ASKED, HELPED, Asking
from driftd.controller.declared import Entry
from driftd.model.application import Application, ApplicationSpec, Destination, SyncPolicy
from driftd.model.flux import FluxSpec
from driftd.model.report import ChangeClass, ChangeKind, ResourceStatus
from driftd.model.resource import ResourceKey
from driftd.settings.healing import Grace, Healing, HealingRule
from driftd.settings.quantity import Duration
from driftd.store.types import NO_NOTICES, HistoryEntry, Transition
from driftd.telemetry.metrics import Metrics
from tests.unit.reports import START, change, report, resource

ARGO, NONE = "argocd-controller", Duration("0s")
EDITED = change("/spec/replicas", desired=3, live=5, manager="alice")
ADDED = change(
    "/spec/paused",
    kind=ChangeKind.ADDED,
    change_class=ChangeClass.UNDECLARED,
    live=True,
    manager="kubectl-edit",
)
SILENT = "Git is silent about what was added"
BY_HAND = "edit the live object, or declare it in Git"
LEFT = f"{SILENT}, and a sync leaves that: {BY_HAND}"
FORCED = (
    "Deployment.apps shop/web: Flux is not asked: spec.driftDetection.mode is not enabled, so only "
    "flux reconcile helmrelease shop -n argocd --force puts back only what Git declares"
)
KUSTOMIZATION = FluxSpec(kind="Kustomization", object_name="shop", render={})
RELEASE = FluxSpec(kind="HelmRelease", object_name="shop", render={}, corrects_drift=False)


class History:
    """A store that remembers nothing."""

    async def history(self, _name: str, _limit: int) -> list[HistoryEntry]:
        """See `driftd.store.protocol.Store`."""
        return []


class Bench:
    """What an engine is asked for, look by look."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        none = Grace(critical=NONE, high=NONE, medium=NONE, low=NONE, info=NONE)
        store: Any = History()
        self.asking = Asking(
            settings=Healing(rules=(HealingRule(applications=("*",), ask=True),), grace=none),
            store=store,
            metrics=Metrics("0"),
            ask=self._ask,
        )

    async def look(self, *found: Any, deployers: Any = (ARGO,), **of: Any) -> tuple[Any, Any]:
        """What one look puts into the history, and what it tells."""
        spec = ApplicationSpec(sync_policy=SyncPolicy(sync_options=of.pop("options", ())))
        app = Application(name="shop", namespace="argocd", spec=spec, **of)
        entry = Entry(application=app, project=None, target=None, destination=Destination())
        seen = report(*found, deployers=deployers)
        events, notices = await self.asking.after(entry, seen, START, NO_NOTICES)
        assert (Transition.HEAL_REFUSED in notices.judged) == bool(notices.standing)
        return [one.kind for one in events], [one.text for one in notices.standing]

    async def _ask(
        self, _entry: Entry, objects: Sequence[ResourceKey], _now: datetime, _stuck: bool
    ) -> str:
        self.asked.append([str(one) for one in objects])
        return ""


@pytest.fixture
def bench() -> Bench:
    """An engine that takes every request."""
    return Bench()


async def test_only_what_a_sync_puts_back_is_asked_for(bench: Bench) -> None:
    """Additions alone are no reason for a sync, which leaves them: that is told, and once."""
    web, other = resource("web", ADDED), resource("other", ADDED)
    told = f"Deployment.apps shop/web: Argo CD is not asked: {LEFT}"
    assert await bench.look(web) == ([], [told])
    more = f"Deployment.apps shop/web and 1 more object: Argo CD is not asked: {LEFT}"
    assert await bench.look(web, other) == ([], [more])
    assert bench.asked == []
    assert await bench.look(resource("api", EDITED), web) == ([ASKED], [told])
    assert bench.asked == [["Deployment.apps shop/api"]]
    assert await bench.look() == ([HELPED], [])


async def test_what_is_left_is_no_other_news_with_another_object(bench: Bench) -> None:
    """The notice keeps its key, so that each further addition is not told a second time."""
    entries = [[resource("web", ADDED)], [resource("web", ADDED), resource("api", ADDED)]]
    app = Application(name="shop", namespace="argocd", spec=ApplicationSpec())
    entry = Entry(application=app, project=None, target=None, destination=Destination())
    keys = set()
    for found in entries:
        seen = report(*found, deployers=(ARGO,))
        _, notices = await bench.asking.after(entry, seen, START, NO_NOTICES)
        keys |= {one.key for one in notices.standing}
    assert len(keys) == 1


@pytest.mark.parametrize(
    ("of", "text"),
    [
        ({"options": ("Replace=true",)}, ""),
        ({"flux": KUSTOMIZATION}, ""),
        ({"deployers": ("helm",)}, None),
        (
            {"flux": RELEASE},
            FORCED,
        ),
    ],
)
async def test_what_engines_remove(bench: Bench, of: dict[str, Any], text: str | None) -> None:
    """A sync that replaces, and Flux of what kubectl added, are worth asking; a release that
    corrects no drift is not, and where no engine is known to be at work nothing is told of one.
    """
    events, told = await bench.look(resource("web", ADDED), **of)
    assert (events, told) == (([], [text]) if text else ([ASKED] if text == "" else [], []))


async def test_a_release_that_corrects_nothing_is_not_asked_for_missing_objects(
    bench: Bench,
) -> None:
    """Flux creates them only with a forced upgrade."""
    gone = resource("web", status=ResourceStatus.MISSING)
    assert (await bench.look(gone))[0] == [ASKED]
    events, (text,) = await Bench().look(gone, flux=RELEASE)
    assert (events, "--force" in text) == ([], True)
