"""A hub's documents, and hubs of which parts cannot be read."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from driftd.cluster.hub import parse_application, parse_project, read_hub
from driftd.cluster.kube import KubeCluster
from driftd.cluster.transport import Transport
from driftd.model.condition import Severity

APPLICATIONS = "/apis/argoproj.io/v1alpha1/applications"
PROJECTS = "/apis/argoproj.io/v1alpha1/namespaces/argocd/appprojects"
SECRETS = "/api/v1/namespaces/argocd/secrets"
CONFIG_MAPS = "/api/v1/namespaces/argocd/configmaps"
CONFIG = f"{CONFIG_MAPS}/argocd-cm"


def application(status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """An Application as the API server serves it."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": "shop", "namespace": "argocd", "labels": {"team": "a"}},
        "spec": {"project": "default", "destination": {"name": "prod"}, **spec},
        "status": status or {},
    }


def revisions(status: dict[str, Any]) -> tuple[str, ...]:
    """The synced revisions of an Application with this status."""
    body = json.dumps(application(status)).encode()
    return parse_application(body, origin="hub h", tracking="label").synced_revisions


def test_application_keeps_what_was_served() -> None:
    """Fields, origin, tracking and the whole document are there; null is absent."""
    source = {
        "repoURL": "https://git/x",
        "path": "apps",
        "helm": None,
        "kustomize": {"images": None},
    }
    body = json.dumps(application(source=source, sources=None)).encode()
    parsed = parse_application(body, origin="hub h", tracking="label")
    assert parsed.qualified_name == "argocd/shop"
    assert parsed.origin == "hub h"
    assert parsed.tracking == "label"
    assert parsed.labels == {"team": "a"}
    assert parsed.spec.destination.name == "prod"
    (only,) = parsed.spec.all_sources
    assert only.path == "apps"
    assert only.helm is None
    assert only.kustomize is not None
    assert parsed.raw["spec"]["source"]["helm"] is None


def test_null_in_helm_values_is_a_value() -> None:
    """In valuesObject null removes a chart's default, so it is kept."""
    helm = {"valuesObject": {"a": None}, "releaseName": None}
    body = json.dumps(application(source={"repoURL": "x", "helm": helm})).encode()
    (source,) = parse_application(body, origin="", tracking="").spec.all_sources
    assert source.helm is not None
    assert source.helm.values_object == {"a": None}


def test_compared_revision_counts_only_while_synced() -> None:
    """status.sync.revision is what was compared with; out of sync, the last sync counts."""
    history = [{"revision": "h1"}, {"revision": "h2"}]
    operation = {"phase": "Succeeded", "syncResult": {"revision": "op"}}
    sync = {"status": "OutOfSync", "revision": "new"}
    assert revisions({"sync": {"status": "Synced", "revision": "new"}}) == ("new",)
    assert revisions({"sync": sync, "operationState": operation, "history": history}) == ("op",)
    failed = {**operation, "phase": "Failed"}
    assert revisions({"sync": sync, "operationState": failed, "history": history}) == ("h2",)
    assert revisions({"sync": sync}) == ()
    assert revisions({}) == ()


@pytest.mark.parametrize("sync", [{"dryRun": True}, {"resources": [{"kind": "Service"}]}])
def test_an_operation_that_is_no_whole_sync_brings_nothing(sync: dict[str, Any]) -> None:
    """After a dry run, or a sync of chosen resources, the last whole sync counts still."""
    operation = {
        "phase": "Succeeded",
        "operation": {"sync": sync},
        "syncResult": {"revision": "op"},
    }
    status = {"sync": {"status": "OutOfSync", "revision": "op"}, "operationState": operation}
    assert revisions({**status, "history": [{"revision": "h1"}]}) == ("h1",)
    assert revisions(status) == ()


def test_revisions_of_several_sources() -> None:
    """A multi-source Application has one revision a source."""
    assert revisions({"sync": {"status": "Synced", "revisions": ["a", "b"]}}) == ("a", "b")


COMMIT = "c" * 40
GIT, VALUES = {"repoURL": "https://git/x.git"}, {"repoURL": "https://git/x", "ref": "values"}
CHART = {"repoURL": "https://charts", "chart": "redis", "targetRevision": "1.2.3"}


