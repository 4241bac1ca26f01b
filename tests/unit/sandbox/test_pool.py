"""Workers come, go and are replaced without touching each other's requests."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from driftd.errors import RenderError, SandboxError
from driftd.model.tree import Tree
from driftd.sandbox import binary
from driftd.sandbox.pool import RenderApplication, SandboxPool
from driftd.sandbox.worker import Worker

pytestmark = pytest.mark.slow

MakeTree = Callable[..., Tree]

ENDLESS = {"endless.jsonnet": "local f(x) = f(x + 1) tailstrict; f(0)"}
HUNGRY = {
    "hungry.jsonnet": "std.foldl(function(a, i) a + a, std.range(1, 40), 'xxxxxxxx')",
}
FINE = {"fine.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fine}\n"}


def config_map(number: int) -> str:
    """A document of about a hundred bytes."""
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: fine-{number}}}\ndata: {{a: b}}\n"


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until something holds, at most ten seconds."""
    deadline = asyncio.get_running_loop().time() + 10
    for _ in iter(condition, True):
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0)


async def render(
    pool: SandboxPool,
    tree: Tree,
    *,
    project: str = "team",
    timeout: float = 30.0,  # noqa: ASYNC109
) -> int:
    """The number of objects that a tree's root renders to."""
    result = await pool.render(
        tree,
        {"directory": {}},
        application=RenderApplication(name="shop", project=project),
        revision="0123",
        timeout=timeout,
    )
    return len(result.documents)


async def test_endless_jsonnet_is_killed_at_its_timeout(pool: SandboxPool, tree: MakeTree) -> None:
    """The request fails with its own error, the process is gone and the next request works."""
    assert await render(pool, tree(FINE)) == 1
    pid = pool._idle[0].pid
    with pytest.raises(SandboxError, match=r"render took more than 0\.5 s") as caught:
        await render(pool, tree(ENDLESS), timeout=0.5)
    assert caught.value.reason == "SandboxTimeout"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert await render(pool, tree(FINE)) == 1
    assert pool._idle[0].pid != pid


async def test_memory_is_watched(tree: MakeTree) -> None:
    """A worker that grows beyond its limit is killed; the next request works."""
    async with SandboxPool(size=1, max_rss=200 << 20) as pool:
        with pytest.raises(SandboxError) as caught:
            await render(pool, tree(HUNGRY))
        assert caught.value.reason in ("SandboxMemory", "SandboxDied")
        assert await render(pool, tree(FINE)) == 1


