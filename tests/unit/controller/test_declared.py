"""Which applications there are, and where each one lives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from driftd.cluster.edited import edited as edits_of
from driftd.cluster.hub import Hub, Tracking
from driftd.cluster.kubeconfig import KubeContext
from driftd.controller.bearings import other_kubeconfig
from driftd.controller.declared import declare, unfit_contexts
from driftd.controller.options import CheckOptions
from driftd.errors import ConfigError, SourceError
from driftd.model.application import ApplicationSpec
from driftd.model.project import PERMISSIVE
from driftd.source.repositories import Home, Repositories
from tests.testbed.gitrepo import GitRepo
from tests.unit.controller.builders import URL, application
from tests.unit.controller.conftest import World

pytestmark = pytest.mark.slow


async def test_entries_have_project_cluster_and_destination(world: World) -> None:
    """Each Application comes with its project and cluster; every mapping made is told."""
    declared = await declare(world.workspace, CheckOptions(), world.progress)
    assert [one.application.name for one in declared.entries] == ["kept", "shop"]
    entry = declared.entries[0]
    assert (entry.cluster, entry.project, entry.blocked) == ("one", PERMISSIVE, False)
    assert "note: destination one is the context of that name" in world.told
    assert declared.urls == {URL}
    assert declared.conditions == ()


async def test_chosen_applications(world: World) -> None:
    """Only chosen applications are entries, while the URLs of all are known."""
    world.declare("other", source={"repoURL": "https://git.example.com/other.git", "path": "."})
    world.repo.commit()
    options = CheckOptions(applications=("shop",))
    declared = await declare(world.workspace, options, world.progress)
    assert [one.application.name for one in declared.entries] == ["shop"]
    assert declared.urls == {URL, "https://git.example.com/other.git"}


async def test_no_application_has_the_name(world: World) -> None:
    """A name that nothing has is an error that lists those that are declared."""
    with pytest.raises(ConfigError, match="no application matches nonesuch") as caught:
        await declare(world.workspace, CheckOptions(applications=("nonesuch",)), world.progress)
    assert caught.value.hint == "declared are: kept, shop"


@pytest.mark.parametrize("absent", ["shpo", "shpo-*", "argocd/shpo"])
async def test_one_of_several_names_matches_nothing(world: World, absent: str) -> None:
    """A name or glob that nothing has is an error even beside one that matches."""
    options = CheckOptions(applications=("kept", absent, absent))
    with pytest.raises(ConfigError) as caught:
        await declare(world.workspace, options, world.progress)
    near = "kept, shop" if "/" in absent else "shop, kept"
    assert caught.value.message == f"no application matches {absent}; declared are: {near}"


async def test_nothing_is_declared(world: World) -> None:
    """A repository without Applications is an error, not an empty list."""
    for name in ("shop", "kept"):
        world.repo.remove(f"argocd/{name}.json")
    world.repo.commit()
    with pytest.raises(SourceError, match="no Argo CD Application is declared in "):
        await declare(world.workspace, CheckOptions(), world.progress)


async def test_an_unknown_cluster_blocks_its_application(world: World) -> None:
    """Without mapping an application has no target and says why; the others are not touched."""
    world.declare("shop", "nowhere")
    world.repo.commit()
    declared = await declare(world.workspace, CheckOptions(), world.progress)
    kept, shop = declared.entries
    assert (kept.blocked, shop.blocked, shop.target) == (False, True, None)
    (condition,) = shop.conditions
    assert condition.type == "ClusterConfigurationError"
    assert "no cluster is known for destination nowhere" in condition.message


async def test_where_no_context_fits_the_kubeconfig_is_doubted_first(world: World) -> None:
    """The words of each application are those of the whole: another file, then the flag."""
    for name in ("shop", "kept"):
        world.declare(name, "nowhere")
    world.repo.commit()
    declared = await declare(world.workspace, CheckOptions(applications=("shop",)), world.progress)
    (condition,) = declared.entries[0].conditions
    flags = (
        "choose another kubeconfig with --kubeconfig FILE, or, if it is the right one, name the "
        "context with --cluster nowhere=CONTEXT"
    )
    assert f"no cluster is known for destination nowhere; {flags}; " in condition.message
    contexts = unfit_contexts(world.workspace, declared)
    assert other_kubeconfig([declared.entries[0].application], contexts).endswith(flags)


async def test_one_fitting_application_keeps_the_kubeconfig(world: World) -> None:
    """Where a context fits an application, be it not chosen, the flag alone is the remedy."""
    world.declare("shop", "nowhere")
    world.repo.commit()
    declared = await declare(world.workspace, CheckOptions(applications=("shop",)), world.progress)
    (condition,) = declared.entries[0].conditions
    assert "say which one with --cluster nowhere=CONTEXT" in condition.message


async def test_the_own_cluster_is_no_reason_to_doubt_the_kubeconfig(world: World) -> None:
    """Of several contexts any may be Argo CD's own cluster: which one, not which file, is asked."""
    for name in ("shop", "kept"):
        world.declare(name, destination={"server": "https://kubernetes.default.svc"})
    world.repo.commit()
    contexts = tuple(KubeContext(name, name, f"https://{name}") for name in ("a", "b"))
    workspace = replace(world.workspace, contexts=contexts)
    declared = await declare(workspace, CheckOptions(), world.progress)
    assert {entry.target for entry in declared.entries} == {None}
    assert unfit_contexts(workspace, declared) == ()
    for entry in declared.entries:
        assert "say which one with --cluster" in entry.conditions[0].message


