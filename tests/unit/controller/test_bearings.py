"""Where applications were looked for and found."""

from __future__ import annotations

import json
from dataclasses import replace

import msgspec
import pytest

from driftd.cluster.hub import Hub
from driftd.cluster.kubeconfig import OTHER_FILE
from driftd.controller.bearings import NEXT_STEPS, NOTHING_JUDGED, found_in, nothing_judged
from driftd.controller.check import check
from driftd.controller.declared import declare
from driftd.controller.doctor import Doctor
from driftd.controller.options import CheckOptions
from driftd.errors import SourceError, Unreachable
from driftd.model.application import Application
from driftd.model.report import DriftReport, ReportCondition
from tests.unit.controller.builders import URL, application
from tests.unit.controller.conftest import World
from tests.unit.controller.test_doctor import Clock, Probe
from tests.unit.reports import START, VirtualClock

pytestmark = pytest.mark.slow


def at(*origins: str) -> list[Application]:
    """Applications with these origins."""
    return [msgspec.structs.replace(application(), origin=origin) for origin in origins]


async def checked(world: World, **options) -> DriftReport:
    """The report on what is committed now."""
    world.repo.commit()
    world.workspace.repositories.forget()
    return await check(
        world.workspace, CheckOptions(**options), progress=world.progress, clock=VirtualClock(START)
    )


def told(report: DriftReport) -> list[str]:
    """What is asked where nothing could be judged."""
    return [one.message for one in report.conditions if one.type == NOTHING_JUDGED]


@pytest.mark.parametrize(
    ("origins", "words"),
    [
        (["argocd/shop.yaml"], "argocd/shop.yaml"),
        (["apps.yaml", "apps.yaml"], "apps.yaml"),
        (["b/x.yaml", "a/x.yaml"], "a/x.yaml, b/x.yaml"),
        ([f"argocd/{n}.yaml" for n in range(4)], "argocd"),
        ([f"{n}.yaml" for n in range(4)], "the top folder"),
        (
            [f"tests/fixtures/{part}/{n}/app.yaml" for part in "ab" for n in range(5)],
            "tests/fixtures/a (5), tests/fixtures/b (5)",
        ),
        (
            ["ApplicationSet web"] * 3 + ["root.yaml", "Application root (apps/a.yaml)"] * 2,
            "ApplicationSet web (3), root.yaml (2), Application root (2)",
        ),
        (
            [f"ApplicationSet set{n}" for n in range(5)],
            ", ".join(f"ApplicationSet set{n} (1)" for n in range(3)) + " and elsewhere (2)",
        ),
        ([], ""),
    ],
)
def test_places(origins: list[str], words: str) -> None:
    """Few files are named, many are their folder with a number, sets and parents are named."""
    assert found_in(at(*origins)) == words


async def test_nothing_is_declared(world: World) -> None:
    """A repository without applications: what was looked for, in which files, and what now."""
    for name in ("shop", "kept"):
        world.repo.remove(f"argocd/{name}.json")
    world.repo.commit()
    for names in ((), ("shop",)):
        with pytest.raises(SourceError) as caught:
            await declare(world.workspace, CheckOptions(applications=names), world.progress)
        assert str(caught.value) == (
            f"no Argo CD Application is declared in {world.repo.path}, no ApplicationSet, and no "
            "Kustomization or HelmRelease of Flux (2 YAML or JSON files were looked through)"
        )
        assert caught.value.hint == NEXT_STEPS


async def test_a_set_that_generates_nothing(world: World) -> None:
    """Where the only set makes no application, it is named, with what matches nothing."""
    for name in ("shop", "kept"):
        world.repo.remove(f"argocd/{name}.json")
    document = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "ApplicationSet",
        "metadata": {"name": "fleet"},
        "spec": {
            "generators": [{"git": {"repoURL": URL, "directories": [{"path": "app/*"}]}}],
            "template": {"metadata": {"name": "{{path.basename}}"}, "spec": {}},
        },
    }
    world.repo.write("argocd/set.json", json.dumps(document))
    world.repo.commit()
    with pytest.raises(SourceError) as caught:
        await declare(world.workspace, CheckOptions(), world.progress)
    assert str(caught.value) == (
        "no application is declared: argocd/set.json, document 1: ApplicationSet fleet generates "
        "no Application: nothing in the repository matches app/*; did you mean apps/*?"
    )
    assert caught.value.hint.startswith("correct its generators, or cd to the repository")


async def test_no_manifests_at_all(world: World) -> None:
    """A repository of something else is told as such, with the files that are not committed."""
    world.repo.git("rm", "-rq", "apps", "argocd")
    world.repo.commit()
    world.repo.write("argocd/new.yaml", "")
    with pytest.raises(SourceError, match="it has no YAML or JSON files; uncommitted files in"):
        await declare(world.workspace, CheckOptions(), world.progress)


