"""Git webhooks over real HTTP: who may ask for a refresh, how often, and what of (S-37 to S-42)."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import hmac
import io
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from driftd.controller.refreshes import Refreshes
from driftd.errors import ConfigError
from driftd.settings.githooks import GitWebhooks
from driftd.telemetry.metrics import Metrics
from driftd.web.githooks import GitHooks
from driftd.web.providers.known import PROVIDERS
from driftd.web.server import Readiness, Server
from tests.unit.web.posts import EVENTS, SECRET, SIGNED, URLS, headers, proof, recorded

pytestmark = pytest.mark.slow

FIELDS = {name: f"{name.replace('-', '_')}_secret_file" for name in PROVIDERS}


class Endpoint:
    """The web server with the webhooks of some providers, and its client."""

    def __init__(self, folder: Path, *providers: str, body_seconds: float = 10.0) -> None:
        self.file = folder / "secret"
        self.file.write_text(f"{SECRET}\n")
        files = {FIELDS[name]: str(self.file) for name in providers or PROVIDERS}
        self.now = 0.0
        self.refreshes = Refreshes(10.0, monotonic=lambda: self.now)
        self.refreshes.know(URLS.values())
        self.metrics = Metrics("0")
        hooks = GitHooks(
            GitWebhooks(**files), self.refreshes, self.metrics, body_seconds=body_seconds
        )
        self.server = Server("127.0.0.1:0", self.metrics, Readiness(), more=hooks.add_to)

    async def post(self, provider: str, body: bytes, given: dict[str, str]) -> tuple[int, str]:
        """Status and text of the answer."""
        url = f"http://127.0.0.1:{self.server.port}/hooks/{provider}"
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=io.BytesIO(body), headers=given) as response,
        ):
            return response.status, (await response.text()).strip()

    async def raw(self, sent: bytes, then: Callable[[Any], Awaitable[None]] | None = None) -> bytes:
        """The answer to bytes as they are, up to its end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        try:
            writer.write(sent)
            if then is not None:
                await then(writer)
            return await reader.read()
        finally:
            writer.close()

    def counted(self, provider: str, result: str) -> float:
        """Posts that ended so."""
        labels = {"provider": provider, "result": result}
        return self.metrics.registry.get_sample_value("driftd_git_webhooks_total", labels) or 0.0

    def due(self) -> list[str]:
        """The repositories that would be asked now."""
        return sorted(self.refreshes.take().keys)


def body_of(provider: str) -> bytes:
    """The recorded post, packed."""
    return json.dumps(recorded(provider)).encode()


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_each_provider_asks_for_its_repository(tmp_path: Path, provider: str) -> None:
    """The recorded push of each provider asks for one refresh, of the repository in it alone."""
    made, body = Endpoint(tmp_path), body_of(provider)
    async with made.server:
        answered = await made.post(provider, body, headers(provider, body, "1"))
    assert answered == (202, "the repository will be asked")
    assert made.due() == [URLS[provider].removeprefix("https://").removesuffix(".git")]
    assert made.counted(provider, "taken") == 1


