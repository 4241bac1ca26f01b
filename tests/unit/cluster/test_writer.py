"""What server-side apply sends, and what it says when it is refused."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from driftd.cluster.reader import ApiResource
from driftd.cluster.transport import Transport
from driftd.cluster.writer import KubeWriter
from driftd.errors import ClusterError, ServerFailed

PATH = "/api/v1/namespaces/n/configmaps/a"


@pytest.fixture
async def writer(server, waits) -> AsyncIterator[KubeWriter]:
    """A writer to the scripted server."""
    transport = Transport(server.access, wait=waits)
    yield KubeWriter(transport)
    await transport.close()


async def test_apply_sends_the_bytes_as_they_are(server, writer, config_maps, replies) -> None:
    """Body, content type and parameters of a dry-run apply; the body is not encoded again."""
    sent: list[bytes] = []

    async def receive(request):
        sent.append(await request.read())
        return replies.answer({"kind": "ConfigMap", "metadata": {"name": "a", "uid": "u"}})

    server.on(PATH, receive)
    live = await writer.apply(
        config_maps, "n", "a", b'{"x": 1.0}', field_manager="driftd", force=True, dry_run=True
    )
    (request,) = server.requests
    assert request.method == "PATCH"
    assert request.content_type == "application/apply-patch+yaml"
    assert sent == [b'{"x": 1.0}']
    assert dict(request.query) == {"fieldManager": "driftd", "force": "true", "dryRun": "All"}
    assert live.uid == "u"


async def test_real_apply_without_force(server, writer, config_maps, replies) -> None:
    """Without dry run the parameter is absent; force is sent as false."""
    server.on(PATH, replies.answer({"kind": "ConfigMap", "metadata": {"name": "a"}}))
    await writer.apply(config_maps, "n", "a", b"{}", field_manager="m", force=False, dry_run=False)
    assert dict(server.requests[0].query) == {"fieldManager": "m", "force": "false"}


async def test_invalid_object_says_why(server, writer, config_maps, replies) -> None:
    """422 is an error with the server's explanation."""
    server.on(PATH, replies.refusal(422, "Invalid", "data: Too long"))
    with pytest.raises(
        ClusterError, match=r"cannot apply configmaps n/a: data: Too long"
    ) as caught:
        await writer.apply(
            config_maps, "n", "a", b"{}", field_manager="m", force=True, dry_run=False
        )
    assert caught.value.reason == "Invalid"


@pytest.mark.parametrize(
    ("status", "reason", "said"),
    [
        (422, "Invalid", "Invalid"),
        (500, "", "HTTP status 500"),
        (400, "BadRequest", "BadRequest"),
        (403, "Forbidden", "Forbidden"),
    ],
)
async def test_refused_secret_quotes_nothing(server, writer, replies, status, reason, said) -> None:
    """The server's explanation for a Secret may hold its value and is left out."""
    secrets = ApiResource("", "v1", "Secret", "secrets", True)
    server.on(
        "/api/v1/namespaces/n/secrets/a",
        replies.refusal(status, reason, 'data: "s3cret" is bad'),
    )
    with pytest.raises(ClusterError) as caught:
        await writer.apply(secrets, "n", "a", b"{}", field_manager="m", force=True, dry_run=False)
    assert isinstance(caught.value, ServerFailed) is (status >= 500)
    assert "s3cret" not in caught.value.message
    assert str(caught.value).endswith(f"apply secrets n/a: {said}")


GENERIC = "the server rejected our request due to an error in our request"


async def test_a_patch_is_sent_as_the_list_that_it_is(server, writer, config_maps, replies) -> None:
    """Operations, content type and parameters of a dry-run patch."""
    sent: list[bytes] = []

    async def receive(request):
        sent.append(await request.json())
        return replies.answer({"kind": "ConfigMap", "metadata": {"name": "a", "uid": "u"}})

    server.on(PATH, receive)
    operations = b'[{"op":"remove","path":"/data/a"}]'
    live = await writer.patch(
        config_maps, "n", "a", operations, field_manager="driftd", dry_run=True
    )
    (request,) = server.requests
    assert (request.method, request.content_type) == ("PATCH", "application/json-patch+json")
    assert sent == [[{"op": "remove", "path": "/data/a"}]]
    assert dict(request.query) == {"fieldManager": "driftd", "dryRun": "All"}
    assert live.uid == "u"


@pytest.mark.parametrize(("said", "reason"), [(GENERIC, "Conflict"), ("data: bad", "Invalid")])
async def test_a_test_that_does_not_hold_is_a_conflict(
    server, writer, config_maps, replies, said, reason
) -> None:
    """API servers have one sentence for it; what validation says stays what it is."""
    server.on(PATH, replies.refusal(422, "Invalid", said))
    with pytest.raises(ClusterError) as caught:
        await writer.patch(config_maps, "n", "a", b"[]", field_manager="m", dry_run=False)
    assert caught.value.reason == reason


async def test_a_refused_patch_quotes_no_sensitive_value(server, writer, replies) -> None:
    """The server judges the whole object: neither Git's value nor the live one is told."""
    deployments = ApiResource("apps", "v1", "Deployment", "deployments", True)
    said = 'Invalid value: Env{"DB_PASSWORD": "live-s3cret", was "git-s3cret"}: is immutable'
    server.on("/apis/apps/v1/namespaces/n/deployments/a", replies.refusal(422, "Invalid", said))

    def body(value: str) -> bytes:
        env = [{"name": "DB_PASSWORD", "value": value}]
        pod = {"spec": {"containers": [{"name": "c", "env": env}]}}
        document = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": pod}}
        return json.dumps(document).encode()

    with pytest.raises(ClusterError, match="is immutable") as caught:
        await writer.patch(
            deployments,
            "n",
            "a",
            b"[]",
            field_manager="m",
            dry_run=False,
            quoted=(body("live-s3cret"), body("git-s3cret")),
        )
    assert "s3cret" not in caught.value.message
