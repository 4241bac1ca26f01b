"""`driftd episodes` and `driftd history` over a real store."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest
import yaml

from driftd.cli import episodes as printed
from driftd.model.report import ResourceStatus
from driftd.model.resource import ResourceKey
from driftd.store.episodes import Before, state_change
from driftd.store.guards import GuardStore
from driftd.store.sql import SqlStore
from driftd.store.types import Ending, Episode, GuardMemory, Held, HistoryEntry, Recovery
from driftd.sync.situation import GuardState
from driftd.sync.situation import Held as Held_
from tests.unit.reports import START, after, change, report, resource

pytestmark = pytest.mark.slow

REPLICAS = change(
    "/spec/replicas",
    ssa_path="f:spec/f:replicas",
    desired=3,
    live=5,
    manager="kubectl-edit",
    time="2026-03-01T12:00:58Z",
    confidence="exact",
    severity="medium",
)
SECRET = change(
    "/data/password",
    desired={"masked": True},
    live={"masked": True},
    manager="kubectl-patch",
    severity="high",
)
GONE = resource("gone", status=ResourceStatus.MISSING)


@pytest.fixture
def dsn(tmp_path):
    """A store with a fight, a healed drift, a missing object and a secret that changed."""
    dsn = f"sqlite:///{tmp_path}/driftd.db"

    async def fill():
        store = await SqlStore.open(dsn)
        looks = [report(resource("web")), report(resource("web", REPLICAS))]
        for number in range(8):
            await store.record(
                looks[number % 2],
                after(60 * number),
                lambda _change: (),
                ending=lambda _drift: Ending(Recovery.SYNCED, "argocd-controller"),
            )
        sync = HistoryEntry(
            "argocd/shop",
            after(500),
            "sync",
            {"object": "Deployment shop/web", "outcome": "applied", "message": "", "remains": []},
        )
        await store.record(
            report(resource("web"), GONE),
            after(500),
            lambda _change: (),
            events=[sync],
            ending=lambda _drift: Ending(Recovery.HEALED, "driftd"),
        )
        vault = msgspec.structs.replace(
            report(resource("token", SECRET, kind="Secret", group=""), name="vault"),
            cluster="staging",
        )
        await store.record(vault, after(600), lambda _change: ())
        await store.close()

    asyncio.run(fill())
    return dsn


@pytest.fixture(autouse=True)
def _now(monkeypatch):
    """It is ten minutes after one."""

    class Moment(type(START)):
        @classmethod
        def now(cls, tz=None):
            return after(4200)

    monkeypatch.setattr("driftd.cli.commands.remembered.datetime", Moment)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("episodes.txt", ["episodes"]),
        ("episodes-wide.txt", ["episodes", "-o", "wide"]),
        ("episodes-one.txt", ["episodes", "shop", "deployment/web", "/spec/replicas", "--closed"]),
        ("history.txt", ["history", "shop"]),
    ],
)
def test_what_a_person_reads(driftd, golden, dsn, name, arguments):
    """The tables are as they are written down."""
    result = driftd(*arguments, "--store", dsn)
    assert result.exit_code == 0, result.stderr
    golden.check(name, result.stdout)


def test_documents_for_programs(driftd, dsn):
    """JSON and YAML have the same items, values masked, onset and ending named."""
    found = json.loads(driftd("episodes", "--store", dsn, "-o", "json").stdout)
    assert (found["apiVersion"], found["kind"]) == ("driftd.io/v1", "EpisodeList")
    assert yaml.safe_load(driftd("episodes", "--store", dsn, "-o", "yaml").stdout) == found
    assert len(found["items"]) == 6
    (secret,) = [one for one in found["items"] if one["kind"] == "Secret"]
    assert secret["change"]["live"] == {"masked": True}
    fights = [one for one in found["items"] if one["fight"]]
    assert [one["ended"] for one in fights] == ["healed"]
    assert fights[0]["endedBy"] == "driftd"
    assert found["timeToRecover"]["count"] == 4
    assert found["timeToDetect"]["count"] == 1
    history = json.loads(driftd("history", "argocd/shop", "--store", dsn, "-o", "json").stdout)
    assert history["kind"] == "HistoryList"
    assert {"fighting", "sync", "drifted", "recovered"} <= {one["kind"] for one in history["items"]}


def test_choices(driftd, dsn):
    """Open or closed, since, and at most so many, which is said."""

    def count(*arguments):
        found = driftd("episodes", "--store", dsn, "-o", "json", *arguments)
        return len(json.loads(found.stdout)["items"])

    assert (count("--open"), count("--closed")) == (2, 4)
    assert count("--since", "3710s") == 3
    limited = driftd("episodes", "--store", dsn, "--limit", "1")
    assert "note: the first 1; --limit shows more" in limited.stderr
    nothing = driftd("history", "shop", "--store", dsn, "--since", "1m")
    assert nothing.stdout == "nothing has happened\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["episodes", "--open", "--closed"], "exclude each other"),
        (["episodes", "shop", "web"], "write KIND/NAME, such as Deployment/web"),
        (["history", "shpo"], "did you mean shop?"),
    ],
)
def test_mistakes_are_named(driftd, dsn, arguments, text):
    """Each with what to write instead."""
    result = driftd(*arguments, "--store", dsn)
    assert result.exit_code == 2
    assert text in result.stderr


def test_the_store_of_the_settings_file(driftd, dsn, tmp_path):
    """Without --store the daemon's settings name it; a file that is not there is no new store."""
    settings = tmp_path / "driftd.yaml"
    settings.write_text(json.dumps({"store": {"dsn": dsn}}))
    assert "6 drifts" in driftd("episodes", "--config", str(settings)).stdout
    settings.write_text(json.dumps({"store": {"dsn": f"{dsn}.none"}}))
    result = driftd("episodes", "--config", str(settings))
    assert result.exit_code == 2
    assert "there is no store" in result.stderr


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0s"),
        (0.42, "0.4s"),
        (59.9, "59s"),
        (252, "4m12s"),
        (11_100, "3h05m"),
        (432_000, "5d"),
    ],
)
def test_durations(seconds, text):
    """As a person says them."""
    assert printed.seconds_text(seconds) == text


