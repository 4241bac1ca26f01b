"""Remote bases come from where the operator says, pinned, or not at all."""

from __future__ import annotations

import hashlib
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from driftd.errors import ConfigError, RenderError
from driftd.model.tree import Tree
from driftd.sandbox.pool import RenderApplication, SandboxPool
from driftd.source.egress import Egress, origin_of
from driftd.source.remote_bases import RemoteBase, RemoteBases
from tests.testbed.webserver import Asked, Reply, WebServer, make_tls

pytestmark = pytest.mark.slow

BASE = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: remote}\n---\n"
BASE += BASE.replace(b"remote", b"second")
DIGEST = hashlib.sha256(BASE).hexdigest()
OWN = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: own}\n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[WebServer, ssl.SSLContext]]:
    """A server that has one file, and what trusts it."""
    tls = make_tls(tmp_path / "tls")

    def answer(asked: Asked) -> Reply:
        return Reply(body=BASE) if asked.path == "/v1/install.yaml" else Reply(status=404)

    with WebServer(answer, tls=tls) as running:
        yield running, ssl.create_default_context(cafile=str(tls.ca))


@pytest.fixture
async def egress() -> AsyncIterator[Egress]:
    """A client for everything outside."""
    client = Egress()
    yield client
    await client.close()


def tree_for(url: str, path: str = "app", more: str = "") -> Tree:
    """A repository whose kustomization names a remote base."""
    kustomization = f"resources: [own.yaml, {url!r}]\nnamePrefix: p-\n{more}"
    files = {f"{path}/kustomization.yaml": kustomization, f"{path}/own.yaml": OWN}
    return Tree("t", {name: text.encode() for name, text in files.items()})


async def names(tree: Tree, path: str = "app") -> list[tuple[str, str]]:
    """What a tree's application renders to, and from which file each object is."""
    async with SandboxPool(size=1) as pool:
        result = await pool.render(
            tree, {"path": path}, application=RenderApplication(name="a"), revision="1"
        )
    found = [json.loads(bytes(one.object))["metadata"]["name"] for one in result.documents]
    return list(zip(found, (one.file for one in result.documents), strict=True))


@pytest.mark.parametrize("path", ["app", "deep/in/the/tree", "."])
async def test_an_allowed_base_is_rendered(
    server: tuple[WebServer, ssl.SSLContext], egress: Egress, path: str
) -> None:
    """The base's objects take part as if its file lay in the repository; it is fetched once."""
    running, trust = server
    url = f"{running.url}/v1/install.yaml"
    egress.named = frozenset({origin_of(url)})
    bases = RemoteBases([RemoteBase(url, DIGEST)], egress, trust=trust)
    prefix = "" if path == "." else f"{path}/"
    source = tree_for(url, path) if prefix else tree_for(url, "x")
    if not prefix:
        source = Tree("t", {name.removeprefix("x/"): data for name, data in source.files.items()})
    tree, problems = await bases.added(source)
    assert problems == []
    assert tree.id != source.id
    folder = f".driftd/remote/{DIGEST}"
    assert await names(tree, path) == [
        ("p-own", f"{prefix}own.yaml"),
        ("p-remote", f"{folder}/install.yaml"),
        ("p-second", f"{folder}/install.yaml"),
    ]
    await bases.added(source)
    assert len(running.asked) == 1


async def test_another_digest_is_refused(
    server: tuple[WebServer, ssl.SSLContext], egress: Egress
) -> None:
    """A file that is not the pinned one is not used; the message has both what and what to do."""
    running, trust = server
    url = f"{running.url}/v1/install.yaml"
    egress.named = frozenset({origin_of(url)})
    bases = RemoteBases([RemoteBase(url, "0" * 64)], egress, trust=trust)
    tree, [problem] = await bases.added(tree_for(url))
    assert f"has another digest than the settings say, {DIGEST}" in problem
    with pytest.raises(RenderError, match="is remote and is not fetched"):
        await names(tree)


async def test_only_what_is_named_is_fetched(
    server: tuple[WebServer, ssl.SSLContext], egress: Egress
) -> None:
    """A base that no kustomization names, or one that is not allowed, is asked of nobody."""
    running, trust = server
    url = f"{running.url}/v1/install.yaml"
    egress.named = frozenset({origin_of(url)})
    bases = RemoteBases([RemoteBase(url, DIGEST)], egress, trust=trust)
    other = tree_for(f"{running.url}/v2/install.yaml")
    assert await bases.added(other) == (other, [])
    assert running.asked == []


async def test_a_server_that_fails_is_a_note(
    server: tuple[WebServer, ssl.SSLContext], egress: Egress
) -> None:
    """Not there, without trust, on this machine unasked: said once, and the tree stays."""
    running, trust = server
    url = f"{running.url}/v2/install.yaml"
    source = tree_for(url)
    for named, trusted, said in (
        (True, trust, "404"),
        (True, None, "certificate"),
        (False, trust, ""),
    ):
        client = Egress()
        client.named = frozenset({origin_of(url)}) if named else frozenset()
        tree, [problem] = await RemoteBases([RemoteBase(url, DIGEST)], client, trust=trusted).added(
            source
        )
        await client.close()
        assert tree is source
        assert said in problem


async def test_a_repository_cannot_bring_its_own(
    server: tuple[WebServer, ssl.SSLContext], egress: Egress
) -> None:
    """Files at the place of fetched bases are left out, and stand for no URL."""
    running, trust = server
    url = f"{running.url}/v1/install.yaml"
    egress.named = frozenset({origin_of(url)})
    forged = tree_for(url)
    forged.files[f".driftd/remote/{DIGEST}/kustomization.yaml"] = b"namePrefix: forged-\n"
    with pytest.raises(RenderError, match="is remote"):
        await names(forged)
    bases = RemoteBases([RemoteBase(url, DIGEST)], egress, trust=trust)
    tree, _ = await bases.added(forged)
    assert [name for name, _ in await names(tree)] == ["p-own", "p-remote", "p-second"]


@pytest.mark.parametrize(
    ("url", "digest"),
    [
        ("http://example.com/x.yaml", DIGEST),
        ("file:///etc/passwd", DIGEST),
        ("github.com/example/repo", DIGEST),
        ("https://example.com/x.yaml", ""),
        ("https://example.com/x.yaml", "G" * 64),
    ],
)
def test_what_cannot_be_pinned_is_a_mistake(egress: Egress, url: str, digest: str) -> None:
    """Other schemes and missing digests are errors of the settings."""
    with pytest.raises(ConfigError):
        RemoteBases([RemoteBase(url, digest)], egress)
