"""Mistakes in Git: fields that a kind does not have, values that it cannot hold."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from msgspec import UNSET

from driftd.diff.between import between
from driftd.diff.compare import Context, compare
from driftd.diff.history import Moment
from driftd.diff.invalid import first
from driftd.diff.mask import MASKED
from driftd.diff.schema import SchemaSet
from driftd.model.report import Change, ChangeClass
from driftd.model.resource import GVK, ResourceKey
from tests.unit.diff.objects import config_map, deployment, key_of, node_of

Json = Any
CONTAINER = ("spec", "template", "spec", "containers", 0)
DROPS = "the API server drops it or refuses the object; "
REFUSES = "the API server refuses the object: "


def edited(body: Json, place: tuple[str | int, ...], value: Json) -> Json:
    """A copy of an object with another value at a place."""
    body = deepcopy(body)
    at = body
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    return body


def changes(
    desired: Json, live: Json | None = None, *, synced: Json = None, schema: bool = True
) -> tuple[Change, ...]:
    """What differs from the live object, by default the right Deployment."""
    live = deployment() if live is None else live
    node = node_of(desired) if schema else None
    return compare(key_of(desired), desired, live, node, Context(), synced=synced).changes


@pytest.mark.parametrize(
    ("place", "meant", "text"),
    [
        (("spec", "replcas"), "/spec/replicas", "did you mean replicas?"),
        (("spec", "Replicas"), "/spec/replicas", "did you mean replicas?"),
        (("replicas",), "/spec/replicas", "it belongs under spec: check the indentation"),
        (("metadata", "lables"), "/metadata/labels", "did you mean labels?"),
        (
            (*CONTAINER, "imagePullPolcy"),
            "/spec/template/spec/containers/0/imagePullPolicy",
            "did you mean imagePullPolicy?",
        ),
        (
            (*CONTAINER, "volumes"),
            "/spec/template/spec/volumes",
            "it belongs under spec.template.spec: check the indentation",
        ),
        (
            ("spec", "containers"),
            "/spec/template/spec/containers",
            "it belongs under template.spec: check the indentation",
        ),
    ],
)
def test_unknown_field(place: tuple[str | int, ...], meant: str, text: str) -> None:
    """A field that the kind lacks is a declared finding that names the one that was meant."""
    (change,) = changes(edited(deployment(), place, "x"))
    assert change.is_drift
    assert change.invalid
    assert (change.invalid.cause, change.invalid.meant) == ("UnknownField", meant)
    assert change.reason == f"the kind has no field {place[-1]} here: {DROPS}{text}"
    assert change.invalid.path == change.path


def test_a_list_of_containers_that_lies_outside_of_them() -> None:
    """What is written one level too far out belongs to the last container."""
    pod = ("spec", "template", "spec")
    (change,) = changes(edited(deployment(), (*pod, "ports"), [{"containerPort": 80}]))
    assert change.invalid
    assert change.invalid.meant == "/spec/template/spec/containers/0/ports"
    assert change.reason is not UNSET
    assert change.reason.endswith("it belongs under containers[0]: check the indentation")
    (change,) = changes(edited(deployment(), (*pod, "volumeMounts"), [{"name": "a"}]))
    assert change.reason is not UNSET
    assert change.reason.endswith("it belongs under containers[0]: check the indentation")


PROBE = (*CONTAINER, "livenessProbe")
GET = "/spec/template/spec/containers/0/livenessProbe/httpGet"


@pytest.mark.parametrize(
    ("probe", "place", "meant"),
    [
        ({"httpGet": None}, (*PROBE, "port"), f"{GET}/port"),
        ({"httpGet": {"path": "/"}}, (*PROBE, "port"), f"{GET}/port"),
        ({"httpGet": {"path": "/"}}, (*CONTAINER, "port"), f"{GET}/port"),
        (None, (*CONTAINER, "httpGet"), GET),
    ],
)
def test_a_field_outside_of_its_block(probe: Json, place: tuple[str, ...], meant: str) -> None:
    """It belongs to the block that Git names and that lacks it, of several of a kind as well."""
    body = edited(deployment(), PROBE, probe)
    body = edited(body, (*CONTAINER, "readinessProbe"), {"httpGet": {"port": 80}})
    body = edited(body, place, {"port": 80} if place[-1] == "httpGet" else "http")
    node = node_of(body)
    assert node is not None
    found = first(body, node)
    assert found is not None
    assert found.meant == meant
    assert found.message.endswith(": check the indentation")


@pytest.mark.parametrize(
    ("place", "above"),
    [
        (("spec", "selector"), "selector.matchLabels"),
        (("spec", "selector", "matchLabels"), "matchLabels"),
    ],
)
def test_a_label_that_lies_outside_of_its_map(place: tuple[str, ...], above: str) -> None:
    """A label beside a map that it has left empty belongs into that map."""
    body = edited(deployment(), ("spec", "selector"), {"matchLabels": None})
    body = edited(body, (*place[:-1], "app.kubernetes.io/name"), "web")
    node = node_of(body)
    assert node is not None
    found = first(body, node)
    assert found is not None
    assert found.meant == "/spec/selector/matchLabels/app.kubernetes.io~1name"
    assert found.message.endswith(f"it belongs under {above}: check the indentation")


def test_a_text_beside_maps_that_hold_something() -> None:
    """No map is guessed where none is empty: the name is told to be wrong."""
    (change,) = changes(edited(deployment(), ("spec", "colour"), "blue"))
    assert change.reason is not UNSET
    assert change.reason.endswith("correct its name in Git or remove it")


def test_unknown_field_without_a_likely_one() -> None:
    """Where no field has nearly that name, none is proposed."""
    (change,) = changes(edited(deployment(), ("spec", "colours"), ["red"]))
    assert change.invalid
    assert not change.invalid.meant
    assert str(change.reason).endswith("; correct its name in Git or remove it")


@pytest.mark.parametrize("value", [False, 0])
def test_misspelt_field_that_turns_something_off(value: Json) -> None:
    """`enableServiceLink: false` is no empty value to be dropped: the real field is on."""
    (change,) = changes(deployment(enableServiceLink=value))
    assert change.invalid
    assert change.invalid.meant == "/spec/template/spec/enableServiceLinks"


@pytest.mark.parametrize("value", [None, {}, [], ""])
def test_unknown_field_without_content(value: Json) -> None:
    """A field that declares nothing is told by no look, whatever its name."""
    assert changes(edited(deployment(), ("spec", "colours"), value)) == ()


@pytest.mark.parametrize(
    ("place", "value", "text"),
    [
        (
            ("spec", "replicas"),
            "3",
            "an integer is expected here, Git has a string: write it without quotes",
        ),
        (("spec", "replicas"), "3a", "an integer is expected here, Git has a string"),
        (("spec", "replicas"), 2.5, "an integer is expected here, Git has a number"),
        (("spec", "replicas"), 2**31, "a number of 32 bits is expected here"),
        (("spec", "paused"), "yes", "true or false is expected here, Git has a string"),
        (("spec", "strategy"), "Recreate", "a mapping is expected here, Git has a string"),
        (
            (*CONTAINER, "args"),
            "--port",
            "a list is expected here, Git has a string",
        ),
        (
            (*CONTAINER, "args"),
            ["--port", 80],
            "a string is expected at [1], Git has a number: write it in quotes",
        ),
        (
            ("metadata", "labels", "version"),
            1.5,
            "a string is expected here, Git has a number: write it in quotes",
        ),
        (
            (*CONTAINER, "env", 0, "value"),
            True,
            "a string is expected here, Git has a boolean: write it in quotes",
        ),
        (
            (*CONTAINER, "resources", "requests", "cpu"),
            "a lot",
            "a quantity as 500m or 1Gi is expected here",
        ),
        (
            (*CONTAINER, "imagePullPolicy"),
            "alwys",
            "one of Always, IfNotPresent and Never is expected here: did you mean Always?",
        ),
        (
            (*CONTAINER, "readinessProbe"),
            {"httpGet": {"port": True}},
            "an integer or a string is expected at httpGet.port, Git has a boolean",
        ),
    ],
)
def test_refused_value(place: tuple[str | int, ...], value: Json, text: str) -> None:
    """A value of the wrong type or format is told with what the schema expects."""
    (change,) = changes(edited(deployment(), place, value))
    assert change.is_drift
    assert change.invalid
    assert change.invalid.cause != "UnknownField"
    assert change.reason == REFUSES + text


def test_key_of_the_wrong_type() -> None:
    """A port in quotes is the live port written wrongly, not a second one beside it."""
    live = edited(deployment(), (*CONTAINER, "ports"), [{"containerPort": 80, "protocol": "TCP"}])
    (change,) = changes(edited(live, (*CONTAINER, "ports"), [{"containerPort": "80"}]), live)
    assert str(change.kind) == "modified"
    assert change.live == {"containerPort": 80, "protocol": "TCP"}
    assert change.invalid
    assert change.invalid.path == "/spec/template/spec/containers/0/ports/0/containerPort"


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("spec", "replicas"), 4.0),
        ((*CONTAINER, "resources", "requests", "cpu"), 2),
        ((*CONTAINER, "resources", "requests", "cpu"), "1.5e3"),
        ((*CONTAINER, "livenessProbe"), {"httpGet": {"port": "http"}}),
        ((*CONTAINER, "livenessProbe"), {"httpGet": {"port": 80}}),
        (("spec", "strategy", "rollingUpdate", "maxSurge"), "25%"),
    ],
)
def test_valid_differences(place: tuple[str | int, ...], value: Json) -> None:
    """A difference that a sync would apply is no mistake, whatever its spelling."""
    body = edited(deployment(), ("spec", "strategy"), {"rollingUpdate": {}})
    found = changes(edited(body, place, value))
    assert found
    assert [change.invalid for change in found if change.invalid] == []


def test_without_schema() -> None:
    """Where no schema describes the kind, nothing is called wrong."""
    for place, value in ((("spec", "replcas"), 2), (("spec", "replicas"), "3a")):
        (change,) = changes(edited(deployment(), place, value), schema=False)
        assert not change.invalid


def custom(spec: Json) -> SchemaSet:
    """The schema of a custom resource whose `spec` is given."""
    root = {
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
        },
        "x-kubernetes-group-version-kind": [
            {"group": "example.com", "version": "v1", "kind": "Widget"}
        ],
    }
    return SchemaSet([{"components": {"schemas": {"com.example.v1.Widget": root}}}])


OPEN = {
    "type": "object",
    "properties": {
        "size": {"type": "integer", "format": "int32"},
        "port": {"x-kubernetes-int-or-string": True},
        "mode": {"type": "string", "enum": ["on", "off"]},
        "any": {"x-kubernetes-preserve-unknown-fields": True},
        "free": {
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": True,
            "properties": {"known": {"type": "boolean"}},
        },
        "map": {"type": "object", "additionalProperties": {"type": "string"}},
        "ratio": {"type": "number"},
    },
}


def widget(**spec: Json) -> Json:
    """A custom resource as Git has it."""
    return {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {"name": "a", "namespace": "shop"},
        "spec": spec,
    }


@pytest.mark.parametrize(
    "spec",
    [
        {"port": "http"},
        {"port": 80},
        {"any": {"siz": 1}},
        {"any": [1, "a", {"b": None}]},
        {"free": {"knwn": "x", "other": [1]}},
        {"map": {"siz": "a", "b": "c"}},
        {"ratio": 1},
        {"ratio": 0.5},
        {"size": None},
    ],
)
def test_custom_resources_that_are_right(spec: Json) -> None:
    """Fields that keep what they are given, maps, and values of several types are no mistakes."""
    node = custom(OPEN).node(GVK("example.com", "v1", "Widget"))
    assert node is not None
    assert first(widget(**spec), node) is None


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"siz": 1}, f"the kind has no field siz in spec: {DROPS}did you mean size?"),
        ({"port": 1.5}, "an integer or a string is expected at spec.port, Git has a number"),
        ({"mode": "of"}, "one of on and off is expected at spec.mode: did you mean off?"),
        ({"free": {"known": 1}}, "true or false is expected at spec.free.known, Git has a number"),
        ({"map": {"a": []}}, "a string is expected at spec.map.a, Git has a list"),
    ],
)  # fmt: skip
def test_custom_resources_that_are_wrong(spec: Json, text: str) -> None:
    """A custom resource is held to its own schema."""
    node = custom(OPEN).node(GVK("example.com", "v1", "Widget"))
    assert node is not None
    found = first(widget(**spec), node)
    assert found
    assert found.message.removeprefix(REFUSES) == text


@pytest.mark.parametrize("name", ["dta", "stringDta", "passwords"])
def test_misspelt_secret(name: str) -> None:
    """A password under a wrong name is published no more than under the right one."""
    live = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "login", "namespace": "shop"},
    }
    (change,) = changes({**live, name: {"password": "hunter2"}}, live)
    assert change.desired == MASKED
    assert change.invalid
    assert "hunter2" not in str(change)


def test_misspelt_value_of_a_sensitive_variable() -> None:
    """So it is inside an item that the cluster lacks, and in a preview of its removal."""
    body = deployment()
    wrong = edited(
        body, (*CONTAINER, "env"), [*body["spec"]["template"]["spec"]["containers"][0]["env"],
                                    {"name": "DB_PASSWORD", "valu": "hunter2"}]
    )  # fmt: skip
    for found in (
        changes(wrong),
        between(key_of(body), body, wrong, node_of(body)),
        between(key_of(body), wrong, body, node_of(body)),
    ):
        assert len(found) == 1
        assert "hunter2" not in str(found)


def test_no_author() -> None:
    """A look that knows the last one names nobody who would have removed what never was there."""
    live = deployment()
    live["metadata"]["managedFields"] = [
        {
            "manager": "kubectl-edit",
            "operation": "Update",
            "apiVersion": "apps/v1",
            "time": "2026-01-02T00:00:00Z",
            "fieldsV1": {"f:spec": {"f:replicas": {}}},
        }
    ]
    right, wrong = deployment(), edited(deployment(), ("spec", "replcas"), 2)
    key: ResourceKey = key_of(right)
    before = compare(
        key, right, right, node_of(right), Context(), moment=Moment(now="2026-01-01T00:00:00Z")
    )
    after = compare(
        key, wrong, live, node_of(right), Context(), history=before.history,
        moment=Moment(now="2026-01-03T00:00:00Z"),
    )  # fmt: skip
    (change,) = after.changes
    assert change.invalid
    assert [change.manager, change.attribution, change.confidence] == [UNSET, UNSET, UNSET]


def test_git_ahead_is_no_excuse() -> None:
    """A mistake that Git made after the last sync is a finding: no sync will apply it."""
    (change,) = changes(edited(deployment(), ("spec", "replcas"), 2), synced=deployment())
    assert change.change_class is ChangeClass.DECLARED
    (change,) = changes(edited(deployment(), ("spec", "replicas"), 4), synced=deployment())
    assert change.change_class is ChangeClass.PENDING


def test_between_revisions() -> None:
    """A preview knows mistakes of the new side; that an old one goes is none."""
    right, wrong = config_map(a="b"), {**config_map(a="b"), "dta": {"c": "d"}}
    (change,) = between(key_of(right), right, wrong, node_of(right))
    assert change.invalid
    (change,) = between(key_of(right), wrong, right, node_of(right))
    assert not change.invalid


def test_secret_that_is_missing() -> None:
    """A number among a Secret's texts keeps the API server from creating it; it is not shown."""
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "login", "namespace": "shop", "creationTimestamp": None},
        "stringData": {"pin": 4711},
    }
    node = node_of(body)
    assert node is not None
    found = first(body, node)
    assert found
    assert (found.path, found.expected, found.given) == ("/stringData/pin", "string", "number")
    assert "4711" not in str(found)
