"""New objects that another application declares too: both would fight over them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from driftd.controller.preview_pairs import Pair, Touched
from driftd.controller.shared import SHARED
from driftd.controller.tracking import describes, marks_of, tracked
from driftd.controller.verdict import Look
from driftd.model.condition import Condition, Severity
from driftd.model.preview import Action, ApplicationPreview
from driftd.model.resource import Manifest, ResourceKey

_NAMED = 5

Owners = Mapping[ResourceKey, str]
"""The other application that declares each object."""


def shared_objects(
    pair: Pair, pairs: Sequence[Pair], objects: Iterable[Touched], look: Look | None
) -> Owners:
    """Objects that the change newly declares with one application while another goes on to.

    An application whose inputs stay the same is not rendered: what it declares, the mark on the
    live object tells. Without a cluster its `standing` objects do.
    """
    found: dict[ResourceKey, str] = {}
    for one in objects:
        if one.owner is not pair or one.new is None or one.old is not None:
            continue
        for other in pairs:
            if other is not pair and _declares(other, one.new, look):
                found[one.key] = other.entry.application.name
                break
    return found


def _declares(pair: Pair, manifest: Manifest, look: Look | None) -> bool:
    if pair.after is None:
        return False
    if pair.new is not None:
        return any(one.key == manifest.key for one in pair.new.manifests)
    key = manifest.key
    if key in (pair.standing or ()):
        return True
    if pair.failures or look is None:
        return False
    live = look.observation.live.get((manifest.gvk, key.namespace, key.name))
    if live is None:
        return False
    owners = tracked(manifest.gvk, live)
    application = pair.after.application
    return any(
        mark in owners and (application.flux is not None or describes(owners[mark].mark, key))
        for mark in marks_of(application)
    )


def told(pair: Pair, owners: Owners) -> Condition | None:
    """What is said of the application that would declare others' objects; None without any."""
    if not owners:
        return None
    names = sorted({*owners.values(), pair.entry.application.name})
    what = "object" if len(owners) == 1 else f"{len(owners)} objects"
    more = f" and {len(owners) - _NAMED} more" if len(owners) > _NAMED else ""
    listed = ", ".join(str(key) for key in sorted(owners)[:_NAMED])
    text = f"the applications {' and '.join(names)} would declare the same {what}: {listed}{more}"
    return Condition(SHARED, text, Severity.WARNING)


def with_owners(report: ApplicationPreview, owners: Owners) -> ApplicationPreview:
    """The same application; of each such object it is said who declares it too."""
    if not owners:
        return report
    resources = []
    for one in report.resources:
        other = owners.get(one.key)
        if other is not None and one.action is Action.CREATE:
            reason = f"application {other} declares it too: each sync undoes the other's"
            one = msgspec.structs.replace(one, reason=reason)
        resources.append(one)
    return msgspec.structs.replace(report, resources=tuple(resources))
