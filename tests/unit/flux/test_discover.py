"""Applications that are found by rendering what a cluster's entry applies."""

from __future__ import annotations

import pytest

from driftd.errors import ClusterError
from driftd.flux.applications import Place
from driftd.flux.discover import Found, follow, read_layout, without_nested
from driftd.model.application import Destination
from driftd.model.condition import Severity
from driftd.sandbox.pool import SandboxPool
from driftd.source.repositories import Repositories
from tests.testbed.gitrepo import GitRepo

pytestmark = pytest.mark.slow

SYNC = """\
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {{name: fleet, namespace: flux-system}}
spec: {{url: https://git.example/fleet, ref: {{branch: main}}}}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {{name: sync, namespace: flux-system}}
spec: {{path: ./{path}, sourceRef: {{kind: GitRepository, name: fleet}}}}
"""
NEXT = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {{name: {name}, namespace: flux-system}}
spec: {{path: ./{path}, sourceRef: {{kind: GitRepository, name: {source}}}{more}}}
"""
CONFIG = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: vars, namespace: flux-system}
data: {suffix: one}
"""
RELEASE = """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: "web-${suffix:=none}", namespace: web}
spec:
  chart: {spec: {chart: web, sourceRef: {kind: HelmRepository, name: charts}}}
"""


async def found_in(repo: GitRepo) -> list[Found]:
    """Everything that the roots of a repository lead to."""
    repo.commit()
    repositories = await Repositories.open([str(repo.path)])
    (reading,), _ = await repositories.homes()

    async def live(_namespace: str, _name: str) -> dict[str, str] | None:
        raise ClusterError("no cluster in this test")

    async with SandboxPool(size=1) as sandbox:
        layout = await read_layout(reading.tree, sandbox)
        return without_nested(
            [
                await follow(
                    root,
                    Place(destination=Destination(name=root.name)),
                    repositories,
                    sandbox,
                    urls=layout.urls,
                    live=live,
                    written=layout.objects,
                    home=layout.tree,
                )
                for root in layout.roots
            ]
        )


async def test_renders_are_followed_and_bases_are_not(git_repo: GitRepo) -> None:
    """Kustomizations that come out of renders count, whatever order their needs come in."""
    git_repo.write("clusters/one/sync.yaml", SYNC.format(path="clusters/one"))
    needs = ", postBuild: {substituteFrom: [{kind: ConfigMap, name: vars}]}"
    git_repo.write(
        "clusters/one/apps.yaml",
        NEXT.format(name="apps", path="apps", source="late", more=needs),
    )
    git_repo.write(
        "clusters/one/base.yaml", NEXT.format(name="base", path="base", source="fleet", more="")
    )
    git_repo.write("base/vars.yaml", CONFIG)
    git_repo.write("base/source.yaml", SYNC.format(path="x").split("---")[0].replace(
        "name: fleet", "name: late"))  # fmt: skip
    git_repo.write("apps/release.yaml", RELEASE)
    git_repo.write("unused/release.yaml", RELEASE)
    git_repo.write(
        "unused/ks.yaml", NEXT.format(name="unused", path="apps", source="fleet", more="")
    )
    (found,) = await found_in(git_repo)
    assert sorted(found.applications) == [
        ("HelmRelease", "web", "web-one"),
        ("Kustomization", "flux-system", "apps"),
        ("Kustomization", "flux-system", "base"),
        ("Kustomization", "flux-system", "sync"),
    ]
    release = found.applications["HelmRelease", "web", "web-one"]
    assert release.flux is not None
    assert release.flux.applied_by == "flux-system/apps"
    (why,) = release.flux.conditions
    assert "HelmRepository web/charts is not declared" in why.message


async def test_broken_branch_stops_no_other(git_repo: GitRepo) -> None:
    """A Kustomization whose path or variables are missing is there, with the reason if known."""
    git_repo.write("clusters/one/sync.yaml", SYNC.format(path="clusters/one"))
    git_repo.write(
        "clusters/one/a.yaml", NEXT.format(name="a", path="absent", source="fleet", more="")
    )
    needs = ", postBuild: {substituteFrom: [{kind: ConfigMap, name: gone}]}"
    git_repo.write(
        "clusters/one/b.yaml", NEXT.format(name="b", path="apps", source="fleet", more=needs)
    )
    git_repo.write("apps/vars.yaml", CONFIG)
    (found,) = await found_in(git_repo)
    assert {name for _, _, name in found.applications} == {"sync", "a", "b"}
    flux = found.applications["Kustomization", "flux-system", "b"].flux
    assert flux is not None
    (why,) = flux.conditions
    assert why.severity is Severity.ERROR
    assert "no cluster in this test" in why.message


