"""What looks leave behind, in one file: for `check` in CI, where no database is.

The file is replaced as a whole, under a lock, and only for the applications that were looked at:
two looks at once lose nothing of one another. A damaged file is refused, never overwritten.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec

from driftd.errors import StateError
from driftd.model.resource import ResourceKey
from driftd.store.replacing import replace
from driftd.store.types import ApplicationMemory

FORMAT: Final = 1
KEPT: Final = timedelta(days=30)
"""How long an object that no look sees any more is remembered."""

_MAGIC: Final = b"driftd-state"
_LOCK_SECONDS: Final = 10.0
_REMEDY: Final = (
    "restore it, or remove it and begin anew: the next look then knows of no look before it"
)


class _Remembered(msgspec.Struct, array_like=True):
    key: ResourceKey
    seen_at: datetime
    data: bytes


class _Application(msgspec.Struct, array_like=True):
    cluster: str
    name: str
    clean_revisions: tuple[str, ...]
    objects: list[_Remembered]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[_Application])


class StateFile:
    """A state file, read once; what a look leaves behind is collected and saved at its end."""

    def __init__(self, path: Path) -> None:
        """Read the file; without one, nothing is known yet.

        Raises:
            StateError: it is damaged, of another format, locked, or in no writable folder.
        """
        self.path = path
        with self._locked():
            self._known = self._read()
        self._left: dict[tuple[str, str], ApplicationMemory] = {}

    @property
    def is_new(self) -> bool:
        """Whether nothing was known when the file was read."""
        return not self._known

    def memories(self) -> Iterator[tuple[str, ApplicationMemory]]:
        """Everything that the file holds, with the application's name."""
        for (cluster, name), application in self._known.items():
            yield name, _memory(cluster, application)

    async def recall(
        self, cluster: str, application: str, keys: Collection[ResourceKey] | None = None
    ) -> ApplicationMemory:
        """See `Memory.recall`."""
        known = self._known.get((cluster, application))
        memory = _memory(cluster, known) if known else ApplicationMemory(cluster=cluster)
        return memory.of(keys)

    def remember(self, application: str, memory: ApplicationMemory) -> None:
        """Take what a look leaves behind; it is in the file after `save`."""
        self._left[memory.cluster, application] = memory

    def save(self, now: datetime) -> None:
        """Write what was remembered beside what other looks have written meanwhile.

        Raises:
            StateError: the file cannot be written, or is damaged by now.
        """
        with self._locked():
            known = self._read()
            for place, memory in self._left.items():
                known[place] = _merged(known.get(place), place[1], memory, now)
            kept = (_without_old(one, now - KEPT) for one in known.values())
            payload = _encoder.encode([one for one in kept if one.objects])
            self._replace(_head(payload) + payload)

    def _read(self) -> dict[tuple[str, str], _Application]:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise StateError(
                f"{self.path} cannot be read: {error.strerror}", hint="name a file that can be"
            ) from None
        payload = self._payload(content)
        try:
            found = _decoder.decode(payload)
        except msgspec.MsgspecError:
            raise self._damaged() from None
        return {(one.cluster, one.name): one for one in found}

    def _payload(self, content: bytes) -> bytes:
        head, _, payload = content.partition(b"\n")
        words = head.split()
        if not content or words[:1] != [_MAGIC] or len(words) != len(_head(b"").split()):
            raise StateError(
                f"{self.path} is no state of driftd", hint="name another file, or a new one"
            )
        if words[1] != str(FORMAT).encode():
            text = words[1].decode("ascii", "replace")
            raise StateError(
                f"{self.path} has format {text}; this driftd reads format {FORMAT}",
                hint=f"use the driftd that wrote it, or {_REMEDY}",
            )
        if head + b"\n" != _head(payload):
            raise self._damaged()
        return payload

    def _damaged(self) -> StateError:
        return StateError(f"{self.path} is damaged", hint=_REMEDY)

    def _replace(self, content: bytes) -> None:
        try:
            # A temporary file is its owner's alone, and so is what replaces the state.
            replace(self.path, content)
        except OSError as error:
            raise StateError(
                f"{self.path} cannot be written: {error.strerror}",
                hint="the next look knows what the last one that was saved knew",
            ) from None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock beside the file; the file itself is replaced."""
        lock = self.path.with_name(self.path.name + ".lock")
        try:
            handle = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateError(
                f"{lock} cannot be opened: {error.strerror}",
                hint="the folder of the state must exist and be writable",
            ) from None
        try:
            deadline = time.monotonic() + _LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise StateError(
                            f"{lock} is held by another process",
                            hint="wait for it to end; a lock ends with its process",
                        ) from None
                    time.sleep(0.05)
            yield
        finally:
            os.close(handle)


def _head(payload: bytes) -> bytes:
    """The first line: what the file is, its format, and the digest of the rest."""
    digest = blake2b(payload, digest_size=16).hexdigest()
    return b"%s %d %s\n" % (_MAGIC, FORMAT, digest.encode())


def _memory(cluster: str, application: _Application) -> ApplicationMemory:
    return ApplicationMemory(
        cluster=cluster,
        clean_revisions=application.clean_revisions,
        objects={one.key: one.data for one in application.objects},
    )


def _merged(
    old: _Application | None, name: str, memory: ApplicationMemory, now: datetime
) -> _Application:
    objects: dict[ResourceKey, _Remembered] = {one.key: one for one in old.objects} if old else {}
    for key, data in memory.objects.items():
        objects[key] = _Remembered(key, now, data)
    revisions = memory.clean_revisions or (old.clean_revisions if old else ())
    return _Application(memory.cluster, name, revisions, list(objects.values()))


def _without_old(application: _Application, since: datetime) -> _Application:
    kept = [one for one in application.objects if one.seen_at >= since]
    return msgspec.structs.replace(application, objects=kept)
