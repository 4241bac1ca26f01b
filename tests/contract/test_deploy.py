"""The shipped manifests on a real API server."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tests.testbed.argocd import serve_argo_kinds
from tests.testbed.cluster import ControlPlane
from tests.testbed.flux import serve_flux_kinds
from tests.testbed.processes import wait_until

pytestmark = pytest.mark.cluster

DEPLOY = Path(__file__).parents[2] / "deploy"
ACCOUNT = "system:serviceaccount:driftd:driftd"


@pytest.fixture(scope="module")
def deployed(api_server: ControlPlane) -> ControlPlane:
    """The API server with `deploy/base` applied."""
    api_server.kubectl("apply", "--server-side", "-k", str(DEPLOY / "base"))
    return api_server


def may(cluster: ControlPlane, verb: str, what: str, namespace: str = "default") -> bool:
    """Whether driftd's service account may do this."""
    done = cluster.kubectl(
        "auth", "can-i", verb, what, "-n", namespace, "--as", ACCOUNT, check=False
    )
    return done.stdout.strip() == "yes"


def render(cluster: ControlPlane, folder: Path) -> list[dict]:
    """What kustomize makes of a folder."""
    return list(yaml.safe_load_all(cluster.kubectl("kustomize", str(folder)).stdout))


def test_the_base_is_accepted_and_applying_again_changes_nothing(deployed):
    """Every object is valid for a real API server, with strict field validation."""
    again = deployed.kubectl(
        "apply", "--server-side", "--validate=strict", "-k", str(DEPLOY / "base")
    )
    assert again.stderr == ""
    assert len(again.stdout.splitlines()) == 12
    deployment = deployed.call("GET", "/apis/apps/v1/namespaces/driftd/deployments/driftd")
    assert deployment["metadata"]["generation"] == 1


def test_the_pod_passes_the_restricted_pod_security_standard(deployed):
    """A Pod of the Deployment's template is admitted where `restricted` is enforced."""
    namespace = deployed.call("GET", "/api/v1/namespaces/driftd")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    deployment = deployed.call("GET", "/apis/apps/v1/namespaces/driftd/deployments/driftd")
    template = deployment["spec"]["template"]
    pods = "/api/v1/namespaces/driftd/pods?dryRun=All"
    pod = {"metadata": {"name": "driftd", "labels": template["metadata"]["labels"]}}
    status, _ = deployed.request("POST", pods, {**pod, "spec": template["spec"]})
    assert status == 201
    template["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    status, answer = deployed.request("POST", pods, {**pod, "spec": template["spec"]})
    assert status == 403
    assert "restricted" in answer["message"]


def test_the_deployment_is_accepted_without_a_warning_where_restricted_is_enforced(
    deployed, tmp_path
):
    """Into another namespace with enforce, warn and audit `restricted`: no word from admission."""
    levels = ("enforce", "warn", "audit")
    labels = {f"pod-security.kubernetes.io/{level}": "restricted" for level in levels}
    namespace = {"apiVersion": "v1", "kind": "Namespace"}
    body = {**namespace, "metadata": {"name": "restricted", "labels": labels}}
    deployed.call("POST", "/api/v1/namespaces", body)
    kinds = {"Deployment", "NetworkPolicy", "Service", "ServiceAccount", "PersistentVolumeClaim"}
    objects = [o for o in render(deployed, DEPLOY / "base") if o["kind"] in kinds]
    for one in objects:
        one["metadata"]["namespace"] = "restricted"
    assert len(objects) == 6

    def apply() -> tuple[list[str], str]:
        file = tmp_path / "objects.yaml"
        file.write_text(yaml.safe_dump_all(objects))
        done = deployed.kubectl(
            "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", str(file)
        )
        return done.stdout.splitlines(), done.stderr

    lines, warnings = apply()
    assert (len(lines), warnings) == (6, "")
    [template] = [o["spec"]["template"] for o in objects if o["kind"] == "Deployment"]
    template["spec"]["hostNetwork"] = True
    assert "restricted" in apply()[1]


def test_the_base_may_read_but_not_secrets_and_change_nothing(deployed):
    """Detect-only is what the shipped rights allow, whatever the settings say."""
    for what in ("deployments.apps", "configmaps", "clusterroles.rbac.authorization.k8s.io"):
        assert may(deployed, "list", what)
        for verb in ("create", "update", "patch", "delete"):
            assert not may(deployed, verb, what)
    for verb in ("get", "list", "watch", "create"):
        assert not may(deployed, verb, "secrets")
        assert not may(deployed, verb, "secrets", "driftd")
    assert not may(deployed, "create", "pods/exec")


def test_every_shipped_cluster_role_is_bound_to_the_service_account(deployed):
    """A right that is shipped in the base is one that the daemon really has."""
    objects = render(deployed, DEPLOY / "base")
    account = {"kind": "ServiceAccount", "name": "driftd", "namespace": "driftd"}
    bound = {
        o["roleRef"]["name"]
        for o in objects
        if o["kind"] == "ClusterRoleBinding" and o["subjects"] == [account]
    }
    roles = {o["metadata"]["name"] for o in objects if o["kind"] == "ClusterRole"}
    files = (DEPLOY / "base").glob("clusterrole-*.yaml")
    assert roles == bound == {yaml.safe_load(f.read_text())["metadata"]["name"] for f in files}


def test_the_components_give_what_they_say_and_no_more(deployed, tmp_path):
    """Hub: Secrets of Argo CD's namespace. Heal: nothing until bound, then create and patch."""
    for name in ("argocd", "healed"):
        deployed.create_namespace(name)
    for name in ("base", "components"):
        (tmp_path / name).symlink_to(DEPLOY / name)
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    folders = {name: f"../{name}" for name in ("base", "components/hub", "components/heal")}
    text = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [folders.pop("base")],
        "components": list(folders.values()),
    }
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(text))
    deployed.kubectl("apply", "--server-side", "-k", str(overlay))
    assert may(deployed, "list", "secrets", "argocd")
    assert not may(deployed, "list", "secrets")
    assert not may(deployed, "patch", "deployments.apps", "healed")
    deployed.kubectl(
        "-n",
        "healed",
        "create",
        "rolebinding",
        "driftd-heal",
        "--clusterrole=driftd-heal",
        "--serviceaccount=driftd:driftd",
    )
    assert may(deployed, "patch", "deployments.apps", "healed")
    assert may(deployed, "create", "services", "healed")
    for verb, what in (
        ("delete", "deployments.apps"),
        ("patch", "secrets"),
        ("patch", "roles.rbac.authorization.k8s.io"),
    ):
        assert not may(deployed, verb, what, "healed")
    assert not may(deployed, "patch", "deployments.apps")


