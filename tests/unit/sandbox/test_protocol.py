"""Frames between daemon and worker."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from driftd.errors import SandboxError
from driftd.sandbox.protocol import MAX_FRAME, Request, encode_request, read_reply


def stream(data: bytes) -> asyncio.StreamReader:
    """A stream that holds some bytes and ends."""
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader


def framed(body: bytes) -> bytes:
    """A body with its length."""
    return len(body).to_bytes(4, "big") + body


def test_request_frame() -> None:
    """A request is its length in four bytes and JSON, bytes as base64."""
    frame = encode_request(Request(7, "put_tree", {"files": {"a": b"x"}}))
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4
    assert msgspec.json.decode(frame[4:]) == {
        "id": 7,
        "op": "put_tree",
        "params": {"files": {"a": "eA=="}},
    }


async def test_reply() -> None:
    """A result stays raw; an error is typed."""
    reader = stream(
        framed(b'{"id":1,"result":{"a":  1}}')
        + framed(b'{"id":2,"error":{"code":"limit","message":"m","file":"f"}}')
    )
    first, second = await read_reply(reader), await read_reply(reader)
    assert bytes(first.result) == b'{"a":  1}'
    assert first.error is None
    assert second.error is not None
    assert (second.error.code, second.error.file) == ("limit", "f")


@pytest.mark.parametrize(
    "data",
    [framed(b"nonsense"), framed(b"[]"), (MAX_FRAME + 1).to_bytes(4, "big")],
    ids=["no JSON", "no reply", "too long"],
)
async def test_nonsense_is_refused(data: bytes) -> None:
    """What is no reply is an error."""
    with pytest.raises(SandboxError, match="out of protocol"):
        await read_reply(stream(data))


async def test_end_of_stream() -> None:
    """A reply cut short is told apart from nonsense."""
    with pytest.raises(asyncio.IncompleteReadError):
        await read_reply(stream(framed(b'{"id":1}')[:-1]))
