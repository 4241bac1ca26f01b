"""The providers whose posts are taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from driftd.web.providers import payloads
from driftd.web.providers.proofs import Password, Proof, Signature, Token


class Post(NamedTuple):
    """What is read of a post."""

    delivery: str
    """Its id at the provider; empty without one."""
    urls: tuple[str, ...]
    """The repository that has moved; empty where the post tells something else."""


class Provider(NamedTuple):
    """How one provider posts."""

    proof: Proof
    event: str
    """The header that says what has happened; empty where the body says it."""
    pushes: frozenset[str]
    """What is said when refs have moved."""
    deliveries: tuple[str, ...]
    """Headers with the post's id."""
    urls: Callable[[bytes], tuple[str, ...]]
    event_of: Callable[[bytes], str] | None = None
    delivery_of: Callable[[bytes], str] | None = None

    def read(self, headers: Mapping[str, str], body: bytes) -> Post:
        """What a post says. Raises ValueError for one that is malformed."""
        event = self.event_of(body) if self.event_of else headers.get(self.event, "")
        if not event:
            raise ValueError("it does not say what has happened")
        shown = (headers[name] for name in self.deliveries if name in headers)
        delivery = self.delivery_of(body) if self.delivery_of else next(shown, "")
        return Post(delivery[:128], self.urls(body) if event in self.pushes else ())


_SHA256: Final = "sha256="
PROVIDERS: Final[Mapping[str, Provider]] = {
    "github": Provider(
        Signature("X-Hub-Signature-256", prefix=_SHA256),
        "X-GitHub-Event",
        frozenset({"push"}),
        ("X-GitHub-Delivery",),
        payloads.github,
    ),
    "gitlab": Provider(
        Token("X-Gitlab-Token"),
        "",
        frozenset({"push", "tag_push", "repository_update"}),
        # X-Gitlab-Event-UUID is no id: what a hook sets off has the same.
        ("Idempotency-Key",),
        payloads.gitlab,
        event_of=payloads.gitlab_event,
    ),
    "bitbucket": Provider(
        Signature("X-Hub-Signature", prefix=_SHA256),
        "X-Event-Key",
        frozenset({"repo:push"}),
        ("X-Request-UUID",),
        payloads.bitbucket_cloud,
    ),
    "bitbucket-server": Provider(
        Signature("X-Hub-Signature", prefix=_SHA256),
        "X-Event-Key",
        frozenset({"repo:refs_changed", "mirror:repo_synchronized"}),
        ("X-Request-Id",),
        payloads.bitbucket_server,
    ),
    "gitea": Provider(
        Signature("X-Gitea-Signature", "X-Forgejo-Signature"),
        "X-Gitea-Event",
        frozenset({"push", "create", "delete"}),
        ("X-Gitea-Delivery",),
        payloads.github,
    ),
    "gogs": Provider(
        Signature("X-Gogs-Signature"),
        "X-Gogs-Event",
        frozenset({"push", "create", "delete"}),
        ("X-Gogs-Delivery",),
        payloads.github,
    ),
    "azure-devops": Provider(
        Password(),
        "",
        frozenset({"git.push"}),
        (),
        payloads.azure,
        event_of=payloads.azure_event,
        delivery_of=payloads.azure_delivery,
    ),
}
"""By the last part of the path that they post to."""