@pytest.mark.parametrize(
    ("sources", "status", "expected"),
    [
        ([VALUES, GIT], {}, (COMMIT, COMMIT)),
        ([VALUES, CHART], {}, (COMMIT, "1.2.3")),
        ([VALUES, {**CHART, "targetRevision": "1.*"}], {}, (COMMIT,)),
        ([GIT, {**GIT, "targetRevision": "next"}], {}, (COMMIT,)),
        ([GIT, {"repoURL": "https://git/y"}], {}, (COMMIT,)),
        (
            [GIT, {"repoURL": "https://git/y"}],
            {"history": [{"revisions": [COMMIT, "d"]}]},
            (COMMIT, "d"),
        ),
        ([GIT, {"repoURL": "https://git/y"}], {"history": [{"revisions": ["o", "d"]}]}, (COMMIT,)),
    ],
)
def test_one_revision_of_several_sources(
    sources: list[dict[str, Any]], status: dict[str, Any], expected: tuple[str, ...]
) -> None:
    """One commit counts for each source that follows it for certain, or as the history has it."""
    sync = {"status": "Synced", "revision": COMMIT}
    body = json.dumps(application({"sync": sync, **status}, sources=sources)).encode()
    parsed = parse_application(body, origin="hub h", tracking="label")
    assert parsed.synced_revisions == expected


def test_invalid_application_names_the_field() -> None:
    """A field of the wrong type is named."""
    body = json.dumps(application(destination="prod")).encode()
    with pytest.raises(msgspec.ValidationError, match=r"spec\.destination"):
        parse_application(body, origin="", tracking="")


def test_project() -> None:
    """An AppProject's limits are read."""
    body = json.dumps(
        {"metadata": {"name": "p", "namespace": "argocd"}, "spec": {"sourceRepos": ["https://*"]}}
    ).encode()
    project = parse_project(body, "hub h")
    assert (project.name, project.origin) == ("p", "hub h")
    assert project.spec.source_repos == ("https://*",)


@pytest.fixture
async def reader(server, waits, replies) -> AsyncIterator[KubeCluster]:
    """The scripted server as a hub with nothing in it."""
    for path in (APPLICATIONS, PROJECTS, SECRETS):
        server.on(path, replies.answer({"metadata": {}, "items": []}))
    server.on(CONFIG, replies.answer({"kind": "ConfigMap", "metadata": {"name": "argocd-cm"}}))
    for name in ("argocd-ssh-known-hosts-cm", "argocd-tls-certs-cm"):
        gone = {"kind": "Status", "reason": "NotFound", "details": {"name": name}}
        server.on(f"{CONFIG_MAPS}/{name}", replies.answer(gone, 404))
    async with KubeCluster(Transport(server.access, wait=waits)) as cluster:
        yield cluster


async def test_empty_hub_has_the_defaults(server, reader) -> None:
    """Without settings it is tracking by annotation; Secrets are asked for by label only."""
    hub = await read_hub(reader, "h")
    assert hub.conditions == ()
    assert hub.tracking.method == "annotation"
    assert hub.tracking.instance_label == "app.kubernetes.io/instance"
    (query,) = server.queries(SECRETS)
    assert query["labelSelector"] == (
        "argocd.argoproj.io/secret-type in (cluster, repository, repo-creds)"
    )


async def test_repositories_of_a_hub(server, reader, replies) -> None:
    """Repository Secrets, templates, host keys and certificates are told apart from clusters."""

    def secret(name: str, kind: str, **fields: str) -> dict[str, Any]:
        return {
            "metadata": {
                "name": name,
                "namespace": "argocd",
                "labels": {"argocd.argoproj.io/secret-type": kind},
            },
            "data": {key: base64.b64encode(text.encode()).decode() for key, text in fields.items()},
        }

    items = [
        secret("c", "cluster", server="https://a"),
        secret("r", "repository", url="https://charts.example.com", type="helm", password="x"),
        secret("t", "repo-creds", url="https://git.example.com", username="bot"),
        secret("bad", "repository", type="git"),
    ]
    server.on(SECRETS, replies.answer({"metadata": {}, "items": items}))
    pem = "-----BEGIN CERTIFICATE-----"
    for name, data in (
        ("argocd-ssh-known-hosts-cm", {"ssh_known_hosts": "git.example.com ssh-ed25519 AAAA"}),
        ("argocd-tls-certs-cm", {"Git.example.com": pem}),
    ):
        found = {"kind": "ConfigMap", "metadata": {"name": name}, "data": data}
        server.on(f"{CONFIG_MAPS}/{name}", replies.answer(found))
    hub = await read_hub(reader, "h")
    assert [one.server for one in hub.clusters] == ["https://a"]
    assert [(one.url, one.type, one.template) for one in hub.access.entries] == [
        ("https://charts.example.com", "helm", False),
        ("https://git.example.com", "git", True),
    ]
    assert hub.access.known_hosts == "git.example.com ssh-ed25519 AAAA"
    assert hub.access.certificates == {"git.example.com": pem}
    (condition,) = hub.conditions
    assert condition.message == (
        "repository Secret argocd/bad: url is missing; Argo CD needs it too"
    )


