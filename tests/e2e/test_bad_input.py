"""Bad input: the message names what is wrong and the remedy, the rest of the report is right.

Every test declares two good applications beside the broken one, on a real API server.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from driftd.controller.bearings import NEXT_STEPS
from tests.e2e.broken import GOOD, assert_broken
from tests.e2e.site import (
    URL,
    Site,
    assert_rest_is_right,
    config_map,
)
from tests.testbed.cluster import ControlPlane
from tests.testbed.kubeconfig import Access, write_kubeconfig
from tests.testbed.processes import reserve_port

pytestmark = pytest.mark.cluster

CHART = "apiVersion: v2\nname: broken\nversion: 0.1.0\n"
TEMPLATE = """apiVersion: v1
kind: ConfigMap
metadata:
  name: templated
data:
  colour: {{ required "colour is needed" .Values.colour }}
"""


def source(**fields: Any) -> dict[str, Any]:
    """The broken application's source."""
    return {"repoURL": URL, "targetRevision": "HEAD", "path": "apps/broken", **fields}


def assert_fatal(
    site: Site, *arguments: str, says: str, hint: str, cwd: Path | None = None
) -> None:
    """Nothing at all can be looked at: an error and a hint on standard error, exit 2."""
    seen = site.run(*arguments, cwd=cwd)
    assert seen.exit_code == 2
    assert seen.stdout == ""
    assert seen.stderr.splitlines() == [f"error: {says}; {hint}"]


def test_good_input(site: Site) -> None:
    """With nothing broken the report is complete and the exit code is that of drift."""
    seen = site.check()
    assert_rest_is_right(seen)
    assert seen.report["complete"] is True
    assert seen.exit_code == 1


def test_no_exit_code(site: Site) -> None:
    """`--no-exit-code` turns the exit code of drift into 0, but not that of an error."""
    seen = site.check("--no-exit-code")
    assert_rest_is_right(seen)
    assert seen.exit_code == 0
    site.broken({"kustomization.yaml": "resources: [nonesuch.yaml]\n"})
    assert site.check("--no-exit-code").exit_code == 2


# Repositories and revisions


def test_no_repository(site: Site, tmp_path: Path) -> None:
    """Outside every checkout the folder is named, and that one has to be given."""
    flags = ("check", f"--kubeconfig={site.kubeconfig}")
    empty = tmp_path / "empty"
    empty.mkdir()
    says = (
        f"{empty} is not in a Git repository, so no applications of Argo CD or Flux can be read "
        "from it"
    )
    assert_fatal(site, *flags, cwd=empty, says=says, hint=NEXT_STEPS)
    assert_fatal(site, *flags, f"--repo={empty}", says=says, hint=NEXT_STEPS)


def test_repository_that_does_not_exist(site: Site) -> None:
    """A wrong `--repo` is a wrong flag: it is named with its value."""
    seen = site.check("--repo=nonesuch")
    assert seen.exit_code == 2
    assert "'--repo': 'nonesuch' is not a folder" in seen.stderr


def test_repository_without_applications(site: Site) -> None:
    """A repository that declares no Application is an error, not a clean report."""
    for name in ("steady", "changed"):
        site.repo.remove(f"argocd/{name}.yaml")
    site.repo.commit()
    seen = site.check()
    assert seen.exit_code == 2
    assert "no Argo CD Application is declared in " in seen.stderr
    assert seen.stderr.endswith(f"; {NEXT_STEPS}\n")


def test_wrong_revision(site: Site) -> None:
    """A `--revision` that does not exist: repository, revision and those that exist."""
    assert_fatal(
        site,
        "check",
        f"--kubeconfig={site.kubeconfig}",
        "--revision=nonesuch",
        says=f"{site.repo.path}: revision 'nonesuch' does not exist",
        hint="the repository has main; correct the revision, or run git fetch there if it is new",
    )


def test_wrong_target_revision(site: Site) -> None:
    """A `targetRevision` that does not exist concerns its application alone."""
    site.broken(GOOD, source=source(targetRevision="v9.9"))
    told = "revision 'v9.9' does not exist; the repository has main; correct the revision, or run"
    assert_broken(site, "argocd/broken.yaml:", f": {site.repo.path}: {told}")


def test_wrong_path(site: Site) -> None:
    """A `path` that does not exist: the nearest one is proposed."""
    site.broken(GOOD, source=source(path="apps/brokn"))
    assert_broken(site, "path apps/brokn does not exist", "did you mean apps/broken?")


def test_unknown_repository(site: Site) -> None:
    """A source of another repository: its URL, and the flag that maps it."""
    other = "https://git.example.com/other.git"
    site.broken(GOOD, source=source(repoURL=other))
    assert_broken(site, f"no checkout is known for the repository {other}", f"--repo {other}=PATH")


