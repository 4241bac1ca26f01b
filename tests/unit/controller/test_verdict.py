"""The verdict on objects: what is known, what is not, and never the one for the other."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from driftd.cluster.reader import ApiResource
from driftd.controller.judge import judge
from driftd.controller.statuses import status_of
from driftd.controller.tracking import DEPLOYERS_ANNOTATION
from driftd.controller.verdict import (
    Verdict,
    application_report,
    deployers_of,
)
from driftd.diff.compare import DEPLOYERS
from driftd.errors import Forbidden, Unreachable
from driftd.model.condition import Condition, Severity
from driftd.model.report import (
    ApplicationStatus,
    ChangeClass,
    ReportOrigin,
    ResourceReport,
    ResourceStatus,
)
from driftd.model.resource import Origin, Unchecked
from driftd.sandbox.pool import SandboxPool
from tests.unit.controller.builders import (
    REVISION,
    application,
    config_map,
    desired,
    judged,
    looked,
    manifest,
)
from tests.unit.controller.cluster import MemoryCluster
from tests.unit.reports import change, resource

MARK = "argocd.argoproj.io/tracking-id"
BLUE = config_map("settings", colour="blue")
RED = config_map("settings", colour="red")
DEFINITIONS = ApiResource(
    "apiextensions.k8s.io",
    "v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    False,
    ("list",),
)
BUDGET = {
    "apiVersion": "policy/v1",
    "kind": "PodDisruptionBudget",
    "metadata": {"name": "budget", "namespace": "shop"},
    "spec": {"minAvailable": 1},
}


@pytest.fixture
def cluster() -> MemoryCluster:
    """A cluster with one ConfigMap and one budget, both as Git has them."""
    cluster = MemoryCluster()
    cluster.put(BLUE)
    cluster.put(BUDGET)
    return cluster


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxPool]:
    """One worker."""
    async with SandboxPool(size=1) as pool:
        yield pool


def statuses(reports: dict[str, ResourceReport]) -> dict[str, str]:
    """The statuses by name."""
    return {name: str(one.status) for name, one in reports.items()}


async def test_synced_and_out_of_sync(cluster: MemoryCluster) -> None:
    """An equal object is Synced, a changed one OutOfSync with its field, both with evidence."""
    cluster.put(RED, manager="kubectl-edit", operation="Update")
    found = await judged(cluster, desired(BLUE, BUDGET))
    assert statuses(found) == {"settings": "OutOfSync", "budget": "Synced"}
    (difference,) = found["settings"].changes
    assert (difference.path, difference.desired, difference.live) == ("/data/colour", "blue", "red")
    assert difference.manager == "kubectl-edit"
    evidence = found["settings"].evidence
    live = cluster.read("ConfigMap", "shop", "settings")["metadata"]
    assert (evidence.uid, evidence.resource_version) == (live["uid"], live["resourceVersion"])
    assert (evidence.revision, evidence.observed_at) == (REVISION, "2026-03-01T12:00:00Z")
    assert evidence.schema_hash


async def test_missing(cluster: MemoryCluster) -> None:
    """An object that a complete list does not hold is Missing."""
    cluster.delete("ConfigMap", "shop", "settings")
    assert statuses(await judged(cluster, desired(BLUE, BUDGET)))["settings"] == "Missing"


# Cannot see is never gone (invariant 1)


@pytest.mark.parametrize("namespace", ["", "shop"])
@pytest.mark.parametrize(
    "error",
    [Forbidden("list configmaps", hint="grant it"), Unreachable("timed out", hint="try later")],
    ids=["forbidden", "timeout"],
)
async def test_a_list_that_failed(
    cluster: MemoryCluster, error: Forbidden | Unreachable, namespace: str
) -> None:
    """Objects whose list failed, there or not, are Unknown with reason; others are judged."""
    cluster.refused["ConfigMap", namespace] = error
    found = await judged(cluster, desired(BLUE, config_map("other"), BUDGET))
    assert statuses(found) == {"settings": "Unknown", "other": "Unknown", "budget": "Synced"}
    assert found["settings"].reason == error.message


async def test_a_list_that_failed_in_one_namespace(cluster: MemoryCluster) -> None:
    """Objects of other namespaces keep their verdicts."""
    cluster.refused["ConfigMap", "shop"] = Forbidden("list configmaps in shop")
    cluster.put(config_map("elsewhere", namespace="lab"))
    elsewhere = config_map("elsewhere", namespace="lab")
    gone = config_map("gone", namespace="lab")
    found = await judged(cluster, desired(BLUE, elsewhere, gone))
    assert statuses(found) == {"settings": "Unknown", "elsewhere": "Synced", "gone": "Missing"}


async def test_discovery_of_a_group_failed(cluster: MemoryCluster) -> None:
    """Objects of a group that did not answer are Unknown, never unserved or Missing."""
    cluster.failed_groups["policy/v1"] = "the server behind this API group does not answer"
    found = await judged(cluster, desired(BLUE, BUDGET))
    assert statuses(found) == {"settings": "Synced", "budget": "Unknown"}
    assert "discovery of policy/v1: the server" in str(found["budget"].reason)


async def test_discovery_failed(cluster: MemoryCluster) -> None:
    """Without discovery every object is Unknown with the cluster's error."""
    cluster.down = Unreachable("one: connection refused")
    found = await judged(cluster, desired(BLUE, BUDGET))
    assert statuses(found) == {"settings": "Unknown", "budget": "Unknown"}
    assert found["settings"].reason == "one: connection refused"


