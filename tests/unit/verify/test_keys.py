"""Folders and ConfigMaps of public keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftd.errors import VerificationError
from driftd.verify.keys import KeySet, keys_of_map, read_folder
from driftd.verify.openpgp import public_keys
from tests.unit.verify.conftest import People


def test_folder_of_keys(people: People, tmp_path: Path) -> None:
    """Armoured and binary keys and SSH signers are read; other files are left alone."""
    (tmp_path / "alice.asc").write_text(people.home.public("Alice"))
    (tmp_path / "bob.gpg").write_bytes(people.home.gpg("--export", "Bob"))
    (tmp_path / "allowed_signers").write_text("carol ssh-ed25519 AAAA\n")
    (tmp_path / "README.md").write_text("-----BEGIN nothing")
    (tmp_path / ".hidden.asc").write_text("rubbish")
    found = read_folder(tmp_path)
    expected = people.home.gpg("--export", "Alice") + people.home.gpg("--export", "Bob")
    assert found.openpgp == expected
    assert found.allowed_signers == b"carol ssh-ed25519 AAAA\n"
    assert (found.problems, found.places) == ((), (str(tmp_path),))


def test_bad_files_are_problems_of_their_own(people: People, tmp_path: Path) -> None:
    """A private key or rubbish among the keys is named, and the others count."""
    (tmp_path / "alice.asc").write_text(people.home.public("Alice"))
    (tmp_path / "bob.gpg").write_bytes(people.home.gpg("--export-secret-keys", "Bob"))
    (tmp_path / "broken.asc").write_text("rubbish")
    found = read_folder(tmp_path)
    assert found.openpgp == public_keys(people.home.public("Alice").encode())
    assert [text.partition(": ")[2] for text in found.problems] == [
        "it holds a private key, which has no business there",
        "it holds no public key",
    ]


def test_missing_folder_is_an_error(tmp_path: Path) -> None:
    """A folder that is not there never means: no keys."""
    with pytest.raises(VerificationError, match="cannot be read"):
        read_folder(tmp_path / "none")


def test_config_map(people: People) -> None:
    """The entries of argocd-gpg-keys-cm are one key each; a broken one names itself."""
    found = keys_of_map({"AB": people.home.public("Alice"), "CD": "rubbish"}, "argocd-gpg-keys-cm")
    assert found.openpgp == public_keys(people.home.public("Alice").encode())
    (problem,) = found.problems
    assert "'CD' of argocd-gpg-keys-cm" in problem


def test_joined_sets_hold_all() -> None:
    """Keys of a hub and of a folder count together."""
    one = KeySet(b"a", b"carol x", b"", ("cm",), ("bad",))
    other = KeySet(b"b", b"dave y\n", b"r", ("folder",))
    assert one.joined(other) == KeySet(
        b"ab", b"carol x\ndave y\n", b"r", ("cm", "folder"), ("bad",)
    )
