"""The worker's wire format: a length (4 bytes, big endian) and that many bytes of JSON.

A request is `{"id", "op", "params"}`; a reply is `{"id", "result"}` or
`{"id", "error": {"code", "message", "file"}}`. One request is under way at a time.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import msgspec

from driftd.errors import SandboxError

PROTOCOL = 1
"""Version of the operations and their fields; the worker's `hello` must name the same."""
MAX_FRAME = 400 << 20
"""Longest frame in bytes; a longer one means that the other side has gone wrong."""

_LENGTH = struct.Struct(">I")
_ENCODER = msgspec.json.Encoder()


class Request(msgspec.Struct, frozen=True):
    """What is asked of a worker."""

    id: int
    op: str
    params: Any


class WorkerFault(msgspec.Struct, frozen=True):
    """An error that the worker answers with: `code` is one machine-readable word."""

    code: str
    message: str
    file: str = ""


class Reply(msgspec.Struct, frozen=True):
    """The worker's answer; `error` is set instead of `result` if the request failed."""

    id: int
    result: msgspec.Raw = msgspec.Raw(b"")
    error: WorkerFault | None = None


_REPLY = msgspec.json.Decoder(Reply)


def encode_request(request: Request) -> bytes:
    """The frame of a request. `bytes` in the parameters travel as base64."""
    body = _ENCODER.encode(request)
    if len(body) > MAX_FRAME:
        raise SandboxError(f"a request of {len(body)} bytes is too long for the sandbox")
    return _LENGTH.pack(len(body)) + body


async def read_reply(stream: asyncio.StreamReader) -> Reply:
    """The next reply.

    Raises `asyncio.IncompleteReadError` at the end of the stream, `SandboxError` if what
    arrives is no reply.
    """
    (length,) = _LENGTH.unpack(await stream.readexactly(_LENGTH.size))
    if length > MAX_FRAME:
        raise SandboxError("the sandbox worker answers out of protocol")
    try:
        return _REPLY.decode(await stream.readexactly(length))
    except msgspec.DecodeError as error:
        raise SandboxError("the sandbox worker answers out of protocol") from error
