"""The public keys that signatures are checked with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from driftd.errors import VerificationError
from driftd.model.counts import counted
from driftd.verify.openpgp import Malformed, packets, public_keys

ALLOWED_SIGNERS = "allowed_signers"
"""The file of a keyring folder that lists SSH keys, as ssh-keygen reads it."""
REVOKED_KEYS = "revoked_keys"
"""The file of a keyring folder that lists SSH keys, or a KRL, that are good no longer."""
_SUFFIXES = frozenset({".asc", ".gpg", ".pgp", ".key", ".pub"})
_PRIMARY = 6
"""The tag of a packet that holds a primary public key."""
_LARGEST = 4 << 20
_FILES = 500


class KeySet(msgspec.Struct, frozen=True):
    """OpenPGP and SSH keys, and what of them could not be read."""

    openpgp: bytes = b""
    """Binary keys one after the other: a keyring for gpgv."""
    allowed_signers: bytes = b""
    revoked: bytes = b""
    places: tuple[str, ...] = ()
    """Where keys were looked for, for messages."""
    problems: tuple[str, ...] = ()
    """What could not be read; a signature that needs it fails, no other does."""

    @property
    def digest(self) -> bytes:
        """Names the keys: verdicts hold for the same keys alone."""
        found = hashlib.sha256()
        for part in (self.openpgp, self.allowed_signers, self.revoked):
            found.update(len(part).to_bytes(8) + part)
        return found.digest()

    @property
    def told(self) -> str:
        """How many keys there are, for people."""
        gpg = sum(tag == _PRIMARY for tag, _ in packets(self.openpgp))
        lines = (line.strip() for line in self.allowed_signers.splitlines())
        ssh = sum(bool(line) and not line.startswith(b"#") for line in lines)
        return f"{counted(gpg, 'GPG key')} and {counted(ssh, 'SSH key')}"

    def joined(self, other: KeySet) -> KeySet:
        """The keys of both."""
        return KeySet(
            self.openpgp + other.openpgp,
            _lines(self.allowed_signers, other.allowed_signers),
            _lines(self.revoked, other.revoked),
            self.places + other.places,
            self.problems + other.problems,
        )


def _lines(one: bytes, other: bytes) -> bytes:
    return one + b"\n" + other if one and other else one or other


def keys_of_map(entries: Mapping[str, str], place: str) -> KeySet:
    """The OpenPGP keys of a ConfigMap such as `argocd-gpg-keys-cm`: key id to armoured key."""
    keys: list[bytes] = []
    problems: list[str] = []
    for name, text in sorted(entries.items()):
        try:
            keys.append(public_keys(text.encode()))
        except Malformed as error:
            problems.append(f"the key {name!a} of {place} cannot be used: {error}")
    return KeySet(openpgp=b"".join(keys), places=(place,), problems=tuple(problems))


def read_folder(folder: Path) -> KeySet:
    """The keys of a folder: `*.asc`, `*.gpg`, `*.pgp`, `*.key`, `*.pub`, and `allowed_signers`.

    Raises `VerificationError` where the folder itself cannot be read; a file that is no list of
    public keys is a problem of the set.
    """
    try:
        files = sorted(one for one in folder.iterdir() if not one.name.startswith("."))[:_FILES]
    except OSError as error:
        raise VerificationError(
            f"the keyring folder {folder} cannot be read: {error.strerror}",
            hint="name the folder of public keys with --keyring, or keyring in the settings",
        ) from error
    keys: list[bytes] = []
    problems: list[str] = []
    signers = revoked = b""
    for file in files:
        special = file.name in {ALLOWED_SIGNERS, REVOKED_KEYS}
        if not special and file.suffix not in _SUFFIXES:
            continue
        try:
            data = _read(file)
            if file.name == ALLOWED_SIGNERS:
                signers = data
            elif file.name == REVOKED_KEYS:
                revoked = data
            else:
                keys.append(public_keys(data))
        except OSError as error:
            problems.append(f"{file} cannot be read: {error.strerror}")
        except Malformed as error:
            problems.append(f"{file} cannot be used: {error}")
    return KeySet(b"".join(keys), signers, revoked, (str(folder),), tuple(problems))


def _read(file: Path) -> bytes:
    with file.open("rb") as opened:
        data = opened.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise Malformed(f"it is larger than {_LARGEST >> 20} MiB")
    return data
