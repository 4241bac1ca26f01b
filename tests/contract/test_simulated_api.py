"""The simulated clusters of the tests behave as a real API server does.

Each test does the same with both, and compares what a client can tell: status codes, bodies,
the events of watches. Names, uids, times and versions are each server's own; versions are
compared by their order.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from driftd.cluster.discovery import ACCEPT_ANY
from driftd.cluster.listing import ACCEPT_METADATA
from tests.testbed.cluster import ControlPlane
from tests.testbed.processes import wait_until
from tests.testbed.simulation import APPLY, MANIFESTS, MERGE, Simulation

pytestmark = pytest.mark.cluster

SPACE = "contract"
MAPS = f"/api/v1/namespaces/{SPACE}/configmaps"
INITIAL = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
BOOKMARKS = {"allowWatchBookmarks": "true"}


@dataclass(frozen=True)
class Answer:
    """What one server said."""

    status: int
    content_type: str
    body: Any


@dataclass(frozen=True)
class Server:
    """One of the two."""

    name: str
    address: str
    authority: Path
    token: str

    def connection(self) -> http.client.HTTPSConnection:
        """A connection of one's own."""
        context = ssl.create_default_context(cafile=str(self.authority))
        context.check_hostname = False
        port = urlsplit(self.address).port
        return http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=30)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: dict[str, str] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        token: str = "",
    ) -> Answer:
        """One request and its decoded answer."""
        connection = self.connection()
        headers = {
            "Authorization": f"Bearer {token or self.token}",
            "Accept": accept,
            "Content-Type": content_type,
        }
        try:
            connection.request(
                method,
                f"{path}?{urlencode(query or {})}",
                None if body is None else json.dumps(body),
                headers,
            )
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        kind = response.headers["Content-Type"]
        return Answer(
            response.status, kind, json.loads(text) if text[:1] == b"{" else text.decode()
        )

    def must(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """The body of an answer that is no refusal."""
        answer = self.ask(method, path, body, **more)
        assert answer.status < 300, (self.name, method, path, answer)
        return answer.body

    def watch(
        self,
        path: str,
        query: dict[str, str],
        *,
        events: int = 0,
        seconds: int = 20,
        opened: Callable[[], None] = lambda: None,
    ) -> list[dict[str, Any]]:
        """So many events of a watch, or all until it ends after some seconds.

        `opened` is called as soon as it runs.
        """
        connection = self.connection()
        asked = {"watch": "true", "timeoutSeconds": str(seconds), **query}
        found: list[dict[str, Any]] = []
        try:
            headers = {"Authorization": f"Bearer {self.token}"}
            connection.request("GET", f"{path}?{urlencode(asked)}", headers=headers)
            response = connection.getresponse()
            assert response.status == 200, (self.name, response.read())
            assert response.headers["Content-Type"] == "application/json"
            opened()
            while (not events or len(found) < events) and (line := response.readline()):
                found.append(json.loads(line))
        finally:
            connection.close()
        return found


def server_of(cluster: ControlPlane) -> Server:
    """A real one."""
    return Server("real", cluster.server, cluster.ca_file, cluster.token())


@pytest.fixture(scope="module")
def simulation() -> Iterator[Simulation]:
    """One simulated cluster without generated objects."""
    with Simulation() as running:
        yield running


@pytest.fixture(scope="module")
def servers(api_server: ControlPlane, simulation: Simulation) -> tuple[Server, Server]:
    """A real and a simulated server, each with the namespace of these tests."""
    one = simulation.clusters[0]
    made = (
        server_of(api_server),
        Server("simulated", one.server, simulation.folder / "ca.crt", simulation.token),
    )
    for server in made:
        server.must("POST", "/api/v1/namespaces", {"metadata": {"name": SPACE}})
    return made


@pytest.fixture
def maps(servers: tuple[Server, Server]) -> tuple[Server, Server]:
    """Both with the ConfigMaps `item-0` to `item-3`, and nothing else of that kind."""
    for server in servers:
        server.must("DELETE", MAPS)
        for number in range(4):
            labels = {"parity": str(number % 2)}
            body = {"metadata": {"name": f"item-{number}", "labels": labels}, "data": {"v": "0"}}
            server.must("POST", MAPS, body)
    return servers


OWN = ("uid", "creationTimestamp", "time", "clusterIP", "clusterIPs", "resourceVersion", "continue")


def plain(value: Any) -> Any:
    """A document without what is each server's own; empty stays empty."""
    if isinstance(value, dict):
        return {
            key: (f"<{key}>" if key in OWN and item else plain(item)) for key, item in value.items()
        }
    return [plain(item) for item in value] if isinstance(value, list) else value


def alike(servers: tuple[Server, Server], method: str, path: str, body: Any = None, **more: Any):
    """Both answer a request in the same way, which is returned."""
    real, simulated = (server.ask(method, path, body, **more) for server in servers)
    assert simulated.status == real.status, (real, simulated)
    assert simulated.content_type == real.content_type
    assert plain(simulated.body) == plain(real.body)
    return simulated


def version(document: dict[str, Any]) -> int:
    """The resourceVersion of an object or a list."""
    return int(document["metadata"]["resourceVersion"])


def told(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Type and name of events."""
    return [(one["type"], one["object"]["metadata"].get("name", "")) for one in events]


# What is served


def test_discovery_is_the_real_one(servers: tuple[Server, Server]) -> None:
    """Each simulated kind is discovered with the scope, verbs and names of the real one."""
    for path in ("/api", "/apis"):
        real, simulated = (one.ask("GET", path, accept=ACCEPT_ANY) for one in servers)
        assert simulated.content_type == real.content_type
        found = [
            {
                (group["metadata"].get("name", ""), one["version"], kind["resource"]): {
                    key: item for key, item in kind.items() if key != "subresources"
                }
                for group in answer.body["items"]
                for one in group["versions"]
                for kind in one["resources"]
            }
            for answer in (real, simulated)
        ]
        assert len(found[1]) > 8
        assert {key: found[0][key] for key in found[1]} == found[1]


def test_schemas_are_the_real_ones(servers: tuple[Server, Server]) -> None:
    """The OpenAPI documents of the served groups are those of the real server."""
    for group in ("api/v1", "apis/apps/v1", "apis/rbac.authorization.k8s.io/v1"):
        schemas = []
        for server in servers:
            url = server.must("GET", "/openapi/v3")["paths"][group]["serverRelativeURL"]
            path, _, query = url.partition("?hash=")
            document = server.must("GET", path, query={"hash": query})
            schemas.append(document["components"]["schemas"])
        assert len(schemas[1]) > 20
        assert {name: schemas[0][name] for name in schemas[1]} == schemas[1]


def test_version_is_the_real_one(servers: tuple[Server, Server]) -> None:
    """Both say that they are the same release."""
    alike(servers, "GET", "/version")


# Lists


def test_pages_show_one_moment(maps: tuple[Server, Server]) -> None:
    """Later pages are as old as the first one, whatever was written meanwhile."""
    told_by_both = []
    for server in maps:
        first = server.must("GET", MAPS, query={"limit": "2"})
        server.must("DELETE", f"{MAPS}/item-2")
        patch = {"data": {"v": "1"}}
        server.must("PATCH", f"{MAPS}/item-3", patch, content_type=MERGE)
        server.must("POST", MAPS, {"metadata": {"name": "item-4"}})
        token = first["metadata"]["continue"]
        second = server.must("GET", MAPS, query={"limit": "2", "continue": token})
        assert version(first) == version(second)
        now = server.must("GET", MAPS)
        assert version(now) == version(first) + 3
        told_by_both.append([plain(page) for page in (first, second, now)])
    assert told_by_both[0] == told_by_both[1]
    assert [one["metadata"]["name"] for one in told_by_both[1][1]["items"]] == ["item-2", "item-3"]


def test_version_zero_ignores_the_limit(maps: tuple[Server, Server]) -> None:
    """A list that any version would do for comes whole, at once."""
    found = alike(maps, "GET", MAPS, query={"limit": "1", "resourceVersion": "0"})
    assert len(found.body["items"]) == 4


def test_a_list_selects_by_labels(maps: tuple[Server, Server]) -> None:
    """Pages of a selection are full, and do not say how many objects remain."""
    query = {"limit": "1", "labelSelector": "parity=1"}
    found = alike(maps, "GET", MAPS, query=query)
    assert [one["metadata"]["name"] for one in found.body["items"]] == ["item-1"]
    assert "remainingItemCount" not in found.body["metadata"]


@pytest.mark.parametrize(
    "query",
    [
        {"fieldSelector": "metadata.name=item-2"},
        {"resourceVersion": "many"},
        {"continue": "bogus"},
        {"resourceVersion": "0", "resourceVersionMatch": "Exact"},
        {"resourceVersionMatch": "NotOlderThan"},
        {"sendInitialEvents": "true"},
        {"limit": "many"},
    ],
    ids=lambda query: "-".join(f"{key}={item}" for key, item in query.items()),
)
def test_list_options(maps: tuple[Server, Server], query: dict[str, str]) -> None:
    """What a list may be asked, and how the rest is refused."""
    alike(maps, "GET", MAPS, query=query)


def test_a_list_at_an_exact_version(maps: tuple[Server, Server]) -> None:
    """An older version shows what was there then."""
    for server in maps:
        before = server.must("GET", MAPS)
        server.must("DELETE", f"{MAPS}/item-0")
        query = {"resourceVersion": str(version(before)), "resourceVersionMatch": "Exact"}
        assert server.must("GET", MAPS, query=query) == before


def test_a_version_of_the_future_is_a_timeout(maps: tuple[Server, Server]) -> None:
    """A list not older than what is not there yet is 504, with the cause that clients look for."""
    answers = []
    for server in maps:
        query = {"resourceVersion": "99999999", "resourceVersionMatch": "NotOlderThan"}
        answer = server.ask("GET", MAPS, query=query)
        assert answer.status == 504
        text = "Timeout: Too large resource version: 99999999, current: "
        assert answer.body.pop("message").removeprefix(text).isdigit()
        answers.append(answer.body)
    assert answers[0] == answers[1]


def test_metadata_alone(maps: tuple[Server, Server]) -> None:
    """Lists give the metadata of objects alone when asked."""
    found = alike(maps, "GET", MAPS, accept=ACCEPT_METADATA)
    assert found.body["kind"] == "PartialObjectMetadataList"


def test_a_continued_list_expires(simulation: Simulation, servers: tuple[Server, Server]) -> None:
    """After compaction tokens and watches are 410; that answer's token leads to what is there."""
    # Secrets are watched without a cache, which would remember more than etcd does.
    flags = ("--etcd-compaction-interval=1s", "--watch-cache-sizes=secrets#0")
    with ControlPlane("compacted", flags=flags) as cluster:
        real = server_of(cluster)
        real.must("POST", "/api/v1/namespaces", {"metadata": {"name": SPACE}})
        answers: list[Answer] = []
        watches: list[list[dict[str, Any]]] = []
        for server in (real, servers[1]):
            server.must("DELETE", MAPS)
            for number in range(3):
                server.must("POST", MAPS, {"metadata": {"name": f"item-{number}"}})
            first = server.must("GET", MAPS, query={"limit": "1"})
            query = {"limit": "1", "continue": first["metadata"]["continue"]}
            answers.append(_expired(server, query, simulation))
            token = answers[-1].body["metadata"].pop("continue")
            rest = server.must("GET", MAPS, query={"limit": "5", "continue": token})
            assert [one["metadata"]["name"] for one in rest["items"]] == ["item-1", "item-2"]
            assert version(rest) > version(first)
            exact = {"resourceVersion": str(version(first)), "resourceVersionMatch": "Exact"}
            answers.append(server.ask("GET", MAPS, query=exact))
            secrets = f"/api/v1/namespaces/{SPACE}/secrets"
            watches.append(server.watch(secrets, {"resourceVersion": str(version(first))}))
    assert [one.status for one in answers] == [410] * 4
    assert answers[0] == answers[2]
    assert answers[1].body["reason"] == answers[3].body["reason"] == "Expired"
    for (event,) in watches:
        assert event["type"] == "ERROR"
        assert event["object"].pop("message")  # which differs between the cache and etcd
    assert watches[0] == watches[1]
    assert watches[1][0]["object"]["code"] == 410


def _expired(server: Server, query: dict[str, str], simulation: Simulation) -> Answer:
    """The answer when the history before now is forgotten."""
    found: list[Answer] = []

    def over() -> bool:
        server.must("PATCH", f"{MAPS}/item-0", {"data": {"n": str(len(found))}}, content_type=MERGE)
        if server.name == "simulated":
            simulation.clusters[0].compact()
        found.append(server.ask("GET", MAPS, query=query))
        return found[-1].status != 200

    wait_until(over, what="compaction", timeout=60, interval=0.2)
    return found[-1]


# Watches


def test_a_watch_goes_on_where_a_list_ended(maps: tuple[Server, Server]) -> None:
    """Each change after the list comes once, in order, with its version; a deleted object too."""
    both = []
    for server in maps:
        since = version(server.must("GET", MAPS))
        server.must("POST", MAPS, {"metadata": {"name": "new"}})
        server.must("PATCH", f"{MAPS}/item-1", {"data": {"v": "1"}}, content_type=MERGE)
        server.must("DELETE", f"{MAPS}/item-1")
        events = server.watch(MAPS, {"resourceVersion": str(since)}, events=3)
        assert [version(one["object"]) for one in events] == [since + 1, since + 2, since + 3]
        assert events[2]["object"]["data"] == {"v": "1"}
        later = server.watch(MAPS, {"resourceVersion": str(since + 2)}, events=1)
        assert later == events[2:]
        both.append(plain(events))
    assert both[0] == both[1]
    assert told(both[1]) == [("ADDED", "new"), ("MODIFIED", "item-1"), ("DELETED", "item-1")]


def test_a_watch_of_a_selection(maps: tuple[Server, Server]) -> None:
    """An object that no longer meets the selection is deleted for it, one that does is added."""
    both = []
    for server in maps:
        since = str(version(server.must("GET", MAPS)))
        for name, parity in (("item-1", "0"), ("item-0", "1"), ("item-3", "1")):
            body = {"metadata": {"labels": {"parity": parity}}, "data": {"v": "1"}}
            server.must("PATCH", f"{MAPS}/{name}", body, content_type=MERGE)
        query = {"resourceVersion": since, "labelSelector": "parity=1"}
        both.append(plain(server.watch(MAPS, query, events=3)))
    assert both[0] == both[1]
    assert told(both[1]) == [("DELETED", "item-1"), ("ADDED", "item-0"), ("MODIFIED", "item-3")]


@pytest.mark.parametrize("since", ["", "0"])
def test_a_watch_without_a_version_begins_with_the_state(
    maps: tuple[Server, Server], since: str
) -> None:
    """It tells every object first, in whatever order."""
    for server in maps:
        events = server.watch(MAPS, {"resourceVersion": since} if since else {}, events=4)
        assert sorted(told(events)) == [("ADDED", f"item-{number}") for number in range(4)]


def test_a_streamed_list(maps: tuple[Server, Server]) -> None:
    """A watch with initial events gives the state, then a bookmark that says so, then changes."""
    both = []
    for server in maps:
        now = version(server.must("GET", MAPS))
        events = server.watch(MAPS, INITIAL | BOOKMARKS, events=5)
        assert events[4]["type"] == "BOOKMARK"
        assert version(events[4]["object"]) >= now
        both.append(sorted(plain(events[:4]), key=lambda one: one["object"]["metadata"]["name"]))
        both[-1].append(plain(events[4]))
    assert both[0] == both[1]
    assert both[1][4]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


@pytest.mark.parametrize(
    "query",
    [
        {"sendInitialEvents": "true"},
        {"sendInitialEvents": "true", "resourceVersionMatch": "Exact"},
        {"resourceVersion": "many"},
    ],
    ids=lambda query: "-".join(f"{key}={item}" for key, item in query.items()),
)
def test_watch_options(maps: tuple[Server, Server], query: dict[str, str]) -> None:
    """What a watch may not be asked is refused with the same words."""
    alike(maps, "GET", MAPS, query={"watch": "true", "timeoutSeconds": "1", **query})


def test_a_watch_ends_with_a_bookmark(maps: tuple[Server, Server]) -> None:
    """Before the time that a client asked for is over, it is told how far it has seen.

    It is told no event if nothing has happened; a real server may write something of its own.
    """

    def watched(server: Server) -> None:
        before = version(server.must("GET", MAPS))
        query = {"resourceVersion": str(before), **BOOKMARKS}
        quiet = server.watch(MAPS, query, seconds=3)
        assert {one["type"] for one in quiet} <= {"BOOKMARK"}

        def elsewhere() -> None:
            body = {"metadata": {"name": f"at-{before}"}}
            server.must("POST", "/api/v1/namespaces/default/configmaps", body)

        events = server.watch(MAPS, query, seconds=8, opened=elsewhere)
        assert {one["type"] for one in events} == {"BOOKMARK"}, server.name
        assert version(events[-1]["object"]) > before
        assert {"kind", "apiVersion", "metadata"} <= events[-1]["object"].keys()

    with ThreadPoolExecutor(len(maps)) as pool:
        list(pool.map(watched, maps))


# Single objects and refusals


@pytest.mark.parametrize(
    "path",
    [
        f"{MAPS}/item-0",
        f"{MAPS}/nonesuch",
        "/api/v1/namespaces/nonesuch",
        "/apis/apps/v1/namespaces/contract/deployments/nonesuch",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/nonesuch",
        "/apis/apps/v1/nonesuch",
        "/apis/nonesuch.example.com/v1",
        "/api/v1/namespaces/nowhere/configmaps",
    ],
)
def test_reads(maps: tuple[Server, Server], path: str) -> None:
    """One object, one that is missing, and what is not served at all."""
    alike(maps, "GET", path)


def test_a_strange_token_is_unauthorized(servers: tuple[Server, Server]) -> None:
    """A token that the server does not know is 401 with the same Status."""
    assert alike(servers, "GET", "/api/v1/namespaces", token="strange").status == 401


def test_refused_writes(maps: tuple[Server, Server]) -> None:
    """What exists already, what is outdated, invalid or unreadable is refused in the same words."""
    for method, path, body, status in (
        ("POST", MAPS, {"metadata": {"name": "item-0"}}, 409),
        ("PUT", f"{MAPS}/item-0", {"metadata": {"name": "item-0", "resourceVersion": "1"}}, 409),
        ("POST", MAPS, {"metadata": {"name": "Not A Name"}}, 422),
        ("POST", MAPS, {"metadata": {"name": "item-9"}, "data": {"v": 1}}, 400),
        ("DELETE", f"{MAPS}/item-0", {"preconditions": {"uid": "other"}}, 409),
        ("DELETE", f"{MAPS}/nonesuch", None, 404),
    ):
        answers = [server.ask(method, path, body) for server in maps]
        assert [one.status for one in answers] == [status, status], (method, path, answers)
        real, simulated = (plain(one.body) for one in answers)
        for one in (real, simulated):  # which may quote the object's own uid
            one["message"] = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "<uid>", one["message"])
        assert real == simulated


# Server-side apply and field managers


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda one: str(one["kind"]))
def test_applied_and_edited_objects(
    servers: tuple[Server, Server], manifest: dict[str, Any]
) -> None:
    """Defaults, managed fields and conflicts after apply, edits and another apply are the same."""
    plural = {"Role": "roles", "Service": "services", "ConfigMap": "configmaps"}
    group = manifest["apiVersion"]
    base = f"/apis/{group}" if "/" in group else f"/api/{group}"
    kind = plural.get(manifest["kind"], "deployments")
    body = {**manifest, "metadata": {**manifest["metadata"], "namespace": SPACE}}
    path = f"{base}/namespaces/{SPACE}/{kind}/{body['metadata']['name']}"
    argo = {"fieldManager": "argocd-controller", "force": "true"}
    edit = {"metadata": {"labels": {"team": "other", "added": "yes"}}}
    steps = (
        ("PATCH", body, APPLY, argo, 201),
        ("PATCH", edit, MERGE, {"fieldManager": "alice"}, 200),
        ("PATCH", body, APPLY, {"fieldManager": "argocd-controller"}, 409),
        ("PATCH", body, APPLY, {"fieldManager": "second", "force": "true"}, 200),
        ("PATCH", body, APPLY, argo, 200),
        ("PATCH", {"metadata": {"labels": {"added": None}}}, MERGE, {"fieldManager": "bob"}, 200),
        ("GET", None, "application/json", {}, 200),
        ("DELETE", None, "application/json", {}, 200),
    )
    for method, content, content_type, query, status in steps:
        answers = [
            server.ask(method, path, content, content_type=content_type, query=query)
            for server in servers
        ]
        assert [one.status for one in answers] == [status, status], answers
        assert plain(answers[1].body) == plain(answers[0].body)
