"""How long Git may be ahead of a cluster."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import pytest
from msgspec import UNSET

from driftd.controller.waiting import Awaited, explained, syncs_by_itself, unjudged
from driftd.diff.history import History, decode, encode
from driftd.model.application import (
    Application,
    ApplicationSpec,
    AutomatedSync,
    SyncPolicy,
)
from driftd.model.flux import FluxSpec
from driftd.model.report import ChangeClass, ResourceStatus, Waiting
from tests.unit.reports import change, resource

NOON, LATER, END = "2026-03-01T12:00:00Z", "2026-03-01T12:30:00Z", "2026-03-01T13:00:00Z"
FIELD = change("/data/colour", change_class=ChangeClass.PENDING)
DRIFT = change("/data/size")
PENDING = resource("web", FIELD, status=ResourceStatus.PENDING)
WEB = PENDING.key
ADDED = msgspec.structs.replace(
    resource("new", status=ResourceStatus.PENDING), reason="Git is ahead: the object was added"
)
DECLARED = {WEB: None, ADDED.key: None}


def application(policy: AutomatedSync | None) -> Application:
    """An application with this policy."""
    spec = ApplicationSpec(sync_policy=SyncPolicy(automated=policy))
    return Application(name="shop", namespace="argocd", spec=spec)


class Looks:
    """Looks that remember."""

    def __init__(self, deadline: float = 3600.0, *, automated: bool = True) -> None:
        self.deadline = deadline
        self.application = application(AutomatedSync() if automated else None)
        self.known: dict[Any, History] = {}

    def look(self, now: str, *found: Any, declared: Any = DECLARED) -> list[Any]:
        """What a look makes of objects; histories are new ones, as a comparison makes them."""
        histories = {one.key: History(uid="u") for one in found if one.changes}
        waited = Awaited(self.application, self.known, self.deadline)
        resources = waited.marked(found, histories, declared, now)
        self.known |= {key: decode(encode(one)) for key, one in histories.items()}
        return explained(resources)


def test_what_waits_says_since_when_and_until_when() -> None:
    """The first look that sees it counts, however many follow."""
    looks = Looks()
    for now in (NOON, LATER):
        (web, added) = looks.look(now, PENDING, ADDED)
        assert web.waiting == added.waiting == Waiting(since=NOON, until=END)
        assert web.reason == f"pending since {NOON}, drift from {END} on"
        assert added.reason == f"Git is ahead: the object was added; {web.reason}"
        assert web.changes[0].change_class is ChangeClass.PENDING


def test_past_the_deadline_it_is_drift() -> None:
    """Fields, objects that Git has added and such that it has removed."""
    looks = Looks()
    left = msgspec.structs.replace(resource("left", status=ResourceStatus.PENDING), reason="x")
    looks.look(NOON, PENDING, ADDED, left)
    web, added, extra = looks.look(END, PENDING, ADDED, left)
    why = f"Git is ahead since {NOON}, and no sync has come by {END}"
    assert [(one.change_class, one.reason) for one in web.changes] == [(ChangeClass.DECLARED, why)]
    assert (added.status, added.reason) == (ResourceStatus.MISSING, why)
    assert (extra.status, extra.reason) == (ResourceStatus.EXTRA, why)
    assert web.waiting == Waiting(since=NOON, until=END)


def test_after_a_sync_the_time_begins_anew() -> None:
    """The next commit has its own hour."""
    looks = Looks()
    looks.look(NOON, PENDING)
    looks.look(LATER, resource("web", DRIFT))
    assert looks.known[WEB].pending == ""
    (web,) = looks.look(END, PENDING)
    assert web.waiting is not UNSET
    assert web.waiting.since == END


def test_what_is_not_seen_goes_on_waiting() -> None:
    """A look that could not judge the object is no sync."""
    looks = Looks()
    looks.look(NOON, PENDING)
    looks.look(LATER, resource("web", status=ResourceStatus.UNKNOWN))
    (web,) = looks.look(END, PENDING)
    assert web.changes[0].change_class is ChangeClass.DECLARED


def test_drift_beside_it_changes_nothing() -> None:
    """An object that has drifted may wait at another field; its reason stays as it is."""
    both = resource("web", FIELD, DRIFT)
    looks = Looks()
    (web,) = looks.look(NOON, both)
    assert (web.reason, web.waiting.until) == (UNSET, END)
    (web,) = looks.look(END, both)
    assert [one.change_class for one in web.changes] == [ChangeClass.DECLARED] * 2


@pytest.mark.parametrize(("deadline", "automated"), [(3600.0, False), (0.0, True)])
def test_without_a_deadline_it_waits_for_any_time(deadline: float, automated: bool) -> None:
    """A person has to start the sync, or none is set: since when is told, and nothing more."""
    looks = Looks(deadline, automated=automated)
    for now in (NOON, "2027-03-01T12:00:00Z"):
        (web,) = looks.look(now, PENDING)
        assert web.waiting == Waiting(since=NOON)
        assert web.reason == f"pending since {NOON}"
        assert web.changes == (FIELD,)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (None, False),
        (AutomatedSync(), True),
        (AutomatedSync(enabled=True), True),
        (AutomatedSync(enabled=False), False),
    ],
)
def test_who_syncs_by_itself(policy: AutomatedSync | None, expected: bool) -> None:
    """Automated sync, unless it is switched off, and Flux."""
    assert syncs_by_itself(application(policy)) is expected
    flux = FluxSpec(kind="Kustomization", object_name="shop", render={})
    assert syncs_by_itself(msgspec.structs.replace(application(policy), flux=flux))


@pytest.mark.parametrize(
    ("origin", "synced", "unrendered", "told"),
    [
        ("hub one", (), False, "names no revision that was synced"),
        ("hub one", ("a", "b"), True, "names 2 revision(s) of 0 sources"),
        ("hub one", ("a",), False, ""),
        ("argocd/shop.yaml", (), False, ""),
    ],
)
def test_where_pending_cannot_be_judged_it_is_told(
    origin: str, synced: tuple[str, ...], unrendered: bool, told: str
) -> None:
    """Drift by a deployer may be an unsynced commit where live status has no usable revision."""
    app = msgspec.structs.replace(application(None), origin=origin, synced_revisions=synced)
    drift = resource("web", msgspec.structs.replace(DRIFT, manager="argocd-controller"))
    deployers = frozenset({"argocd-controller"})
    found = unjudged(app, [drift], deployers, unrendered=unrendered)
    assert [told in one.message for one in found] == ([True] if told else [])
    assert unjudged(app, [resource("web", DRIFT)], frozenset(), unrendered=unrendered) == ()


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("Kustomization", "the status of the live Kustomization shop has no lastAppliedRevision"),
        ("HelmRelease", "the status of a HelmRelease names no commit"),
    ],
)
def test_of_flux_no_application_is_named(kind: Literal["Kustomization", "HelmRelease"], told: str):
    """Where it is not known what Flux applied last, that is told in Flux' words."""
    flux = FluxSpec(kind=kind, object_name="shop", render={})
    app = msgspec.structs.replace(application(None), origin="hub one", flux=flux)
    drift = resource("web", msgspec.structs.replace(DRIFT, manager="helm-controller"))
    [found] = unjudged(app, [drift], frozenset({"helm-controller"}), unrendered=False)
    assert found.message.endswith(f"synced yet: {told}")
