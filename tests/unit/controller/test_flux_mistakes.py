"""Fields of Flux's kinds that nobody knows, with and without the cluster's definition."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
from msgspec import UNSET

from driftd.controller.mistakes import mistake_of
from driftd.controller.observed import Observation
from driftd.diff.schema import SchemaSet
from driftd.model.resource import Manifest, Origin, ResourceKey

GROUP = "kustomize.toolkit.fluxcd.io"
BODY = {
    "apiVersion": f"{GROUP}/v1",
    "kind": "Kustomization",
    "metadata": {"name": "apps", "namespace": "flux-system"},
    "spec": {"path": "./apps", "colour": "blue"},
}


def _observation(**spec: Any) -> Observation:
    schema = {
        "x-kubernetes-group-version-kind": [
            {"group": GROUP, "version": "v1", "kind": "Kustomization"}
        ],
        "type": "object",
        "properties": {
            "metadata": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "spec": {"type": "object", **spec},
        },
    }
    document = {"components": {"schemas": {"io.fluxcd.Kustomization": schema}}}
    return cast("Observation", SimpleNamespace(schemas=SchemaSet([document])))


@pytest.mark.parametrize(
    ("observation", "wrong"),
    [
        (None, True),
        (_observation(**{"x-kubernetes-preserve-unknown-fields": True}), True),
        (
            _observation(properties={"path": {"type": "string"}, "colour": {"type": "string"}}),
            False,
        ),
    ],
)
def test_an_unknown_field(observation: Observation | None, wrong: bool) -> None:
    """It is told where the definition keeps anything or is not there, and not where it has it."""
    key = ResourceKey(GROUP, "Kustomization", "flux-system", "apps")
    found = mistake_of(Manifest(key, "v1", orjson.dumps(BODY), Origin(0, "a", 0, 0)), observation)
    assert (found is not UNSET) is wrong
    if found:
        assert found.path == "/spec/colour"
        assert found.message.startswith("Kustomization of Flux has no field colour in spec in any")
        assert found.meant is UNSET
