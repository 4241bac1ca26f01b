"""Why entries of kustomizations match nothing."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from driftd.controller.idle_reasons import of_image, of_target
from driftd.model.resource import Manifest, Origin, ResourceKey


def _object(kind: str, name: str, **fields: Any) -> Manifest:
    metadata = {"name": name, "labels": {"app": "web"}}
    body = {"kind": kind, "metadata": metadata, **fields}
    key = ResourceKey("apps", kind, "shop", name)
    return Manifest(key, "v1", orjson.dumps(body), Origin(0, "a.yaml", 0, 0))


def _workload(image: str) -> Manifest:
    spec = {"template": {"spec": {"containers": [{"name": "web", "image": image}]}}}
    return _object("Deployment", "web", spec=spec)


@pytest.mark.parametrize(
    ("image", "why"),
    [
        ("ex.com/new:2", "Deployment web had it and has ex.com/new now"),
        ("ex.com/web@sha256:0", "Deployment web has it at the end only: where k.yaml is built"),
    ],
)
def test_an_image_is_not_taken_for_itself(image: str, why: str) -> None:
    """Of an image that the base had or that comes later, that is told, not its own name."""
    assert of_image("ex.com/web", [_workload("ex.com/web:1")], [_workload(image)], "k.yaml"
                    ).startswith(why)  # fmt: skip


def test_images_elsewhere() -> None:
    """A field that Kustomize does not look at is named, else the nearest name, or nothing."""
    custom = [_object("Cluster", "db", spec={"image": "ex.com/db:1"})]
    assert of_image("ex.com/db", [], custom, "k") == (
        "Cluster db has it in spec.image, where Kustomize does not look"
    )
    assert of_image("ex.com/bd", [], custom, "k") == "did you mean ex.com/db?"
    assert of_image("quay.io/x", custom, [], "k") == ""


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ({"kind": "Deployment", "name": "wbe"}, "did you mean web?"),
        ({"kind": "Deploymnet", "name": "other"}, "did you mean Deployment?"),
        ({"kind": "StatefulSet", "name": "web"},
         "what is called web is of another kind: Deployment"),
        ({"kind": "Deployment", "name": "web", "namespace": "prod"},
         "Deployment shop/web has the namespace shop"),
        ({"kind": "Deploy.*", "name": "w.b", "group": "extensions"},
         "Deployment shop/web has the group apps"),
        ({"kind": "Deployment", "version": "v1beta1"}, "Deployment shop/web has the version v1"),
        ({"labelSelector": "app=api"}, "Deployment shop/web has app=web in its labels"),
        ({"annotationSelector": "a=b"}, "Deployment shop/web has no a in its annotations"),
        ({"kind": "Deployment", "name": "web", "namespace": "shop"},
         "Deployment shop/web fits it at the end only"),
        ({"name": "(", "kind": "Deployment"}, ""),
    ],
)  # fmt: skip
def test_what_differs_from_a_target(target: dict[str, str], why: str) -> None:
    """The field that differs, the kind or name that was meant, or that it fits too late."""
    found = of_target(target, [_workload("ex.com/web")])
    assert found.startswith(why)
    assert bool(found) == bool(why)
