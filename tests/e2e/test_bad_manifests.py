"""Bad manifests, projects and Applications: each is named, the rest of the report is right.

Every test declares two good applications beside the broken one, on a real API server.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.broken import GOOD, assert_broken
from tests.e2e.site import URL, Site, application, assert_rest_is_right, config_map

pytestmark = pytest.mark.cluster

PDB = "apiVersion: {}\nkind: PodDisruptionBudget\nmetadata:\n  name: x\nspec: {{minAvailable: 1}}\n"


# Manifests


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        pytest.param(
            PDB.format("policy/v1beta1"),
            "apps/broken/budget.yaml:1: the cluster does not serve policy/v1beta1 "
            "PodDisruptionBudget; "
            "it serves policy/v1: change apiVersion in Git",
            id="version",
        ),
        pytest.param(
            PDB.format("example.com/v1"),
            "apps/broken/budget.yaml:1: the cluster does not serve example.com/v1 "
            "PodDisruptionBudget; its CustomResourceDefinition is not installed: install what "
            "brings it, or, if PodDisruptionBudget (policy/v1) is meant, correct apiVersion in Git",
            id="definition",
        ),
    ],
)
def test_unserved(site: Site, manifest: str, reason: str) -> None:
    """What the cluster does not serve is Unknown with the remedy; objects beside it are judged."""
    site.broken({"budget.yaml": manifest, **GOOD})
    seen = site.check()
    assert_rest_is_right(seen)
    assert seen.objects("broken") == {
        "PodDisruptionBudget x": ("Unknown", reason),
        "ConfigMap good": ("Missing", ""),
    }
    assert seen.exit_code == 2


DEPLOYMENT = """\
apiVersion: {}
kind: {}
metadata:
  name: x
spec:
  selector: {{matchLabels: {{app: x}}}}
  template: {{metadata: {{labels: {{app: x}}}}, spec: {{containers: [{{name: x, image: x}}]}}}}
"""


@pytest.mark.parametrize(
    ("api_version", "kind", "line", "remedy"),
    [
        ("apps/v1", "Deploymnet", 2, "did you mean Deployment (apps/v1)? Correct kind in Git"),
        ("extensions/v1beta1", "Ingress", 1, "it serves Ingress as networking.k8s.io/v1: change "),
        ("v1", "Configmap", 2, "did you mean ConfigMap (v1)? Correct kind in Git"),
    ],
)
def test_misspelt(site: Site, api_version: str, kind: str, line: int, remedy: str) -> None:
    """The real discovery names what was probably meant; check and doctor tell file and line."""
    site.broken({"odd.yaml": DEPLOYMENT.format(api_version, kind), **GOOD})
    seen = site.check()
    assert_rest_is_right(seen)
    status, reason = seen.objects("broken")[f"{kind} x"]
    assert status == "Unknown"
    told = f"apps/broken/odd.yaml:{line}: the cluster does not serve {api_version} {kind}"
    assert reason.startswith(f"{told}; {remedy}")
    doctor = " ".join(site.run("doctor", f"--kubeconfig={site.kubeconfig}").stdout.split())
    assert f"{told} ({kind} x) to do: {remedy}" in doctor


def test_manifest_is_no_yaml(site: Site) -> None:
    """A manifest that does not parse: file, document and line; the others are judged."""
    bad = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x\ndata: {}\n"
    site.broken({"bad.yaml": bad, **GOOD})
    seen = site.check()
    assert_rest_is_right(seen)
    (message,) = seen.conditions("broken")
    told = "apps/broken/bad.yaml:3 is no YAML: the { that opens here is not closed; close it with }"
    assert told in message
    assert message.endswith("; it is left out")
    assert seen.objects("broken") == {"ConfigMap good": ("Missing", "")}
    assert seen.exit_code == 2


def test_manifest_without_name(site: Site) -> None:
    """An object without name is left out and named by its file; the others are judged."""
    nameless = "apiVersion: v1\nkind: ConfigMap\nmetadata: {labels: {a: b}}\n"
    site.broken({"bad.yaml": nameless, **GOOD})
    seen = site.check()
    assert_rest_is_right(seen)
    (message,) = seen.conditions("broken")
    assert "apps/broken/bad.yaml, document 1: metadata.name is missing" in message
    assert "the object is left out" in message
    assert seen.objects("broken") == {"ConfigMap good": ("Missing", "")}
    assert seen.exit_code == 2


def test_manifest_is_no_mapping(site: Site) -> None:
    """A file that holds no object is left out with a warning, as Argo CD does."""
    site.broken({"bad.yaml": "- a\n- b\n", **GOOD})
    seen = site.check()
    assert_rest_is_right(seen)
    (message,) = seen.conditions("broken")
    assert "apps/broken/bad.yaml: left out, it is no manifest" in message
    assert "a list where a mapping is expected" in message
    assert seen.objects("broken") == {"ConfigMap good": ("Missing", "")}
    assert seen.exit_code == 1


def test_manifest_with_unknown_field(site: Site) -> None:
    """A field that the kind does not have is told as such, not as somebody's removal."""
    path = f"/api/v1/namespaces/{site.namespace}/configmaps"
    site.cluster.call("POST", path, {"metadata": {"name": "fielded"}, "data": {"a": "b"}})
    site.broken({"map.yaml": config_map("fielded", a="b") + "colours: {a: b}\n"})
    seen = site.check()
    assert_rest_is_right(seen)
    (resource,) = seen.applications["broken"]["resources"]
    (change,) = resource["changes"]
    assert (change["path"], change["kind"]) == ("/colours", "missing")
    assert change["reason"] == (
        "the kind has no field colours here: the API server drops it or refuses the object; "
        "correct its name in Git or remove it"
    )
    assert seen.exit_code == 1


