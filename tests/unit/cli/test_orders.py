"""`driftd freeze`, `unfreeze`, `snooze`, `override` and `orders`, on a store of their own."""

from __future__ import annotations

import asyncio
import json

import pytest

from driftd.store.sql import SqlStore
from driftd.sync.standing_orders import StandingOrders
from tests.unit.reports import START, report

pytestmark = pytest.mark.slow


@pytest.fixture
def config(tmp_path):
    """Settings that name a store which knows `argocd/shop`."""
    dsn = f"sqlite:///{tmp_path}/d.db"

    async def known():
        store = await SqlStore.open(dsn)
        await store.record(report(), START, lambda _change: ())
        await store.close()

    asyncio.run(known())
    path = tmp_path / "driftd.yaml"
    path.write_text(json.dumps({"store": {"dsn": dsn}}))
    return path


@pytest.fixture
def run(driftd):
    """Exit code and output of a command."""

    def ran(config, *arguments):
        done = driftd(*arguments, f"--config={config}")
        return done.exit_code, done.stdout, done.stderr

    return ran


def kept(config):
    """The orders in the file beside the store."""
    return StandingOrders(config.parent / "d.db-orders.json").read()


def acts(config):
    """What is left for the daemon to put on the audit record, in the order of time."""
    files = sorted((config.parent / "d.db-acts").glob("*.json"))
    return [json.loads(one.read_text()) for one in files]


def test_a_freeze_is_kept_recorded_listed_and_taken_back(config, run):
    """With who, why and until when; the same scope takes it back."""
    code, out, _ = run(config, "freeze", "shop", "--for=2h", "--reason=INC-7")
    assert code == 0
    assert "frozen argocd/shop until " in out
    assert "(INC-7)" in out
    (one,) = kept(config)
    assert (one.kind, one.application, one.reason) == ("freeze", "argocd/shop", "INC-7")
    assert run(config, "orders")[1] == out
    assert json.loads(run(config, "orders", "-o", "json")[1])["items"][0]["kind"] == "freeze"
    code, out, _ = run(config, "unfreeze")
    assert code == 1
    assert out.startswith("nothing was frozen there\nin force: frozen argocd/shop")
    assert run(config, "unfreeze", "shop")[:2] == (0, "no longer frozen: argocd/shop\n")
    assert kept(config) == ()
    assert run(config, "orders")[1] == "no order is in force\n"
    assert [one["kind"] for one in acts(config)] == ["freeze", "unfreeze"]
    assert acts(config)[0]["cause"] == "INC-7"


def test_everything_and_a_cluster_can_be_frozen(config, run):
    """Each is taken back alone."""
    assert "frozen every application, by" in run(config, "freeze")[1]
    assert "on cluster prod" in run(config, "freeze", "--cluster=prod")[1]
    assert run(config, "unfreeze")[:2] == (0, "no longer frozen: every application\n")
    assert [one.cluster for one in kept(config)] == ["prod"]


def test_a_misspelt_application_is_not_frozen(config, run):
    """Who believes that it is frozen would be wrong."""
    code, _, err = run(config, "freeze", "shpo")
    assert code == 2
    assert "no application 'shpo'" in err
    assert kept(config) == ()


def test_a_freeze_holds_although_the_store_is_gone(config, run):
    """It is told that nothing could be looked up; the file is what counts."""
    (config.parent / "d.db").write_bytes(b"no database at all" * 300)
    code, out, err = run(config, "freeze", "shop")
    assert code == 0
    assert "frozen shop, by" in out
    assert "cannot be seen" in err
    assert len(kept(config)) == 1


def test_a_snooze_needs_a_time_and_can_be_ended(config, run):
    """Of an application or of one object."""
    assert run(config, "snooze", "shop")[0] == 2
    assert run(config, "snooze", "shop", "web", "--for=1h")[0] == 2
    code, out, _ = run(config, "snooze", "shop", "Deployment/web", "--for=1h")
    assert code == 0
    assert "snoozed Deployment/web of argocd/shop until" in out
    assert run(config, "snooze", "shop", "--end")[0] == 1
    assert run(config, "snooze", "shop", "deployment/web", "--end")[0] == 0
    assert kept(config) == ()


def test_an_override_is_recorded_before_it_is_kept(config, run):
    """With guard, reason and time; some guards let nobody pass."""
    code, _, err = run(config, "override", "shop", "G-19", "--for=1h", "--reason=x")
    assert code == 2
    assert "those that can be overridden: G-01, G-03" in err
    assert run(config, "override", "shop", "G-04", "--for=1h")[0] == 2
    assert (kept(config), acts(config)) == ((), [])
    code, out, _ = run(config, "override", "shop", "g-04", "--for=1h", "--reason=moved")
    assert code == 0
    assert "G-04 overridden for argocd/shop until" in out
    (act,) = acts(config)
    assert (act["kind"], act["cause"], act["data"]["guard"]) == ("override", "moved", "G-04")
    # A folder of acts that nobody can write to: what is not recorded does not hold.
    (config.parent / "d.db-acts").rename(config.parent / "away")
    (config.parent / "d.db-acts").write_text("")
    code = run(config, "override", "shop", "G-03", "--for=1h", "--reason=x")[0]
    assert code == 2
    assert [one.guard for one in kept(config)] == ["G-04"]


def test_postgresql_needs_a_file_by_name(config, run):
    """Beside a database that is elsewhere there is no place for it."""
    config.write_text(json.dumps({"store": {"dsn": "postgresql://driftd@127.0.0.1:1/driftd"}}))
    code, _, err = run(config, "orders")
    assert code == 2
    assert "healing.ordersFile names no file" in err