def _wrong(provider: str, body: bytes) -> dict[str, dict[str, str]]:
    """Headers that prove nothing, by what is wrong with them."""
    if provider not in SIGNED:
        name = next(iter(proof(provider, body)))
        basic = base64.b64encode(f"{SECRET}:".encode()).decode()
        return {
            "none": {},
            "empty": {name: ""},
            "another": proof(provider, body, SECRET + "x"),
            "a beginning": proof(provider, body, SECRET[:-1]),
            "of another kind": {"Authorization": f"Bearer {SECRET}", "X-Token": SECRET},
            "as user": {"Authorization": f"Basic {basic}"},
            "no base64": {"Authorization": "Basic \u00e9"},
        }
    name, prefix = SIGNED[provider]
    digits = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    sha1 = hmac.new(SECRET.encode(), body, hashlib.sha1).hexdigest()
    return {
        "none": {},
        "empty": {name: ""},
        "prefix alone": {name: "sha256="},
        "another secret": proof(provider, body, "another-secret-of-some-length"),
        "another body": proof(provider, body + b" "),
        "sha1": {name: f"sha1={sha1}"},
        "sha1 as it is": {name: prefix + sha1},
        "sha1 in its old header": {"X-Hub-Signature": f"sha1={sha1}"},
        "sha1 named sha256": {name: f"sha256={sha1}"},
        "too short": {name: prefix + digits[:-1]},
        "too long": {name: f"{prefix}{digits}0"},
        "no digits": {name: prefix + "z" * 64},
        "wrong prefix": {name: f"{'sha512=' if prefix else 'sha256='}{digits}"},
        "token of GitLab": {"X-Gitlab-Token": SECRET},
    }


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_s37_without_the_right_proof_nothing_is_taken(tmp_path: Path, provider: str) -> None:
    """S-37: no, a wrong, an empty, another provider's and a weaker proof get 401 and no reason."""
    made, body = Endpoint(tmp_path), body_of(provider)
    name, event = EVENTS[provider]
    wrong = _wrong(provider, body)
    async with made.server:
        for what, given in wrong.items():
            answered = await made.post(provider, body, {name: event, **given})
            assert answered == (401, "unauthorized"), what
        for other in PROVIDERS:
            if set(proof(other, body)) - set(proof(provider, body)):
                answered = await made.post(provider, body, {name: event, **proof(other, body)})
                assert answered == (401, "unauthorized"), other
    assert made.due() == []
    assert made.counted(provider, "unauthorized") >= len(wrong)


async def test_s37_a_provider_without_a_secret_has_no_endpoint(tmp_path: Path) -> None:
    """S-37: nothing is open that nobody asked for; what is open takes POST alone."""
    made, body = Endpoint(tmp_path, "github"), body_of("gitlab")
    async with made.server:
        assert (await made.post("gitlab", body, headers("gitlab", body)))[0] == 404
        url = f"http://127.0.0.1:{made.server.port}/hooks/github"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            assert response.status == 405


@pytest.mark.parametrize("text", ["", "\n\n", "short\n", "fifteen-letters"])
def test_s37_a_secret_is_required(tmp_path: Path, text: str) -> None:
    """S-37: a file without a secret of some length is an error at the start, which names it."""
    (tmp_path / "secret").write_text(text)
    settings = GitWebhooks(github_secret_file=str(tmp_path / "secret"))
    with pytest.raises(ConfigError, match="github has no secret of at least 16 bytes"):
        GitHooks(settings, Refreshes(10.0), Metrics("0"))


def test_s37_digests_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """S-37: all secrets are compared, by `compare_digest`, whichever of them fits."""
    asked: list[tuple[int, int]] = []
    real = hmac.compare_digest

    def noted(one: bytes, two: bytes) -> bool:
        asked.append((len(one), len(two)))
        return real(one, two)

    monkeypatch.setattr(hmac, "compare_digest", noted)
    secrets = [SECRET.encode(), b"another-secret-of-some-length", b"x" * 1000]
    for name, provider in PROVIDERS.items():
        for secret in (SECRET, "another-secret-of-some-length", "wrong"):
            asked.clear()
            shown = provider.proof.shown(proof(name, b"body", secret))
            assert provider.proof.holds(shown, b"body", secrets) is (secret != "wrong")
            assert asked == [(32, 32)] * 3


async def test_s37_secrets_can_be_changed_while_it_runs(tmp_path: Path) -> None:
    """S-37: an old and a new secret may be there together; a file that is away changes nothing."""
    made, body = Endpoint(tmp_path, "github"), body_of("github")
    given = headers("github", body)
    async with made.server:
        for number, (text, status) in enumerate(
            [(f"another-secret-of-some-length\n{SECRET}\n", 202), ("b" * 40, 401), (SECRET, 202)], 1
        ):
            fresh = tmp_path / "fresh"
            fresh.write_text(text)
            os.utime(fresh, (number, number))
            fresh.replace(made.file)
            assert (await made.post("github", body, given))[0] == status, text
        made.file.unlink()
        assert (await made.post("github", body, given))[0] == 202


