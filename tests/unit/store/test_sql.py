"""The contract of Store and Outbox, on every database."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from driftd.errors import ConfigError, StoreError
from driftd.model.report import ApplicationStatus, ResourceStatus
from driftd.model.resource import ResourceKey
from driftd.store.schema import metadata
from driftd.store.sql import SqlStore
from driftd.store.types import (
    ApplicationMemory,
    Ending,
    EpisodeQuery,
    Held,
    HistoryEntry,
    OutboxMessage,
    Recovery,
    StateChange,
    Transition,
    WholeObject,
)
from tests.unit.notify.told import composer
from tests.unit.reports import START, after, change, report, resource
from tests.unit.store.due import pending, refusal

pytestmark = pytest.mark.slow

REPLICAS = change(
    "/spec/replicas", desired=3, live=5, manager="kubectl-edit", time="2026-03-01T11:59:00Z"
)
DRIFTED = report(resource("web", REPLICAS))
CLEAN = report(resource("web"))
NAME = "argocd/shop"


def quiet(_change: StateChange) -> tuple[OutboxMessage, ...]:
    """No messages."""
    return ()


def loud(*targets: str):
    """One message per target and change of state, named by its time."""

    def compose(found: StateChange) -> tuple[OutboxMessage, ...]:
        if found.transition is Transition.NONE:
            return ()
        name = f"{found.name}-{(found.at - START).total_seconds():.0f}"
        return tuple(OutboxMessage(name, t, found.application, b"{}") for t in targets)

    return compose


async def test_an_episode_from_onset_to_recovery(store):
    """A drift opens once, survives looks with its onset, and closes at the clean look."""
    first = await store.record(DRIFTED, START, quiet)
    again = await store.record(DRIFTED, after(60), quiet)
    assert (first.transition, again.transition) == (Transition.DRIFTED, Transition.NONE)
    [found] = await store.open_drifts()
    assert (found.application, found.cluster) == (NAME, "production")
    assert found.drift.change == REPLICAS
    assert (found.drift.first_seen, found.drift.last_seen) == (START, after(60))
    last = await store.record(CLEAN, after(120), quiet)
    assert last.transition is Transition.RECOVERED
    assert [d.key.path for d in last.closed] == ["/spec/replicas"]
    assert await store.open_drifts() == ()


async def test_a_drift_that_comes_back_is_a_new_episode(store):
    """After recovery the same field opens a second episode with its own onset."""
    for seconds, look in enumerate([DRIFTED, CLEAN, DRIFTED]):
        await store.record(look, after(seconds), quiet)
    [found] = await store.open_drifts()
    assert found.drift.first_seen == after(2)


async def test_an_unknown_look_keeps_episodes_open(store):
    """Cannot see is never gone: the drift and its onset survive an outage."""
    await store.record(DRIFTED, START, quiet)
    blind = await store.record(report(complete=False), after(60), quiet)
    assert blind.transition is Transition.UNKNOWN
    back = await store.record(DRIFTED, after(120), quiet)
    assert (back.opened, back.closed) == ((), ())
    [found] = await store.open_drifts()
    assert found.drift.first_seen == START


async def test_the_last_look_is_kept_whole(store):
    """The stored report is the recorded one, with the time since when the status holds."""
    await store.record(DRIFTED, START, quiet)
    await store.record(DRIFTED, after(60), quiet)
    await store.record(report(name="api"), after(61), quiet)
    stored = await store.application(NAME)
    assert stored.report == DRIFTED
    assert (stored.observed_at, stored.changed_at) == (after(60), START)
    await store.record(CLEAN, after(90), quiet)
    stored = await store.application(NAME)
    assert (stored.observed_at, stored.changed_at) == (after(90), after(90))
    await store.record(DRIFTED, after(120), quiet)
    assert [a.report.name for a in await store.applications()] == ["api", "shop"]
    assert await store.application("argocd/none") is None


async def test_whole_objects_missing_and_extra_are_episodes(store):
    """Missing and Extra objects are drifts without a path."""
    look = report(
        resource("gone", status=ResourceStatus.MISSING),
        resource("left", status=ResourceStatus.EXTRA),
    )
    await store.record(look, START, quiet)
    found = [(d.drift.key.kind, d.drift.key.path) for d in await store.open_drifts()]
    assert found == [("Missing", ""), ("Extra", "")]


async def test_open_drifts_are_counted_by_severity(store):
    """Closed drifts count no longer; a severity that nobody gave is empty."""
    assert await store.open_severities() == {}
    look = report(
        resource("gone", status=ResourceStatus.MISSING), resource("web", change("/spec/a"))
    )
    await store.record(look, START, quiet)
    severities = [one.drift.severity for one in await store.open_drifts()]
    assert await store.open_severities() == Counter(severities)
    await store.record(CLEAN, after(60), quiet)
    assert await store.open_severities() == {}


async def test_very_long_paths_are_kept_apart(store):
    """Paths longer than an index entry may be work and are told apart by their ends."""
    long = "/spec/" + "k" * 9000
    await store.record(
        report(resource("web", change(long + "1"), change(long + "2"))), START, quiet
    )
    assert len(await store.open_drifts()) == 2


async def test_history_has_transitions_and_events_newest_first(store):
    """Only changes and what driftd did enter the history; a look without change does not."""
    await store.record(DRIFTED, START, quiet)
    await store.record(DRIFTED, after(1), quiet)
    sync = HistoryEntry(NAME, after(2), "sync", {"applied": ["Deployment.apps shop/web"]})
    await store.record(CLEAN, after(3), quiet, events=[sync])
    entries = await store.history(NAME, limit=10)
    assert [e.kind for e in entries] == ["recovered", "sync", "drifted"]
    assert entries[1] == sync
    assert entries[2].data["opened"] == [
        {"resource": "Deployment.apps shop/web", "path": "/spec/replicas", "kind": "modified"}
    ]
    assert await store.history("argocd/other", limit=10) == ()


async def test_a_failing_composer_rolls_the_whole_look_back(store):
    """Verdict, episodes, history and messages are one transaction."""

    def broken(_change: StateChange) -> tuple[OutboxMessage, ...]:
        raise RuntimeError("no message")

    with pytest.raises(RuntimeError, match="no message"):
        await store.record(DRIFTED, START, broken)
    assert await store.application(NAME) is None
    assert await store.open_drifts() == ()
    assert await store.history(NAME, limit=10) == ()


WEB = ResourceKey("apps", "Deployment", "shop", "web")
SETTINGS = ResourceKey("", "ConfigMap", "shop", "settings")


def left(*revisions: str, cluster: str = "https://one", **objects: bytes) -> ApplicationMemory:
    """What a look leaves behind of `web` and `settings`."""
    names = {"web": WEB, "settings": SETTINGS}
    return ApplicationMemory(
        cluster=cluster,
        clean_revisions=revisions,
        objects={names[name]: data for name, data in objects.items()},
    )


async def test_what_a_look_leaves_behind_is_given_to_the_next(store):
    """Objects that a look did not see and revisions of the last clean one stay as they were."""
    assert await store.recall("https://one", NAME) == left()
    await store.record(CLEAN, START, quiet, memory=left("abc", web=b"1", settings=b"\x00\xff"))
    await store.record(DRIFTED, after(60), quiet, memory=left(web=b"2"))
    await store.record(DRIFTED, after(90), quiet)
    assert await store.recall("https://one", NAME) == left("abc", web=b"2", settings=b"\x00\xff")
    assert await store.recall("https://one", NAME, [WEB]) == left("abc", web=b"2")
    await store.record(CLEAN, after(120), quiet, memory=left("def"))
    assert (await store.recall("https://one", NAME)).clean_revisions == ("def",)


async def test_memory_is_of_one_application_on_one_cluster(store):
    """The same object of another application or on another cluster is another one."""
    await store.record(CLEAN, START, quiet, memory=left(web=b"1"))
    await store.record(report(name="api"), START, quiet, memory=left(web=b"2"))
    await store.record(CLEAN, START, quiet, memory=left(cluster="https://two", web=b"3"))
    assert (await store.recall("https://one", NAME)).objects == {WEB: b"1"}
    assert (await store.recall("https://one", "argocd/api")).objects == {WEB: b"2"}
    assert (await store.recall("https://two", NAME)).objects == {WEB: b"3"}


async def test_memory_of_objects_that_nobody_sees_ends(store):
    """Retention ends what no look has seen since; a forgotten application is forgotten whole."""
    await store.record(CLEAN, START, quiet, memory=left("abc", web=b"1", settings=b"1"))
    await store.record(CLEAN, after(60), quiet, memory=left(web=b"2"))
    assert await store.retain(after(30)) == 1
    assert (await store.recall("https://one", NAME)).objects == {WEB: b"2"}
    await store.forget(NAME, after(90))
    assert await store.recall("https://one", NAME) == left()


async def test_memory_is_part_of_the_transaction(store):
    """A look that is not recorded leaves nothing behind."""

    def broken(_change: StateChange) -> tuple[OutboxMessage, ...]:
        raise RuntimeError("no message")

    with pytest.raises(RuntimeError, match="no message"):
        await store.record(DRIFTED, START, broken, memory=left("abc", web=b"1"))
    assert await store.recall("https://one", NAME) == left()


async def test_a_message_is_pending_until_delivered(store):
    """Each target has its own delivery of one message; a delivered one is never due again."""
    await store.record(DRIFTED, START, loud("slack", "webhook"))
    first, second = await pending(store, START)
    assert (first.id, first.target, second.target) == ("shop-0", "slack", "webhook")
    assert first.payload == b"{}"
    await store.mark_delivered(first, after(1))
    assert await pending(store, after(9999)) == (second,)
    assert await store.waiting() == 1


async def test_a_failed_message_waits_until_its_time_and_keeps_its_id(store):
    """Failure counts an attempt and postpones; the id is the same at the next attempt."""
    await store.record(DRIFTED, START, loud("webhook"))
    [message] = await pending(store, START)
    await store.mark_failed(message, START, refusal(), after(30))
    assert await pending(store, after(29)) == ()
    [again] = await pending(store, after(30))
    assert (again.id, again.attempts) == (message.id, 1)


async def test_messages_of_one_application_stay_in_order(store):
    """A recovery is never delivered before the drift that it ends; others do not wait."""
    await store.record(DRIFTED, START, loud("webhook"))
    await store.record(CLEAN, after(1), loud("webhook"))
    await store.record(report(resource("a", REPLICAS), name="api"), after(2), loud("webhook"))
    first, second, other = await pending(store, after(2))
    assert (first.id, second.id, other.id) == ("shop-0", "shop-1", "api-2")
    await store.mark_failed(first, after(2), refusal(), after(60))
    assert await pending(store, after(3)) == (other,)
    [retried] = [m for m in await pending(store, after(60)) if m.target == "webhook"][:1]
    await store.mark_failed(retried, after(60), refusal(), None)
    ids = [m.id for m in await pending(store, after(61))]
    assert ids == ["shop-1", "api-2"]


async def test_forgetting_an_application_closes_its_drifts(store):
    """An application that left Git is listed no longer and has no open drift."""
    await store.record(DRIFTED, START, quiet)
    await store.record(report(resource("a", REPLICAS), name="api"), START, quiet)
    await store.forget(NAME, after(1))
    assert [d.application for d in await store.open_drifts()] == ["argocd/api"]
    assert [a.report.name for a in await store.applications()] == ["api"]
    assert len(await store.history(NAME, limit=10)) == 1


async def test_retention_deletes_only_what_is_over(store):
    """Old history, closed drifts and settled messages go; open drifts and unsent messages stay."""
    await store.record(DRIFTED, START, loud("webhook"))
    await store.record(CLEAN, after(1), quiet)
    await store.record(DRIFTED, after(2), quiet)
    assert await store.retain(after(100)) == 4
    assert len(await store.open_drifts()) == 1
    [message] = await pending(store, after(100))
    await store.mark_delivered(message, after(101))
    assert await store.retain(after(200)) == 1
    assert await store.history(NAME, limit=10) == ()


async def test_concurrent_records_of_many_applications(store):
    """Writers queue up instead of failing; each application gets its own verdict."""
    looks = [report(resource("web", REPLICAS), name=f"app{i:02}") for i in range(20)]
    await asyncio.gather(*(store.record(look, START, loud("webhook")) for look in looks))
    assert len(await store.open_drifts()) == 20
    assert len(await pending(store, START)) == 20


async def test_state_survives_a_restart(dsn):
    """A second process migrates nothing, loses nothing and continues the episode."""
    store = await SqlStore.open(dsn)
    await store.record(DRIFTED, START, quiet)
    await store.close()
    store = await SqlStore.open(dsn)
    found = await store.record(DRIFTED, after(60), quiet)
    await store.close()
    assert (found.transition, found.previous) == (Transition.NONE, ApplicationStatus.OUT_OF_SYNC)


async def test_migrations_lead_to_the_declared_schema(store):
    """The migrated database and the tables of the code are the same."""

    def difference(connection):
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return compare_metadata(context, metadata)

    async with store.database.writer.connect() as connection:
        assert await connection.run_sync(difference) == []


TABLES = (
    *("memories", "clusters", "audit", "audit_head", "backups", "heals", "halts"),
    *("guard_states", "guard_heals", "guard_budgets"),
)
"""Those that came later than the first release."""


async def test_a_database_of_the_first_release_is_migrated(dsn):
    """What was recorded before looks left anything behind stays, and the next look remembers."""
    store = await SqlStore.open(dsn)
    await store.record(DRIFTED, START, quiet)
    async with store.database.writer.begin() as connection:
        for table in TABLES:
            await connection.execute(text(f"DROP TABLE {table}"))
        await connection.execute(text("ALTER TABLE applications DROP COLUMN clean_revisions"))
        await connection.execute(text("ALTER TABLE applications DROP COLUMN told"))
        await connection.execute(text("ALTER TABLE applications DROP COLUMN began_at"))
        await connection.execute(text("ALTER TABLE applications DROP COLUMN standing"))
        await connection.execute(text("DROP INDEX ix_deliveries_digest"))
        for column in ("begun_at", "receipt", "digest"):
            await connection.execute(text(f"ALTER TABLE deliveries DROP COLUMN {column}"))
        await connection.execute(text("DROP INDEX ix_episodes_application_identity"))
        for column in (
            "clean_at",
            "whole",
            "severity",
            "rate",
            "ending",
            "ended_by",
            "held",
            "steps",
        ):
            await connection.execute(text(f"ALTER TABLE episodes DROP COLUMN {column}"))
        await connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    await store.close()
    store = await SqlStore.open(dsn)
    assert await store.recall("https://one", NAME) == left()
    found = await store.record(DRIFTED, after(60), quiet, memory=left("abc", web=b"1"))
    assert (found.transition, found.opened) == (Transition.NONE, ())
    assert await store.recall("https://one", NAME) == left("abc", web=b"1")
    await store.close()


async def test_a_cluster_is_pinned_by_name_and_address(store):
    """Nothing is known at first; an identity stays until another one is pinned in its place."""
    assert await store.pinned("production", "https://one") == ""
    await store.pin("production", "https://one", "first", START)
    assert await store.pinned("production", "https://one") == "first"
    assert await store.pinned("production", "https://two") == ""
    await store.pin("production", "https://one", "second", after(60))
    assert await store.pinned("production", "https://one") == "second"


async def test_a_database_of_a_newer_driftd_is_refused(dsn):
    """An unknown schema revision is an error with a remedy, not a guess."""
    store = await SqlStore.open(dsn)
    async with store.database.writer.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await store.close()
    with pytest.raises(StoreError, match="9999") as caught:
        await SqlStore.open(dsn)
    assert "newer driftd" in caught.value.message


async def test_a_failing_database_is_a_store_error(store):
    """Errors of the driver are translated and do not hold the statement's values."""
    async with store.database.writer.begin() as connection:
        await connection.execute(text("DROP TABLE history"))
    with pytest.raises(StoreError, match="cannot record the look at argocd/shop") as caught:
        await store.record(DRIFTED, START, quiet)
    assert "history" in str(caught.value)
    assert "kubectl-edit" not in str(caught.value)


