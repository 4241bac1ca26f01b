"""What `driftd doctor` finds, and what it says to do."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from driftd.cluster.reader import ApiResource
from driftd.controller.doctor import Doctor, DoctorCheck, _with_step
from driftd.controller.doctor_leftovers import causes
from driftd.controller.options import CheckOptions
from driftd.errors import ClusterError, Forbidden, Unreachable
from tests.unit.controller.conftest import World

pytestmark = pytest.mark.slow

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


class Clock:
    """Always noon."""

    def now(self) -> datetime:
        """See `driftd.clock.Clock`."""
        return NOW


class Probe:
    """A cluster that refuses what a test says, with a clock that differs by `skew` seconds."""

    def __init__(self, refused: dict[str, ClusterError] | None = None, skew: float = 0) -> None:
        self.refused = refused or {}
        self.skew = skew
        self.asked: list[tuple[str, str]] = []

    async def may_list(self, resource: ApiResource, namespace: str = "") -> None:
        """Refuse the plurals that the test named."""
        self.asked.append((resource.plural, namespace))
        if resource.plural in self.refused:
            raise self.refused[resource.plural]

    async def now(self) -> datetime:
        """The other clock."""
        return NOW + timedelta(seconds=self.skew)


async def examine(world: World, probe: Probe) -> list[DoctorCheck]:
    """Everything that is found about the applications and clusters of a world."""
    doctor = Doctor(CheckOptions(repo=world.repo.path), Clock(), world.progress)
    await doctor.applications(world.workspace, lambda _target: probe)
    return list(doctor.report().checks)


def told(checks: list[DoctorCheck], status: str) -> list[tuple[str, str, str]]:
    """The findings of one status."""
    return [(one.area, one.message, one.remedy) for one in checks if one.status == status]


async def test_all_is_well(world: World) -> None:
    """A healthy world has nothing to mend, and each declared kind was tried where it lives."""
    probe = Probe()
    checks = await examine(world, probe)
    assert told(checks, "fail") == told(checks, "warn") == []
    assert probe.asked[0] == ("configmaps", "shop")
    assert {place for _, place in probe.asked[1:]} == {""}
    text = "2 applications in argocd/kept.json, argocd/shop.json, 2 rendered without errors"
    assert ("repository", text, "") in told(checks, "ok")


async def test_refused_kind_fails_with_the_rule_to_add(world: World) -> None:
    """A kind that may not be listed names the role that is missing."""
    checks = await examine(world, Probe({"configmaps": Forbidden("no")}))
    ((area, message, remedy),) = told(checks, "fail")
    assert area == "cluster one"
    assert message == "may not list configmaps in shop: its objects would be Unknown"
    assert remedy == (
        "give its user a Role with apiGroups [''], resources [configmaps], verbs [get, list, watch]"
    )


async def test_refused_secrets_are_a_warning(world: World) -> None:
    """Secrets are left out on purpose where the credential may not read them."""
    body = '{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token"}}'
    world.repo.write("apps/shop/secret.json", body)
    world.repo.commit()
    checks = await examine(world, Probe({"secrets": Forbidden("no")}))
    assert told(checks, "fail") == []
    ((_, message, _),) = told(checks, "warn")
    assert message == "may not list secrets in shop: Secrets are not compared"


async def test_kinds_that_cannot_be_searched(world: World) -> None:
    """What may not be listed, or does not answer, is told where it is all right, with the reason.

    Objects that Git dropped are not found there; no verdict depends on it.
    """
    silent = ClusterError("cannot list deployments.apps: no answer")
    checks = await examine(world, Probe({"secrets": Forbidden("no"), "deployments": silent}))
    assert told(checks, "fail") == told(checks, "warn") == []
    kinds = len(world.clusters.one.resources)
    text = (
        f"kinds that are searched for objects that Git dropped: {kinds - 2} of {kinds}; may not "
        "list secrets in the whole cluster; cannot list deployments.apps: no answer"
    )
    assert ("cluster one", text, "") in told(checks, "ok")


def test_many_kinds_that_fail_alike_are_one_cause() -> None:
    """A cluster of hundreds of kinds gives a line that a person reads, whatever each error says."""

    def fail(place: str, why: str) -> tuple[str, ClusterError]:
        return place, ClusterError(f"cluster one: cannot list {place}: {why}")

    failed = [fail(f"kind{number}.example.com", "no answer") for number in range(80)]
    failed += [fail(f"pods in namespace {name}", "HTTP status 503") for name in ("a", "b")]
    failed += [("pods", ClusterError("cluster one: closed"))] * 2
    failed += [fail(f"other{number}", f"defect {number}") for number in range(90)]
    kinds = ", ".join(f"kind{number}.example.com" for number in range(5))
    assert list(causes(failed)) == [
        f"cluster one: cannot list {kinds} and 75 more: no answer",
        "cluster one: cannot list pods in namespace a, pods in namespace b: HTTP status 503",
        "cluster one: closed (pods and 1 more)",
        "90 more cannot be listed for other reasons",
    ]


async def test_declared_kinds_that_fail_are_told(world: World) -> None:
    """What does not answer of what is declared fails, with kind and namespace."""
    silent = Unreachable("cluster one: cannot list configmaps in namespace shop: no answer")
    checks = await examine(world, Probe({"configmaps": silent}))
    assert told(checks, "fail") == [("cluster one", silent.message, "")]


@pytest.mark.parametrize(("skew", "words"), [(90, "90 s ahead"), (-90, "90 s behind")])
async def test_clock(world: World, skew: float, words: str) -> None:
    """A clock that is off is a warning with its direction."""
    checks = await examine(world, Probe(skew=skew))
    ((area, message, remedy),) = told(checks, "warn")
    assert (area, words in message) == ("cluster one", True)
    assert "synchronise" in remedy


async def test_unreachable_cluster(world: World) -> None:
    """A cluster that does not answer fails with its own hint; the applications still render."""
    world.clusters.one.down = Unreachable("no route", hint="is a VPN needed?")
    checks = await examine(world, Probe())
    assert told(checks, "fail") == [("cluster one", "no route", "is a VPN needed?")]
    assert any("2 rendered without errors" in message for _, message, _ in told(checks, "ok"))


async def test_silent_api_group(world: World) -> None:
    """An aggregated API that does not answer is a warning."""
    world.clusters.one.failed_groups = {"metrics.k8s.io/v1beta1": "no endpoints"}
    checks = await examine(world, Probe())
    ((_, message, remedy),) = told(checks, "warn")
    assert message == "metrics.k8s.io/v1beta1 does not answer: no endpoints"
    assert "apiservice" in remedy


async def test_unmapped_destination_and_uncommitted_files(world: World) -> None:
    """A destination without context fails with the flag; uncommitted files are a warning."""
    world.declare("lost", cluster="nowhere")
    world.repo.commit()
    world.repo.write("apps/shop/new.json", "{}")
    checks = await examine(world, Probe())
    ((area, _, remedy),) = told(checks, "fail")
    assert (area, "--cluster nowhere=CONTEXT" in remedy) == ("application lost", True)
    ((_, message, _),) = told(checks, "warn")
    assert message.startswith("uncommitted files")


async def test_machine(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python, git and the worker are found; without git on PATH that one fails alone."""

    async def areas() -> dict[str, Any]:
        doctor = Doctor(CheckOptions(), Clock(), world.progress)
        await doctor.machine(world.workspace.sandbox)
        return {check.area: check.status for check in doctor.report().checks}

    found = await areas()
    assert (found["python"], found["git"]) == ("ok", "ok")
    assert found["sandbox"] in ("ok", "warn")
    monkeypatch.setenv("PATH", "/nonexistent")
    assert await areas() == {**found, "git": "fail"}


