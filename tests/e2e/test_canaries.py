"""Canary secrets on a real API server: no output of driftd has one, in any spelling."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from tests.e2e.daemon import Daemon
from tests.e2e.receivers import SECRET, Receivers, receivers
from tests.e2e.site import CONTEXT, Site, application
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo
from tests.testbed.kubeconfig import write_kubeconfig

pytestmark = pytest.mark.cluster

FORMATS = ["table", "wide", "plain", "json", "yaml", "name", "markdown", "junit", "sarif", "github"]
LISTED = (
    "ConfigMap:data.login",
    "networking.k8s.io/Ingress:spec.ingressClassName",
    "canaries.example.com/Door:spec.**.code",
)
PASSWORD = "c4n4ry-of-git"
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "doors.canaries.example.com"},
    "spec": {
        "group": "canaries.example.com",
        "names": {"kind": "Door", "plural": "doors"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "x-kubernetes-preserve-unknown-fields": True,
                    }
                },
            }
        ],
    },
}


def canary(name: str) -> str:
    """A value that nothing else holds, and that URLs, JSON and base64 spell differently."""
    return f'c4n4ry/{name}+"ö"&zz'


NAMES = (
    "git-data", "live-data", "string-data", "added-data", "removed-data", "last-applied",
    "git-listed", "live-listed", "git-env", "live-env", "helm", "generator",
    "git-code", "live-code",
)  # fmt: skip
CONTROL = "c4n4ry-control"


def spellings(value: str) -> dict[str, bytes]:
    """The forms in which a value could be found inside of something."""
    data = value.encode()
    found = {
        "raw": data,
        "url": quote(value, safe="").encode(),
        "url path": quote(value).encode(),
        "json": json.dumps(value)[1:-1].encode(),
        "json utf-8": json.dumps(value, ensure_ascii=False)[1:-1].encode(),
        "hex": data.hex().encode(),
    }
    for offset in range(3):
        text = base64.b64encode(bytes(offset) + data)
        found[f"base64 at {offset}"] = text[-(-offset * 8 // 6) : (offset + len(data)) * 8 // 6]
    return found


def hits(outputs: dict[str, bytes], values: Iterator[str]) -> list[str]:
    """Every place where a form of a value was found; one that is folded over lines too."""
    return [
        f"{value} as {form} in {where}"
        for value in values
        for form, text in spellings(value).items()
        for where, content in outputs.items()
        if text in content or text in content.replace(b"\n", b"").replace(b"\\n", b"")
    ]


def documents(*, live: bool) -> list[dict[str, Any]]:
    """The objects as Git has them, or as somebody has left them."""
    side = "live" if live else "git"
    data = {"changed": b64(canary(f"{side}-data")), "same": b64(canary("helm"))}
    data |= {"added": b64(canary("added-data"))} if live else {"gone": b64(canary("removed-data"))}
    env = [{"name": "DB_PASSWORD", "value": canary(f"{side}-env")}]
    container = {"name": "web", "image": "registry.example.com/web:1", "env": env}
    containers = [container]
    if live:
        more = [{"name": "API_TOKEN", "value": canary("generator")}]
        containers = [
            container,
            {"name": "spy", "image": "registry.example.com/spy:1", "env": more},
        ]
    pod = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers}}
    secret: dict[str, Any] = {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"}, "data": data,
    }  # fmt: skip
    if live:
        annotation = "kubectl.kubernetes.io/last-applied-configuration"
        applied = {"stringData": {"x": canary("last-applied")}}
        secret["metadata"]["annotations"] = {annotation: json.dumps(applied)}
    else:
        secret["stringData"] = {"text": canary("string-data")}
    return [
        secret,
        {
            "apiVersion": "canaries.example.com/v1",
            "kind": "Door",
            "metadata": {"name": "front"},
            "spec": {"locks": [{"code": canary(f"{side}-code")}]},
        },
        {
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "plain"},
            "data": {"login": canary(f"{side}-listed"), "open": CONTROL if live else "blue"},
        },
        {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {
                "replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": pod,
            },
        },
    ]  # fmt: skip


def ingress(name: str) -> dict[str, Any]:
    """An Ingress; the server quotes the name of a class that it refuses."""
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "web"},
        "spec": {"ingressClassName": name, "rules": [{"http": {"paths": [path]}}]},
    }


def b64(value: str) -> str:
    """A value as Secrets hold it."""
    return base64.b64encode(value.encode()).decode()


CHART = {
    "Chart.yaml": "apiVersion: v2\nname: quoting\nversion: 1.0.0\n",
    "values.yaml": json.dumps({"dbPassword": canary("helm")}),
    "templates/x.yaml": '{{ fail (printf "bad value %s" .Values.dbPassword) }}\n',
}
KUSTOMIZE = {
    "kustomization.yaml": json.dumps(
        {"secretGenerator": [{"name": "made", "literals": [f"k={canary('generator')}", "broken"]}]}
    )
}


@pytest.fixture
def site(api_server: ControlPlane, namespace: str, git_repo: GitRepo, tmp_path: Path) -> Site:
    """Drift in every sensitive place, and sources and servers that quote what they refuse."""
    git_repo.write("apps/web/all.yaml", yaml.safe_dump_all(documents(live=False)))
    bad: dict[str, Any] = {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "refused"},
        "data": {"login": {"deep": canary("git-listed")}},
    }  # fmt: skip
    git_repo.write("apps/bad/bad.yaml", yaml.safe_dump_all([bad, ingress(canary("git-listed"))]))
    for name, files in (("chart", CHART), ("overlay", KUSTOMIZE)):
        for path, text in files.items():
            git_repo.write(f"apps/{name}/{path}", text)
    for name in ("web", "bad", "chart", "overlay"):
        git_repo.write(f"argocd/{name}.yaml", application(name, namespace))
    git_repo.commit("Declare")
    git_repo.set_remote(f"https://bot:{PASSWORD}@git.example.com/platform/gitops.git")
    api_server.kubectl("apply", "-f", "-", input=json.dumps(CRD))
    api_server.kubectl("wait", "--for=condition=Established", "crd/doors.canaries.example.com")
    text = yaml.safe_dump_all([*documents(live=True), ingress("live")])
    api_server.kubectl("create", "-n", namespace, "-f", "-", input=text)
    config = write_kubeconfig(
        tmp_path / "kubeconfig", [api_server.access("admin", context=CONTEXT)]
    )
    home = tmp_path / "home"
    home.mkdir()
    key = home / "key"
    key.write_text("0123456789abcdef0123456789abcdef\n")
    return Site(
        repo=git_repo, cluster=api_server, namespace=namespace, kubeconfig=config, home=home
    )


@pytest.fixture
def got() -> Iterator[Receivers]:
    """A webhook and a Slack."""
    with receivers() as listening:
        yield listening


def run(site: Site, outputs: dict[str, bytes], *arguments: str) -> None:
    """Keep what one command prints."""
    entries = [f"--sensitive={entry}" for entry in LISTED]
    seen = site.run(*arguments, *entries)
    where = " ".join(arguments).replace(str(site.home), "~")
    outputs[where] = (seen.stdout + seen.stderr).encode()


def printed(site: Site) -> dict[str, bytes]:
    """What every command prints and writes about the site."""
    outputs: dict[str, bytes] = {}
    config = f"--kubeconfig={site.kubeconfig}"
    key = f"--hash-key-file={site.home / 'key'}"
    for output in FORMATS:
        run(site, outputs, "check", "-v", "--show=all", f"-o{output}", config)
    run(site, outputs, "check", "-ojson", "--oracle=put", config)
    run(site, outputs, "check", "-ojson", "--oracle=apply", config)
    run(site, outputs, "doctor", config)
    run(site, outputs, "render", "*", "-oyaml", config)
    run(site, outputs, "render", "*", "-ojson", config)
    for place in ("Secret/login", "ConfigMap/plain", "Deployment/web"):
        run(site, outputs, "explain", place, config)
    for number, flags in enumerate(([], [key])):
        for times in range(2):
            state = site.home / f"state{number}"
            run(site, outputs, "check", f"--state={state}", *flags, config)
            outputs[f"state file {number} {times}"] = state.read_bytes()
        file = site.home / f"baseline{number}.yaml"
        run(site, outputs, "baseline", f"--file={file}", *flags, config)
        outputs[f"baseline {number}"] = file.read_bytes()
    site.repo.write("apps/web/all.yaml", yaml.safe_dump_all(documents(live=True)))
    site.repo.commit("Take over")
    for output in ("table", "json", "markdown"):
        run(site, outputs, "check", "--preview", "--against=HEAD~1", f"-o{output}", config)
    site.repo.git("revert", "--no-edit", "HEAD")
    return outputs


def daemon_outputs(site: Site, got: Receivers, folder: Path) -> dict[str, bytes]:
    """What the daemon logs, stores, sends and exposes."""
    (folder / "hook").write_text(SECRET)
    (folder / "slack").write_text(f"{got.url}/slack/T0/B0/secret")
    settings = {
        "repositories": [{"path": str(site.repo.path)}],
        "clusters": {
            "kubeconfig": str(site.kubeconfig),
            "destinations": {"https://kubernetes.default.svc": CONTEXT},
        },
        "sweep": {"interval": "1s", "jitter": "0s"},
        "store": {"dsn": f"sqlite:///{folder / 'driftd.db'}"},
        "notifications": {
            "allowNetworks": ["127.0.0.0/8"],
            "storm": {"messages": 1000},
            "webhooks": [{"url": f"{got.url}/hook", "secretFile": str(folder / "hook")}],
            "slack": [{"urlFile": str(folder / "slack")}],
        },
        "sensitive": list(LISTED),
        "log": {"level": "debug"},
    }
    with Daemon(folder, settings, site.home) as daemon:
        daemon.wait_ready()
        daemon.wait(lambda: got.webhook and got.slack, "the messages")
        daemon.wait_looks(4)
        metrics = daemon.get("/metrics")[1]
        daemon.stop()
    outputs = {f"store {one.name}": one.read_bytes() for one in folder.glob("driftd.db*")}
    outputs["log"] = daemon.log.read_bytes()
    outputs["metrics"] = metrics.encode()
    outputs["webhook"] = json.dumps(got.webhook, ensure_ascii=False).encode()
    outputs["slack"] = json.dumps(got.slack, ensure_ascii=False).encode()
    return outputs


def test_no_canary_in_any_output(
    site: Site, got: Receivers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """14 canaries and four credentials are nowhere; the control and the names of keys are."""
    outputs = printed(site) | daemon_outputs(site, got, tmp_path)
    control = hits(outputs, iter([CONTROL]))
    assert any("raw in check -v --show=all -ojson" in hit for hit in control)
    assert any("raw in webhook" in hit for hit in control)
    told = outputs[f"check -v --show=all -ojson --kubeconfig={site.kubeconfig}"].decode()
    for name in (
        "/data/changed",
        "/data/added",
        "/data/gone",
        "/data/text",
        "/data/login",
        "/spec/locks",
    ):
        assert name in told, name
    for refused in ("chart", "overlay", "bad"):
        assert f'"{refused}"' in told
    assert "bad value «masked»" in told
    refused_name = outputs[f"check -ojson --oracle=put --kubeconfig={site.kubeconfig}"].decode()
    assert 'spec.ingressClassName: Invalid value: \\"«masked»' in refused_name
    credentials = [site.cluster.token("admin"), PASSWORD, SECRET, "/slack/T0/B0/secret"]
    values = [*map(canary, NAMES), *credentials]
    found = hits(outputs, iter(values))
    with capsys.disabled():
        forms = len(spellings(CONTROL))
        searched = f"{len(outputs)} outputs, {len(values)} values, {forms} forms"
        sys.stdout.write(f"\n{searched}: {len(found)} hits\n")
    assert found == []


def healing_settings(site: Site, got: Receivers, folder: Path) -> dict[str, Any]:
    """A daemon that puts back at once whatever it may."""
    (folder / "hook").write_text(SECRET)
    (folder / "slack").write_text(f"{got.url}/slack/T0/B0/secret")
    at_once = dict.fromkeys(("critical", "high", "medium", "low", "info"), "0s")
    return {
        "repositories": [{"path": str(site.repo.path)}],
        "clusters": {
            "kubeconfig": str(site.kubeconfig),
            "destinations": {"https://kubernetes.default.svc": CONTEXT},
        },
        "sweep": {"interval": "1s", "jitter": "0s"},
        "store": {"dsn": f"sqlite:///{folder / 'driftd.db'}"},
        "healing": {
            "rules": [{"applications": ["web", "bad"], "rung": "fields", "undeclared": True}],
            "grace": at_once,
            "storm": {"percent": 100, "objects": 1000},
        },
        "notifications": {
            "allowNetworks": ["127.0.0.0/8"],
            "webhooks": [{"url": f"{got.url}/hook", "secretFile": str(folder / "hook")}],
            "slack": [{"urlFile": str(folder / "slack")}],
        },
        "sensitive": list(LISTED),
        "log": {"level": "debug"},
    }


def test_no_canary_through_healing_failing_and_restoring(
    site: Site, got: Receivers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Secrets are healed, refused by the API server, kept and compared: no byte of them is out.

    Searched are log, messages, metrics, every file of the store (audit record and backups are in
    it), what the commands print, and argument list and environment of the daemon.
    """
    for name in ("web", "bad"):
        text = application(name, site.namespace, syncPolicy={"automated": {"selfHeal": True}})
        site.repo.write(f"argocd/{name}.yaml", text)
    site.repo.commit("Let them be healed")
    outputs: dict[str, bytes] = {}
    settings = healing_settings(site, got, tmp_path)
    kubeconfig = f"--kubeconfig={site.kubeconfig}"
    with Daemon(tmp_path, settings, site.home) as daemon:
        config = f"--config={daemon.file}"

        def entries(kind: str) -> dict[str, str]:
            exported = site.run("audit", "export", config).stdout.splitlines()
            told = [json.loads(line)["entry"] for line in exported]
            found = [one for one in told if one["kind"] == kind]
            return {
                f"{one['object']['kind']} {one['object']['name']}": one["outcome"] for one in found
            }

        daemon.wait_ready()
        daemon.wait(
            lambda: (
                entries("result").get("Secret login") == "applied"
                and "Ingress web" in entries("result")
                and got.webhook
                and got.slack
            ),
            "the heals, the refusal and the messages",
        )
        path = f"/api/v1/namespaces/{site.namespace}/secrets/login"
        healed = site.cluster.call("GET", path)["data"]
        assert healed["changed"] == b64(canary("git-data"))
        assert entries("result")["Ingress web"] != "applied"
        outputs["audit export"] = site.run("audit", "export", config).stdout.encode()
        listed = site.run("restore", config, kubeconfig).stdout
        outputs["restore"] = listed.encode()
        backup = next(line.split()[0] for line in listed.splitlines() if "Secret" in line)
        compared = site.run("restore", backup, config, kubeconfig)
        assert "/data/changed" in compared.stdout, compared.stderr
        outputs["restore one"] = (compared.stdout + compared.stderr).encode()
        verified = site.run("audit", "verify", config)
        assert verified.exit_code == 0, verified.stdout
        outputs["metrics"] = daemon.get("/metrics")[1].encode()
        for name in ("environ", "cmdline"):
            outputs[name] = Path(f"/proc/{daemon.pid}/{name}").read_bytes()
        daemon.stop()
    outputs |= {f"store {one.name}": one.read_bytes() for one in tmp_path.glob("driftd.db*")}
    outputs["log"] = daemon.log.read_bytes()
    outputs["webhook"] = json.dumps(got.webhook, ensure_ascii=False).encode()
    outputs["slack"] = json.dumps(got.slack, ensure_ascii=False).encode()
    assert b"/data/changed" in outputs["audit export"]
    # What is searched for would be found: a value that is no secret is.
    control = hits(outputs, iter([CONTROL]))
    assert any("raw in audit export" in hit for hit in control), control
    credentials = [site.cluster.token("admin"), PASSWORD, SECRET, "/slack/T0/B0/secret"]
    values = [*map(canary, NAMES), *credentials]
    found = hits(outputs, iter(values))
    with capsys.disabled():
        searched = f"{len(outputs)} outputs, {len(values)} values"
        sys.stdout.write(f"\nhealing: {searched}: {len(found)} hits\n")
    assert found == []