async def test_memory_has_a_hard_limit_too(tree: MakeTree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody can watch, the worker itself dies of its limit and the error says so."""
    monkeypatch.setattr(Worker, "rss", lambda _: 0)
    async with SandboxPool(size=1, max_rss=128 << 20) as pool:
        with pytest.raises(SandboxError) as caught:
            await render(pool, tree(HUNGRY))
        assert caught.value.reason == "SandboxDied"
        # Go says it in one of two ways, by what asked for the memory.
        assert re.search("out of memory|cannot allocate memory", str(caught.value))


async def test_killed_worker_fails_its_own_request_only(tree: MakeTree) -> None:
    """Two requests run; the one whose worker is killed fails, the other is answered."""
    async with SandboxPool(size=2) as pool:
        await asyncio.gather(*(render(pool, tree(FINE), project=name) for name in ("a", "b")))
        victim = next(worker for worker in pool._idle if worker.project == "a")
        lost = asyncio.create_task(render(pool, tree(ENDLESS), project="a"))
        await until(lambda: victim not in pool._idle)
        os.kill(victim.pid, signal.SIGKILL)
        with pytest.raises(SandboxError, match="died in"):
            await lost
        assert await render(pool, tree(FINE), project="b") == 1
        assert await render(pool, tree(FINE), project="a") == 1


async def test_a_worker_that_falls_silent_is_replaced(tree: MakeTree) -> None:
    """One that takes requests and never answers is killed at the limit; others answer meanwhile."""
    async with SandboxPool(size=2) as pool:
        await asyncio.gather(*(render(pool, tree(FINE), project=name) for name in ("a", "b")))
        silent = next(worker for worker in pool._idle if worker.project == "a")
        os.kill(silent.pid, signal.SIGSTOP)
        lost = asyncio.create_task(render(pool, tree(FINE), project="a", timeout=3.0))
        await until(lambda: silent not in pool._idle)
        assert await render(pool, tree(FINE), project="b") == 1
        assert not lost.done()
        with pytest.raises(SandboxError, match=r"took more than 3 s") as caught:
            await lost
        assert caught.value.reason == "SandboxTimeout"
        assert not silent.alive
        assert await render(pool, tree(FINE), project="a") == 1


async def test_why_no_worker_starts_is_known(
    tree: MakeTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker of other sources is refused and remembered as the reason, until one starts."""
    async with SandboxPool(size=1) as pool:
        with monkeypatch.context() as patched:
            patched.setattr(binary, "_current_hash", lambda: "other")
            with pytest.raises(SandboxError, match="stale"):
                await pool.hello()
        assert pool.unusable.startswith("the sandbox worker is stale: it was built from other")
        assert await render(pool, tree(FINE)) == 1
        assert pool.unusable == ""


async def test_worker_is_never_shared_between_projects(pool: SandboxPool, tree: MakeTree) -> None:
    """Another project gets a fresh process; the same project keeps its warm one."""
    made = tree(FINE)
    pids = []
    for project in ("a", "a", "b", "a"):
        await render(pool, made, project=project)
        pids.append(pool._idle[0].pid)
    assert pids[0] == pids[1]
    assert len(set(pids)) == 3


async def test_trees_travel_once(pool: SandboxPool, tree: MakeTree) -> None:
    """A tree that the worker holds is not sent again."""
    made = tree(FINE)
    await render(pool, made)
    emptied = Tree(id=made.id, files={})
    assert await render(pool, emptied) == 1


async def test_cancellation_ends_the_worker(pool: SandboxPool, tree: MakeTree) -> None:
    """A caller that goes away takes the busy worker with it; the next request works."""
    await render(pool, tree(FINE))
    worker = pool._idle[0]
    task = asyncio.create_task(render(pool, tree(ENDLESS)))
    await until(lambda: not pool._idle)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not worker.alive
    assert await render(pool, tree(FINE)) == 1


async def test_more_requests_than_workers_all_get_answers(tree: MakeTree) -> None:
    """Requests queue for the workers, of which there are never more than the size."""
    async with SandboxPool(size=2) as pool:
        counts = await asyncio.gather(
            *(render(pool, tree(FINE), project=f"p{i % 3}") for i in range(12))
        )
        assert counts == [1] * 12
        assert pool._running <= 2


async def test_one_worker_is_kept_while_nobody_asks(tree: MakeTree) -> None:
    """After a rest the worker that worked last is there alone; more come when they are needed."""
    async with SandboxPool(size=2, rest=0.0) as pool:
        made = tree(FINE)
        await asyncio.gather(*(render(pool, made, project=name) for name in ("a", "b")))
        await until(lambda: len(pool._idle) == 1 and not pool._ending)
        (kept,) = pool._idle
        assert pool._running == 1
        assert kept.project is not None
        assert await render(pool, made, project=kept.project) == 1
        assert pool._idle == [kept]
        both = asyncio.gather(*(render(pool, made, project=name) for name in ("a", "b")))
        assert await both == [1, 1]
    assert pool._idle == []


async def test_closing_ends_all_processes(tree: MakeTree) -> None:
    """After the pool is closed no worker runs, and a request is refused."""
    async with SandboxPool(size=2) as pool:
        await asyncio.gather(*(render(pool, tree(FINE), project=name) for name in ("a", "b")))
        pids = [worker.pid for worker in pool._idle]
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    with pytest.raises(SandboxError, match="closed"):
        await render(pool, tree(FINE))


async def test_a_large_tree_comes_in_parts(
    pool: SandboxPool, tree: MakeTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file of a tree that one request does not take is there, and none of another tree."""
    monkeypatch.setattr("driftd.sandbox.worker.PART_BYTES", 200)
    files = {f"{number:02}.yaml": config_map(number) for number in range(20)}
    assert await render(pool, tree(files)) == 20
    assert await render(pool, tree({"99.yaml": config_map(99), "98.yaml": config_map(98)})) == 2
    assert await render(pool, tree(files | {"20.yaml": "# nothing\n" + "#" * 400})) == 20


async def test_parts_of_a_tree_that_is_too_large_are_forgotten(
    pool: SandboxPool, tree: MakeTree
) -> None:
    """The first part beyond the limit is refused, and the next tree starts from nothing."""
    heavy = {f"{number}.bin": "x" * (9 << 20) for number in range(12)}
    with pytest.raises(RenderError, match="more than 104857600") as caught:
        await render(pool, tree(heavy))
    assert caught.value.reason == "limit"
    assert await render(pool, tree({"fine.yaml": config_map(1)})) == 1


async def test_tree_limits_are_errors_of_the_request(pool: SandboxPool) -> None:
    """A tree with more than 20 000 files or an invalid path is refused; the worker lives on."""
    await pool.hello()
    pid = pool._idle[0].pid
    many = Tree(id="many", files={f"f{i}": b"" for i in range(20_001)})
    with pytest.raises(RenderError, match="20001 files") as caught:
        await render(pool, many)
    assert caught.value.reason == "limit"
    for path in ("../x", "/x", "a//b", "a/../b", ""):
        with pytest.raises(RenderError, match="invalid path"):
            await render(pool, Tree(id=f"bad {path}", files={path: b""}))
    assert pool._idle[0].pid == pid


async def test_trees_too_many_together_are_refused(pool: SandboxPool) -> None:
    """A worker holds 32 trees at a time: 33 in one request do not fit, 32 of them do."""
    trees = [Tree(id=f"{i}", files={"a": b""}) for i in range(33)]
    nothing: dict[str, list[str]] = {"expressions": [], "objects": []}
    with pytest.raises(SandboxError, match="too large for one worker"):
        await pool.call("jq", nothing, project="team", trees=trees)
    raw = await pool.call("jq", nothing, project="team", trees=trees[1:])
    assert bytes(raw) == b'{"results":[]}'


async def test_unknown_operation_is_refused(pool: SandboxPool) -> None:
    """An operation that does not exist, or wrong parameters, are errors with a code."""
    with pytest.raises(RenderError, match='unknown operation "nope"') as caught:
        await pool.call("nope", {}, project="team")
    assert caught.value.reason == "bad-request"
    with pytest.raises(RenderError) as caught:
        await pool.call("parse", {"paths": 1}, project="team")
    assert caught.value.reason == "bad-request"


async def test_isolation_can_be_required(tree: MakeTree) -> None:
    """A pool that requires isolation works here, where the kernel offers it."""
    async with SandboxPool(size=1, require_isolation=True) as pool:
        assert await render(pool, tree(FINE)) == 1


async def test_many_projects_share_few_processes(
    tree: MakeTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixty requests of five projects in turn start a worker per project, not per request."""
    started = []
    start = Worker.start

    async def counted(binary: Path, *, max_rss: int) -> Worker:
        started.append(1)
        return await start(binary, max_rss=max_rss)

    monkeypatch.setattr(Worker, "start", counted)
    made = tree(FINE)
    async with SandboxPool(size=1) as pool:
        names = [f"p{number % 5}" for number in range(60)]
        await asyncio.gather(*(render(pool, made, project=name) for name in names))
    assert len(started) == 5
