"""What rendered documents amount to: addresses, lists, hooks, duplicates, invalid objects."""

from __future__ import annotations

import json
import time
import tracemalloc
from typing import Any

import pytest

from driftd.model.condition import Severity
from driftd.model.resource import ResourceKey
from driftd.render.manifests import Processed, RenderedDocument, process

SCOPES = {
    ("", "ConfigMap"): True,
    ("", "Namespace"): False,
    ("batch", "Job"): True,
    ("apps", "Deployment"): True,
    ("rbac.authorization.k8s.io", "ClusterRole"): False,
}


def _scopes(group: str, kind: str) -> bool | None:
    return SCOPES.get((group, kind))


def _object(name: Any = "one", kind: str = "ConfigMap", **fields: Any) -> dict[str, Any]:
    metadata = {"name": name, **fields.pop("metadata", {})}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **fields}


def _process(*values: Any, namespace: str = "app") -> Processed:
    documents = [
        RenderedDocument(0, "app/file.yaml", number, json.dumps(value).encode())
        for number, value in enumerate(values)
    ]
    return process(documents, namespace=namespace, scopes=_scopes)


def _keys(processed: Processed) -> list[str]:
    return [str(manifest.key) for manifest in processed.manifests]


def test_the_destination_namespace_is_the_default_only() -> None:
    """A namespaced object without namespace gets the destination's; a written one stays."""
    done = _process(_object(), _object("two", metadata={"namespace": "other"}))
    assert _keys(done) == ["ConfigMap app/one", "ConfigMap other/two"]
    assert json.loads(done.manifests[0].body)["metadata"]["namespace"] == "app"
    assert done.conditions == ()


def test_cluster_scoped_objects_lose_their_namespace_with_a_warning() -> None:
    """A namespace on a cluster-scoped object is dropped, in the key and in the body."""
    done = _process(
        _object("n", "Namespace", metadata={"namespace": "x"}), _object("m", "Namespace")
    )
    assert _keys(done) == ["Namespace n", "Namespace m"]
    assert "namespace" not in json.loads(done.manifests[0].body)["metadata"]
    assert [c.severity for c in done.conditions] == [Severity.WARNING]
    assert "app/file.yaml, document 1" in done.conditions[0].message


@pytest.mark.parametrize(("scope", "place"), [("Cluster", "one"), ("Namespaced", "app/one")])
def test_a_definition_in_the_same_render_tells_the_scope(scope: str, place: str) -> None:
    """The kinds of a CustomResourceDefinition in the render have its scope, in any order."""
    custom = {**_object("one", "Widget"), "apiVersion": "example.com/v1"}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "names": {"kind": "Widget"}, "scope": scope},
    }
    assert _keys(_process(custom, definition))[0] == f"Widget.example.com {place}"


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
        ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
        ("storage.k8s.io/v1", "StorageClass"),
        ("cert-manager.io/v1", "ClusterIssuer"),
        ("constraints.gatekeeper.sh/v1beta1", "K8sRequiredLabels"),
    ],
)
def test_common_kinds_without_namespace_need_no_discovery(api_version: str, kind: str) -> None:
    """A kind that is cluster-scoped on every cluster gets no namespace where none is read."""
    done = _process({**_object("one", kind), "apiVersion": api_version})
    assert _keys(done) == [f"{kind}.{api_version.partition('/')[0]} one"]
    assert "namespace" not in json.loads(done.manifests[0].body)["metadata"]


def test_a_definition_outranks_what_is_known_of_its_kind() -> None:
    """What a definition in the render says of a kind holds, whatever is usual."""
    issuer = {**_object("one", "ClusterIssuer"), "apiVersion": "cert-manager.io/v1"}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "clusterissuers.cert-manager.io"},
        "spec": {
            "group": "cert-manager.io", "names": {"kind": "ClusterIssuer"}, "scope": "Namespaced",
        },
    }  # fmt: skip
    assert _keys(_process(issuer, definition))[0] == "ClusterIssuer.cert-manager.io app/one"


def test_an_unknown_scope_keeps_what_is_written() -> None:
    """A kind that nobody knows gets the destination namespace, if there is one, and no error."""
    custom = {**_object("one", "Widget"), "apiVersion": "example.com/v1"}
    assert _keys(_process(custom)) == ["Widget.example.com app/one"]
    assert _keys(_process(custom, namespace="")) == ["Widget.example.com one"]


def test_no_namespace_anywhere_is_an_error() -> None:
    """A namespaced object of an Application without destination namespace is left out."""
    done = _process(_object(), namespace="")
    assert done.manifests == ()
    assert done.conditions[0].message == (
        "app/file.yaml, document 1: metadata.namespace of ConfigMap one is missing, and the "
        "Application has no spec.destination.namespace; set either; the object is left out"
    )


