"""The views that are compared."""

from __future__ import annotations

import base64
import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.diff.prepare import (
    LAST_APPLIED,
    desired_view,
    last_applied_view,
    live_view,
    removed_labels,
)

TEXTS = st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=8), max_size=4)


def body(kind: str = "ConfigMap", api_version: str = "v1", **more: Any) -> dict[str, Any]:
    """An object of a kind."""
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}, **more}


def test_system_metadata_and_status_are_no_part() -> None:
    """Of the metadata only labels, annotations, finalizers and owners are compared."""
    live = body(status={"a": 1}, data={"k": "v"})
    live["metadata"] |= {
        "uid": "u",
        "resourceVersion": "1",
        "creationTimestamp": None,
        "managedFields": [{}],
        "generation": 3,
        "labels": {"a": "b"},
        "ownerReferences": [{"uid": "o"}],
    }
    expected = {"data": {"k": "v"}, "metadata": {"labels": {"a": "b"},
                                                 "ownerReferences": [{"uid": "o"}]}}  # fmt: skip
    assert desired_view(live) == expected
    assert live_view(live, {}) == expected


@given(TEXTS, TEXTS)
def test_string_data_is_folded(plain: dict[str, str], data: dict[str, str]) -> None:
    """Plain text wins over data and becomes base64; the manifest itself stays as it was."""
    secret = body("Secret", data=data, stringData=plain)
    before = deepcopy(secret)
    view = desired_view(secret)
    assert secret == before
    assert "stringData" not in view
    for name, value in plain.items():
        assert base64.b64decode(view["data"][name]).decode() == value
    for name in data.keys() - plain.keys():
        assert view["data"][name] == data[name]


def test_marks_of_tools_count_only_when_declared() -> None:
    """Tracking marks are left out unless Git declares them itself."""
    marks = {
        LAST_APPLIED: "{}",
        "argocd.argoproj.io/tracking-id": "a",
        "meta.helm.sh/release-name": "r",
        "mine": "x",
    }
    live = body()
    live["metadata"] |= {
        "annotations": dict(marks),
        "labels": {"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": "shop"},
    }
    view = live_view(live, {}, instance_label="app.kubernetes.io/instance")
    assert view["metadata"] == {"annotations": {"mine": "x"}}
    declared = {"metadata": {"annotations": {"meta.helm.sh/release-name": "other"},
                             "labels": {"app.kubernetes.io/instance": "other"}}}  # fmt: skip
    view = live_view(live, declared, instance_label="app.kubernetes.io/instance")
    assert view["metadata"]["annotations"] == {"meta.helm.sh/release-name": "r", "mine": "x"}
    assert view["metadata"]["labels"] == {"app.kubernetes.io/instance": "shop"}


def test_a_map_with_nothing_but_marks_is_there() -> None:
    """Where Git declares annotations or labels, live's are there without any key that counts."""
    live = body()
    live["metadata"] |= {
        "annotations": {"meta.helm.sh/release-name": "r"},
        "labels": {"app.kubernetes.io/managed-by": "Helm"},
    }
    declared = {"metadata": {"annotations": {"backup": "nightly"}, "labels": {"tier": "gold"}}}
    assert live_view(live, declared)["metadata"] == {"annotations": {}, "labels": {}}
    assert live_view(live, {})["metadata"] == {}
    assert live_view(body(), declared)["metadata"] == {}


@pytest.mark.parametrize("value", ["shop", "argocd_shop"])
def test_the_tracking_label_that_names_the_application(value: str) -> None:
    """Argo CD's default label is its mark with the application's name, also over Git's value."""
    instances = frozenset({"shop", "argocd_shop"})
    label = "app.kubernetes.io/instance"
    live = body()
    live["metadata"]["labels"] = {label: value, "other": value}
    assert live_view(live, {}, instances=instances)["metadata"]["labels"] == {"other": value}
    declared = {"metadata": {"labels": {label: "release"}}}
    view = live_view(live, declared, instances=instances)
    assert view["metadata"]["labels"] == {label: "release", "other": value}


def test_the_tracking_label_of_another_application() -> None:
    """With any other value, or where no name is known, the label is compared as all others."""
    label = "app.kubernetes.io/instance"
    live = body()
    live["metadata"]["labels"] = {label: "mallory"}
    declared = {"metadata": {"labels": {label: "release"}}}
    for wanted in ({}, declared):
        for instances in (frozenset({"shop"}), frozenset[str]()):
            view = live_view(live, wanted, instances=instances)
            assert view["metadata"]["labels"] == {label: "mallory"}


