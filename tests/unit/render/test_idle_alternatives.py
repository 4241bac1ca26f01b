"""Alternatives of the targets of patches."""

from __future__ import annotations

import pytest

from driftd.model.tree import Tree
from driftd.render.idle_alternatives import alternatives_of, dead, slip_of, split
from driftd.render.idle_entries import Entry


@pytest.mark.parametrize(
    ("pattern", "texts"),
    [
        ("gatway|processor", ["gatway", "processor"]),
        ("^(web|api)-x$", ["web-x", "api-x"]),
        ("shop-(?:a|b)", ["shop-a", "shop-b"]),
        ("web", []),
        ("web|", []),
        ("web|api.*", []),
        ("a|(b|c)", []),
        ("web|(api)?", []),
        (None, []),
    ],
)
def test_only_plain_alternatives_are_split(pattern: str | None, texts: list[str]) -> None:
    """Alternatives of plain names are known, at the top and in one group; nothing else is."""
    assert split(pattern) == texts


def _entry(*, component: bool = False, **target: str) -> Entry:
    value = {"target": target, "patch": ""}
    return Entry("o/kustomization.yaml", 3, "patches", 0, value, component)


def test_components_have_no_alternatives() -> None:
    """What a Component names may be another application's."""
    assert alternatives_of([_entry(name="a|b", component=True)]) == []
    assert [one.value["target"] for one in alternatives_of([_entry(name="a|b", kind="Pod")])] == [
        {"name": "a", "kind": "Pod"},
        {"name": "b", "kind": "Pod"},
    ]


def test_what_another_file_names_is_no_mistake() -> None:
    """A name is a mistake where no file gives it to an object: a target does not count."""
    whole = _entry(name="gatway|processor")
    found = alternatives_of([whole])[:1]
    sibling = {"p/kustomization.yaml": b"- target: {name: gatway|processor}\n"}
    assert dead(found, Tree("t", sibling), []) == found
    assert dead(found, Tree("t", {"x.yaml": b'metadata: {name: "gatway"}'}), []) == []
    assert dead([*found, whole], Tree("t", {}), []) == [whole]


@pytest.mark.parametrize(
    ("kind", "meant"),
    [("Deploymnet", "Deployment"), ("Deploymen", "Deployment"), ("deployment", "Deployment"),
     ("StatefulSet", ""), ("Job", ""), ("Deployment", "")],
)  # fmt: skip
def test_slips_of_kinds(kind: str, meant: str) -> None:
    """Only a letter more, less or other, or in another place, makes a slip of a kind."""
    assert slip_of(kind, ["CronJob", "Deployment", "ReplicaSet"]) == meant
