"""Where Flux begins in a repository."""

from __future__ import annotations

from driftd.flux.layout import find_roots, flux_files, path_of
from driftd.model.tree import Tree
from tests.unit.flux.builders import kustomization, repository


def test_kustomization_that_applies_its_own_folder_is_a_root() -> None:
    """Of bootstrap's objects each cluster is one root, and what they apply is none."""
    roots = find_roots(
        [
            kustomization("sync", "./clusters/prod", "clusters/prod/flux-system/sync.yaml"),
            kustomization("sync", "./clusters/test/", "clusters/test/flux-system/sync.yaml"),
            kustomization("apps", "./apps/prod", "clusters/prod/apps.yaml"),
            kustomization("base", "./elsewhere", "apps/base/ks.yaml"),
            repository(),
        ]
    )
    assert [(root.name, root.path, root.synced) for root in roots] == [
        ("prod", "clusters/prod", True),
        ("test", "clusters/test", True),
    ]


def test_without_a_root_the_documents_count_by_folder() -> None:
    """A repository whose bootstrap lies elsewhere is read from the Kustomizations it has."""
    roots = find_roots(
        [
            kustomization("apps", "./apps/eu", "clusters/eu/flux-system/apps.yaml"),
            kustomization("infra", "./infra", "clusters/eu/infra.yaml"),
            kustomization("apps", "./apps/us", "clusters/us/apps.yaml"),
        ]
    )
    assert [(root.name, len(root.entries), root.synced) for root in roots] == [
        ("eu", 2, False),
        ("us", 1, False),
    ]


def test_equal_last_parts_are_told_apart() -> None:
    """Two clusters called `prod` get the folder before in their names."""
    roots = find_roots(
        [
            kustomization("sync", f"clusters/{region}/prod", f"clusters/{region}/prod/sync.yaml")
            for region in ("eu", "us")
        ]
    )
    assert [root.name for root in roots] == ["eu-prod", "us-prod"]


def test_root_of_the_whole_repository_has_a_name() -> None:
    """A path of `./` or none is the repository itself."""
    (root,) = find_roots([kustomization("sync", "./", "flux-system/sync.yaml")])
    assert (root.name, root.path) == ("flux", "")
    assert path_of(kustomization("x", "")) == ""


def test_sources_are_those_below_the_root() -> None:
    """A source that lies in another cluster's folder is not this one's."""
    sync = kustomization("sync", "c/one", "c/one/sync.yaml")
    (root,) = find_roots([sync, repository()])
    assert root.sources == ()


def test_only_files_that_name_flux_are_read() -> None:
    """Other files are not even parsed."""
    tree = Tree("t", {"a.yaml": b"x: kustomize.toolkit.fluxcd.io/v1", "b.yaml": b"", "c.md": b""})
    assert flux_files(tree) == ["a.yaml"]
