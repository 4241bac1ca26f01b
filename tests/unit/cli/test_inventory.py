"""`driftd apps` and `driftd clusters`."""

import dataclasses
import json

import msgspec
import pytest

from driftd.cli import calls
from driftd.cli.conditions import wrapped
from driftd.cluster.destinations import ClusterTarget, TargetKind
from driftd.controller.declared import Declared, Entry
from driftd.model.application import (
    Application,
    ApplicationSource,
    ApplicationSpec,
    AutomatedSync,
    Destination,
    SyncPolicy,
)
from driftd.model.condition import Condition, Severity

REPOSITORY = "https://github.com/example/kubernetes-gitops.git"


def _entry(name, cluster, destination, *conditions, automated=None, origin="argocd/apps.yaml"):
    spec = ApplicationSpec(
        project="production",
        source=ApplicationSource(repo_url=REPOSITORY, path=f"clusters/{name}"),
        destination=destination,
        sync_policy=SyncPolicy(automated=automated),
    )
    application = Application(name=name, namespace="argocd", spec=spec, origin=origin)
    target = ClusterTarget(TargetKind.CONTEXT, cluster, destination.server) if cluster else None
    return Entry(
        application=application,
        project=None,
        target=target,
        destination=destination,
        conditions=conditions,
    )


MAPPED = (
    _entry(
        "production-apps",
        "production",
        Destination(server="https://prod.k8s.example.com:6443", namespace="argocd"),
        automated=AutomatedSync(prune=True, self_heal=True),
    ),
    _entry(
        "production-infrastructure",
        "production",
        Destination(server="https://prod.k8s.example.com:6443"),
        automated=AutomatedSync(enabled=False),
        origin="ApplicationSet infrastructure-components",
    ),
    _entry("staging-apps", "stage", Destination(name="staging")),
)
UNMAPPED = _entry(
    "development-apps",
    "",
    Destination(server="https://dev-cluster-api.example.com"),
    Condition(
        "UnknownCluster",
        "no context leads to https://dev-cluster-api.example.com; name one by --cluster",
    ),
)


@pytest.fixture
def catalog(monkeypatch):
    """Set what the repository declares."""

    def set_to(*entries, conditions=()):
        found = Declared(entries=entries, conditions=tuple(conditions), urls=frozenset())
        monkeypatch.setattr(calls, "catalog", lambda options, narrator: found)

    return set_to


def test_apps_table(driftd, catalog, golden):
    """One line for each application, columns aligned."""
    catalog(*MAPPED)
    result = driftd("apps")
    assert result.exit_code == 0
    golden.check("apps.txt", result.stdout)


def test_apps_wide(driftd, catalog, golden):
    """`-o wide` adds namespace, revision, where it is declared, and how it syncs."""
    catalog(*MAPPED)
    golden.check("apps-wide.txt", driftd("apps", "-o", "wide", env={"COLUMNS": "180"}).stdout)


def test_apps_json(driftd, catalog):
    """`-o json` holds every field, `sync` among them."""
    catalog(*MAPPED)
    rows = json.loads(driftd("apps", "-o", "json").stdout)
    assert [row["sync"] for row in rows] == ["automated, prune, selfHeal", "manual", "manual"]
    assert rows[0]["repository"] == [REPOSITORY]
    assert rows[1]["declaredIn"] == "ApplicationSet infrastructure-components"


def test_apps_names(driftd, catalog):
    """`-o name` prints names alone, ready for `xargs driftd check`."""
    catalog(*MAPPED)
    names = "production-apps\nproduction-infrastructure\nstaging-apps\n"
    assert driftd("apps", "-o", "name").stdout == names


def test_clusters_table(driftd, catalog, golden):
    """Destinations are listed once, with the context and the applications that go there."""
    catalog(*MAPPED)
    result = driftd("clusters")
    assert result.exit_code == 0
    golden.check("clusters.txt", result.stdout)


def test_unmapped_destination(driftd, catalog):
    """A destination without context is listed, explained on standard error, and exits 2."""
    catalog(*MAPPED, UNMAPPED)
    result = driftd("clusters", "-o", "json")
    assert result.exit_code == 2
    assert {"destination": "https://dev-cluster-api.example.com", "context": ""}.items() <= (
        json.loads(result.stdout)[0].items()
    )
    assert "development-apps: UnknownCluster: no context leads to" in result.stderr


def test_warnings_do_not_fail(driftd, catalog):
    """A warning is printed, and the list still exits 0."""
    catalog(*MAPPED, conditions=(Condition("NameCollision", "two sets make it", Severity.WARNING),))
    result = driftd("apps")
    assert result.exit_code == 0
    assert result.stderr == "warning: NameCollision: two sets make it\n"


def test_equal_conditions_are_told_once(driftd, catalog):
    """A condition that several applications share is one line with their names."""
    other = msgspec.structs.replace(UNMAPPED.application, name="development-infrastructure")
    catalog(UNMAPPED, dataclasses.replace(UNMAPPED, application=other))
    (line,) = driftd("apps").stderr.splitlines()
    assert line.startswith(
        "error: 2 applications: development-apps, development-infrastructure: UnknownCluster: "
    )


def test_many_applications_are_counted(driftd, catalog):
    """One error for a destination, however many applications go there: three names and a count."""
    application = UNMAPPED.application
    catalog(
        *(
            dataclasses.replace(
                UNMAPPED, application=msgspec.structs.replace(application, name=f"app-{number}")
            )
            for number in range(12)
        )
    )
    for command in ("apps", "clusters"):
        (line,) = driftd(command).stderr.splitlines()
        assert line.startswith("error: 12 applications: app-0, app-1, app-2 and 9 more: Unknown")


def test_wrapped_lines_keep_to_the_width():
    """Wrapping breaks between words only and loses none; without width nothing is wrapped."""
    line = "error: no context leads to https://dev-cluster-api.example.com; name one by --cluster"
    lines = wrapped(line, 50).split("\n")
    assert len(lines) == 3
    assert max(map(len, lines)) <= 50
    assert " ".join(part.strip() for part in lines) == line
    assert wrapped(line, 0) == line


def test_clusters_of_a_fleet_keep_one_line(driftd, catalog):
    """A destination of hundreds of applications takes a short line; `-o wide` and JSON name all."""
    server = Destination(server="https://prod.example.com")
    catalog(*(_entry(f"app-{number:03}", "production", server) for number in range(300)))
    (line,) = driftd("clusters").stdout.splitlines()[1:]
    assert line.endswith("   300: app-000, app-001, app-002 and 297 more")
    assert "app-299" in driftd("clusters", "-o", "wide").stdout
    (found,) = json.loads(driftd("clusters", "-o", "json").stdout)
    assert len(found["applications"]) == 300


def test_many_apps_are_counted(driftd, catalog):
    """Many applications are counted by destination and project; names come on demand."""
    many = [
        _entry(f"shop-{number:03}", cluster, Destination(server=f"https://{cluster}.example.com"))
        for number in range(150)
        for cluster in ("east", "west")
    ]
    catalog(*many)
    result = driftd("apps")
    lines = result.stdout.splitlines()
    assert len(lines) == 3
    assert "150: shop-000, shop-001, shop-002 and 147 more" in lines[1]
    assert result.stderr.startswith("note: 300 applications, counted by destination and project;")
    assert driftd("apps", "-q").stderr == ""
    assert len(driftd("apps", "-o", "wide").stdout.splitlines()) == 301
    assert len(driftd("apps", "-o", "name").stdout.splitlines()) == 300
