"""The simulated API servers of the demonstration answer as a real API server does.

Each test asks both the same things; what is compared is what a client can tell: status codes,
the shape and the text of answers, and what driftd's own reader makes of them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from driftd.cluster.access import ClusterAccess
from driftd.cluster.discovery import ACCEPT_ANY
from driftd.cluster.kube import KubeCluster
from driftd.cluster.kubeconfig import load_kubeconfig
from driftd.cluster.reader import ApiResource
from driftd.cluster.transport import Response, Transport
from driftd.demo.recording import load
from driftd.demo.server import SimulatedApiServer
from driftd.diff.extras import is_custom
from driftd.errors import Forbidden, NotServed, Unauthorized
from tests.testbed.cluster import ControlPlane

pytestmark = pytest.mark.cluster

CONFIG_MAPS = ApiResource("", "v1", "ConfigMap", "configmaps", True, ("get", "list"))
BUDGETS = ApiResource(
    "policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", True, ("list",)
)
NAMESPACES = ApiResource("", "v1", "Namespace", "namespaces", False, ("get", "list"))
SECRETS = ApiResource("", "v1", "Secret", "secrets", True, ("get", "list"))
LEDGER = "/api/v1/namespaces/ledger/configmaps"


@dataclass(frozen=True)
class Both:
    """A real and a simulated server, each with some ConfigMaps in the namespace `ledger`."""

    real: KubeCluster
    simulated: KubeCluster
    servers: tuple[ClusterAccess, ClusterAccess]

    async def ask(
        self, path: str, accept: str = "application/json", **query: str
    ) -> list[Response]:
        """The answers of the real and the simulated server to one request."""
        return [
            await cluster.transport.get(
                path, doing=path, accept=accept, query=query, answers=range(300, 600)
            )
            for cluster in (self.real, self.simulated)
        ]

    async def same(self, path: str, *, status: int, **query: str) -> Any:
        """Both answer with that status and the same body; the body."""
        real, simulated = await self.ask(path, **query)
        assert (real.status, simulated.status) == (status, status)
        assert real.content_type == simulated.content_type
        assert json.loads(real.body) == json.loads(simulated.body)
        return json.loads(simulated.body)


@pytest.fixture(scope="module")
def ledger(api_server: ControlPlane) -> ControlPlane:
    """The real server with a namespace `ledger` of four ConfigMaps, as the recorded one has."""
    api_server.create_namespace("ledger")
    for number in range(4):
        body = {"metadata": {"name": f"item-{number}"}, "data": {"number": str(number)}}
        api_server.call("POST", LEDGER, body)
    return api_server


@pytest.fixture
async def simulated() -> AsyncIterator[SimulatedApiServer]:
    """The recorded production cluster."""
    async with SimulatedApiServer(load(datetime(2026, 5, 4, tzinfo=UTC))["production"]) as server:
        yield server


@pytest.fixture
async def both(ledger: ControlPlane, simulated: SimulatedApiServer) -> AsyncIterator[Both]:
    """Readers of both servers as the read-only detector."""
    accesses = (
        load_kubeconfig(str(ledger.kubeconfig("detector"))).access(),
        ClusterAccess(name="sim", server=simulated.server, user={"token": simulated.token}),
    )
    async with (
        KubeCluster(Transport(accesses[0]), page_limit=1) as real,
        KubeCluster(Transport(accesses[1]), page_limit=1) as recorded,
    ):
        yield Both(real, recorded, accesses)


def shape(value: Any) -> Any:
    """Names of fields and types of values; of lists the first item."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return type(value).__name__


async def test_discovery_is_the_same(both: Both) -> None:
    """Aggregated discovery has the content type of the real one and every built-in kind of it."""
    for path in ("/api", "/apis"):
        real, simulated = await both.ask(path, accept=ACCEPT_ANY)
        assert real.content_type == simulated.content_type
        assert json.loads(real.body).keys() == json.loads(simulated.body).keys()
    # Groups of custom resources are each cluster's own, and other tests use this one too.
    real_kinds, recorded = [
        {one for one in (await cluster.discover()).resources if not is_custom(one.group)}
        for cluster in (both.real, both.simulated)
    ]
    assert real_kinds == recorded
    assert len(recorded) > 50


async def test_version_is_the_same(both: Both) -> None:
    """The version document has the same fields and the same release."""
    real, simulated = await both.ask("/version")
    assert shape(json.loads(real.body)) == shape(json.loads(simulated.body))
    assert real.content_type == simulated.content_type
    assert await both.real.version() == await both.simulated.version()


