"""Backups of live manifests, encrypted: what opens, and what does not."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from driftd.errors import StoreError
from driftd.model.resource import ResourceKey
from driftd.store import backups
from driftd.store.backups import Backup
from driftd.store.envelope import Envelope, envelope_of
from driftd.store.sql import SqlStore

MANIFEST = b'{"kind":"Secret","data":{"password":"aHVudGVyMg=="}}'
KEY = bytes(range(32))
KEPT = Backup(
    id="3f2a91c4",
    application="argocd/shop",
    cluster="prod",
    server="https://prod:6443",
    key=ResourceKey("", "Secret", "shop", "database"),
    version="v1",
    at=datetime(2026, 3, 1, 12, 30, 0, 123456, tzinfo=UTC),
    plan="c0ffee",
)


@pytest.fixture
def envelope() -> Envelope:
    """One key."""
    return Envelope(KEY)


def refused(envelope: Envelope, row: bytes, sealed: bytes) -> str:
    """Why it does not open."""
    with pytest.raises(StoreError) as caught:
        envelope.open(row, sealed)
    return str(caught.value)


def test_what_is_sealed_opens_and_cannot_be_read(envelope: Envelope) -> None:
    """The content comes back byte for byte, and no piece of it stands in the database."""
    sealed = envelope.seal(KEPT.row, MANIFEST)
    assert envelope.open(KEPT.row, sealed) == MANIFEST
    assert not any(MANIFEST[at : at + 6] in sealed for at in range(len(MANIFEST) - 6))
    assert envelope.open(b"row", envelope.seal(b"row", b"")) == b""


def test_it_is_aes_256_gcm_under_a_key_by_hkdf(envelope: Envelope) -> None:
    """What `cryptography` makes of the documented parts alone opens it: nothing is home-made."""
    sealed = envelope.seal(KEPT.row, MANIFEST)
    key = HKDF(SHA256(), length=32, salt=None, info=b"driftd backup AES-256-GCM").derive(KEY)
    version, nonce, rest = sealed[:1], sealed[1:13], sealed[13:]
    assert version == b"\x02"
    assert AESGCM(key).decrypt(nonce, rest, version + KEPT.row) == MANIFEST


def test_no_nonce_comes_twice(envelope: Envelope) -> None:
    """The same content under the same name is another ciphertext each time."""
    assert len({envelope.seal(b"row", MANIFEST)[1:13] for _ in range(200)}) == 200


def test_every_changed_byte_is_refused(envelope: Envelope) -> None:
    """Version, nonce, ciphertext and tag: a change of any byte, or a cut, does not open."""
    sealed = envelope.seal(KEPT.row, MANIFEST)
    for at in range(1, len(sealed)):
        changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        assert "was changed" in refused(envelope, KEPT.row, changed)
    for cut in range(1, len(sealed)):
        assert "was changed" in refused(envelope, KEPT.row, sealed[:cut])
    assert "was changed" in refused(envelope, KEPT.row, sealed + b"\0")


def test_another_key_is_refused(envelope: Envelope) -> None:
    """A key that differs in one bit opens nothing."""
    sealed = envelope.seal(KEPT.row, MANIFEST)
    assert "another key" in refused(Envelope(bytes([1]) + KEY[1:]), KEPT.row, sealed)


@pytest.mark.parametrize("name", [name for name in Backup.__struct_fields__ if name != "key"])
def test_a_row_that_was_changed_or_moved_is_refused(envelope: Envelope, name: str) -> None:
    """What stands beside the manifest is bound to it: it cannot be sent to another place."""
    was = getattr(KEPT, name)
    other = was + timedelta(microseconds=1) if isinstance(was, datetime) else was + "x"
    moved = msgspec.structs.replace(KEPT, **{name: other})
    assert "was changed" in refused(envelope, moved.row, envelope.seal(KEPT.row, MANIFEST))


@pytest.mark.parametrize("name", ResourceKey.__struct_fields__)
def test_the_manifest_of_one_object_is_none_of_another(envelope: Envelope, name: str) -> None:
    """Group, kind, namespace and name are bound too."""
    other = msgspec.structs.replace(KEPT.key, **{name: "x"})
    moved = msgspec.structs.replace(KEPT, key=other)
    assert "was changed" in refused(envelope, moved.row, envelope.seal(KEPT.row, MANIFEST))


def test_the_zone_in_which_a_database_tells_times_is_no_matter(envelope: Envelope) -> None:
    """PostgreSQL gives the same instant in the zone of its session."""
    there = KEPT.at.astimezone(timezone(timedelta(hours=2)))
    read = msgspec.structs.replace(KEPT, at=there)
    assert envelope.open(read.row, envelope.seal(KEPT.row, MANIFEST)) == MANIFEST


async def test_a_row_that_the_database_gives_back_opens(envelope: Envelope, dsn: str) -> None:
    """Each database keeps what is bound exactly, to the microsecond."""
    store = await SqlStore.open(dsn)
    try:
        sealed = envelope.seal(KEPT.row, MANIFEST)
        await store.change("test", lambda connection: backups.put(connection, KEPT, sealed))
        rows = await store.ask("test", lambda connection: backups.get(connection, KEPT.id))
    finally:
        await store.close()
    assert [envelope.open(row.row, content) for row, content in rows] == [MANIFEST]


@pytest.mark.parametrize("sealed", [b"", b"\x01" + bytes(120), b"\x03" + bytes(120)])
def test_another_version_is_named(envelope: Envelope, sealed: bytes) -> None:
    """What an earlier or later driftd kept is refused as such."""
    assert "another version of driftd" in refused(envelope, KEPT.row, sealed)


def test_a_key_is_made_once_and_shows_nowhere(tmp_path: Path) -> None:
    """The file is its owner's alone; `repr` has nothing of it."""
    path = tmp_path / "new" / "key"
    first = envelope_of(path, make=True)
    assert path.stat().st_mode & 0o777 == 0o600
    sealed = envelope_of(path, make=True).seal(b"row", MANIFEST)
    assert first.open(b"row", sealed) == MANIFEST
    assert path.read_bytes().hex() not in repr(vars(type(first))) + repr(first)


@pytest.mark.parametrize(
    ("content", "mode", "says"),
    [
        (KEY[:31], 0o600, "has fewer than 32 bytes"),
        (KEY, 0o640, "can be read by others"),
        (None, 0, "cannot read the key"),
    ],
)
def test_a_file_that_is_no_key_is_refused(
    tmp_path: Path, content: bytes | None, mode: int, says: str
) -> None:
    """The message names the file and what is wrong with it."""
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    with pytest.raises(StoreError, match=says) as caught:
        envelope_of(path, make=False)
    assert str(path) in str(caught.value)


def test_looking_never_imports_it() -> None:
    """What `driftd check`, `run` and `restore` load holds no cryptography before a key is used."""
    program = (
        "import sys, driftd.controller.check, driftd.controller.journal, driftd.acting\n"
        "import driftd.store.envelope, driftd.cli.main\n"
        "sys.exit('cryptography' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)
    assert done.returncode == 0
