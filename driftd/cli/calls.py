"""Every call from the command line into the rest of driftd.

The imports stand inside the functions, so that help and completion never pay for the clients of
clusters, databases and HTTP.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

Result = TypeVar("Result")
Tell: TypeAlias = Callable[[str], None]

if TYPE_CHECKING:
    from driftd.cli.progress import Narrator
    from driftd.controller.declared import Declared
    from driftd.controller.doctor import DoctorReport
    from driftd.controller.explain import Explanation
    from driftd.controller.heal_once import HealReport
    from driftd.controller.manifests import Shown
    from driftd.controller.restore import Restoring
    from driftd.controller.summary import SweepSummary
    from driftd.model.preview import PreviewReport
    from driftd.model.report import DiffReport, DriftReport
    from driftd.model.silence import Silence
    from driftd.policy.baseline import Baseline, LeftOut
    from driftd.settings.load import Inspected
    from driftd.settings.types import Settings, Store
    from driftd.store.audit import Verified
    from driftd.store.backups import Backup
    from driftd.store.chain import AuditRow, Head
    from driftd.store.types import DeadLetter, Episode, EpisodeQuery, HistoryEntry
    from driftd.sync.orders import Order
    from driftd.sync.situation import Held


def check(options: Mapping[str, Any], narrator: Narrator) -> DriftReport:
    """One look at the chosen applications; `options` are the fields of `CheckOptions`."""
    from driftd import app
    from driftd.clock import SystemClock
    from driftd.controller.options import CheckOptions

    chosen = CheckOptions(**options, values=True)
    return _run(app.check(chosen, progress=narrator, clock=SystemClock()))


def preview(
    options: Mapping[str, Any], narrator: Narrator, *, against: str | None
) -> PreviewReport:
    """What merging a revision would change; `options` are the fields of `CheckOptions`."""
    from driftd import app
    from driftd.clock import SystemClock
    from driftd.controller.options import CheckOptions

    chosen = CheckOptions(**options)
    return _run(app.preview(chosen, against, progress=narrator, clock=SystemClock()))


def baseline(
    options: Mapping[str, Any], narrator: Narrator, *, days: int, owner: str, reason: str
) -> tuple[DriftReport, Baseline, tuple[LeftOut, ...]]:
    """One look, what of it a baseline may accept for some days, and what none may."""
    from datetime import timedelta

    from driftd import app
    from driftd.clock import SystemClock
    from driftd.controller.options import CheckOptions

    clock = SystemClock()
    chosen = CheckOptions(**options)
    expires = clock.now().date() + timedelta(days=days)
    return _run(
        app.baseline(
            chosen, expires=expires, owner=owner, reason=reason, progress=narrator, clock=clock
        )
    )


def explain(
    options: Mapping[str, Any],
    narrator: Narrator,
    *,
    application: str,
    resource: str,
    path: str,
    flags: Mapping[str, str],
) -> Explanation:
    """Why an object, or one place of it, is drift or is not.

    `flags` are those of the command line that suggested commands carry on.
    """
    from driftd import app
    from driftd.clock import SystemClock
    from driftd.controller.explain_question import Question
    from driftd.controller.options import CheckOptions

    question = Question(application=application, resource=resource, path=path, flags=flags)
    chosen = CheckOptions(**options, values=True)
    return _run(app.explain(chosen, question, progress=narrator, clock=SystemClock()))


def heal(
    options: Mapping[str, Any],
    narrator: Narrator,
    *,
    dry_run: bool,
    yes: bool,
    undeclared: bool,
    config: Path | None,
) -> HealReport:
    """Put one application back once, or preview that; `config` has the rules in place of `yes`."""
    from driftd import acting
    from driftd.clock import SystemClock
    from driftd.controller.options import CheckOptions
    from driftd.settings.healing import Healing, HealingRule, Rung
    from driftd.settings.load import load
    from driftd.settings.rules import lowered

    store, alone = None, False
    if config is not None:
        settings = load(config)
        rules, store = settings.healing, settings.store
    else:
        rule = HealingRule(applications=("*",), rung=Rung.FIELDS, undeclared=undeclared)
        rules = Healing(rules=(rule,))
        if yes and not dry_run:
            store, alone = _own_record(), True
    if dry_run:
        rules = lowered(rules)
    opened = dry_run or yes or config is not None
    chosen = CheckOptions(**options)
    clock = SystemClock()
    return _run(
        acting.heal(
            *(chosen, rules),
            opened=opened,
            progress=narrator,
            clock=clock,
            store=store,
            alone=alone,
        )
    )


def _own_record() -> Store:
    """Where heals without a daemon's settings are on record: below the user's state folder."""
    from driftd.errors import ConfigError
    from driftd.settings.types import Store

    base = os.environ.get("XDG_STATE_HOME", "")
    root = Path(base) if base.startswith("/") else Path.home() / ".local/state"
    folder = root / "driftd"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"what is written cannot be put on record in {folder}: {error.strerror}",
            hint="set XDG_STATE_HOME to a folder that can be written to",
        ) from None
    return Store(dsn=f"sqlite:///{folder / 'by-hand.db'}")


def doctor(options: Mapping[str, Any], narrator: Narrator) -> DoctorReport:
    """Check everything that a look at the chosen applications needs."""
    from driftd import app
    from driftd.clock import SystemClock
    from driftd.controller.options import CheckOptions

    return _run(app.doctor(CheckOptions(**options), progress=narrator, clock=SystemClock()))


def render(
    options: Mapping[str, Any], narrator: Narrator, *, kube_version: str, trace: bool
) -> Sequence[Shown]:
    """What Git declares for the chosen applications, with the files behind it if `trace`."""
    from driftd import app
    from driftd.controller.options import CheckOptions

    chosen = CheckOptions(**options)
    return _run(app.render(chosen, progress=narrator, kube_version=kube_version, trace=trace))


def catalog(options: Mapping[str, Any], narrator: Narrator) -> Declared:
    """The declared applications and the clusters of their destinations."""
    from driftd import app
    from driftd.controller.options import CheckOptions

    return _run(app.catalog(CheckOptions(**options), progress=narrator))


def diff(
    *, desired: Path, live: Path, schemas: tuple[Path, ...], mode: str, severity: Path | None
) -> DiffReport:
    """Compare the manifests of `desired` with the objects of `live`, offline.

    `severity` is a file of rules above the shipped ones.
    """
    from driftd.controller.offline import compare_files
    from driftd.controller.severities import load_severities
    from driftd.sandbox.pool import SandboxPool

    async def compare() -> DiffReport:
        async with SandboxPool(size=1) as sandbox:
            return await compare_files(
                desired=desired,
                live=live,
                schemas=schemas,
                mode=mode,
                sandbox=sandbox,
                severities=load_severities(severity),
            )

    return asyncio.run(compare())


def run_daemon(
    settings: Path, *, once: bool, files: Mapping[str, Any] | None = None
) -> SweepSummary | None:
    """Run the daemon until it is told to stop, or for one sweep; what that came to.

    `files` are the flags that name files beside the settings'.
    """
    from driftd import running

    return running.run_daemon(settings, once=once, files=files or {})


def inspect_settings(settings: Path, *, files: bool = True) -> Inspected:
    """What is wrong with settings and their variables, and with the files they name if `files`."""
    import os

    from driftd.settings.load import inspect

    if not files:
        return inspect(settings, env=os.environ)
    from driftd.controller.named_files import unfit
    from driftd.settings.files import missing

    return inspect(settings, env=os.environ, further=(missing, unfit))


def episodes(config: Path, dsn: str | None, query: EpisodeQuery) -> tuple[Episode, ...]:
    """Episodes that the daemon's store holds; `dsn` names it instead of the settings file."""
    from driftd.store import reading

    return asyncio.run(reading.episodes(_store(config, dsn), query))