async def test_kustomization_that_a_root_applies_is_no_root(git_repo: GitRepo) -> None:
    """A folder that applies itself belongs to the cluster whose entry leads to it."""
    git_repo.write("clusters/one/sync.yaml", SYNC.format(path="clusters/one"))
    inner = NEXT.format(name="inner", path="aaa", source="fleet", more="")
    git_repo.write("clusters/one/inner.yaml", inner)
    git_repo.write("aaa/inner.yaml", inner)
    (found,) = await found_in(git_repo)
    assert found.root.name == "one"
    assert ("Kustomization", "flux-system", "inner") in found.applications


async def test_repository_without_flux_has_no_roots(git_repo: GitRepo) -> None:
    """Nothing is parsed and nothing is found."""
    git_repo.write("a.yaml", CONFIG)
    assert await found_in(git_repo) == []


async def test_root_declares_its_own_variables(git_repo: GitRepo) -> None:
    """Variables that lie in the folder that uses them are found, before anything is asked live."""
    needs = "sourceRef: {kind: GitRepository, name: fleet}, postBuild: {substituteFrom: [{kind: "
    needs += "ConfigMap, name: vars}]}"
    sync = SYNC.format(path="clusters/one").replace(
        "sourceRef: {kind: GitRepository, name: fleet}", needs
    )
    git_repo.write("clusters/one/sync.yaml", sync)
    git_repo.write("clusters/one/vars.yaml", CONFIG)
    git_repo.write("clusters/one/release.yaml", RELEASE)
    (found,) = await found_in(git_repo)
    assert ("HelmRelease", "web", "web-one") in found.applications
    flux = found.applications["Kustomization", "flux-system", "sync"].flux
    assert flux is not None
    assert flux.conditions == ()


async def test_what_a_misspelt_path_hides_is_named(git_repo: GitRepo) -> None:
    """Of a folder that is not there the near one tells what is not looked at, through its bases."""
    git_repo.write("clusters/one/sync.yaml", SYNC.format(path="clusters/one"))
    git_repo.write(
        "clusters/one/apps.yaml",
        NEXT.format(name="apps", path="apps/prodution", source="fleet", more=""),
    )
    git_repo.write("apps/production/kustomization.yaml", "resources:\n- ../base\n- more.yaml\n")
    git_repo.write(
        "apps/production/more.yaml", NEXT.format(name="more", path="x", source="fleet", more="")
    )
    git_repo.write("apps/base/kustomization.yaml", "resources: [release.yaml]\n")
    for file in ("apps/base/release.yaml", "apps/production/patch.yaml"):
        git_repo.write(file, RELEASE.replace("web-${suffix:=none}", "web"))
    git_repo.write("apps/staging/release.yaml", RELEASE.replace("web-${suffix:=none}", "other"))
    (found,) = await found_in(git_repo)
    assert {name for _, _, name in found.applications} == {"sync", "apps"}
    (condition,) = found.conditions
    assert condition.severity is Severity.ERROR
    assert condition.message == (
        "Kustomization apps (clusters/one/apps.yaml) cannot be read, so that what it leads to is "
        "not looked at (HelmRelease web, Kustomization more): source ./apps/prodution: "
        "clusters/one/apps.yaml:4: path apps/prodution does not exist at the revision; did you "
        "mean apps/production?"
    )


async def test_what_a_broken_kustomization_hides_is_named(git_repo: GitRepo) -> None:
    """What does not render, or waits for values in vain, hides what lies in its folder."""
    git_repo.write("clusters/one/sync.yaml", SYNC.format(path="clusters/one"))
    needs = ", postBuild: {substituteFrom: [{kind: ConfigMap, name: gone}]}"
    for name, more in (("broken", ""), ("waits", needs), ("plain", "")):
        git_repo.write(
            f"clusters/one/{name}.yaml",
            NEXT.format(name=name, path=name, source="fleet", more=more),
        )
    git_repo.write("broken/kustomization.yaml", "resourcs: []\n")
    git_repo.write("waits/release.yaml", RELEASE.replace("web-${suffix:=none}", "below-waits"))
    git_repo.write("broken/release.yaml", RELEASE.replace("web-${suffix:=none}", "below-broken"))
    git_repo.write("plain/map.yaml", "a: b: c")
    (found,) = await found_in(git_repo)
    told = sorted(one.message for one in found.conditions)
    assert len(told) == 2
    assert "(HelmRelease below-broken): source ./broken: broken/kustomization.yaml:1 has" in told[0]
    assert "(HelmRelease below-waits): " in told[1]
    assert "ConfigMap flux-system/gone" in told[1]