@pytest.mark.parametrize("group_version", ["v1", "apps/v1", "networking.k8s.io/v1", "policy/v1"])
async def test_recorded_schemas_are_the_real_ones_without_descriptions(
    both: Both, group_version: str
) -> None:
    """Every recorded component equals the real one but for descriptions; references resolve."""
    real = await both.real.openapi(group_version)
    recorded = await both.simulated.openapi(group_version)
    assert real.body is not None
    assert recorded.body is not None
    assert len(real.schema_hash) == len(recorded.schema_hash)
    again = await both.simulated.openapi(group_version, known_hash=recorded.schema_hash)
    assert again.body is None
    originals = json.loads(real.body)["components"]["schemas"]
    schemas = json.loads(recorded.body)["components"]["schemas"]
    assert schemas
    for name, schema in schemas.items():
        assert _without_descriptions(originals[name]) == schema


def _without_descriptions(schema: Any, *, properties: bool = False) -> Any:
    if isinstance(schema, list):
        return [_without_descriptions(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _without_descriptions(value, properties=key == "properties" and not properties)
        for key, value in schema.items()
        if properties or key != "description"
    }


async def test_list_of_schemas(both: Both) -> None:
    """The index has the same form; an outdated hash is redirected to the present one."""
    real, simulated = await both.ask("/openapi/v3")
    assert real.content_type == simulated.content_type
    paths = json.loads(simulated.body)["paths"]
    assert paths.keys() - json.loads(real.body)["paths"].keys() <= {
        path for path in paths if ".example.com/" in path
    }
    assert all(entry.keys() == {"serverRelativeURL"} for entry in paths.values())
    for answer in await both.ask("/openapi/v3/apis/apps/v1", hash="outdated"):
        assert answer.status == 200
        assert "hash=outdated" not in answer.url
        assert "/openapi/v3/apis/apps/v1?hash=" in answer.url


async def test_pages(both: Both) -> None:
    """A limited list has the metadata of the real one, and its token leads to the rest."""
    for answer in await both.ask(LEDGER, limit="1"):
        page = json.loads(answer.body)
        assert (page["kind"], page["apiVersion"]) == ("ConfigMapList", "v1")
        assert shape(page["metadata"]) == {
            "resourceVersion": "str",
            "continue": "str",
            "remainingItemCount": "int",
        }
        assert page["metadata"]["resourceVersion"].isdigit()
        assert len(page["items"]) == 1
        assert not {"kind", "apiVersion"} & page["items"][0].keys()
        assert {"uid", "resourceVersion", "creationTimestamp", "managedFields"} <= page["items"][0][
            "metadata"
        ].keys()
    for answer in await both.ask(LEDGER):
        whole = json.loads(answer.body)
        assert shape(whole["metadata"]) == {"resourceVersion": "str"}
        names = [item["metadata"]["name"] for item in whole["items"]]
        assert names == sorted(names)
    for cluster in (both.real, both.simulated):
        one_by_one = await cluster.list(CONFIG_MAPS, ["ledger"])
        everywhere = await cluster.list(CONFIG_MAPS)
        assert one_by_one.complete
        assert everywhere.complete
        assert len(one_by_one.objects) > 1
        assert {live.key for live in one_by_one.objects} == {
            live.key for live in everywhere.objects if live.key.namespace == "ledger"
        }
        assert len({live.key for live in everywhere.objects}) == len(everywhere.objects)


async def test_last_page_says_so(both: Both) -> None:
    """A list that fits into its limit has no token and no count."""
    for answer in await both.ask(LEDGER, limit="500"):
        assert shape(json.loads(answer.body)["metadata"]) == {"resourceVersion": "str"}


async def test_broken_continue_token_is_a_bad_request(both: Both) -> None:
    """A token that no server gave is refused with 400, in the same words up to the detail."""
    real, simulated = await both.ask(LEDGER, limit="1", **{"continue": "bogus"})
    assert (real.status, simulated.status) == (400, 400)
    theirs, ours = json.loads(real.body), json.loads(simulated.body)
    assert theirs.pop("message").startswith(ours.pop("message"))
    assert theirs == ours


async def test_empty_list(both: Both) -> None:
    """A namespace without objects, or that does not exist, is an empty list."""
    for answer in await both.ask("/apis/policy/v1/namespaces/nowhere/poddisruptionbudgets"):
        body = json.loads(answer.body)
        assert answer.status == 200
        assert body["kind"] == "PodDisruptionBudgetList"
        assert body["items"] == []
        assert shape(body["metadata"]) == {"resourceVersion": "str"}
    for cluster in (both.real, both.simulated):
        assert (await cluster.list(BUDGETS, ["nowhere"])).objects == ()


async def test_single_objects(both: Both) -> None:
    """One object has kind and apiVersion first; read alone it is what the list had."""
    for path in ("/api/v1/namespaces/ledger", "/api/v1/namespaces"):
        real, simulated = await both.ask(path)
        assert (real.status, simulated.status) == (200, 200)
        assert json.loads(real.body)["kind"] == json.loads(simulated.body)["kind"]
    for cluster in (both.real, both.simulated):
        listed = (await cluster.list(CONFIG_MAPS, ["ledger"])).objects[0]
        single = await cluster.get(CONFIG_MAPS, "ledger", listed.key.name)
        assert single is not None
        assert json.loads(single.body) == json.loads(listed.body)
        assert list(json.loads(single.body))[:2] == ["kind", "apiVersion"]
        assert await cluster.get(NAMESPACES, "", "ledger") is not None


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/namespaces/ledger/configmaps/nonesuch",
        "/api/v1/namespaces/nowhere/configmaps/nonesuch",
        "/api/v1/namespaces/nonesuch",
        "/apis/policy/v1/namespaces/ledger/poddisruptionbudgets/nonesuch",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/nonesuch",
    ],
)
async def test_missing_objects_are_not_found(both: Both, path: str) -> None:
    """An object that does not exist is 404 with the same Status."""
    body = await both.same(path, status=404)
    assert body["reason"] == "NotFound"
    assert body["details"]["name"] == "nonesuch"


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/secrets",
        "/api/v1/namespaces/ledger/secrets",
        "/api/v1/namespaces/ledger/secrets/ledger-database",
    ],
)
async def test_secrets_are_forbidden(both: Both, path: str) -> None:
    """The read-only role may not read Secrets: 403 with the same Status."""
    body = await both.same(path, status=403)
    assert body["reason"] == "Forbidden"
    for cluster in (both.real, both.simulated):
        listing = await cluster.list(SECRETS, ["ledger"])
        assert isinstance(listing.errors["ledger"], Forbidden)


