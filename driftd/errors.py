"""The whole error tree of driftd.

Every error says what failed (the message), why in one machine-readable word
(`reason`, used as condition type reason and metric label), what may be done next
(`disposition`) and what the reader should do (`hint`). Third-party exceptions are
translated where they are raised and never travel further.
"""

from __future__ import annotations

import traceback
from enum import StrEnum


class Disposition(StrEnum):
    """What a retry can achieve."""

    TERMINAL = "Terminal"
    """Nothing changes until a person changes the input."""
    TRANSIENT = "Transient"
    """The same call may succeed later."""


class DriftdError(Exception):
    """Base of every error that driftd raises on purpose.

    `str(error)` is one line without the hint; `hint` is the remedy, empty if there is none.
    """

    reason = "Error"
    disposition = Disposition.TERMINAL

    def __init__(self, message: str, *, hint: str = "", reason: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        if reason is not None:
            self.reason = reason

    @property
    def message(self) -> str:
        """The message with its remedy, as conditions and the CLI print it."""
        return f"{self}; {self.hint}" if self.hint else str(self)


def described(error: BaseException) -> str:
    """What a report may say of an error: its message, or of a defect its kind and place.

    The text of an unforeseen exception is left out, since it may quote a document.
    """
    if isinstance(error, DriftdError):
        return error.message
    frames = traceback.extract_tb(error.__traceback__)
    where = ""
    if frames:
        where = f" at {frames[-1].filename.rpartition('driftd/')[2]}:{frames[-1].lineno}"
    return f"unexpected {type(error).__name__}{where}; this is a defect of driftd, report it"


class ConfigError(DriftdError):
    """Settings, flags or kubeconfig are wrong."""

    reason = "ConfigError"


class SourceError(DriftdError):
    """A repository, revision or tree cannot be read."""

    reason = "SourceError"


class VerificationError(DriftdError):
    """Whether a revision is signed as its project demands cannot be told, or it is not."""

    reason = "VerificationError"


class RenderError(DriftdError):
    """A source does not render to valid manifests."""

    reason = "RenderError"


class SandboxError(DriftdError):
    """The sandbox worker is missing, refused its isolation, or was killed."""

    reason = "SandboxError"


class ClusterError(DriftdError):
    """A cluster could not answer."""

    reason = "ClusterError"
    disposition = Disposition.TRANSIENT


class Unreachable(ClusterError):
    """No connection, TLS failure or timeout."""

    reason = "Unreachable"


class Distrusted(Unreachable):
    """The server's certificate is not accepted."""


class Unauthorized(ClusterError):
    """401: the credential is missing, wrong or expired."""

    reason = "Unauthorized"
    disposition = Disposition.TERMINAL


class Forbidden(ClusterError):
    """403: the credential is good but may not do this."""

    reason = "Forbidden"
    disposition = Disposition.TERMINAL


class NotServed(ClusterError):
    """The cluster does not serve this group, version or kind."""

    reason = "NotServed"
    disposition = Disposition.TERMINAL


class ServerFailed(ClusterError):
    """5xx: the server, or what it asks, has a problem of its own; it says nothing of the object."""

    reason = "ServerFailed"

    def __init__(
        self,
        message: str,
        *,
        hint: str = "the API server has a problem of its own",
        reason: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, reason=reason)


class ClusterReplaced(ClusterError):
    """Another cluster than before answers at this address."""

    reason = "ClusterReplaced"
    disposition = Disposition.TERMINAL


class CompareError(DriftdError):
    """One object cannot be compared (it never stops the others)."""

    reason = "CompareError"


class PolicyError(DriftdError):
    """A project forbids something, or a rule is invalid."""

    reason = "PolicyError"


class SyncError(DriftdError):
    """A write to a cluster failed or was refused by a guard."""

    reason = "SyncError"
    disposition = Disposition.TRANSIENT


class LookTimeout(DriftdError):
    """A look, or reading what Git declares, did not end in the time that the settings give it."""

    reason = "Timeout"
    disposition = Disposition.TRANSIENT


class StoreError(DriftdError):
    """The state store cannot be read or written."""

    reason = "StoreError"
    disposition = Disposition.TRANSIENT


class StateError(DriftdError):
    """What earlier looks left behind cannot be used; a person must decide what becomes of it."""

    reason = "StateError"


class NotifyError(DriftdError):
    """A notification could not be delivered."""

    reason = "NotifyError"
    disposition = Disposition.TRANSIENT
