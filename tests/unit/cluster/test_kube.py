"""Lists, gets and discovery when the API server misbehaves."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from driftd.cluster.kube import KubeCluster
from driftd.cluster.reader import ApiResource
from driftd.cluster.transport import Transport, TransportOptions
from driftd.errors import ClusterError, Forbidden, NotServed, Unreachable

pytestmark = pytest.mark.slow

LIST = "/api/v1/configmaps"


@pytest.fixture
async def cluster(server, waits) -> AsyncIterator[KubeCluster]:
    """The scripted server as a cluster, two objects a page."""
    transport = Transport(server.access, options=TransportOptions(timeout=5), wait=waits)
    async with KubeCluster(transport, page_limit=2) as made:
        yield made


def names(listing) -> list[str]:
    """The names of the listed objects."""
    return [live.key.name for live in listing.objects]


async def test_pages_are_followed_by_their_token(server, cluster, config_maps, replies) -> None:
    """Each page is asked for with the token of the one before, and the limit."""
    server.on(LIST, replies.page(["a", "b"], token="t1"), replies.page(["c"]))
    listing = await cluster.list(config_maps)
    assert names(listing) == ["a", "b", "c"]
    assert server.queries(LIST) == [{"limit": "2"}, {"limit": "2", "continue": "t1"}]
    assert listing.complete
    assert listing.resource_version == "7"


async def test_expired_token_starts_the_list_again_once(
    server, cluster, config_maps, replies
) -> None:
    """410 on a later page: the list starts from scratch and no object is there twice."""
    expired = replies.refusal(410, "Expired", "too old")
    server.on(
        LIST,
        replies.page(["a", "b"], token="t1"),
        expired,
        replies.page(["a", "b"], token="t2"),
        replies.page(["c"]),
    )
    listing = await cluster.list(config_maps)
    assert names(listing) == ["a", "b", "c"]
    assert listing.complete
    assert "continue" not in server.queries(LIST)[2]


async def test_token_that_expires_again_leaves_the_list_incomplete(
    server, cluster, config_maps, replies
) -> None:
    """A second 410 ends it: what was seen exists, nothing else is known to be gone."""
    expired = replies.refusal(410, "Expired", "too old")
    first = replies.page(["a", "b"], token="t1")
    server.on(LIST, first, expired, first, expired)
    listing = await cluster.list(config_maps)
    assert names(listing) == ["a", "b"]
    assert not listing.complete
    assert listing.errors[""].reason == "Expired"
    assert not listing.covers("n")
    assert len(server.requests) == 4


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503])
async def test_error_on_a_later_page_is_never_the_end_of_the_list(
    server, cluster, config_maps, replies, status
) -> None:
    """Whatever fails after the first page, the list is incomplete."""
    server.on(LIST, replies.page(["a", "b"], token="t1"), replies.refusal(status, "Reason", "no"))
    listing = await cluster.list(config_maps)
    assert names(listing) == ["a", "b"]
    assert not listing.complete
    assert isinstance(listing.errors[""], ClusterError)


async def test_every_truncation_of_a_list_is_incomplete(
    server, cluster, config_maps, replies
) -> None:
    """A body cut at any byte, with a matching length, is never taken for a shorter list."""
    whole = replies.page(["a", "b"]).body
    for end in range(len(whole)):
        cut = web.Response(body=whole[:end], headers={"Content-Type": "application/json"})
        server.on(LIST, cut)
        listing = await cluster.list(config_maps)
        assert not listing.complete, end
        assert listing.objects == ()
        assert listing.errors[""].reason == "InvalidResponse"


async def test_connection_cut_in_a_later_page(server, cluster, config_maps, replies) -> None:
    """A connection that breaks in page two keeps page one and says Unreachable."""

    async def cut(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    server.on(LIST, replies.page(["a", "b"], token="t1"), cut)
    listing = await cluster.list(config_maps)
    assert names(listing) == ["a", "b"]
    assert isinstance(listing.errors[""], Unreachable)
    assert not listing.complete


async def test_unreadable_object_hides_no_other(server, cluster, config_maps, replies) -> None:
    """An item without readable metadata makes the list incomplete; its neighbours are there."""
    items = [
        {"metadata": {"name": "a", "namespace": "n"}},
        {"metadata": {"name": 5}},
        {"metadata": {"name": "c", "namespace": "n", "labels": None}},
    ]
    server.on(LIST, replies.answer({"metadata": {}, "items": items}))
    listing = await cluster.list(config_maps)
    assert names(listing) == ["a", "c"]
    assert listing.errors[""].reason == "InvalidResponse"
    assert not listing.complete


async def test_unreadable_object_hides_no_later_page(server, cluster, config_maps, replies) -> None:
    """The pages after an object that cannot be read are read too."""
    first = {"metadata": {"continue": "t1"}, "items": [{"metadata": {"name": 5}}]}
    server.on(LIST, replies.answer(first), replies.page(["z"]))
    listing = await cluster.list(config_maps)
    assert names(listing) == ["z"]
    assert not listing.complete


@pytest.mark.parametrize("document", [{}, {"kind": "Status"}, {"message": "signed out"}])
async def test_an_answer_that_is_no_list_is_no_empty_list(
    server, cluster, config_maps, replies, document
) -> None:
    """What a proxy answers instead of the API server does not make objects Missing."""
    server.on(LIST, replies.answer(document))
    listing = await cluster.list(config_maps)
    assert listing.errors[""].reason == "InvalidResponse"
    assert not listing.covers("n")


async def test_null_items_are_an_empty_list(server, cluster, config_maps, replies) -> None:
    """Go's empty list, `items: null`, is complete."""
    server.on(LIST, replies.answer({"metadata": {"resourceVersion": "1"}, "items": None}))
    listing = await cluster.list(config_maps)
    assert listing.complete
    assert listing.objects == ()