async def a_fleet_with(git_repo: GitRepo, old: str, new: str) -> Found:
    """What an entry leads to whose Kustomization `apps` has one slip."""
    git_repo.write("clusters/one/sync.yaml", SYNC.format(path="clusters/one"))
    document = NEXT.format(name="apps", path="apps", source="fleet", more=", prune: true")
    assert old in document
    git_repo.write("clusters/one/apps.yaml", document.replace(old, new))
    git_repo.write("apps/inner.yaml", NEXT.format(name="inner", path="inner", source="fleet",
                                                  more=""))  # fmt: skip
    git_repo.write("inner/release.yaml", RELEASE.replace("web-${suffix:=none}", "web"))
    (found,) = await found_in(git_repo)
    return found


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("prune: true", 'prune: "yess"', "spec.prune"),
        ("name: fleet", "name: flet", "GitRepository flux-system/flet"),
        ("kind: Kustomization", "kind: Kustomizaton", "did you mean Kustomization?"),
        ("kustomize.toolkit", "kustomise.toolkit", "did you mean kustomize.toolkit.fluxcd.io/v1?"),
    ],
)
async def test_what_an_unusable_document_hides_is_named(
    git_repo: GitRepo, old: str, new: str, why: str
) -> None:
    """A wrong field, source, kind or group hides its folder, and what the folder leads to."""
    found = await a_fleet_with(git_repo, old, new)
    (condition,) = found.conditions
    assert condition.severity is Severity.ERROR
    assert "not looked at (Kustomization inner, HelmRelease web)" in condition.message
    assert "apps (clusters/one/apps.yaml)" in condition.message
    assert why in condition.message


async def test_misspelt_entry_is_a_root_still(git_repo: GitRepo) -> None:
    """The entry of a cluster is taken as it is meant, with an error: no other passes as the one."""
    for name in ("one", "two"):
        git_repo.write(f"clusters/{name}/sync.yaml", SYNC.format(path=f"clusters/{name}"))
    misspelt = SYNC.format(path="clusters/one").replace("kind: Kustom", "kind: Kustm")
    git_repo.write("clusters/one/sync.yaml", misspelt)
    first, second = await found_in(git_repo)
    assert (first.root.name, second.root.name) == ("one", "two")
    assert ("Kustomization", "flux-system", "sync") in first.applications
    (condition,) = first.conditions
    assert condition.message == (
        "Kustomization sync (clusters/one/sync.yaml) is not looked at: kind 'Kustmization' is none "
        "of Flux's: did you mean Kustomization? Correct it in Git"
    )
    assert second.conditions == []


async def test_misspelt_release_is_named(git_repo: GitRepo) -> None:
    """A HelmRelease whose kind is misspelt is told once; other kinds and groups are no slips."""
    git_repo.write("clusters/one/sync.yaml", SYNC.format(path="clusters/one"))
    release = RELEASE.replace("web-${suffix:=none}", "web").replace("HelmRelease", "HelmRelese")
    git_repo.write("clusters/one/release.yaml", release)
    other = "apiVersion: kustomize.toolkit.example.com/v1\nkind: Kustomization\nmetadata: {name: x}"
    git_repo.write("clusters/one/other.yaml", other)
    git_repo.write("clusters/one/alert.yaml", other.replace(
        "kustomize.toolkit.example.com/v1\nkind: Kustomization",
        "notification.toolkit.fluxcd.io/v1\nkind: Alert"))  # fmt: skip
    (found,) = await found_in(git_repo)
    (condition,) = found.conditions
    assert condition.message.startswith("HelmRelease web (clusters/one/release.yaml) is not looked")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "prune: true",
            'prune: "yess"',
            "spec.prune must be true or false, not text; correct it in Git",
        ),
        (
            "sourceRef: {kind: GitRepository, name: fleet}, ",
            "",
            "spec.sourceRef is missing; correct it in Git",
        ),
        (
            "name: fleet",
            "name: flet",
            "its source GitRepository flux-system/flet is not declared; did you mean fleet?",
        ),
        (
            "name: fleet",
            "name: xyz",
            (
                "its source GitRepository flux-system/xyz is not declared; correct the name in "
                "Git, or add the GitRepository to what the cluster's Kustomizations apply"
            ),
        ),
    ],
)
async def test_unusable_document_is_told_with_line_and_remedy(
    git_repo: GitRepo, old: str, new: str, message: str
) -> None:
    """File, line, plain words and what to do."""
    found = await a_fleet_with(git_repo, old, new)
    flux = found.applications["Kustomization", "flux-system", "apps"].flux
    assert flux is not None
    place = "clusters/one/apps.yaml:4: Kustomization flux-system/apps: "
    assert [one.message for one in flux.conditions] == [place + message]


async def test_misspelt_config_map_is_told_with_line_and_remedy(git_repo: GitRepo) -> None:
    """A reference names its file and line, and the ConfigMap that was probably meant."""
    git_repo.write("clusters/one/vars.yaml", CONFIG)
    needs = ", prune: true,\n  postBuild: {substituteFrom: [{kind: ConfigMap, name: varz}]}"
    found = await a_fleet_with(git_repo, ", prune: true", needs)
    flux = found.applications["Kustomization", "flux-system", "apps"].flux
    assert flux is not None
    (why,) = flux.conditions
    assert why.message.startswith(
        "clusters/one/apps.yaml:5: spec.postBuild.substituteFrom: ConfigMap flux-system/varz: "
    )
    assert why.message.endswith("; did you mean vars?")
