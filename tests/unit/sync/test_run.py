"""Carrying plans out: isolation, dry runs first, and what is reported."""

from __future__ import annotations

import json

import pytest

from driftd.cluster.reader import ApiResource
from driftd.errors import ClusterError, Forbidden, Unreachable
from driftd.model.report import ResourceStatus
from driftd.model.resource import LiveObject
from driftd.settings.healing import Rung
from driftd.sync.outcome import Outcome
from driftd.sync.plan import plan
from driftd.sync.run import run
from tests.unit.reports import change, report, resource
from tests.unit.sync.builders import application, manifest

DEPLOYMENTS = ApiResource("apps", "v1", "Deployment", "deployments", namespaced=True)


class RecordingWriter:
    """A cluster that answers from a table and records every call."""

    def __init__(self, errors=None, resource_version="42"):
        self.calls = []
        self.errors = errors or {}
        self.resource_version = resource_version

    async def apply(self, resource, namespace, name, body, *, field_manager, force, dry_run):
        self.calls.append((name, "dry-run" if dry_run else "apply", force))
        assert (resource, namespace, field_manager) == (DEPLOYMENTS, "shop", "driftd")
        error = self.errors.get((name, dry_run))
        if error is not None:
            raise error
        key = manifest(name).key
        return LiveObject(key, "v1", "u", self.resource_version, body)


def resolve(gvk):
    """Only Deployments are served."""
    return DEPLOYMENTS if gvk.kind == "Deployment" else None


def planned(*names, rung=Rung.FIELDS, **fields):
    """A plan that applies Deployments of these names."""
    looks = [resource(name, change("/spec/replicas")) for name in names]
    manifests = [manifest(name) for name in names]
    return plan(application(**fields), report(*looks), manifests, rung=rung)


async def test_each_object_is_tried_as_a_dry_run_first():
    """A write follows only an accepted dry run, object by object."""
    writer = RecordingWriter()
    result = await run(planned("a", "b"), writer, resolve)
    assert writer.calls == [
        ("a", "dry-run", True),
        ("a", "apply", True),
        ("b", "dry-run", True),
        ("b", "apply", True),
    ]
    assert [r.outcome for r in result.results] == [Outcome.APPLIED, Outcome.APPLIED]
    assert result.wrote


async def test_the_rung_dry_run_never_writes():
    """On `dry-run` the API server is asked and nothing else happens."""
    writer = RecordingWriter()
    result = await run(planned("a", rung=Rung.DRY_RUN), writer, resolve)
    assert writer.calls == [("a", "dry-run", True)]
    assert [r.outcome for r in result.results] == [Outcome.DRY_RUN]
    assert not result.wrote


@pytest.mark.parametrize("fields", [{"rung": Rung.OBSERVE}, {"automated": None}])
async def test_a_refused_plan_sends_nothing(fields):
    """Without consent there is not even a dry run."""
    writer = RecordingWriter()
    assert (await run(planned("a", **fields), writer, resolve)).results == ()
    assert writer.calls == []


async def test_one_failing_object_does_not_stop_the_others():
    """A refusal in the dry run and a conflict in the write are results of their own object."""
    writer = RecordingWriter(
        {
            ("a", True): Forbidden("cannot apply a", hint="grant patch"),
            ("b", False): ClusterError("changed meanwhile", reason="Conflict"),
        }
    )
    result = await run(planned("a", "b", "c"), writer, resolve)
    assert [r.outcome for r in result.results] == [
        Outcome.NOT_HEALABLE,
        Outcome.CONFLICT,
        Outcome.APPLIED,
    ]
    assert (result.results[0].reason, result.results[0].message) == (
        "Forbidden",
        "cannot apply a; grant patch",
    )
    assert ("a", "apply", True) not in writer.calls


async def test_a_lost_cluster_ends_the_run():
    """When the cluster is gone, the rest is named as not tried instead of timing out each."""
    writer = RecordingWriter({("a", True): Unreachable("production: timeout")})
    result = await run(planned("a", "b"), writer, resolve)
    assert [(r.outcome, r.message) for r in result.results] == [
        (Outcome.FAILED, "production: timeout"),
        (Outcome.NOT_TRIED, "production: timeout"),
    ]
    assert len(writer.calls) == 1


async def test_a_missing_object_is_created_without_taking_anything_over():
    """A create does not force: what somebody made meanwhile is a conflict, not overwritten."""
    writer = RecordingWriter()
    look = report(resource("a", status=ResourceStatus.MISSING))
    missing = plan(application(), look, [manifest("a")], rung=Rung.FIELDS)
    await run(missing, writer, resolve)
    assert writer.calls == [("a", "dry-run", False), ("a", "apply", False)]


async def test_a_write_that_changed_nothing_is_said_to_be_one():
    """The same resourceVersion after the apply means that the object was already right."""
    result = await run(planned("a"), RecordingWriter(resource_version="41"), resolve)
    assert [r.outcome for r in result.results] == [Outcome.UNCHANGED]
    assert not result.wrote


async def test_a_kind_that_is_not_served_is_a_failure_of_its_object():
    """The message names the object and the version."""
    widget = manifest("w", kind="Widget", api_version="example.com/v1")
    look = report(resource("w", kind="Widget", group="example.com", status=ResourceStatus.MISSING))
    missing = plan(application(), look, [widget], rung=Rung.FIELDS)
    [result] = (await run(missing, RecordingWriter(), resolve)).results
    assert (result.outcome, result.reason) == (Outcome.FAILED, "NotServed")
    assert "example.com/v1" in result.message
    assert json.loads(missing.tasks[0].body)["kind"] == "Widget"