def test_duplicate_objects(site: Site) -> None:
    """An object declared twice: both files; the last one counts."""
    files = {"a.yaml": config_map("twice", a="b"), "b.yaml": config_map("twice", a="c")}
    site.broken(files)
    seen = site.check()
    assert_rest_is_right(seen)
    (message,) = seen.conditions("broken")
    assert message.startswith(f"RepeatedResourceWarning: ConfigMap {site.namespace}/twice is ")
    assert "apps/broken/a.yaml" in message
    assert "apps/broken/b.yaml" in message
    assert "the last one counts and it is not healed" in message
    assert seen.exit_code == 1


# Projects and Applications


def project(**spec: Any) -> str:
    """The AppProject `team`: everything permitted, unless `spec` says otherwise."""
    permitted = {"sourceRepos": ["*"], "destinations": [{"server": "*", "namespace": "*"}]}
    return json.dumps(
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "AppProject",
            "metadata": {"name": "team", "namespace": "argocd"},
            "spec": {**permitted, **spec},
        }
    )


def test_project_forbids_destination(site: Site) -> None:
    """A destination outside the project: both are named, and the field to change."""
    forbidding = project(destinations=[{"server": "*", "namespace": "team-*"}])
    site.repo.write("argocd/project.yaml", forbidding)
    site.broken(GOOD, project="team")
    assert_broken(
        site,
        "project team does not permit the destination https://kubernetes.default.svc, "
        f"namespace {site.namespace}; correct the destination, or add it to spec.destinations of "
        "the project (argocd/project.yaml)",
    )


def test_project_forbids_source(site: Site) -> None:
    """A repository outside the project: both are named, and the field to change."""
    site.repo.write("argocd/project.yaml", project(sourceRepos=["https://git.example.com/team/*"]))
    site.broken(GOOD, project="team")
    assert_broken(
        site,
        f"project team does not permit the source repository {URL}; correct repoURL, or add it to "
        "spec.sourceRepos",
    )


def test_project_forbids_kind(site: Site) -> None:
    """Objects of forbidden kinds are conditions with object and rule; the others are judged."""
    forbidding = project(namespaceResourceBlacklist=[{"group": "", "kind": "ResourceQuota"}])
    site.repo.write("argocd/project.yaml", forbidding)
    quota = "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: q}\nspec: {hard: {pods: 1}}\n"
    role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: r}\n"
    site.broken({"quota.yaml": quota, "role.yaml": role, **GOOD}, project="team")
    seen = site.check()
    assert_rest_is_right(seen)
    remedy = "change the project, or move the object to another application"
    first, second = seen.conditions("broken")
    quota = f"ResourceQuota {site.namespace}/q (apps/broken/quota.yaml)"
    assert f"{quota} is not permitted in project team by " in first
    assert f"spec.namespaceResourceBlacklist; {remedy}" in first
    role = "ClusterRole.rbac.authorization.k8s.io r (apps/broken/role.yaml)"
    assert f"{role} is not permitted in project team by " in second
    assert f"spec.clusterResourceWhitelist; {remedy}" in second
    assert seen.objects("broken") == {"ConfigMap good": ("Missing", "")}
    assert seen.exit_code == 2


def test_unknown_project(site: Site) -> None:
    """A project that does not exist: file, line, project and the two remedies."""
    site.broken(GOOD, project="nonesuch")
    assert_broken(
        site,
        "argocd/broken.yaml:9: there is no project 'nonesuch'",
        "add the AppProject to the repository or correct spec.project",
    )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"destination": {"namespace": "x"}}, "has neither spec.destination.server nor .name"),
        ({"source": None}, "has no source; set spec.source or spec.sources"),
    ],
    ids=["destination", "source"],
)
def test_application_lacks_a_field(site: Site, spec: dict[str, Any], message: str) -> None:
    """An Application that lacks something needed says once which field."""
    site.broken(GOOD, **spec)
    assert_broken(site, f"application broken {message}")


def test_application_document_is_invalid(site: Site) -> None:
    """A field of the wrong type: file, document, Application and field, for the whole report."""
    site.broken(GOOD, destination="production")
    seen = site.check()
    assert_rest_is_right(seen)
    (message,) = seen.conditions()
    assert "argocd/broken.yaml, document 1: Application broken: " in message
    assert "spec.destination must be a map, not text" in message
    assert set(seen.applications) == {"steady", "changed"}
    assert seen.exit_code == 2


def test_application_document_is_no_yaml(site: Site) -> None:
    """A document that does not parse: file and line, for the whole report."""
    text = application("broken", site.namespace).replace('"spec"', '"spec')
    site.repo.write("argocd/broken.yaml", text)
    site.repo.commit()
    seen = site.check()
    assert_rest_is_right(seen)
    (message,) = seen.conditions()
    assert message.startswith("InvalidSpecError: argocd/broken.yaml:1 is no YAML: ")
    assert seen.exit_code == 2
