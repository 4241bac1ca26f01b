"""Variables of Flux that nothing sets, as a condition tells them."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from driftd.model.application import Application, ApplicationSource, ApplicationSpec, Destination
from driftd.model.condition import Severity
from driftd.model.flux import FluxSpec
from driftd.model.tree import ResolvedSource, Tree
from driftd.render.undefined import undefined_variables
from driftd.sandbox.results import Document, RenderResult

FILES = {
    "apps/kustomization.yaml": "resources: [web.yaml]\npatches:\n- path: patch.yaml\n",
    "apps/web.yaml": "# ${domian}\na: $${domian}\nb: ${domian_2}\nhost: www.${domian}\n",
    "apps/patch.yaml": "kind: Ingress\nage: ${#age}\n",
    "clusters/apps.yaml": "patches:\n- patch: ${tier^^}\n",
}


def told(undefined: dict[int, tuple[str, ...]], **variables: str) -> list[str]:
    """The warnings of the Kustomization `apps`, whose objects use variables by their index."""
    names = range(max(undefined, default=-1) + 1)
    documents = tuple(
        Document("apps/web.yaml", n, msgspec.Raw(orjson.dumps(_object(n)))) for n in names
    )
    result = RenderResult("Kustomize", documents, (), undefined=undefined)
    source = ApplicationSource(repo_url="https://git.example/fleet", path="./apps")
    files = {path: text.encode() for path, text in FILES.items()}
    resolved = ResolvedSource(
        source=source, tree=Tree("t", files), revision="1" * 40, repo_url=source.repo_url, index=0
    )
    render = {"kustomization": {"substitute": {"vars": variables}}}
    app = Application(
        name="prod/apps", namespace="flux-system", origin="clusters/apps.yaml",
        spec=ApplicationSpec(source=source, destination=Destination()),
        flux=FluxSpec(kind="Kustomization", object_name="apps", render=render),
    )  # fmt: skip
    conditions = undefined_variables(app, resolved, result)
    assert {one.severity for one in conditions} <= {Severity.WARNING}
    return [one.message for one in conditions]


def _object(number: int) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Ingress", "metadata": {"name": f"web-{number}"}}


def test_a_misspelt_name() -> None:
    """File and line, Kustomization, object and the name that is set and nearly the same."""
    (found,) = told({0: ("domian",)}, domain="shop.example", other="x")
    assert found == (
        "apps/web.yaml:4: ${domian} is not set by spec.postBuild of Kustomization "
        "flux-system/apps: Flux puts nothing in its place in Ingress web-0; did you mean ${domain}?"
    )


def test_places_of_what_is_built_with() -> None:
    """A patch that the kustomization names has the line, else the Kustomization's own file."""
    found = told({0: ("age", "tier"), 1: ("age",)}, x="1")
    assert [one.split(": ", 1)[0] for one in found] == ["apps/patch.yaml:2", "clusters/apps.yaml:2"]
    assert "in Ingress web-0, Ingress web-1; set it there, or write ${age:=DEFAULT}" in found[0]


def test_no_place_and_many() -> None:
    """What no file has is told without one, more than ten in one line, nothing without any."""
    names = tuple(f"none_{number:02}" for number in range(12))
    found = told({0: names}, x="1")
    assert len(found) == 11
    assert found[0].startswith("${none_00} is not set")
    assert found[-1].endswith("does not set these either: ${none_10}, ${none_11}")
    assert told({}) == []