def test_an_overlay_replaces_settings_and_image_as_the_readme_says(deployed, tmp_path):
    """Own settings and an own image need no patch; changed settings restart the Pod."""
    (tmp_path / "base").symlink_to(DEPLOY / "base")
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    readme = (DEPLOY / "README.md").read_text(encoding="utf-8")
    block = readme.split("```yaml\n")[1].split("```")[0]
    example = "\n".join(line[3:] for line in block.splitlines())
    example = example.replace("PATH-TO/deploy/base", "../base")
    (overlay / "kustomization.yaml").write_text(example.replace("YOUR-REGISTRY", "registry.test"))
    (overlay / "driftd.yaml").write_text("sweep: {interval: 1m}\n")
    objects = {o["kind"]: o for o in render(deployed, overlay)}
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "registry.test/driftd:0.1.0"
    assert objects["ConfigMap"]["data"] == {"driftd.yaml": "sweep: {interval: 1m}\n"}
    [settings] = [v for v in pod["volumes"] if v["name"] == "settings"]
    assert settings["configMap"]["name"] == objects["ConfigMap"]["metadata"]["name"] != "driftd"


def test_the_audit_component_opens_one_port_to_nobody_yet(deployed, tmp_path):
    """The Pod listens beside its probes; who may post is to be named by the overlay."""
    folder = tmp_path / "overlay"
    folder.mkdir()
    shutil.copytree(DEPLOY, folder / "deploy")
    (folder / "kustomization.yaml").write_text(
        "resources: [deploy/base]\ncomponents: [deploy/components/audit]\n"
    )
    objects = render(deployed, folder)
    (folder / "objects.yaml").write_text(yaml.safe_dump_all(objects))
    arguments = ("apply", "--server-side", "--dry-run=server", "--validate=strict")
    done = deployed.kubectl(*arguments, "-f", str(folder / "objects.yaml"))
    assert done.stderr == ""
    found = {(one["kind"], one["metadata"]["name"]): one for one in objects}
    (container,) = found["Deployment", "driftd"]["spec"]["template"]["spec"]["containers"]
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert ports == {"http": 8080, "audit": 8443}
    (rule,) = found["NetworkPolicy", "driftd-audit"]["spec"]["ingress"]
    assert rule == {
        "from": [{"ipBlock": {"cidr": "192.0.2.0/24"}}],
        "ports": [{"protocol": "TCP", "port": "audit"}],
    }
    base = {one["kind"]: one for one in render(deployed, DEPLOY / "base")}
    opened = [one["port"] for one in base["NetworkPolicy"]["spec"]["ingress"][0]["ports"]]
    assert opened == ["http"]
    (port,) = found["Service", "driftd-audit"]["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (8443, "audit")


def overlay_of(folder: Path, *components: str) -> str:
    """A folder with the base and some components, for kubectl -k."""
    for name in ("base", "components"):
        (folder / name).symlink_to(DEPLOY / name)
    overlay = folder / "overlay"
    overlay.mkdir()
    text = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["../base"],
        "components": [f"../components/{name}" for name in components],
    }
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(text))
    return str(overlay)