async def test_wrong_token_is_unauthorized(both: Both) -> None:
    """A token that the server does not know is 401 with the same Status."""
    answers = []
    for access in both.servers:
        stranger = ClusterAccess(
            name=access.name, server=access.server, cluster=access.cluster, user={"token": "wrong"}
        )
        async with KubeCluster(Transport(stranger)) as cluster:
            answer = await cluster.transport.get("/version", doing="ask", answers=(401,))
            answers.append((answer.status, answer.content_type, json.loads(answer.body)))
            with pytest.raises(Unauthorized):
                await cluster.version()
    assert answers[0] == answers[1]
    assert answers[0][0] == 401


async def test_what_is_not_recorded_is_not_implemented(
    both: Both, simulated: SimulatedApiServer
) -> None:
    """Unknown paths, other queries, subresources and writes are 501, never a guess."""
    for path, query in (
        ("/healthz", {}),
        ("/api/v1/pods", {}),
        ("/api/v1/widgets", {}),
        ("/apis/foo.example.com/v1/bars", {}),
        ("/apis/apps/v1/namespaces/ledger/deployments/ledger-api/scale", {}),
        ("/api/v1/configmaps/ledger-config", {}),
        (LEDGER, {"watch": "true"}),
        (LEDGER, {"labelSelector": "a=b"}),
        (LEDGER, {"limit": "many"}),
        ("/openapi/v3/apis/foo.example.com/v1", {}),
        ("/", {}),
    ):
        answer = await both.simulated.transport.get(path, doing=path, query=query, answers=(501,))
        assert answer.status == 501, path
        assert shape(json.loads(answer.body)) == {
            **dict.fromkeys(("kind", "apiVersion", "status", "message", "reason"), "str"),
            "metadata": {},
            "code": "int",
        }
    headers = {"Authorization": f"Bearer {simulated.token}"}
    async with aiohttp.ClientSession(simulated.server, headers=headers) as session:
        for method in ("POST", "PUT", "PATCH", "DELETE", "HEAD"):
            async with session.request(method, f"{LEDGER}/ledger-config") as answer:
                assert answer.status == 501, method
    with pytest.raises(NotServed):
        await both.simulated.openapi("foo.example.com/v1")


async def test_continuing_after_the_state_changed_is_not_implemented(
    both: Both, simulated: SimulatedApiServer
) -> None:
    """A simulated server has no history: a token of its former state is 501, not a guess."""
    ask = both.simulated.transport.get
    page = json.loads((await ask(LEDGER, doing="list", query={"limit": "1"})).body)
    recorded = simulated.recording
    now = datetime.now(UTC)
    for number in sorted(recorded.steps):
        simulated.state = recorded.played(simulated.state, number, [now] * (number + 1))
    query = {"limit": "1", "continue": page["metadata"]["continue"]}
    assert (await ask(LEDGER, doing="list", query=query, answers=(501,))).status == 501
