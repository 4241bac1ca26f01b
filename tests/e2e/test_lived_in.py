"""Objects that have been lived with are quiet, whatever brought them; real edits are found.

Each way is an application of one repository, on one full cluster: its objects go through releases
by the tool of that way, then people and controllers do with them what they do everywhere.
"""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.deploying import unnoticed
from tests.e2e.edits import Objects
from tests.e2e.lived_in_objects import Release, text
from tests.e2e.lived_in_ways import WAYS as ALL_WAYS
from tests.e2e.lived_in_ways import WITHOUT, Hand, chart_files, live_on
from tests.e2e.site import Seen, Site, application
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo
from tests.testbed.kubeconfig import write_kubeconfig
from tests.testbed.processes import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.full]

USUAL = (
    "argocd-server-side", "helm-adopted", "kubectl-migrated", "terraform-adopted", "put-back",
)  # fmt: skip
"""Ways that differ most; `make prove` takes their near relatives too (`LIVED_IN_WAYS=all`)."""
EVERY = os.environ.get("LIVED_IN_WAYS") == "all"
WAYS = {way: act for way, act in ALL_WAYS.items() if EVERY or way in USUAL}
UNTRACKED = ("ancient",)
"""Ways whose objects have no `managedFields` that an edit could be written down in."""
EDITS = (
    ("deployment/web", "/spec/replicas", 7, "declared"),
    ("service/web", "/spec/ports/0/targetPort", 9999, "declared"),
    ("configmap/web", "/data/LOG_LEVEL", "debug", "declared"),
    ("deployment/web", "/spec/template/spec/hostNetwork", True, "undeclared"),
    ("configmap/web", "/data/SIDE_DOOR", "open", "undeclared"),
    ("service/node", "/spec/externalIPs", ["192.0.2.7"], "undeclared"),
)
"""Each is made in some way, and each way has one or more: object, path, value, class."""
PLACES = {
    "deployment": ("Deployment", "apis/apps/v1"),
    "service": ("Service", "api/v1"),
    "configmap": ("ConfigMap", "api/v1"),
}


def edits(way: str) -> tuple[tuple[str, str, Any, str], ...]:
    """The edits of a way."""
    number = list(WAYS).index(way)
    return EDITS[number :: len(WAYS)] or (EDITS[number % len(EDITS)],)


@dataclass(frozen=True, slots=True)
class Lived:
    """What driftd says before and after the edits."""

    clean: Seen
    edited: Seen


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    """All ways deployed and lived with, looked at twice, edited, and looked at again."""
    folder = tmp_path_factory.mktemp("lived")
    authority = _certificate(folder)
    with ControlPlane("lived", full=True) as cluster:
        for number in range(2 * len(WAYS)):
            cluster.call("POST", "/api/v1/persistentvolumes", _volume(number))
        api = Objects(cluster)

        def live(way: str) -> None:
            hand = Hand(cluster, way, folder / "charts", api)
            WAYS[way](hand)
            live_on(hand, authority)

        with ThreadPoolExecutor(3) as pool:
            list(pool.map(live, WAYS))
        wait_until(lambda: _settled(cluster), what="everything has settled", timeout=60)
        site = _site(cluster, folder)
        # Every look knows of the one before it: what people do in between is no drift either.
        site.environment["DRIFTD_STATE"] = str(folder / "state")
        site.check()
        for way in WAYS:
            cluster.kubectl("rollout", "restart", "-n", f"lived-{way}", "deployment")
        wait_until(lambda: _settled(cluster), what="everything has settled again", timeout=60)
        clean = site.check("--show", "all")
        for way in WAYS:
            for what, path, value, _ in edits(way):
                kind, _, name = what.partition("/")
                _, place = PLACES[kind]
                url = f"/{place}/namespaces/lived-{way}/{kind}s/{name}?fieldManager=mallory"
                cluster.call(
                    "PATCH",
                    url,
                    [{"op": "add", "path": path, "value": value}],
                    content_type="application/json-patch+json",
                )
        yield Lived(clean, site.check())


def _site(cluster: ControlPlane, folder: Path) -> Site:
    """The repository with an application for each way, and a credential that may read all."""
    repo = GitRepo(folder / "repository")
    for way in WAYS:
        release = Release(way, without=WITHOUT.get(way, ()))
        files = (
            chart_files(way, release)
            if way.startswith("helm-")
            else {"all.yaml": text(release.documents())}
        )
        for path, content in files.items():
            repo.write(f"apps/{way}/{path}", content)
        # A chart has no namespace: Argo CD makes it, as Helm does.
        options = {"syncOptions": ["CreateNamespace=true"]} if way.startswith("helm-") else {}
        document = application(way, f"lived-{way}", syncPolicy=options)
        repo.write(f"argocd/{way}.yaml", document)
    repo.commit()
    kubeconfig = write_kubeconfig(folder / "kubeconfig", [cluster.access("control")])
    home = folder / "home"
    home.mkdir()
    return Site(repo=repo, cluster=cluster, namespace="", kubeconfig=kubeconfig, home=home)


def _settled(cluster: ControlPlane) -> bool:
    """Whether controllers have seen every workload, bound every claim and filled every role."""
    claims = cluster.call("GET", "/api/v1/persistentvolumeclaims")["items"]
    roles = cluster.call("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles")["items"]
    return (
        not unnoticed(cluster)
        and all(one["status"].get("phase") == "Bound" for one in claims)
        and all(one.get("rules") for one in roles if one["metadata"]["name"].startswith("lived-"))
    )


def _volume(number: int) -> Any:
    """A volume that the claims of StatefulSets are bound to."""
    return {
        "metadata": {"name": f"lived-in-{number}"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "1Gi"},
            "storageClassName": "lived-in",
            "hostPath": {"path": f"/volumes/{number}"},
        },
    }


def _certificate(folder: Path) -> str:
    """A certificate in base64, as a CA bundle holds it."""
    key, file = folder / "ca.key", folder / "ca.crt"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-subj", "/CN=hooks", "-keyout", str(key), "-out", str(file)]
    subprocess.run(command, check=True, capture_output=True)
    return base64.b64encode(file.read_bytes()).decode()


def changes(seen: Seen, way: str) -> list[str]:
    """Every declared or undeclared change of a way, in words."""
    return [
        f"{one['kind']} {one['name']} {change['class']} {change['path']} {change.get('manager')}"
        for one in seen.applications[way]["resources"]
        for change in one["changes"]
        if change["class"] in ("declared", "undeclared")
    ]


@pytest.mark.parametrize("way", WAYS)
def test_lived_in_objects_are_quiet(lived: Lived, way: str) -> None:
    """After releases, restarts, autoscaling, binding and injection nothing is called drift."""
    assert changes(lived.clean, way) == []
    states = {one["status"] for one in lived.clean.applications[way]["resources"]}
    assert states == {"Synced"}, lived.clean.objects(way)
    assert len(lived.clean.applications[way]["resources"]) >= 30
    assert lived.clean.applications[way]["status"] == "Synced"


@pytest.mark.parametrize("way", WAYS)
def test_edits_of_lived_in_objects_are_found(lived: Lived, way: str) -> None:
    """An edit by hand is told at its place, with its author, and nothing else is."""
    author = None if way in UNTRACKED else "mallory"
    expected = []
    for what, path, _, change_class in edits(way):
        kind, _, name = what.partition("/")
        expected.append(f"{PLACES[kind][0]} {name} {change_class} {path} {author}")
    assert sorted(changes(lived.edited, way)) == sorted(expected)
