"""What types cannot say of settings: numbers in bounds, addresses, globs, names given twice."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from driftd.errors import ConfigError
from driftd.model import sensitive
from driftd.settings.addresses import has_password, is_address
from driftd.settings.channels import channels
from driftd.settings.problems import Weight
from driftd.settings.receivers import problems_of
from driftd.settings.routes import problems
from driftd.settings.types import AuditWebhook, Settings

BACKENDS: Final = ("sqlite", "postgresql")
_DSN: Final = "sqlite:///relative.db, sqlite:////absolute/path.db or postgresql://user@host/name"
_GLOB: Final = re.compile(r"[a-z0-9.\-*?\[\]!/]+")
_LOOPBACK: Final = frozenset({"127.0.0.1", "[::1]", "localhost"})
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class Finding(NamedTuple):
    """A problem of settings that have the right types; `Problem` says where it is written."""

    key: str
    message: str
    hint: str = ""
    weight: Weight = Weight.ERROR


def findings(settings: Settings) -> Iterator[Finding]:
    """Everything that is inconsistent or cannot work, in the order of the settings."""
    yield from _repositories(settings)
    yield from _fetched(settings)
    yield from _globs(settings)
    yield from _numbers(settings)
    yield from _store(settings)
    yield from _receivers(settings)
    yield from _masked(settings)
    for index, log in enumerate(settings.audit_logs):
        folder, _, _ = log.file.rpartition("/")
        if "*" in folder:
            yield Finding(
                f"auditLogs[{index}].file", "* may stand in the last part of the path only"
            )
    yield from _audit_webhook(settings.audit_webhook)
    yield from _git_webhooks(settings)
    if settings.tracing.endpoint and not is_address(settings.tracing.endpoint, ("http", "https")):
        yield Finding("tracing.endpoint", "must be an http(s):// URL")
    if not 0 <= settings.tracing.sample_percent <= 100:
        yield Finding("tracing.samplePercent", "must be between 0 and 100")
    if not _is_listenable(settings.server.listen):
        yield Finding("server.listen", f"must be ADDRESS:PORT, not {settings.server.listen!r}")


def dsn_problem(dsn: str) -> str:
    """Why a DSN cannot be one of the store's, without repeating it; empty if it can."""
    try:
        scheme = urlsplit(dsn).scheme
    except ValueError:
        scheme = ""
    if scheme.partition("+")[0] in BACKENDS:
        return ""
    named = f"names {scheme!r}" if scheme else "names no database"
    return f"{named}; allowed: {_DSN}"


def _repositories(settings: Settings) -> Iterator[Finding]:
    seen: dict[tuple[str, str, str], int] = {}
    for index, one in enumerate(settings.repositories):
        at = f"repositories[{index}]"
        if one.url and one.path:
            text = (
                "stands beside url, and only one counts: url for what driftd fetches, path for a "
                "checkout on this machine"
            )
            yield Finding(f"{at}.path", text)
        elif not one.url and not one.path:
            yield Finding(at, "needs url (an address) or path (a checkout on this machine)")
        if has_password(one.url):
            yield Finding(
                f"{at}.url",
                "holds a password",
                "put it into a file named by credentials.passwordFile",
            )
        if one.signatures.mode and not one.signatures.keys:
            yield Finding(f"{at}.signatures", "needs keys: those that may sign")
        first = seen.setdefault((one.url, one.path, one.revision), index)
        if first != index:
            yield Finding(at, f"is the same as repositories[{first}]", weight=Weight.WARNING)


def _fetched(settings: Settings) -> Iterator[Finding]:
    logins: dict[tuple[str, str, str, bool], int] = {}
    for index, login in enumerate(settings.repository_access):
        at = f"repositoryAccess[{index}]"
        if not login.url:
            yield Finding(f"{at}.url", "is empty")
        if has_password(login.url):
            yield Finding(f"{at}.url", "holds a password", "put it into a file: passwordFile")
        first = logins.setdefault((login.url, login.type, login.project, login.template), index)
        if first != index:
            yield Finding(
                at,
                f"is never used: repositoryAccess[{first}] has the same url, type and project",
                weight=Weight.WARNING,
            )
    bases: dict[str, int] = {}
    for index, base in enumerate(settings.remote_bases):
        at = f"remoteBases[{index}]"
        if not is_address(base.url, ("https",)):
            yield Finding(f"{at}.url", "must be an https:// URL")
        if not _SHA256.fullmatch(base.sha256):
            hint = "write what `curl URL | sha256sum` prints"
            yield Finding(f"{at}.sha256", "must be 64 hex digits", hint)
        first = bases.setdefault(base.url, index)
        if first != index:
            yield Finding(f"{at}.url", f"is given twice, in remoteBases[{first}] too")