def test_objects_without_a_namespace_are_told_together() -> None:
    """One condition for all of an application: some by name, the rest counted."""
    done = _process(*(_object(name) for name in "abcde"), namespace="")
    assert done.manifests == ()
    (told,) = done.conditions
    assert told.severity is Severity.ERROR
    assert told.message.startswith(
        "app/file.yaml: metadata.namespace of ConfigMap a, ConfigMap b, ConfigMap c and 2 more is "
        "missing, and the Application"
    )
    assert told.message.endswith("; the objects are left out")


def test_lists_are_unwrapped_in_order() -> None:
    """`List` and typed lists are their items, nested up to five deep."""
    inner = {"apiVersion": "v1", "kind": "ConfigMapList", "items": [_object("b"), _object("c")]}
    outer = {"apiVersion": "v1", "kind": "List", "items": [_object("a"), inner]}
    assert [m.key.name for m in _process(outer, _object("d")).manifests] == ["a", "b", "c", "d"]
    assert _process({"apiVersion": "v1", "kind": "List", "items": None}).conditions == ()


def test_lists_nested_too_deep_are_refused_and_nothing_else() -> None:
    """S-33: a thousand nested lists end at depth five; the other objects stay."""
    nested: Any = _object("deep")
    for _ in range(200):
        nested = {"apiVersion": "v1", "kind": "List", "items": [nested]}
    done = _process(nested, _object())
    assert _keys(done) == ["ConfigMap app/one"]
    assert "nested more than 5 deep" in done.conditions[0].message


def test_a_kind_that_ends_in_list_may_be_an_object() -> None:
    """A custom kind such as AllowList without a list of items is an ordinary object."""
    value = {**_object("one", "AllowList", items="none"), "apiVersion": "example.com/v1"}
    assert _keys(_process(value)) == ["AllowList.example.com app/one"]


NAMES = ("..", ".", "a/b", "a%2fb", "a\\b", "a?b", "a#b", "a\nb", "x" * 254, 7, ["x"])


@pytest.mark.parametrize("name", NAMES)
def test_names_that_could_leave_a_request_path_are_refused(name: Any) -> None:
    """S-33: an object whose name is no single path segment is left out, the field named."""
    done = _process(_object(name), _object("good"))
    assert _keys(done) == ["ConfigMap app/good"]
    [condition] = done.conditions
    assert condition.severity is Severity.ERROR
    assert condition.message.startswith("app/file.yaml, document 1: metadata.name ")
    assert condition.message.isprintable()


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"kind": "ConfigMap", "metadata": {"name": "x"}}, "apiVersion is missing"),
        ({"apiVersion": "v1", "metadata": {"name": "x"}}, "kind is missing"),
        ({"apiVersion": "a/b/c", "kind": "X", "metadata": {"name": "x"}}, "apiVersion 'a/b/c'"),
        ({"apiVersion": "../v1", "kind": "X", "metadata": {"name": "x"}}, "apiVersion '../v1'"),
        ({"apiVersion": "v1", "kind": "../X", "metadata": {"name": "x"}}, "kind '../X'"),
        ({"apiVersion": "v1", "kind": "X"}, "metadata is missing"),
        ({"apiVersion": "v1", "kind": "X", "metadata": []}, "metadata is not an object"),
        (_object(None), "metadata.name is missing"),
        (_object(True), "metadata.name is a bool, no text; quote it"),
        (_object(1), "metadata.name is a number, no text; quote it"),
        (_object("", metadata={"generateName": "x-"}), "metadata.generateName"),
        (_object(metadata={"generateName": "x-", "name": None}), "metadata.generateName"),
        (_object(metadata={"namespace": "../kube-system"}), "metadata.namespace"),
        (_object(metadata={"annotations": {"a": 1}}), "metadata.annotations['a']"),
        (_object(metadata={"labels": ["a"]}), "metadata.labels is not a map"),
        ("text", "the document is not an object"),
    ],
)
def test_invalid_objects_are_named_and_left_out(value: Any, field: str) -> None:
    """An invalid object is a condition naming file, document and field; the others stay."""
    done = _process(_object("first"), value, _object("last"))
    assert [m.key.name for m in done.manifests] == ["first", "last"]
    [condition] = done.conditions
    assert condition.message.startswith("app/file.yaml, document 2: ")
    assert field in condition.message


def test_an_invalid_item_of_a_list_is_named_by_its_place() -> None:
    """A bad list item is found by its index."""
    done = _process({"apiVersion": "v1", "kind": "List", "items": [_object(), {"kind": "X"}]})
    assert "document 1, items[1]: apiVersion is missing" in done.conditions[0].message


def test_json_that_is_no_text_is_a_condition() -> None:
    """Bytes that are not UTF-8 JSON leave the other documents alone."""
    bad = RenderedDocument(0, "x.yaml", 0, b'{"a": "\xff"}')
    good = RenderedDocument(0, "y.yaml", 0, json.dumps(_object()).encode())
    done = process([bad, good], namespace="app", scopes=_scopes)
    assert len(done.manifests) == 1
    assert "x.yaml, document 1: the document is not valid" in done.conditions[0].message


