"""Mistakes in Git that no sync can apply: told as such, in every format, on a real API server."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.site import CONTEXT, URL, Site, application
from tests.testbed.client import ApiError
from tests.testbed.cluster import ControlPlane, KubectlFailed
from tests.testbed.gitrepo import GitRepo
from tests.testbed.kubeconfig import write_kubeconfig

pytestmark = pytest.mark.cluster

RIGHT = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: registry.example.com/web:1
          imagePullPolicy: IfNotPresent
          ports:
            - {name: http, containerPort: 8080}
"""
WRONG = RIGHT.replace("  replicas: 1\n", "  replcas: 2\n").replace(
    "imagePullPolicy: IfNotPresent", "imagePullPolcy: Always"
)
OTHER_SELECTOR = "selector:\n    matchLabels:\n      app: other"
FORMATS = ("table", "plain", "wide", "markdown", "github", "junit", "sarif", "yaml", "json")


@pytest.fixture
def site(api_server: ControlPlane, namespace: str, git_repo: GitRepo, tmp_path: Path) -> Site:
    """A Deployment as Git has it; nobody has changed it in the cluster."""
    git_repo.set_remote(URL)
    git_repo.write("apps/web/web.yaml", RIGHT)
    git_repo.write("argocd/web.yaml", application("web", namespace))
    git_repo.commit("Declare web")
    api_server.kubectl("apply", "--server-side", "-n", namespace, "-f", "-", input=RIGHT)
    config = write_kubeconfig(
        tmp_path / "kubeconfig", [api_server.access("admin", context=CONTEXT)]
    )
    home = tmp_path / "home"
    home.mkdir()
    return Site(
        repo=git_repo, cluster=api_server, namespace=namespace, kubeconfig=config, home=home
    )


def declare(site: Site, text: str) -> None:
    """Commit another manifest of `web`."""
    site.repo.write("apps/web/web.yaml", text)
    site.repo.commit("Change web")


def changes(site: Site) -> dict[str, Any]:
    """The changes of the Deployment, by their paths."""
    (one,) = site.check().applications["web"]["resources"]
    return {change["path"]: change for change in one["changes"]}


def test_server(site: Site) -> None:
    """What these tests call a mistake, the API server drops, or refuses where it validates."""
    body = json.loads(
        site.cluster.kubectl(
            "create", "--dry-run=client", "-o", "json", "-f", "-", input=RIGHT
        ).stdout
    )
    body["metadata"] = {"name": "other"}
    path = f"/apis/apps/v1/namespaces/{site.namespace}/deployments?dryRun=All"
    body["spec"]["replcas"] = 2
    stored = site.cluster.call("POST", f"{path}&fieldValidation=Ignore", body)
    assert "replcas" not in stored["spec"]
    with pytest.raises(ApiError, match=r'unknown field \\*"spec.replcas'):
        site.cluster.call("POST", f"{path}&fieldValidation=Strict", body)
    del body["spec"]["replcas"]
    body["spec"]["replicas"] = "2a"
    with pytest.raises(ApiError, match="cannot unmarshal string"):
        site.cluster.call("POST", f"{path}&fieldValidation=Ignore", body)


@pytest.mark.parametrize("output", FORMATS)
def test_misspelt_fields(site: Site, output: str) -> None:
    """Every format says what was meant and where in Git, and looks for no author."""
    declare(site, WRONG)
    seen = site.check(output=output)
    assert seen.exit_code == 1, seen.stderr
    text = re.sub(r"\s+", " ", seen.stdout)
    for told in ("did you mean replicas?", "did you mean imagePullPolicy?"):
        assert told in text
    assert "author" not in text
    assert "removal" not in text
    if output in ("yaml", "json"):
        found = changes(site)
        assert {path: one["origin"]["line"] for path, one in found.items()} == {
            "/spec/replcas": 6,
            "/spec/template/spec/containers/0/imagePullPolcy": 14,
        }
        assert {one["class"] for one in found.values()} == {"declared"}
    else:
        assert re.search(r"at line 6\b|web\.yaml:6\b|line=6\b|\"startLine\": 6\b", text)