def _globs(settings: Settings) -> Iterator[Finding]:
    chosen = settings.applications
    named: list[tuple[str, Sequence[str]]] = [
        ("applications.include", chosen.include),
        ("applications.exclude", chosen.exclude),
    ]
    for index, rule in enumerate(settings.healing.rules):
        at = f"healing.rules[{index}].applications"
        named.append((at, rule.applications))
        if not rule.applications:
            yield Finding(at, "names no application")
    if not chosen.include:
        yield Finding("applications.include", "names no application, so none is looked at")
    for key, globs in named:
        for glob in globs:
            why = _glob_problem(glob)
            if why:
                hint = "write name or namespace/name, with * and ? (root/name for Flux)"
                yield Finding(key, f"{glob!r} {why}", hint)


def _glob_problem(glob: str) -> str:
    """Why no application can be called so; empty if some can."""
    if not glob:
        return "is empty"
    # NAMESPACE/ROOT/KIND/NAME is the longest: of a Flux object whose name another has taken.
    if glob.count("/") > 3:
        return "has more than three /"
    if glob.count("[") != glob.count("]"):
        return "opens a [ that it does not close, or the reverse"
    if not _GLOB.fullmatch(glob):
        return "has characters that no name has (names are lower-case letters, digits, - and .)"
    return ""


def _numbers(settings: Settings) -> Iterator[Finding]:
    counts = {
        "clusters.concurrency": settings.clusters.concurrency,
        "clusters.limits.answer": settings.clusters.limits.answer.bytes,
        "clusters.limits.list": settings.clusters.limits.list.bytes,
        "clusters.limits.pages": settings.clusters.limits.pages,
        "clusters.limits.kinds": settings.clusters.limits.kinds,
        "clusters.limits.watches": settings.clusters.limits.watches,
        "sweep.workers": settings.sweep.workers,
        "sandbox.workers": settings.sandbox.workers,
        "notifications.maxAttempts": settings.notifications.max_attempts,
        "healing.budget.application": settings.healing.budget.application,
        "healing.budget.cluster": settings.healing.budget.cluster,
        "healing.quarantine.heals": settings.healing.quarantine.heals,
        "healing.canary.objects": settings.healing.canary.objects,
    }
    for key, count in counts.items():
        if count < 1:
            yield Finding(key, f"must be at least 1, not {count}")
    if settings.sweep.interval.seconds < 1:
        yield Finding("sweep.interval", f"must be at least 1s, not {settings.sweep.interval.text}")
    lengths = {
        "clusters.timeout": settings.clusters.timeout,
        "sweep.timeout": settings.sweep.timeout,
        "store.retention": settings.store.retention,
        "store.auditRetention": settings.store.audit_retention,
        "store.backupRetention": settings.store.backup_retention,
        "notifications.timeout": settings.notifications.timeout,
        "sandbox.timeout": settings.sandbox.timeout,
        "healing.quarantine.within": settings.healing.quarantine.within,
        "healing.quarantine.lasts": settings.healing.quarantine.lasts,
    }
    for key, length in lengths.items():
        if length.seconds <= 0:
            yield Finding(key, f"must be longer than {length.text}")
    if settings.sweep.jitter.seconds > settings.sweep.interval.seconds:
        yield Finding("sweep.jitter", "is longer than sweep.interval", weight=Weight.WARNING)


def _store(settings: Settings) -> Iterator[Finding]:
    if has_password(settings.store.dsn):
        hint = "put the DSN into a file named by store.dsnFile"
        yield Finding("store.dsn", "holds a password", hint)
    problem = dsn_problem(settings.store.dsn)
    if problem:
        yield Finding("store.dsn", problem)


