"""What the API server itself fills in, so that an extra field need not be somebody's change.

The table of a server's minor (`tables`) records which field of which schema component real API
servers added to many objects, and with which values. Keyed by component, one observation of a
container holds in every workload kind. Defaults that depend on neighbouring fields are rules here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from enum import Enum
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

from driftd.diff import podresources, scalars
from driftd.diff.paths import Path
from driftd.diff.placed import FILLED_IN, NOT_AGAIN
from driftd.diff.schema import Node
from driftd.diff.tables import empties, table
from driftd.model.resource import Json

Struct: TypeAlias = "dict[str, Any]"

_MAX_INT32: Final = 2**31 - 1
_DOMAIN: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_IMAGE: Final = re.compile(
    r"(?![0-9a-f]{64}\Z)"
    rf"(?:(?:{_DOMAIN}(?:\.{_DOMAIN})*|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?/)?"
    r"[a-z0-9]+(?:(?:[._]|__|-+|/)[a-z0-9]+)*"
    r"(?::\w[\w.-]{0,127})?"
    r"(?:@(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}))?",
    re.ASCII,
)
"""References of images that the API server can read (tried)."""
_ZEROS: Final[tuple[Json, ...]] = (False, 0, "")

STRUCT_MARK: Final = "{}"
"""How the table says that the server creates a struct at a field (its content has own rows)."""


def short(ref: str) -> str:
    """The last two parts of a component name: `v1.Container`, enough to be unique among natives."""
    return ".".join(ref.rsplit(".", 2)[-2:])


def canonical(value: Json) -> str:
    """Canonical JSON text, as the table holds values."""
    return scalars.canonical(value).decode()


class Explained(Enum):
    """How much of an extra value the server's defaults explain."""

    NOT = 0
    STRUCT = 1
    """The struct itself; its fields are judged on their own."""
    WHOLE = 2


def explain(
    node: Node,
    field: str,
    live: Json,
    desired_parent: Struct,
    live_parent: Struct,
    path: Path = ("spec",),
) -> Explained:
    """Whether `live` is what a server fills in at `field` of a struct described by `node`.

    `desired_parent` and `live_parent` are the struct on both sides; conditional defaults read them.
    `path` is where the struct is: some defaults are for an object's own spec alone.
    """
    if field in node.defaults and scalars.identical(node.defaults[field], live):
        return Explained.WHOLE
    if not node.native:
        return Explained.NOT
    row = _rows(node.ref, node.kubernetes).get(field)
    if row is None:
        return Explained.NOT
    if row.placed is not None and not row.placed(live, path):
        return Explained.NOT
    if row.rule is not None:
        fits = row.rule(live, desired_parent, live_parent) or (
            # In a struct that Git leaves out: what was made of nothing stays, whatever came since.
            desired_parent is live_parent and row.rule(live, {}, live_parent)
        )
        return Explained.WHOLE if fits else Explained.NOT
    if isinstance(live, dict):
        return Explained.STRUCT if row.is_struct else Explained.NOT
    for value in row.values:
        if scalars.identical(value, live):
            return Explained.WHOLE
    return Explained.NOT


def origin_of(node: Node, field: str, live: Json) -> str:
    """Where a value that `explain` calls WHOLE comes from, in words."""
    if field in node.defaults and scalars.identical(node.defaults[field], live):
        return "the default that the kind's schema gives the field"
    row = _rows(node.ref, node.kubernetes).get(field)
    if row is not None and row.rule is not None:
        return f"the API server derives it from other fields of the {short(node.ref)}"
    return f"a default of the API server (default table, {short(node.ref)}.{field})"


def is_struct_default(node: Node, field: str) -> bool:
    """Whether the server is known to create the struct at `field` by itself."""
    if not node.native:
        return isinstance(node.defaults.get(field), dict)  # and fills it in then
    row = _rows(node.ref, node.kubernetes).get(field)
    return row is not None and row.is_struct


def is_allocated(node: Node, field: str) -> bool:
    """Whether the value at `field` is chosen by the cluster, so no Git could know it."""
    return node.native and field in ALLOCATED.get(short(node.ref), ())


