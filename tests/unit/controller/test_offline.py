"""Saved objects compared without a cluster."""

import json
import subprocess
import sys

import pytest

from driftd.controller.offline import compare_files
from driftd.errors import ConfigError
from driftd.model.report import ResourceStatus
from driftd.model.severities import read, with_own
from driftd.sandbox.pool import SandboxPool

pytestmark = pytest.mark.slow

OPENAPI = {
    "components": {
        "schemas": {
            "ConfigMap": {
                "type": "object",
                "properties": {
                    "metadata": {"type": "object"},
                    "data": {"type": "object", "additionalProperties": {"type": "string"}},
                },
                "x-kubernetes-group-version-kind": [
                    {"group": "", "version": "v1", "kind": "ConfigMap"}
                ],
            }
        }
    }
}
POOL_CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "spec": {
        "group": "example.com",
        "names": {"kind": "Pool"},
        "versions": [
            {
                "name": "v1",
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {
                                    "members": {
                                        "type": "array",
                                        "x-kubernetes-list-type": "map",
                                        "x-kubernetes-list-map-keys": ["id"],
                                        "items": {
                                            "type": "object",
                                            "properties": {
                                                "id": {"type": "string"},
                                                "size": {"type": "integer"},
                                            },
                                        },
                                    }
                                },
                            }
                        },
                    }
                },
            }
        ],
    },
}


def config_map(name="settings", namespace="team", **data):
    """A ConfigMap as Git declares it."""
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def served(document, *, manager="argocd-controller", owned=None, **changes):
    """`document` as a cluster serves it; `owned` are data keys of a second manager, `edit`."""
    fields = {f"f:{key}": {} for key in document.get("data", {})}
    managed = [_entry(manager, "Apply", fields)]
    if owned:
        managed.append(_entry("edit", "Update", {f"f:{key}": {} for key in owned}))
    metadata = {
        **document["metadata"],
        "uid": "0b6f6a5e",
        "resourceVersion": "7",
        "creationTimestamp": "2026-03-04T08:00:00Z",
        "managedFields": managed,
    }
    return {**document, "metadata": metadata, "data": {**document.get("data", {}), **changes}}


def _entry(manager, operation, fields):
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": "v1",
        "time": "2026-03-04T08:41:12Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:data": fields},
    }


@pytest.fixture
async def sandbox():
    """The real worker."""
    async with SandboxPool(size=1) as pool:
        yield pool


@pytest.fixture
def compare(tmp_path, sandbox):
    """Write both sides to files of JSON documents and compare them."""

    async def run(desired, live, *, schemas=(OPENAPI,), mode="managed", severities=None):
        paths = []
        for name, documents in (
            ("desired", desired),
            ("live", live),
            *enumerate([s] for s in schemas),
        ):
            path = tmp_path / f"{name}.json"
            path.write_text("\n".join(json.dumps(document) for document in documents))
            paths.append(path)
        return await compare_files(
            desired=paths[0],
            live=paths[1],
            schemas=paths[2:],
            mode=mode,
            sandbox=sandbox,
            severities=severities,
        )

    return run


def statuses(report):
    """The status of each resource by name."""
    return {resource.name: str(resource.status) for resource in report.resources}


async def test_synced(compare):
    """An object that is what Git says is Synced, the report complete and without conditions."""
    wanted = config_map(level="info")
    report = await compare([wanted], [served(wanted)])
    assert statuses(report) == {"settings": "Synced"}
    assert report.complete
    assert report.conditions == ()
    assert report.resources[0].evidence.resource_version == "7"


async def test_changed_field(compare):
    """A changed value is one change with path and manager."""
    wanted = config_map(level="info")
    live = served(wanted, owned=["level"], level="debug")
    report = await compare([wanted], [live])
    (change,) = report.resources[0].changes
    assert (change.path, change.desired, change.live) == ("/data/level", "info", "debug")
    assert change.manager == "edit"
    assert statuses(report) == {"settings": "OutOfSync"}


async def test_missing_and_undesired(compare):
    """What live lacks is Missing; what Git lacks is Extra in strict mode, else not checked."""
    sides = [config_map("a")], [served(config_map("b"))]
    assert statuses(await compare(*sides)) == {"a": "Missing", "b": "NotChecked"}
    assert statuses(await compare(*sides, mode="strict")) == {"a": "Missing", "b": "Extra"}


