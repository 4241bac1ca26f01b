"""What an oracle sends: dry runs and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from driftd.cluster.oracle import DryRun, KubeOracle
from driftd.cluster.reader import ApiResource
from driftd.cluster.transport import Transport
from driftd.errors import ClusterError, Forbidden

PLACE = "/api/v1/namespaces/n/configmaps"
MADE = {"kind": "ConfigMap", "metadata": {"name": "a"}}


@pytest.fixture
async def oracle(server, waits) -> AsyncIterator[KubeOracle]:
    """An oracle of the scripted server."""
    transport = Transport(server.access, wait=waits)
    yield KubeOracle(transport)
    await transport.close()


@pytest.mark.parametrize(
    ("how", "method", "path", "query"),
    [
        (DryRun.POST, "POST", PLACE, {}),
        (DryRun.PUT, "PUT", f"{PLACE}/a", {}),
        (DryRun.APPLY, "PATCH", f"{PLACE}/a", {"force": "true"}),
    ],
)
async def test_every_question_is_a_dry_run(
    server, oracle, config_maps, replies, how, method, path, query
) -> None:
    """Method and place of the real write, the bytes as they are, and always `dryRun=All`."""
    sent: list[bytes] = []

    async def receive(request):
        sent.append(await request.read())
        return replies.answer(MADE)

    server.on(path, receive)
    answer = await oracle.ask(how, config_maps, "n", "a", b'{"x": 1.0}', manager="helm")
    (request,) = server.requests
    assert (request.method, request.path) == (method, path)
    assert dict(request.query) == {"fieldManager": "helm", "dryRun": "All", **query}
    assert sent == [b'{"x": 1.0}']
    assert b'"ConfigMap"' in answer


async def test_a_refusal_says_why(server, oracle, config_maps, replies) -> None:
    """The server's words, and the right that is missing."""
    text = 'configmaps is forbidden: User "driftd" cannot create resource "configmaps"'
    server.on(PLACE, replies.refusal(403, "Forbidden", text))
    with pytest.raises(Forbidden, match=r"create \(dry run\) configmaps n/a: user driftd may not"):
        await oracle.ask(DryRun.POST, config_maps, "n", "a", b"{}")


@pytest.mark.parametrize("status", [400, 403, 409, 422, 500])
async def test_the_refusal_of_a_secret_quotes_nothing(server, oracle, replies, status) -> None:
    """The server's explanation may hold the Secret's value and is left out."""
    secrets = ApiResource("", "v1", "Secret", "secrets", True)
    server.on("/api/v1/namespaces/n/secrets", replies.refusal(status, "Invalid", '"s3cret" is bad'))
    with pytest.raises(ClusterError) as caught:
        await oracle.ask(DryRun.POST, secrets, "n", "a", b"{}")
    assert "s3cret" not in str(caught.value)
    assert str(caught.value).endswith("create (dry run) secrets n/a: Invalid")
