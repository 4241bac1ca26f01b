"""One request through the client library, and the system's words where there is no answer."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec

from driftd.model import sensitive

if TYPE_CHECKING:
    import aiohttp
    from kubernetes_asyncio.client import ApiClient


def sensitive_values(objects: Iterable[bytes | None]) -> list[str]:
    """The sensitive values of objects that were sent, or that an answer may quote."""
    found: list[str] = []
    for body in objects:
        try:
            document = msgspec.json.decode(body) if body else None
        except msgspec.DecodeError:
            continue
        if isinstance(document, dict):
            found += sensitive.in_force().values(document)
    return found


async def ask(
    api: ApiClient,
    method: str,
    path: str,
    query: Mapping[str, str] | None,
    headers: Mapping[str, str] | None,
    body: bytes | None,
    limits: aiohttp.ClientTimeout,
) -> aiohttp.ClientResponse:
    """The head of an answer; whoever gets it releases it."""
    # The client library encodes the bodies of types that name JSON itself.
    encoded = body is not None and "json" in (headers or {}).get("Content-Type", "")
    answer: aiohttp.ClientResponse = await api.call_api(
        path,
        method,
        query_params=list(query.items()) if query else [],
        header_params=dict(headers or {}),
        body=json.loads(body) if body is not None and encoded else body,
        auth_settings=["BearerToken"],
        _preload_content=False,
        _request_timeout=limits,
    )
    vars(api).pop("last_response", None)  # else it keeps the last body in memory
    return answer


def connection_text(error: Exception) -> str:
    """What the system says, in its own words: asyncio's begin with the name of its function."""
    cause = getattr(error, "os_error", None) or error
    code = getattr(cause, "errno", None)
    if isinstance(code, int) and code in errno.errorcode:
        return os.strerror(code).lower()
    return getattr(cause, "strerror", None) or type(cause).__name__
