"""What image and manifests promise each other, read from the files themselves."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from driftd.settings.load import load

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")


def deployment():
    """The Deployment's Pod."""
    text = (ROOT / "deploy/base/deployment.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)["spec"]["template"]["spec"]


def instructions(name):
    """The arguments of every instruction of this name, in order."""
    return re.findall(rf"(?m)^{name}\s+(.*)$", DOCKERFILE)


def test_the_deployed_settings_are_valid_and_reachable_by_probes():
    """The shipped ConfigMap loads, listens for the kubelet, and keeps its state on the volume."""
    settings = load(ROOT / "deploy/base/driftd.yaml")
    assert settings.server.listen == "0.0.0.0:8080"
    [container] = deployment()["containers"]
    [port] = container["ports"]
    assert port["containerPort"] == 8080
    mounts = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
    assert settings.store.dsn == f"sqlite:///{mounts['state']}/driftd.db"
    assert container["args"] == ["run", "--config", f"{mounts['settings']}/driftd.yaml"]
    assert settings.healing.rules == ()


def test_every_path_that_is_written_is_a_volume():
    """The root file system is read-only; only state and temporary files are writable."""
    pod = deployment()
    [container] = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    writable = {m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")}
    assert writable == {"/var/lib/driftd", "/tmp"}
    assert {v["name"] for v in pod["volumes"]} == {m["name"] for m in container["volumeMounts"]}


def test_the_image_runs_as_the_user_of_the_manifests():
    """Image and Pod agree on a numeric user that is not root, and on the command."""
    user = instructions("USER")[-1]
    security = deployment()["securityContext"]
    assert user == f"{security['runAsUser']}:{security['runAsGroup']}" == "65532:65532"
    assert security["runAsNonRoot"] is True
    assert instructions("ENTRYPOINT") == ['["driftd"]']
    arguments = deployment()["containers"][0]["args"]
    assert yaml.safe_load(instructions("CMD")[-1]) == arguments


def test_the_image_is_built_from_files_that_exist_and_reach_the_builder():
    """Every copied path is in the repository and let through by `.dockerignore`."""
    allowed = [
        line[1:]
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    ]
    sources = [
        source
        for copied in instructions("COPY")
        if "--from=" not in copied
        for source in copied.split()[:-1]
    ]
    assert sources
    for source in sources:
        path = source.rstrip("/")
        assert (ROOT / path).exists(), source
        assert any(path == a or path.startswith(f"{a}/") for a in allowed), source


def test_the_image_installs_only_locked_packages():
    """Dependencies come by hash, driftd without any; nothing is downloaded by hand."""
    parts = [part for run in instructions("RUN") for part in run.split("&&")]
    installs = [part for part in parts if re.search(r"\bpip\b.* (install|wheel)\b", part)]
    ways = [("--require-hashes" in part, "--no-deps" in part) for part in installs]
    assert set(ways) == {(True, False), (False, True)}, installs
    assert len(ways) == len([part for part in parts if " pip " in f" {part} "]), parts
    assert not re.search(r"(?m)^ADD\b|\bcurl\b|\bwget\b|:latest", DOCKERFILE)


def test_the_last_stage_has_git_and_ssh_but_no_compiler():
    """Fetching needs git and ssh, signatures gpgv; Go stays in the build stage."""
    last = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    assert {"git", "gpgv", "openssh-client", "ca-certificates"} <= set(last.split())
    assert "/usr/local/go" not in last


def policies():
    """The network policies by name."""
    text = (ROOT / "deploy/base/networkpolicy.yaml").read_text(encoding="utf-8")
    return {one["metadata"]["name"]: one["spec"] for one in yaml.safe_load_all(text)}


def test_the_network_is_closed_but_for_what_driftd_needs():
    """Everything is denied by default; the Pod is asked on its port alone and asks by few."""
    denied, opened = policies()["default-deny"], policies()["driftd"]
    assert denied == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    text = (ROOT / "deploy/base/deployment.yaml").read_text(encoding="utf-8")
    template = yaml.safe_load(text)["spec"]["template"]
    assert opened["podSelector"]["matchLabels"] == template["metadata"]["labels"]
    [container] = template["spec"]["containers"]
    [entry] = opened["ingress"]
    assert [port["port"] for port in entry["ports"]] == [
        port["name"] for port in container["ports"]
    ]
    names, rest = opened["egress"]
    assert {port["port"] for port in names["ports"]} == {53}
    assert {port["port"] for port in rest["ports"]} == {22, 443, 5432, 6443}
    excepted = [one for peer in rest["to"] for one in peer["ipBlock"]["except"]]
    assert "169.254.0.0/16" in excepted


def test_nothing_blocks_the_drain_of_a_node():
    """A disruption budget of a single replica would."""
    kinds = [
        document["kind"]
        for file in (ROOT / "deploy").rglob("*.yaml")
        for document in yaml.safe_load_all(file.read_text(encoding="utf-8"))
        if "kind" in document
    ]
    assert "Deployment" in kinds
    assert "PodDisruptionBudget" not in kinds


def test_the_kubelet_waits_for_the_end_and_restarts_what_is_stuck_in_half_a_minute():
    """The grace is longer than the 10 s of the process; liveness gives up after about 30 s."""
    pod = deployment()
    assert pod["terminationGracePeriodSeconds"] >= 15
    [container] = pod["containers"]
    probe = container["livenessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] == 30
    assert container["readinessProbe"]["timeoutSeconds"] > 2
    assert (
        container["startupProbe"]["periodSeconds"] * container["startupProbe"]["failureThreshold"]
        == 120
    )
