"""`driftd explain` against a real API server."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.site import CONTEXT, URL, Site, application
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo
from tests.testbed.kubeconfig import write_kubeconfig

pytestmark = pytest.mark.cluster

WEB = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: registry.example.com/web:1
---
apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  selector: {app: web}
  ports: [{port: 80}]
"""


def plant_web(repo: GitRepo, cluster: ControlPlane, namespace: str, **spec: Any) -> None:
    """Declare the application `web`, deploy it, and scale its Deployment by hand."""
    repo.set_remote(URL)
    repo.write("apps/web/web.yaml", WEB)
    repo.write("argocd/web.yaml", application("web", namespace, **spec))
    repo.commit("Declare web")
    cluster.kubectl("apply", "--server-side", "-n", namespace, "-f", "-", input=WEB)
    cluster.kubectl("scale", "deployment/web", "--replicas=7", "-n", namespace)


@pytest.fixture
def site(api_server: ControlPlane, namespace: str, git_repo: GitRepo, tmp_path: Path) -> Site:
    """A Deployment that was scaled and given the host's network, and an untouched Service."""
    rule = {"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/minReadySeconds"]}
    plant_web(git_repo, api_server, namespace, ignoreDifferences=[rule])
    patch = '{"spec":{"minReadySeconds":5,"template":{"spec":{"hostNetwork":true}}}}'
    api_server.kubectl("patch", "deployment/web", "-n", namespace, "-p", patch)
    config = write_kubeconfig(
        tmp_path / "kubeconfig", [api_server.access("detector", context=CONTEXT)]
    )
    home = tmp_path / "home"
    home.mkdir()
    return Site(
        repo=git_repo, cluster=api_server, namespace=namespace, kubeconfig=config, home=home
    )


def explain(site: Site, *arguments: str) -> str:
    """The text that `driftd explain web …` prints."""
    seen = site.run("explain", "web", *arguments, f"--kubeconfig={site.kubeconfig}", "-q")
    assert seen.exit_code == 0, seen.stderr
    return seen.stdout


def test_drift_is_explained(site: Site) -> None:
    """A scaled Deployment: both values, the owner, the file, class, severity and healing."""
    text = explain(site, "deployment/web", "spec.replicas")
    assert "declared in  apps/web/web.yaml" in text
    for fact in ("verdict   drift", "Git       3", "live      7", "Update through /scale"):
        assert fact in text
    assert "class     declared" in text
    assert "severity  high: how many Pods run" in text
    assert (
        "Healing, where a rule allows it, would do: nothing: the Application does not ask" in text
    )


def test_a_place_has_its_own_remedies(site: Site) -> None:
    """What is to be done is told of the place that was asked for; nothing where it has no drift."""
    whole = explain(site, "deployment/web")
    assert "kubectl --kubeconfig" in whole
    assert f"driftd baseline --kubeconfig {site.kubeconfig} web --file FILE" in whole
    place = explain(site, "deployment/web", "spec.replicas")
    assert "put it back: " in place
    assert " edit deployment" not in place  # which is about what Git is silent about
    assert " edit deployment" in whole
    assert "What to do next:" not in explain(site, "deployment/web", "/spec/revisionHistoryLimit")


def test_what_check_ends_with_can_be_pasted(site: Site) -> None:
    """The command that a table ends with explains its first finding, with the flags of the look."""
    table = site.check(output="table").stdout.replace("\\\n", " ")
    (line,) = [one for one in table.splitlines() if one.startswith("what to do: ")]
    program, *words = shlex.split(line.removeprefix("what to do: "))
    assert program == "driftd"
    assert words[-2:] == ["web", "deployment/web"]
    seen = site.run(*words)
    assert seen.exit_code == 0, seen.stderr
    assert "hostNetwork" in seen.stdout
    assert "What to do next:" in seen.stdout


def test_places_that_are_no_drift_say_why(site: Site) -> None:
    """A default, an allocated address, a status and an ignored field each name their reason."""
    template = explain(site, "deployment/web", "containers[name=web].imagePullPolicy")
    assert "derives it from other fields" in template
    assert "default table" in explain(site, "deployment/web", "/spec/revisionHistoryLimit")
    assert "cluster chooses the value" in explain(site, "service/web", "spec.clusterIP")
    assert "never compared" in explain(site, "service/web", "status")
    assert "live holds Git's value" in explain(site, "service/web", "spec.selector.app")
    ignored = explain(site, "deployment.apps/web", "/spec/minReadySeconds")
    assert "ignore rule covers it" in ignored
    assert "spec.ignoreDifferences[0].jsonPointers[0] (/spec/minReadySeconds): ignores" in ignored