async def test_a_kubeconfig_problem_is_part_of_the_reason(world: World) -> None:
    """Where no context is known at all, the reason says why."""
    workspace = replace(world.workspace, contexts=(), kubeconfig_problem="~/.kube/config is absent")
    declared = await declare(workspace, CheckOptions(), world.progress)
    message = declared.entries[0].conditions[0].message
    assert message == "no destination has a context: ~/.kube/config is absent"


async def test_a_destination_without_cluster_is_told_once(world: World) -> None:
    """Neither server nor name: one condition, not one of each check."""
    world.declare("shop", destination={"namespace": "shop"})
    world.repo.commit()
    declared = await declare(world.workspace, CheckOptions(), world.progress)
    assert len(declared.entries[1].conditions) == 1


async def test_an_unknown_project_blocks(world: World) -> None:
    """An application of a project that does not exist must not be judged."""
    world.declare("shop", project="nonesuch")
    world.repo.commit()
    declared = await declare(world.workspace, CheckOptions(), world.progress)
    shop = declared.entries[1]
    assert (shop.project, shop.blocked) == (None, True)
    assert ": there is no project 'nonesuch'; add the AppProject" in shop.conditions[0].message


async def test_context_names_the_own_cluster(world: World) -> None:
    """`--context` maps the cluster that Argo CD runs in, unless a pair does."""
    own = "https://kubernetes.default.svc"
    world.declare("shop", destination={"server": own, "namespace": "shop"})
    world.repo.commit()
    options = CheckOptions(context="two")
    declared = await declare(world.workspace, options, world.progress)
    assert declared.entries[1].cluster == "two"
    assert f"note: destination {own} is context two (--context)" in world.told
    options = CheckOptions(context="two", cluster_map={own: "one"})
    declared = await declare(world.workspace, options, world.progress)
    assert declared.entries[1].cluster == "one"


async def test_a_hub_takes_the_place_of_the_repository(world: World) -> None:
    """With a hub its live Applications count, and a missing `default` project permits all."""
    hub = Hub("one", applications=(application(name="live"),))
    workspace = replace(world.workspace, hub=hub)
    declared = await declare(workspace, CheckOptions(), world.progress)
    assert [one.application.name for one in declared.entries] == ["live"]
    assert declared.entries[0].project is PERMISSIVE


async def test_applications_that_the_hub_lacks_are_named(world: World) -> None:
    """Those of the checkout are told, where all of the hub are known and the look is for them."""
    told = "note: the hub one has no Application kept, which the checkout declares: "
    for hub, asked, noted in (
        (Hub("one", applications=(application(),), applications_known=True), (), True),
        (Hub("one", applications=(application(),), applications_known=True), ("shop",), False),
        (Hub("one", applications=(application(),)), (), False),
    ):
        world.told.clear()
        workspace = replace(world.workspace, hub=hub)
        await declare(workspace, CheckOptions(applications=asked), world.progress)
        assert [text.startswith(told) for text in world.told if "has no" in text] == [True] * noted


async def test_an_edited_live_application_is_told(world: World) -> None:
    """Fields of a live Application that Git declares otherwise are told, with who wrote them."""
    git = (await declare(world.workspace, CheckOptions(), world.progress)).applications
    parameters = [{"name": "replicaCount", "value": "9"}, {"name": "dbPassword", "value": "xyzzy"}]
    source = {"repoURL": URL, "path": "apps/shop", "helm": {"parameters": parameters}}
    edited = application(source=source)
    owned = {"f:spec": {"f:source": {"f:helm": {"f:parameters": {}}}}}
    writer = {"manager": "argocd-server", "operation": "Update", "fieldsV1": owned}
    other = {"manager": "argocd-controller", "fieldsV1": {"f:spec": {"f:project": {}}}}
    raw = {"metadata": {"managedFields": [other, writer]}}
    # As the hub was read: what owners alone say gives way to what both sides say.
    edited = msgspec.structs.replace(edited, raw=raw, conditions=edits_of(raw))
    assert edited.conditions
    kept = next(one for one in git if one.name == "kept")
    workspace = replace(world.workspace, hub=Hub("one", applications=(edited, kept)))
    declared = await declare(workspace, CheckOptions(), world.progress)
    (told,) = declared.entries[0].conditions
    assert (told.type, declared.entries[1].conditions) == ("LiveApplicationDiffers", ())
    assert "argocd/shop.json declares it" in told.message
    assert (
        'spec.source.helm.parameters[replicaCount] is "9" (Git: not set), written by argocd-server;'
        in told.message
    )
    assert told.message.count("(Git: ") == 2
    assert "xyzzy" not in told.message