def test_managed_by_is_helms_only() -> None:
    """The label is a tool's mark with Helm's value alone."""
    live = body()
    live["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "mallory"}
    assert live_view(live, {})["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "mallory"}


@pytest.mark.parametrize("kind", ["Job", "ReplicationController", "Deployment"])
def test_labels_that_the_server_takes_from_the_template(kind: str) -> None:
    """A Job without labels gets its template's; a Deployment never does, nor one with labels."""
    template = {"metadata": {"labels": {"app": "web", "tier": "front"}}}
    declared = body(kind, spec={"template": template})
    live = deepcopy(declared)
    live["metadata"]["labels"] = {"app": "web", "tier": "back", "mine": "yes"}
    left = {"tier": "back", "mine": "yes"}
    expected = left if kind != "Deployment" else {"app": "web", **left}
    assert live_view(live, desired_view(declared))["metadata"]["labels"] == expected
    declared["metadata"]["labels"] = {"mine": "yes"}
    whole = live["metadata"]["labels"]
    assert live_view(live, desired_view(declared))["metadata"]["labels"] == whole


@pytest.mark.parametrize(
    ("selector", "left"),
    [
        ({}, None),
        (None, None),
        ({"matchLabels": {}}, None),
        ({"matchLabels": {"app": "once"}}, {"matchLabels": {"app": "once"}}),
    ],
)
def test_empty_selector_of_a_job(selector: Any, left: Any) -> None:
    """An empty selector leaves the choice to the API server, unless the Job chooses by hand."""
    body = {"apiVersion": "batch/v1", "kind": "Job", "spec": {"selector": selector}}
    assert desired_view(body)["spec"].get("selector") == left
    body["spec"]["manualSelector"] = True
    assert desired_view(body)["spec"]["selector"] == selector


def test_generated_labels_of_a_job() -> None:
    """Labels that repeat the Job's uid and name are left out; other values stay."""
    generated = {"batch.kubernetes.io/controller-uid": "u", "job-name": "x"}
    job = body("Job", "batch/v1")
    job["metadata"] |= {"uid": "u", "labels": dict(generated)}
    template: dict[str, Any] = {"metadata": {"labels": {**generated, "app": "a"}}, "spec": {}}
    job["spec"] = {"template": template}
    view = live_view(job, {})
    assert view["metadata"] == {}
    assert view["spec"]["template"] == {"metadata": {"labels": {"app": "a"}}, "spec": {}}
    job["metadata"]["labels"]["job-name"] = "other"
    assert live_view(job, {})["metadata"] == {"labels": {"job-name": "other"}}


@pytest.mark.parametrize(
    ("labels", "wanted", "gone"),
    [
        ({"job-name": "x"}, {}, ["controller-uid"]),
        ({"job-name": "x", "controller-uid": "u"}, {}, []),
        ({"team": "x"}, {}, []),
        ({}, {}, []),
        ({"job-name": "x"}, {"controller-uid": "u"}, []),
        ({"job-name": "x"}, {"job-name": "x"}, []),
    ],
)
def test_removed_labels_of_a_job(
    labels: dict[str, str], wanted: dict[str, str], gone: list[str]
) -> None:
    """Some of the generated labels are gone; all of them, and those of Git, tell nothing."""
    job = body("Job", "batch/v1")
    job["metadata"] |= {"uid": "u", "labels": labels}
    made = {"controller-uid": "u", "job-name": "x", "app": "a"}
    job["spec"] = {"template": {"metadata": {"labels": made}, "spec": {}}}
    desired: dict[str, Any] = {"metadata": {"labels": wanted}}
    assert removed_labels(job, desired) == gone
    assert removed_labels({**job, "kind": "Deployment"}, desired) == []


TOKEN = {
    "name": "kube-api-access-x1",
    "projected": {
        "sources": [
            {"serviceAccountToken": {"path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt"}},
            {"downwardAPI": {"items": []}},
        ]
    },
}
MOUNT = {"name": "kube-api-access-x1", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
NOT_READY = {
    "key": "node.kubernetes.io/not-ready",
    "operator": "Exists",
    "effect": "NoExecute",
    "tolerationSeconds": 300,
}


def pod(**spec: Any) -> dict[str, Any]:
    """A Pod."""
    return body("Pod", spec={"containers": [{"name": "a"}], **spec})


def test_admission_of_a_pod() -> None:
    """The token volume, its mounts and the two tolerations of every Pod are left out."""
    live = pod(volumes=[{"name": "mine", "emptyDir": {}}, TOKEN], tolerations=[NOT_READY])
    live["spec"]["containers"][0]["volumeMounts"] = [MOUNT]
    before = deepcopy(live)
    view = live_view(live, {})
    assert live == before
    assert view["spec"] == {
        "containers": [{"name": "a"}],
        "volumes": [{"name": "mine", "emptyDir": {}}],
    }


def test_what_only_looks_like_admission_of_a_pod() -> None:
    """A volume of that name with something else inside, and other tolerations, stay."""
    evil = {"name": "kube-api-access-y", "hostPath": {"path": "/"}}
    other = {"name": "kube-api-access-z", "projected": {"sources": [{"secret": {"name": "s"}}]}}
    forever = {**NOT_READY, "tolerationSeconds": 301}
    for volume in (evil, other):
        spec = live_view(pod(volumes=[volume], tolerations=[forever]), {})["spec"]
        assert spec.get("tolerations") == [forever]
        assert spec.get("volumes") == [volume]


def test_declared_admission_of_a_pod() -> None:
    """What Git declares itself is compared."""
    declared = {"spec": {"volumes": [TOKEN], "tolerations": [NOT_READY]}}
    view = live_view(pod(volumes=[TOKEN], tolerations=[NOT_READY]), declared)
    assert view["spec"]["volumes"] == [TOKEN]
    assert view["spec"]["tolerations"] == [NOT_READY]


def test_last_applied_record() -> None:
    """The record is read as a desired view; a broken or absent one is none."""
    live = body()
    assert last_applied_view(live, {}) is None
    for text, expected in (
        (json.dumps(body(data={"a": "b"})), {"data": {"a": "b"}, "metadata": {}}),
        ("{", None),
        ("[]", None),
    ):
        live["metadata"]["annotations"] = {LAST_APPLIED: text}
        assert last_applied_view(live, {}) == expected