async def test_s38_replays_ask_once(tmp_path: Path) -> None:
    """S-38: one delivery a thousand times, and a thousand ids of one body, ask once in a window."""
    made, body = Endpoint(tmp_path), body_of("github")
    async with made.server, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{made.server.port}/hooks/github"

        async def send(delivery: str) -> int:
            given = headers("github", body, delivery)
            async with session.post(url, data=body, headers=given) as response:
                return response.status

        asked = 0
        for delivery in ["same"] * 1000 + [f"id-{number}" for number in range(1000)]:
            assert await send(delivery) == 202
            asked += len(made.due())
        assert asked == 1
        assert made.counted("github", "repeated") == 999
        assert made.counted("github", "taken") == 1001
        made.now = 9.9
        assert made.due() == []
        made.now = 10.0
        assert made.due() == ["github.com/platform/gitops"]  # what came in between is not lost
        made.now = 20.0
        assert await send("same") == 202
        assert made.due() == []  # an id that was taken is never taken again
    assert made.counted("github", "repeated") == 1000


def _head(*lines: str, provider: str = "github", body: bytes = b"") -> bytes:
    """The head of a request, proved for a body."""
    given = [f"{name}: {value}" for name, value in headers(provider, body).items()]
    text = "\r\n".join([f"POST /hooks/{provider} HTTP/1.1", "Host: x", *given, *lines])
    return f"{text}\r\n\r\n".encode()


def _status(answer: bytes) -> int:
    return int(answer.split()[1])


async def test_s39_a_long_body_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """S-39: a body that says it is longer than 1 MiB gets 413 though not a byte of it came."""
    made = Endpoint(tmp_path)
    async with made.server:
        answered = await made.raw(_head("Content-Length: 3145729"))
    assert _status(answered) == 413
    assert b"longer than 1 MiB" in answered


async def test_s39_an_endless_body_ends_at_the_limit(tmp_path: Path) -> None:
    """S-39: chunks without end, and a length that lies, end at 1 MiB or at what was said."""
    made, cut = Endpoint(tmp_path), False

    async def endless(writer: Any) -> None:
        nonlocal cut
        try:
            while True:
                writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
                await writer.drain()
        except ConnectionError:
            cut = True

    async with made.server:
        try:
            async with asyncio.timeout(30):
                answered = await made.raw(_head("Transfer-Encoding: chunked"), endless)
            assert _status(answered) == 413
        except ConnectionError:
            pass  # it was cut off before it read the answer
        assert cut
        assert made.counted("github", "too long") == 1

        async def closes(writer: Any) -> None:
            writer.write_eof()

        await made.raw(_head("Content-Length: 100") + b"{}", closes)
        lies = await made.raw(_head("Content-Length: 2", "Connection: close") + b"{}{}{}{}")
        assert _status(lies) == 400
        both = await made.raw(_head("Content-Length: 2", "Transfer-Encoding: chunked") + b"2")
        assert _status(both) == 400


async def test_s39_a_slow_body_is_not_waited_for(tmp_path: Path) -> None:
    """S-39: a body that comes byte for byte, or not at all, gets 408 at the limit."""
    made = Endpoint(tmp_path, body_seconds=0.2)

    async def drips(writer: Any) -> None:
        loop = asyncio.get_running_loop()
        ended = loop.time() + 0.15
        while loop.time() < ended:
            writer.write(b"x")
            await writer.drain()

    async with made.server:
        assert _status(await made.raw(_head("Content-Length: 65536"), drips)) == 408
        assert _status(await made.raw(_head("Transfer-Encoding: chunked"))) == 408
    assert made.counted("github", "slow") == 2


async def test_s39_slow_clients_do_not_keep_others_out(tmp_path: Path) -> None:
    """S-39: while many dribble large bodies, a push that is complete is taken at once."""
    made, body = Endpoint(tmp_path), body_of("github")
    async with made.server:
        slow = [await asyncio.open_connection("127.0.0.1", made.server.port) for _ in range(40)]
        for _, writer in slow:
            writer.write(_head("Content-Length: 1000000") + b"x" * 70000)
            await writer.drain()
        async with asyncio.timeout(5):
            assert (await made.post("github", body, headers("github", body)))[0] == 202
            url = f"http://127.0.0.1:{made.server.port}/healthz"
            async with aiohttp.ClientSession() as session, session.get(url) as response:
                assert response.status == 200
        for _, writer in slow:
            writer.close()