async def test_whether_all_applications_are_known(server, reader, replies) -> None:
    """One that is not readable, or a refusal, leaves some unknown."""
    assert (await read_hub(reader, "h")).applications_known
    bad = {"metadata": {"name": "bad", "namespace": "argocd"}, "spec": []}
    server.on(APPLICATIONS, replies.answer({"metadata": {}, "items": [bad]}))
    assert not (await read_hub(reader, "h")).applications_known
    server.on(APPLICATIONS, replies.answer({"kind": "Status", "reason": "Forbidden"}, 403))
    assert not (await read_hub(reader, "h")).applications_known


async def test_tracking_settings(server, reader, replies) -> None:
    """argocd-cm says how objects are tracked; an unknown method is a condition."""
    data = {
        "application.resourceTrackingMethod": "annotation+label",
        "application.instanceLabelKey": "example.com/app",
        "kustomize.buildOptions": "--enable-helm",
        "url": "https://argocd.example.com",
    }
    config = {"kind": "ConfigMap", "metadata": {"name": "argocd-cm"}, "data": data}
    server.on(CONFIG, replies.answer(config))
    hub = await read_hub(reader, "h")
    assert (hub.tracking.method, hub.tracking.instance_label) == (
        "annotation+label",
        "example.com/app",
    )
    assert hub.tracking.settings == {"kustomize.buildOptions": "--enable-helm"}
    data["application.resourceTrackingMethod"] = "magic"
    server.on(CONFIG, replies.answer(config))
    hub = await read_hub(reader, "h")
    assert [condition.message for condition in hub.conditions] == [
        "argocd-cm: unknown application.resourceTrackingMethod 'magic'"
    ]


async def test_settings_that_cannot_be_read(server, reader, replies) -> None:
    """An argocd-cm of another shape is a condition; the defaults are used."""
    server.on(CONFIG, replies.answer({"metadata": {"name": "argocd-cm"}, "data": ["x"]}))
    hub = await read_hub(reader, "h")
    assert hub.tracking.method == "annotation"
    (condition,) = hub.conditions
    assert "ConfigMap argocd-cm on the hub" in condition.message


async def test_one_part_that_fails_stops_no_other(server, reader, replies) -> None:
    """Forbidden Secrets and a missing argocd-cm are conditions; Applications are there."""
    server.on(APPLICATIONS, replies.answer({"metadata": {}, "items": [application()]}))
    server.on(SECRETS, replies.refusal(403, "Forbidden", "no secrets"))
    status = {"reason": "NotFound", "message": "no", "details": {"name": "argocd-cm"}}
    server.on(CONFIG, replies.answer(status, 404))
    hub = await read_hub(reader, "h")
    assert [app.qualified_name for app in hub.applications] == ["argocd/shop"]
    config, secrets = hub.conditions
    assert (config.type, config.severity) == ("HubDefaultsAssumed", Severity.WARNING)
    assert "argocd/argocd-cm" in config.message
    assert "cluster Secrets are not known" in secrets.message
    assert "no secrets" in secrets.message
    assert secrets.severity is Severity.ERROR


