"""Paths of ignore rules against the schema of a kind."""

from __future__ import annotations

import pytest

from driftd.diff.schema import ANY_NODE, Node, SchemaSet
from driftd.diff.unfit import Unfit, steps_of, unfit
from driftd.model.resource import GVK

TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
ITEM = {"type": "object", "properties": {"name": {"type": "string"}, "image": {"type": "string"}}}
SPEC = {
    "type": "object",
    "properties": {
        "replicas": {"type": "integer"},
        "labels": TEXTS,
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "containers": {"type": "array", "items": ITEM},
    },
}


@pytest.fixture(scope="module")
def root() -> Node:
    """The schema of a kind with a closed spec."""
    gvk = {"group": "example.com", "version": "v1", "kind": "Web"}
    schema = {
        "type": "object",
        "properties": {"metadata": {"type": "object"}, "spec": SPEC},
        "x-kubernetes-group-version-kind": [gvk],
    }
    node = SchemaSet([{"components": {"schemas": {"Web": schema}}}]).node(GVK(**gvk))
    assert node is not None
    return node


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ("spec/replica", Unfit(("spec", "replica"), ("spec", "replicas"))),
        ("replicas", Unfit(("replicas",), ("spec", "replicas"))),
        ("spec/containers/0/imag", Unfit(("spec", "containers", "0", "imag"),
                                         ("spec", "containers", "0", "image"))),
        ("spec/containers/[]/Image", Unfit(("spec", "containers", "[]", "Image"),
                                           ("spec", "containers", "[]", "image"))),
        ("spec/label/app", Unfit(("spec", "label"), ("spec", "labels", "app"))),
        ("spec/xyz", Unfit(("spec", "xyz"), ())),
        ("spec/replicas", None),
        ("spec/labels/any", None),
        ("spec/free/any/thing", None),
        ("spec/containers/*/imag", None),
    ],
)  # fmt: skip
def test_what_a_kind_cannot_have(root: Node, steps: str, found: Unfit | None) -> None:
    """A path is unfit where the schema is closed, with the field that was meant."""
    assert unfit(steps.split("/"), root, {"spec": {"containers": [{"name": "a"}]}}) == found


def test_without_a_schema() -> None:
    """Of a kind without a schema nothing is unfit."""
    assert unfit(("spec", "replica"), ANY_NODE, {}) is None


@pytest.mark.parametrize(
    ("expression", "steps"),
    [
        (".spec.replicas", ("spec", "replicas")),
        ('.metadata.annotations["a.b/c"]', ("metadata", "annotations", "a.b/c")),
        ('.metadata."a.b"?', ("metadata", "a.b")),
        (".spec.containers[0].image", ("spec", "containers", "0", "image")),
        ('.spec.c[]? | select(.name == "x") | .env[]', ("spec", "c", "[]", "env", "[]")),
        (".spec | keys", None),
        (".spec, .status", None),
        ("..", None),
        ("", None),
    ],
)
def test_expressions_that_are_paths(expression: str, steps: tuple[str, ...] | None) -> None:
    """An expression that only steps and selects has steps; any other one has none."""
    assert steps_of(expression) == steps