async def test_lists_are_unpacked(compare):
    """The List that `kubectl get -o yaml` prints holds the objects."""
    wanted = config_map(level="info")
    report = await compare(
        [wanted], [{"apiVersion": "v1", "kind": "List", "items": [served(wanted)]}]
    )
    assert statuses(report) == {"settings": "Synced"}


async def test_namespace_from_live(compare):
    """A manifest without namespace is compared with the only live object of its name."""
    report = await compare([config_map(namespace="")], [served(config_map())])
    assert [(item.namespace, item.status) for item in report.resources] == [("team", "Synced")]


async def test_ambiguous_namespace(compare):
    """With several live objects of the name none is guessed: Unknown, and not complete."""
    live = [served(config_map(namespace=namespace)) for namespace in ("one", "two")]
    report = await compare([config_map(namespace="")], live)
    assert [item.status for item in report.resources] == [ResourceStatus.UNKNOWN]
    assert "one, two" in report.resources[0].reason
    assert not report.complete


async def test_other_version(compare):
    """An object saved at another version is Unknown, with the command that saves the right one."""
    wanted = {**config_map(), "apiVersion": "example.com/v2", "kind": "Pool"}
    live = {**served(config_map()), "apiVersion": "example.com/v1", "kind": "Pool"}
    report = await compare([wanted], [live])
    assert report.resources[0].status is ResourceStatus.UNKNOWN
    assert "kubectl get pool.v2.example.com" in report.resources[0].reason
    assert not report.complete


async def test_stripped_managed_fields(compare):
    """Without managedFields nothing is called Synced, because undeclared changes are invisible."""
    wanted = config_map(level="info")
    live = served(wanted)
    del live["metadata"]["managedFields"]
    report = await compare([wanted], [live])
    assert statuses(report) == {"settings": "Unknown"}
    assert "--show-managed-fields" in report.resources[0].reason
    assert not report.complete
    assert statuses(await compare([wanted], [live], mode="strict")) == {"settings": "Synced"}


async def test_stripped_managed_fields_with_drift(compare):
    """Declared drift is still reported then, beside the warning that there may be more."""
    wanted = config_map(level="info")
    live = served(wanted, level="debug")
    del live["metadata"]["managedFields"]
    report = await compare([wanted], [live])
    assert statuses(report) == {"settings": "OutOfSync"}
    assert not report.complete


async def test_no_schema(compare):
    """A kind without schema is compared all the same, and the report says how to give one."""
    wanted = config_map(level="info")
    report = await compare([wanted], [served(wanted)], schemas=())
    assert statuses(report) == {"settings": "Synced"}
    assert [condition.type for condition in report.conditions] == ["SchemaMissing"]
    assert report.complete


async def test_custom_resource_definition_as_schema(compare):
    """List map keys of a CustomResourceDefinition align items whose position changed."""
    members = [{"id": "a", "size": 1}, {"id": "b", "size": 2}]
    base = {"apiVersion": "example.com/v1", "kind": "Pool", "metadata": {"name": "p"}}
    wanted = {**base, "spec": {"members": members}}
    entry = _entry("edit", "Update", {}) | {
        "apiVersion": "example.com/v1",
        "fieldsV1": {"f:spec": {"f:members": {'k:{"id":"b"}': {".": {}, "f:size": {}}}}},
    }
    live = {
        **base,
        "metadata": {"name": "p", "managedFields": [entry]},
        "spec": {"members": [members[0], {"id": "b", "size": 9}]},
    }
    report = await compare([wanted], [live], schemas=(POOL_CRD,))
    (change,) = report.resources[0].changes
    assert change.path == "/spec/members/1/size"
    assert change.ssa_path == 'f:spec/f:members/k:{"id":"b"}/f:size'
    assert report.conditions == ()


async def test_invalid_object(compare):
    """A document that is no object is a condition, makes the look incomplete, stops no other."""
    wanted = config_map(level="info")
    report = await compare([wanted, {"kind": "ConfigMap"}], [served(wanted)])
    assert statuses(report) == {"settings": "Synced"}
    assert report.conditions[0].type == "InvalidObject"
    assert "desired object 2" in report.conditions[0].message
    assert not report.complete


async def test_secret_values_stay_inside(compare):
    """Changed Secret values are masked on both sides."""
    wanted = {**config_map(password="Z2l0"), "kind": "Secret"}
    live = {**served(config_map(password="Z2l0"), password="bGl2ZQ=="), "kind": "Secret"}
    report = await compare([wanted], [live])
    (change,) = report.resources[0].changes
    assert change.desired == change.live == {"masked": True}


