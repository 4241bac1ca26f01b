"""Repositories that declare Applications, held to the signatures that the settings demand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from driftd.controller.homes import trusted_homes
from driftd.controller.integrity import REFUSED, Integrity
from driftd.errors import VerificationError
from driftd.model.project import SignatureDemand, SignatureMode
from driftd.source.repositories import Home, Repositories
from tests.testbed.signing import GpgHome, SignedRepo

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home() -> Iterator[GpgHome]:
    """Alice's key."""
    with GpgHome() as found:
        found.key("Alice")
        yield found


@pytest.fixture
def keyring(home: GpgHome, tmp_path: Path) -> Path:
    """A folder with it."""
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "alice.asc").write_text(home.public("Alice"))
    return folder


def _repo(path: Path) -> SignedRepo:
    repo = SignedRepo(path)
    repo.write("a.yaml", "a: 1\n")
    repo.commit("Unsigned")
    return repo


async def _workspace(keyring: Path, *homes: Home) -> Any:
    repositories = await Repositories.open([], homes=homes)
    return SimpleNamespace(repositories=repositories, integrity=Integrity(keyring), hub=None)


def _demand(home: GpgHome, mode: SignatureMode = SignatureMode.HEAD) -> SignatureDemand:
    return SignatureDemand(project="", mode=mode, keys=(home.fingerprint("Alice")[-16:],))


async def test_unsigned_home_does_not_count(home: GpgHome, keyring: Path, tmp_path: Path) -> None:
    """Of two repositories the one that is not signed as demanded is left out, and told."""
    one, other = _repo(tmp_path / "one"), _repo(tmp_path / "other")
    signed = Home(path=str(one.path), demand=_demand(home))
    free = Home(path=str(other.path))
    readings, told = await trusted_homes(await _workspace(keyring, signed, free))
    assert [reading.revision for reading in readings] == [other.head]
    (condition,) = told
    assert condition.type == REFUSED
    assert condition.message.startswith(f"repository {one.path}: revision {one.head[:12]} is not ")
    assert "as the settings demand (mode head)" in condition.message
    one.signed_commit("Signed", home, home.fingerprint("Alice"))
    readings, told = await trusted_homes(await _workspace(keyring, signed, free))
    assert ([reading.revision for reading in readings], told) == ([one.head, other.head], [])


async def test_without_any_home_nothing_counts(
    home: GpgHome, keyring: Path, tmp_path: Path
) -> None:
    """Where the only repository is refused that is an error, so that all stays as it was."""
    repo = _repo(tmp_path / "one")
    repo.signed_commit("Signed", home, home.fingerprint("Alice"))
    strict = Home(path=str(repo.path), demand=_demand(home, SignatureMode.STRICT))
    with pytest.raises(VerificationError, match="mode strict"):
        await trusted_homes(await _workspace(keyring, strict))


async def test_home_at_a_signed_tag(home: GpgHome, keyring: Path, tmp_path: Path) -> None:
    """A repository that is read at an annotated tag is held to the tag's signature."""
    repo = _repo(tmp_path / "one")
    repo.signed_tag("v1", home, home.fingerprint("Alice"))
    tagged = Home(path=str(repo.path), revision="v1", demand=_demand(home))
    readings, told = await trusted_homes(await _workspace(keyring, tagged))
    assert (len(readings), told) == (1, [])


async def test_keys_that_cannot_be_read_refuse(
    home: GpgHome, keyring: Path, tmp_path: Path
) -> None:
    """Without the folder of keys no revision counts."""
    repo = _repo(tmp_path / "one")
    repo.signed_commit("Signed", home, home.fingerprint("Alice"))
    demanding = Home(path=str(repo.path), demand=_demand(home))
    with pytest.raises(VerificationError, match="cannot be verified: the keyring folder"):
        await trusted_homes(await _workspace(keyring / "none", demanding))
