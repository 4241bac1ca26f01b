"""Signatures judged by the real gpgv and ssh-keygen."""

from __future__ import annotations

import os
import random
from pathlib import Path

import msgspec
import pytest

from driftd.errors import VerificationError
from driftd.verify import tools
from driftd.verify.keys import KeySet
from driftd.verify.outcome import Finding, Outcome, allows
from driftd.verify.tools import missing_tools, openpgp_finding, read_status, ssh_finding
from tests.testbed.signing import SshKey
from tests.unit.verify.conftest import People

pytestmark = pytest.mark.slow

DATA = b"tree 1\n\nText\n"


def _signers(*lines: str, revoked: str = "") -> KeySet:
    return KeySet(allowed_signers="\n".join(lines).encode(), revoked=revoked.encode())


async def test_good_signature_names_its_key(people: People) -> None:
    """A good signature has the fingerprint of the key that made it."""
    signature = people.home.detached(people.alice, DATA)
    found = await openpgp_finding(DATA, signature, people.keys)
    assert found == Finding(Outcome.GOOD, people.alice, people.alice)


async def test_subkey_belongs_to_its_primary_key(people: People) -> None:
    """A policy may name the subkey that signed, or the key that it belongs to."""
    signature = people.home.detached(f"{people.sues_subkey}!", DATA)
    found = await openpgp_finding(DATA, signature, people.keys)
    assert (found.outcome, found.names) == (Outcome.GOOD, (people.sues_subkey, people.sue))
    assert allows((people.sue[-16:],), found)
    assert allows((people.sues_subkey.lower(),), found)
    assert not allows((people.alice,), found)


async def test_expired_and_revoked_keys(people: People) -> None:
    """Signatures by keys that have expired or were revoked since are told as such."""
    expired = people.home.detached(people.old, DATA, time="20240101T100000")
    revoked = people.home.detached(people.rita, DATA)
    assert (await openpgp_finding(DATA, expired, people.keys)).outcome is Outcome.EXPIRED_KEY
    assert (await openpgp_finding(DATA, revoked, people.keys)).outcome is Outcome.REVOKED_KEY


async def test_expired_signature(people: People) -> None:
    """A signature may itself have a last day."""
    signature = people.home.gpg(
        "--faked-system-time=20260102T000000!", "--default-sig-expire=1d", "--armor",
        "--detach-sign", "--local-user", people.sue, "--output", "-",
        "--ignore-time-conflict", stdin=DATA,
    )  # fmt: skip
    found = await openpgp_finding(DATA, signature, people.keys)
    assert found.outcome in {Outcome.EXPIRED_SIGNATURE, Outcome.UNSUPPORTED}
    assert found.outcome is not Outcome.GOOD


@pytest.mark.parametrize("keyring", [False, True])
async def test_unknown_key(people: People, keyring: bool) -> None:
    """A key that is not known is named; with no key at all, too."""
    from driftd.verify.keys import keys_of_map

    keys = keys_of_map({"b": people.home.public("Bob")}, "cm") if keyring else KeySet()
    found = await openpgp_finding(DATA, people.home.detached(people.alice, DATA), keys)
    assert (found.outcome, found.key) == (Outcome.UNKNOWN_KEY, people.alice)


async def test_changed_content_is_a_bad_signature(people: People) -> None:
    """A signature of other bytes is bad, and the key that it names is told."""
    signature = people.home.detached(people.alice, DATA)
    found = await openpgp_finding(DATA + b"x", signature, people.keys)
    assert found.outcome is Outcome.BAD
    assert people.alice.endswith(found.key)


async def test_no_tampered_signature_is_good(people: People) -> None:
    """Flipped bits, cut ends and foreign bytes: whatever gpgv says of them, it is not good."""
    from driftd.verify.openpgp import detached_signature

    whole = detached_signature(people.home.detached(people.alice, DATA))
    chosen = random.Random(6)  # noqa: S311 - a test repeats itself
    for _ in range(60):
        other = bytearray(whole)
        other[chosen.randrange(2, len(other))] ^= 1 << chosen.randrange(8)
        found = await tools._gpgv(DATA, bytes(other), people.keys.openpgp)
        hashed_part_untouched = found.outcome is Outcome.GOOD
        if hashed_part_untouched:
            # The unhashed area may be changed by anybody: it says nothing that counts.
            assert found.key == people.alice
        changed = await tools._gpgv(DATA + b" ", bytes(other), people.keys.openpgp)
        assert changed.outcome is not Outcome.GOOD


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["GOODSIG A B"],
        ["NEWSIG", "GOODSIG A B", "VALIDSIG F d t 0 4 0 22 8 00 F", "BADSIG A B"],
        ["NEWSIG", "NEWSIG", "GOODSIG A B", "VALIDSIG F d t 0 4 0 22 8 00 F"],
        [
            "NEWSIG",
            "GOODSIG A B",
            "VALIDSIG F d t 0 4 0 22 8 00 F",
            "VALIDSIG G d t 0 4 0 22 8 00 G",
        ],
        ["NEWSIG", "VALIDSIG F d t 0 4 0 22 8 00 F"],
        ["NEWSIG", "ERRSIG A 22 8 00 1 9 -", "NO_PUBKEY A"],
    ],
)
def test_only_one_clear_verdict_is_good(lines: list[str]) -> None:
    """Several verdicts, none, or one without its key are not good, whatever the exit code."""
    text = "".join(f"[GNUPG:] {line}\n" for line in lines)
    assert read_status(text, 0).outcome is not Outcome.GOOD