def held(config: Path, dsn: str | None) -> Mapping[str, tuple[Held, ...]]:
    """What guards of healing hold back of each application, and until when."""
    from driftd.controller import guarding

    return asyncio.run(guarding.held_in(_store(config, dsn)))


def history(
    config: Path, dsn: str | None, application: str, limit: int
) -> tuple[HistoryEntry, ...]:
    """What happened to an application, newest first, as the daemon's store holds it."""
    from driftd.store import reading

    return asyncio.run(reading.history(_store(config, dsn), application, limit))


def verify_audit(config: Path, dsn: str | None, head: Head | None) -> Verified:
    """Follow the audit record of the daemon's store; `head` is one that somebody kept."""
    from driftd.store import reading

    return asyncio.run(reading.verify_audit(_store(config, dsn), head))


def export_audit(
    config: Path,
    dsn: str | None,
    write: Callable[[AuditRow], None],
    *,
    since: datetime | None,
    application: str,
) -> int:
    """Hand each entry of the audit record to `write`, oldest first; how many there were."""
    from driftd.store import reading

    work = reading.export_audit(_store(config, dsn), write, since=since, application=application)
    return asyncio.run(work)


def find_backups(config: Path, dsn: str | None, application: str, limit: int) -> Sequence[Backup]:
    """Manifests that healing wrote over, newest first."""
    from driftd.store import reading

    return asyncio.run(reading.find_backups(_store(config, dsn), application, limit))


