"""One write to a Kubernetes object, as a cluster's audit log tells it."""

from __future__ import annotations

from typing import Final

import msgspec

WRITE_VERBS: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})
"""The verbs that can change objects."""
_SERVICE_ACCOUNT: Final = "system:serviceaccount:"


class AuditedObject(msgspec.Struct, frozen=True):
    """What an audit event is about: named by resource (plural), not by kind."""

    group: str
    resource: str
    namespace: str
    """Empty for cluster-scoped objects, Namespaces too."""
    name: str
    """Empty for whole collections."""


class AuditedWrite(msgspec.Struct, frozen=True, kw_only=True):
    """A write that the API server has carried out: no refused one, no dry run."""

    target: AuditedObject
    version: str = ""
    """The version of its API that the request went through; empty where the log has none."""
    subresource: str = ""
    verb: str
    user: str
    """Who authenticated."""
    groups: tuple[str, ...] = ()
    impersonated_user: str = ""
    """Whom `user` acted as; empty without impersonation."""
    user_agent: str = ""
    source_ips: tuple[str, ...] = ()
    audit_id: str = ""
    received: float
    """When the request came, in seconds since the epoch."""
    completed: float
    """When it was answered."""
    manager: str = ""
    """The field manager: of the request URI, else what the API server makes of the user agent."""
    manager_known: bool = True
    """False where the log has no request URI: then `manager` is only how the name may begin."""
    manager_named: bool = False
    """Whether the request named its field manager; an Apply must."""
    body: bytes = b""
    """The request's JSON where the log has it, else empty. Never shown to anybody."""

    @property
    def person(self) -> tuple[str, str]:
        """Who is behind the write: the user, and the one the user acted as."""
        return self.user, self.impersonated_user


def acting_as(user: str, impersonated: str) -> str:
    """A user in words: service accounts by their names, and whom the user acted as."""
    name = _account(user)
    return f"{name} as {_account(impersonated)}" if impersonated else name


def _account(user: str) -> str:
    namespace, colon, name = user.removeprefix(_SERVICE_ACCOUNT).partition(":")
    if not user.startswith(_SERVICE_ACCOUNT) or not colon:
        return user
    return f"service account {namespace}/{name}"