def test_refused_values(site: Site) -> None:
    """Values of another type are told with the type that is expected; they are two findings."""
    declare(site, RIGHT.replace("8080", '"8080"').replace("replicas: 1", "replicas: 2a"))
    found = changes(site)
    assert {path: one["invalid"]["expected"] for path, one in found.items()} == {
        "/spec/replicas": "integer",
        "/spec/template/spec/containers/0/ports/0": "integer",
    }
    text = site.check(output="table").stdout
    assert "the API server refuses the object: an integer is expected here, Git has a" in text
    assert " by kubectl" not in text


def test_misspelt_secret(site: Site) -> None:
    """The content of a Secret is masked under a wrong name too."""
    login = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: login\n"
    site.cluster.kubectl("apply", "-n", site.namespace, "-f", "-", input=login)
    declare(site, f"{login}stringDta:\n  password: hunter2\n")
    for output in FORMATS:
        seen = site.check(output=output)
        assert "stringDta" in seen.stdout
        assert "hunter2" not in seen.stdout + seen.stderr
    seen = site.run("explain", "web", "secret/login", f"--kubeconfig={site.kubeconfig}")
    assert "stringDta" in seen.stdout
    assert "hunter2" not in seen.stdout + seen.stderr


@pytest.mark.parametrize("output", ["table", "plain", "wide", "markdown", "github", "json"])
def test_preview(site: Site, output: str) -> None:
    """A preview says of a change that it brings a mistake, and promises no rollout by it."""
    declare(site, WRONG)
    seen = site.check("--preview", "--against=HEAD~1", "--revision=HEAD", output=output)
    assert seen.exit_code == 1, seen.stderr
    text = re.sub(r"\s+", " ", seen.stdout)
    for told in ("did you mean replicas?", "did you mean imagePullPolicy?"):
        assert told in text
    assert "rollout" not in text
    if output == "json":
        (one,) = seen.applications["web"]["resources"]
        assert {change["path"]: change["origin"]["line"] for change in one["changes"]} == {
            "/spec/replcas": 6,
            "/spec/template/spec/containers/0/imagePullPolcy": 14,
        }
    elif output != "markdown":
        assert re.search(r"at line 6\b|,line=6,", text)


def test_explain(site: Site) -> None:
    """An explanation says what to correct where, and proposes nothing that cannot work."""
    declare(site, WRONG)
    seen = site.run("explain", "web", "deployment/web", f"--kubeconfig={site.kubeconfig}")
    assert "live      can hold nothing here: the kind has no such field" in seen.stdout
    assert "correct Git at apps/web/web.yaml:6: write replicas for replcas" in seen.stdout
    for wrong in ("put it back", "keep it", "owners    nobody", "author"):
        assert wrong not in seen.stdout


def test_explain_item_of_another_key(site: Site) -> None:
    """Of a port that Git has changed, one block shows Git's port and one the live one."""
    declare(site, RIGHT.replace("8080", "8081").replace("name: http, ", ""))
    seen = site.run("explain", "web", "deployment/web", f"--kubeconfig={site.kubeconfig}")
    blocks = [block for block in seen.stdout.split("\n\n") if "  kind  " in block]
    git, live = sorted(blocks, key=lambda block: "missing" not in block)
    assert git.startswith("containers[name=web].ports[containerPort=8081,protocol=TCP]\n")
    assert "  Git       {containerPort: 8081}" in git
    assert "  live      holds nothing here" in git
    assert live.startswith("containers[name=web].ports[containerPort=8080,protocol=TCP]\n")
    assert "  Git       declares nothing here" in live
    assert "  live      {" in live


def test_a_misspelt_key_of_an_item_below_an_overlay(site: Site) -> None:
    """The item has no key to be known by: it is told by its name, with its line in the base."""
    site.repo.write("base/web.yaml", RIGHT.replace("containerPort: 8080", "containerPrt: 8080"))
    site.repo.write("base/kustomization.yaml", "resources: [web.yaml]\n")
    (site.repo.path / "apps/web/web.yaml").unlink()
    site.repo.write("apps/web/kustomization.yaml", "resources: [../../base]\n")
    site.repo.commit("Share web")
    (one,) = site.check().applications["web"]["resources"]
    (wrong,) = [change for change in one["changes"] if "invalid" in change]
    assert wrong["origin"] == {"file": "base/web.yaml", "line": 16}
    seen = site.run("explain", "web", "deployment/web", f"--kubeconfig={site.kubeconfig}")
    assert "\ncontainers[name=web].ports[name=http]\n" in seen.stdout
    assert "correct Git at base/web.yaml:16: write containerPort for containerPrt" in seen.stdout
    table = site.check(output="table").stdout
    assert "containers[name=web].ports[name=http]" in table


