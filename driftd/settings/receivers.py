"""What types cannot say of channels: addresses, pairs of settings, templates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, TypeAlias

from driftd.settings.addresses import has_password, is_address
from driftd.settings.channels import (
    Alertmanager,
    Channel,
    Email,
    GitHubStatus,
    SlackApp,
    Webhook,
)

KINDS: Final = (
    "default",
    "drifted",
    "worsened",
    "changed",
    "recovered",
    "unknown",
    "rule-trouble",
    "healed",
    "heal-refused",
    "fighting",
    "silence-expired",
    "pause-forgotten",
    "history-rewritten",
)
"""What texts of one's own can be for; `default` for every kind without its own."""
TEMPLATE_LIMIT: Final = 16 << 10
"""Characters of a template."""

Told: TypeAlias = tuple[str, str, str]
"""The key below the channel's, what is wrong, and the remedy."""

_REPOSITORY: Final = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")
_MAILBOX: Final = re.compile(r"[^\s@<>,;:\"()\[\]\\]+@[^\s@<>,;:\"()\[\]\\]+")
_LABEL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def problems_of(channel: Channel) -> Iterator[Told]:
    """What cannot work about one receiver, as far as the settings alone show it."""
    for key in ("url", "api_url"):
        if (url := getattr(channel, key, None)) is not None:
            yield from _address(url, "apiUrl" if key == "api_url" else key, channel)
    yield from _templates(getattr(channel, "templates", {}))
    if isinstance(channel, Email):
        yield from _email(channel)
    elif isinstance(channel, GitHubStatus):
        yield from _github(channel)
    elif isinstance(channel, Alertmanager):
        yield from _alertmanager(channel)
    elif isinstance(channel, SlackApp) and not channel.channel.strip("#"):
        yield "channel", "is empty", "write the id of the conversation, or #name"


def _address(url: str, key: str, channel: Channel) -> Iterator[Told]:
    if not is_address(url, ("http", "https")):
        yield key, "must be an http(s):// URL", ""
    elif has_password(url):
        hint = "use the settings that name a file"
        if isinstance(channel, Webhook):
            hint = "receivers verify the signature; leave user and password out"
        yield key, "holds a password", hint


def _templates(templates: dict[str, str]) -> Iterator[Told]:
    for kind, text in templates.items():
        if kind not in KINDS:
            yield f"templates.{kind}", "is no kind of message", f"kinds: {', '.join(KINDS)}"
        if len(text) > TEMPLATE_LIMIT:
            yield f"templates.{kind}", f"is longer than {TEMPLATE_LIMIT} characters", ""


def _email(channel: Email) -> Iterator[Told]:
    if not channel.host:
        yield "host", "is empty", ""
    if not 0 < channel.port < 65536:
        yield "port", f"must be between 1 and 65535, not {channel.port}", ""
    if not channel.to:
        yield "to", "names nobody", ""
    for key, mailbox in (("sender", channel.sender), *(("to", one) for one in channel.to)):
        if not _MAILBOX.fullmatch(mailbox):
            yield key, "must be plain addresses such as drift@example.com", ""
    if bool(channel.username) != bool(channel.password_file):
        missing = "passwordFile" if channel.username else "username"
        yield missing, "is missing: a login needs both", ""
    if channel.password_file and channel.tls == "none":
        yield "tls", "is none, so the password would be readable on the way", "use starttls or tls"


def _github(channel: GitHubStatus) -> Iterator[Told]:
    if not _REPOSITORY.fullmatch(channel.repository):
        yield "repository", "must be owner/name", ""
    if bool(channel.token_file) == (channel.app is not None):
        yield "", "needs either tokenFile or app", ""


def _alertmanager(channel: Alertmanager) -> Iterator[Told]:
    if bool(channel.username) != bool(channel.password_file):
        missing = "passwordFile" if channel.username else "username"
        yield missing, "is missing: a login needs both", ""
    if channel.username and channel.bearer_token_file:
        yield "bearerTokenFile", "stands beside username: one login is enough", ""
    if channel.firing.seconds < 60:
        yield "firing", f"must be at least 1m, not {channel.firing.text}", ""
    for label in channel.labels:
        if not _LABEL.fullmatch(label):
            yield f"labels.{label}", "is no name of a label", "letters, digits and _"