async def test_a_hub_without_applications(world: World) -> None:
    """The hub is named, not the repository that it was not looked for in."""
    workspace = replace(world.workspace, hub=Hub(name="ops"))
    with pytest.raises(SourceError, match="the hub ops has no Application") as caught:
        await declare(workspace, CheckOptions(hub="ops"), world.progress)
    assert "--hub CONTEXT" in caught.value.hint


async def test_nothing_could_be_judged(world: World) -> None:
    """Where all applications belong elsewhere, one warning names their files and the ways out."""
    for name in ("shop", "kept"):
        world.declare(name, cluster="nowhere")
    (text,) = told(await checked(world))
    assert text.startswith(
        "nothing could be judged of the 2 applications, which were found in argocd/kept.json, "
        "argocd/shop.json; "
    )
    assert text.endswith(f"if these are not yours, {NEXT_STEPS}")


async def test_a_kubeconfig_that_is_not_there_comes_first(world: World) -> None:
    """Where all share that cause, it is told before the question whose the applications are."""
    for name in ("shop", "kept"):
        world.declare(name, cluster="nowhere")
    report = await checked(world)
    why = f"there is no kubeconfig (looked for /x); {OTHER_FILE}"
    blind = [
        msgspec.structs.replace(one, conditions=(ReportCondition(type="E", message=why),))
        for one in report.applications
    ]
    (found,) = nothing_judged(at("a.yaml", "b.yaml"), blind)
    assert found.message == (
        "without a usable kubeconfig nothing could be judged of the 2 applications, which were "
        f"found in a.yaml, b.yaml: {OTHER_FILE}; if these are not yours, {NEXT_STEPS}"
    )


async def test_sources_of_another_repository(world: World) -> None:
    """Applications whose repoURLs nothing here is known to be may be another project's."""
    for name in ("shop", "kept"):
        file = world.repo.path / f"argocd/{name}.json"
        document = json.loads(file.read_text())
        document["spec"]["source"]["repoURL"] = f"https://git.example.com/other/{name}.git"
        world.repo.write(f"argocd/{name}.json", json.dumps(document))
    (text,) = told(await checked(world))
    assert "if these are not yours, cd to the repository" in text


async def test_what_does_not_render_is_not_foreign(world: World) -> None:
    """Broken templates and a cluster that is down say nothing of whose applications these are."""
    for name in ("shop", "kept"):
        world.repo.write(f"apps/{name}/broken.yaml", "a: b: c")
        world.repo.remove(f"apps/{name}/map.json")
    report = await checked(world)
    assert {str(one.status) for one in report.applications} == {"Unknown"}
    assert report.conditions == ()
    doctor = Doctor(CheckOptions(repo=world.repo.path), Clock(), world.progress)
    await doctor.applications(world.workspace, lambda _target: Probe())
    assert not any("not yours" in one.remedy for one in doctor.report().checks)
    world.clusters.one.down = Unreachable("no route")
    assert (await checked(world)).conditions == ()


async def test_no_question_where_it_is_settled(world: World) -> None:
    """One application that was judged, or applications asked for by name, need no question."""
    for name in ("shop", "kept"):
        world.declare(name, cluster="nowhere")
    assert told(await checked(world, applications=("shop", "kept"))) == []
    world.declare("other", cluster="two")
    world.paint("other", "blue", cluster="two")
    assert told(await checked(world)) == []


async def test_doctor_names_the_files(world: World) -> None:
    """The repository's line says where applications were found, and asks if none renders."""

    async def line() -> tuple[str, str, str]:
        doctor = Doctor(CheckOptions(repo=world.repo.path), Clock(), world.progress)
        await doctor.applications(world.workspace, lambda _target: Probe())
        (found,) = [one for one in doctor.report().checks if "rendered" in one.message]
        return found.status, found.message, found.remedy

    places = "2 applications in argocd/kept.json, argocd/shop.json"
    assert await line() == ("ok", f"{places}, 2 rendered without errors", "")
    for name in ("shop", "kept"):
        world.declare(name, cluster="nowhere")
    world.repo.commit()
    world.workspace.repositories.forget()
    told_now = f"if these are not yours, {NEXT_STEPS}"
    assert await line() == ("warn", f"{places}, 0 rendered without errors", told_now)


async def test_a_kubeconfig_of_other_clusters_is_doubted_first(world: World) -> None:
    """The first hint of a check is --kubeconfig where no context is any application's cluster."""
    for name in ("shop", "kept"):
        world.declare(name, cluster="elsewhere")
    (text,) = told(await checked(world))
    assert "this kubeconfig does not look like the one for this repository" in text
    assert text.index("--kubeconfig FILE") < text.index("--cluster elsewhere=CONTEXT")
    assert text.index("--cluster elsewhere=CONTEXT") < text.index("cd to the repository")


async def test_no_cluster_is_asked_for_where_none_is_named(world: World) -> None:
    """Applications without a destination say nothing of the kubeconfig."""
    for name in ("shop", "kept"):
        world.declare(name, destination={"namespace": "shop"})
    (text,) = told(await checked(world))
    assert "kubeconfig" not in text
    assert "--cluster" not in text