def is_made_once(node: Node, field: str) -> bool:
    """Whether the server makes the struct at `field` with the object, and not again later."""
    return node.native and (short(node.ref), field) in NOT_AGAIN


class _Row(NamedTuple):
    """What is known about the default of one field."""

    values: tuple[Json, ...]
    is_struct: bool
    rule: Callable[[Json, Struct, Struct], bool] | None
    placed: Callable[[Json, Path], bool] | None


@lru_cache(maxsize=8192)
def _rows(ref: str, kubernetes: str) -> Mapping[str, _Row]:
    """The table and the rules of one schema component of a server's version, by field."""
    component = short(ref)
    rows = {
        field: _Row(
            tuple(json.loads(text) for text in known if text != STRUCT_MARK),
            STRUCT_MARK in known,
            None,
            FILLED_IN.get((component, field)),
        )
        for field, known in table(kubernetes).get(component, {}).items()
    }
    for owner, field in empties()["printed"]:
        if owner == component:  # it is there, and empty, where nobody has set anything
            rows.setdefault(field, _Row(_ZEROS, True, None, FILLED_IN.get((component, field))))
    for (owner, field), rule in CONDITIONAL.items():
        if owner == component:
            rows[field] = _Row((), False, rule, FILLED_IN.get((component, field)))
    return rows


