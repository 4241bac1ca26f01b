"""What a project permits: globs, negation, lists, and the conditions that name the rule."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from driftd.model.application import Application, ApplicationSpec, Destination
from driftd.model.project import PERMISSIVE, AppProject, AppProjectSpec
from driftd.model.resource import Manifest, Origin, ResourceKey
from driftd.policy.project import (
    check_application,
    check_cluster_project,
    check_manifests,
    glob_match,
    permits_destination,
    permits_kind,
    permits_source,
)

SERVER = "https://one.example.com"


def _project(**spec: Any) -> AppProject:
    return AppProject(name="team", spec=msgspec.convert(spec, AppProjectSpec))


@pytest.mark.parametrize(
    ("pattern", "value", "separator", "expected"),
    [
        ("*", "a/b", "/", True),
        ("", "", "", True),
        ("", "x", "", False),
        ("a*", "abc", "", True),
        ("a*", "a/b", "/", False),
        ("a/*", "a/b", "/", True),
        ("a/*", "a/b/c", "/", False),
        ("a/**", "a/b/c", "/", True),
        ("a?c", "abc", "", True),
        ("a?c", "a/c", "/", False),
        ("{prod,staging}-*", "staging-app", "", True),
        ("{prod,staging}-*", "dev-app", "", False),
        ("team-{a,b{1,2}}", "team-b2", "", True),
        ("[a-c]x", "bx", "", True),
        ("[!a-c]x", "bx", "", False),
        ("[!a-c]x", "dx", "", True),
        (r"a\*", "a*", "", True),
        (r"a\*", "ab", "", False),
        ("a.c", "abc", "", False),
        ("a,b", "a,b", "", True),
        ("[", "[", "", False),
        ("{a", "{a", "", False),
        ("[z-a]", "b", "", False),
        ("a\\", "a\\", "", False),
        ("*\n", "x", "", False),
    ],
)
def test_globs(pattern: str, value: str, separator: str, expected: bool) -> None:
    """Argo CD's glob: sets, alternatives, escapes, separators; invalid ones match nothing."""
    assert glob_match(pattern, value, separator) is expected


@pytest.mark.parametrize(
    ("repos", "url", "expected"),
    [
        (["*"], "https://example.com/a/b", True),
        ([], "https://example.com/a/b", False),
        (["https://example.com/a/*"], "https://EXAMPLE.com/a/b.git", True),
        (["https://example.com/*"], "https://example.com/a/b", False),
        (["https://example.com/**"], "https://example.com/a/b", True),
        (["git@example.com:a/b.git"], "ssh://git@example.com/a/b", True),
        (["*", "!https://example.com/a/*"], "https://example.com/a/b", False),
        (["*", "!https://example.com/a/*"], "https://example.com/c/b", True),
    ],
)
def test_source_repositories(repos: list[str], url: str, expected: bool) -> None:
    """A pattern has to match the normalised URL and no `!` pattern may."""
    assert permits_source(_project(sourceRepos=repos), url) is expected


@pytest.mark.parametrize(
    ("destinations", "destination", "expected"),
    [
        ([{"server": SERVER, "namespace": "app-*"}], {"namespace": "app-1"}, True),
        ([{"server": SERVER, "namespace": "app-*"}], {"namespace": "kube-system"}, False),
        ([{"server": "https://*", "namespace": "*"}], {"namespace": "x"}, True),
        ([{"server": "https://other", "namespace": "*"}], {"namespace": "x"}, False),
        ([{"name": "one", "namespace": "*"}], {"namespace": "x", "name": "one"}, True),
        ([{"name": "one", "namespace": "*"}], {"namespace": "x"}, False),
        ([], {"namespace": "x"}, False),
        (
            [{"server": "*", "namespace": "*"}, {"server": "*", "namespace": "!kube-system"}],
            {"namespace": "kube-system"},
            False,
        ),
        (
            [{"server": "*", "namespace": "*"}, {"server": f"!{SERVER}", "namespace": "*"}],
            {"namespace": "x"},
            False,
        ),
        ([{"server": "*", "namespace": "!kube-system"}], {"namespace": "x"}, True),
        ([{"name": "*", "namespace": "*"}], {"namespace": "x"}, True),
    ],
)
def test_destinations(
    destinations: list[dict[str, str]], destination: dict[str, str], expected: bool
) -> None:
    """Cluster and namespace have to match one entry, and no entry with `!` may forbid them."""
    target = Destination(server=SERVER, **destination)
    assert permits_destination(_project(destinations=destinations), target) is expected


