"""Which context the cluster of a root is."""

from __future__ import annotations

from driftd.cluster.kubeconfig import KubeContext
from driftd.flux.clusters import by_live, by_name, own_context
from driftd.flux.layout import find_roots
from tests.unit.flux.builders import kustomization

ROOTS = find_roots(
    [kustomization("sync", f"clusters/{name}", f"clusters/{name}/s.yaml") for name in "abc"]
)


def context(name: str) -> KubeContext:
    """A context of any cluster."""
    return KubeContext(name=name, cluster=name, server=f"https://{name}.example")


def test_flags_come_before_names() -> None:
    """--cluster settles a root, else a context of its name does; the others stay open."""
    found = by_name(ROOTS, {"a": "x"}, [context("a"), context("b")])
    assert {name: one.context for name, one in found.items()} == {"a": "x", "b": "b"}


def test_own_context_is_that_of_the_flag_or_the_only_one() -> None:
    """Of several contexts none is meant without a word."""
    both = [context("x"), context("y")]
    assert own_context(both, "") is None
    assert own_context(both[:1], "") == both[0]
    assert own_context(both, "y") == both[1]
    assert own_context(both, "z") is None


def test_live_kustomization_tells_which_root_it_is() -> None:
    """The root with the path that the cluster syncs is here, the others are elsewhere."""
    found = by_live(ROOTS, context("x"), [kustomization("sync", "./clusters/b", "x")])
    assert {name: (one.context, one.elsewhere) for name, one in found.items()} == {
        "a": ("", True),
        "b": ("x", False),
        "c": ("", True),
    }
    assert by_live(ROOTS, context("x"), [kustomization("sync", "./other", "x")]) == {}
    assert by_live(ROOTS, context("x"), []) == {}