def _receivers(settings: Settings) -> Iterator[Finding]:
    told = settings.notifications
    seen: dict[str, str] = {}
    for key, channel in channels(told):
        at = f"notifications.{key}"
        for inner, message, hint in problems_of(channel):
            yield Finding(f"{at}.{inner}" if inner else at, message, hint)
        first = seen.setdefault(channel.name, at)
        if first != at:
            message = f"two receivers are named {channel.name!r}: this one and {first}"
            yield Finding(f"{at}.name", message, "give each its own name")
    for problem in problems(told, seen):
        yield Finding(*problem)
    if told.backoff_limit.seconds < told.backoff.seconds:
        yield Finding(
            "notifications.backoffLimit",
            f"is shorter than notifications.backoff ({told.backoff.text})",
            weight=Weight.WARNING,
        )


def _audit_webhook(hook: AuditWebhook) -> Iterator[Finding]:
    at = "auditWebhook"
    if not hook.listen:
        if hook.clusters:
            yield Finding(f"{at}.listen", "is empty, so nobody can post", weight=Weight.WARNING)
        return
    is_local = hook.listen.rpartition(":")[0] in _LOOPBACK
    if not _is_listenable(hook.listen):
        yield Finding(f"{at}.listen", f"must be ADDRESS:PORT, not {hook.listen!r}")
    elif not hook.certificate_file and not is_local:
        hint = "name certificateFile and keyFile, or let only a TLS proxy reach the port"
        yield Finding(f"{at}.listen", "takes tokens without TLS", hint, Weight.WARNING)
    if not hook.clusters:
        yield Finding(f"{at}.clusters", "names no cluster, so nobody may post")
    if bool(hook.certificate_file) != bool(hook.key_file):
        missing = "keyFile" if hook.certificate_file else "certificateFile"
        yield Finding(f"{at}.{missing}", "is missing: a certificate needs its key, and the reverse")
    yield from _posters(hook)
    for key, count in (("maxRate", hook.max_rate), ("maxEvents", hook.max_events)):
        if count < 1:
            yield Finding(f"{at}.{key}", f"must be at least 1, not {count}")


def _git_webhooks(settings: Settings) -> Iterator[Finding]:
    hooks = settings.git_webhooks
    is_local = settings.server.listen.rpartition(":")[0] in _LOOPBACK
    shown = (
        ("gitlabSecretFile", hooks.gitlab_secret_file),
        ("azureDevopsSecretFile", hooks.azure_devops_secret_file),
    )
    for key, file in shown:
        if file and not is_local:
            hint = "let only a proxy that ends TLS reach server.listen from outside"
            message = "its secret travels as it is, and server.listen is without TLS"
            yield Finding(f"gitWebhooks.{key}", message, hint, Weight.WARNING)


def _posters(hook: AuditWebhook) -> Iterator[Finding]:
    at = "auditWebhook"
    seen: dict[str, int] = {}
    for index, one in enumerate(hook.clusters):
        place = f"{at}.clusters[{index}]"
        if not one.cluster:
            yield Finding(f"{place}.cluster", "is empty")
        if not (one.token_file or one.client_name):
            yield Finding(place, "needs tokenFile or clientName: nobody may post without")
        if one.client_name and not hook.client_ca_file:
            yield Finding(f"{place}.clientName", f"needs {at}.clientCaFile")
        if one.client_name and not hook.certificate_file:
            yield Finding(f"{place}.clientName", "needs TLS: certificateFile and keyFile")
        first = seen.setdefault(one.cluster, index)
        if first != index:
            yield Finding(f"{place}.cluster", f"is given twice, in {at}.clusters[{first}] too")


def _is_listenable(listen: str) -> bool:
    host, colon, port = listen.rpartition(":")
    return bool(host and colon and port.isdecimal() and int(port) < 65536)


def _masked(settings: Settings) -> Iterator[Finding]:
    for index, entry in enumerate(settings.sensitive):
        try:
            sensitive.parse(entry)
        except ConfigError as error:
            yield Finding(f"sensitive[{index}]", str(error), error.hint)