@pytest.mark.parametrize(
    ("spec", "group", "kind", "namespaced", "expected"),
    [
        ({}, "apps", "Deployment", True, True),
        ({}, "", "Namespace", False, False),
        ({"namespaceResourceWhitelist": []}, "apps", "Deployment", True, False),
        (
            {"namespaceResourceWhitelist": [{"group": "a*", "kind": "*"}]},
            "apps",
            "Deployment",
            True,
            True,
        ),
        (
            {"namespaceResourceBlacklist": [{"group": "", "kind": "Resource*"}]},
            "",
            "ResourceQuota",
            True,
            False,
        ),
        (
            {"clusterResourceWhitelist": [{"group": "", "kind": "Namespace"}]},
            "",
            "Namespace",
            False,
            True,
        ),
        (
            {
                "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
                "clusterResourceBlacklist": [{"group": "*", "kind": "ClusterRole*"}],
            },
            "rbac.authorization.k8s.io",
            "ClusterRoleBinding",
            False,
            False,
        ),
    ],
)
def test_kinds(
    spec: dict[str, Any], group: str, kind: str, namespaced: bool, expected: bool
) -> None:
    """Namespaced kinds pass unless a list forbids them, cluster-scoped ones only if listed."""
    assert permits_kind(_project(**spec), group, kind, namespaced=namespaced) is expected


def test_a_cluster_scoped_entry_may_name_objects() -> None:
    """An entry with a `name` pattern permits those objects only."""
    project = _project(
        clusterResourceWhitelist=[{"group": "", "kind": "Namespace", "name": "team-*"}]
    )
    for name, expected in (("team-a", True), ("kube-system", False)):
        assert permits_kind(project, "", "Namespace", namespaced=False, name=name) is expected


def _manifest(kind: str, namespace: str, name: str) -> Manifest:
    return Manifest(ResourceKey("", kind, namespace, name), "v1", b"{}", Origin(0, ""))


def test_forbidden_objects_are_left_out_with_the_rule() -> None:
    """Each forbidden object is a condition that names it, the project and the rule."""
    project = _project(
        destinations=[{"server": SERVER, "namespace": "app"}],
        namespaceResourceBlacklist=[{"group": "", "kind": "Secret"}],
        clusterResourceWhitelist=[{"group": "", "kind": "Namespace", "name": "app"}],
    )
    manifests = [
        _manifest("ConfigMap", "app", "good"),
        _manifest("Secret", "app", "s"),
        _manifest("ConfigMap", "kube-system", "c"),
        _manifest("Namespace", "", "app"),
        _manifest("Namespace", "", "other"),
        _manifest("Node", "", "n"),
    ]
    done = check_manifests(
        project,
        manifests,
        Destination(server=SERVER, namespace="app"),
        lambda group, kind: None,
    )
    assert [m.key.name for m in done.manifests] == ["good", "app"]
    rules = [c.message.split("spec.")[1].split(";")[0] for c in done.conditions]
    assert rules == [
        "namespaceResourceBlacklist",
        "destinations",
        "clusterResourceWhitelist",
        "clusterResourceWhitelist",
    ]
    assert "Secret app/s" in done.conditions[0].message
    assert "project team" in done.conditions[0].message