@pytest.mark.parametrize(
    ("git", "live", "told"),
    [
        ({"prune": True}, None, ' is not set (Git: {"prune":true})'),
        (None, {}, " is {} (Git: not set)"),
        ({"selfHeal": True}, {"prune": True}, ".selfHeal is not set (Git: true)"),
    ],
)
async def test_both_sides_are_told_as_they_are_written(
    world: World, git: dict[str, bool] | None, live: dict[str, bool] | None, told: str
) -> None:
    """No default of an Application's fields is told that neither Git nor the live object has."""
    world.declare("shop", syncPolicy={"automated": git} if git is not None else {})
    world.repo.commit()
    (declared,) = (
        one
        for one in (await declare(world.workspace, CheckOptions(), world.progress)).applications
        if one.name == "shop"
    )
    spec = {**declared.raw["spec"], "syncPolicy": {"automated": live} if live is not None else {}}
    raw = {"metadata": declared.raw["metadata"], "spec": spec}
    edited = msgspec.structs.replace(
        declared, raw=raw, spec=msgspec.convert(spec, ApplicationSpec), origin="hub one"
    )
    workspace = replace(world.workspace, hub=Hub("one", applications=(edited,)))
    found = await declare(workspace, CheckOptions(), world.progress)
    (condition,) = found.entries[0].conditions
    assert f"spec.syncPolicy.automated{told}" in condition.message
    assert "null" not in condition.message


async def test_a_foreign_application_of_the_hub_is_not_read_here(world: World) -> None:
    """A repository that only the hub's Applications name is not taken to be this checkout."""
    foreign = application(source={"repoURL": "https://git.example.org/foreign.git", "path": "."})
    workspace = replace(world.workspace, hub=Hub("one", applications=(foreign,)))
    declared = await declare(workspace, CheckOptions(), world.progress)
    found = await workspace.repositories.resolve(foreign, declared.urls)
    assert found.sources == ()
    assert "no checkout is known for the repository" in found.conditions[0].message


async def test_a_hub_says_how_kustomize_builds(world: World) -> None:
    """`kustomize.buildOptions` of argocd-cm count for every Application of the hub."""
    tracking = Tracking(settings={"kustomize.buildOptions": "--enable-helm"})
    hub = Hub("one", applications=(application(name="live"),), tracking=tracking)
    workspace = replace(world.workspace, hub=hub)
    declared = await declare(workspace, CheckOptions(), world.progress)
    assert declared.entries[0].application.build_options == {"": "--enable-helm"}


async def test_a_hub_knows_its_own_namespace(world: World) -> None:
    """Argo CD's name of an Application has its namespace in front, unless that is Argo CD's."""
    hub = Hub("one", applications=(application(name="live"),))
    for namespace, name in (("argocd", "live"), ("gitops", "argocd_live")):
        workspace = replace(world.workspace, hub=hub, argocd_namespace=namespace)
        declared = await declare(workspace, CheckOptions(), world.progress)
        assert declared.entries[0].application.instance_name == name


async def test_two_repositories_declare_one_name(world: World, tmp_path: Path) -> None:
    """Of two repositories the first one's Application counts, and the other is named."""
    other = GitRepo(tmp_path / "other")
    other.write("apps/shop.json", (world.repo.path / "argocd/shop.json").read_text())
    other.commit()
    paths = [str(world.repo.path), str(other.path)]
    repositories = await Repositories.open(
        [paths[0], f"https://git.example.com/other.git={paths[1]}"],
        homes=[Home(path=path) for path in paths],
    )
    workspace = replace(world.workspace, repositories=repositories)
    declared = await declare(workspace, CheckOptions(), world.progress)
    assert len(declared.entries) == 2
    (condition,) = declared.conditions
    assert "argocd/shop is declared in two repositories" in condition.message
    assert "apps/shop.json does not" in condition.message


async def test_one_of_two_repositories_cannot_be_read(world: World, tmp_path: Path) -> None:
    """The Applications of the other repository are there; what failed is a condition."""
    other = GitRepo(tmp_path / "empty")
    homes = [Home(path=str(other.path)), Home(path=str(world.repo.path))]
    repositories = await Repositories.open([str(world.repo.path)], homes=homes)
    workspace = replace(world.workspace, repositories=repositories)
    declared = await declare(workspace, CheckOptions(), world.progress)
    assert [one.application.name for one in declared.entries] == ["kept", "shop"]
    (condition,) = declared.conditions
    assert str(other.path) in condition.message
    broken = await Repositories.open([str(world.repo.path)], homes=homes[:1])
    with pytest.raises(SourceError):
        await declare(replace(world.workspace, repositories=broken), CheckOptions(), world.progress)