async def test_one_bad_document_stops_no_other(server, reader, replies) -> None:
    """A bad Application and an unusable Secret are conditions that name them."""
    bad = application(destination="x")
    bad["metadata"]["name"] = "bad"
    server.on(APPLICATIONS, replies.answer({"metadata": {}, "items": [bad, application()]}))

    def encoded(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    secrets = [
        {
            "metadata": {"name": "aws", "namespace": "argocd"},
            "data": {"server": encoded("https://a"), "config": encoded('{"awsAuthConfig":{}}')},
        },
        {
            "metadata": {"name": "good", "namespace": "argocd"},
            "data": {"server": encoded("https://b"), "name": encoded("b")},
        },
        {"metadata": {"name": "odd", "namespace": "argocd"}, "data": "s3cret"},
    ]
    server.on(SECRETS, replies.answer({"metadata": {}, "items": secrets}))
    hub = await read_hub(reader, "h")
    assert [app.name for app in hub.applications] == ["shop"]
    assert [cluster.name for cluster in hub.clusters] == ["b"]
    messages = [condition.message for condition in hub.conditions]
    assert len(messages) == 3
    assert "Application.argoproj.io argocd/bad on the hub" in messages[0]
    assert "spec.destination" in messages[0]
    assert "awsAuthConfig is not supported" in messages[1]
    assert "Secret argocd/odd" in messages[2]
    assert "s3cret" not in "".join(messages)


async def test_applications_of_some_namespaces(server, reader, replies) -> None:
    """With namespaces given, only Applications of these count, few or many of them."""
    path = "/apis/argoproj.io/v1alpha1/namespaces/team-a/applications"
    mine, other = application(), application()
    mine["metadata"]["namespace"] = "team-a"
    server.on(path, replies.answer({"metadata": {}, "items": [mine]}))
    server.on(APPLICATIONS, replies.answer({"metadata": {}, "items": [mine, other]}))
    few = await read_hub(reader, "h", application_namespaces=["team-a"])
    assert server.queries(APPLICATIONS) == []
    many = await read_hub(
        reader, "h", application_namespaces=["team-a", *(f"x{number}" for number in range(5))]
    )
    assert len(server.queries(APPLICATIONS)) == 1
    for hub in (few, many):
        assert [app.qualified_name for app in hub.applications] == ["team-a/shop"]


GPG_KEYS = "/api/v1/namespaces/argocd/configmaps/argocd-gpg-keys-cm"


def signing_project(**spec: Any) -> dict[str, Any]:
    """An AppProject as the API server serves it."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AppProject",
        "metadata": {"name": "team", "namespace": "argocd"},
        "spec": spec,
    }


async def test_keys_are_read_only_where_a_project_asks(server, reader, replies) -> None:
    """argocd-gpg-keys-cm is asked for once some project demands signatures, and not before."""
    keys = {"metadata": {"name": "argocd-gpg-keys-cm"}, "data": {"AB": "armoured"}}
    server.on(GPG_KEYS, replies.answer(keys))
    hub = await read_hub(reader, "h")
    assert (hub.gpg_keys, server.queries(GPG_KEYS)) == ({}, [])
    demanding = signing_project(signatureKeys=[{"keyID": "D56C4FCA57A46444"}])
    server.on(PROJECTS, replies.answer({"metadata": {}, "items": [demanding]}))
    hub = await read_hub(reader, "h")
    assert (hub.gpg_keys, hub.gpg_problem) == ({"AB": "armoured"}, "")


async def test_unreadable_keys_are_told_not_taken_for_none(server, reader, replies) -> None:
    """Why the keys are not known goes with the hub, for the verdicts that need them."""
    policy = {"repos": [{"url": "*"}], "gpg": {"mode": "strict", "keys": ["A" * 16]}}
    demanding = signing_project(sourceIntegrity={"git": {"policies": [policy]}})
    server.on(PROJECTS, replies.answer({"metadata": {}, "items": [demanding]}))
    server.on(GPG_KEYS, replies.refusal(403, "Forbidden", "no keys"))
    hub = await read_hub(reader, "h")
    assert hub.gpg_keys == {}
    assert "argocd-gpg-keys-cm is not known" in hub.gpg_problem
    (project,) = hub.projects
    assert project.spec.source_integrity is not None
    status = {"reason": "NotFound", "message": "no", "details": {"name": "argocd-gpg-keys-cm"}}
    server.on(GPG_KEYS, replies.answer(status, 404))
    hub = await read_hub(reader, "h")
    assert hub.gpg_problem == "there is no ConfigMap argocd/argocd-gpg-keys-cm on the hub"