async def test_no_schema(cluster: MemoryCluster) -> None:
    """Without its schema an object is Unknown with reason and evidence; others are judged."""
    cluster.without_schema.add("policy/v1")
    found = await judged(cluster, desired(BLUE, BUDGET))
    assert statuses(found) == {"settings": "Synced", "budget": "Unknown"}
    assert "cannot read the schema of policy/v1" in str(found["budget"].reason)
    assert found["budget"].evidence.uid


async def test_secrets_that_may_not_be_listed(cluster: MemoryCluster) -> None:
    """Refused Secrets are NotChecked; Secrets behind a timeout are Unknown."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop"}}
    cluster.refused["Secret", ""] = Forbidden("list secrets")
    assert statuses(await judged(cluster, desired(secret))) == {"s": "NotChecked"}
    cluster.refused["Secret", ""] = Unreachable("timed out")
    assert statuses(await judged(cluster, desired(secret))) == {"s": "Unknown"}


# What the cluster does not serve


async def test_another_version_is_served(cluster: MemoryCluster) -> None:
    """An unserved version of a served kind names the version to write in Git."""
    old = {**BUDGET, "apiVersion": "policy/v1beta1"}
    found = await judged(cluster, desired(old))
    assert found["budget"].status is ResourceStatus.UNKNOWN
    assert "it serves policy/v1: change apiVersion in Git" in str(found["budget"].reason)


async def test_a_misspelt_kind_of_argo_cd(cluster: MemoryCluster) -> None:
    """A rendered `Aplication` is no sign of a wrong cluster: what is meant is named."""
    slip = {**BUDGET, "apiVersion": "argoproj.io/v1alpha1", "kind": "Aplication"}
    found = await judged(cluster, desired(slip))
    assert found["budget"].status is ResourceStatus.UNKNOWN
    assert "is Application meant?" in str(found["budget"].reason)
    assert "--context" not in str(found["budget"].reason)


async def test_a_definition_declared_beside_its_objects(cluster: MemoryCluster) -> None:
    """Objects whose definition Git declares too, not yet installed, are Missing like it."""
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "names": {"kind": "Widget"}},
    }
    cluster.resources.append(DEFINITIONS)
    widget = {**BUDGET, "apiVersion": "example.com/v1", "kind": "Widget"}
    alone = await judged(cluster, desired(widget))
    assert alone["budget"].status is ResourceStatus.UNKNOWN
    assert "its CustomResourceDefinition is not installed" in str(alone["budget"].reason)
    together = await judged(cluster, desired(widget, definition))
    assert together["budget"].status is ResourceStatus.MISSING
    cluster.refused[DEFINITIONS.kind, ""] = Forbidden("cannot list customresourcedefinitions")
    unseen = await judged(cluster, desired(widget, definition))
    assert unseen["budget"].status is ResourceStatus.UNKNOWN
    cluster.refused.clear()
    cluster.put(definition)
    installed = await judged(cluster, desired(widget, definition))
    assert installed["budget"].status is ResourceStatus.UNKNOWN
    assert "not served" in str(installed["budget"].reason)


async def test_a_definition_of_another_application(cluster: MemoryCluster) -> None:
    """Where another application declares the definition, it is named: that one comes first."""
    widget = {**BUDGET, "apiVersion": "example.com/v1", "kind": "Widget"}
    defined = {("example.com", "Widget"): "operators"}
    wanted = desired(widget)
    (found,) = Verdict(
        wanted, replace(await looked(cluster, wanted), defined_by=defined)
    ).resources()
    assert found.status is ResourceStatus.UNKNOWN
    assert str(found.reason).endswith("is not installed: sync operators first")


async def test_the_object_of_a_misspelt_kind_is_not_extra(cluster: MemoryCluster) -> None:
    """A live object that Git declares under a misspelt kind cannot be told to be gone from Git."""
    cluster.put(tracked("settings"))
    cluster.put(tracked("other"))
    wanted = desired({**BLUE, "kind": "Configmap"}, config_map("third"))
    verdict = Verdict(wanted, await looked(cluster, wanted))
    found = {(one.kind, one.name): one for one in verdict.resources()}
    assert found["ConfigMap", "other"].status is ResourceStatus.EXTRA
    meant = found["ConfigMap", "settings"]
    assert meant.status is ResourceStatus.UNKNOWN
    assert "Git probably declares it, as v1 Configmap" in str(meant.reason)


# Git is ahead


async def test_pending(cluster: MemoryCluster) -> None:
    """A field that live shares with the revision synced last is pending, not drift."""
    cluster.put(RED)
    found = await judged(cluster, desired(BLUE), synced=[RED])
    assert found["settings"].status is ResourceStatus.PENDING
    assert [one.change_class for one in found["settings"].changes] == [ChangeClass.PENDING]


async def test_drift_beside_pending(cluster: MemoryCluster) -> None:
    """A field that equals neither revision is drift, although Git is ahead elsewhere."""
    cluster.put(config_map("settings", colour="red", size="huge"))
    wanted = config_map("settings", colour="blue", size="small")
    before = config_map("settings", colour="red", size="small")
    found = await judged(cluster, desired(wanted), synced=[before])
    assert found["settings"].status is ResourceStatus.OUT_OF_SYNC
    classes = {one.path: one.change_class for one in found["settings"].changes}
    assert classes == {"/data/colour": ChangeClass.PENDING, "/data/size": ChangeClass.DECLARED}


async def test_a_new_object_is_pending(cluster: MemoryCluster) -> None:
    """An absent object that the synced revision did not have is Pending, else it is Missing."""
    new = config_map("new")
    found = await judged(cluster, desired(BLUE, new), synced=[BLUE])
    assert found["new"].status is ResourceStatus.PENDING
    assert "added since the last sync" in str(found["new"].reason)
    found = await judged(cluster, desired(BLUE, new), synced=[BLUE, new])
    assert found["new"].status is ResourceStatus.MISSING


async def test_a_removed_object_is_pending(cluster: MemoryCluster) -> None:
    """An object that Git has dropped since the last sync is Pending; nobody has added it."""
    cluster.put(tracked("dropped"))
    found = await judged(cluster, desired(BLUE), synced=[BLUE, config_map("dropped")])
    assert found["dropped"].status is ResourceStatus.PENDING
    found = await judged(cluster, desired(BLUE), synced=[BLUE])
    assert found["dropped"].status is ResourceStatus.EXTRA


# Extra objects


def tracked(name: str, mark: str = "", **metadata: Any) -> dict[str, Any]:
    """A ConfigMap that carries a tracking mark, by default its own."""
    body = config_map(name)
    annotations = {MARK: mark or f"shop:/ConfigMap:shop/{name}"}
    annotations |= metadata.pop("annotations", {})
    body["metadata"] |= {"annotations": annotations, **metadata}
    return body


async def test_extra(cluster: MemoryCluster) -> None:
    """An object that Argo CD tracks as this application's and Git lacks is Extra."""
    cluster.put(tracked("left-over"))
    cluster.put(tracked("other-form", "argocd_shop:/ConfigMap:shop/other-form"))
    found = await judged(cluster, desired(BLUE))
    assert statuses(found) == {"settings": "Synced", "left-over": "Extra", "other-form": "Extra"}
    assert found["left-over"].evidence.uid
    assert found["left-over"].manager == "kubectl"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(tracked("copy", "shop:/ConfigMap:shop/original"), id="copied-mark"),
        pytest.param(tracked("copy", "shop:/ConfigMap:lab/copy"), id="copied-from-namespace"),
        pytest.param(tracked("copy", "other:/ConfigMap:shop/copy"), id="other-application"),
        pytest.param(
            tracked("owned", ownerReferences=[{"kind": "X", "name": "x", "uid": "u"}]), id="owned"
        ),
    ],
)
async def test_not_extra(cluster: MemoryCluster, body: dict[str, Any]) -> None:
    """Copies of a mark, other applications' objects and owned ones are not Extra."""
    cluster.put(body)
    assert statuses(await judged(cluster, desired(BLUE))) == {"settings": "Synced"}


