"""Asking an API server what it would make of Git's manifests: opt-in, by dry runs alone.

What an object's answer says is worked into its changes; an object that the server refuses to
answer for keeps the verdict that it has, with the reason as a warning. Detection needs none of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import orjson
from msgspec import UNSET

from driftd.aio import gather_isolated
from driftd.cluster.destinations import ClusterTarget
from driftd.cluster.discovery import display_name
from driftd.cluster.oracle import DryRun, Oracle
from driftd.cluster.poison import metadata_of
from driftd.cluster.reader import ApiResource
from driftd.controller.verdict import Look, Verdict
from driftd.controller.workspace import OracleMemory
from driftd.diff.expected import Sides, with_expected
from driftd.diff.schema import Node
from driftd.errors import ClusterError, Forbidden, described
from driftd.model.condition import Condition, Severity
from driftd.model.report import (
    Change,
    ChangeClass,
    ChangeKind,
    ResourceReport,
    ResourceStatus,
)
from driftd.model.resource import GVK, LiveObject, Manifest, ResourceKey

_SAID: Final = {
    DryRun.POST: "a dry-run create of Git's manifest",
    DryRun.PUT: "a dry-run replacement by Git's manifest",
    DryRun.APPLY: "a dry-run apply of Git's manifest",
}
_COMPARED: Final = frozenset(
    {ResourceStatus.SYNCED, ResourceStatus.OUT_OF_SYNC, ResourceStatus.PENDING}
)
_FIXED_NAMES: Final = frozenset({"CustomResourceDefinition", "APIService"})
"""Kinds whose name says what they are, so that none can be created under another one."""
_BESIDE: Final = frozenset({"Pod", "PersistentVolumeClaim"})
"""Kinds that admission completes from objects beside them: limits, accounts, storage classes."""
_ADMISSION: Final = tuple(
    GVK("admissionregistration.k8s.io", "v1", kind)
    for kind in (
        "MutatingWebhookConfiguration",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
    )
)
_NAME_LENGTH: Final = 40


@dataclass(frozen=True, slots=True)
class Question:
    """One object to ask about."""

    resource: ApiResource
    manifest: Manifest
    live: LiveObject
    node: Node
    report: ResourceReport


@dataclass(slots=True)
class Consultation:
    """Asks one cluster's server about the objects of its applications, in one look."""

    oracle: Oracle
    how: DryRun
    target: ClusterTarget
    look: Look
    limit: int
    memory: OracleMemory | None = None
    admission: str = ""
    """Hash of what mutates objects in the cluster; without it no answer is remembered."""
    _refused: dict[tuple[ApiResource, str], str] = field(default_factory=dict)
    """Kinds and namespaces in which the right to ask is missing, with the server's words."""

    async def about(
        self, verdict: Verdict, manifests: Sequence[Manifest], resources: list[ResourceReport]
    ) -> tuple[list[ResourceReport], list[Condition]]:
        """The reports of one application with what the server says of them, and a warning.

        Only declared objects that were compared are asked about; of an apply only those with a
        declared change, since it says nothing of what Git leaves out.
        """
        by_key = {manifest.key: manifest for manifest in manifests}
        questions = {
            position: question
            for position, report in enumerate(resources)
            if (question := self._question(report, by_key)) is not None
        }
        answers = await gather_isolated(self._answer, questions.values(), limit=self.limit)
        told = list(resources)
        refusals: list[tuple[ResourceKey, str]] = []
        for (position, question), answer in zip(questions.items(), answers, strict=True):
            if isinstance(answer, Exception):
                refusals.append((question.manifest.key, described(answer)))
            else:
                told[position] = self._told(question, answer, verdict)
        return told, self._warning(refusals, len(questions))

    def _question(
        self, report: ResourceReport, manifests: Mapping[ResourceKey, Manifest]
    ) -> Question | None:
        key = report.key
        manifest, discovery = manifests.get(key), self.look.view.discovery
        if manifest is None or discovery is None or report.status not in _COMPARED:
            return None
        if report.reason is not UNSET:
            return None  # being deleted, or added since the last sync
        if self.how is DryRun.APPLY and not any(map(_is_declared, report.changes)):
            return None
        gvk, observation = manifest.gvk, self.look.observation
        live = observation.live.get((gvk, key.namespace, key.name))
        node = observation.schemas.node(gvk)
        resource = discovery.served(gvk.group, gvk.version, gvk.kind)
        if live is None or node is None or resource is None:
            return None
        return Question(resource, manifest, live, node, report)

    async def _answer(self, question: Question) -> bytes:
        key, resource = question.manifest.key, question.resource
        known = self._key_of(question)
        if known is not None and self.memory is not None:
            answer = self.memory.get(known)
            if answer is not None:
                return answer
        place = (resource, key.namespace)
        if place in self._refused:
            raise Forbidden(self._refused[place])
        name, body = _asked(self.how, question)
        try:
            answer = await self.oracle.ask(
                self.how, resource, key.namespace, name, body, manager=_manager(question.live)
            )
        except Forbidden as error:
            if " may not" in error.message:  # the credential lacks the right, whatever the name is
                self._refused[place] = error.message
            raise
        if known is not None and self.memory is not None:
            self.memory.keep(known, answer)
        return answer

    def _key_of(self, question: Question) -> Hashable | None:
        """Everything that decides an answer; None if something may that nobody watches."""
        manifest, observation = question.manifest, self.look.observation
        schema = observation.schema_hashes.get(manifest.gvk.api_version)
        if not self.admission or not schema or manifest.key.kind in _BESIDE:
            return None
        alone = self.how is DryRun.POST
        return (
            self.target,
            self.how,
            manifest.gvk,
            manifest.key.namespace,
            hashlib.sha256(manifest.body).digest(),
            schema,
            self.admission,
            self.look.view.version,
            None if alone else (question.live.uid, question.live.resource_version),
        )

    def _told(self, question: Question, answer: bytes, verdict: Verdict) -> ResourceReport:
        made = orjson.loads(answer)
        sides = Sides(
            question.manifest.key,
            orjson.loads(question.manifest.body),
            orjson.loads(question.live.body),
            made,
        )
        changes = with_expected(
            question.report.changes,
            sides,
            question.node,
            said=_SAID[self.how],
            whole=self.how is not DryRun.APPLY,
            instance_label=verdict.context.instance_label,
            instances=verdict.context.instances,
        )
        return msgspec.structs.replace(question.report, changes=changes)

    def _warning(self, refusals: Sequence[tuple[ResourceKey, str]], asked: int) -> list[Condition]:
        """One warning for all objects that the server did not answer for."""
        if not refusals:
            return []
        key, text = refusals[0]
        more = f" (and {len(refusals) - 1} more)" if len(refusals) > 1 else ""
        message = (
            f"{_SAID[self.how]} was not answered for {len(refusals)} of {asked} objects, "
            f"which are judged without it: {key}: {text}{more}"
        )
        return [Condition("OracleWarning", message, Severity.WARNING)]


