"""`driftd check --preview` on the example repository and a real API server."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.site import CONTEXT, URL, Seen, Site, application, config_map
from tests.testbed.argocd import serve_argo_kinds
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo
from tests.testbed.kubeconfig import write_kubeconfig

EXAMPLE = Path(__file__).parents[1] / "fixtures" / "kubernetes-gitops"
APPS = ("production-apps", "production-ledger", "production-event-exporter")

pytestmark = pytest.mark.cluster


@pytest.fixture
def site(api_server: ControlPlane, tmp_path: Path) -> Site:
    """The example repository on branch `change` of `main`, production's apps deployed from main."""
    root = tmp_path / "repository"
    shutil.copytree(EXAMPLE, root)
    repo = GitRepo(root)
    repo.commit("Base")
    repo.git("update-ref", "refs/remotes/origin/main", "HEAD")
    built = api_server.kubectl("kustomize", str(root / "clusters/production/apps")).stdout
    for namespace in ("production-app1", "production-app2"):
        manifest = json.dumps(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        )
        api_server.kubectl("apply", "-f", "-", input=manifest)
    api_server.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=built)
    repo.git("checkout", "--quiet", "-b", "change")
    home = tmp_path / "home"
    home.mkdir()
    config = write_kubeconfig(
        tmp_path / "kubeconfig", [api_server.access("admin", context=CONTEXT)]
    )
    return Site(repo=repo, cluster=api_server, namespace="argocd", kubeconfig=config, home=home)


def edit(site: Site, path: str, old: str, new: str) -> None:
    """Replace a text in a file of the checkout."""
    text = (site.repo.path / path).read_text()
    assert old in text
    site.repo.write(path, text.replace(old, new))


def preview(site: Site, *flags: str, output: str = "json", apps: tuple[str, ...] = APPS) -> Seen:
    """The preview of production's applications."""
    names = [f"--app={name}" for name in apps]
    return site.check("--preview", *names, *flags, output=output)


def objects(seen: Seen, name: str) -> dict[str, Any]:
    """The objects of an application by kind and name."""
    return {f"{one['kind']} {one['name']}": one for one in seen.applications[name]["resources"]}


def bump(site: Site) -> None:
    """A new image of app1."""
    path = "apps/app1/overlays/production/kustomization.yaml"
    edit(site, path, "newTag: v1.2.3", "newTag: v1.3.0")


def test_a_pull_request_without_the_drift_beside_it(site: Site) -> None:
    """Image, chart value, new application and removed objects are told; a scaled object is not."""
    bump(site)
    chart = "infrastructure/event-exporter/chart/values-production.yaml"
    edit(site, chart, "port: 9102", "port: 9103")
    site.repo.remove("apps/ledger/production/70-network.yaml")
    application = (site.repo.path / "argocd/applications/production/apps.yaml").read_text()
    extra = application.replace("production-apps", "production-extra")
    site.write(
        **{
            "argocd/applications/production/extra.yaml": extra.replace(
                "clusters/production/apps", "apps/extra"
            ),
            "apps/extra/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: extra}\n",
        }
    )
    site.repo.commit("Change")
    site.cluster.kubectl(
        "scale", "deployment/production-app1", "-n", "production-app1", "--replicas=7"
    )
    apps = (*APPS, "production-extra")
    seen = preview(site, apps=apps)
    assert seen.exit_code == 1, seen.stderr
    assert "compared against main, the default branch of origin" in seen.stderr
    report = seen.report
    assert (report["kind"], report["base"]["name"], report["complete"]) == (
        "PreviewReport", "main", True,
    )  # fmt: skip
    assert {name: one["action"] for name, one in seen.applications.items()} == {
        "production-apps": "change",
        "production-event-exporter": "change",
        "production-extra": "create",
        "production-ledger": "change",
    }
    (changed,) = objects(seen, "production-apps").values()
    (field,) = changed["changes"]
    assert field["path"] == "/spec/template/spec/containers/0/image"
    assert (field["old"], field["new"]) == (
        "ghcr.io/example/app1:v1.2.3", "ghcr.io/example/app1:v1.3.0",
    )  # fmt: skip
    assert (field["onCluster"], field["severity"]) == ("as-base", "high")
    assert (changed["effect"], changed["untouchedDrift"]) == ("rollout", 1)
    assert changed["revertedDrift"] == 1
    (service,) = objects(seen, "production-event-exporter").values()
    told = [
        (one["kind"], one.get("old", {}).get("port"), one.get("new", {}).get("port"))
        for one in service["changes"]
    ]
    assert told == [("renamed", 9102, 9103)]
    assert [one["action"] for one in objects(seen, "production-extra").values()] == ["create"]
    left = objects(seen, "production-ledger")
    assert {name: one["action"] for name, one in left.items()} == {
        "Ingress ledger-api": "leave",
        "NetworkPolicy ledger-database": "leave",
    }
    table = preview(site, output="table", apps=apps)
    assert "1 drifted field of these objects is not in this change" in table.stdout
    assert "v1.2.3 → ghcr.io/example/app1:v1.3.0" in table.stdout
    assert "replicas" not in table.stdout
    names = preview(site, "--no-exit-code", output="name", apps=apps)
    assert names.exit_code == 0
    first = "change production-apps/deployment.apps/production-app1/production-app1"
    assert first in names.stdout.splitlines()


