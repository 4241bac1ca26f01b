"""Who made a change, told from a real API server's own audit log at both levels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.audited_changes import MANIFESTS, SCENARIOS, Target, deploy, prepare
from tests.e2e.looking import related
from tests.e2e.site import CONTEXT, URL, Seen, Site, application
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo
from tests.testbed.kubeconfig import write_kubeconfig

pytestmark = pytest.mark.cluster
NAMESPACE = "shop"


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


@pytest.fixture(scope="module", params=["Metadata", "Request"])
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
            deploy(Target(cluster, one.kind, NAMESPACE, one.name))
        repo.commit("Declare the shop")
        for one in SCENARIOS:
            for step in one.steps:
                step(Target(cluster, one.kind, NAMESPACE, one.name))
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


def test_everybody_is_named(
    audited: Audited, record_property: Callable[[str, object], None]
) -> None:
    """Of all changes the person is told right, or both are where a log without bodies cannot."""
    right, open_, wrong = 0, 0, []
    for scenario in SCENARIOS:
        for path, expected in scenario.made.items():
            name, candidates = told(audited, scenario.name, path)
            if name == expected:
                right += 1
            elif not name and path in scenario.unclear and audited.level == "Metadata":
                open_ += 1
                assert expected in candidates, (scenario.name, path, candidates)
            else:
                wrong.append((scenario.name, path, expected, name, candidates))
    record_property(f"{audited.level}", f"{right} right, {open_} left open, {len(wrong)} wrong")
    assert wrong == []
    assert right >= 50
    if audited.level == "Request":
        assert open_ == 0
