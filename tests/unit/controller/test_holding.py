"""Which drifts are told only later."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from driftd.controller.declared import Entry
from driftd.controller.holding import AUTHOR, POLL, Holding
from driftd.errors import Unreachable
from driftd.model.application import Application, ApplicationSpec, Destination
from driftd.model.report import ApplicationStatus, ResourceStatus
from driftd.store.episodes import Before, state_change
from driftd.store.types import Held
from tests.unit.reports import START, after, change, report, resource

DRIFTED = report(resource("web", change("/spec/replicas", desired=3, live=5)))
MORE = report(resource("web", change("/spec/replicas", desired=3, live=5), change("/spec/paused")))
NAME = f"{DRIFTED.namespace}/{DRIFTED.name}"
ENTRY = Entry(
    application=Application(name=DRIFTED.name, namespace=DRIFTED.namespace, spec=ApplicationSpec()),
    project=None,
    target=None,
    destination=Destination(),
)
LIMIT = timedelta(minutes=10)


class Engine:
    """An engine that says what it does, and counts who asks."""

    def __init__(self, why: str = "Argo CD syncs") -> None:
        self.why = why
        self.asked = 0
        self.broken = False

    async def read(self, _entry: Entry, _since: datetime) -> str:
        """What it does."""
        self.asked += 1
        if self.broken:
            raise Unreachable("it does not answer")
        return self.why


@pytest.fixture
def engine() -> Engine:
    """An engine that is at work."""
    return Engine()


@pytest.fixture
def holding(engine: Engine) -> Holding:
    """What holds drifts for it."""
    return Holding(limit=LIMIT, read=engine.read)


async def looked(holding: Holding, found=DRIFTED, before=None, at=START):
    """One look, recorded; what it changed."""
    hold = await holding.judged(ENTRY, found, at)
    known = before.open if before else ()
    status = before.status if before else None
    changed = state_change(Before(status=status), known, found, at, hold=hold)
    holding.recorded(changed)
    return changed


async def test_new_drift_is_held_while_the_engine_works(holding: Holding) -> None:
    """It says why, and until when at most."""
    found = await looked(holding)
    assert [one.held for one in found.open] == [Held("Argo CD syncs", after(600))]


async def test_a_look_is_due_when_the_engine_has_ended(holding: Holding, engine: Engine) -> None:
    """The engine is asked in intervals, and nobody looks before it has ended."""
    await looked(holding)
    assert await holding.due({NAME: ENTRY}, after(1)) == []
    assert engine.asked == 1
    assert await holding.due({NAME: ENTRY}, START + POLL) == []
    assert engine.asked == 2
    engine.why = ""
    assert await holding.due({NAME: ENTRY}, START + 2 * POLL) == [NAME]
    assert await holding.due({NAME: ENTRY}, START + 3 * POLL) == []
    assert engine.asked == 3


async def test_a_look_is_due_at_the_limit(holding: Holding) -> None:
    """However long the engine works."""
    await looked(holding)
    assert await holding.due({NAME: ENTRY}, START + LIMIT) == [NAME]


async def test_what_is_told_asks_nobody(holding: Holding, engine: Engine) -> None:
    """Looks that see nothing new cost no question; a further drift does."""
    engine.why = ""
    told = await looked(holding)
    assert engine.asked == 1
    told = await looked(holding, before=told, at=after(60))
    assert engine.asked == 1
    engine.why = "Argo CD syncs"
    found = await looked(holding, MORE, before=told, at=after(120))
    assert engine.asked == 2
    assert [one.held is not None for one in found.open] == [True, False]


async def test_an_engine_that_cannot_be_asked_holds_nothing(
    holding: Holding, engine: Engine
) -> None:
    """Silence would hide drift: it is told."""
    engine.broken = True
    found = await looked(holding)
    assert [one.held for one in found.open] == [None]


@pytest.mark.parametrize("held", [Holding(limit=LIMIT), Holding(limit=timedelta(0))])
async def test_nothing_is_held_where_nobody_is_asked(held: Holding) -> None:
    """Without an engine to ask, and with a limit of zero."""
    held.read = held.read if held.limit else Engine().read
    found = await looked(held)
    assert [one.held for one in found.open] == [None]


async def test_a_clean_look_asks_nobody(holding: Holding, engine: Engine) -> None:
    """What has no drift has nothing to hold."""
    await looked(holding, report(resource("web")))
    assert engine.asked == 0


async def test_applications_that_are_gone_are_forgotten(holding: Holding) -> None:
    """Nobody looks at what Git declares no longer."""
    await looked(holding)
    assert await holding.due({}, START + LIMIT) == []
    await looked(holding)
    holding.only([])
    assert await holding.due({NAME: ENTRY}, START + LIMIT) == []


NEW = report(resource("web", change("/spec/replicas", time="2026-03-01T11:59:30Z")))
OLD = report(resource("web", change("/spec/replicas", time="2026-03-01T11:00:00Z")))
NAMED = report(
    resource(
        "web",
        change(
            "/spec/replicas", time="2026-03-01T11:59:30Z", attribution={"user": "alice@example.com"}
        ),
    )
)


@pytest.mark.parametrize(
    ("found", "posts", "held"),
    [(NEW, True, True), (NEW, False, False), (OLD, True, False), (NAMED, True, False)],
)
async def test_a_new_drift_waits_for_its_author(found, posts: bool, held: bool) -> None:
    """Where API servers post, and for seconds; not for what is old, or named already."""
    holding = Holding(limit=LIMIT, wait=timedelta(seconds=5), expected=lambda _cluster, _now: posts)
    changed = await looked(holding, found)
    wanted = Held(AUTHOR, after(5)) if held else None
    assert [one.held for one in changed.open] == [wanted]
    assert await holding.due({NAME: ENTRY}, after(4)) == []
    assert await holding.due({NAME: ENTRY}, after(5)) == ([NAME] if held else [])


async def test_an_object_that_is_gone_waits_for_its_author() -> None:
    """It has no time; whether it is new the look before tells."""
    holding = Holding(limit=LIMIT, wait=timedelta(seconds=5), expected=lambda _cluster, _now: True)
    gone = report(resource("web", status=ResourceStatus.MISSING))
    hold = await holding.judged(ENTRY, gone, START)
    first = state_change(Before(), [], gone, START, hold=hold)
    assert first.open[0].held is None
    later = state_change(
        Before(status=ApplicationStatus.SYNCED, observed_at=after(-60)), [], gone, START, hold=hold
    )
    assert later.open[0].held == Held(AUTHOR, after(5))
