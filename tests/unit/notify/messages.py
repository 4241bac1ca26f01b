"""Messages of every kind for tests of receivers."""

from __future__ import annotations

from typing import Any

import msgspec

from driftd.model.report import ApplicationStatus, ReportCondition, ResourceStatus
from driftd.notify.digest import Digest, digest_of
from driftd.notify.message import Message, MessageFight, MessageNotice, build
from driftd.notify.templates import Texts
from driftd.store.episodes import Before, state_change
from driftd.store.types import Transition
from tests.unit.reports import START, after, change, report, resource

HOSTILE = (
    "<!channel> <@U1> <https://evil|prod> `x` *b* \r\nBcc: a@b.c\n<b onclick=x>&amp;"
    " [l](http://e) @everyone {{ 1 }}"
)
"""What a value may hold that some channel takes for more than text."""

REPLICAS = change(
    "/spec/replicas",
    desired=3,
    live=5,
    manager="kubectl-edit",
    time="2026-03-01T11:59:00Z",
    severity="high",
    severity_reason="capacity",
)


def texts(templates: dict[str, str] | None = None, execute: Any = None) -> Texts:
    """The words of a channel, built-in ones unless templates are given."""
    return Texts("test", templates or {}, execute)


def message(*resources: Any, **fields: Any) -> Message:
    """The message of a first look."""
    found = report(*(resources or (resource("web", REPLICAS),)), **fields)
    return build(state_change(Before(), [], found, START))


def recovered(*changes: Any) -> Message:
    """The message of a look that finds all of it gone."""
    first = state_change(Before(), [], report(resource("web", *(changes or (REPLICAS,)))), START)
    look = report(resource("web"))
    return build(state_change(Before(status=first.status), first.open, look, after(60)))


def of_kind(kind: Transition) -> Message:
    """One message of each kind there is."""
    if kind is Transition.RECOVERED:
        return recovered()
    drifted = message()
    fields: dict[str, Any] = {"type": kind}
    if kind is Transition.UNKNOWN:
        why = ReportCondition(type="ComparisonError", message="cluster production: timeout")
        look = report(complete=False, conditions=(why,))
        return build(state_change(Before(), [], look, START))
    if kind is Transition.HEALED:
        return msgspec.structs.replace(recovered(), type=kind)
    if kind is Transition.FIGHTING:
        fight = MessageFight(
            group="apps",
            kind="Deployment",
            namespace="shop",
            name="web",
            path="/spec/replicas",
            changed_by="alice",
            put_back_by="argocd-controller",
            times=4,
        )
        fields["fights"] = (fight,)
    if kind in (
        Transition.RULE_TROUBLE,
        Transition.HEAL_REFUSED,
        Transition.SILENCE_EXPIRED,
        Transition.PAUSE_FORGOTTEN,
        Transition.HISTORY_REWRITTEN,
    ):
        fields |= {"notices": (MessageNotice(text=f"what {kind} says"),), "drifts": ()}
    return msgspec.structs.replace(drifted, **fields)


KINDS = [kind for kind in Transition if kind is not Transition.NONE]


def hostile() -> Message:
    """A message in which everything that a cluster can say is an attack."""
    bad = change(
        f"/metadata/annotations/{HOSTILE}",
        desired=HOSTILE,
        live=HOSTILE * 1000,
        manager=HOSTILE,
        time=HOSTILE,
        severity="critical",
        severity_reason=HOSTILE,
    )
    found = message(*(resource(f"{HOSTILE}{i}", bad, kind=HOSTILE) for i in range(12)))
    return msgspec.structs.replace(
        found,
        application=HOSTILE,
        namespace=HOSTILE,
        cluster=HOSTILE,
        project=HOSTILE,
        owner=HOSTILE,
        action=HOSTILE,
        silence=HOSTILE,
    )


def digest(count: int = 3) -> Digest:
    """A digest of so many applications, the last of which is in sync again."""
    found = [
        msgspec.structs.replace(
            message() if i < count - 1 else recovered(), id=f"msg_{i:032}", application=f"app-{i}"
        )
        for i in range(count)
    ]
    assert found[-1].status is ApplicationStatus.SYNCED
    return digest_of(found, after(60))


def example() -> Message:
    """What a message looks like in everyday life: several drifts of several kinds."""
    image = change(
        "/spec/template/spec/containers/0/image",
        desired="registry.example.com/shop/web:1.24.0",
        live="registry.example.com/shop/web:1.24.1-hotfix",
        manager="kubectl-set",
        time="2026-03-01T11:58:12Z",
        severity="critical",
        severity_reason="what runs",
        confidence="audit",
        attribution={"user": "alice@example.com"},
    )
    masked = {"masked": True}
    password = change(
        "/data/password",
        desired=masked,
        live=masked,
        manager="kubectl-edit",
        time="2026-03-01T11:40:00Z",
        severity="high",
        severity_reason="secret",
    )
    found = message(
        resource("web", image, REPLICAS),
        resource("shop-db", password, kind="Secret", group=""),
        resource("web", kind="PodDisruptionBudget", group="policy", status=ResourceStatus.MISSING),
        resource("debug", kind="Pod", group="", status=ResourceStatus.EXTRA),
        *(resource(f"worker-{i}", change("/spec/paused", live=True)) for i in range(4)),
    )
    return msgspec.structs.replace(
        found,
        owner="team-shop",
        action="driftd puts it back",
        heals_at="2026-03-01T12:02:00Z",
    )
