"""Audit events in every shape in which clusters and clouds hand them out."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.cluster.auditevents import manager_of, seen, seen_in_text
from driftd.model.audit import AuditedObject, AuditedWrite
from tests.unit.cluster.audited import (
    AGENT,
    azure,
    cloudwatch,
    event,
    gke,
    subscription,
    text,
)

WEB = AuditedObject("apps", "deployments", "shop", "web")


def writes(value: Any) -> list[AuditedWrite]:
    """The writes that a JSON value tells of."""
    return [one.write for one in seen(text(value).encode()) if one.write is not None]


def test_native_event() -> None:
    """A native event gives object, person, tool, address, field manager and both times."""
    (write,) = writes(event())
    assert (write.target, write.version) == (WEB, "v1")
    assert (write.verb, write.user, write.groups) == (
        "patch",
        "alice@example.com",
        ("dev", "system:authenticated"),
    )
    assert (write.user_agent, write.source_ips) == (AGENT, ("192.0.2.7",))
    assert (write.manager, write.manager_named, write.manager_known) == ("kubectl-edit", True, True)
    assert write.completed - write.received == pytest.approx(0.5)
    assert write.audit_id.startswith("8f2d4c1e")


@pytest.mark.parametrize(
    "fields",
    [
        {"verb": "get"},
        {"verb": "watch"},
        {"stage": "RequestReceived"},
        {"stage": "Panic"},
        {"responseStatus": {"code": 409}},
        {"responseStatus": {"code": 403, "status": "Failure"}},
        {"responseStatus": None},
        {"objectRef": None},
        {"requestURI": "/apis/apps/v1/namespaces/shop/deployments/web?dryRun=All&fieldManager=x"},
        {
            "verb": "delete",
            "requestObject": {"kind": "DeleteOptions", "apiVersion": "v1", "dryRun": ["All"]},
        },
    ],
    ids=str,
)
def test_no_write(fields: dict[str, Any]) -> None:
    """Reads, other stages, refused requests and dry runs are events, and no writes."""
    found = list(seen(text(event(**fields)).encode()))
    assert [one.write for one in found] == [None]


@pytest.mark.parametrize("verb", ["create", "update", "patch", "delete", "deletecollection"])
def test_write_verbs(verb: str) -> None:
    """Each verb that changes objects is a write."""
    assert [one.verb for one in writes(event(verb=verb))] == [verb]


def test_impersonation() -> None:
    """Of an impersonated request both users are known, with the groups that it was done with."""
    (write,) = writes(event(impersonatedUser={"username": "bob", "groups": ["ops"]}))
    assert write.person == ("alice@example.com", "bob")
    assert write.groups == ("ops",)


def test_manager_of_the_user_agent() -> None:
    """Without fieldManager the manager is the user agent up to its slash, as the server has it."""
    (write,) = writes(event(requestURI="/apis/apps/v1/namespaces/shop/deployments/web"))
    assert (write.manager, write.manager_named) == ("kubectl", False)
    assert manager_of("my\x00-operator\u202e") == "my-operator"
    assert manager_of("ü" * 100) == "ü" * 64
    assert manager_of("") == ""


def test_name_of_a_created_object() -> None:
    """A created object's name is taken from its body where the reference lacks it."""
    target = {"resource": "deployments", "namespace": "shop", "apiGroup": "apps"}
    body = {"metadata": {"generateName": "web-"}}
    answer = {"metadata": {"name": "web-x7"}}
    (write,) = writes(
        event(verb="create", objectRef=target, requestObject=body, responseObject=answer)
    )
    assert write.target.name == "web-x7"


def test_namespaces_are_no_members_of_themselves() -> None:
    """A Namespace is cluster-scoped, though the API server names it as its own namespace."""
    target = {"resource": "namespaces", "namespace": "shop", "name": "shop"}
    (write,) = writes(event(objectRef=target))
    assert write.target == AuditedObject("", "namespaces", "", "shop")


def test_bodies_are_kept_for_what_sets_fields() -> None:
    """Bodies of patches are kept; a cloud's word in the place of a big one is none."""
    assert writes(event(requestObject={"spec": {"replicas": 2}}))[0].body == (
        b'{"spec":{"replicas":2}}'
    )
    assert writes(event(requestObject="skipped-too-big-size-object"))[0].body == b""
    assert writes(event(verb="delete", requestObject={"kind": "DeleteOptions"}))[0].body == b""


def test_what_clients_say_is_cut() -> None:
    """What clients say fills no memory, and hides no address: the connection's own is the last."""
    said = ["192.0.2.7"] * 10_000
    (write,) = writes(event(userAgent="x" * 100_000, sourceIPs=[*said, "198.51.100.9"]))
    assert len(write.user_agent) == 256
    assert write.source_ips == (*said[:7], "198.51.100.9")


