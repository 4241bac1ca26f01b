"""Baseline and suppression files of a daemon: accepted is silent, resurfaced is told."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from driftd.controller.acceptance import StandingAcceptance
from driftd.errors import ConfigError
from driftd.policy.baseline import captured
from tests.unit.controller.test_baselines import GOOD, suppressions
from tests.unit.controller.test_reconciler import Bench, bench

pytestmark = pytest.mark.slow

__all__ = ["bench"]

DAY = 86_400
LAST = date(2026, 3, 2)
"""The day after the virtual clock's first."""


async def accepted(bench: Bench, folder: Path) -> Path:
    """A baseline of what the last sweep found, in force on two days."""
    reports = [one.report for one in await bench.store.applications()]
    baseline, left_out = captured(reports, expires=LAST)
    assert left_out == ()
    file = folder / "baseline.json"
    file.write_bytes(msgspec.json.encode(baseline))
    return file


async def painted(bench: Bench, folder: Path, **settings: Any) -> Path:
    """A painted ConfigMap that is accepted, with a reconciler that knows the file."""
    bench.world.paint("shop", "red")
    await bench.sweep()
    file = await accepted(bench, folder)
    for name in ("argocd/shop", "argocd/kept"):
        await bench.store.forget(name, bench.clock.now())
    bench.changes.clear()
    bench.reconciler = bench.build(baselines=(str(file),), **settings)
    return file


def told(bench: Bench) -> list[str]:
    """The conditions of the last state of `shop` that was recorded."""
    change = next(one for one in reversed(bench.changes) if one.name == "shop")
    return [f"{one.type}: {one.message}" for one in change.conditions]


async def test_accepted_finding_is_silent_and_another_value_is_told(
    bench: Bench, tmp_path: Path
) -> None:
    """The accepted value opens no drift; the next value is one transition, with its finding."""
    await painted(bench, tmp_path)
    for _ in range(3):
        await bench.sweep()
    assert (bench.transitions(), await bench.store.open_drifts()) == ([], ())
    bench.world.paint("shop", "green")
    for _ in range(3):
        await bench.sweep()
    assert bench.transitions() == [("shop", "drifted")]
    (found,) = await bench.store.open_drifts()
    assert found.drift.change is not None
    assert found.drift.change.live == "green"


async def test_expired_entry_is_told_once(bench: Bench, tmp_path: Path) -> None:
    """After its last day the finding is drift, and its message says which entry expired."""
    file = await painted(bench, tmp_path)
    await bench.sweep()
    bench.clock.advance(2 * DAY)
    for _ in range(3):
        await bench.sweep()
    assert bench.transitions() == [("shop", "drifted")]
    assert told(bench) == [f"BaselineEntryExpired: baseline {file}#1 expired on 2026-03-02"]


async def test_files_are_read_at_each_sweep(bench: Bench, tmp_path: Path) -> None:
    """An entry that is removed resurfaces; a file that became invalid keeps what it said."""
    file = await painted(bench, tmp_path)
    await bench.sweep()
    text = file.read_text()
    file.write_text("entries: [")
    for _ in range(2):
        await bench.sweep()
    assert bench.transitions() == []
    file.write_text(json.dumps({**json.loads(text), "entries": []}))
    await bench.sweep()
    assert bench.transitions() == [("shop", "drifted")]
    file.write_text(text)
    await bench.sweep()
    assert bench.transitions() == [("shop", "drifted"), ("shop", "recovered")]


async def test_suppressed_place_is_silent(bench: Bench, tmp_path: Path) -> None:
    """Whatever the value of a suppressed place is, nobody is told; other places are."""
    entry = {**GOOD, "kind": "ConfigMap", "paths": ["data.colour"]}
    bench.reconciler = bench.build(suppressions=(str(suppressions(tmp_path, entry)),))
    for colour in ("red", "green"):
        bench.world.paint("shop", colour)
        await bench.sweep()
    assert bench.transitions() == []


def standing(file: Path) -> StandingAcceptance:
    """The acceptance of one suppression file."""
    return StandingAcceptance((), (file,), None)


async def test_invalid_files_are_told_once(tmp_path: Path) -> None:
    """A file that became invalid is told at the sweep that finds it, and again after a repair."""
    file = suppressions(tmp_path, GOOD)
    acceptance = standing(file)
    text = file.read_text()

    def types() -> list[str]:
        return [one.type for one in acceptance.reread((), LAST, names=())]

    assert types() == []
    file.write_text(text.replace("owner", "ownr"))
    assert [types(), types()] == [["SuppressionsInvalid"], []]
    file.write_text(text)
    assert types() == []
    file.unlink()
    (condition,) = acceptance.reread((), LAST, names=())
    assert condition.message.startswith(f"{file}: cannot be read")
    assert condition.message.endswith("what was read before still holds")


def test_a_file_that_is_invalid_at_the_start_is_an_error(tmp_path: Path) -> None:
    """A daemon that was given a wrong file does not start."""
    file = tmp_path / "none.yaml"
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read"):
        standing(file)


async def test_unused_entries_are_told_after_a_sweep(bench: Bench, tmp_path: Path) -> None:
    """An entry that matched nothing in a whole sweep is told by the next, once."""
    entry = {**GOOD, "kind": "ConfigMap", "paths": ["data.size"], "application": "shop"}
    other = {**entry, "application": "gone"}
    acceptance = standing(suppressions(tmp_path, entry, other))
    bench.reconciler._acceptance = acceptance
    await bench.sweep()
    names = bench.reconciler.known_names()

    def unused() -> list[str]:
        found = acceptance.reread(names, LAST, names=names)
        return [one.message.partition(" (")[0][-2:] + one.type for one in found]

    assert unused() == ["#1SuppressionUnused", "#2SuppressionApplicationUnknown"]
    assert unused() == []
