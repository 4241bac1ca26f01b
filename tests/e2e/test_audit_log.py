"""Who made a change, told from a real API server's own audit log.

`AUDIT_LEVELS=all` has the log at both levels instead of `Metadata` alone.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from driftd.model.audit import WRITE_VERBS
from tests.e2e.audited_changes import (
    ENGINE,
    MANIFESTS,
    SCENARIOS,
    Scenario,
    Target,
    deploy,
    kubectl,
    prepare,
)
from tests.e2e.daemon import Daemon
from tests.e2e.looking import related
from tests.e2e.receivers import SECRET, receivers
from tests.e2e.site import CONTEXT, URL, Seen, Site, application
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo
from tests.testbed.kubeconfig import write_kubeconfig
from tests.unit.cluster.audited import azure, cloudwatch, gke

pytestmark = pytest.mark.cluster
NAMESPACE = "shop"
# Read here: tests run with an environment of their own later on.
LEVELS = ("Metadata", "Request") if os.environ.get("AUDIT_LEVELS") == "all" else ("Metadata",)


@dataclass(frozen=True, slots=True)
class Audited:
    """A cluster on which every scenario has happened, and what driftd says with its log."""

    level: str
    site: Site
    seen: Seen

    @property
    def log(self) -> Path:
        """The API server's audit log."""
        return self.site.cluster.audit_log

    def resource(self, name: str) -> Any:
        """One object of the report."""
        (application_report,) = self.seen.report["applications"]
        return next(one for one in application_report["resources"] if one["name"] == name)


@pytest.fixture(scope="module", params=LEVELS)
def audited(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Audited]:
    """One fresh API server for each level of the log."""
    folder = tmp_path_factory.mktemp("audited")
    with ControlPlane("audited", audit=request.param) as cluster:
        prepare(cluster)
        cluster.create_namespace(NAMESPACE)
        repo = GitRepo(folder / "repository")
        repo.set_remote(URL)
        repo.write("argocd/shop.yaml", application("shop", NAMESPACE))
        for one in SCENARIOS:
            text = MANIFESTS[one.kind].replace("NAME", one.name)
            repo.write(f"apps/shop/{one.kind}-{one.name}.yaml", text)
        repo.commit("Declare the shop")
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(partial(_happens, cluster), SCENARIOS))
        config = write_kubeconfig(
            folder / "kubeconfig", [cluster.access("detector", context=CONTEXT)]
        )
        (folder / "home").mkdir()
        site = Site(
            repo=repo,
            cluster=cluster,
            namespace=NAMESPACE,
            kubeconfig=config,
            home=folder / "home",
        )
        seen = site.check(f"--audit-log={cluster.audit_log}")
        assert seen.exit_code == 1, seen.stderr
        yield Audited(request.param, site, seen)


def _happens(cluster: ControlPlane, scenario: Scenario) -> None:
    """Deploy the object of a scenario, and change it."""
    target = Target(cluster, scenario.kind, NAMESPACE, scenario.name)
    deploy(target)
    for step in scenario.steps:
        step(target)


def told(audited: Audited, name: str, path: str) -> tuple[str, list[str]]:
    """Who made a change: the person, or else the candidates."""
    resource = audited.resource(name)
    if path == "*":
        attribution = resource.get("attribution", {})
    else:
        found = [one for one in resource["changes"] if related(one["path"], path)]
        assert found, f"{name}: nothing is told at {path}: {resource['changes']}"
        attribution = found[0].get("attribution", {})
        assert (found[0].get("confidence") == "audit") is ("user" in attribution)
    names = [person(one) for one in attribution.get("candidates", [])]
    return person(attribution) if "user" in attribution else "", names


def person(author: Any) -> str:
    """The user, with whom the user acted as."""
    acted = author.get("impersonatedUser", "")
    return f"{author['user']} as {acted}" if acted else str(author["user"])