ALLOCATED: Final[Mapping[str, frozenset[str]]] = {
    "v1.ServiceSpec": frozenset(
        {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort"}
    ),
    "v1.ServicePort": frozenset({"nodePort"}),
    "v1.PersistentVolumeClaimSpec": frozenset({"volumeName", "storageClassName"}),
    "v1.PersistentVolumeSpec": frozenset({"claimRef"}),
    "v1.JobSpec": frozenset({"selector"}),
    "v1.ServiceAccount": frozenset({"secrets"}),
    "v1.PodSpec": frozenset({"nodeName", "priority"}),
    # Who asked for a certificate is whoever created the request; it cannot be changed later.
    "v1.CertificateSigningRequestSpec": frozenset({"username", "uid", "groups", "extra"}),
}
"""Fields whose value the cluster allocates (catalogue rows 14-16, 19, 20)."""
ALLOCATED_NAMES: Final = frozenset().union(*ALLOCATED.values())


def _image_pull_policy(live: Json, desired: Struct, _live_parent: Struct) -> bool:
    return _pulled_as(live, str(desired.get("image", "")))


def _image_volume_policy(live: Json, desired: Struct, _live_parent: Struct) -> bool:
    return _pulled_as(live, str(desired.get("reference", "")))


def _pulled_as(live: Json, image: str) -> bool:
    if not _IMAGE.fullmatch(image):  # none yet, or a placeholder: read as having no tag at all
        return bool(live == "IfNotPresent")
    last = image.rpartition("/")[2]
    if "@" in image:
        tagged = ":" in last.partition("@")[0]
        latest = tagged and last.partition("@")[0].endswith(":latest")
    else:
        tagged, latest = ":" in last, last.endswith(":latest")
    untagged = not tagged and "@" not in image
    return bool(live == ("Always" if latest or untagged else "IfNotPresent"))


def _volume_source(live: Json, desired: Struct, _live_parent: Struct) -> bool:
    # A volume without any source is an empty folder.
    return live == {} and not any(inner for name, inner in desired.items() if name != "name")


def _target_port(live: Json, desired: Struct, _live_parent: Struct) -> bool:
    return type(live) is int and live == desired.get("port")


def _pod_replacement(live: Json, desired: Struct, _live_parent: Struct) -> bool:
    return bool(live == ("Failed" if desired.get("podFailurePolicy") else "TerminatingOrFailed"))


def _backoff_limit(live: Json, desired: Struct, _live_parent: Struct) -> bool:
    unlimited = desired.get("backoffLimitPerIndex") is not None
    return type(live) is int and live == (_MAX_INT32 if unlimited else 6)


def _requests(live: Json, desired: Struct, _live_parent: Struct) -> bool:
    limits = desired.get("limits")
    return (
        isinstance(live, dict)
        and isinstance(limits, dict)
        and all(
            name in limits and canonical(limits[name]) == canonical(value)
            for name, value in live.items()
        )
    )


def _policy_types(live: Json, desired: Struct, _live_parent: Struct) -> bool:
    return bool(live == ["Ingress", *(["Egress"] if desired.get("egress") else [])])


def _account_alias(live: Json, desired: Struct, _live_parent: Struct) -> bool:
    # Git may name the account by the deprecated alias alone; a Pod without one gets `default`.
    return live is not None and live == (desired.get("serviceAccount") or "default")


def _service_account(live: Json, _desired: Struct, live_parent: Struct) -> bool:
    # The deprecated alias follows serviceAccountName, which is compared itself.
    return live is not None and live == live_parent.get("serviceAccountName")


def _priority(live: Json, desired: Struct, _live_parent: Struct) -> bool:
    # Admission ranks a Pod without a class 0, unless a class is the cluster's default.
    return type(live) is int and live == 0 and not desired.get("priorityClassName")


def _subject_group(live: Json, desired: Struct, _live_parent: Struct) -> bool:
    return desired.get("kind") in ("User", "Group") and live == "rbac.authorization.k8s.io"


def _data_source_reference(live: Json, desired: Struct, live_parent: Struct) -> bool:
    return _same_source(live, desired.get("dataSource") or live_parent.get("dataSource"))


def _data_source(live: Json, desired: Struct, live_parent: Struct) -> bool:
    return _same_source(live, desired.get("dataSourceRef") or live_parent.get("dataSourceRef"))


def _same_source(live: Json, source: Json) -> bool:
    if not isinstance(live, dict):
        return False
    set_fields = {name: value for name, value in live.items() if value is not None}
    return canonical(set_fields) == canonical(source)


def _selector_of_template(live: Json, desired: Struct, live_parent: Struct) -> bool:
    template = desired.get("template") or live_parent.get("template") or {}
    return canonical(live) == canonical((template.get("metadata") or {}).get("labels"))


def _pod_cidrs(live: Json, desired: Struct, live_parent: Struct) -> bool:
    return bool(live == [desired.get("podCIDR") or live_parent.get("podCIDR")])


def _list_kind(live: Json, desired: Struct, _live_parent: Struct) -> bool:
    return bool(live == f"{desired.get('kind')}List")


def _singular(live: Json, desired: Struct, _live_parent: Struct) -> bool:
    return bool(live == str(desired.get("kind", "")).lower())


def _host_port(live: Json, desired: Struct, _live_parent: Struct) -> bool:
    # Only under hostNetwork does the server copy the port; `extras` looks whether it is on.
    return type(live) is int and live == desired.get("containerPort")


# What a Service's type and addresses bring with them is read off the live object: the field
# that brought it is compared itself, and one change should not be told twice.


def _load_balancer_ports(live: Json, _desired: Struct, live_parent: Struct) -> bool:
    return live is True and live_parent.get("type") == "LoadBalancer"


def _external_traffic(live: Json, _desired: Struct, live_parent: Struct) -> bool:
    external = live_parent.get("type") in ("NodePort", "LoadBalancer")
    return (external or bool(live_parent.get("externalIPs"))) and bool(live == "Cluster")


def _affinity_timeout(live: Json, _desired: Struct, live_parent: Struct) -> bool:
    return live_parent.get("sessionAffinity") == "ClientIP" and canonical(live) == canonical(
        {"clientIP": {"timeoutSeconds": 10800}}
    )


def _client_affinity(live: Json, _desired: Struct, _live_parent: Struct) -> bool:
    # Where Git declares the struct without the number.
    return canonical(live) == canonical({"timeoutSeconds": 10800})


def _client_timeout(live: Json, _desired: Struct, _live_parent: Struct) -> bool:
    return type(live) is int and live == 10800


def _limit_default(live: Json, desired: Struct, _live_parent: Struct) -> bool:
    return isinstance(live, dict) and canonical(live) == canonical(desired.get("max"))


def _limit_request(live: Json, desired: Struct, live_parent: Struct) -> bool:
    known: Struct = {}
    for source in (desired.get("min"), live_parent.get("default"), desired.get("default")):
        known |= source or {}
    return isinstance(live, dict) and canonical(live) == canonical(known)


CONDITIONAL: Final[Mapping[tuple[str, str], Callable[[Json, Struct, Struct], bool]]] = {
    ("v1.Container", "imagePullPolicy"): _image_pull_policy,
    ("v1.EphemeralContainer", "imagePullPolicy"): _image_pull_policy,
    ("v1.ImageVolumeSource", "pullPolicy"): _image_volume_policy,
    ("v1.Volume", "emptyDir"): _volume_source,
    ("v1.ServicePort", "targetPort"): _target_port,
    ("v1.ResourceRequirements", "requests"): _requests,
    ("v1.JobSpec", "backoffLimit"): _backoff_limit,
    ("v1.JobSpec", "podReplacementPolicy"): _pod_replacement,
    ("v1.NetworkPolicySpec", "policyTypes"): _policy_types,
    ("v1.PodSpec", "serviceAccount"): _service_account,
    ("v1.PodSpec", "priority"): _priority,
    ("v1.PodSpec", "serviceAccountName"): _account_alias,
    ("v1.PersistentVolumeClaimSpec", "dataSource"): _data_source,
    ("v1.PersistentVolumeClaimSpec", "dataSourceRef"): _data_source_reference,
    ("v1.ReplicationControllerSpec", "selector"): _selector_of_template,
    ("v1.NodeSpec", "podCIDRs"): _pod_cidrs,
    ("v1.Subject", "apiGroup"): _subject_group,
    ("v1.CustomResourceDefinitionNames", "listKind"): _list_kind,
    ("v1.CustomResourceDefinitionNames", "singular"): _singular,
    ("v1.ContainerPort", "hostPort"): _host_port,
    ("v1.ServiceSpec", "allocateLoadBalancerNodePorts"): _load_balancer_ports,
    ("v1.ServiceSpec", "externalTrafficPolicy"): _external_traffic,
    ("v1.ServiceSpec", "sessionAffinityConfig"): _affinity_timeout,
    ("v1.SessionAffinityConfig", "clientIP"): _client_affinity,
    ("v1.ClientIPConfig", "timeoutSeconds"): _client_timeout,
    ("v1.LimitRangeItem", "default"): _limit_default,
    ("v1.LimitRangeItem", "defaultRequest"): _limit_request,
}
"""Defaults that depend on sibling fields (catalogue row 2)."""


def with_derived(node: Node, field: str, desired: Json, parent: Struct, live: Json) -> Json:
    """`desired` with the members that the server derives from sibling fields of its parent.

    Requests that Git leaves out are filled from the limits, one resource at a time; those of a
    Pod as a whole from its containers first; a LimitRange's defaults from its bounds.
    """
    if field not in _DERIVED_FIELDS:
        return desired
    component = short(node.ref)
    if (component, field) == ("v1.PodSpec", "resources"):
        return podresources.completed(parent, live)
    sources = _DERIVED.get((component, field))
    if sources is None or not (isinstance(desired, dict) and isinstance(live, dict)):
        return desired
    known: Struct = {}
    for source in sources:
        known |= parent.get(source) or {}
    derived = {name: known[name] for name in live if name in known and name not in desired}
    return {**derived, **desired} if derived else desired


_DERIVED: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("v1.ResourceRequirements", "requests"): ("limits",),
    ("v1.LimitRangeItem", "default"): ("max",),
    ("v1.LimitRangeItem", "defaultRequest"): ("min", "max", "default"),
}
"""Sibling fields whose members complete a map that Git gives in part; the last one wins."""
_DERIVED_FIELDS: Final = {"resources", *(field for _, field in _DERIVED)}


def is_empty(value: Json) -> bool:
    """Whether `value` is null, zero, false, empty, or holds nothing but such values."""
    if isinstance(value, dict):
        return all(is_empty(inner) for inner in value.values())
    return value is None or value is False or value in ("", 0) or value == []