async def test_few_namespaces_are_listed_one_by_one(server, cluster, config_maps, replies) -> None:
    """For one namespace no other one is read; a failed one leaves the others covered."""
    server.on("/api/v1/namespaces/n/configmaps", replies.page(["a"]))
    server.on("/api/v1/namespaces/m/configmaps", replies.refusal(500, "InternalError", "broken"))
    listing = await cluster.list(config_maps, {"n", "m"})
    assert names(listing) == ["a"]
    assert list(listing.errors) == ["m"]
    assert listing.covers("n")
    assert not listing.covers("m")
    assert not listing.covers("never-looked-into")
    assert {request.path for request in server.requests} == {
        "/api/v1/namespaces/n/configmaps",
        "/api/v1/namespaces/m/configmaps",
    }


async def test_many_namespaces_are_listed_together(server, cluster, config_maps, replies) -> None:
    """Five namespaces are one list, which covers every namespace; selection sees them all."""
    server.on(
        LIST,
        replies.page(["a"], token="t", namespace="n1"),
        replies.page(["b"], namespace="other"),
    )
    listing = await cluster.list(config_maps, {f"n{number}" for number in range(5)})
    assert names(listing) == ["a", "b"]
    assert listing.complete
    assert listing.covers("other")
    assert {request.path for request in server.requests} == {LIST}


async def test_forbidden_everywhere_falls_back_to_namespaces(
    server, cluster, config_maps, replies
) -> None:
    """403 for the whole cluster: the namespaces are asked one by one."""
    wanted = [f"n{number}" for number in range(5)]
    forbidden = replies.refusal(403, "Forbidden", "no")
    server.on(LIST, forbidden)
    for namespace in wanted[1:]:
        server.on(
            f"/api/v1/namespaces/{namespace}/configmaps",
            replies.page(["a"], namespace=namespace),
        )
    server.on("/api/v1/namespaces/n0/configmaps", forbidden)
    listing = await cluster.list(config_maps, wanted)
    assert [live.key.namespace for live in listing.objects] == wanted[1:]
    assert isinstance(listing.errors["n0"], Forbidden)
    assert list(listing.errors) == ["n0"]