def left_open(audited: Audited, name: str, path: str) -> bool:
    """Whether a log without bodies cannot tell: several people wrote, all as one manager.

    A change that has an owner is one of those who wrote under the owner's name; a removal or a
    reorder has none, so that it may be anybody's. The deployer's own writes are none of them.
    """
    found = [one for one in audited.resource(name)["changes"] if related(one["path"], path)]
    traced = bool(found) and found[0]["kind"] not in ("missing", "reordered")
    people = {
        event["user"]["username"]
        for event in map(json.loads, audited.log.read_text().splitlines())
        if event["verb"] in WRITE_VERBS
        and event.get("objectRef", {}).get("name") == name
        and event["objectRef"].get("namespace") == NAMESPACE
        and event["responseStatus"]["code"] < 300
        and "dryRun" not in event["requestURI"]
        and event["user"]["username"] != ENGINE
        and (not traced or f"fieldManager={found[0].get('manager')}&" in event["requestURI"] + "&")
    }
    return audited.level == "Metadata" and len(people) > 1


def test_everybody_is_named(audited: Audited) -> None:
    """Wherever the log can tell, the person is named, and never a wrong one.

    Where it cannot, the person is among the candidates.
    """
    right, open_, wrong = 0, 0, []
    for scenario in SCENARIOS:
        for path, expected in scenario.made.items():
            name, candidates = told(audited, scenario.name, path)
            if name == expected:
                right += 1
            elif not name and path in scenario.unclear:
                assert left_open(audited, scenario.name, path), (scenario.name, path)
                assert expected in candidates, (scenario.name, path, candidates)
                open_ += 1
            else:
                wrong.append((scenario.name, path, expected, name, candidates))
    print(f"{audited.level}: {right} people told, {open_} left open")  # noqa: T201
    assert wrong == []
    assert right >= 51
    assert open_ == (0 if audited.level == "Request" else 5)


def test_tables_name_people(audited: Audited) -> None:
    """Tables say the person beside the tool, two people where one acts as another, and robots."""
    text = audited.site.check(f"--audit-log={audited.log}", output="wide").stdout
    for author in (
        "by bob (kubectl-patch, Update)",
        "by admin as dave@example.com (kubectl-edit, Update)",
        "by service account ci/robot (my-operator, Update)",
        "deleted by carol (kubectl) at ",
    ):
        assert author in text
    assert "audit log: patch by kubectl/v" in text
    assert "from 127.0.0.1" in text


def test_explanations_name_people(audited: Audited) -> None:
    """`driftd explain` tells the author of a field, and the event that says so."""
    flags = (f"--kubeconfig={audited.site.kubeconfig}", f"--audit-log={audited.log}", "-q")
    text = audited.site.run("explain", "shop", "deployment/scaled", "spec.replicas", *flags).stdout
    assert "  author    by alice (kubectl, Update through /scale)" in text
    assert "  audit log patch by kubectl/v" in text


def test_compressed_and_broken(audited: Audited, tmp_path: Path) -> None:
    """A gzipped copy with a broken line names the same people, and the line is told once."""
    lines = audited.log.read_bytes().splitlines(keepends=True)
    lines.insert(4, b'{"kind":"Event","apiVersion":"audit.k8s.io/v1","verb":\n')
    copy = tmp_path / "audit.log.gz"
    copy.write_bytes(gzip.compress(b"".join(lines)))
    seen = audited.site.check(f"--audit-log={CONTEXT}={copy}")
    assert seen.exit_code == 1
    assert seen.conditions() == [f"AuditLogError: {copy}: 1 line is no audit event (line 5)"]
    assert _authors(seen) == _authors(audited.seen)


def _google(event: Any) -> Any:
    """A native event as GKE logs it: without request URI, groups and impersonation."""
    target = event["objectRef"]
    group, namespace = target.get("apiGroup", ""), target.get("namespace", "")
    place = f"namespaces/{namespace}/" if namespace else ""
    names = [target[key] for key in ("resource", "name", "subresource") if key in target]
    verb = ".".join([*names[:1], *names[2:], event["verb"]])
    entry = gke(
        authenticationInfo={"principalEmail": event["user"]["username"]},
        methodName=f"io.k8s.{group.split('.')[0] or 'core'}.v1.{verb}",
        requestMetadata={"callerIp": "192.0.2.7", "callerSuppliedUserAgent": event["userAgent"]},
        resourceName=f"{group or 'core'}/v1/{place}{'/'.join(names)}",
        status={"code": 0 if event["responseStatus"]["code"] < 300 else 7},
        **({"request": event["requestObject"]} if "requestObject" in event else {}),
    )
    return {**entry, "timestamp": event["stageTimestamp"]}