@pytest.mark.parametrize(
    ("options", "ignored"),
    [
        ("IgnoreExtraneous", True),
        ("ServerSideDiff=true, IgnoreExtraneous", True),
        ("IgnoreExtraneousFields", False),
        ("ignoreextraneous", False),
    ],
)
async def test_ignored_as_extraneous(cluster: MemoryCluster, options: str, ignored: bool) -> None:
    """An Extra object with Argo CD's compare option stays visible, marked, and is no drift."""
    annotations = {"argocd.argoproj.io/compare-options": options}
    cluster.put(tracked("left", annotations=annotations))
    extra = (await judged(cluster, desired(BLUE)))["left"]
    assert (extra.status, extra.is_drift) == ("Extra", not ignored)
    by = "argocd.argoproj.io/compare-options: IgnoreExtraneous"
    assert extra.ignored_by == (by if ignored else UNSET)


async def test_random_names_leave_objects_behind(cluster: MemoryCluster) -> None:
    """What an earlier rendering may have declared under its name stays visible and is no drift."""
    for name in ("job-x7f3a", "other-x7f3a", "job-x-y"):
        cluster.put(tracked(name))
    random = desired(config_map("job-9kqpl"))
    (one,) = random.manifests
    one = msgspec.structs.replace(one, unstable=("",))
    found = await judged(cluster, replace(random, manifests=(one,)))
    extras = {name: found[name] for name in ("job-x7f3a", "other-x7f3a", "job-x-y")}
    assert {one.status for one in extras.values()} == {"Extra"}
    assert {name: one.is_drift for name, one in extras.items()} == {
        "job-x7f3a": False,
        "other-x7f3a": True,
        "job-x-y": True,
    }
    assert found["job-x7f3a"].ignored_by == "non-deterministic rendering"