def test_exit_code_counts() -> None:
    """A good verdict of a gpgv that ended with an error is not good."""
    text = "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG A B\n[GNUPG:] VALIDSIG F d t 0 4 0 22 8 00 F\n"
    assert read_status(text, 0).outcome is Outcome.GOOD
    assert read_status(text, 2).outcome is Outcome.MALFORMED


async def test_ssh_signature(carol: SshKey) -> None:
    """An SSH signature by a listed key is good; the fingerprint is ssh-keygen's."""
    keys = _signers(f'carol@example.com namespaces="git" {carol.public}')
    found = await ssh_finding(DATA, carol.signature(DATA), keys)
    assert found == Finding(Outcome.GOOD, carol.fingerprint)
    assert allows((carol.fingerprint,), found)
    assert not allows((carol.fingerprint.lower(),), found)


async def test_ssh_failures(carol: SshKey, tmp_path: Path) -> None:
    """Other content, another purpose, unknown, expired and revoked keys each have their name."""
    dave = SshKey(tmp_path, "dave")
    listed = f"carol {carol.public}"
    outcomes = {
        "other content": (DATA + b"x", carol.signature(DATA), _signers(listed)),
        "for files": (DATA, carol.signature(DATA, "file"), _signers(listed)),
        "unknown": (DATA, dave.signature(DATA), _signers(listed)),
        "none known": (DATA, dave.signature(DATA), KeySet()),
        "expired": (
            DATA,
            carol.signature(DATA),
            _signers(f'carol valid-before="20240101" {carol.public}'),
        ),
        "revoked": (DATA, carol.signature(DATA), _signers(listed, revoked=carol.public)),
        "cut off": (DATA, carol.signature(DATA)[:-60], _signers(listed)),
        "no armour": (DATA, b"-----BEGIN SSH SIGNATURE-----\n!\n", _signers(listed)),
    }
    found = {name: (await ssh_finding(*one)).outcome for name, one in outcomes.items()}
    assert found == {
        "other content": Outcome.BAD,
        "for files": Outcome.BAD,
        "unknown": Outcome.UNKNOWN_KEY,
        "none known": Outcome.UNKNOWN_KEY,
        "expired": Outcome.EXPIRED_KEY,
        "revoked": Outcome.REVOKED_KEY,
        "cut off": Outcome.MALFORMED,
        "no armour": Outcome.MALFORMED,
    }


async def test_nothing_is_left_running_or_lying(
    people: People, carol: SshKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check leaves no agent, no socket and no file behind, and reads no key of the user."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("GNUPGHOME", str(people.home.path))
    signature = people.home.detached(people.alice, DATA)
    assert (await openpgp_finding(DATA, signature, people.keys)).outcome is Outcome.GOOD
    assert (await openpgp_finding(DATA, signature, KeySet())).outcome is Outcome.UNKNOWN_KEY
    await ssh_finding(DATA, carol.signature(DATA), _signers(f"carol {carol.public}"))
    assert os.listdir(tmp_path) == []


async def test_missing_tool_is_told_with_its_package(
    people: People, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without gpgv nothing is verified, and the error says what to install."""
    signature = people.home.detached(people.alice, DATA)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [str(one).partition(" ")[0] for one in missing_tools()] == ["gpgv", "ssh-keygen"]
    with pytest.raises(VerificationError, match="gpgv was not found") as caught:
        await openpgp_finding(DATA, signature, people.keys)
    assert "Debian package gpgv" in caught.value.message


async def test_a_tool_that_hangs_is_ended(
    people: People, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A check has a deadline; what runs past it is killed and nothing counts as verified."""
    program = tmp_path / "gpgv"
    program.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 600\n")
    program.chmod(0o755)
    signature = people.home.detached(people.alice, DATA)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(tools, "TIMEOUT", 0.5)
    with pytest.raises(VerificationError, match="took longer"):
        await openpgp_finding(DATA, signature, people.keys)
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_findings_have_words() -> None:
    """Every outcome has a sentence of its own, with the key as policies name it."""
    key = "0123456789ABCDEF0123456789ABCDEF01234567"
    told = {one: msgspec.structs.replace(Finding(one, key)).told() for one in Outcome}
    assert len(set(told.values())) == len(Outcome)
    assert told[Outcome.EXPIRED_KEY] == "is signed by GPG key 89ABCDEF01234567, which has expired"