async def test_a_release_without_a_default_table_is_told(world: World) -> None:
    """A cluster that is newer than driftd's tables is examined, with a warning that names both."""
    world.clusters.one.release = "v1.99.0"
    ((_, message, remedy),) = told(await examine(world, Probe()), "warn")
    assert "no table of the defaults of Kubernetes 1.99; that of 1.36 is used" in message
    assert remedy


async def test_a_kind_that_is_not_served_fails(world: World) -> None:
    """A check could not judge it, so all is not well: the kind is named, with what to do."""
    world.repo.write(
        "apps/shop/gateway.yaml",
        "apiVersion: gateway.example.com/v1\nkind: Gateway\nmetadata: {name: g}\n",
    )
    world.repo.commit()
    ((area, message, remedy),) = told(await examine(world, Probe()), "fail")
    assert (area, message) == (
        "cluster one",
        "1 declared kind not served: gateway.example.com/v1 Gateway (apps/shop/gateway.yaml:2)",
    )
    assert "--context" in remedy


async def test_a_cluster_without_anything_is_asked_about(world: World) -> None:
    """A cluster that has none of the declared objects is one warning with the flag to settle it."""
    world.declare("third")
    world.repo.commit()
    for name in ("shop", "kept"):
        world.clusters.one.delete("ConfigMap", "shop", name)
    ((area, message, remedy),) = told(await examine(world, Probe()), "warn")
    assert area == "cluster one"
    assert message == (
        "3 of 3 objects that Git declares are missing from cluster one (context one, server "
        "https://one.example.com)"
    )
    assert remedy.startswith("is it the right cluster? If not")
    assert "--cluster one=CONTEXT" in remedy


