"""The signed parts of commits and tags."""

from __future__ import annotations

import hashlib
import random

import pytest

from driftd.errors import VerificationError
from driftd.model.gitobject import GitObject
from driftd.verify.signed import LARGEST, read_object
from tests.testbed.signing import SignedRepo
from tests.unit.verify.conftest import People

HEAD = "tree " + "a" * 40 + "\nauthor A <a@x> 1 +0000\ncommitter C <c@x> 1 +0000\n"


def _stored(repo: SignedRepo, oid: str, kind: str = "commit") -> GitObject:
    return GitObject(oid, kind, repo.git("cat-file", kind, oid).encode())


def _object(text: str | bytes, kind: str = "commit", algorithm: str = "sha1") -> GitObject:
    data = text.encode() if isinstance(text, str) else text
    digest = hashlib.new(algorithm, f"{kind} {len(data)}\0".encode() + data).hexdigest()
    return GitObject(digest, kind, data)


def test_payload_is_the_commit_without_its_signature(repo: SignedRepo, people: People) -> None:
    """Taking the signature's header out leaves exactly the bytes of the unsigned commit."""
    repo.write("a", "1")
    oid = repo.signed_commit("One\n\nMore text.", people.home, people.alice)
    stored = _stored(repo, oid)
    signed = read_object(stored)
    assert signed.signature.startswith(b"-----BEGIN PGP SIGNATURE-----\n\n")
    assert signed.signature.endswith(b"-----END PGP SIGNATURE-----\n")
    assert b"gpgsig" not in signed.payload
    lines = stored.data.split(b"\n")
    begin = next(n for n, line in enumerate(lines) if line.startswith(b"gpgsig "))
    end = next(n for n, line in enumerate(lines) if line == b" -----END PGP SIGNATURE-----")
    assert signed.payload == b"\n".join(lines[:begin] + lines[end + 1 :])
    assert signed.who == "Platform Team <platform@example.com>"


def test_unsigned_commit_and_its_parents(repo: SignedRepo) -> None:
    """A commit without a signature has none, and its payload is all of it."""
    first, second = repo.commit("One"), repo.commit("Two")
    stored = _stored(repo, second)
    signed = read_object(stored)
    assert (signed.signature, signed.parents) == (b"", (first,))
    assert signed.payload == stored.data


def test_tag_is_cut_at_its_signature(repo: SignedRepo, people: People) -> None:
    """A tag's signature is the end of its text; name and target stand in the signed part."""
    commit = repo.commit("One")
    oid = repo.signed_tag("v1", people.home, people.alice)
    signed = read_object(_stored(repo, oid, "tag"))
    assert (signed.name, signed.target, signed.target_kind) == ("v1", commit, "commit")
    assert signed.payload.endswith(b"\n\nRelease v1\n")
    assert signed.signature.startswith(b"-----BEGIN PGP SIGNATURE-----")


def test_every_change_of_a_byte_is_noticed(repo: SignedRepo, people: People) -> None:
    """An object with another byte, or fewer, is not the one of its id (S-15)."""
    stored = _stored(repo, repo.signed_commit("One", people.home, people.alice))
    chosen = random.Random(6)  # noqa: S311 - a test repeats itself
    for _ in range(300):
        at = chosen.randrange(len(stored.data))
        other = bytearray(stored.data)
        other[at] ^= 1 << chosen.randrange(8)
        for data in (bytes(other), stored.data[:at]):
            with pytest.raises(VerificationError, match="does not have the content"):
                read_object(GitObject(stored.id, "commit", data))


def test_kind_belongs_to_the_id(repo: SignedRepo) -> None:
    """The same bytes under another kind are another object."""
    stored = _stored(repo, repo.commit("One"))
    with pytest.raises(VerificationError, match="does not have the content"):
        read_object(GitObject(stored.id, "tag", stored.data))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (HEAD + "gpgsig one\ngpgsig two\n\nText\n", "more than one signature"),
        (HEAD, "cut off"),
        (" x\n" + HEAD + "\nText\n", "continuation line"),
        (HEAD + "tree " + "b" * 40 + "\n\nText\n", "not a well-formed commit"),
        (HEAD + "parent ../x\n\nText\n", "not a well-formed commit"),
        ("author A <a@x> 1 +0000\n\nText\n", "not a well-formed commit"),
        (HEAD + "\n" + "x" * LARGEST, "larger than"),
    ],
)
def test_odd_commits_are_refused(text: str, problem: str) -> None:
    """What Git would not write is not guessed at."""
    with pytest.raises(VerificationError, match=problem):
        read_object(_object(text))


def test_signature_of_the_other_hash_is_not_covered() -> None:
    """In a SHA-1 repository a `gpgsig-sha256` header is left out of the payload, as Git does."""
    found = read_object(_object(HEAD + "gpgsig-sha256 x\n y\nencoding UTF-8\n\nText\n"))
    assert found.signature == b""
    assert found.payload == (HEAD + "encoding UTF-8\n\nText\n").encode()


def test_sha256_commits_have_their_own_header() -> None:
    """In a SHA-256 repository the signature is `gpgsig-sha256`."""
    head = HEAD.replace("a" * 40, "a" * 64)
    found = read_object(_object(head + "gpgsig-sha256 x\n y\n\nText\n", algorithm="sha256"))
    assert (found.signature, found.payload) == (b"x\ny\n", (head + "\nText\n").encode())


@pytest.mark.parametrize(
    ("message", "sealed"),
    [
        ("Seal\n\nArgocd-gpg-seal: reviewed by the team\n", True),
        ("Seal\n\nSigned-off-by: A <a@x>\nargocd-GPG-seal: yes\n", True),
        ("Seal\n\nArgocd-gpg-seal:\n", False),
        ("Argocd-gpg-seal: in the subject\n", False),
        ("Do not use\n\nArgocd-gpg-seal: like this\n\nSigned-off-by: A <a@x>\n", False),
        ("Seal\n\n> Argocd-gpg-seal: quoted\n", False),
    ],
)
def test_seal_is_a_trailer_with_a_reason(message: str, sealed: bool) -> None:
    """Only the message's last paragraph seals, and only with a justification."""
    assert read_object(_object(f"{HEAD}\n{message}")).sealed is sealed


def test_names_cannot_command_a_terminal() -> None:
    """Control characters of a committer's name are not told."""
    head = HEAD.replace("committer C", "committer \x1b[31mC")
    assert read_object(_object(f"{head}\nText\n")).who == "[31mC <c@x>"
