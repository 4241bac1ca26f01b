"""The wrong cluster and the wrong folder, on a real API server: one question with the way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.site import CONTEXT, URL, Site, application, config_map
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo
from tests.testbed.kubeconfig import write_kubeconfig

pytestmark = pytest.mark.cluster

NAMES = ("nowhere-books", "nowhere-cart", "nowhere-desk", "nowhere-mail")
"""Of no other test: what is left of an application is something of it."""
ORPHANED = "OrphanedResourceWarning"
"""Told of what other tests leave on the shared API server."""


@pytest.fixture
def site(api_server: ControlPlane, namespace: str, git_repo: GitRepo, tmp_path: Path) -> Site:
    """Four applications that nobody has ever deployed to the API server."""
    git_repo.set_remote(URL)
    for name in NAMES:
        git_repo.write(f"apps/{name}/map.yaml", config_map(name, colour="blue"))
        git_repo.write(f"argocd/{name}.yaml", application(name, namespace))
    git_repo.commit()
    config = write_kubeconfig(
        tmp_path / "kubeconfig", [api_server.access("detector", context=CONTEXT)]
    )
    home = tmp_path / "home"
    home.mkdir()
    return Site(
        repo=git_repo, cluster=api_server, namespace=namespace, kubeconfig=config, home=home
    )


def test_a_cluster_without_anything(site: Site) -> None:
    """The table, JSON and doctor ask once, with server and flag; the verdict is drift."""
    question = f"4 of 4 objects that Git declares are missing from cluster {CONTEXT}"
    place = f"(context {CONTEXT}, server {site.cluster.server})"
    flags = (f"--kubeconfig={site.kubeconfig}",)
    seen = site.check()
    assert seen.exit_code == 1
    (condition,) = [one for one in seen.report["conditions"] if one["type"] != ORPHANED]
    assert (condition["type"], condition["severity"]) == ("ClusterLooksEmpty", "warning")
    assert condition["message"].startswith(f"{question} {place}; is it the right cluster?")
    assert "--context CONTEXT" in condition["message"]
    assert [one["status"] for one in seen.report["applications"]] == ["OutOfSync"] * 4

    table = " ".join(site.run("check", *flags).stdout.split())
    assert table.count(f"* ClusterLooksEmpty: {question} {place}") == 1

    doctor = site.run("doctor", *flags)
    assert doctor.exit_code == 0, doctor.stdout
    (line,) = [line for line in doctor.stdout.splitlines() if question in line]
    assert line.startswith("warn  ")
    assert "to do: is it the right cluster?" in doctor.stdout


def test_one_deployed_object_of_four_settles_it(site: Site) -> None:
    """As soon as a quarter of the objects is there nothing is asked."""
    manifest = config_map("nowhere-books", colour="blue")
    site.cluster.kubectl("apply", "--server-side", "-n", site.namespace, "-f", "-", input=manifest)
    seen = site.check()
    assert (seen.exit_code, seen.conditions()) == (1, [])
    assert (
        "objects that are there: 1 of 4"
        in site.run("doctor", f"--kubeconfig={site.kubeconfig}").stdout
    )


@pytest.mark.parametrize(
    "command", [("check",), ("apps",), ("explain", "nowhere-books", "ConfigMap/nowhere-books")]
)
def test_the_wrong_folder(site: Site, command: tuple[str, ...], tmp_path: Path) -> None:
    """Without repository, and without applications in it: one line with the three ways on."""
    other = GitRepo(tmp_path / "other")
    other.write("code/settings.json", "{}")
    other.commit()
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    for folder, says in (
        (nowhere, f"{nowhere} is not in a Git repository"),
        (other.path / "code", f"no Argo CD Application is declared in {other.path}, "),
    ):
        seen = site.run(*command, cwd=folder)
        assert (seen.exit_code, seen.stdout) == (2, "")
        (line,) = [one for one in seen.stderr.splitlines() if not one.startswith("note: ")]
        assert line.startswith(f"error: {says}")
        for way in ("cd to the repository", "--repo PATH", "--hub CONTEXT"):
            assert way in line


def test_fixtures_of_another_project(site: Site, tmp_path: Path) -> None:
    """Where no application can be judged, one warning names their files; one cause is told once."""
    for name in NAMES:
        site.repo.write(f"tests/fixtures/{name}.yaml", application(name, site.namespace))
        site.repo.remove(f"argocd/{name}.yaml")
    site.repo.commit()
    seen = site.run("check", f"--context={CONTEXT}", f"--kubeconfig={site.kubeconfig}")
    assert "NoApplicationJudged" not in seen.stdout
    site.environment["KUBECONFIG"] = str(tmp_path / "none")
    seen = site.run("check")
    assert seen.exit_code == 2
    table = " ".join(seen.stdout.split())
    assert "NoApplicationJudged: without a usable kubeconfig nothing could be judged" in table
    assert "found in tests/fixtures: name the right kubeconfig with --kubeconfig" in table
    assert "KUBECONFIG; if these are not yours, cd to" in table
    assert table.count("there is no kubeconfig") == 1
