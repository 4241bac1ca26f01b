"""The recorded clusters as files."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from driftd.demo import recording
from driftd.demo.story import CLUSTERS, DEPLOYED, STEPS
from driftd.errors import ConfigError

NOW = datetime(2031, 7, 9, 6, 30, 0, tzinfo=UTC)


def last(one: recording.Recording) -> recording.State:
    """The cluster after all steps, all at `NOW`."""
    state = one.before
    for number in range(len(STEPS)):
        state = one.played(state, number, [NOW] * len(STEPS))
    return state


def test_times_move_to_the_present() -> None:
    """Every managed field was written within the story: at the deployment, or at a step."""
    ages = [
        NOW - datetime.fromisoformat(entry["time"])
        for one in recording.load(NOW).values()
        for listed in last(one).lists.values()
        for item in listed.items
        for entry in item["metadata"].get("managedFields", ())
        if "time" in entry  # the scale subresource leaves it out
    ]
    assert len(ages) > 200
    for age in ages:
        assert age == timedelta(0) or DEPLOYED - timedelta(hours=1) < age <= DEPLOYED


def test_only_fields_that_hold_times_of_the_cluster_move() -> None:
    """A time in a ConfigMap or an annotation of the user's is content and stays."""
    epoch = datetime(2026, 1, 1, tzinfo=UTC)
    text = '{"time":"2026-01-01T00:00:05Z","since":"2026-01-01T00:00:05Z","f:time":{}}'
    moved = recording.shifted(text, epoch, datetime(2026, 1, 3, tzinfo=UTC))
    assert orjson.loads(moved) == {
        "time": "2026-01-03T00:00:05Z",
        "since": "2026-01-01T00:00:05Z",
        "f:time": {},
    }


def test_each_step_changes_its_object() -> None:
    """Each step changes the story's object in its cluster, and no other object's spec or data."""
    recordings = recording.load(NOW)
    for number, step in enumerate(STEPS):
        for name, one in recordings.items():
            state = one.before
            for earlier in range(number):
                state = one.played(state, earlier, [NOW] * len(STEPS))
            now = one.played(state, number, [NOW] * len(STEPS))
            changed = _changed(state, now)
            if name != step.at.cluster:
                assert changed == set()
            else:
                assert (step.at.kind, step.at.namespace, step.at.name) in _touched(state, now)
                assert changed <= {(step.at.kind, step.at.namespace, step.at.name)}


def _touched(one: recording.State, other: recording.State) -> set[tuple[str, str, str]]:
    """Objects that differ in anything."""
    return _differences(one, other, lambda item: item)


def _changed(one: recording.State, other: recording.State) -> set[tuple[str, str, str]]:
    """Objects whose content differs."""
    return _differences(one, other, _content)


def _differences(
    one: recording.State, other: recording.State, view: Callable[[recording.Json], recording.Json]
) -> set[tuple[str, str, str]]:
    found = set()
    for path, before in one.lists.items():
        was = {recording.address(item): view(item) for item in before.items}
        now = {recording.address(item): view(item) for item in other.lists[path].items}
        found |= {
            (before.kind, *key) for key in was.keys() | now.keys() if was.get(key) != now.get(key)
        }
    return found


def _content(item: recording.Json) -> recording.Json:
    """An object without what controllers report."""
    return item and {key: item[key] for key in item if key not in ("metadata", "status")}


def test_recorded_lists_are_in_the_servers_order() -> None:
    """Pages can be cut from lists as they are: sorted by namespace and name, nothing twice."""
    recordings = recording.load(NOW)
    assert tuple(recordings) == CLUSTERS
    for one in recordings.values():
        for state in (one.before, last(one)):
            for entry in state.lists.values():
                addresses = [recording.address(item) for item in entry.items]
                assert addresses == sorted(set(addresses))


def test_files_are_small_and_hold_no_secret() -> None:
    """The committed recording is text below 1.5 MB without Secrets, certificates or tokens."""
    texts = [path.read_text() for path in recording.DATA.iterdir()]
    assert sum(len(text.encode()) for text in texts) < 1_500_000
    for text in texts:
        assert "BEGIN CERTIFICATE" not in text
        assert not re.search(r"\beyJ[A-Za-z0-9_-]{20,}", text)
    for one in recording.load(NOW).values():
        assert one.forbidden == {"/api/v1/secrets"}
        assert "/api/v1/secrets" not in one.before.lists


def test_damaged_recording_is_an_error_with_remedy(tmp_path: Path) -> None:
    """A missing or damaged file is told with its folder."""
    with pytest.raises(ConfigError, match=re.escape(str(tmp_path))):
        recording.load(NOW, tmp_path)
    (tmp_path / "shared.json").write_text("{")
    with pytest.raises(ConfigError, match="cannot be read"):
        recording.load(NOW, tmp_path)