def test_missing_object(site: Site) -> None:
    """An object that the API server refuses to create is Missing for that reason."""
    other = RIGHT.replace("name: web\nspec", "name: other\nspec")
    declare(site, f"{RIGHT}---\n{other.replace('8080', 'http')}")
    found = site.check().objects("web")["Deployment other"]
    text = (
        "the API server refuses the object: an integer is expected at "
        "spec.template.spec.containers[0].ports[0].containerPort, Git has a string"
    )
    assert found == ("Missing", text)
    table = re.sub(r"\s+", " ", site.check(output="table").stdout)
    missing = f"Deployment {site.namespace}/other in Git, not in the cluster · high"
    assert f"{missing} {text} (at line 33) in apps/" in table
    seen = site.run("explain", "web", "deployment/other", f"--kubeconfig={site.kubeconfig}")
    assert "correct Git at apps/web/web.yaml:33: an integer is expected at spec." in seen.stdout
    assert "put it back" not in seen.stdout
    seen = site.check("--preview", "--against=HEAD~1", "--revision=HEAD", output="table")
    assert f"{text} (at line 33)" in re.sub(r"\s+", " ", seen.stdout)


def test_preview_of_a_chart(site: Site) -> None:
    """A value that is refused has its line, and so has one of a field that the kind lacks."""
    template = RIGHT.replace("replicas: 1", "replicas: {{ .Values.replicaCount }}")
    template += "      {{- toYaml .Values.pod | nindent 6 }}\n"
    site.repo.write("apps/web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n")
    site.repo.write("apps/web/templates/web.yaml", template)
    site.repo.write("apps/web/values.yaml", "replicaCount: 1\npod: {hostname: web}\n")
    site.repo.commit("Make web a chart")
    wrong = "replicaCount: two\npod:\n  hostname: web\n  priorityClasName: high\n"
    site.repo.write("apps/web/values.yaml", wrong)
    site.repo.commit("Change the values of web")
    seen = site.check("--preview", "--against=HEAD~1", "--revision=HEAD")
    assert seen.exit_code == 2, seen.stderr
    (one,) = seen.applications["web"]["resources"]
    assert all(change["invalid"] for change in one["changes"])
    origins = {change["path"]: change["origin"] for change in one["changes"]}
    assert {path: (at["file"], at["line"], at["value"]) for path, at in origins.items()} == {
        "/spec/replicas": ("apps/web/values.yaml", 1, "replicaCount"),
        "/spec/template/spec/priorityClasName": ("apps/web/values.yaml", 4, "pod.priorityClasName"),
    }


def test_other_shape(site: Site) -> None:
    """A text where the kind has a mapping is told with what is expected."""
    declare(site, RIGHT.replace("metadata: {labels: {app: web}}", "metadata: {labels: web}"))
    found = changes(site)
    assert found["/spec/template/metadata/labels"]["invalid"]["expected"] == "object"


@pytest.mark.parametrize("output", FORMATS)
def test_selector_of_other_labels(site: Site, output: str) -> None:
    """A selector that its own template does not match is told as refused, at its line."""
    declare(site, RIGHT.replace("selector: {matchLabels: {app: web}}", OTHER_SELECTOR))
    seen = site.check(output=output)
    assert seen.exit_code == 1, seen.stderr
    text = re.sub(r"\s+", " ", seen.stdout)
    assert "the API server refuses the object: spec.selector does not match the labels" in text
    assert "author" not in text
    if output == "json":
        (one,) = changes(site).values()
        assert one["invalid"]["cause"] == "ValidationFailed"
        assert one["origin"]["line"] == 9
    with pytest.raises(KubectlFailed, match="does not match template"):
        site.cluster.kubectl(
            *("apply", "-n", site.namespace, "--dry-run=server", "-f", "-"),
            input=(site.repo.path / "apps/web/web.yaml")
            .read_text()
            .replace("name: web", "name: new"),
        )