# Renders


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param(
            {"kustomization.yaml": "resources: [nonesuch.yaml]\n"},
            ["apps/broken/kustomization.yaml", "nonesuch.yaml does not exist in the repository"],
            id="kustomize-resource",
        ),
        pytest.param(
            {"kustomization.yaml": "resource: [good.yaml]\n", **GOOD},
            ["apps/broken/kustomization.yaml", 'unknown field "resource"'],
            id="kustomize-field",
        ),
        pytest.param(
            {"Chart.yaml": CHART, "values.yaml": "{}\n", "templates/map.yaml": TEMPLATE},
            ["apps/broken/templates/map.yaml: ", "broken/templates/map.yaml:6", "colour is needed"],
            id="helm-template",
        ),
        pytest.param(
            {"main.jsonnet": "local lib = import 'nonesuch.libsonnet';\nlib\n"},
            ["apps/broken/main.jsonnet", 'import "nonesuch.libsonnet": not found', ":1:"],
            id="jsonnet-import",
        ),
        pytest.param(
            {"main.jsonnet": "{ kind: 'ConfigMap', metadata: { name: error 'no name' } }\n"},
            ["apps/broken/main.jsonnet", "no name", 'Field "metadata"'],
            id="jsonnet-error",
        ),
    ],
)
def test_render_error(site: Site, files: dict[str, str], expected: list[str]) -> None:
    """What does not render: source, file, place and cause."""
    site.broken(files)
    assert_broken(site, "source apps/broken: ", *expected)


def test_dependency_out_of_reach(site: Site) -> None:
    """A dependency whose repository does not answer: chart, dependency, address and a way out."""
    needs = "dependencies:\n- {name: cache, version: 1.0.0, repository: 'https://c.invalid'}\n"
    site.broken({"Chart.yaml": CHART + needs, "templates/map.yaml": config_map("x")})
    place = "apps/broken/Chart.yaml: dependency cache 1.0.0 of https://c.invalid"
    assert_broken(site, place, "vendor it with `helm dependency build`")


def test_missing_value_file(site: Site) -> None:
    """A value file that does not exist is named with its full path."""
    files = {"Chart.yaml": CHART, "templates/map.yaml": config_map("x")}
    site.broken(files, source=source(helm={"valueFiles": ["prod.yaml"]}))
    assert_broken(site, "apps/broken/prod.yaml does not exist in the repository")


def test_empty_render(site: Site) -> None:
    """A folder without kustomization whose manifests lie deeper: 0 objects, with the remedy."""
    site.broken({"base/good.yaml": GOOD["good.yaml"]})
    assert_broken(
        site,
        "application broken renders 0 objects",
        "for example base/good.yaml",
        "add a kustomization.yaml or set directory.recurse: true",
    )


# Clusters


def test_unknown_cluster(site: Site) -> None:
    """A destination without mapping: the flag that maps it, and the contexts there are."""
    destination = {"server": "https://nowhere.example.com", "namespace": site.namespace}
    site.broken(GOOD, destination=destination)
    assert_broken(
        site,
        "no cluster is known for destination https://nowhere.example.com",
        "--cluster https://nowhere.example.com=CONTEXT; available contexts: bare",
    )


def test_unknown_context(site: Site) -> None:
    """A `--context` that does not exist is an error of the flag, not of every application."""
    seen = site.check("--context=nonesuch")
    assert seen.exit_code == 2
    assert "error: context 'nonesuch' does not exist in kubeconfig" in seen.stderr
    assert "; available contexts: bare" in seen.stderr


def test_unreachable_cluster(site: Site, tmp_path: Path) -> None:
    """A cluster that refuses connections: name and address; its objects are Unknown."""
    port, holder = reserve_port()
    with holder:
        good = site.cluster.access("detector")
        down = Access("down", f"https://127.0.0.1:{port}", good.authority, "token")
        site.kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", [good, down])
        site.broken(GOOD, destination={"name": "down", "namespace": site.namespace})
        seen = site.check("--context=bare")
    assert_rest_is_right(seen)
    (message,) = seen.conditions("broken")
    assert f"cluster down (https://127.0.0.1:{port}): cannot" in message
    assert "connection refused; is the server up, is a VPN needed?" in message
    assert seen.objects("broken")["ConfigMap good"][0] == "Unknown"
    assert seen.exit_code == 2


def test_expired_token(site: Site, tmp_path: Path) -> None:
    """A token that the server refuses: the kubeconfig and user to renew, never the token."""
    stale = site.cluster.access("stranger", context="stale")
    accesses = [site.cluster.access("detector"), stale]
    site.kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", accesses)
    site.broken(GOOD, destination={"name": "stale", "namespace": site.namespace})
    seen = site.check("--context=bare")
    assert_rest_is_right(seen)
    (message,) = seen.conditions("broken")
    assert f"cluster stale ({site.cluster.server})" in message
    assert f"{site.kubeconfig}), user 'stale' is wrong or has expired: put a new one" in message
    assert seen.objects("broken")["ConfigMap good"][0] == "Unknown"
    assert seen.exit_code == 2
    assert stale.token not in seen.stdout + seen.stderr