def test_event_list() -> None:
    """An EventList and a JSON array hold events."""
    document = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [event(), event()]}
    assert len(writes(document)) == len(writes([event(), event()])) == 2


def test_gke() -> None:
    """An entry of Cloud Logging: object from resourceName, verb from methodName, the caller."""
    (write,) = writes(gke(request={"spec": {"replicas": 2}}))
    assert (write.target, write.verb, write.user) == (WEB, "patch", "alice@example.com")
    assert (write.user_agent, write.source_ips, write.audit_id) == (AGENT, ("192.0.2.7",), "op-1")
    assert (write.manager, write.manager_known) == ("kubectl", False)
    assert write.body == b'{"spec":{"replicas":2}}'


@pytest.mark.parametrize(
    ("name", "method", "target", "subresource"),
    [
        ("core/v1/namespaces/shop/services/web", "io.k8s.core.v1.services.update",
         AuditedObject("", "services", "shop", "web"), ""),
        ("core/v1/namespaces/shop", "io.k8s.core.v1.namespaces.patch",
         AuditedObject("", "namespaces", "", "shop"), ""),
        ("rbac.authorization.k8s.io/v1/clusterrolebindings/all",
         "io.k8s.authorization.rbac.v1.clusterrolebindings.create",
         AuditedObject("rbac.authorization.k8s.io", "clusterrolebindings", "", "all"), ""),
        ("apps/v1/namespaces/shop/deployments/web/scale",
         "io.k8s.apps.v1.deployments.scale.update", WEB, "scale"),
        ("apps/v1/namespaces/shop/deployments", "io.k8s.apps.v1.deployments.deletecollection",
         AuditedObject("apps", "deployments", "shop", ""), ""),
    ],
)  # fmt: skip
def test_gke_names(name: str, method: str, target: AuditedObject, subresource: str) -> None:
    """GKE's resource names: core group, cluster-scoped, subresources, collections."""
    (write,) = writes(gke(resourceName=name, methodName=method))
    assert (write.target, write.subresource, write.version) == (target, subresource, "v1")


def test_gke_failures_and_others() -> None:
    """Refused calls are no writes, and other services' entries are no events of a cluster."""
    assert writes(gke(status={"code": 7, "message": "PERMISSION_DENIED"})) == []
    assert len(writes(gke(status={}))) == 1
    assert list(seen(text(gke(methodName="google.container.v1.Clusters.Get")).encode())) == []


@pytest.mark.parametrize("wrap", [cloudwatch, subscription])
def test_eks(wrap: Any) -> None:
    """CloudWatch's answers and deliveries hold native events as text, beside other lines."""
    (write,) = writes(wrap("I0301 12:00:00.000001 leader election lost", text(event())))
    assert (write.target, write.user) == (WEB, "alice@example.com")


def test_eks_insights_and_s3() -> None:
    """A result of Logs Insights has `@message`, as text or parsed; S3 has a time before it."""
    assert len(writes([{"@timestamp": "2026-03-01", "@message": text(event())}])) == 1
    assert len(writes([{"@timestamp": "2026-03-01", "@message": event()}])) == 1
    assert len(list(seen_in_text(f"2026-03-01T12:00:00.750Z {text(event())}"))) == 1
    assert list(seen_in_text("2026-03-01T12:00:00.750Z leader election {lost}")) == []


def test_aks() -> None:
    """Azure's records hold the native event as text, in a list or alone; other categories none."""
    records = {"records": [azure(text(event())), azure("I0301 scheduler", "kube-scheduler")]}
    (write,) = writes(records)
    assert (write.target, write.user) == (WEB, "alice@example.com")
    assert len(writes(azure(text(event()), "kube-audit-admin"))) == 1
    assert len(writes({"Category": "kube-audit", "log_s": text(event())})) == 1


@pytest.mark.parametrize(
    "broken", ["{", '{"kind":"Event"', "[1", text(event(stageTimestamp="yesterday"))]
)
def test_what_is_broken_is_said(broken: str) -> None:
    """What is no JSON, and events with senseless times, raise ValueError."""
    with pytest.raises(ValueError):  # noqa: PT011 - several parsers' own words
        list(seen(broken.encode()))


def test_others_are_left_out() -> None:
    """JSON that is no audit event is none, and no error."""
    for value in ({"kind": "Event", "apiVersion": "v1"}, {"message": 3}, 7, "x", [], {}):
        assert list(seen(text(value).encode())) == []
