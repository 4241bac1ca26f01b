"""What became of one signature, and the words for it."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Outcome(StrEnum):
    """How the check of one commit or tag ended; only GOOD is good."""

    GOOD = "Good"
    UNSIGNED = "Unsigned"
    BAD = "BadSignature"
    """The signature is not one of these bytes."""
    UNKNOWN_KEY = "UnknownKey"
    EXPIRED_KEY = "ExpiredKey"
    EXPIRED_SIGNATURE = "ExpiredSignature"
    REVOKED_KEY = "RevokedKey"
    MALFORMED = "MalformedSignature"
    UNSUPPORTED = "UnsupportedSignature"


class Finding(msgspec.Struct, frozen=True):
    """The outcome for one object, whoever may be allowed to sign it."""

    outcome: Outcome
    key: str = ""
    """Fingerprint of the signing key, its 16-digit id where no more is known, or `SHA256:…`."""
    primary: str = ""
    """Fingerprint of the OpenPGP key that a signing subkey belongs to."""
    detail: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Every name by which a policy may allow the key."""
        return tuple(name for name in (self.key, self.primary) if name)

    def told(self) -> str:
        """What is wrong, as the end of a sentence; of a good signature who made it."""
        kind = "SSH key" if self.key.startswith("SHA256:") else "GPG key"
        key = f"{kind} {shortened(self.key)}" if self.key else "an unnamed key"
        detail = f" ({self.detail})" if self.detail else ""
        return {
            Outcome.GOOD: f"is signed by {key}",
            Outcome.UNSIGNED: "is not signed",
            Outcome.BAD: f"has a bad signature by {key}: its content is not what was signed",
            Outcome.UNKNOWN_KEY: f"is signed by {key}, which is not known here",
            Outcome.EXPIRED_KEY: f"is signed by {key}, which has expired",
            Outcome.EXPIRED_SIGNATURE: f"has a signature by {key} that has expired",
            Outcome.REVOKED_KEY: f"is signed by {key}, which was revoked",
            Outcome.MALFORMED: "has a signature that cannot be read",
            Outcome.UNSUPPORTED: "has a signature of a kind that is not supported",
        }[self.outcome] + detail


def shortened(key: str) -> str:
    """A key as policies name it: the last 16 digits of a fingerprint, or the whole `SHA256:…`."""
    return key if key.startswith("SHA256:") else key[-16:]


def allows(keys: tuple[str, ...], finding: Finding) -> bool:
    """Whether a policy's keys include the one that signed, itself or its primary key.

    A key of 16 digits is the end of a fingerprint; a longer one is the whole.
    """
    for name in finding.names:
        for key in keys:
            if name.startswith("SHA256:") or key.startswith("SHA256:"):
                if name == key:
                    return True
            elif name.upper() == key.upper() or (
                len(key) == 16 and name.upper().endswith(key.upper())
            ):
                return True
    return False
