"""The example repository: complete as drawn, builds with kubectl, accepted by a real cluster."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.testbed import binaries
from tests.testbed.cluster import ControlPlane

pytestmark = pytest.mark.cluster

REPOSITORY = Path(__file__).parent.parent / "fixtures" / "kubernetes-gitops"
ENVIRONMENTS = ("production", "staging", "development")
EVERY = os.environ.get("EXAMPLE_ENVIRONMENTS") == "all"
APPLIED = ENVIRONMENTS if EVERY else ENVIRONMENTS[:1]
"""`make prove` applies all; the tests of detection deploy each on a cluster with controllers."""
APPS = ("app1", "app2")
COMPONENTS = {
    "cert-manager": ("release",),
    "ingress-nginx": ("release",),
    "monitoring": ("prometheus", "grafana", "alertmanager"),
}

Document = dict[str, Any]


def drawn_files() -> Iterator[str]:
    """Every file that the architecture guide draws; a folder drawn empty holds what builds it."""
    yield "README.md"
    for environment in ENVIRONMENTS:
        for app in APPS:
            yield f"clusters/{environment}/apps/{app}/kustomization.yaml"
            yield f"clusters/{environment}/apps/{app}/values.yaml"
            yield f"apps/{app}/overlays/{environment}/kustomization.yaml"
        yield f"clusters/{environment}/infrastructure/kustomization.yaml"
        for component in COMPONENTS:
            yield f"clusters/{environment}/infrastructure/{component}/kustomization.yaml"
            yield f"infrastructure/{component}/overlays/{environment}/kustomization.yaml"
        yield f"argocd/applications/{environment}/apps.yaml"
        yield f"argocd/applications/{environment}/infrastructure.yaml"
    for app in APPS:
        for name in ("deployment", "service", "ingress", "configmap", "kustomization"):
            yield f"apps/{app}/base/{name}.yaml"
    for component, names in COMPONENTS.items():
        for name in ("namespace", *names, "kustomization"):
            yield f"infrastructure/{component}/base/{name}.yaml"
    for name in ("namespace", "install", "projects"):
        yield f"argocd/bootstrap/{name}.yaml"
    for name in ("all-clusters-infra", "all-clusters-apps"):
        yield f"argocd/applicationsets/{name}.yaml"


def objects(text: str) -> list[Document]:
    """The objects of a YAML or JSON text, those inside a `List` included."""
    found: list[Document] = []
    for document in yaml.safe_load_all(text):
        if document is not None:
            found.extend(document["items"] if document["kind"] == "List" else [document])
    return found


def argocd_objects(folder: str, kind: str) -> list[Document]:
    """The objects of one kind below a folder of `argocd/`."""
    files = sorted((REPOSITORY / "argocd" / folder).rglob("*.yaml"))
    return [found for file in files for found in objects(file.read_text()) if found["kind"] == kind]


def raw_manifests(environment: str) -> list[Document]:
    """The objects of the application whose manifests are plain files."""
    folder = REPOSITORY / "apps" / "ledger" / environment
    files = sorted([*folder.rglob("*.yaml"), *folder.rglob("*.json")])
    return [found for file in files for found in objects(file.read_text())]


def generated_names(application_set: Document) -> list[str]:
    """The names that a set with one list generator gives its Applications."""
    elements = application_set["spec"]["generators"][0]["list"]["elements"]
    name = application_set["spec"]["template"]["metadata"]["name"]
    return [name.replace("{{cluster}}", element["cluster"]) for element in elements]


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def environment(request: pytest.FixtureRequest) -> str:
    """Each environment in turn."""
    return str(request.param)


@pytest.fixture(scope="module")
def cluster(environment: str) -> Iterator[ControlPlane]:
    """A bare API server that nothing has been applied to but this environment."""
    with ControlPlane(environment) as control_plane:
        yield control_plane


@pytest.fixture(scope="module")
def rendered(environment: str) -> dict[str, str]:
    """What kubectl builds of the environment's two Kustomize applications."""
    kubectl = str(binaries.ensure().path("kubectl"))
    return {
        name: subprocess.run(
            [kubectl, "kustomize", str(REPOSITORY / "clusters" / environment / name)],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for name in ("apps", "infrastructure")
    }


@pytest.fixture(scope="module")
def declared(rendered: dict[str, str], environment: str) -> list[Document]:
    """The environment's objects that neither Helm nor Jsonnet renders."""
    built = [found for text in rendered.values() for found in objects(text)]
    return [*built, *raw_manifests(environment)]


def test_every_drawn_file_exists() -> None:
    """The tree of the architecture guide is complete."""
    missing = [path for path in drawn_files() if not (REPOSITORY / path).is_file()]
    assert missing == []


def test_applications_cover_all_four_manifest_types() -> None:
    """Every Application's path exists, and Kustomize, Helm, Jsonnet and raw files all occur."""
    types: Counter[str] = Counter()
    for application in argocd_objects("applications", "Application"):
        path = REPOSITORY / application["spec"]["source"]["path"]
        if (path / "Chart.yaml").is_file():
            types["helm"] += 1
        elif (path / "kustomization.yaml").is_file():
            types["kustomize"] += 1
        elif list(path.glob("*.jsonnet")):
            types["jsonnet"] += 1
        elif list(path.glob("*.yaml")):
            types["raw"] += 1
    assert types == {"kustomize": 6, "helm": 3, "jsonnet": 3, "raw": 3}


def test_applications_stay_within_their_project() -> None:
    """Project, destination and repository of every Application agree with its AppProject."""
    projects = {
        project["metadata"]["name"]: project["spec"]
        for project in argocd_objects("bootstrap", "AppProject")
    }
    for application in argocd_objects("applications", "Application"):
        spec = application["spec"]
        project = projects[spec["project"]]
        assert application["metadata"]["name"].startswith(f"{spec['project']}-")
        assert [spec["destination"]["server"]] == [d["server"] for d in project["destinations"]]
        assert spec["source"]["repoURL"] in project["sourceRepos"]


def test_only_the_infrastructure_set_generates_names_that_are_taken() -> None:
    """The drawn collision is there for each environment, and no other name occurs twice."""
    names = [a["metadata"]["name"] for a in argocd_objects("applications", "Application")]
    sets = argocd_objects("applicationsets", "ApplicationSet")
    for application_set in sets:
        names.extend(generated_names(application_set))
    taken = {name for name, count in Counter(names).items() if count > 1}
    assert taken == {f"{environment}-infrastructure" for environment in ENVIRONMENTS}
    assert len(names) == 15 + 6


def test_chart_values_of_an_environment_are_known_to_the_chart(environment: str) -> None:
    """No environment sets a value that the chart's values.yaml does not have: Helm is silent."""
    chart = REPOSITORY / "infrastructure" / "event-exporter" / "chart"
    known = yaml.safe_load((chart / "values.yaml").read_text())
    values = yaml.safe_load((chart / f"values-{environment}.yaml").read_text())
    unknown = set(values) - set(known)
    for name, value in values.items():
        if isinstance(value, dict) and known.get(name):
            unknown |= {f"{name}.{key}" for key in set(value) - set(known[name])}
    assert unknown == set()


def test_values_of_the_cluster_reach_the_manifests_but_not_the_cluster(
    rendered: dict[str, str], environment: str
) -> None:
    """values.yaml gives each Ingress its host, and is itself no object of the cluster."""
    built = objects(rendered["apps"])
    hosts = {}
    for app in APPS:
        values = REPOSITORY / "clusters" / environment / "apps" / app / "values.yaml"
        hosts[f"{environment}-{app}"] = yaml.safe_load(values.read_text())["data"]["host"]
    ingresses = {o["metadata"]["name"]: o["spec"] for o in built if o["kind"] == "Ingress"}
    assert {name: spec["rules"][0]["host"] for name, spec in ingresses.items()} == hosts
    assert {name: spec["tls"][0]["hosts"][0] for name, spec in ingresses.items()} == hosts
    assert "-cluster-values" not in rendered["apps"]


def test_production_overlay_does_what_the_guide_says(
    rendered: dict[str, str], environment: str
) -> None:
    """Prefix, image tag, patched environment and merged configuration arrive in app1."""
    named = {(o["kind"], o["metadata"]["name"]): o for o in objects(rendered["apps"])}
    spec = named["Deployment", f"{environment}-app1"]["spec"]["template"]["spec"]
    variables = {v["name"]: v["value"] for v in spec["containers"][0]["env"]}
    assert variables["ENVIRONMENT"] == environment
    assert variables["CONFIG_PATH"] == "/config/config.yaml"
    assert not spec["containers"][0]["image"].endswith(":v1.0.0")
    config = named["ConfigMap", spec["volumes"][0]["configMap"]["name"]]
    overlay = REPOSITORY / "apps" / "app1" / "overlays" / environment / "config.yaml"
    assert config["data"]["config.yaml"] == overlay.read_text()


def test_autoscaled_workloads_declare_no_replicas(declared: list[Document]) -> None:
    """Git leaves `spec.replicas` of every HorizontalPodAutoscaler's target to the autoscaler."""
    targets = {
        (o["metadata"]["namespace"], o["spec"]["scaleTargetRef"]["name"])
        for o in declared
        if o["kind"] == "HorizontalPodAutoscaler"
    }
    deployments = {
        (o["metadata"]["namespace"], o["metadata"]["name"]): o["spec"]
        for o in declared
        if o["kind"] == "Deployment"
    }
    assert len(targets) == 2
    assert [name for name in targets if "replicas" in deployments[name]] == []


def test_no_object_is_declared_twice(declared: list[Document]) -> None:
    """Kind, namespace and name are unique over the applications of one cluster."""
    keys = Counter(
        (o["apiVersion"], o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"])
        for o in declared
    )
    assert [key for key, count in keys.items() if count > 1] == []
    assert len({o["kind"] for o in declared}) >= 24


@pytest.mark.parametrize("environment", APPLIED, indirect=True, scope="module")
def test_a_real_cluster_accepts_everything(
    cluster: ControlPlane, rendered: dict[str, str], environment: str, declared: list[Document]
) -> None:
    """Server-side apply, then client-side apply succeed for every object, without a warning."""
    ledger = REPOSITORY / "apps" / "ledger" / environment
    crd = ledger / "10-retention-crd.yaml"
    applied = 0
    for flags in (["--server-side"], []):
        for text in rendered.values():
            applied += count_applied(cluster.kubectl("apply", *flags, "-f", "-", input=text))
        cluster.kubectl("apply", *flags, "-f", str(crd))
        cluster.kubectl("wait", "--for=condition=Established", "-f", str(crd), "--timeout=30s")
        applied += count_applied(cluster.kubectl("apply", *flags, "-R", "-f", str(ledger)))
    assert applied == 2 * len(declared)


def count_applied(done: Any) -> int:
    """The objects that kubectl says it applied; it must have warned of nothing but its takeover."""
    warnings = [line for line in done.stderr.splitlines() if "last-applied-config" not in line]
    assert warnings == []
    return len(done.stdout.splitlines())
