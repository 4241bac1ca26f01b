"""One worker process: started with nothing, watched while it works, killed when it errs."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from driftd.errors import RenderError, SandboxError
from driftd.model.tree import Tree
from driftd.sandbox.binary import check_hello
from driftd.sandbox.protocol import MAX_FRAME, Reply, Request, encode_request, read_reply
from driftd.sandbox.results import HeldTrees, Hello

START_TIMEOUT = 20.0
"""Seconds until a started worker must have said hello."""
WATCH_INTERVAL = 0.05
"""Seconds between two looks at a busy worker's memory."""
HARD_LIMIT_PERCENT = 150
"""The kernel's limit on a worker's memory, as a share of the watched one."""
PART_BYTES = 8 << 20
"""Bytes of files after which a tree goes on in another request, so that neither side holds it
twice. A larger file has one of its own."""
STOP_TIMEOUT = 2.0
"""Seconds that an idle worker has to end by itself."""

_PAGE = os.sysconf("SC_PAGE_SIZE")
_STDERR_KEPT = 64 << 10
_CAUSE = re.compile(rb"^(fatal error: .*|panic: .*|runtime: .*|SIG[A-Z]+: .*)$", re.MULTILINE)

HINTS = {
    "dependency-missing": "vendor it with `helm dependency build`",
    "remote-resource": "keep a copy in the repository, or allow it with remoteBases",
}


class Worker:
    """A running worker. It answers one request at a time; the caller sees to that.

    After a `SandboxError` or a cancellation in the middle of a request the process is gone
    (`alive` is false) and the worker must be replaced.
    """

    def __init__(self, process: asyncio.subprocess.Process, *, max_rss: int) -> None:
        self.project: str | None = None
        """The one project whose content this worker has seen."""
        self.hello: Hello
        self._process = process
        self.max_rss = max_rss
        """Bytes of resident memory at which it is ended while it works."""
        self._ids = itertools.count(1)
        self._trees: frozenset[str] = frozenset()
        self._stderr = bytearray()
        self._stderr_reader = asyncio.create_task(self._read_stderr())

    @classmethod
    async def start(cls, binary: Path, *, max_rss: int) -> Worker:
        """Start a worker with an empty environment and check who it is.

        Raises `SandboxError` if it cannot be started, is stale or does not answer.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                str(binary),
                str(max_rss * HARD_LIMIT_PERCENT // 100),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={},
                cwd="/",
                start_new_session=True,
                limit=8 << 20,
            )
        except OSError as error:
            raise SandboxError(f"the sandbox worker {binary} does not start: {error}") from error
        worker = cls(process, max_rss=max_rss)
        try:
            raw = await worker.request("hello", {}, timeout=START_TIMEOUT)
            worker.hello = msgspec.json.decode(raw, type=Hello)
            check_hello(worker.hello)
        except BaseException:
            await worker.kill()
            raise
        return worker

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.returncode is None

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    async def put_trees(self, trees: Sequence[Tree], *, timeout: float) -> None:  # noqa: ASYNC109
        """Send the trees that this worker does not hold.

        Raises `SandboxError` if they are too large to be held together.
        """
        for tree in trees:
            if tree.id in self._trees:
                continue
            *before, last = _parts(tree)
            for files in before:
                part = {"tree": tree.id, "files": files, "more": True}
                await self.request("put_tree", part, timeout=timeout)
            params = {
                "tree": tree.id,
                "files": last,
                "links": tree.links,
                "remotes": tree.remotes,
            }
            raw = await self.request("put_tree", params, timeout=timeout)
            self._trees = frozenset(msgspec.json.decode(raw, type=HeldTrees).trees)
        if any(tree.id not in self._trees for tree in trees):
            raise SandboxError("the trees of these sources are too large for one worker")

    async def request(self, op: str, params: Any, *, timeout: float) -> msgspec.Raw:  # noqa: ASYNC109
        """Ask and wait at most `timeout` seconds.

        Raises `RenderError` with the worker's code as reason if it answers with an error, and
        `SandboxError` if it dies, takes too long or grows too large (it is killed then).
        """
        request = Request(next(self._ids), op, params)
        try:
            reply = await self._exchange(encode_request(request), op, timeout)
            if reply.id != request.id:
                raise SandboxError("the sandbox worker answers out of order")
        except BaseException:
            await self.kill()
            raise
        if reply.error is not None:
            fault = reply.error
            message = fault.message
            if fault.file and fault.file not in message:
                message = f"{fault.file}: {message}"
            hint = HINTS.get(fault.code, "")
            # Most messages of these codes end with the remedy; it is said once.
            message = message.removesuffix(f"; {hint}")
            raise RenderError(message, reason=fault.code, hint=hint)
        return reply.result

    async def _exchange(self, frame: bytes, op: str, seconds: float) -> Reply:
        watch = _Watch(self, op, seconds)
        try:
            reply = await self._send_and_read(frame)
            if watch.fault is not None:
                raise watch.fault
            return reply
        except (OSError, asyncio.IncompleteReadError) as error:
            if watch.fault is not None:
                raise watch.fault from None
            raise SandboxError(
                f"the sandbox worker died in {op}{await self._cause()}", reason="SandboxDied"
            ) from error
        finally:
            watch.end()

    async def _send_and_read(self, frame: bytes) -> Reply:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None  # noqa: S101 - pipes by construction
        assert stdout is not None  # noqa: S101
        stdin.write(frame)
        await stdin.drain()
        return await read_reply(stdout)

    def rss(self) -> int:
        """Resident memory in bytes; 0 where /proc does not tell."""
        try:
            fields = Path(f"/proc/{self.pid}/statm").read_bytes().split()
            return int(fields[1]) * _PAGE
        except (OSError, IndexError):
            return 0

    async def _read_stderr(self) -> None:
        assert self._process.stderr is not None  # noqa: S101
        while data := await self._process.stderr.read(1 << 14):
            self._stderr += data
            # A crash report starts with its cause, so the beginning of what is new counts.
            del self._stderr[:-_STDERR_KEPT]

    async def _cause(self) -> str:
        """Why the process died, from its last words."""
        self.end()
        await self._process.wait()
        await asyncio.wait({self._stderr_reader})
        found = _CAUSE.search(bytes(self._stderr))
        if found:
            return ": " + found[1][:120].decode(errors="replace")
        return f" (status {self._process.returncode})"

    def end(self) -> None:
        """End the process at once; whoever reads from it sees that."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def kill(self) -> None:
        """End the process at once and let go of its pipes."""
        self.end()
        await self._reap()

    async def stop(self) -> None:
        """Let an idle worker end by closing its input; kill it if it does not."""
        assert self._process.stdin is not None  # noqa: S101
        self._process.stdin.close()
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await self._process.wait()
        except TimeoutError:
            await self.kill()
        else:
            await self._reap()

    async def _reap(self) -> None:
        await self._process.wait()
        assert self._process.stdin is not None  # noqa: S101
        assert self._process.stdout is not None  # noqa: S101
        self._process.stdin.close()
        with contextlib.suppress(OSError):
            await self._process.stdin.wait_closed()
        with contextlib.suppress(OSError):
            await self._process.stdout.read(MAX_FRAME)
        await asyncio.wait({self._stderr_reader})


