"""The second process of comparisons: batches come in, comparisons go out, until the input ends.

It holds no credential, opens nothing, and ends with the process that started it. Frames on both
sides are a length (4 bytes, big endian) and that many bytes of MessagePack.
"""

from __future__ import annotations

import gc
import sys
from typing import BinaryIO

from driftd.diff.batch import Batches, decode_batch, decode_beginning, encode
from driftd.model import sensitive

LENGTH = 4
"""Bytes of a frame's length."""


def framed(body: bytes) -> bytes:
    """A frame of these bytes."""
    return len(body).to_bytes(LENGTH, "big") + body


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer every batch of `source`, after the beginning, in `sink`."""
    beginning = _frame(source)
    if beginning is None:
        return
    sensitive.use(decode_beginning(beginning).sensitive)
    batches = Batches()
    while (body := _frame(source)) is not None:
        sink.write(framed(encode(batches.compared(decode_batch(body)))))
        sink.flush()


def _frame(source: BinaryIO) -> bytes | None:
    """The next frame's bytes; None at the end of the input."""
    head = source.read(LENGTH)
    if len(head) < LENGTH:
        return None
    size = int.from_bytes(head, "big")
    body = source.read(size)
    return body if len(body) == size else None


if __name__ == "__main__":
    # What is imported lives as long as the process.
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    serve(sys.stdin.buffer, sys.stdout.buffer)