@pytest.mark.parametrize("lines", [["X-Long: " + "x" * 20000], [f"X-{n}: y" for n in range(10000)]])
async def test_s39_heads_are_limited(tmp_path: Path, lines: list[str]) -> None:
    """S-39: a field longer than 16 KiB and 10,000 fields are a bad request."""
    made, body = Endpoint(tmp_path), body_of("github")
    async with made.server:
        answered = await made.raw(_head(f"Content-Length: {len(body)}", *lines) + body)
    assert _status(answered) in (400, 431)
    assert made.due() == []


async def test_s39_a_packed_body_is_not_unpacked(tmp_path: Path) -> None:
    """S-39: a gzip bomb is refused by its name, and never unpacked."""
    made = Endpoint(tmp_path)
    packed = gzip.compress(b"0" * (16 << 20))
    async with made.server:
        given = headers("github", packed, **{"Content-Encoding": "gzip"})
        assert (await made.post("github", packed, given))[0] == 415
    assert made.counted("github", "malformed") == 1


COMMITS = [{"id": "0" * 40, "modified": None}] * 10000


@pytest.mark.parametrize(
    ("provider", "change"),
    [
        ("github", {"repository": None}),
        ("github", {"repository": []}),
        ("github", {"repository": {}}),
        ("github", {"repository": {"clone_url": 7}}),
        ("github", {"repository": {"clone_url": None, "html_url": "", "ssh_url": None}}),
        ("gitlab", {"project": None}),
        ("gitlab", {"project": "gitops"}),
        ("gitlab", {"object_kind": 1}),
        ("gitlab", {"object_kind": None, "event_name": None}),
        ("bitbucket", {"repository": {"full_name": "a/b"}}),
        ("bitbucket", {"repository": {"links": {"html": None}}}),
        ("bitbucket", {"repository": {"links": {"html": ["https://bitbucket.org/a/b"]}}}),
        ("bitbucket-server", {"repository": {"links": {"clone": {}}}}),
        ("bitbucket-server", {"repository": {"links": {"clone": [None]}}}),
        ("bitbucket-server", {"repository": {"links": {"self": []}}}),
        ("gogs", {"repository": "gitops"}),
        ("gitea", {"repository": {"html_url": {"a": 1}}}),
        ("azure-devops", {"resource": None}),
        ("azure-devops", {"resource": {"repository": None}}),
        ("azure-devops", {"eventType": None}),
        ("azure-devops", {"id": 3}),
    ],
)
async def test_s40_malformed_posts_are_bad_requests(
    tmp_path: Path, provider: str, change: dict[str, Any]
) -> None:
    """S-40: missing fields, null and wrong types where the repository should be are a 400."""
    made, body = Endpoint(tmp_path), json.dumps({**recorded(provider), **change}).encode()
    async with made.server:
        status, text = await made.post(provider, body, headers(provider, body))
    assert (status, made.due()) == (400, [])
    assert text.startswith("the post cannot be read")
    assert made.counted(provider, "malformed") == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'"push"',
        b"\xff\xfe{}",
        b"[" * 100000,
        b'{"repository":' * 5000 + b"1" + b"}" * 5000,
        b'{"repository": {"clone_url": "\\ud800"}}',
        b"payload=%7B%7D",
    ],
)
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_s40_what_is_no_post_is_a_bad_request(
    tmp_path: Path, provider: str, body: bytes
) -> None:
    """S-40: no JSON, no object and endless nesting are a 400, never an error of ours."""
    made = Endpoint(tmp_path, provider)
    async with made.server:
        assert (await made.post(provider, body, headers(provider, body)))[0] == 400


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("commits", [None, [], COMMITS, "none", {"a": 1}, [None], [7]])
async def test_s40_what_is_not_needed_may_be_anything(
    tmp_path: Path, provider: str, commits: Any
) -> None:
    """S-40: commits, refs and revisions of whatever shape and number are not even read."""
    made, post = Endpoint(tmp_path), recorded(provider)
    post["commits"] = commits
    for key in ("changes", "push", "ref", "before", "after", "pusher", "sender"):
        post[key] = commits[:1] if isinstance(commits, list) else commits
    body = json.dumps(post).encode()
    async with made.server:
        status, _ = await made.post(provider, body, headers(provider, body))
    assert status == 202