async def test_present_objects_are_counted(world: World) -> None:
    """Where objects are, their number is told; what cannot be listed is not told to be missing."""
    checks = await examine(world, Probe())
    assert ("cluster one", "declared objects that are there: 2 of 2", "") in told(checks, "ok")
    world.declare("third")
    world.repo.commit()
    world.clusters.one.refused["ConfigMap", ""] = Forbidden("may not")
    checks = await examine(world, Probe())
    assert told(checks, "warn") == []
    assert not any("that are there" in message for _, message, _ in told(checks, "ok"))


async def test_what_cannot_be_listed_is_counted_apart(world: World) -> None:
    """An object that could not be looked for is not counted among those that are not there."""
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}
    world.repo.write("apps/shop/web.json", json.dumps(deployment))
    world.repo.commit()
    world.clusters.one.refused["Deployment", ""] = Forbidden("may not")
    counted = "declared objects that are there: 2 of 2; 1 more could not be looked for"
    assert ("cluster one", counted, "") in told(await examine(world, Probe()), "ok")


async def test_a_misspelt_kind_that_is_rendered_names_file_and_kind(world: World) -> None:
    """What was probably meant is told with the file, apart from kinds that are not installed."""
    world.repo.write(
        "apps/shop/child.yaml",
        "apiVersion: argoproj.io/v1alpha1\nkind: Aplication\nmetadata: {name: child}\n",
    )
    world.repo.commit()
    found = [one for one in told(await examine(world, Probe()), "fail") if one[0] == "cluster one"]
    ((_, message, remedy),) = found
    assert message.startswith("apps/shop/child.yaml:2: the cluster does not serve argoproj.io/v1al")
    assert message.endswith("(Aplication child)")
    assert "is Application meant?" in remedy


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("source a: k.yaml: no matches; failed to find unique target", "correct that in Git; "),
        ("source a: plugins are not supported; render to plain manifests", "render to plain"),
        ("no cluster is known; say which one; there are two", "say which one; there are two"),
    ],
)
def test_the_words_of_a_renderer_are_no_step(text: str, step: str) -> None:
    """Of a message only a remedy is what to do; a renderer's own semicolons stay in the text."""
    message, remedy = _with_step("application shop", text)
    assert remedy.startswith(step)
    assert "failed to find" not in remedy
    assert "failed to find" not in text or message == text


async def test_a_kubeconfig_of_other_clusters(world: World) -> None:
    """Where no context is known for any application, the kubeconfig is doubted first."""
    for name in ("shop", "kept"):
        world.declare(name, cluster="elsewhere")
    world.repo.commit()
    checks = await examine(world, Probe())
    area, message, remedy = told(checks, "fail")[-1]
    assert (area, "does not look like the one for this repository" in message) == (
        "kubeconfig", True,
    )  # fmt: skip
    assert remedy.startswith("choose another kubeconfig with --kubeconfig FILE")
    areas = [one.area for one in checks if one.status != "ok"]
    assert areas.index("kubeconfig") < areas.index("repository")
