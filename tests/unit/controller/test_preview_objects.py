"""What a preview says of single objects where no cluster is read."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, cast

import pytest

from driftd.controller.preview_objects import application_preview
from driftd.controller.preview_pairs import Pair, Touched
from driftd.model.preview import Action, ObjectPreview
from driftd.sandbox.pool import SandboxPool
from tests.cases.refused import Case, cases
from tests.unit.controller.builders import desired, manifest

NO_SANDBOX = cast("SandboxPool", None)
"""Only a cluster's objects have rules that are asked of it."""
DEPLOYMENT = next(case.body for case in cases() if case.body["kind"] == "Deployment")
REFUSED = [case for case in cases() if case.told]


async def previewed(old: dict[str, Any] | None, new: dict[str, Any]) -> ObjectPreview:
    """What a preview without a cluster says of one object."""
    sides = [desired(body) if body else None for body in (old, new)]
    entries = [side.entry if side else None for side in sides]
    pair = Pair(entries[0], entries[1], old=sides[0], new=sides[1])
    after = manifest(new)
    touched = Touched(after.key, pair, manifest(old) if old else None, after)
    (found,) = (await application_preview(pair, [touched], None, NO_SANDBOX, [])).resources
    return found


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
async def test_a_new_object_that_is_refused_needs_no_cluster(case: Case) -> None:
    """What every API server refuses is told as refused, not as created, without any cluster."""
    found = await previewed(None, case.body)
    assert found.action is Action.REFUSE
    assert found.invalid
    assert case.told in found.invalid.message


def pod(body: dict[str, Any]) -> dict[str, Any]:
    """The spec of a workload's Pods."""
    spec: dict[str, Any] = body["spec"]["template"]["spec"]
    return spec


async def test_a_renamed_volume_that_a_mount_still_names_is_refused() -> None:
    """The change is at the volume, the mistake at the mount: the object is refused all the same."""
    new = deepcopy(DEPLOYMENT)
    pod(new)["volumes"][0]["name"] = "store"
    found = await previewed(DEPLOYMENT, new)
    assert found.action is Action.REFUSE
    assert "volumeMounts names data, which is no volume of the Pod: volumes has store" in str(
        found.reason
    )
    assert found.invalid
    assert found.invalid.path.endswith("/volumeMounts/0/name")
    assert found.changes
    assert not any(one.effect for one in found.changes)


async def test_a_change_of_a_right_object_is_a_change() -> None:
    """A volume that is renamed together with its mount is a change, and refused by nobody."""
    new = deepcopy(DEPLOYMENT)
    pod(new)["volumes"][0]["name"] = "store"
    pod(new)["containers"][0]["volumeMounts"][0]["name"] = "store"
    assert (await previewed(DEPLOYMENT, new)).action is Action.CHANGE
