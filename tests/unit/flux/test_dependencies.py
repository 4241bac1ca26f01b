"""What waits for something that nothing declares."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.flux.dependencies import unmet_dependencies
from driftd.flux.objects import FluxObjects
from driftd.model.flux import FluxObject
from driftd.model.tree import Tree


def flux(name: str, *wanted: Any, kind: str = "Kustomization") -> FluxObject:
    """An object of `flux-system` that depends on others."""
    body = {"metadata": {"name": name}, "spec": {"dependsOn": list(wanted)}}
    return FluxObject(
        kind=kind, namespace="flux-system", name=name, body=body, origin=f"clusters/{name}.yaml"
    )


def test_a_name_that_nothing_has() -> None:
    """The file, the object, what it waits for and what was probably meant are told."""
    objects = FluxObjects([flux("apps", {"name": "infrastucture"}), flux("infrastructure")])
    (told,) = unmet_dependencies(objects)
    assert told.message == (
        "clusters/apps.yaml: Kustomization flux-system/apps depends on Kustomization "
        "infrastucture, which nothing here declares: Flux waits for it and does not apply this "
        "one; did you mean infrastructure?"
    )


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"name": "infrastructure"}, ""),
        ({"name": "infrastructure", "namespace": "flux-system"}, ""),
        ({"name": "infrastructure", "namespace": "other"}, "other/infrastructure"),
        ({"name": 7}, ""),
        ("infrastructure", ""),
    ],
)
def test_namespaces_and_shapes(wanted: Any, told: str) -> None:
    """The own namespace counts unless another is named; what is no reference is left out."""
    objects = FluxObjects([flux("apps", wanted), flux("infrastructure")])
    found = [one.message for one in unmet_dependencies(objects)]
    assert [told in one for one in found] == ([True] if told else [])
    assert all(one.endswith("the one of namespace flux-system?") for one in found)


def test_releases_depend_on_releases() -> None:
    """A HelmRelease does not wait for a Kustomization of the name."""
    objects = FluxObjects([flux("web", {"name": "base"}, kind="HelmRelease"), flux("base")])
    (told,) = unmet_dependencies(objects)
    assert "depends on HelmRelease base" in told.message
    assert told.message.endswith("; declare it, or remove the entry")


def test_what_is_not_seen_may_be_waited_for() -> None:
    """Where a Kustomization cannot be read, only a slip of a known name is told, with its line."""
    wanted = [{"name": "infrastucture"}, {"name": "hidden"}, {"name": "other-thing"}]
    objects = FluxObjects([flux("apps", *wanted), flux("infrastructure"), flux("hiden")])
    text = (
        b"kind: Kustomization\nmetadata:\n  name: apps\nspec:\n  dependsOn:\n"
        b"    - name: infrastucture\n"
    )
    home = Tree(id="t", files={"clusters/apps.yaml": text})
    (told,) = unmet_dependencies(objects, home, [flux("hidden")])
    assert told.message.startswith("clusters/apps.yaml:6: Kustomization flux-system/apps depends ")
    assert told.message.endswith("did you mean infrastructure?")
    assert len(unmet_dependencies(objects, home)) == 3