@pytest.fixture
def without_services(api_server: ControlPlane) -> Iterator[Path]:
    """The kubeconfig of a user who may read ConfigMaps and nothing else."""
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}
    binding = {
        "metadata": {"name": "only-configmaps"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "only-configmaps",
        },
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "nobody"}],
    }
    role = {"metadata": {"name": "only-configmaps"}, "rules": [rule]}
    api_server.call("POST", f"{rbac}/clusterroles", role)
    api_server.call("POST", f"{rbac}/clusterrolebindings", binding)
    yield api_server.kubeconfig("nobody")
    for plural in ("clusterrolebindings", "clusterroles"):
        api_server.call("DELETE", f"{rbac}/{plural}/only-configmaps")


def test_one_kind_is_forbidden(site: Site, without_services: Path) -> None:
    """Objects of a kind that may not be listed are Unknown with the missing right, others not."""
    site.kubeconfig = without_services
    service = "apiVersion: v1\nkind: Service\nmetadata:\n  name: x\nspec: {ports: [{port: 80}]}\n"
    site.broken({"service.yaml": service, **GOOD})
    seen = site.check()
    assert_rest_is_right(seen)
    found = seen.objects("broken")
    status, reason = found["Service x"]
    assert status == "Unknown"
    assert f"cannot list services in namespace {site.namespace}" in reason
    assert f"grant the user of bare the right to list services in namespace {site.namespace}" in (
        reason
    )
    assert found["ConfigMap good"] == ("Missing", "")
    assert seen.exit_code == 2


def test_secrets_are_not_checked(site: Site) -> None:
    """A Secret that may not be read is NotChecked: counted, said, and no reason for exit 2."""
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: hunter2}\n"
    site.broken({"secret.yaml": secret})
    seen = site.check("broken")
    status, reason = seen.objects("broken")["Secret s"]
    assert status == "NotChecked"
    assert reason.startswith("no permission to list Secrets; grant ")
    assert seen.report["summary"]["resources"] == {"NotChecked": 1}
    assert seen.applications["broken"]["status"] == "Synced"
    assert seen.exit_code == 0
    assert "hunter2" not in seen.stdout + seen.stderr


@pytest.fixture
def silent_group(api_server: ControlPlane) -> Iterator[str]:
    """An aggregated API group whose server does not answer; its group version."""
    path = "/apis/apiregistration.k8s.io/v1/apiservices"
    spec = {
        "group": "silent.example.com",
        "version": "v1",
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "insecureSkipTLSVerify": True,
        "service": {"name": "nobody", "namespace": "default"},
    }
    name = "v1.silent.example.com"
    api_server.call("POST", path, {"metadata": {"name": name}, "spec": spec})
    api_server.wait_for(
        "/apis", lambda body: "silent.example.com" in [g["name"] for g in body["groups"]]
    )
    yield "silent.example.com/v1"
    api_server.call("DELETE", f"{path}/{name}")


def test_one_group_does_not_answer(site: Site, silent_group: str) -> None:
    """Objects of a group whose discovery fails are Unknown, never gone; all others are judged."""
    gauge = f"apiVersion: {silent_group}\nkind: Gauge\nmetadata:\n  name: x\nspec: {{}}\n"
    site.broken({"gauge.yaml": gauge, **GOOD})
    seen = site.check()
    assert_rest_is_right(seen)
    found = seen.objects("broken")
    status, reason = found["Gauge x"]
    assert status == "Unknown"
    assert f"discovery of {silent_group}" in reason
    assert "does not answer" in reason
    assert found["ConfigMap good"] == ("Missing", "")
    assert seen.exit_code == 2


def test_no_application_matches(site: Site) -> None:
    """A name that no application has: those that are declared are listed."""
    assert_fatal(
        site,
        "check",
        "nonesuch",
        f"--kubeconfig={site.kubeconfig}",
        says="no application matches nonesuch",
        hint="declared are: changed, steady",
    )


# Settings


def test_unknown_setting(site: Site, tmp_path: Path) -> None:
    """A setting that does not exist: file, name, and the nearest one."""
    file = tmp_path / "driftd.yaml"
    file.write_text("sweeep: {interval: 5m}\n")
    says = f"settings file {file} line 1: sweeep: unknown setting"
    assert_fatal(site, "run", f"--config={file}", says=says, hint="did you mean sweep?")


def test_invalid_setting(site: Site, tmp_path: Path) -> None:
    """A value that cannot be: file, path of the setting, and what is expected."""
    file = tmp_path / "driftd.yaml"
    file.write_text("sweep: {interval: often}\n")
    seen = site.run("run", f"--config={file}")
    assert seen.exit_code == 2
    assert seen.stderr.startswith(f"error: settings file {file} line 1: sweep.interval: ")
    assert "a duration such as 90s, 5m or 1h30m" in seen.stderr


def test_table_shows_the_same(site: Site) -> None:
    """The table for people names the broken application, its reason and the exit code."""
    site.broken({"kustomization.yaml": "resources: [nonesuch.yaml]\n"})
    seen = site.check(output="table")
    lines = " ".join(seen.stdout.split())
    assert "3 applications: 1 OutOfSync, 1 Unknown, 1 Synced" in lines
    assert "names nonesuch.yaml in resources, which does not exist" in lines
    assert "data.colour blue → red" in lines
    assert "exit 2: something could not be judged" in lines
    assert seen.exit_code == 2
