"""Comparisons in a second process, while there are so many that one processor is too slow.

A cold start compares every object of every cluster once. Python does that on one processor, which
the reading of lists, the store and the watches need too. While many objects wait, a second process
takes what it has time for; the rest is compared here as always. It ends when little is left to do,
so that its memory is used for as long as it helps.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections import deque
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from weakref import WeakKeyDictionary

import msgspec

from driftd.controller.compare_process import LENGTH, framed
from driftd.diff.batch import Answer, Batch, Beginning, Pair, decode_answer, encode
from driftd.diff.compare import Context
from driftd.diff.schema import SchemaPart, SchemaSet
from driftd.model import sensitive
from driftd.model.resource import GVK
from driftd.telemetry.logs import get_logger

BURST: Final = 1500
"""Objects that were compared here within `WINDOW` from which on a second
process is worth its start."""
WINDOW: Final = 10.0
"""Seconds."""
AHEAD: Final = 1000
"""Objects that may wait for the second process: enough that it never waits itself."""
REST: Final = 15.0
"""Seconds without work after which it ends."""
LIMIT: Final = 60.0
"""Seconds for a batch; one that takes longer is given up, with the process."""
AGAIN: Final = 300.0
"""Seconds after a failure during which no other process is started."""
_PARTS: Final = 64
"""Schemas that the second process keeps."""
_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")


def processors(quota: Path = _QUOTA) -> float:
    """How many processors this process may use, as its affinity and its control group say."""
    try:
        own = float(len(os.sched_getaffinity(0)))
    except AttributeError:  # not everywhere
        own = float(os.cpu_count() or 1)
    try:
        allowed, period = quota.read_text("ascii").split()
        return min(own, int(allowed) / int(period))
    except (OSError, ValueError):  # none, or `max`
        return own


class _Process:
    """One running process; batches are answered in their order."""

    def __init__(self, process: asyncio.subprocess.Process, hidden: tuple[str, ...]) -> None:
        assert process.stdin is not None  # noqa: S101 - they were asked for
        assert process.stdout is not None  # noqa: S101
        self.hidden = hidden
        """The sensitive places that it was told."""
        self._process = process
        self._input, self._output = process.stdin, process.stdout
        self._asked: deque[asyncio.Future[Answer]] = deque()
        self._given: set[bytes] = set()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls) -> _Process:
        """Raises OSError."""
        hidden = sensitive.listed()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "driftd.controller.compare_process"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            cwd="/",
            start_new_session=True,
            limit=1 << 20,
        )
        one = cls(process, hidden)
        one._input.write(framed(encode(Beginning(hidden))))
        return one

    def ask(
        self, context: Context, digest: bytes, part: Callable[[], SchemaPart], pairs: Sequence[Pair]
    ) -> asyncio.Future[Answer]:
        """Send a batch; its answer comes later. `part` gives the schemas of `digest`.

        Raises what no wire can carry; then nothing was sent.
        """
        known = digest in self._given
        anew = not known and len(self._given) >= _PARTS
        frame = framed(encode(Batch(context, digest, None if known else part(), pairs, anew)))
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked.append(answer)
        if self._reading.done():
            self._fail()
            return answer
        self._input.write(frame)
        if anew:
            self._given.clear()
        self._given.add(digest)
        return answer

    async def _read(self) -> None:
        try:
            while True:
                size = int.from_bytes(await self._output.readexactly(LENGTH), "big")
                answer = decode_answer(await self._output.readexactly(size))
                waiting = self._asked.popleft()
                if not waiting.done():  # whoever asked may have gone
                    waiting.set_result(answer)
        except (EOFError, OSError, msgspec.MsgspecError):
            self._fail()

    def _fail(self) -> None:
        while self._asked:
            waiting = self._asked.popleft()
            if not waiting.done():
                waiting.set_exception(ConnectionError("the process has ended"))

    async def end(self) -> None:
        """End it: it ends with its input, and is killed where it does not."""
        self._input.close()
        try:
            async with asyncio.timeout(2.0):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        finally:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
            self._fail()


class Comparisons:
    """Compares in a second process while there is much to compare; a context manager ends it."""

    def __init__(self, *, burst: int = BURST, rest: float = REST, limit: float = LIMIT) -> None:
        """`rest` and `limit` are in seconds."""
        self._burst, self._rest, self._limit = burst, rest, limit
        self._alone = processors() < 2
        self._since = self._not_before = 0.0
        self._seen = self._waiting = 0
        self._process: _Process | None = None
        self._starting: asyncio.Task[None] | None = None
        self._ends: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._digests: WeakKeyDictionary[SchemaSet, dict[frozenset[GVK], bytes]] = (
            WeakKeyDictionary()
        )
        self._log = get_logger("driftd.controller")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._starting is not None:
            await asyncio.gather(self._starting, return_exceptions=True)
        self._drop()
        await asyncio.gather(*self._ends)

    @property
    def running(self) -> bool:
        """Whether there is a second process now."""
        return self._process is not None

    def has_time(self, objects: int) -> bool:
        """Whether there is a second process with time for so many objects more."""
        if self._process is not None and self._process.hidden != sensitive.listed():
            self._drop()  # other settings have come into force
        return self._process is not None and self._waiting + objects <= AHEAD

    def made(self, objects: int) -> None:
        """So many were compared here; begins a second process where it is worth it."""
        now = asyncio.get_running_loop().time()
        if now - self._since > WINDOW:
            self._since, self._seen = now, 0
        self._seen += objects
        worth = self._seen >= self._burst and not self._alone and now >= self._not_before
        if worth and self._process is None and self._starting is None:
            self._starting = asyncio.create_task(self._begin())

    async def compared(self, context: Context, schemas: SchemaSet, pairs: Sequence[Pair]) -> Answer:
        """The comparisons of pairs, in their order; None for those that are to be made here.

        `context` has no sealer.
        """
        nothing: Answer = [None] * len(pairs)
        process = self._process
        if process is None or not pairs:
            return nothing
        kinds = frozenset(pair.gvk for pair in pairs)
        self._waiting += len(pairs)
        try:
            digest = self._digest(schemas, kinds)
            asked = process.ask(context, digest, lambda: schemas.part(sorted(kinds)), pairs)
            async with asyncio.timeout(self._limit):
                answer = await asked
            return answer if len(answer) == len(pairs) else nothing
        except Exception as error:  # noqa: BLE001 - nothing there may cost a verdict here
            self._failed(process, error)
            return nothing
        finally:
            self._waiting -= len(pairs)
            self._rested()

    def _digest(self, schemas: SchemaSet, kinds: frozenset[GVK]) -> bytes:
        """What stands for the schemas of some kinds; the same for clusters with the same ones."""
        known = self._digests.setdefault(schemas, {})
        if kinds not in known:
            known[kinds] = blake2b(encode(schemas.part(sorted(kinds))), digest_size=16).digest()
        return known[kinds]

    async def _begin(self) -> None:
        try:
            self._process = await _Process.start()
            self._rested()
        except OSError as error:
            self._failed(None, error)
        finally:
            self._starting = None

    def _failed(self, process: _Process | None, error: Exception) -> None:
        """Go on without a second process for a while; what waits for it is compared here."""
        if process is not self._process:
            return  # another batch has told so
        self._not_before = asyncio.get_running_loop().time() + AGAIN
        self._drop()
        self._log.warning(
            "comparing in one process",
            reason=f"the second one failed: {str(error) or type(error).__name__}",
            again_in_seconds=AGAIN,
        )

    def _rested(self) -> None:
        """Begin the time after which it ends, anew."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if self._process is not None and not self._waiting:
            self._timer = asyncio.get_running_loop().call_later(self._rest, self._drop)

    def _drop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        process, self._process = self._process, None
        if process is not None:
            task = asyncio.create_task(process.end())
            self._ends.add(task)
            task.add_done_callback(self._ends.discard)
