"""Detect-only, as the README promises it: looking holds nothing that could write."""

from __future__ import annotations

import json

import pytest

from driftd import app
from driftd.cluster import writer
from driftd.cluster.kube import KubeCluster
from driftd.cluster.kubeconfig import load_kubeconfig
from driftd.cluster.transport import Transport
from driftd.controller.options import CheckOptions
from driftd.model.report import DriftReport
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo
from tests.unit.reports import VirtualClock

pytestmark = pytest.mark.cluster

URL = "https://git.example.com/gitops.git"
EVERYTHING = {"automated": {"selfHeal": True, "prune": True, "allowEmpty": True}}


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Transport]:
    """The transports of all writers that the test builds."""
    found: list[Transport] = []
    original = writer.KubeWriter.__init__

    def counted(self: writer.KubeWriter, transport: Transport) -> None:
        found.append(transport)
        original(self, transport)

    monkeypatch.setattr(writer.KubeWriter, "__init__", counted)
    return found


@pytest.fixture
def options(api_server: ControlPlane, namespace: str, git_repo: GitRepo) -> CheckOptions:
    """A look, with all rights, at an Application that asks for everything to be put back."""
    document = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": "shop", "namespace": "argocd"},
        "spec": {
            "project": "default",
            "source": {"repoURL": URL, "path": "apps/shop"},
            "destination": {"server": api_server.server, "namespace": namespace},
            "syncPolicy": EVERYTHING,
        },
    }
    missing = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "missing"}}
    git_repo.write("argocd/shop.json", json.dumps(document))
    git_repo.write("apps/shop/missing.json", json.dumps(missing))
    git_repo.set_remote(URL)
    git_repo.commit()
    return CheckOptions(repo=git_repo.path, kubeconfig=api_server.kubeconfig("admin"))


async def check(options: CheckOptions) -> DriftReport:
    """What `driftd check` does."""
    return await app.check(options, progress=lambda _text: None, clock=VirtualClock())


async def test_check_builds_no_writer(options: CheckOptions, built: list[Transport]) -> None:
    """A check that finds drift which may be healed constructs no writer at all."""
    report = await check(options)
    assert [str(one.status) for one in report.applications[0].resources] == ["Missing"]
    assert built == []


async def test_check_only_reads(api_server: ControlPlane, options: CheckOptions) -> None:
    """Even with all rights, the audit log of a check has reads alone, not even a dry run."""
    mark = api_server.audit_mark()
    await check(options)
    verbs = {
        event["verb"]
        for event in api_server.audit_events(mark)
        if event.get("userAgent", "").startswith("driftd/")
    }
    assert verbs == {"get", "list"}


async def test_a_writer_would_be_seen(api_server: ControlPlane, built: list[Transport]) -> None:
    """The count of this file is real: a writer that is built is counted."""
    access = load_kubeconfig(str(api_server.kubeconfig("detector"))).access()
    async with KubeCluster(Transport(access)) as cluster:
        writer.KubeWriter(cluster.transport)
        assert built == [cluster.transport]