def test_a_forbidden_namespace_is_told_once_with_what_sets_it() -> None:
    """Objects of one forbidden namespace are one condition: files, the overlay, and the remedy."""
    project = _project(destinations=[{"server": SERVER, "namespace": "app"}])
    manifests = [
        msgspec.structs.replace(
            _manifest("ConfigMap", "prod", name), origin=Origin(0, f"base/{name}.yaml")
        )
        for name in "abcde"
    ]
    manifests.append(_manifest("ConfigMap", "kube-system", "c"))
    target = Destination(server=SERVER, namespace="app")
    done = check_manifests(project, manifests, target, lambda g, k: None, {0: "overlays/prod"})
    first, second = (condition.message for condition in done.conditions)
    assert first == (
        "ConfigMap prod/a (base/a.yaml), ConfigMap prod/b (base/b.yaml), ConfigMap prod/c "
        "(base/c.yaml) and 2 more are not permitted in project team by spec.destinations; permit "
        "the namespace prod in the project, or correct it: metadata.namespace of the objects, or "
        "namespace: of the kustomization in overlays/prod, whichever sets it"
    )
    assert second.startswith("ConfigMap kube-system/c is not permitted in project team by spec.")
    done = check_manifests(project, manifests[5:], target, lambda g, k: None)
    assert done.conditions[0].message.endswith("correct it: metadata.namespace of the object")


def test_the_default_project_permits_everything() -> None:
    """What a repository without a `default` project gets forbids nothing."""
    manifests = [_manifest("Secret", "kube-system", "s"), _manifest("ClusterRole", "", "r")]
    target = Destination(name="x", namespace="y")
    done = check_manifests(PERMISSIVE, manifests, Destination(server=SERVER), lambda g, k: None)
    assert (len(done.manifests), done.conditions) == (2, ())
    assert permits_source(PERMISSIVE, "https://example.com/x")
    assert permits_destination(PERMISSIVE, Destination(server=SERVER, namespace="y"))
    assert permits_destination(PERMISSIVE, target)  # known by name alone


def _app(**spec: Any) -> Application:
    return Application(
        name="shop",
        namespace="argocd",
        spec=msgspec.convert({"project": "team", **spec}, ApplicationSpec),
        raw={"spec": spec},
    )


GOOD_SOURCE = {"repoURL": "https://example.com/x", "path": "d"}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"destination": {"server": SERVER, "name": "x"}}, "keep one"),
        ({"destination": {}}, "neither spec.destination.server nor .name"),
        ({"source": None}, "has no source"),
        ({"source": None, "sourceHydrator": {}}, "sourceHydrator is not supported"),
        ({"source": {"path": "d"}}, "spec.source.repoURL is missing"),
        (
            {"sources": [GOOD_SOURCE, {"repoURL": "x"}]},
            "spec.sources[1] has neither path nor chart",
        ),
    ],
)
def test_wrong_specs_say_which_field(spec: dict[str, Any], message: str) -> None:
    """An Application that Argo CD would call invalid is a condition naming the field."""
    app = _app(**{"source": GOOD_SOURCE, "destination": {"server": SERVER}, **spec})
    project = _project(sourceRepos=["*"], destinations=[{"server": "*", "namespace": "*"}])
    found = check_application(project, app)
    assert any(message in condition.message for condition in found)
    assert {condition.type for condition in found} == {"InvalidSpecError"}


