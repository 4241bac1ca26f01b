"""Objects that Git dropped together with their kind or namespace, found by a single look."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.daemon import Daemon
from tests.e2e.site import CONTEXT, URL, Site, application
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo
from tests.testbed.kubeconfig import Access, write_kubeconfig

pytestmark = pytest.mark.cluster

TRACKING = "argocd.argoproj.io/tracking-id"
RBAC = "rbac.authorization.k8s.io"


def deployment(name: str) -> dict[str, Any]:
    """A Deployment as Git has it."""
    labels = {"app": name}
    container = {"name": "app", "image": "registry.example.com/app:1"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def service(name: str) -> dict[str, Any]:
    """A Service as Git has it."""
    spec = {"selector": {"app": name}, "ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def simple(version: str, kind: str, name: str, **content: Any) -> dict[str, Any]:
    """An object with nothing but a name, and content of its own."""
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **content}


class Shop:
    """Two applications that share a namespace; both once had a Service."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.billing, self.audit = (f"{name}-{site.namespace}" for name in ("billing", "audit"))

    def plant(self) -> None:
        """Declare and deploy the applications, then drop their Services from Git."""
        for name in (self.billing, self.audit):
            kustomization = {"resources": ["deployment.json", "service.json"]}
            self.write(name, "deployment.json", deployment(name))
            self.write(name, "service.json", service(name))
            self.write(name, "kustomization.yaml", kustomization)
            self.site.repo.write(f"argocd/{name}.yaml", application(name, self.site.namespace))
            self.deploy(name, deployment(name), service(name))
        self.site.repo.commit("Declare the shop")
        for name in (self.billing, self.audit):
            self.site.repo.remove(f"apps/{name}/service.json")
            self.write(name, "kustomization.yaml", {"resources": ["deployment.json"]})
        self.site.repo.commit("Drop the Services")

    def write(self, name: str, file: str, body: dict[str, Any]) -> None:
        """A file of an application's folder."""
        self.site.repo.write(f"apps/{name}/{file}", json.dumps(body))

    def deploy(self, name: str, *bodies: dict[str, Any], namespace: str = "", **more: str) -> None:
        """Apply objects as Argo CD does, with the mark of an application."""
        space = namespace or self.site.namespace
        for body in bodies:
            group = body["apiVersion"].rpartition("/")[0]
            mark = f"{name}:{group}/{body['kind']}:{space}/{body['metadata']['name']}"
            annotations = {TRACKING: mark, **more}
            marked = {**body, "metadata": {**body["metadata"], "annotations": annotations}}
            self.site.cluster.kubectl(
                *("apply", "--server-side", "--field-manager=argocd-controller"),
                *("-n", space, "-f", "-"),
                input=json.dumps(marked),
            )

    def left(self, name: str, *flags: str) -> set[str]:
        """The objects of an application that are Extra, under kind and name."""
        found = self.site.check(*flags).objects(name)
        return {what for what, (status, _) in found.items() if status == "Extra"}

    def orphans(self, *flags: str) -> set[str]:
        """The objects of `billing` that a report counts as an undeclared application's."""
        return {
            f"{one['kind']} {one['name']}"
            for one in self.site.check(*flags).report.get("orphaned", ())
            if one["application"] == self.billing and one["namespace"] == self.site.namespace
        }


@pytest.fixture
def shop(api_server: ControlPlane, namespace: str, git_repo: GitRepo, tmp_path: Path) -> Shop:
    """The applications, looked at with the shipped role."""
    git_repo.set_remote(URL)
    config = write_kubeconfig(
        tmp_path / "kubeconfig", [api_server.access("detector", context=CONTEXT)]
    )
    home = tmp_path / "home"
    home.mkdir()
    shop = Shop(
        Site(repo=git_repo, cluster=api_server, namespace=namespace, kubeconfig=config, home=home)
    )
    shop.plant()
    return shop