def test_the_last_duplicate_wins_with_a_condition() -> None:
    """Declaring a key again replaces the earlier one, is a warning, and bars it from healing."""
    done = _process(
        _object(data={"n": "1"}),
        _object("other"),
        _object(data={"n": "2"}),
        _object(data={"n": "3"}, metadata={"namespace": "app"}),
    )
    key = ResourceKey("", "ConfigMap", "app", "one")
    assert [json.loads(m.body)["data"]["n"] for m in done.manifests if m.key == key] == ["3"]
    assert done.repeated == {key}
    [condition] = done.conditions
    assert condition.type == "RepeatedResourceWarning"
    assert condition.severity is Severity.WARNING
    assert "declared 3 times" in condition.message


@pytest.mark.parametrize(
    ("annotations", "warned"),
    [
        ({"argocd.argoproj.io/hook": "PreSync"}, False),
        ({"argocd.argoproj.io/hook": "PreSync, PostSync"}, False),
        ({"argocd.argoproj.io/hook": "Skip"}, False),
        ({"argocd.argoproj.io/hook": "Presync"}, True),
        ({"argocd.argoproj.io/hook": ""}, True),
        ({"helm.sh/hook": "post-install,post-upgrade"}, False),
        ({"helm.sh/hook": "test"}, False),
        ({"helm.sh/hook": "crd-install", "argocd.argoproj.io/hook": "Sync"}, False),
    ],
)
def test_hooks_are_counted_never_compared(annotations: dict[str, str], warned: bool) -> None:
    """Any hook annotation of Argo CD or Helm, an invalid value too, keeps an object apart."""
    done = _process(_object(metadata={"annotations": annotations}), _object("plain"))
    assert _keys(done) == ["ConfigMap app/plain"]
    assert [m.key.name for m in done.not_compared] == ["one"]
    assert bool(done.conditions) is warned
    assert all(c.severity is Severity.WARNING for c in done.conditions)


def test_crd_install_is_no_hook() -> None:
    """Helm's old `crd-install` marks a definition, which is compared."""
    assert _keys(_process(_object(metadata={"annotations": {"helm.sh/hook": "crd-install"}})))


def test_hooks_may_have_generated_names() -> None:
    """A hook with `generateName` is fine, as it is never looked up by name."""
    hook = _object(
        "", metadata={"generateName": "x-", "annotations": {"argocd.argoproj.io/hook": "Sync"}}
    )
    done = _process(hook)
    assert (len(done.not_compared), done.conditions) == (1, ())


def test_jobs_that_remove_themselves_are_not_compared() -> None:
    """A Job with ttlSecondsAfterFinished vanishes by itself; one without is compared."""
    job = {**_object("j", "Job", spec={"ttlSecondsAfterFinished": 0}), "apiVersion": "batch/v1"}
    stays = {**_object("k", "Job", spec={}), "apiVersion": "batch/v1"}
    done = _process(job, stays)
    assert _keys(done) == ["Job.batch app/k"]
    assert [m.key.name for m in done.not_compared] == ["j"]


def test_bodies_are_canonical() -> None:
    """Two spellings of one object have the same bytes, keys sorted; numbers keep their type."""
    one = {"kind": "ConfigMap", "metadata": {"name": "x"}, "apiVersion": "v1", "b": 1, "a": 1.5}
    two = {"a": 1.5, "b": 1, "apiVersion": "v1", "metadata": {"name": "x"}, "kind": "ConfigMap"}
    first, second = _process(one).manifests[0], _process(two).manifests[0]
    assert first.body == second.body
    assert first.body.startswith(b'{"a":1.5,"apiVersion":"v1","b":1,')
    assert (first.version, first.origin.file) == ("v1", "app/file.yaml")


def test_ten_thousand_objects_take_half_a_second_at_most() -> None:
    """10,000 Deployments of usual size are addressed within 0.5 s of CPU."""
    container = {
        "name": "app",
        "image": "registry.example.com/team/app:v1.2.3",
        "env": [{"name": f"VARIABLE_{n}", "value": "some value"} for n in range(10)],
        "resources": {"limits": {"cpu": "500m", "memory": "512Mi"}},
    }
    labels = {"app": "app", "team": "platform"}
    spec = {
        "replicas": 3,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
    }
    template = {**_object("NAME", "Deployment", spec=spec, metadata={"labels": labels})}
    text = json.dumps({**template, "apiVersion": "apps/v1"})
    documents = [
        RenderedDocument(0, "a.yaml", n, text.replace("NAME", f"app-{n}").encode())
        for n in range(10_000)
    ]
    started = time.process_time()
    done = process(documents, namespace="app", scopes=_scopes)
    assert time.process_time() - started < 0.5
    assert len(done.manifests) == 10_000


def test_manifests_hold_no_more_memory_than_they_have_bytes() -> None:
    """A small object's body takes what it has, and not the page that its encoder wrote it to."""
    values = [_object(f"object-{number}") for number in range(200)]
    tracemalloc.start()
    try:
        processed = _process(*values)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(processed.manifests) == 200
    assert taken < 200 * 2048