def test_a_long_drift_takes_two_lines_below_its_times():
    """Place, then values and author, so that the table is as wide as a terminal; items by name."""
    image = change(
        "/spec/template/spec/containers/0/image",
        ssa_path='f:spec/f:template/f:spec/f:containers/k:{"name":"storefront"}/f:image',
        desired="registry.example/storefront:4.1",
        live="registry.example/storefront:4.0",
        manager="kubectl-set",
    )
    look = report(resource("storefront-web", image))
    (drift,) = state_change(Before(), [], look, START, hold=lambda _drift: None).open
    episode = Episode(application="argocd/shop", cluster="one", drift=drift)
    made = list(printed.lines([episode], after(60), wide=False, width=100))
    assert made[2:4] == [
        "  Deployment shop/storefront-web  containers[name=storefront].image",
        "    registry.example/storefront:4.1 → registry.example/storefront:4.0  by kubectl-set",
    ]
    narrow = list(printed.lines([episode], after(60), wide=False, width=80))
    assert narrow[3] == "    …efront:4.1 → …efront:4.0  by kubectl-set"
    assert (max(map(len, made)) <= 100, max(map(len, narrow)) <= 80) == (True, True)


def test_a_field_is_chosen_as_tables_write_it(driftd, dsn):
    """The readable form narrows the list as the pointer does, before the limit counts."""
    for path in ("spec.replicas", "spec", "/spec/replicas", "f:spec/f:replicas"):
        found = driftd("episodes", "shop", "deployment/web", path, f"--store={dsn}", "-o", "json")
        assert len(json.loads(found.stdout)["items"]) == 4, path
    found = driftd("episodes", "shop", "deployment/web", "spec.rep", f"--store={dsn}")
    assert found.stdout == "no drift is remembered\n"


def test_what_is_held_says_why_and_until_when():
    """A drift that nobody was told of says so in the table and in the document."""
    held = Held("Argo CD syncs", after(600))
    look = report(resource("web", change("/spec/replicas", desired=3, live=5)))
    (drift,) = state_change(Before(), [], look, START, hold=lambda _drift: held).open
    episode = Episode(application="argocd/shop", cluster="one", drift=drift)
    table = "\n".join(printed.lines([episode], after(60), wide=False))
    untold = "held: Argo CD syncs; told at 2026-03-01T12:10:00Z at the latest"
    assert f"\n  {untold}\n" in table
    assert f"open, {untold}" in "\n".join(printed.lines([episode], after(60), wide=True))
    (item,) = printed.document([episode])["items"]
    assert item["held"] == {"why": "Argo CD syncs", "until": "2026-03-01T12:10:00Z"}


def test_values_while_an_episode_was_open(driftd, tmp_path):
    """A field that changed again before it was put back: each value, whose, and until when."""
    dsn = f"sqlite:///{tmp_path}/steps.db"

    async def fill():
        store = await SqlStore.open(dsn)
        for second, (live, who) in enumerate([(5, "kubectl-edit"), (7, "helm"), (9, "helm")]):
            found = msgspec.structs.replace(REPLICAS, live=live, manager=who)
            await store.record(report(resource("web", found)), after(second), lambda _change: ())
        await store.close()

    asyncio.run(fill())
    (item,) = json.loads(driftd("episodes", "--store", dsn, "-o", "json").stdout)["items"]
    assert item["steps"] == [
        {"until": "2026-03-01T12:00:01Z", "desired": 3, "live": 5, "manager": "kubectl-edit"},
        {"until": "2026-03-01T12:00:02Z", "desired": 3, "live": 7, "manager": "helm"},
    ]
    told = driftd("episodes", "shop", "--store", dsn).stdout
    assert (
        """other values while it was open:
  Deployment shop/web spec.replicas
    3 → 5 by kubectl-edit until 2026-03-01T12:00:01Z
    3 → 7 by helm until 2026-03-01T12:00:02Z
"""
        in told
    )


def test_what_guards_hold_back_is_told_with_its_moment(driftd, dsn):
    """Once for each object with open drift, in the table and in JSON."""
    resource_ = ResourceKey("apps", "Deployment", "shop", "gone")
    other = ResourceKey("apps", "Deployment", "shop", "other")
    reason = "grace period: heals at 2026-03-01 12:10:00 UTC, unless snoozed"
    state = GuardState(
        held=(Held_(resource_, "G-20", reason, after(600)), Held_(other, "G-19", "frozen")),
    )

    async def keep():
        store = await SqlStore.open(dsn)
        memory = GuardMemory(state=msgspec.json.encode(state))
        await GuardStore(store).remember("argocd/shop", "c", memory, START, forget=START)
        await store.close()

    asyncio.run(keep())
    out = driftd("episodes", f"--store={dsn}").stdout
    assert "not healed:\n  argocd/shop Deployment.apps shop/gone: grace period: heals at" in out
    assert "until 2026-03-01T12:10:00Z (G-20)" in out
    assert "frozen" not in out
    items = json.loads(driftd("episodes", f"--store={dsn}", "-o", "json").stdout)["items"]
    [told] = {json.dumps(one["notHealed"]) for one in items if "notHealed" in one}
    assert json.loads(told) == {"guard": "G-20", "reason": reason, "until": "2026-03-01T12:10:00Z"}