@pytest.mark.parametrize("cloud", ["eks", "aks"])
def test_clouds_with_native_events(audited: Audited, tmp_path: Path, cloud: str) -> None:
    """The same log as CloudWatch and Azure hand it out names the same people."""
    lines = audited.log.read_text().splitlines()
    document = cloudwatch(*lines) if cloud == "eks" else {"records": list(map(azure, lines))}
    copy = tmp_path / "export.json"
    copy.write_text(json.dumps(document, indent=1))
    assert _authors(audited.site.check(f"--audit-log={copy}")) == _authors(audited.seen)


def test_gke(audited: Audited, tmp_path: Path) -> None:
    """The same writes as GKE logs them: nobody wrong is named, and most people are."""
    events = [json.loads(line) for line in audited.log.read_text().splitlines()]
    # Whether GKE logs dry runs is not documented; its entries could not tell them.
    entries = [
        _google(one)
        for one in events
        if one["verb"] in WRITE_VERBS and "dryRun" not in one["requestURI"]
    ]
    copy = tmp_path / "entries.json"
    copy.write_text("".join(f"{json.dumps(one)}\n" for one in entries))
    seen = audited.site.check(f"--audit-log={copy}")
    named = replace(audited, seen=seen)
    right, silent = 0, 0
    for scenario in SCENARIOS:
        for path, expected in scenario.made.items():
            name, _ = told(named, scenario.name, path)
            assert name in ("", expected.partition(" as ")[0]), (scenario.name, path)
            right, silent = right + bool(name), silent + (not name)
    assert right > silent


def _authors(seen: Seen) -> list[Any]:
    (found,) = seen.report["applications"]
    return [
        change.get("attribution")
        for resource in found["resources"]
        for change in resource["changes"]
    ]


def test_a_daemon_tells_people(audited: Audited, tmp_path: Path) -> None:
    """The daemon's first message names the person of each drift that one person made."""
    site = audited.site
    (tmp_path / "secret").write_text(SECRET)
    settings = {
        "repositories": [{"path": str(site.repo.path)}],
        "clusters": {
            "kubeconfig": str(site.kubeconfig),
            "destinations": {"https://kubernetes.default.svc": CONTEXT},
        },
        "store": {"dsn": f"sqlite:///{tmp_path / 'driftd.db'}"},
        "auditLogs": [{"file": f"{audited.log.parent}/audit*.log"}],
    }
    with receivers() as got:
        webhook = {"url": f"{got.url}/hook", "secretFile": str(tmp_path / "secret")}
        settings["notifications"] = {
            "allowNetworks": ["127.0.0.0/8"],
            "storm": {"messages": 1000},
            "webhooks": [webhook],
        }
        with Daemon(tmp_path, settings, site.home) as daemon:
            daemon.wait(lambda: got.webhook, "the message")
        (message,) = got.webhook
    made = {one.name: one for one in SCENARIOS}
    told = [one for one in message["drifts"] if "user" in one]
    assert len(told) >= 10
    for drift in told:
        people = {_account(user) for user in made[drift["name"]].made.values()}
        assert drift["user"] in people


def _account(user: str) -> str:
    _, _, name = user.partition("system:serviceaccount:")
    return f"service account {name.replace(':', '/')}" if name else user


def test_windows(audited: Audited) -> None:
    """Events before the window name nobody."""
    seen = audited.site.check(f"--audit-log={audited.log}", "--audit-window=0.001s")
    assert not any(_authors(seen))


def test_bodies_are_never_told(audited: Audited) -> None:
    """What requests sent is in no report: only what is live or in Git is."""
    text = audited.seen.stdout + audited.seen.stderr
    assert "requestObject" not in text
    assert "last-applied-configuration" not in text
    assert "web:x" not in text  # sent by alice, and replaced by bob


def test_history_narrows_the_window(audited: Audited, tmp_path: Path) -> None:
    """With the looks before and after a removal only who wrote between them can have made it."""
    flags = (f"--audit-log={audited.log}", f"--state={tmp_path / 'state.db'}")
    audited.site.check(*flags)
    target = Target(audited.site.cluster, "deployment", NAMESPACE, "two-fields")
    kubectl("carol", "label", "@", "team-")(target)
    named = replace(audited, seen=audited.site.check(*flags))
    assert told(named, "two-fields", "/metadata/labels/team") == ("carol", [])
    changes = named.resource("two-fields")["changes"]
    (removal,) = (one for one in changes if one["path"] == "/metadata/labels/team")
    assert removal["attribution"]["after"] <= removal["attribution"]["time"]