def test_what_the_server_refuses_is_said_to_be_refused(site: Site) -> None:
    """A misspelt kind makes exit code 2, as in a check, and its object is not promised."""
    edit(site, "apps/app1/base/service.yaml", "kind: Service", "kind: Servce")
    site.repo.commit("Slip")
    seen = preview(site, apps=("production-apps",))
    assert seen.exit_code == 2, seen.stderr
    assert seen.stdout, seen.stderr
    (made,) = [one for one in objects(seen, "production-apps").values() if one["kind"] == "Servce"]
    assert made["reason"].startswith("the API server refuses it: ")
    assert "did you mean Service" in made["reason"]
    assert made["action"] == "refuse"
    assert seen.report["summary"]["resources"] == {"change": 1, "leave": 1, "refuse": 1}
    left = objects(seen, "production-apps")["Service production-app1"]
    assert left["reason"] == (
        "nothing is deleted as long as the sync fails: Servce production-app1 is refused"
    )
    table = preview(site, output="table", apps=("production-apps",))
    assert "3 objects: 1 refused by the API server, 1 changed, 1 left behind" in table.stdout


def test_comments_and_spellings_change_nothing(site: Site) -> None:
    """Comments, order of keys, quoting, quantities and written defaults are no change."""
    edit(site, "apps/app1/base/deployment.yaml", "cpu: 500m", 'cpu: "0.5" # half')
    edit(
        site,
        "apps/app1/base/deployment.yaml",
        "      volumes:\n",
        "      restartPolicy: Always\n      volumes:\n",
    )
    site.repo.commit("Comment")
    seen = preview(site)
    assert (seen.exit_code, seen.report["applications"]) == (0, []), seen.stdout
    assert "merging changes nothing" in preview(site, output="table").stdout


def test_a_shared_base_reaches_every_application(site: Site) -> None:
    """What is changed in a base is told for the application of each environment."""
    path = "apps/app2/base/service.yaml"
    edit(site, path, "metadata:\n", "metadata:\n  labels: {tier: web}\n")
    site.repo.commit("Label")
    seen = site.check("--preview", "--app=*-apps")
    assert seen.exit_code == 1, seen.stderr
    assert set(seen.applications) == {"production-apps", "staging-apps", "development-apps"}
    told = [one["message"] for one in seen.report["conditions"]]
    assert sum("is not read" in text for text in told) == 2
    assert seen.report["complete"] is True