async def test_hooks_are_not_extra(cluster: MemoryCluster) -> None:
    """What Git renders but is never compared is not Extra when the cluster has it."""
    cluster.put(tracked("hook"))
    found = await judged(cluster, desired(BLUE, not_compared=[config_map("hook")]))
    assert statuses(found) == {"settings": "Synced"}


async def test_nothing_is_extra_of_half_a_render(cluster: MemoryCluster) -> None:
    """When something of Git could not be rendered, what looks extra may be declared there."""
    cluster.put(tracked("left-over"))
    failed = (Condition("ComparisonError", "a source does not render"),)
    found = await judged(cluster, desired(BLUE, conditions=failed))
    assert statuses(found) == {"settings": "Synced"}
    warned = (Condition("RenderWarning", "a file was left out", Severity.WARNING),)
    found = await judged(cluster, desired(BLUE, conditions=warned))
    assert statuses(found)["left-over"] == "Extra"


# Isolation and states


async def test_a_field_that_the_kind_does_not_have(cluster: MemoryCluster) -> None:
    """What no cluster can store is told as a mistake in Git; a removed field is not."""
    found = await judged(cluster, desired({**BLUE, "colours": {"a": "b"}}))
    (change,) = found["settings"].changes
    assert (change.path, str(change.kind)) == ("/colours", "missing")
    assert change.reason == (
        "the kind has no field colours here: the API server drops it or refuses the object; "
        "correct its name in Git or remove it"
    )
    found = await judged(cluster, desired(config_map("settings", colour="blue", size="small")))
    (change,) = found["settings"].changes
    assert change.reason == "declared in Git, absent from the cluster"