async def admission_hash(look: Look) -> str:
    """A hash of all that changes objects as they are written; empty if it cannot be read."""
    discovery = look.view.discovery
    seen = hashlib.sha256()
    for gvk in _ADMISSION:
        resource = discovery and discovery.served(gvk.group, gvk.version, gvk.kind)
        if not resource:
            continue  # policies of older servers are not there
        listing = await look.view.reader.list(resource, None)
        if not listing.covers(""):
            return ""
        for live in sorted(listing.objects, key=lambda one: one.key.name):
            seen.update(f"{live.uid} {live.resource_version}\n".encode())
    return seen.hexdigest()


def _is_declared(change: Change) -> bool:
    return change.change_class is ChangeClass.DECLARED and change.kind in (
        ChangeKind.MODIFIED,
        ChangeKind.REORDERED,
    )


def _asked(how: DryRun, question: Question) -> tuple[str, bytes]:
    """The name and the body to ask with. Raises ClusterError for what cannot be asked."""
    manifest = question.manifest
    name = manifest.key.name
    if how is DryRun.APPLY:
        return name, manifest.body
    body = orjson.loads(manifest.body)
    body.pop("status", None)
    metadata = {
        field: value
        for field, value in (body.get("metadata") or {}).items()
        if field in ("labels", "annotations", "finalizers", "ownerReferences")
    }
    if how is DryRun.PUT:
        metadata["resourceVersion"] = question.live.resource_version
    else:
        if manifest.key.kind in _FIXED_NAMES:
            raise ClusterError(
                f"{display_name(question.resource)} cannot be created under another name; "
                "--oracle put asks about it"
            )
        digest = hashlib.sha256(manifest.body).hexdigest()[:8]
        name = f"{name[:_NAME_LENGTH].rstrip('-.')}-{digest}"
        _drop_addresses(body)
    metadata["name"] = name
    body["metadata"] = metadata
    return name, orjson.dumps(body)


def _drop_addresses(body: dict[str, Any]) -> None:
    """Leave out what only one Service can have: the live one holds it."""
    spec = body.get("spec")
    if body.get("kind") != "Service" or not isinstance(spec, dict):
        return
    spec = {
        name: value
        for name, value in spec.items()
        if name != "healthCheckNodePort"
        and (name not in ("clusterIP", "clusterIPs") or value in ("None", ["None"]))
    }
    if isinstance(spec.get("ports"), list):
        spec["ports"] = [
            {name: value for name, value in port.items() if name != "nodePort"}
            if isinstance(port, dict)
            else port
            for port in spec["ports"]
        ]
    body["spec"] = spec


def _manager(live: LiveObject) -> str:
    """The manager whose apply is foreseen: the one that applied the object last, else driftd."""
    entries = metadata_of(live.body).get("managedFields") or ()
    applied = [
        (str(entry.get("time") or ""), str(entry.get("manager") or ""))
        for entry in entries
        if entry.get("operation") == "Apply" and not entry.get("subresource")
    ]
    return max(applied)[1] if applied else "driftd"
