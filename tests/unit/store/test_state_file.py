"""The state file of `check`: what it keeps, what it refuses, and two looks at once."""

from __future__ import annotations

import fcntl
import os
import stat
import threading
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from driftd.errors import StateError
from driftd.model.resource import ResourceKey
from driftd.store import state_file
from driftd.store.protocol import Memory
from driftd.store.state_file import KEPT, StateFile
from driftd.store.types import ApplicationMemory
from tests.unit.reports import START, after

NAME, CLUSTER = "argocd/shop", "https://one"
WEB = ResourceKey("apps", "Deployment", "shop", "web")
SETTINGS = ResourceKey("", "ConfigMap", "shop", "settings")


def left(*revisions: str, cluster: str = CLUSTER, **objects: bytes) -> ApplicationMemory:
    """What a look leaves behind of `web` and `settings`."""
    names = {"web": WEB, "settings": SETTINGS}
    return ApplicationMemory(
        cluster=cluster,
        clean_revisions=revisions,
        objects={names[name]: data for name, data in objects.items()},
    )


def saved(path: Path, now: datetime = START, name: str = NAME, **memory: bytes) -> StateFile:
    """A file after one look."""
    state = StateFile(path)
    state.remember(name, left("abc", **memory))
    state.save(now)
    return state


async def known(path: Path, name: str = NAME, cluster: str = CLUSTER) -> ApplicationMemory:
    """What the file gives to the next look."""
    memory: Memory = StateFile(path)
    return await memory.recall(cluster, name)


async def test_what_a_look_leaves_behind_is_given_to_the_next(tmp_path: Path) -> None:
    """Objects and revisions survive; an object that a look did not see stays as it was."""
    path = tmp_path / "state"
    assert StateFile(path).is_new
    assert await known(path) == left()
    saved(path, web=b"1", settings=b"\x00\xff")
    state = StateFile(path)
    assert await state.recall(CLUSTER, NAME, [WEB]) == left("abc", web=b"1")
    assert not state.is_new
    state.remember(NAME, left(web=b"2"))
    state.save(after(60))
    assert await known(path) == left("abc", web=b"2", settings=b"\x00\xff")
    assert dict(StateFile(path).memories()) == {NAME: await known(path)}
    assert await known(path, cluster="https://two") == left(cluster="https://two")


def test_nothing_is_kept_until_it_is_saved(tmp_path: Path) -> None:
    """A look that failed leaves nothing behind."""
    path = tmp_path / "state"
    StateFile(path).remember(NAME, left(web=b"1"))
    assert not path.exists()


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    """File and lock are the owner's, and no temporary file stays."""
    path = tmp_path / "state"
    saved(path, web=b"1")
    saved(path, web=b"2")
    modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in tmp_path.iterdir()}
    assert modes == {"state": 0o600, "state.lock": 0o600}


async def test_two_looks_at_once(tmp_path: Path) -> None:
    """Looks at two applications that began with the same file both count."""
    path = tmp_path / "state"
    one, other = StateFile(path), StateFile(path)
    one.remember(NAME, left(web=b"1"))
    other.remember("argocd/api", left(web=b"2"))
    one.save(START)
    other.save(START)
    assert (await known(path)).objects == {WEB: b"1"}
    assert (await known(path, "argocd/api")).objects == {WEB: b"2"}


async def test_what_nobody_sees_any_more_is_forgotten(tmp_path: Path) -> None:
    """An object that is gone is remembered for thirty days, its application as long."""
    path = tmp_path / "state"
    saved(path, web=b"1", settings=b"1")
    saved(path, START + timedelta(days=20), web=b"2")
    assert set((await known(path)).objects) == {WEB, SETTINGS}
    saved(path, START + KEPT + timedelta(days=1), name="argocd/api", web=b"3")
    assert set((await known(path)).objects) == {WEB}
    saved(path, START + 3 * KEPT, name="argocd/api", web=b"3")
    assert [name for name, _ in StateFile(path).memories()] == ["argocd/api"]


def damaged(path: Path, how: str) -> None:
    """Damage a saved file."""
    content = path.read_bytes()
    head, _, payload = content.partition(b"\n")
    path.write_bytes(
        {
            "cut": content[:-1],
            "changed": content[:-1] + bytes([content[-1] ^ 1]),
            "head alone": head,
            "empty": b"",
            "another file": b"apiVersion: v1\nkind: ConfigMap\n",
            "newer": content.replace(b"driftd-state 1 ", b"driftd-state 2 "),
            "wrong content": state_file._head(b"\x01") + b"\x01",
            "no digest": b"driftd-state 1\n" + payload,
        }[how]
    )


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("cut", "is damaged"),
        ("changed", "is damaged"),
        ("head alone", "is damaged"),
        ("empty", "no state of driftd"),
        ("another file", "no state of driftd"),
        ("newer", "has format 2"),
        ("wrong content", "is damaged"),
        ("no digest", "no state of driftd"),
    ],
)
def test_damage_is_refused_and_never_overwritten(tmp_path: Path, how: str, text: str) -> None:
    """Whatever cannot be read is an error with a remedy, at the start and at the end of a look."""
    path = tmp_path / "state"
    state = saved(path, web=b"1")
    damaged(path, how)
    before = path.read_bytes()
    with pytest.raises(StateError, match=text) as raised:
        StateFile(path)
    assert str(path) in str(raised.value)
    assert raised.value.hint
    with pytest.raises(StateError, match=text):
        state.save(after(60))
    assert path.read_bytes() == before


@pytest.mark.parametrize("place", ["missing/state", "file/state", "folder"])
def test_places_that_cannot_hold_a_state(tmp_path: Path, place: str) -> None:
    """A folder that is not there, a file as folder and a folder as file are told at the start."""
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StateError, match="cannot be") as raised:
        StateFile(tmp_path / place)
    assert raised.value.hint


def test_a_lock_that_stays_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who holds the lock too long makes the look fail, with what to do."""
    monkeypatch.setattr(state_file, "_LOCK_SECONDS", 0.1)
    path = tmp_path / "state"
    saved(path, web=b"1")
    handle = os.open(f"{path}.lock", os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(StateError, match="held by another process"):
            StateFile(path)
    finally:
        os.close(handle)
    assert not StateFile(path).is_new


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    """A look waits for another one that is just writing."""
    path = tmp_path / "state"
    saved(path, web=b"1")
    handle = os.open(f"{path}.lock", os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX)
    found: list[bool] = []
    waiting = threading.Thread(target=lambda: found.append(StateFile(path).is_new))
    waiting.start()
    assert found == []
    os.close(handle)
    waiting.join(timeout=9)
    assert found == [False]