class _Watch:
    """Looks at a busy worker from time to time, and ends it when it is over a limit.

    A timer of the loop, and not a task beside the request: most requests are over before the
    first look, and should not pay for it.
    """

    def __init__(self, worker: Worker, op: str, seconds: float) -> None:
        self.fault: SandboxError | None = None
        """Why the worker was ended."""
        self._worker = worker
        self._op = op
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + seconds
        self._next = self._loop.call_later(min(WATCH_INTERVAL, seconds), self._look)

    def end(self) -> None:
        """Look no more."""
        self._next.cancel()

    def _look(self) -> None:
        remaining = self._deadline - self._loop.time()
        if remaining <= 0:
            self.fault = SandboxError(
                f"the sandbox worker was stopped: {self._op} took more than {self._seconds:g} s",
                reason="SandboxTimeout",
            )
        elif self._worker.rss() > self._worker.max_rss:
            self.fault = SandboxError(
                f"the sandbox worker was stopped: {self._op} used more than"
                f" {self._worker.max_rss >> 20} MiB of memory",
                reason="SandboxMemory",
            )
        if self.fault is not None:
            self._worker.end()
        else:
            self._next = self._loop.call_later(min(WATCH_INTERVAL, remaining), self._look)


def _parts(tree: Tree) -> list[dict[str, bytes]]:
    """The files of a tree in one or more parts of about `PART_BYTES` at most."""
    parts: list[dict[str, bytes]] = [{}]
    size = 0
    for path, content in tree.files.items():
        if parts[-1] and size + len(content) > PART_BYTES:
            parts.append({})
            size = 0
        parts[-1][path] = content
        size += len(content)
    return parts