async def test_repeated_manifest(compare):
    """The last of several manifests of one object counts, with a warning."""
    report = await compare(
        [config_map(level="old"), config_map(level="new")], [served(config_map(level="new"))]
    )
    assert statuses(report) == {"settings": "Synced"}
    assert [condition.type for condition in report.conditions] == ["RepeatedResourceWarning"]
    assert report.complete


async def test_nothing_desired(compare):
    """Without a desired object nothing was compared, and the report is not complete."""
    report = await compare([], [served(config_map())])
    assert report.conditions[0].message.startswith("no object among the desired manifests")
    assert not report.complete


async def test_unreadable_file(tmp_path, sandbox):
    """A file that does not exist is named, with the remedy."""
    gone = tmp_path / "gone.yaml"
    with pytest.raises(ConfigError, match=r"gone\.yaml: No such file") as raised:
        await compare_files(desired=gone, live=gone, schemas=(), mode="managed", sandbox=sandbox)
    assert raised.value.hint


@pytest.mark.parametrize("document", ["text", {"kind": "ConfigMap"}])
async def test_schema_that_is_none(compare, document):
    """A schema file that holds none is a mistake of the flag, not a missing schema."""
    with pytest.raises(ConfigError, match=r"0\.json: ") as raised:
        await compare([], [], schemas=(document,))
    assert "CustomResourceDefinition" in raised.value.hint


async def test_two_files_of_the_same_bytes(tmp_path, sandbox):
    """A saved object that is just the manifest is read under its own name."""
    both = [tmp_path / "app.yaml", tmp_path / "live.yaml"]
    for path in both:
        path.write_text(f"# as applied\n{json.dumps(config_map(level='info'))}\n")
    report = await compare_files(
        desired=both[0], live=both[1], schemas=(), mode="managed", sandbox=sandbox
    )
    assert list(statuses(report)) == ["settings"]
    assert "InvalidObject" not in {condition.type for condition in report.conditions}


async def test_broken_document(tmp_path, sandbox):
    """A YAML document that does not parse is named; the one beside it is compared."""
    wanted, live = tmp_path / "desired.yaml", tmp_path / "live.json"
    wanted.write_text(f"a: [1\n---\n{json.dumps(config_map(level='info'))}\n")
    live.write_text(json.dumps(served(config_map(level="info"))))
    report = await compare_files(
        desired=wanted, live=live, schemas=(), mode="managed", sandbox=sandbox
    )
    assert statuses(report) == {"settings": "Synced"}
    assert report.conditions[0].type == "InvalidObject"
    assert "desired.yaml: document 1: " in report.conditions[0].message
    assert not report.complete


def test_standard_input(tmp_path):
    """Manifests come through a pipe too, and what is wrong in them is of standard input."""
    live = tmp_path / "live.json"
    live.write_text(json.dumps(served(config_map(level="debug"))))
    wanted = f"a: [1\n---\n{json.dumps(config_map(level='info'))}\n"
    command = ["driftd.cli.main", "diff", "--desired", "-", "--live", str(live), "-o", "json"]
    done = subprocess.run(
        [sys.executable, "-m", *command],
        input=wanted,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    report = json.loads(done.stdout)
    assert [one["status"] for one in report["resources"]] == ["OutOfSync"]
    assert report["conditions"][0]["message"].startswith("standard input: document 1: ")
    assert done.returncode == 2


async def test_changes_and_whole_objects_have_a_severity(compare):
    """As in a look at a cluster: the shipped rules rate fields, Missing and Extra objects."""
    wanted = config_map(level="info")
    gone = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "gone", "namespace": "shop"},
    }
    live = served(wanted)
    live["data"]["level"] = "debug"
    report = await compare([wanted, gone], [live])
    found = {one.name: one for one in report.resources}
    (changed,) = found["settings"].changes
    assert (changed.severity, changed.severity_reason) == (
        "high",
        "configuration that programs read",
    )
    assert (found["gone"].severity, found["gone"].severity_reason) == (
        "high",
        "Pods that use it do not start",
    )
    rules = with_own(
        read(
            "apiVersion: driftd.io/v1\nkind: Severity\nrules:\n"
            "- {id: pages, paths: ['data.**'], level: critical, reason: it pages}\n",
            "own.yaml",
            own=True,
        )
    )
    report = await compare([wanted], [live], severities=rules)
    (changed,) = report.resources[0].changes
    assert (changed.severity, changed.severity_reason) == ("critical", "it pages")
