"""Checks the signatures of commits and tags with a set of keys, each object once for a while."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

from driftd.verify.keys import KeySet
from driftd.verify.outcome import Finding, Outcome
from driftd.verify.signed import SignedObject
from driftd.verify.tools import openpgp_finding, ssh_finding

KEPT_SECONDS = 3600.0
"""How long a finding holds: keys expire while nothing else changes; other keys end it at once."""
_KEPT = 50_000
_RUNS = 4


class Verifier:
    """Says of each commit and tag whether it carries a good signature, whoever made it."""

    def __init__(self, keys: KeySet, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.keys = keys
        self.runs = 0
        """How many signatures were checked by a tool."""
        self._monotonic = monotonic
        self._findings: OrderedDict[str, tuple[float, Finding]] = OrderedDict()
        self._proven: OrderedDict[Hashable, float] = OrderedDict()
        self._slots = asyncio.Semaphore(_RUNS)

    async def finding(self, signed: SignedObject) -> Finding:
        """What the signature of an object is worth. Raises `VerificationError` without a tool."""
        if not signed.signature:
            return Finding(Outcome.UNSIGNED)
        kept = self._findings.get(signed.id)
        if kept is not None and self._monotonic() - kept[0] < KEPT_SECONDS:
            return kept[1]
        async with self._slots:
            self.runs += 1
            found = await self._judged(signed)
        self._findings[signed.id] = (self._monotonic(), found)
        while len(self._findings) > _KEPT:
            self._findings.popitem(last=False)
        return found

    async def _judged(self, signed: SignedObject) -> Finding:
        first = signed.signature.lstrip()
        if first.startswith(b"-----BEGIN PGP "):
            return await openpgp_finding(signed.payload, signed.signature, self.keys)
        if first.startswith(b"-----BEGIN SSH SIGNATURE-----"):
            return await ssh_finding(signed.payload, signed.signature, self.keys)
        kind = "an X.509 signature" if b"SIGNED MESSAGE" in first[:60] else "neither GPG nor SSH"
        return Finding(Outcome.UNSUPPORTED, detail=kind)

    def is_proven(self, proof: Hashable) -> bool:
        """Whether a whole history was found good a short while ago."""
        at = self._proven.get(proof)
        return at is not None and self._monotonic() - at < KEPT_SECONDS

    def prove(self, proof: Hashable) -> None:
        """Remember that a whole history was found good."""
        self._proven[proof] = self._monotonic()
        while len(self._proven) > _KEPT:
            self._proven.popitem(last=False)
