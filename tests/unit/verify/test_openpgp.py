"""OpenPGP armour and packets, as far as they are taken apart."""

from __future__ import annotations

import base64

import pytest

from driftd.verify.openpgp import Malformed, detached_signature, public_keys
from tests.unit.verify.conftest import People


def _armoured(data: bytes, label: str = "PGP SIGNATURE") -> bytes:
    body = base64.encodebytes(data).decode()
    return f"-----BEGIN {label}-----\n\n{body}-----END {label}-----\n".encode()


def test_armour_comes_off_as_gpg_takes_it_off(people: People) -> None:
    """The bytes are those of gpg's own --dearmor."""
    armoured = people.home.detached(people.alice, b"data")
    assert detached_signature(armoured) == people.home.gpg("--dearmor", stdin=armoured)
    keys = people.home.public("Alice", "Bob").encode()
    assert public_keys(keys) == people.home.gpg("--dearmor", stdin=keys)


def test_binary_keys_are_taken_as_they_are(people: People) -> None:
    """A file that gpg exported without armour is a keyring already."""
    data = people.home.gpg("--export", "Alice")
    assert public_keys(data) == data


def test_two_blocks_are_both_read(people: People) -> None:
    """A file with one armoured key after another holds both."""
    one, two = (people.home.public(name) for name in ("Alice", "Bob"))
    both = public_keys(f"Alice:\n{one}\nBob:\n{two}".encode())
    assert both == public_keys(one.encode()) + public_keys(two.encode())


def test_private_keys_are_refused(people: People) -> None:
    """A private key among the public ones is told, never used."""
    secret = people.home.gpg("--armor", "--export-secret-keys", "Alice")
    assert b"PRIVATE KEY" in secret
    with pytest.raises(Malformed, match="holds no public key"):
        public_keys(secret)
    with pytest.raises(Malformed, match="private key"):
        public_keys(people.home.gpg("--export-secret-keys", "Alice"))


@pytest.mark.parametrize("data", [b"", b"hello", b"\x99\xff\xff", b"\xc6", b"\xc6\xe1", b"KBXf"])
def test_rubbish_is_no_key(data: bytes) -> None:
    """Neither text nor broken packets pass for keys."""
    with pytest.raises(Malformed):
        public_keys(data)


def test_a_signed_message_is_no_detached_signature(people: People) -> None:
    """A signature that brings its own data would be judged for that: it is refused."""
    message = people.home.gpg("--armor", "--sign", "--local-user", people.alice, stdin=b"other")
    for one in (message, message.replace(b"PGP MESSAGE", b"PGP SIGNATURE")):
        with pytest.raises(Malformed):
            detached_signature(one)


def test_two_signatures_are_refused(people: People) -> None:
    """Git signs once: with two signatures nobody knows which one counts."""
    one = people.home.detached(people.alice, b"data")
    two = people.home.detached(people.bob, b"data")
    with pytest.raises(Malformed, match="not one detached"):
        detached_signature(one + two)
    joined = detached_signature(one) + detached_signature(two)
    with pytest.raises(Malformed, match="more than one"):
        detached_signature(_armoured(joined))


def test_cut_off_signatures_are_refused(people: People) -> None:
    """Every shorter signature is malformed, wherever it ends."""
    whole = detached_signature(people.home.detached(people.alice, b"data"))
    for length in range(len(whole)):
        with pytest.raises(Malformed):
            detached_signature(_armoured(whole[:length]))