@pytest.mark.parametrize(
    "wrong", [{"managedFields": [7]}, {"annotations": "text"}, {"labels": [1]}], ids=str
)
async def test_a_broken_object_stays_alone(cluster: MemoryCluster, wrong: dict[str, Any]) -> None:
    """An object of a shape that no schema allows is Unknown; the ones beside it are judged."""
    broken = config_map("broken", colour="blue")
    broken["metadata"] |= wrong
    cluster.put(broken)
    wanted = desired(config_map("broken", colour="red"), BLUE, {**BUDGET, "spec": "text"})
    found = await judged(cluster, wanted)
    assert statuses(found) == {"broken": "Unknown", "settings": "Synced", "budget": "OutOfSync"}
    assert "cannot be compared" in str(found["broken"].reason)


async def test_a_terminating_object_is_out_of_sync(cluster: MemoryCluster) -> None:
    """An object that is being deleted is not what Git asks for, even if its fields are."""
    leaving = json.loads(json.dumps(BLUE))
    leaving["metadata"] |= {"deletionTimestamp": "2026-03-01T11:59:00Z", "finalizers": ["x/y"]}
    cluster.put(leaving)
    found = await judged(cluster, desired(BLUE))
    assert found["settings"].status is ResourceStatus.OUT_OF_SYNC
    assert found["settings"].reason == "being deleted since 2026-03-01T11:59:00Z"


async def test_deployers_are_settable(cluster: MemoryCluster) -> None:
    """`driftd.io/deployers` says whose writes count as Git's, in place of the known ones."""
    assert deployers_of(application()) == DEPLOYERS
    app = application(annotations={DEPLOYERS_ANNOTATION: "ci-bot, release "})
    assert deployers_of(app) == {"ci-bot", "release"}
    cluster.put(config_map("settings", colour="blue", left="behind"), manager="ci-bot")
    found = await judged(cluster, desired(BLUE, app=app))
    kinds = {one.path: str(one.kind) for one in found["settings"].changes}
    assert kinds == {"/data/left": "formerly-declared"}
    found = await judged(cluster, desired(BLUE))
    kinds = {one.path: str(one.kind) for one in found["settings"].changes}
    assert kinds == {"/data/left": "added"}


def test_status_of_changes() -> None:
    """Drift beats pending, pending beats the classes that are only counted."""
    drift = change("/a")
    pending = change("/b", change_class=ChangeClass.PENDING)
    review = change("/c", change_class=ChangeClass.REVIEW)
    hidden = change("/d", ignored_by="spec.ignoreDifferences[0]")
    assert status_of([drift, pending, review]) is ResourceStatus.OUT_OF_SYNC
    assert status_of([pending, review, hidden]) is ResourceStatus.PENDING
    assert status_of([review, hidden]) is ResourceStatus.SYNCED


def test_out_of_sync_beats_unknown() -> None:
    """Drift makes an application OutOfSync although it is incomplete; blindness alone Unknown."""
    unknown = resource("a", status=ResourceStatus.UNKNOWN)
    drifted = resource("b", change("/data/colour"))
    both = application_report(desired(), [unknown, drifted], ())
    assert (both.status, both.complete) == (ApplicationStatus.OUT_OF_SYNC, False)
    blind = application_report(desired(), [unknown], ())
    assert (blind.status, blind.complete) == (ApplicationStatus.UNKNOWN, False)
    warned = application_report(desired(), [], [Condition("W", "w", Severity.WARNING)])
    assert (warned.status, warned.complete) == (ApplicationStatus.SYNCED, True)


# Rules


