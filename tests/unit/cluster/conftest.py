"""A small real HTTP server that answers as an API server in trouble would."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from driftd.cluster.access import ClusterAccess
from driftd.cluster.reader import ApiResource

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ScriptedServer:
    """Answers each path with its scripted answers in turn; the last one stays."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.url = ""
        self.streams = False
        """Whether it can begin a watch with the state; else it refuses that as old servers do."""
        self._script: dict[str, list[Handler | web.Response]] = {}

    def on(self, path: str, *answers: Handler | web.Response) -> None:
        """What `path` (without query) answers, first to last."""
        self._script[path] = list(answers)

    def queries(self, path: str) -> list[dict[str, str]]:
        """The queries that were sent to `path`, in order."""
        return [dict(request.query) for request in self.requests if request.path == path]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        await request.read()
        if "sendInitialEvents" in request.query and not self.streams:
            return refusal(422, "Invalid", "sendInitialEvents is forbidden for watch")
        self.requests.append(request)
        answers = self._script.get(request.path)
        if answers is None:
            return web.Response(status=404, text="404 page not found")
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, web.Response):
            # A response object serves one request: send a copy.
            return web.Response(status=answer.status, body=answer.body, headers=answer.headers)
        return await answer(request)

    @property
    def access(self) -> ClusterAccess:
        """How to reach it, with a token."""
        return ClusterAccess(
            name="test", server=self.url, user={"token": "t0ken"}, origin="kubeconfig (k)"
        )


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    """A running scripted server."""
    scripted = ScriptedServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", scripted.handle)
    runner = web.AppRunner(app, shutdown_timeout=0, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    scripted.url = "http://{}:{}".format(*runner.addresses[0][:2])
    try:
        yield scripted
    finally:
        await runner.cleanup()


@pytest.fixture
def config_maps() -> ApiResource:
    """The kind that the tests list."""
    return ApiResource("", "v1", "ConfigMap", "configmaps", True, ("get", "list"))


def answer(document: Any, status: int = 200, **headers: str) -> web.Response:
    """A JSON answer; header names with `_` for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named.setdefault("Content-Type", "application/json")
    return web.Response(status=status, body=json.dumps(document).encode(), headers=named)


def refusal(status: int, reason: str, message: str, **headers: str) -> web.Response:
    """A `Status` object as an API server sends it."""
    document = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": status,
    }
    return answer(document, status, **headers)


def page(
    names: list[str], *, token: str = "", namespace: str = "n", version: str = "7"
) -> web.Response:
    """One page of a ConfigMapList."""
    meta: dict[str, str] = {"resourceVersion": version}
    if token:
        meta["continue"] = token
    items = [
        {"metadata": {"name": name, "namespace": namespace, "uid": f"u-{name}"}, "data": {}}
        for name in names
    ]
    return answer({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": meta, "items": items})


@pytest.fixture
def replies() -> Replies:
    """How to build answers."""
    return Replies()


class Replies:
    """The builders of answers, for tests."""

    answer = staticmethod(answer)
    refusal = staticmethod(refusal)
    page = staticmethod(page)


@pytest.fixture
def waits() -> Waits:
    """A Sleep that only records."""
    return Waits()


class Waits:
    """Records how long it was asked to wait."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.fixture(scope="session")
def api_certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A self-signed certificate, PEM, made for this session."""
    folder = tmp_path_factory.mktemp("pki")
    certificate = folder / "ca.crt"
    kind = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    files = ("-keyout", str(folder / "key"), "-out", str(certificate))
    subprocess.run(
        ["openssl", "req", *kind, "-subj", "/CN=test", *files], check=True, capture_output=True
    )
    return certificate.read_text()