def restore(
    options: Mapping[str, Any],
    backup: str,
    *,
    config: Path,
    dsn: str | None,
    key_file: str | None,
    write: bool,
    confirm: Callable[[Restoring], None],
) -> None:
    """Compare a backup with the live object, tell `confirm`, and put it back if `write`."""
    from driftd import acting
    from driftd.clock import SystemClock
    from driftd.controller.options import CheckOptions
    from driftd.model import sensitive
    from driftd.settings.load import load

    named = key_file or ""
    if dsn is None:
        settings = load(config)
        named = named or settings.store.key_file
        sensitive.use(settings.sensitive)
    asyncio.run(
        acting.restoring(
            CheckOptions(**options),
            backup,
            dsn=_store(config, dsn),
            key_file=named,
            write=write,
            confirm=confirm,
            clock=SystemClock(),
        )
    )


def resume(config: Path, dsn: str | None, application: str, reason: str) -> None:
    """Say that an application may be healed again, on the record."""
    from driftd.clock import SystemClock
    from driftd.store import acts, reading
    from driftd.store.audit import new_id
    from driftd.store.chain import AuditRecord
    from driftd.store.ledger import acted

    store = _store(config, dsn)

    async def say() -> None:
        record = AuditRecord(
            id=new_id(),
            at=SystemClock().now(),
            kind="resume",
            who=acts.person(),
            application=await reading.whole_name(store, application),
            cause=reason,
        )
        await acted(store, record)

    asyncio.run(say())


def order(
    config: Path, dsn: str | None, wanted: Mapping[str, Any], now: datetime, tell: Tell
) -> Order:
    """Give the guards an order; `wanted` are the fields of `Wanted`."""
    from driftd.controller import ordering

    settings, store = _settings(config, dsn)
    return asyncio.run(ordering.order(settings, store, ordering.Wanted(**wanted), now, tell))


def take_back(
    config: Path, dsn: str | None, wanted: Mapping[str, Any], now: datetime, tell: Tell
) -> tuple[Order, ...]:
    """Take orders back; those that were in force."""
    from driftd.controller import ordering

    settings, store = _settings(config, dsn)
    return asyncio.run(ordering.take_back(settings, store, ordering.Wanted(**wanted), now, tell))


def standing_orders(config: Path, dsn: str | None, now: datetime) -> tuple[Order, ...]:
    """The orders in force."""
    from driftd.controller import ordering

    settings, store = _settings(config, dsn)
    return ordering.standing(settings, store, now)


def _settings(config: Path, dsn: str | None) -> tuple[Settings, str]:
    """The daemon's settings, and the DSN of its store."""
    from driftd.settings.load import load, store_dsn

    settings = load(config)
    return settings, dsn or store_dsn(settings.store)


def silences(config: Path) -> tuple[Silence, ...]:
    """The silences beside the daemon's store, those that end last first."""
    from driftd.store.silences import read

    return tuple(sorted(read(_silence_file(config)), key=lambda one: one.until, reverse=True))