def test_a_kind_that_nobody_declares_any_more(shop: Shop) -> None:
    """Services that Git dropped with their kind are Extra until somebody deletes them."""
    seen = shop.site.check(output="name")
    space = shop.site.namespace
    assert seen.exit_code == 1
    assert sorted(seen.stdout.splitlines()) == [
        f"Extra {name}/service/{space}/{name}" for name in (shop.audit, shop.billing)
    ]
    shop.site.cluster.kubectl("delete", "service", shop.audit, shop.billing, "-n", space)
    clean = shop.site.check(output="name")
    assert (clean.exit_code, clean.stdout) == (0, "")


def test_one_application_alone_finds_the_same(shop: Shop) -> None:
    """`driftd check NAME` finds of an application what the check of all finds of it."""
    whole = shop.site.check(output="name").stdout.splitlines()
    alone = shop.site.check(shop.audit, output="name").stdout.splitlines()
    assert alone == [line for line in whole if shop.audit in line]
    assert alone == [f"Extra {shop.audit}/service/{shop.site.namespace}/{shop.audit}"]


def test_namespaces_and_cluster_scope(shop: Shop) -> None:
    """A declared kind elsewhere and a cluster-scoped object, marked as Argo CD does, are Extra."""
    other = shop.site.cluster.create_namespace(f"{shop.site.namespace}-left")
    shop.deploy(shop.audit, deployment("moved"), namespace=other)
    role = f"{shop.site.namespace}-role"
    shop.deploy(shop.audit, simple(f"{RBAC}/v1", "ClusterRole", role, rules=[]))
    expected = {"Deployment moved", f"ClusterRole {role}", f"Service {shop.audit}"}
    assert shop.left(shop.audit) == expected
    assert shop.left(shop.audit, shop.audit) == expected
    shop.site.cluster.kubectl("delete", "clusterrole", role)


def test_marks_that_make_no_leftover(shop: Shop) -> None:
    """Copied marks, owned objects, hooks and another Argo CD's objects are nobody's leftovers."""
    space, cluster = shop.site.namespace, shop.site.cluster
    copied = simple("v1", "ConfigMap", "copied")
    copied["metadata"]["annotations"] = {TRACKING: f"{shop.audit}:/ConfigMap:{space}/original"}
    cluster.kubectl("create", "-n", space, "-f", "-", input=json.dumps(copied))
    owner = cluster.call("GET", f"/apis/apps/v1/namespaces/{space}/deployments/{shop.audit}")
    reference = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": shop.audit,
        "uid": owner["metadata"]["uid"],
    }
    owned = simple("v1", "ServiceAccount", "owned")
    owned["metadata"]["ownerReferences"] = [reference]
    shop.deploy(shop.audit, owned)
    hook = {"argocd.argoproj.io/hook": "PreSync"}
    shop.deploy(shop.audit, simple("v1", "ConfigMap", "hook"), **hook)
    other = {"argocd.argoproj.io/installation-id": "another"}
    shop.deploy(shop.audit, simple("v1", "ConfigMap", "of-another"), **other)
    assert shop.left(shop.audit) == {f"Service {shop.audit}"}


def test_an_application_that_git_dropped(shop: Shop) -> None:
    """Its objects are told as one line and listed on demand; no verdict changes."""
    space = shop.site.namespace
    assert shop.orphans() == set()
    shop.site.repo.remove(f"argocd/{shop.billing}.yaml")
    shop.site.repo.commit("Drop billing")
    seen = shop.site.check()
    assert (seen.exit_code, seen.report["complete"]) == (1, True)
    assert shop.orphans() == {f"Deployment {shop.billing}", f"Service {shop.billing}"}
    (told,) = [c for c in seen.report["conditions"] if c["type"] == "OrphanedResourceWarning"]
    assert told["severity"] == "info"
    # Other tests leave such objects on the server too.
    assert re.match(rf"\d+ objects on {CONTEXT} carry the mark of applications? ", told["message"])
    wide = shop.site.check(output="wide").stdout
    line = f"Of {shop.billing}, which nothing declares: Deployment {space}/{shop.billing}, Service"
    assert line in " ".join(wide.split())
    assert shop.orphans(shop.audit) == set()
    shop.site.cluster.kubectl("delete", "service,deployment", shop.billing, "-n", space)
    assert shop.orphans() == set()