def test_forbidden_source_destination_and_missing_project_say_the_remedy() -> None:
    """What the project forbids about an application names the rule to change."""
    app = _app(source=GOOD_SOURCE, destination={"server": SERVER, "namespace": "a"})
    messages = [c.message for c in check_application(_project(), app)]
    assert "https://example.com/x; correct repoURL, or add it to spec.sourceRepos" in messages[0]
    assert "; correct the destination, or add it to spec.destinations of the project" in messages[1]
    placed = msgspec.structs.replace(app, origin="argocd/shop.yaml")
    owner = msgspec.structs.replace(_project(), origin="argocd/team.yaml")
    lines = msgspec.structs.replace(placed, lines={"destination": 9, "project": 4})
    assert check_application(owner, lines)[1].message.startswith("argocd/shop.yaml:9: project team")
    assert app.spec.source is not None
    sources = (app.spec.source, app.spec.source)
    twice = msgspec.structs.replace(app.spec, source=None, sources=sources)
    both = msgspec.structs.replace(lines, spec=twice, lines={"sources": 5})
    [source, _] = check_application(owner, both)
    assert source.message.startswith("argocd/shop.yaml:5: project team does not permit the source")
    assert source.message.endswith("spec.sourceRepos of the project (argocd/team.yaml)")
    assert check_application(None, lines)[0].message.startswith("argocd/shop.yaml:4: there is no")
    empty = msgspec.structs.replace(lines, spec=ApplicationSpec(), lines={"spec": 3})
    told = [c.message for c in check_application(_project(), empty)]
    assert [text.startswith("argocd/shop.yaml:3: application shop has ") for text in told] == [
        True, True,
    ]  # fmt: skip
    nested = msgspec.structs.replace(lines, origin="Application root (argocd/shop.yaml)")
    [_, placed_in] = check_application(owner, nested)
    assert placed_in.message.startswith(
        "Application root (argocd/shop.yaml:9): project team does not"
    )
    destination = check_application(owner, placed)[1].message
    assert destination.startswith("argocd/shop.yaml: project team does not permit the destination")
    assert destination.endswith("spec.destinations of the project (argocd/team.yaml)")
    [missing] = check_application(None, app)
    assert "there is no project 'team'; add the AppProject" in missing.message
    [missing] = check_application(None, app, known=["teams", "other"])
    assert "there is no project 'team'; did you mean teams? add the AppProject" in missing.message
    good = _project(sourceRepos=["*"], destinations=[{"server": "*", "namespace": "*"}])
    assert check_application(good, app) == ()


def test_a_resolved_destination_counts_by_server_and_name() -> None:
    """A destination known by both is permitted when an entry permits either."""
    app = _app(source=GOOD_SOURCE, destination={"name": "one", "namespace": "a"})
    project = _project(sourceRepos=["*"], destinations=[{"server": SERVER, "namespace": "*"}])
    assert check_application(project, app)
    resolved = Destination(server=SERVER, name="one", namespace="a")
    assert check_application(project, app, resolved) == ()


def test_a_denied_server_needs_to_be_known() -> None:
    """An entry that denies a server says nothing about a destination known by name alone."""
    project = _project(
        destinations=[{"name": "one", "namespace": "*"}, {"server": f"!{SERVER}", "namespace": "*"}]
    )
    assert permits_destination(project, Destination(name="one", namespace="x"))
    denied = Destination(name="one", server=SERVER, namespace="x")
    assert not permits_destination(project, denied)


@pytest.mark.parametrize(
    ("permit", "scoped", "problems"),
    [(False, (), 0), (True, (), 1), (True, ("prod",), 0), (True, (SERVER,), 0)],
)
def test_clusters_of_the_project_alone(
    permit: bool, scoped: tuple[str, ...], problems: int
) -> None:
    """Where a project permits its own clusters alone, their Secrets have to name it."""
    project = _project(permitOnlyProjectScopedClusters=permit)
    destination = Destination(server=SERVER, name="prod", namespace="a")
    found = check_cluster_project(project, destination, scoped)
    assert len(found) == problems
    assert all("set project: team in its cluster Secret" in one.message for one in found)


def test_what_a_template_lacks_is_the_same_at_each_application() -> None:
    """Generated Applications tell it in the same words, with the line of their ApplicationSet."""
    set_of = {"origin": "ApplicationSet fleet", "file": "set.yaml", "lines": {"spec": 9}}
    apps = [msgspec.structs.replace(_app(source=GOOD_SOURCE), name=name, **set_of) for name in "ab"]
    first, second = (check_application(_project(sourceRepos=["*"]), app) for app in apps)
    assert first == second
    assert first[0].message == (
        "ApplicationSet fleet (set.yaml:9): the generated Application has neither "
        "spec.destination.server nor .name; set one of the two"
    )