@pytest.mark.parametrize("provider", ["github", "gitlab", "bitbucket", "gitea", "azure-devops"])
async def test_other_events_are_not_pushes(tmp_path: Path, provider: str) -> None:
    """A ping, an issue or a merge request is answered well and asks for nothing."""
    made, post = Endpoint(tmp_path), recorded(provider)
    post |= {"object_kind": "merge_request", "event_name": "x", "eventType": "workitem.created"}
    if provider != "azure-devops":
        post.pop("repository", None)
    body = json.dumps(post).encode()
    name, _ = EVENTS[provider]
    async with made.server:
        answered = await made.post(provider, body, {**headers(provider, body), name: "ping"})
    assert answered == (202, "nothing to do: no refs have moved")
    assert made.due() == []


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/platform/gitops2.git",
        "https://github.com/platform/git.ps.git",
        "https://github.com/.*/.*",
        "https://github.com/platform/(gitops|x).git",
        "https://github.com/platform/gitops.git/extra",
        "https://github.com.evil.example/platform/gitops.git",
        "https://evil.example/github.com/platform/gitops.git",
        "https://github.com@evil.example/platform/gitops.git",
        "https://github.com:8443/platform/gitops.git",
        "https://g\u0131thub.com/platform/gitops.git",
        "https://gith\u03c5b.com/platform/gitops.git",
        "https://xn--gthub-n4a.com/platform/gitops.git",
        "https://github.com/platform/g\u0131tops.git",
        "https://github.com/platform/gitops.git?x=1",
        "https://github.com/other/../platform/gitops.git",
        "file:///platform/gitops.git",
        "ext::sh -c x",
        "--upload-pack=x",
        "https://github.com/platform/gitops\u0000.git",
    ],
)
async def test_s41_other_repositories_are_not_asked(tmp_path: Path, url: str) -> None:
    """S-41: no character of a URL means more than itself; what is not this repository is none."""
    made = Endpoint(tmp_path)
    body = json.dumps({"repository": {"clone_url": url}}).encode()
    async with made.server:
        answered = await made.post("github", body, headers("github", body))
    assert answered == (202, "nothing to do: no application reads this repository")
    assert made.due() == []


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/platform/gitops",
        "https://GitHub.COM/Platform/GitOps.git",
        "https://github.com:443/platform/gitops.git/",
        "https://user:pass@github.com/platform/gitops.git",
        "git@github.com:platform/gitops.git",
        "ssh://git@github.com:22/platform/gitops",
    ],
)
async def test_s41_spellings_of_one_repository_are_one(tmp_path: Path, url: str) -> None:
    """S-41: case, port, user and `.git` do not hide a repository from its webhook."""
    made = Endpoint(tmp_path)
    made.refreshes.know([url])
    body = body_of("github")
    async with made.server:
        assert (await made.post("github", body, headers("github", body)))[0] == 202
    assert made.due() == ["github.com/platform/gitops"]


async def test_s42_nothing_that_a_post_claims_is_kept(tmp_path: Path) -> None:
    """S-42: of a post with any revision and branch, the repository's name alone goes further."""
    made, post = Endpoint(tmp_path), recorded("github")
    post |= {"ref": "refs/heads/evil", "after": "f" * 40, "repository": post["repository"]}
    body = json.dumps(post).encode()
    async with made.server:
        assert (await made.post("github", body, headers("github", body)))[0] == 202
    assert made.due() == ["github.com/platform/gitops"]
    assert "evil" not in repr(vars(made.refreshes))