def test_it_is_explained(shop: Shop) -> None:
    """`driftd explain` takes the line of such an object and says how to remove it."""
    seen = shop.site.run(
        *("explain", f"{shop.audit}/service/{shop.site.namespace}/{shop.audit}"),
        f"--kubeconfig={shop.site.kubeconfig}",
    )
    assert f"Service {shop.site.namespace}/{shop.audit}: Extra" in seen.stdout
    assert "carries this application's tracking mark" in seen.stdout
    removal = f"delete service/{shop.audit} -n {shop.site.namespace}"
    assert f"remove it: kubectl --kubeconfig {shop.site.kubeconfig} {removal}" in seen.stdout


def test_a_preview_says_what_is_left(shop: Shop) -> None:
    """A change that drops the last object of a kind leaves it, and its preview says so."""
    seen = shop.site.check("--preview", "--against=HEAD~1", "--revision=HEAD")
    found = {
        (app["name"], one["kind"], one["action"])
        for app in seen.report["applications"]
        for one in app["resources"]
    }
    assert found == {(name, "Service", "leave") for name in (shop.audit, shop.billing)}


def test_with_a_state_file(shop: Shop) -> None:
    """Looks that know of each other find the same, and nothing once it is gone."""
    state = f"--state={shop.site.home / 'state'}"
    first = shop.site.check(state, output="name").stdout
    assert first == shop.site.check(state, output="name").stdout
    assert first.count("Extra ") == 2
    names = (shop.audit, shop.billing)
    shop.site.cluster.kubectl("delete", "service", *names, "-n", shop.site.namespace)
    assert shop.site.check(state, output="name").stdout == ""


def test_kinds_that_may_not_be_listed(shop: Shop) -> None:
    """Secrets, which the shipped role may not list, are named on demand, and change no verdict."""
    report = shop.site.check()
    assert report.report["complete"] is True
    # Other tests define kinds on this API server, of groups that the role does not read either.
    builtin = [one for one in report.applications[shop.audit]["notSearched"] if "." not in one]
    assert builtin == ["Secret"]
    assert report.exit_code == 1
    for flags, output in (((), "wide"), (("--show", "all"), "table")):
        told = " ".join(shop.site.check(*flags, output=output).stdout.split())
        kinds = told.partition("Not searched for objects that Git dropped: ")[2]
        assert "Secret" in [kind.rstrip(",") for kind in kinds.split()]
    assert "Secret" not in shop.site.check(output="table").stdout
    doctor = shop.site.run("doctor", f"--kubeconfig={shop.site.kubeconfig}").stdout
    assert "may not list secrets" in " ".join(doctor.split())