def test_drift_that_merging_overwrites_and_what_is_so_already(site: Site) -> None:
    """A field that the cluster has otherwise is marked, and so is one that it has already."""
    bump(site)
    site.repo.commit("Change")
    where = ("deployment/production-app1", "-n", "production-app1")
    site.cluster.kubectl("set", "image", *where, "app1=ghcr.io/example/app1:evil")
    (changed,) = objects(preview(site), "production-apps").values()
    (field,) = changed["changes"]
    assert (field["onCluster"], field["live"]) == ("drifted", "ghcr.io/example/app1:evil")
    assert field["manager"]
    site.cluster.kubectl("set", "image", *where, "app1=ghcr.io/example/app1:v1.3.0")
    (changed,) = objects(preview(site), "production-apps").values()
    assert changed["changes"][0]["onCluster"] == "already"
    # Another application takes the objects over, and puts what has drifted back, too.
    application = "argocd/applications/production/apps.yaml"
    edit(site, application, "name: production-apps", "name: production-moved")
    site.repo.commit("Rename")
    site.cluster.kubectl("scale", *where, "--replicas=7")
    seen = preview(site, apps=(*APPS, "production-moved"))
    moved = objects(seen, "production-moved")["Deployment production-app1"]
    assert (moved["action"], moved["untouchedDrift"], moved["revertedDrift"]) == ("move", 1, 1)


def test_ignored_fields_that_a_sync_overwrites(site: Site) -> None:
    """Without `RespectIgnoreDifferences=true`: at the changed field and beside the change."""
    path = "argocd/applications/production/apps.yaml"
    rules = (
        "  ignoreDifferences:\n    - {group: apps, kind: Deployment, jsonPointers: "
        "[/spec/replicas, /spec/template/spec/containers/0/image]}\n  syncPolicy:\n"
    )
    edit(site, path, "  syncPolicy:\n", rules)
    site.repo.commit("Ignore")
    site.repo.git("update-ref", "refs/remotes/origin/main", "HEAD")
    bump(site)
    site.repo.commit("Change")
    where = ("deployment/production-app1", "-n", "production-app1")
    site.cluster.kubectl("set", "image", *where, "app1=ghcr.io/example/app1:evil")
    site.cluster.kubectl("scale", *where, "--replicas=7")
    seen = preview(site)
    (changed,) = objects(seen, "production-apps").values()
    (field,) = changed["changes"]
    rule = "spec.ignoreDifferences[0].jsonPointers[1]"
    assert (field["onCluster"], field["live"]) == ("drifted", "ghcr.io/example/app1:evil")
    assert field["ignoredBy"] == rule
    assert (seen.report["summary"]["revertedIgnored"], "untouchedDrift" in changed) == (1, False)

    edit(site, path, "syncOptions:\n", "syncOptions:\n      - RespectIgnoreDifferences=true\n")
    site.repo.commit("Respect")
    seen = preview(site)
    (field,) = next(
        one for name, one in objects(seen, "production-apps").items() if "Deployment" in name
    )["changes"]
    assert "onCluster" not in field
    assert seen.report["summary"]["revertedIgnored"] == 0


def test_nothing_is_written(site: Site) -> None:
    """The API server's audit log has no write and no dry run by a preview."""
    bump(site)
    site.repo.commit("Change")
    mark = site.cluster.audit_mark()
    assert preview(site).exit_code == 1
    events = [e for e in site.cluster.audit_events(mark) if e["user"]["username"] == "admin"]
    assert events
    assert {event["verb"] for event in events} <= {"get", "list", "watch"}


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--against=main",), "--against needs --preview"),
        (("--preview", "--show=all"), "--show is about drift"),
        (("--preview", "--baseline=x.yaml"), "--baseline is about drift"),
        (("--preview", "-o", "sarif"), "-o sarif is a format for findings"),
    ],
)
def test_flags_that_do_not_fit_together(site: Site, flags: tuple[str, ...], told: str) -> None:
    """Flags without a meaning beside one another are refused with exit code 2."""
    seen = site.run("check", *flags)
    assert (seen.exit_code, seen.stdout) == (2, "")
    assert told in seen.stderr