async def test_cluster_scoped_kinds_ignore_namespaces(server, cluster, replies) -> None:
    """A cluster-scoped kind has one list, whatever namespaces are wanted."""
    nodes = ApiResource("", "v1", "Node", "nodes", False, ("list",))
    server.on("/api/v1/nodes", replies.page(["a"], namespace=""))
    assert names(await cluster.list(nodes, ["n"])) == ["a"]


async def test_no_namespaces_is_no_request(server, cluster, config_maps) -> None:
    """An empty set of namespaces asks nothing and is complete."""
    listing = await cluster.list(config_maps, [])
    assert listing.complete
    assert server.requests == []


async def test_kind_without_list_is_not_asked_for(server, cluster) -> None:
    """A kind that offers no list (TokenReview) is NotServed without a request."""
    reviews = ApiResource("authentication.k8s.io", "v1", "TokenReview", "tokenreviews", False)
    listing = await cluster.list(reviews)
    assert isinstance(listing.errors[""], NotServed)
    assert not listing.complete
    assert server.requests == []


async def test_body_keeps_every_byte_of_the_values(server, cluster, config_maps) -> None:
    """Numbers and escapes are passed through as served, not decoded and written again."""
    item = '{"metadata":{"name":"a"},"data":{"x":1.0,"y":12345678901234567890123,"z":"\\u00e9"}}'
    server.on(LIST, web.Response(text=f'{{"metadata":{{}},"items":[ {item} ]}}'))
    listing = await cluster.list(config_maps)
    (live,) = listing.objects
    assert live.body == b'{"kind":"ConfigMap","apiVersion":"v1",' + item[1:].encode()
    assert json.loads(live.body)["apiVersion"] == "v1"


async def test_custom_resources_keep_their_own_head(server, cluster, replies) -> None:
    """Items that already say their kind are left exactly as they are."""
    widgets = ApiResource("example.com", "v1", "Widget", "widgets", True, ("list",))
    item = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}}
    server.on("/apis/example.com/v1/widgets", replies.answer({"metadata": {}, "items": [item]}))
    (live,) = (await cluster.list(widgets)).objects
    assert json.loads(live.body) == item


async def test_get_of_a_proxy_404_is_no_missing_object(server, cluster, config_maps) -> None:
    """A 404 that does not come from the API server's storage never means that it is gone."""
    with pytest.raises(NotServed):
        await cluster.get(config_maps, "n", "a")


async def test_get_of_another_missing_thing_is_no_missing_object(
    server, cluster, config_maps, replies
) -> None:
    """A NotFound about something else (a namespace, a service) is an error."""
    status = {"reason": "NotFound", "message": "n not found", "details": {"name": "n"}}
    server.on("/api/v1/namespaces/n/configmaps/a", replies.answer(status, 404))
    with pytest.raises(NotServed):
        await cluster.get(config_maps, "n", "a")


async def test_names_with_colons_reach_their_object(server, cluster, replies) -> None:
    """RBAC names contain colons; they are one path segment."""
    roles = ApiResource(
        "rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", False, ("get",)
    )
    path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node"
    server.on(path, replies.answer({"kind": "ClusterRole", "metadata": {"name": "system:node"}}))
    live = await cluster.get(roles, "", "system:node")
    assert live is not None
    assert live.key.name == "system:node"