async def ruled(
    sandbox: SandboxPool, cluster: MemoryCluster, wanted: dict[str, Any], **rule: Any
) -> tuple[ResourceReport, list[Condition]]:
    """The judged ConfigMap of an application with one entry of ignoreDifferences."""
    app = application(ignoreDifferences=[{"group": "", "kind": "ConfigMap", **rule}])
    found = await judged(cluster, desired(wanted, app=app))
    reports, conditions = await judge(
        app,
        list(found.values()),
        {one.key: one for one in [manifest(wanted)]},
        {},
        sandbox,
    )
    return reports[0], conditions


async def test_an_ignored_change_stays_visible(
    sandbox: SandboxPool, cluster: MemoryCluster
) -> None:
    """A rule marks the change with its name and takes its weight, a jq rule as well."""
    cluster.put(RED)
    for rule in ({"jsonPointers": ["/data/colour"]}, {"jqPathExpressions": [".data.colour"]}):
        report, conditions = await ruled(sandbox, cluster, BLUE, **rule)
        assert report.status is ResourceStatus.SYNCED
        assert str(report.changes[0].ignored_by).startswith("spec.ignoreDifferences[0].")
        assert report.changes[0].severity
        assert report.changes[0].severity_reason
        assert conditions == []


async def test_origin(cluster: MemoryCluster) -> None:
    """A declared object names file, line and repository without password, an extra one none."""
    url = "https://bot:s3cret@git.example.com/gitops.git"
    cluster.put(tracked("leftover"))
    wanted = desired(BLUE, app=application(source={"repoURL": url, "path": "apps/shop"}))
    (one,) = wanted.manifests
    placed = msgspec.structs.replace(one, origin=Origin(0, "apps/shop/all.yaml", 7))
    found = await judged(cluster, replace(wanted, manifests=(placed,)))
    assert found["settings"].origin == ReportOrigin(
        repo_url="https://git.example.com/gitops.git", file="apps/shop/all.yaml", line=7
    )
    assert found["leftover"].status is ResourceStatus.EXTRA
    assert found["leftover"].origin is UNSET


async def test_a_failing_rule_is_reported_and_hides_nothing(
    sandbox: SandboxPool, cluster: MemoryCluster
) -> None:
    """An expression that fails is a condition that names it; the change stays drift."""
    cluster.put(RED)
    report, (condition,) = await ruled(
        sandbox, cluster, BLUE, jqPathExpressions=[".data.colour | error"]
    )
    assert report.status is ResourceStatus.OUT_OF_SYNC
    assert "spec.ignoreDifferences[0].jqPathExpressions[0]" in condition.message


async def test_an_unused_rule_is_reported(sandbox: SandboxPool, cluster: MemoryCluster) -> None:
    """A rule that matched nothing is a condition of no consequence for the verdict."""
    cluster.put(RED)
    report, (condition,) = await ruled(sandbox, cluster, BLUE, jsonPointers=["/data/size"])
    assert report.status is ResourceStatus.OUT_OF_SYNC
    assert "spec.ignoreDifferences[0].jsonPointers[0]" in condition.message
    assert condition.severity is not Severity.ERROR


@pytest.mark.parametrize(
    ("why", "live", "status"),
    [
        (Unchecked("once"), True, "NotChecked"),
        (Unchecked("once"), False, "Missing"),
        (Unchecked("ignored", existence=False), False, "NotChecked"),
        (Unchecked("a variable is not known", unknown=True), True, "Unknown"),
        (Unchecked("a variable is not known", unknown=True), False, "Missing"),
    ],
)
async def test_object_whose_content_is_not_compared(
    cluster: MemoryCluster, why: Unchecked, live: bool, status: str
) -> None:
    """Whatever live holds, the reason is told; that the object must exist may still hold."""
    if live:
        cluster.put(RED, manager="kubectl-edit", operation="Update")
    else:
        cluster.delete("ConfigMap", "shop", "settings")
    declared = desired(BLUE, BUDGET)
    manifests = tuple(
        msgspec.structs.replace(one, unchecked=why) if one.key.name == "settings" else one
        for one in declared.manifests
    )
    found = await judged(cluster, replace(declared, manifests=manifests))
    assert statuses(found) == {"settings": status, "budget": "Synced"}
    assert found["settings"].changes == ()
    assert found["settings"].reason == (UNSET if status == "Missing" else why.reason)
