"""S-70: what healing a Secret leaves on record and in the database says nothing of its value."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from driftd.store.sql import SqlStore
from tests.unit.controller.conftest import World
from tests.unit.controller.test_looked_after import Ledgered
from tests.unit.controller.test_reconciler import SELF_HEAL

pytestmark = pytest.mark.slow

GIT_PIN = "7305"
VOLATILE = ("id", "seq", "previous", "at", "plan")
"""What differs between two entries about the same; the plan names the object's version."""


def secret(pin: str) -> dict[str, Any]:
    """A Secret with a PIN of four digits."""
    data = {"pin": base64.b64encode(pin.encode()).decode()}
    metadata = {"name": "login", "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


@pytest.fixture
async def bench(world: World, tmp_path: Path) -> AsyncIterator[Ledgered]:
    """The application `shop` with a Secret, opened for healing, on a SQLite store."""
    world.declare("shop", syncPolicy=SELF_HEAL)
    world.repo.write("apps/shop/secret.json", json.dumps(secret(GIT_PIN)))
    world.repo.commit()
    store = await SqlStore.open(f"sqlite:///{tmp_path}/driftd.db")
    found = Ledgered(world, store, tmp_path)
    found.open()
    yield found
    await store.close()


async def healed(bench: Ledgered, pin: str) -> list[dict[str, Any]]:
    """Let somebody change the PIN, heal it, and give what that put on the record."""
    before = len(await bench.told())
    bench.world.clusters.one.put(secret(pin), manager="kubectl-edit", operation="Update")
    await bench.sweep()
    live = bench.world.clusters.one.read("Secret", "shop", "login")
    assert live["data"] == secret(GIT_PIN)["data"]
    await bench.sweep()
    entries = (await bench.told())[before:]
    assert [one["kind"] for one in entries] == ["intent", "result", "health"]
    return [{k: v for k, v in one.items() if k not in VOLATILE} for one in entries]


def fingerprints(pin: str) -> Iterator[bytes]:
    """What an attacker with the database would look for, for one guess."""
    encoded = base64.b64encode(pin.encode()).decode()
    for text in (pin, encoded, f'"{pin}"', f'"{encoded}"', json.dumps({"pin": encoded})):
        data = text.encode()
        for name in ("md5", "sha1", "sha256", "sha512", "blake2b", "blake2s", "sha3_256"):
            digest = hashlib.new(name, data).digest()
            yield digest
            yield digest.hex().encode()
            yield base64.b64encode(digest)
        for size in (8, 16, 20, 32):
            yield hashlib.blake2b(data, digest_size=size).digest()
            yield hashlib.blake2b(data, digest_size=size).hexdigest().encode()


def files_of(folder: Path) -> bytes:
    """Every byte of the store."""
    return b"".join(one.read_bytes() for one in folder.glob("driftd.db*"))


async def test_the_record_of_a_secret_does_not_depend_on_its_value(bench: Ledgered) -> None:
    """A, B, A again, and a longer one: the entries are the same, so none tells them apart."""
    bench.world.clusters.one.put(secret(GIT_PIN))
    await bench.sweep()
    told = [await healed(bench, pin) for pin in ("1111", "2222", "1111", "a-longer-one-9999")]
    assert told[0] == told[1] == told[2] == told[3]
    (change,) = told[0][0]["changes"]
    assert change == {"path": "/data/pin", "before": {"masked": True}, "after": {"masked": True}}


async def test_no_guess_can_be_confirmed_by_the_database(bench: Ledgered, tmp_path: Path) -> None:
    """No plain digest of either PIN, in any spelling, is in any file of the store."""
    bench.world.clusters.one.put(secret(GIT_PIN))
    await bench.sweep()
    await healed(bench, "4821")
    await bench.store.close()
    content = files_of(tmp_path)
    assert b"/data/pin" in content
    found = [
        print_ for pin in ("4821", GIT_PIN) for print_ in fingerprints(pin) if print_ in content
    ]
    assert found == []
    for pin in ("4821", GIT_PIN):
        assert base64.b64encode(pin.encode()) not in content
