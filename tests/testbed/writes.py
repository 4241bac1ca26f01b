"""What driftd changed on a cluster in a period, as the API server's audit log tells it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tests.testbed.cluster import ControlPlane

READS = frozenset({"get", "list", "watch"})


def writes(
    cluster: ControlPlane, since: int, *, users: Collection[str] = (), refused: bool = False
) -> list[str]:
    """Every write by driftd after a mark of `audit_mark`, as `patch shop/settings: 200`.

    Dry runs change nothing and are left out; so are writes that the API server refused, unless
    `refused`. driftd is known by its user agent, or by `users`, with which it has no other way
    to act. The log has an event before its call is answered, so none is missed.
    """
    found = []
    for event in cluster.audit_events(since):
        if event["verb"] in READS or not _is_driftd(event, users):
            continue
        status = int((event.get("responseStatus") or {}).get("code", 0))
        if "dryRun=All" in event.get("requestURI", "") or (status >= 400 and not refused):
            continue
        target = event.get("objectRef") or {}
        place = "/".join(filter(None, (target.get("namespace"), target.get("name"))))
        found.append(f"{event['verb']} {target.get('resource')} {place}: {status}")
    return found


def _is_driftd(event: Any, users: Collection[str]) -> bool:
    if users:
        return event["user"]["username"] in users
    return str(event.get("userAgent", "")).startswith("driftd/")
