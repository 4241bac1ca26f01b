"""Carrying plans out: isolation, dry runs first, and what is reported."""

from __future__ import annotations

import json

import msgspec
import pytest

from driftd.cluster.reader import ApiResource
from driftd.errors import ClusterError, Forbidden, ServerFailed, StoreError, Unreachable
from driftd.model.report import ResourceStatus
from driftd.model.resource import LiveObject
from driftd.settings.healing import Rung
from driftd.sync.outcome import Outcome
from driftd.sync.plan import plan
from driftd.sync.removal import Removal
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
        self.bodies = []

    async def apply(
        self, resource, namespace, name, body, *, field_manager, force, dry_run, quoted
    ):
        self.calls.append((name, "dry-run" if dry_run else "apply", force))
        assert (resource, namespace, field_manager) == (DEPLOYMENTS, "shop", "driftd")
        self.bodies.append(json.loads(body))
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
            ("a", True): Forbidden("user a may not", hint="grant patch"),
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
        "user a may not; grant patch",
    )
    assert ("a", "apply", True) not in writer.calls


async def test_a_server_that_fails_says_nothing_of_the_object():
    """5xx in a dry run is `failed`, whatever reason it gives; what the server refuses is not."""
    writer = RecordingWriter(
        {
            ("a", True): ServerFailed("HTTP status 501", reason="HTTP501"),
            ("b", True): ServerFailed("a webhook timed out", reason="InternalError"),
            ("c", True): ClusterError("spec.x: Invalid value", reason="Invalid"),
        }
    )
    result = await run(planned("a", "b", "c"), writer, resolve)
    assert [one.outcome for one in result.results] == [
        Outcome.FAILED,
        Outcome.FAILED,
        Outcome.NOT_HEALABLE,
    ]


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


class Patching(RecordingWriter):
    """Also takes patches, and says what each one contained."""

    def __init__(self, errors=None):
        super().__init__(errors, "43")
        self.patches = []

    async def patch(self, resource, namespace, name, operations, *, field_manager, dry_run, quoted):
        assert (resource, namespace, field_manager) == (DEPLOYMENTS, "shop", "driftd")
        self.calls.append((name, "patch dry-run" if dry_run else "patch", None))
        self.patches.append(json.loads(operations))
        error = self.errors.pop((name, "patch", dry_run), None)
        if error is not None:
            raise error
        body = b'{"metadata":{"name":"web","resourceVersion":"42"}}'
        return LiveObject(manifest(name).key, "v1", "u", "42", body)


PATCH = (
    Removal(op="test", path="/metadata/resourceVersion", value="41"),
    Removal(op="remove", path="/spec/paused"),
)


def with_patch(rung=Rung.FIELDS):
    """A plan whose only task needs a patch first."""
    found = planned("web", rung=rung)
    task = msgspec.structs.replace(found.tasks[0], removals=PATCH)
    return msgspec.structs.replace(found, tasks=(task,))


async def test_a_patch_is_tried_then_sent_then_everything_is_applied():
    """The apply holds the version that the patch made; it is what takes the fields over."""
    writer = Patching()
    [result] = (await run(with_patch(), writer, resolve)).results
    assert result.outcome is Outcome.APPLIED
    assert [call[1] for call in writer.calls] == ["patch dry-run", "patch", "apply"]
    assert writer.patches[0] == [
        {"op": "test", "path": "/metadata/resourceVersion", "value": "41"},
        {"op": "remove", "path": "/spec/paused"},
    ]
    assert writer.bodies[-1]["metadata"]["resourceVersion"] == "42"


async def test_a_patch_is_not_sent_on_the_rung_dry_run():
    """It is tried, and that is all."""
    writer = Patching()
    [result] = (await run(with_patch(Rung.DRY_RUN), writer, resolve)).results
    assert (result.outcome, [call[1] for call in writer.calls]) == (
        Outcome.DRY_RUN,
        ["patch dry-run"],
    )


@pytest.mark.parametrize("plan_of", [with_patch, lambda: planned("web")])
async def test_what_a_dry_run_shows_to_be_of_no_use_is_not_written(plan_of):
    """The judge's reason is the result; the only request was the dry run."""
    writer = Patching()
    [result] = (
        await run(plan_of(), writer, resolve, judge=lambda _task, _after: "admission sets it")
    ).results
    assert result.outcome is Outcome.NOT_HEALABLE
    assert "admission sets it" in result.message
    assert len(writer.calls) == 1
    assert "dry-run" in writer.calls[0][1]


@pytest.mark.parametrize("fits", [True, False])
async def test_a_conflict_is_tried_again_only_if_the_verdict_still_fits(fits):
    """Where the status alone moved the version; else it stays a conflict."""
    writer = Patching({("web", "patch", True): ClusterError("changed", reason="Conflict")})

    async def reread(task, _resource):
        return task if fits else None

    [result] = (await run(with_patch(), writer, resolve, reread=reread)).results
    assert result.outcome is (Outcome.APPLIED if fits else Outcome.CONFLICT)
    assert len(writer.calls) == (4 if fits else 1)


class Keeping:
    """A journal that keeps what it is told, or cannot."""

    def __init__(self, failing=""):
        self.told = []
        self.failing = failing

    async def intend(self, plan):
        self.told.append("intend")

    async def before(self, task, live):
        self._tell("before", task)

    async def after(self, task, result):
        self._tell("after", task)

    def _tell(self, what, task):
        if what == self.failing:
            raise StoreError("the disk is full")
        self.told.append(f"{what} {task.key.name}")


async def test_the_journal_is_told_before_and_after_each_write():
    """Around every object, in order."""
    journal = Keeping()
    await run(planned("a", "b"), RecordingWriter(), resolve, journal=journal)
    assert journal.told == ["before a", "after a", "before b", "after b"]


async def test_the_journal_is_told_of_the_task_of_the_plan_when_it_is_tried_again():
    """A copy with another precondition is sent; the journal wrote down the one that was planned."""
    plan, told = with_patch(), []

    class Identities(Keeping):
        async def before(self, task, live):
            told.append(task)

        async def after(self, task, result):
            told.append(task)

    writer = Patching({("web", "patch", False): ClusterError("changed", reason="Conflict")})

    async def reread(task, _resource):
        return msgspec.structs.replace(task)

    [result] = (await run(plan, writer, resolve, journal=Identities(), reread=reread)).results
    assert result.outcome is Outcome.APPLIED
    assert [one is plan.tasks[0] for one in told] == [True, True, True]


@pytest.mark.parametrize(("failing", "sent"), [("before", 0), ("after", 1)])
async def test_nothing_more_is_written_that_cannot_be_recorded(failing, sent):
    """A journal that fails before stops the write itself, one that fails after the next."""
    writer = RecordingWriter()
    result = await run(planned("a", "b"), writer, resolve, journal=Keeping(failing))
    assert sum(call[1] == "apply" for call in writer.calls) == sent
    assert result.results[-1].outcome is Outcome.NOT_TRIED