def add_silence(config: Path, *, at: datetime, owner: str, **fields: Any) -> Silence:
    """Silence something, and leave that for the audit record. Raises ConfigError, StoreError."""
    from uuid import uuid4

    from driftd.errors import ConfigError
    from driftd.model.silence import Silence
    from driftd.settings.load import load
    from driftd.store import acts
    from driftd.store.silences import change

    longest = load(config).silences.maximum
    made = Silence(id=uuid4().hex[:8], at=at, owner=owner or acts.person(), **fields)
    if made.until <= at:
        raise ConfigError("a silence has to end later than now")
    if made.until > at + longest.delta:
        raise ConfigError(
            f"a silence may last {longest.text} at most",
            hint="silences.maximum is the limit; what is to stay belongs into Git or a baseline",
        )
    change(_silence_file(config), at, lambda known: (*known, made))
    _act(config, "silence", made, at)
    return made


def remove_silence(config: Path, wanted: str) -> Silence:
    """End a silence, and leave that for the audit record. Raises ConfigError, StoreError."""
    from datetime import UTC

    from driftd.errors import ConfigError
    from driftd.store.silences import change

    now = datetime.now(UTC)
    found = [one for one in silences(config) if one.id == wanted]
    if not found:
        raise ConfigError(f"there is no silence {wanted}", hint="driftd silence list names them")
    path = _silence_file(config)
    change(path, now, lambda known: tuple(one for one in known if one.id != wanted))
    _act(config, "unsilence", found[0], now)
    return found[0]


def _silence_file(config: Path) -> Path:
    from driftd.settings.load import load, store_dsn
    from driftd.store.silences import file_of

    settings = load(config)
    return file_of(settings.silences.file, store_dsn(settings.store))


def _act(config: Path, kind: str, silence: Silence, at: datetime) -> None:
    """Leave what a person did for the daemon that writes the record."""
    import msgspec

    from driftd.store import acts
    from driftd.store.audit import new_id
    from driftd.store.chain import AuditRecord
    from driftd.store.ledger import acted

    record = AuditRecord(
        id=new_id(),
        at=at,
        kind=kind,
        who=acts.person(),
        cause=silence.told,
        data={"silence": msgspec.to_builtins(silence)},
    )
    asyncio.run(acted(_store(config, None), record))


def _store(config: Path, dsn: str | None) -> str:
    """The DSN of the daemon's store: `dsn`, else what its settings say."""
    from driftd.settings.load import load, store_dsn

    return dsn or store_dsn(load(config).store)


def preview_messages(
    config: Path, kind: str, channel: str
) -> tuple[Any, Mapping[str, Sequence[str]]]:
    """A sample message as JSON, and in the words of the receivers of the settings."""
    from driftd import telling

    return asyncio.run(telling.preview(config, kind, channel))


def test_receiver(config: Path, channel: str) -> None:
    """Send one receiver a message that says that it is a test."""
    from driftd import telling

    asyncio.run(telling.try_out(config, channel))


def dead_letters(config: Path) -> Sequence[DeadLetter]:
    """Messages that were given up, the latest first."""
    from driftd.store import reading

    return asyncio.run(reading.dead_letters(_store(config, None)))


def retry_dead(config: Path) -> int:
    """Make messages due again that were given up; how many."""
    from driftd.store import reading

    return asyncio.run(reading.retry_dead(_store(config, None)))


def demo(*, serve: bool) -> int:
    """Run the demonstration, and keep its clusters if `serve`; its exit code."""
    return int(_load("driftd.demo.main").main(serve=serve) or 0)


def worker_versions() -> dict[str, str]:
    """What the sandbox worker is built from: library and version."""
    from driftd.sandbox.pool import SandboxPool

    async def ask() -> dict[str, str]:
        async with SandboxPool(size=1) as sandbox:
            hello = await sandbox.hello()
        return {"go": hello.go, **hello.libraries}

    return asyncio.run(ask())


def _run(look: Coroutine[Any, Any, Result]) -> Result:
    """Run one look to its end.

    A look makes some hundred thousand values that live until it is printed; the garbage
    collector would walk them again and again, so it runs more seldom meanwhile.
    """
    results: list[Result] = []

    async def keep() -> None:
        # As the result of a task, Python 3.11 would format the whole report for an error text
        # that it then drops.
        results.append(await look)

    before = gc.get_threshold()
    gc.set_threshold(100_000, 20, 20)
    try:
        asyncio.run(keep())
    finally:
        gc.set_threshold(*before)
    return results[0]


def _load(module: str) -> Any:
    return importlib.import_module(module)