async def test_sqlite_is_set_up_for_durability(tmp_path):
    """Write-ahead log, full synchronisation and foreign keys are on; only the owner reads."""
    path = tmp_path / "new" / "driftd.db"
    store = await SqlStore.open(f"sqlite:///{path}")
    async with store.database.writer.connect() as connection:
        values = {
            name: (await connection.execute(text(f"PRAGMA {name}"))).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    await store.close()
    assert values == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_file_that_is_no_database_is_refused(tmp_path):
    """A foreign file is never overwritten."""
    path = tmp_path / "notes.txt"
    path.write_text("not a database" * 100)
    with pytest.raises(StoreError, match=r"notes\.txt"):
        await SqlStore.open(f"sqlite:///{path}")
    assert path.read_text().startswith("not a database")
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(path).execute("SELECT * FROM sqlite_master")


@pytest.mark.parametrize(
    ("dsn", "expected"),
    [
        ("sqlite://", "names no file"),
        ("mysql://root@db/x", "mysql"),
        ("not a dsn", "cannot be parsed"),
    ],
)
async def test_a_wrong_dsn_is_a_config_error(dsn, expected):
    """Only files of SQLite and PostgreSQL servers can be stores."""
    with pytest.raises(ConfigError, match=expected):
        await SqlStore.open(dsn)


async def test_an_unreachable_server_is_an_error_without_the_password():
    """The message names the server, never the password."""
    with pytest.raises(StoreError) as caught:
        await SqlStore.open("postgresql://driftd:hunter2@127.0.0.1:1/x")
    assert "127.0.0.1" in caught.value.message
    assert "hunter2" not in caught.value.message


def test_the_migrations_are_inside_the_package():
    """A wheel carries the migrations, because they are modules of the package."""
    from driftd.store import migrations

    folder = Path(migrations.__file__).parent
    assert (folder / "env.py").is_file()
    assert list((folder / "versions").glob("v*.py"))


def ended(how: Recovery, by: str = ""):
    """Every drift ends so."""
    return lambda _drift: Ending(how, by)


async def told(store, *looks):
    """What the looks, each with its second, tell; every drift is put back by Argo CD."""
    found = []
    for seconds, look in looks:
        change = await store.record(
            look, after(seconds), quiet, ending=ended(Recovery.SYNCED, "argocd-controller")
        )
        found.append(str(change.transition))
    return found


async def test_an_episode_knows_the_last_clean_look_and_its_ending(store):
    """The onset lies between the last look without the drift and the first one with it."""
    await store.record(CLEAN, START, quiet)
    await store.record(DRIFTED, after(60), quiet)
    await store.record(DRIFTED, after(120), quiet)
    await store.record(CLEAN, after(180), quiet, ending=ended(Recovery.HEALED, "driftd"))
    [found] = await store.episodes(EpisodeQuery())
    assert (found.application, found.cluster) == (NAME, "production")
    assert (found.drift.clean_at, found.drift.first_seen) == (START, after(60))
    assert (found.drift.last_seen, found.closed_at) == (after(120), after(180))
    assert found.ending == Ending(Recovery.HEALED, "driftd")
    assert found.drift.change == REPLICAS


async def test_what_changes_during_a_look_may_not_be_seen_by_it(store):
    """The last clean look counts from its beginning."""
    await store.record(CLEAN, after(5), quiet, began=START)
    await store.record(DRIFTED, after(60), quiet, began=after(59))
    [found] = await store.episodes(EpisodeQuery())
    assert (found.drift.clean_at, found.drift.first_seen) == (START, after(60))


@pytest.mark.parametrize("asked", ["production/apps", "argocd/production/apps"])
async def test_episodes_of_an_application_whose_name_has_a_slash(store, asked):
    """An application of Flux is found as commands print it, and no other that ends so."""
    for name in ("production/apps", "reproduction/apps", "production/more-apps"):
        await store.record(report(resource("web", REPLICAS), name=name), START, quiet)
    [found] = await store.episodes(EpisodeQuery(application=asked))
    assert found.application == "argocd/production/apps"


async def test_without_a_clean_look_before_no_onset_is_claimed(store):
    """What the first look finds, or an object that could not be judged before, began any time."""
    await store.record(DRIFTED, START, quiet)
    await store.record(
        report(resource("web", REPLICAS), resource("api", status=ResourceStatus.UNKNOWN)),
        after(60),
        quiet,
    )
    await store.record(
        report(resource("web", REPLICAS), resource("api", REPLICAS)), after(120), quiet
    )
    found = await store.episodes(EpisodeQuery())
    assert [one.drift.clean_at for one in found] == [None, None]


async def test_whole_objects_remember_who_and_how_bad(store):
    """An Extra object's creator and severity stay with its episode."""
    extra = msgspec.structs.replace(
        resource("left", status=ResourceStatus.EXTRA),
        manager="kubectl-create",
        severity="critical",
        severity_reason="it grants rights",
        attribution={"user": "mallory", "time": "2026-03-01T11:00:00Z"},
    )
    await store.record(report(extra), START, quiet)
    [found] = await store.episodes(EpisodeQuery())
    assert found.drift.whole == WholeObject(
        "it grants rights", "kubectl-create", {"user": "mallory", "time": "2026-03-01T11:00:00Z"}
    )
    assert (found.drift.severity, found.drift.author) == ("critical", "mallory")


async def test_the_highest_severity_of_an_episode_stays(store):
    """A drift that became harmless again was not harmless."""
    for seconds, severity in enumerate(["low", "high", "medium"]):
        change_ = change("/spec/replicas", desired=3, live=5 + seconds, severity=severity)
        await store.record(report(resource("web", change_)), after(seconds), quiet)
    [found] = await store.episodes(EpisodeQuery())
    assert (found.drift.severity, found.drift.change.live) == ("high", 7)


async def test_episodes_are_found_by_application_object_place_and_time(store):
    """Open ones come first; a name alone is enough; a path means all below it, not beside it."""
    image = change("/spec/template/spec", ssa_path="f:spec/f:template")
    await store.record(report(resource("web", REPLICAS, image)), START, quiet)
    await store.record(report(resource("web", image)), after(60), quiet)
    await store.record(report(resource("a", REPLICAS), name="my-shop"), after(90), quiet)

    async def places(**query):
        found = await store.episodes(EpisodeQuery(**query))
        return [(one.application, one.drift.change.path) for one in found]

    mine, image_, other = (
        (NAME, "/spec/replicas"),
        (NAME, "/spec/template/spec"),
        ("argocd/my-shop", "/spec/replicas"),
    )
    assert await places() == [other, image_, mine]
    assert await places(application="shop") == [image_, mine]
    assert await places(application=NAME, is_open=True) == [image_]
    assert await places(is_open=False) == [mine]
    assert await places(kind="deployment", name="A") == [other]
    assert await places(path="/spec/template") == [image_]
    assert await places(path="f:spec/f:template") == [image_]
    assert await places(path="/spec/repl") == []
    assert await places(since=after(61)) == [other, image_]
    assert await places(limit=1) == [other]


async def test_a_fight_is_told_once_and_its_end_once(store):
    """What comes back again and again is told as a fight; the end when it stays away."""
    flaps = [(60 * n, DRIFTED if n % 2 else CLEAN) for n in range(13)]
    assert await told(store, *flaps) == [
        "none",
        *["drifted", "recovered"] * 3,
        "fighting",
        *["none"] * 5,
    ]
    quiet_looks = [(900 * n, CLEAN) for n in range(2, 12)]
    found = await told(store, *quiet_looks)
    assert found.count("recovered") == 1
    assert set(found) == {"none", "recovered"}
    kinds = [entry.kind for entry in await store.history(NAME, 100)]
    assert kinds.count("fighting") == 1
    assert kinds.count("drifted") == 5, "history keeps what is not told"


async def test_a_fight_names_both_hands(store):
    """The one who changes the field and the one who puts it back."""
    await told(store, *[(60 * n, DRIFTED if n % 2 else CLEAN) for n in range(7)])
    change_ = await store.record(DRIFTED, after(420), quiet)
    [fight] = change_.fights
    assert (fight.changed_by, fight.put_back_by) == ("kubectl-edit", "argocd-controller")
    [entry] = [one for one in await store.history(NAME, 100) if one.kind == "fighting"]
    assert entry.data["fights"][0]["putBackBy"] == "argocd-controller"


async def test_other_drift_is_told_while_a_fight_goes_on(store):
    """A fight at one field hides nothing else of the application."""
    await told(store, *[(60 * n, DRIFTED if n % 2 else CLEAN) for n in range(8)])
    both = report(resource("web", REPLICAS), resource("api", REPLICAS))
    one = report(resource("web"), resource("api", REPLICAS))
    blind = report(complete=False)
    assert await told(store, (480, both), (540, one), (600, both), (660, blind)) == [
        "changed",
        "none",
        "none",
        "unknown",
    ]


async def test_a_slow_repetition_is_no_fight(store):
    """The same drift every other hour is told each time."""
    looks = [(3600 * n, DRIFTED if n % 2 else CLEAN) for n in range(20)]
    assert "fighting" not in await told(store, *looks)


async def test_an_application_is_known_by_its_name_alone(store):
    """Unless several have it; an unknown one is an error that names the nearest."""
    await store.record(DRIFTED, START, quiet)
    assert await store.whole_name("shop") == NAME
    with pytest.raises(ConfigError, match="knows no application 'shpo'") as caught:
        await store.whole_name("shpo")
    other = msgspec.structs.replace(DRIFTED, namespace="team")
    await store.record(other, START, quiet)
    with pytest.raises(ConfigError, match="several applications are called 'shop'") as caught:
        await store.whole_name("shop")
    assert caught.value.hint == "argocd/shop or team/shop"


async def test_reading_makes_no_store(tmp_path):
    """A misspelt file is an error, not a new and empty store."""
    with pytest.raises(ConfigError, match="there is no store"):
        async with SqlStore.existing(f"sqlite:///{tmp_path}/none.db"):
            pass
    assert list(tmp_path.iterdir()) == []


async def test_what_is_held_stays_held_until_it_is_told(store):
    """A restart in between changes nothing: one message, when the drift is held no longer."""

    def hold(drift):
        return Held("Argo CD syncs", drift.first_seen + timedelta(minutes=10))

    await store.record(CLEAN, START, loud("one"))
    found = await store.record(DRIFTED, after(10), loud("one"), hold=hold)
    assert (found.transition, await store.waiting()) == (Transition.NONE, 0)
    (episode,) = await store.episodes(EpisodeQuery())
    assert episode.drift.held == Held("Argo CD syncs", after(610))
    (entry, *_) = await store.history(NAME, 1)
    assert (entry.kind, entry.data["opened"][0]["held"]) == ("drifted", "Argo CD syncs")
    await store.record(DRIFTED, after(20), loud("one"), hold=hold)
    found = await store.record(DRIFTED, after(30), loud("one"))
    assert (found.transition, len(found.released)) == (Transition.DRIFTED, 1)
    assert await store.waiting() == 1
    (episode,) = await store.episodes(EpisodeQuery())
    assert (episode.drift.held, episode.drift.first_seen) == (None, after(10))
    found = await store.record(CLEAN, after(40), loud("one"))
    assert found.transition is Transition.RECOVERED


async def test_five_thousand_drifts_at_once_are_one_message(store):
    """F-41: one transaction, every episode kept, and a message that lists a hundred of them."""
    many = report(*(resource(f"web-{number:04}", REPLICAS) for number in range(5_000)))
    await store.record(CLEAN, START, composer(["one"]))
    found = await store.record(many, after(10), composer(["one"]))
    assert (found.transition, len(found.opened)) == (Transition.DRIFTED, 5_000)
    assert len(await store.episodes(EpisodeQuery(limit=10_000))) == 5_000
    (message,) = await pending(store, after(10))
    told = msgspec.json.decode(message.payload)
    assert (told["counts"]["open"], len(told["drifts"])) == (5_000, 100)
    assert len(message.payload) < 100_000
    again = await store.record(many, after(20), composer(["one"]))
    assert (again.transition, await store.waiting()) == (Transition.NONE, 1)


async def test_what_is_asked_for_all_the_time(
    store: SqlStore, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read again after each write and after a time, and always where others may write."""
    read = 0

    async def count(connection: AsyncConnection) -> int:
        nonlocal read
        read += 1
        return int((await connection.execute(text("SELECT count(*) FROM deliveries"))).scalar_one())

    async def asked(times: int) -> tuple[int, int]:
        before = read
        found = {await store.ask_again("count", count) for _ in range(times)}
        return read - before, found.pop()

    alone = dsn.startswith("sqlite")
    assert await asked(3) == (1 if alone else 3, 0)
    await store.record(DRIFTED, after(0), loud("a", "b"))
    assert await asked(3) == (1 if alone else 3, 2)
    monkeypatch.setattr("driftd.store.sql.KEPT", 0)
    assert await asked(3) == (3, 2)
