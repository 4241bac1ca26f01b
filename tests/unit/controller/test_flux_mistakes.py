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
BODY: dict[str, Any] = {
    "apiVersion": f"{GROUP}/v1",
    "kind": "Kustomization",
    "metadata": {"name": "apps", "namespace": "flux-system"},
    "spec": {
        "interval": "10m",
        "prune": True,
        "sourceRef": {"kind": "GitRepository", "name": "apps"},
        "path": "./apps",
        "colour": "blue",
    },
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
            _observation(
                properties={
                    **{name: {"type": "string"} for name in ("path", "colour", "interval")},
                    "prune": {"type": "boolean"},
                    "sourceRef": {"type": "object"},
                }
            ),
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


@pytest.mark.parametrize(
    ("field", "instead", "wanted"),
    [
        ("interval", None, "spec.interval is required: write it"),
        ("sourceRef", None, "spec.sourceRef is required: write it"),
        (
            "interval",
            "intervall",
            "spec.interval is required; Kustomization of Flux has no field intervall in spec",
        ),
    ],
)
def test_a_field_that_is_required(field: str, instead: str | None, wanted: str) -> None:
    """Every Flux refuses a Kustomization without it; of a part of a live object it is not asked."""
    spec = {name: value for name, value in BODY["spec"].items() if name not in (field, "colour")}
    if instead:
        spec[instead] = BODY["spec"][field]
    key = ResourceKey(GROUP, "Kustomization", "flux-system", "apps")
    manifest = Manifest(key, "v1", orjson.dumps({**BODY, "spec": spec}), Origin(0, "a", 0, 0))
    found = mistake_of(manifest, None)
    assert found
    assert found.cause == "MissingField"
    assert found.message.startswith(f"the API server refuses the object: {wanted}")
    assert found.message.endswith("did you mean interval?") is (instead is not None)
    part = mistake_of(manifest, None, whole=False)
    assert part is UNSET or part.cause == "UnknownField"