def test_selector_of_other_labels_is_corrected_in_git(site: Site) -> None:
    """Nobody is told to delete what runs: Git is corrected, and a preview counts no change."""
    declare(site, RIGHT.replace("selector: {matchLabels: {app: web}}", OTHER_SELECTOR))
    seen = site.run("explain", "web", "deployment/web", f"--kubeconfig={site.kubeconfig}")
    assert "correct Git at apps/web/web.yaml:9: spec.selector does not match" in seen.stdout
    assert "until then each sync of the object fails" in seen.stdout
    for advice in ("kubectl delete", "argocd app sync", "put it back", "recreate"):
        assert advice not in seen.stdout
    seen = site.check("--preview", "--against=HEAD~1", "--revision=HEAD")
    (one,) = seen.applications["web"]["resources"]
    assert (one["action"], one["invalid"]["cause"]) == ("refuse", "ValidationFailed")
    assert "effect" not in one
    text = site.check("--preview", "--against=HEAD~1", "--revision=HEAD", output="table").stdout
    assert "1 object refused by the API server" in text
    assert "recreate" not in text


def test_a_label_outside_of_its_selector(site: Site) -> None:
    """A label at the wrong depth is corrected there, first; no preview speaks of a recreation."""
    text = "selector:\n    matchLabels:\n    app: web"
    declare(site, RIGHT.replace("selector: {matchLabels: {app: web}}", text))
    seen = site.run("explain", "web", "deployment/web", f"--kubeconfig={site.kubeconfig}")
    steps = seen.stdout.partition("What to do next:\n  ")[2]
    told = "app belongs under matchLabels: check the indentation\n"
    assert steps.startswith(f"correct Git at apps/web/web.yaml:9: {told}")
    assert "spec.selector is required" in steps
    assert "put it back" not in steps
    seen = site.check("--preview", "--against=HEAD~1", "--revision=HEAD", output="table")
    assert "1 object refused by the API server" in seen.stdout
    assert "recreate" not in seen.stdout


def test_an_application_under_a_second_name(site: Site) -> None:
    """A preview says that the live object's application, which stays, declares it too."""
    mark = f"argocd.argoproj.io/tracking-id=web:apps/Deployment:{site.namespace}/web"
    site.cluster.kubectl("annotate", "deployment/web", "-n", site.namespace, mark)
    copy = application("web", site.namespace).replace('"name": "web"', '"name": "copy"', 1)
    site.repo.write("argocd/copy.yaml", copy)
    site.repo.commit("Declare it twice")
    seen = site.check("--preview", "--against=HEAD~1", "--revision=HEAD")
    (one,) = seen.applications["copy"]["resources"]
    assert one["reason"] == "application web declares it too: each sync undoes the other's"
    assert any("copy and web would declare the same object" in c for c in seen.conditions("copy"))
    # Other tests have an application of this name, too.
    site.cluster.kubectl("delete", "deployment/web", "-n", site.namespace)


def test_labels_of_the_template_that_the_selector_lacks(site: Site) -> None:
    """Of the two places the one that was edited is named."""
    declare(site, RIGHT.replace("metadata: {labels: {app: web}}", "metadata: {labels: {app: x}}"))
    (one,) = changes(site).values()
    assert one["invalid"]["path"] == "/spec/template/metadata/labels/app"
    assert one["origin"]["line"] == 9


def test_refused_for_what_no_difference_shows(site: Site) -> None:
    """The reason is told of the object where no single difference is the mistake."""
    twice = "        - {name: web, image: registry.example.com/other:1}\n"
    declare(site, RIGHT + twice)
    refusal = "the API server refuses the object: another container has the name web too"
    assert refusal in re.sub(r"\s+", " ", site.check(output="table").stdout)
    seen = site.run("explain", "web", "deployment/web", f"--kubeconfig={site.kubeconfig}")
    assert "another container has the name web too: rename one" in seen.stdout
    assert "correct Git at apps/web/web.yaml" in seen.stdout
    assert "argocd app sync" not in seen.stdout