def test_rights_in_one_namespace(shop: Shop, tmp_path: Path) -> None:
    """Whoever may read a single namespace alone sees what Git dropped there, and no Unknown."""
    space, cluster = shop.site.namespace, shop.site.cluster
    reader = simple("v1", "ServiceAccount", "reader")
    rules = [{"apiGroups": ["", "apps"], "resources": ["*"], "verbs": ["get", "list"]}]
    role = simple(f"{RBAC}/v1", "Role", "reader", rules=rules)
    binding = simple(
        *(f"{RBAC}/v1", "RoleBinding", "reader"),
        roleRef={"apiGroup": RBAC, "kind": "Role", "name": "reader"},
        subjects=[{"kind": "ServiceAccount", "name": "reader", "namespace": space}],
    )
    for body in (reader, role, binding):
        cluster.kubectl("create", "-n", space, "-f", "-", input=json.dumps(body))
    token = cluster.kubectl("create", "token", "reader", "-n", space).stdout.strip()
    access = Access(CONTEXT, cluster.server, cluster.ca_file, token)
    shop.site.kubeconfig = write_kubeconfig(tmp_path / "narrow", [access])
    mark = cluster.audit_mark()
    seen = shop.site.check()
    assert seen.report["complete"] is True
    assert seen.objects(shop.audit) == {
        f"Deployment {shop.audit}": ("Synced", ""),
        f"Service {shop.audit}": ("Extra", "it carries this application's tracking mark"),
    }
    assert "Job.batch" in seen.applications[shop.audit]["notSearched"]
    asked = [e for e in cluster.audit_events(mark) if e["userAgent"].startswith("driftd/")]
    assert {event["verb"] for event in asked} == {"get", "list"}
    assert len(asked) < 200


def test_it_is_cheap(shop: Shop) -> None:
    """A look asks for each kind once and reads only what was left behind in full."""
    mark = shop.site.cluster.audit_mark()
    shop.site.check()
    asked = [
        event
        for event in shop.site.cluster.audit_events(mark)
        if event.get("userAgent", "").startswith("driftd/") and "objectRef" in event
    ]
    lists = [event["requestURI"].partition("?")[0] for event in asked if event["verb"] == "list"]
    assert len(lists) == len(set(lists))
    got = {
        event["objectRef"]["name"]
        for event in asked
        if event["verb"] == "get" and event["objectRef"].get("name")
    }
    assert got == {shop.audit, shop.billing}
    assert not {"events", "leases", "endpointslices"} & {
        event["objectRef"]["resource"] for event in asked
    }


def test_the_daemon_watches_what_it_found(shop: Shop, tmp_path: Path) -> None:
    """`driftd run` tells them at its first sweep, and their end long before the next one."""
    settings = {
        "repositories": [{"path": str(shop.site.repo.path)}],
        "clusters": {"kubeconfig": str(shop.site.kubeconfig)},
        "sweep": {"interval": "1h", "jitter": "0s"},
        "store": {"dsn": f"sqlite:///{tmp_path / 'driftd.db'}"},
    }
    with Daemon(tmp_path, settings, shop.site.home) as daemon:
        daemon.wait_ready()
        daemon.wait(lambda: daemon.total("driftd_drift_open") == 2, "both drifts")
        watches = f'driftd_watches{{cluster="{CONTEXT}",state="running"}}'
        daemon.wait(lambda: daemon.metric(watches) == 3, "watches of both kinds and autoscalers")
        names = (shop.audit, shop.billing)
        shop.site.cluster.kubectl("delete", "service", *names, "-n", shop.site.namespace)
        daemon.wait(lambda: daemon.total("driftd_drift_open") == 0, "the end of both")
        code, _ = daemon.stop()
    assert code == 0


def test_the_daemon_scans_once_for_each_sweep(shop: Shop, tmp_path: Path) -> None:
    """However many applications are looked at, a sweep scans each kind of a cluster once."""
    settings = {
        "repositories": [{"path": str(shop.site.repo.path)}],
        "clusters": {"kubeconfig": str(shop.site.kubeconfig)},
        "store": {"dsn": f"sqlite:///{tmp_path / 'driftd.db'}"},
    }
    file = tmp_path / "driftd.yaml"
    file.write_text(json.dumps(settings))
    mark = shop.site.cluster.audit_mark()
    seen = shop.site.run("run", "--once", f"--config={file}")
    assert seen.exit_code == 0, seen.stderr
    lists = Counter(
        event["objectRef"]["resource"]
        for event in shop.site.cluster.audit_events(mark)
        if event.get("userAgent", "").startswith("driftd/") and event["verb"] == "list"
    )
    assert lists["jobs"] == lists["services"] == lists["secrets"] == 1
