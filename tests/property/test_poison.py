"""Objects that nobody should be able to store: they are Unknown, or judged; the others are as ever.

Each base object gets random damage at a random place of what the cluster serves: other types, nulls
in lists, text that is none, a megabyte, deep nesting, garbage in `managedFields` and in marks
(S-79). `POISONED` sets how many; `make prove` takes 10⁵.
"""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Collection
from typing import Any

import msgspec
import pytest

from driftd.cluster import listing
from driftd.cluster.reader import ApiResource, Discovery, Listing, OpenApiDocument, Select
from driftd.controller.tracking import tracked
from driftd.controller.verdict import Verdict, application_report
from driftd.controller.watching import digest
from driftd.model.report import ResourceStatus
from driftd.model.resource import GVK, LiveObject
from tests.cases.openapi.subset import FILE as OPENAPI
from tests.property.lab import named, objects
from tests.unit.controller.builders import desired, looked
from tests.unit.controller.cluster import READ, MemoryCluster

COUNT = int(os.environ.get("POISONED", "1000"))
BATCH = 250
MARK = "argocd.argoproj.io/tracking-id"
DEEP = 1200
DEEP_MARK = "deep-4f1c"
SURROGATE = "lone-4f1c"
CLUSTER_SCOPED = {
    "ClusterRole", "ClusterRoleBinding", "PersistentVolume", "StorageClass", "PriorityClass",
    "IngressClass", "Namespace", "ValidatingWebhookConfiguration",
}  # fmt: skip
BASES = [one for one in objects() if one["kind"] not in ("CustomResourceDefinition", "Widget")]
VALUES: tuple[Any, ...] = (
    None, "", 0, -1, 10**400, True, False, [], {}, [None], {"": None}, [[[]]], [{"name": None}],
    "x" * 1_000_000, SURROGATE, DEEP_MARK,
    "\u202e\x1b[31m\n", "k:{", "0x", "1e999", "~1/~0", "\x00",
    {"a/b~c": 1}, {"name": {}}, "2026-13-45T99:99:99Z", 1.5, "AQ==", "=", ["x", None, 1, {}],
)  # fmt: skip
ENTRIES: tuple[Any, ...] = (
    None, {}, "text", [], {"manager": None}, {"manager": 1, "operation": [], "time": "never"},
    {"manager": "m", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": []},
    {"manager": "m", "operation": "Update", "fieldsV1": {"f:spec": None, "k:{": {}, "v:[": {}}},
    {"manager": "m", "operation": "Apply", "fieldsV1": {"f:metadata": {"f:": {".": 1}}}},
    {"manager": "m", "operation": "Update", "apiVersion": "no/such/one", "fieldsV1": {"i:x": {}}},
)  # fmt: skip


def damage(body: Any, chance: random.Random) -> None:
    """Change one place, wherever it is, to something that does not belong there."""
    metadata = body["metadata"]
    way = chance.random()
    if way < 0.15:
        metadata["managedFields"] = [chance.choice(ENTRIES) for _ in range(chance.randint(1, 3))]
        return
    if way < 0.25:
        field = chance.choice(
            ("labels", "annotations", "ownerReferences", "finalizers", "managedFields", "uid",
             "resourceVersion", "deletionTimestamp", "generateName", "creationTimestamp")
        )  # fmt: skip
        metadata[field] = chance.choice(VALUES)
        return
    if way < 0.3:
        me = {"apiVersion": "v1", "kind": body["kind"], "name": metadata["name"], "uid": "u"}
        metadata["ownerReferences"] = [me, None, me]
        return
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            if node is body and key in ("apiVersion", "kind", "metadata"):
                continue
            places.append((node, key))
            if isinstance(node[key], dict | list) and node[key]:
                walk(node[key])

    walk(body)
    if not places:
        body["data"] = chance.choice(VALUES)
        return
    node, key = chance.choice(places)
    if isinstance(node, dict) and chance.random() < 0.2:
        node[chance.choice(("", "a/b", "f:x", "名", "x" * 300))] = node[key]
    node[key] = chance.choice(VALUES)


def served(body: Any) -> bytes:
    """The bytes of an object, with what no encoder of Python writes."""
    text = json.dumps(body)
    text = text.replace(f'"{SURROGATE}"', '"\\ud800"')
    return text.replace(f'"{DEEP_MARK}"', '{"a":' * DEEP + "1" + "}" * DEEP).encode()


class Poisoned(MemoryCluster):
    """A cluster whose lists are bytes, split as those of an API server are."""

    def __init__(self) -> None:
        super().__init__()
        gvks = {GVK.parse(one["apiVersion"], one["kind"]) for one in BASES}
        self.resources = [
            ApiResource(
                gvk.group,
                gvk.version,
                gvk.kind,
                f"{gvk.kind.lower()}s",
                gvk.kind not in CLUSTER_SCOPED,
                READ,
            )
            for gvk in sorted(gvks)
        ]
        self.bodies: dict[GVK, list[bytes]] = {}
        self._schema = OPENAPI.read_bytes()

    async def discover(self) -> Discovery:
        """See `ClusterReader`."""
        return Discovery.of(self.resources)

    async def list(
        self,
        resource: ApiResource,
        namespaces: Collection[str] | None = None,
        select: Select | None = None,
        *,
        label_selector: str = "",
    ) -> Listing:
        """See `ClusterReader`."""
        bodies = b",".join(self.bodies.get(resource.gvk, ()))
        page = b'{"kind":"List","metadata":{"resourceVersion":"9"},"items":[' + bodies + b"]}"
        items = listing.decode_page(page).items
        found, unreadable = listing.live_objects(resource, items or [], select)
        self.unreadable += unreadable
        return Listing(tuple(found))

    unreadable = 0

    async def openapi(self, group_version: str, *, known_hash: str = "") -> OpenApiDocument:
        """See `ClusterReader`: one document has the schemas of every kind."""
        return OpenApiDocument(group_version, "1", None if known_hash else self._schema)

    def serve(self, body: Any) -> None:
        """Add an object as it is."""
        self.bodies.setdefault(GVK.parse(body["apiVersion"], body["kind"]), []).append(served(body))


def declared(base: Any, name: str) -> Any:
    """A base object as Git has it."""
    body = named(base, name)
    if body["kind"] in CLUSTER_SCOPED:
        body["metadata"].pop("namespace", None)
    else:
        body["metadata"]["namespace"] = "shop"
    return body


def live(body: Any, mark: str) -> Any:
    """The same object as a cluster serves it, applied by Argo CD."""
    made = copy.deepcopy(body)
    metadata = made["metadata"]
    metadata |= {"uid": f"u-{metadata['name']}", "resourceVersion": "5"}
    metadata.setdefault("annotations", {})[MARK] = mark
    return made


async def batch(chance: random.Random, count: int) -> None:
    """Judge one sound object of each kind, and `count` damaged ones, of which some are Git's."""
    cluster = Poisoned()
    wanted: list[Any] = []
    for base in BASES:
        body = declared(base, "sound")
        wanted.append(body)
        cluster.serve(live(body, "other:x/y:z/w"))
    for number in range(count):
        body = declared(chance.choice(BASES), f"poison-{number}")
        if chance.random() < 0.8:
            wanted.append(body)
        gvk = GVK.parse(body["apiVersion"], body["kind"])
        namespace = body["metadata"].get("namespace", "shop")
        mark = f"shop:{gvk.group}/{gvk.kind}:{namespace}/{body['metadata']['name']}"
        poisoned = live(body, mark)
        damage(poisoned, chance)
        cluster.serve(poisoned)
    target = desired(*wanted)
    look = await looked(cluster, target)
    verdict = Verdict(target, look)
    report = application_report(target, verdict.resources(), ())
    assert msgspec.json.encode(report)
    by_name = {(one.kind, one.name): one for one in report.resources}
    sound = [by_name[body["kind"], "sound"] for body in wanted[: len(BASES)]]
    assert {str(one.status) for one in sound} == REFERENCE
    assert len(by_name) >= len(wanted)
    # What was damaged beyond its address is there all the same, or it is told that it is unseen.
    missing = [one for one in report.resources if one.status is ResourceStatus.MISSING]
    assert len(missing) <= cluster.unreadable
    for one in look.observation.live.values():
        assert isinstance(digest(one.body), bytes)
        assert isinstance(tracked(GVK("", "v1", "ConfigMap"), one), dict)


REFERENCE: set[str] = set()
"""The statuses of sound objects where nothing is damaged."""


@pytest.fixture(autouse=True)
async def reference() -> None:
    """Judge sound objects alone, once."""
    REFERENCE.clear()
    cluster = Poisoned()
    wanted = [declared(base, "sound") for base in BASES]
    for body in wanted:
        cluster.serve(live(body, "other:x/y:z/w"))
    target = desired(*wanted)
    verdict = Verdict(target, await looked(cluster, target))
    REFERENCE.update(str(one.status) for one in verdict.resources())


async def test_poisoned_objects_stay_alone() -> None:
    """No damage ends a look; sound objects have the verdicts that they have without any."""
    seed = os.environ.get("POISON_SEED", "1")
    done = 0
    while done < COUNT:
        chance = random.Random(f"{seed}-{done}")  # noqa: S311 - damage is no secret
        await batch(chance, min(BATCH, COUNT - done))
        done += BATCH


def test_an_object_with_a_deep_value_is_known_by_its_metadata() -> None:
    """Its address and its marks are read; its content is left as it is, which no parser takes."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n"}}
    raw = served({**body, "deep": DEEP_MARK, "text": SURROGATE})
    other = served({**body, "metadata": {"name": "b", "namespace": "n"}})
    page = b'{"kind":"L","metadata":{"continue":"c"},"items":[' + raw + b"," + other + b"]}"
    found = listing.decode_page(page)
    assert found.metadata.next_page == "c"
    resource = ApiResource("", "v1", "ConfigMap", "configmaps", True)
    (one, two), unreadable = listing.live_objects(resource, found.items or [], None)
    assert (one.key.name, two.key.name, unreadable) == ("a", "b", 0)
    assert isinstance(one, LiveObject)
    assert one.body == raw
    for cut in (1, len(page) // 2, len(page) - 1):
        with pytest.raises((msgspec.MsgspecError, RecursionError)):
            listing.decode_page(page[:cut])