async def test_group_that_fails_hides_no_other_without_aggregation(
    server, cluster, replies
) -> None:
    """Unaggregated: each group version answers for itself, a failing one is named."""
    server.on("/api", replies.answer({"kind": "APIVersions", "versions": ["v1"]}))
    server.on(
        "/apis",
        replies.answer(
            {
                "groups": [
                    {
                        "name": "apps",
                        "versions": [{"groupVersion": "apps/v1beta1"}, {"groupVersion": "apps/v1"}],
                        "preferredVersion": {"groupVersion": "apps/v1"},
                    },
                    {"name": "metrics.k8s.io", "versions": [{"groupVersion": "metrics.k8s.io/v1"}]},
                ]
            }
        ),
    )
    resources = [
        {"name": "deployments", "kind": "Deployment", "namespaced": True, "verbs": ["list"]},
        {"name": "deployments/scale", "kind": "Scale", "namespaced": True, "verbs": ["get"]},
    ]
    for path in ("/apis/apps/v1", "/apis/apps/v1beta1"):
        server.on(path, replies.answer({"resources": resources}))
    server.on("/api/v1", replies.answer({"resources": []}))
    server.on("/apis/metrics.k8s.io/v1", replies.refusal(503, "ServiceUnavailable", "no endpoints"))
    found = await cluster.discover()
    assert list(found.failed_groups) == ["metrics.k8s.io/v1"]
    assert "no endpoints" in found.failure("metrics.k8s.io")
    preferred = found.preferred("apps", "Deployment")
    assert preferred is not None
    assert preferred.version == "v1"
    assert found.served("apps", "v1beta1", "Deployment") is not None
    assert [resource.kind for resource in found.resources] == ["Deployment", "Deployment"]


async def test_discovery_that_fails_altogether_is_raised(server, cluster, replies) -> None:
    """Without the list of groups nothing is known, so that is an error and not an empty cluster."""
    server.on("/api", replies.answer({"versions": []}))
    server.on("/apis", replies.refusal(503, "ServiceUnavailable", "starting"))
    with pytest.raises(ClusterError, match="cannot discover /apis"):
        await cluster.discover()


async def test_login_page_is_not_a_cluster(server, cluster) -> None:
    """HTML with status 200 is an error that asks whether this is an API server."""
    server.on("/version", web.Response(text="<html>", content_type="text/html"))
    with pytest.raises(ClusterError, match="cannot be read") as caught:
        await cluster.version()
    assert "Kubernetes API server" in caught.value.hint


async def test_schema_index_is_read_once_for_each_discovery(server, cluster, replies) -> None:
    """Schemas of several versions share one index; a new discovery reads it again."""
    url = {"serverRelativeURL": "/openapi/v3/api/v1?hash=AB%2FC"}
    server.on("/openapi/v3", replies.answer({"paths": {"api/v1": url}}))
    server.on("/openapi/v3/api/v1", replies.answer({"openapi": "3.0.0"}))
    server.on("/api", replies.answer({"versions": []}))
    server.on("/apis", replies.answer({"groups": []}))
    first = await cluster.openapi("v1")
    assert first.body == b'{"openapi": "3.0.0"}'
    assert (await cluster.openapi("v1", known_hash=first.schema_hash)).body is None
    assert len(server.queries("/openapi/v3")) == 1
    await cluster.discover()
    await cluster.openapi("v1")
    assert len(server.queries("/openapi/v3")) == 2
    assert server.queries("/openapi/v3/api/v1")[0] == {"hash": "AB/C"}


async def test_schema_without_hash_gets_one_from_its_content(server, cluster, replies) -> None:
    """An aggregated server that publishes no hash: equal content has an equal digest."""
    server.on(
        "/openapi/v3",
        replies.answer({"paths": {"apis/m/v1": {"serverRelativeURL": "/openapi/v3/apis/m/v1"}}}),
    )
    server.on("/openapi/v3/apis/m/v1", replies.answer({"a": 1}), replies.answer({"a": 2}))
    first, second = await cluster.openapi("m/v1"), await cluster.openapi("m/v1")
    assert first.schema_hash
    assert first.schema_hash != second.schema_hash


async def test_schema_that_changed_has_the_hash_of_its_content(server, cluster, replies) -> None:
    """When the server redirects to newer content, the hash returned is that content's."""
    url = {"serverRelativeURL": "/openapi/v3/api/v1?hash=OLD"}
    server.on("/openapi/v3", replies.answer({"paths": {"api/v1": url}}))

    async def current(request: web.Request) -> web.Response:
        if request.query.get("hash") != "NEW":
            return web.Response(status=301, headers={"Location": "/openapi/v3/api/v1?hash=NEW"})
        return replies.answer({"new": True})

    server.on("/openapi/v3/api/v1", current)
    document = await cluster.openapi("v1")
    assert (document.schema_hash, document.body) == ("NEW", b'{"new": true}')
