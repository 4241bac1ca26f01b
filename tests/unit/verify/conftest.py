"""Keys of people, made once by the real gpg and ssh-keygen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from driftd.verify.keys import KeySet, keys_of_map
from tests.testbed.signing import GpgHome, SignedRepo, SshKey


@dataclass(frozen=True, slots=True)
class People:
    """Alice and Bob sign, Old's key has expired, Rita's was revoked, Sue signs with a subkey."""

    home: GpgHome
    alice: str
    bob: str
    old: str
    rita: str
    sue: str
    sues_subkey: str
    keys: KeySet
    """The public keys of all of them, as they are now."""


@pytest.fixture(scope="session")
def people() -> Iterator[People]:
    """The keys; the agent that gpg needs to make them ends with the tests."""
    with GpgHome() as home:
        alice, bob, rita, sue = (home.key(name) for name in ("Alice", "Bob", "Rita", "Sue"))
        old = home.key("Old", time="20240101T000000", expires="1d")
        subkey = home.subkey(sue)
        yield People(home, alice, bob, old, rita, sue, subkey, _revoked(home, rita))


def _revoked(home: GpgHome, rita: str) -> KeySet:
    """The public keys with Rita's revoked; in the home she can go on signing."""
    with GpgHome() as other:
        other.gpg("--import", stdin=home.public().encode())
        certificate = (home.path / "openpgp-revocs.d" / f"{rita}.rev").read_text()
        other.gpg("--import", stdin=certificate.replace(":-----BEGIN", "-----BEGIN").encode())
        return keys_of_map({"all": other.public()}, "argocd-gpg-keys-cm")


@pytest.fixture
def repo(tmp_path: Path) -> SignedRepo:
    """An empty repository."""
    return SignedRepo(tmp_path / "repo")


@pytest.fixture(scope="session")
def carol(tmp_path_factory: pytest.TempPathFactory) -> SshKey:
    """Carol's SSH key."""
    return SshKey(tmp_path_factory.mktemp("ssh"), "carol")