def test_whole_object(site: Site) -> None:
    """Without a path every difference is explained, and what live holds beside Git is named."""
    seen = site.run(
        "explain", "web", "deployments/web", "-o", "json", f"--kubeconfig={site.kubeconfig}"
    )
    found = json.loads(seen.stdout)
    assert {place["path"]: place["verdict"] for place in found["places"]} == {
        "/spec/replicas": "drift",
        "/spec/minReadySeconds": "ignored",
        "/spec/template/spec/hostNetwork": "drift",
    }
    assert "f:spec/f:strategy" in found["excused"]
    quiet = explain(site, f"Service/{site.namespace}/web")
    assert "Nothing differs" in quiet
    assert "clusterIP" in quiet


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("deployment/wbe",), "deployment/web"),
        (("service/web", "spec.port"), "spec.ports"),
        (("web",), "KIND/NAME"),
    ],
)
def test_nearest_are_named(site: Site, arguments: tuple[str, ...], told: str) -> None:
    """What does not exist is an error that names what does."""
    seen = site.run("explain", "web", *arguments, f"--kubeconfig={site.kubeconfig}", "-q")
    assert seen.exit_code == 2
    assert told in seen.stderr
    assert "unexpected" not in seen.stderr


def test_names_as_people_have_them(site: Site) -> None:
    """Names of kinds work as in kubectl, and so does each line of `driftd check -o name`."""
    flag = f"--kubeconfig={site.kubeconfig}"
    for text in ("deploy/web", "DEPLOYMENTS/web", "deployments.apps/web", "svc/web"):
        seen = site.run("explain", "web", text, flag)
        assert seen.exit_code == 0, seen.stderr
    (line,) = site.run("check", flag, "-o", "name").stdout.splitlines()
    assert line == f"OutOfSync web/deployment.apps/{site.namespace}/web"
    for words in (line.split(), [line], [*line.split(), "spec.replicas"]):
        seen = site.run("explain", *words, flag)
        assert (seen.exit_code, seen.stdout.startswith("Deployment ")) == (0, True), seen.stderr


def test_values_behind_a_template(
    api_server: ControlPlane, namespace: str, git_repo: GitRepo, tmp_path: Path
) -> None:
    """To keep a live value of a chart's object, the line of the value that decides is named."""
    git_repo.set_remote(URL)
    chart = "charts/web"
    git_repo.write(f"{chart}/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n")
    git_repo.write(f"{chart}/values.yaml", "replicaCount: 1\n")
    git_repo.write(f"{chart}/values-prod.yaml", "replicaCount: 3\n")
    template = WEB.replace("replicas: 3", "replicas: {{ .Values.replicaCount }}")
    git_repo.write(f"{chart}/templates/web.yaml", template)
    helm = {"valueFiles": ["values-prod.yaml"], "valuesObject": {"unused": True}}
    source = {"repoURL": URL, "targetRevision": "HEAD", "path": chart, "helm": helm}
    git_repo.write("argocd/web.yaml", application("web", namespace, source=source))
    git_repo.commit("Declare web")
    api_server.kubectl("apply", "--server-side", "-n", namespace, "-f", "-", input=WEB)
    api_server.kubectl("scale", "deployment/web", "--replicas=7", "-n", namespace)
    config = write_kubeconfig(
        tmp_path / "kubeconfig", [api_server.access("detector", context=CONTEXT)]
    )
    home = tmp_path / "home"
    home.mkdir()
    site = Site(
        repo=git_repo, cluster=api_server, namespace=namespace, kubeconfig=config, home=home
    )
    explained = explain(site, "deployment/web")
    assert "or keep it: change replicaCount in charts/web/values-prod.yaml:1\n" in explained
    assert "set from  charts/web/values-prod.yaml:1: replicaCount\n" in explained
    shown = site.run("render", "web", "--trace", f"--kubeconfig={config}")
    assert "# Source: charts/web/templates/web.yaml" in shown.stdout
    assert "# Values: argocd/web.yaml (spec.source.helm.valuesObject)\n" in shown.stdout
    assert "# Values: charts/web/values-prod.yaml\n" in shown.stdout

    # A field that no value decides takes the line from none that one does.
    shell = '{"name":"shell","image":"busybox"}'
    pods = f'{{"template":{{"spec":{{"containers":[{shell}]}}}}}}'
    patch = f'{{"spec":{{"minReadySeconds":5,{pods[1:]}}}'
    api_server.kubectl("patch", "deployment/web", "-n", namespace, "-p", patch)
    assert (
        "or keep it: change replicaCount in charts/web/values-prod.yaml:1; for "
        "minReadySeconds and containers[name=shell] look at charts/web/templates/web.yaml, which "
        "is a template\n"
    ) in explain(site, "deployment/web")