def test_work_tree(site: Site) -> None:
    """With --worktree the uncommitted files are the change."""
    bump(site)
    assert preview(site).exit_code == 0
    seen = preview(site, "--worktree")
    assert (seen.exit_code, seen.report["revision"]["name"]) == (1, "work tree")
    assert seen.report["revision"]["commit"].endswith("-dirty")
    assert json.loads(seen.stdout)["summary"]["fields"] == 1


def test_live_applications_of_a_hub(site: Site, namespace: str) -> None:
    """With --hub the live Applications are rendered at both sides."""
    serve_argo_kinds(site.cluster)
    live = json.loads(application("previewed", namespace))
    live["metadata"]["namespace"] = namespace
    live["spec"]["source"] |= {"path": "apps/previewed"}
    path = f"/apis/argoproj.io/v1alpha1/namespaces/{namespace}/applications"
    site.cluster.call("POST", path, live)
    site.repo.write("apps/previewed/a.yaml", config_map("previewed", colour="blue"))
    base = site.repo.commit("Declare")
    site.repo.write("apps/previewed/a.yaml", config_map("previewed", colour="red"))
    site.repo.commit("Change")
    flags = (f"--hub={CONTEXT}", f"--argocd-namespace={namespace}", f"--namespace={namespace}")
    pair = f"--repo={URL}={site.repo.path}"
    seen = site.check("--preview", *flags, pair, f"--against={base}")
    assert seen.exit_code == 1, seen.stderr + seen.stdout
    (changed,) = objects(seen, "previewed").values()
    assert [(one["old"], one["new"]) for one in changed["changes"]] == [("blue", "red")]


def test_a_document_that_the_change_alters_of_a_hub(site: Site, namespace: str) -> None:
    """With --hub an altered Application is told as Git has it on both sides, live beside the base.

    One whose document stays is rendered as it is live, with what somebody set there.
    """
    serve_argo_kinds(site.cluster)
    flags = (f"--hub={CONTEXT}", f"--argocd-namespace={namespace}", f"--namespace={namespace}")
    place = f"/apis/argoproj.io/v1alpha1/namespaces/{namespace}/applications"

    def document(name: str, path: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(application(name, namespace))
        found["metadata"]["namespace"] = namespace
        found["spec"]["source"]["path"] = path
        return found

    for name in ("turned", "stays"):
        site.repo.write(f"gitops/{name}.json", json.dumps(document(name, f"hubbed/{name}")))
    for name in ("turned", "turned-new", "stays", "live"):
        site.repo.write(f"hubbed/{name}/a.yaml", config_map(f"hubbed-{name}", colour="blue"))
    site.cluster.call("POST", place, document("turned", "hubbed/live"))
    site.cluster.call("POST", place, document("stays", "hubbed/live"))
    base = site.repo.commit("Declare")
    slip = document("turned", "hubbed/turned-new")
    site.repo.write("gitops/turned.json", json.dumps(slip))
    site.repo.write("hubbed/live/a.yaml", config_map("hubbed-live", colour="red"))
    site.repo.commit("Change")
    pair = f"--repo={URL}={site.repo.path}"
    seen = site.check("--preview", *flags, pair, f"--against={base}")
    assert seen.exit_code == 1, seen.stderr + seen.stdout
    assert {f"{one['action']} {one['name']}" for one in objects(seen, "turned").values()} == {
        "create hubbed-turned-new",
        "leave hubbed-turned",
    }
    (told,) = (one["message"] for one in seen.applications["turned"]["conditions"])
    assert "gitops/turned.json declares it at the base" in told
    assert 'spec.source.path is "hubbed/live" (Git: "hubbed/turned")' in told
    (changed,) = objects(seen, "stays").values()
    assert [(one["old"], one["new"]) for one in changed["changes"]] == [("blue", "red")]
    slip["spec"]["source"]["path"] = "hubbed/turnd"
    site.repo.write("gitops/turned.json", json.dumps(slip))
    site.repo.commit("Misspell")
    seen = site.check("--preview", *flags, pair, f"--against={base}")
    assert seen.exit_code == 2, seen.stderr + seen.stdout
    assert "hubbed/turnd" in " ".join(seen.conditions("turned"))