ENGINES = (
    "applications.argoproj.io",
    "kustomizations.kustomize.toolkit.fluxcd.io",
    "helmreleases.helm.toolkit.fluxcd.io",
    "gitrepositories.source.toolkit.fluxcd.io",
)


def test_the_ask_component_lets_engines_be_asked_and_nothing_else(deployed, tmp_path):
    """Nothing until bound; then patch of the engines' objects, and of no object they manage."""
    deployed.kubectl("apply", "--server-side", "-k", overlay_of(tmp_path, "ask"))
    role = yaml.safe_load((DEPLOY / "components/ask/clusterrole-ask.yaml").read_text())
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"patch"}
    deployed.create_namespace("asked")
    serve_argo_kinds(deployed)
    serve_flux_kinds(deployed)
    assert not may(deployed, "patch", "applications.argoproj.io", "asked")
    account = "--serviceaccount=driftd:driftd"
    deployed.kubectl(
        "-n", "asked", "create", "rolebinding", "ask", "--clusterrole=driftd-ask", account
    )
    for what in ENGINES:
        assert may(deployed, "patch", what, "asked")
        for verb in ("create", "update", "delete"):
            assert not may(deployed, verb, what, "asked")
    assert not may(deployed, "patch", "deployments.apps", "asked")
    assert not may(deployed, "patch", "applications.argoproj.io")


def test_the_heal_role_deletes_nothing(deployed):
    """No rule has another verb than create and patch."""
    role = yaml.safe_load((DEPLOY / "components/heal/clusterrole-heal.yaml").read_text())
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"create", "patch"}


def test_the_seat_belt_holds_whatever_rights_the_account_was_given(deployed, tmp_path):
    """With every right in a namespace, driftd's account still deletes nothing; others do."""
    deployed.kubectl("apply", "--server-side", "-k", overlay_of(tmp_path, "protect"))
    deployed.create_namespace("belted")
    account = "--serviceaccount=driftd:driftd"
    deployed.kubectl(
        "-n", "belted", "create", "rolebinding", "all", "--clusterrole=cluster-admin", account
    )
    path = "/api/v1/namespaces/belted/configmaps"

    def made(name: str, **annotations: str) -> None:
        metadata = {"name": name, "annotations": annotations}
        deployed.call("POST", path, {"metadata": metadata, "data": {"colour": "blue"}})

    def ran(*arguments: str, user: str = ACCOUNT) -> str:
        done = deployed.kubectl("-n", "belted", *arguments, "--as", user, check=False)
        return "" if done.returncode == 0 else done.stderr

    paint = ("-p", '{"data":{"colour":"red"}}')
    names = iter(f"probe-{number}" for number in range(1000))

    def is_denied() -> bool:
        name = next(names)
        made(name)
        return "driftd deletes nothing" in ran("delete", "configmap", name)

    # The API server takes a new policy in after a moment.
    wait_until(is_denied, what="the policy", timeout=60)
    made("open")
    made("kept", **{"driftd.io/heal": "never"})
    assert "driftd deletes nothing" in ran("delete", "configmap", "open")
    assert "driftd deletes nothing" in ran("delete", "configmaps", "--all")
    assert ran("patch", "configmap", "open", *paint) == ""
    assert "driftd.io/heal: never" in ran("patch", "configmap", "kept", *paint)
    assert "driftd.io/heal: never" in ran(
        "annotate", "configmap", "kept", "driftd.io/heal-", "--overwrite"
    )
    assert deployed.call("GET", f"{path}/kept")["data"] == {"colour": "blue"}
    other = deployed.kubectl("-n", "belted", "patch", "configmap", "kept", *paint, check=False)
    assert other.returncode == 0
    assert deployed.kubectl("-n", "belted", "delete", "configmap", "open").returncode == 0
    deployed.kubectl(
        "delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", "driftd-protect"
    )
