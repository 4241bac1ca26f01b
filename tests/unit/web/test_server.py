"""Probes and metrics over real HTTP."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from driftd.errors import ConfigError, StoreError
from driftd.telemetry.metrics import Metrics
from driftd.web import server as module
from driftd.web.server import Readiness, Server

pytestmark = pytest.mark.slow


async def get(server, path, method="GET"):
    """Status, text and headers of an answer."""
    url = f"http://127.0.0.1:{server.port}{path}"
    async with aiohttp.ClientSession() as session, session.request(method, url) as response:
        return response.status, await response.text(), response.headers


async def test_readiness_follows_the_first_sweep():
    """Alive from the start, ready after the first sweep, not ready while draining."""
    readiness = Readiness()
    async with Server("127.0.0.1:0", Metrics("0"), readiness) as server:
        assert (await get(server, "/healthz"))[:2] == (200, "ok\n")
        assert (await get(server, "/readyz"))[:2] == (503, "waiting for the first sweep\n")
        readiness.first_sweep_done()
        assert (await get(server, "/readyz"))[:2] == (200, "ok\n")
        readiness.draining()
        assert (await get(server, "/readyz"))[0] == 503
        readiness.first_sweep_done()
        assert (await get(server, "/readyz"))[0] == 503


async def test_liveness_says_what_does_not_move():
    """A process whose loops hang asks to be restarted, and says which of them it is."""
    stuck = ["the schedule has not fired for 61 s"]
    async with Server("127.0.0.1:0", Metrics("0"), Readiness(), lambda: stuck[0]) as server:
        assert (await get(server, "/healthz"))[:2] == (503, f"no progress: {stuck[0]}\n")
        stuck[0] = ""
        assert (await get(server, "/healthz"))[:2] == (200, "ok\n")


async def test_a_store_that_is_away_makes_unready_but_not_dead(monkeypatch):
    """Readiness follows the store, a hanging one too; liveness never depends on it."""
    now, asked, answers = [0.0], [], {}

    async def reach():
        asked.append(now[0])
        if answers.get("hangs"):
            await asyncio.Event().wait()
        if answers.get("fails"):
            raise StoreError("connection refused")

    monkeypatch.setattr(module, "_STORE_SECONDS", 0.01)
    readiness = Readiness(reach, monotonic=lambda: now[0])
    readiness.first_sweep_done()
    async with Server("127.0.0.1:0", Metrics("0"), readiness) as server:
        for second, state in enumerate(({}, {"fails": 1}, {"hangs": 1}, {})):
            now[0], answers = float(second), state
            ready = (503, "waiting for the store\n") if state else (200, "ok\n")
            assert (await get(server, "/readyz"))[:2] == ready
            assert (await get(server, "/readyz"))[:2] == ready
            assert (await get(server, "/healthz"))[0] == 200
    assert asked == [0.0, 1.0, 2.0, 3.0]


async def test_a_worker_that_cannot_be_started_makes_unready():
    """Where nothing can be rendered, readiness says why, before and after the first sweep."""
    readiness, why = Readiness(), ["the sandbox worker is stale; run `make worker`"]
    readiness.unusable = lambda: why[0]
    told = "waiting for a sandbox worker: the sandbox worker is stale; run `make worker`\n"
    async with Server("127.0.0.1:0", Metrics("0"), readiness) as server:
        assert (await get(server, "/readyz"))[:2] == (503, told)
        readiness.first_sweep_done()
        assert (await get(server, "/readyz"))[:2] == (503, told)
        why[0] = ""
        assert (await get(server, "/readyz"))[:2] == (200, "ok\n")


async def test_metrics_are_exposed_in_the_text_format():
    """Prometheus gets its content type and the build's version."""
    async with Server("127.0.0.1:0", Metrics("1.2.3"), Readiness()) as server:
        status, text, headers = await get(server, "/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert 'driftd_build_info{version="1.2.3"} 1.0' in text


async def test_nothing_else_is_served():
    """Unknown paths and other methods are refused, and answers forbid sniffing and caching."""
    async with Server("127.0.0.1:0", Metrics("0"), Readiness()) as server:
        assert (await get(server, "/"))[0] == 404
        assert (await get(server, "/healthz", "POST"))[0] == 405
        headers = (await get(server, "/healthz"))[2]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"


async def test_a_used_address_is_a_config_error():
    """The message names the address and the setting."""
    async with Server("127.0.0.1:0", Metrics("0"), Readiness()) as server:
        second = Server(f"127.0.0.1:{server.port}", Metrics("0"), Readiness())
        with pytest.raises(ConfigError, match=f"127.0.0.1:{server.port}") as caught:
            async with second:
                pass
    assert "server.listen" in caught.value.message
