"""Simulated API servers: recorded answers over real HTTP.

They answer what driftd asks: discovery, version, OpenAPI v3, lists in pages, single objects, the
refusals 400, 401, 403, 404 and 409, and the one server-side apply that was recorded; each is held
to a real API server by `tests/contract/test_recorded_api.py`. Everything else is 501, so that
nobody takes a guess of this module for the behaviour of Kubernetes.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Self

import orjson

from driftd.demo.recording import Json, RecordedList, Recording, State, address

if TYPE_CHECKING:
    from aiohttp import web

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_APPLY = "application/apply-patch+yaml"
_USER = "system:serviceaccount:driftd:driftd-detect"
_PAGING = frozenset({"limit", "continue"})


class _Refusal(Exception):
    """An answer that is a `Status` object."""

    def __init__(
        self, code: HTTPStatus, reason: str, message: str, details: Json | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            **({} if details is None else {"details": details}),
            "code": int(code),
        }


class SimulatedApiServer:
    """One recorded cluster on a free port of 127.0.0.1, as an asynchronous context manager.

    `state` may be replaced while it runs: `recording.before` at first.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.state: State = recording.before
        self.expected: State | None = None
        """What a server-side apply makes of `state`, once; without one every write is refused."""
        self.token = secrets.token_hex(16)
        self.server = ""
        self._runner: web.ServerRunner | None = None

    async def __aenter__(self) -> Self:
        from aiohttp import web

        self._runner = web.ServerRunner(web.Server(self._answer))
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.server = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        from aiohttp import web

        try:
            if request.method == "PATCH":
                return self._apply(request, await request.read())
            return self._route(request)
        except _Refusal as refusal:
            return web.Response(
                status=refusal.code,
                body=orjson.dumps(refusal.status) + b"\n",
                content_type="application/json",
            )

    def _route(self, request: web.BaseRequest) -> web.Response:
        self._authorize(request)
        query = dict(request.query)
        path = request.path
        if request.method != "GET":
            raise _unanswered(request)
        if path.startswith("/openapi/v3/"):
            return self._schema(request, path.removeprefix("/openapi/v3/"), query)
        if path == "/openapi/v3" and not query:
            return _plain(self._schema_index(), "text/plain; charset=utf-8")
        if path == "/version" and not query:
            return _plain(orjson.dumps(self.recording.version))
        if path in self.recording.discovery and not query:
            if _AGGREGATED not in request.headers.get("Accept", ""):
                raise _unanswered(request)
            return _plain(orjson.dumps(self.recording.discovery[path]), _AGGREGATED)
        return self._objects(request, query)

    def _authorize(self, request: web.BaseRequest) -> None:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            raise _Refusal(HTTPStatus.UNAUTHORIZED, "Unauthorized", "Unauthorized")

    # The recorded write

    def _apply(self, request: web.BaseRequest, body: bytes) -> web.Response:
        """Answer the apply of what leads from `state` to `expected`; any other is unanswered."""
        self._authorize(request)
        path, namespace, name = _parts(request.path)
        query = dict(request.query)
        dry_run = query.pop("dryRun", "") == "All"
        asked = (request.content_type, query.get("force"), set(query) - {"fieldManager", "force"})
        if self.expected is None or asked != (_APPLY, "true", set()):
            raise _unanswered(request)
        before = _found(self.state, path, namespace, name)
        after = _found(self.expected, path, namespace, name)
        declared = orjson.loads(body)
        # Items of lists do not say what they are; uid and version are conditions of the write.
        rest = {key: declared[key] for key in declared.keys() - {"apiVersion", "kind", "metadata"}}
        conditions = {
            key: declared["metadata"].pop(key, None) for key in ("uid", "resourceVersion")
        }
        if before is None or not _declares(rest | {"metadata": declared["metadata"]}, after):
            raise _unanswered(request)
        if not _declares(conditions, before["metadata"]):
            raise _conflict(path, name)
        if dry_run:
            version = before["metadata"]["resourceVersion"]
            after = {**after, "metadata": {**after["metadata"], "resourceVersion": version}}
        else:
            self.state, self.expected = self.expected, None
        kept = self.state.lists[path]
        return _plain(orjson.dumps({"kind": kept.kind, "apiVersion": kept.api_version} | after))

    # Schemas

    def _schema_index(self) -> bytes:
        return orjson.dumps(
            {
                "paths": {
                    path: {"serverRelativeURL": self._schema_url(path)}
                    for path in self.recording.schemas
                }
            }
        )

    def _schema_url(self, path: str) -> str:
        return f"/openapi/v3/{path}?hash={self.recording.schema_hashes[path]}"

    def _schema(
        self, request: web.BaseRequest, path: str, query: Mapping[str, str]
    ) -> web.Response:
        from aiohttp import web

        document = self.recording.schemas.get(path)
        if document is None or set(query) - {"hash"}:
            raise _unanswered(request)
        if query.get("hash", "") not in ("", self.recording.schema_hashes[path]):
            location = self._schema_url(path)
            return web.Response(status=HTTPStatus.MOVED_PERMANENTLY, headers={"Location": location})
        return _plain(document)

    # Objects

    def _objects(self, request: web.BaseRequest, query: Mapping[str, str]) -> web.Response:
        path, namespace, name = _parts(request.path)
        if path not in self.recording.namespaced or set(query) - _PAGING:
            raise _unanswered(request)
        namespaced = self.recording.namespaced[path]
        if (namespace and not namespaced) or (name and namespaced and not namespace):
            raise _unanswered(request)
        if path in self.recording.forbidden:
            raise _forbidden(path, namespace, name)
        recorded = self.state.lists.get(path)
        if recorded is None:
            raise _unanswered(request)
        if name:
            return _plain(_single(path, recorded, namespace, name))
        items = [item for item in recorded.items if namespace in ("", address(item)[0])]
        return _plain(_page(request, recorded, items, query))


def _found(state: State, path: str, namespace: str, name: str) -> Json:
    recorded = state.lists.get(path)
    items = () if recorded is None else recorded.items
    return next((item for item in items if address(item) == (namespace, name)), None)


def _declares(body: Json, live: Json) -> bool:
    """Whether `live` is as `body` says, in everything that it says."""
    if isinstance(body, dict) and isinstance(live, dict):
        return all(_declares(value, live.get(key)) for key, value in body.items())
    return bool(body == live)


def _conflict(path: str, name: str) -> _Refusal:
    group, plural = _group_and_plural(path)
    return _Refusal(
        HTTPStatus.CONFLICT,
        "Conflict",
        f'Operation cannot be fulfilled on {_qualified(group, plural)} "{name}": the object has '
        "been modified; please apply your changes to the latest version and try again",
        _details(group, plural, name),
    )


def _single(path: str, recorded: RecordedList, namespace: str, name: str) -> bytes:
    for item in recorded.items:
        if address(item) == (namespace, name):
            return orjson.dumps({"kind": recorded.kind, "apiVersion": recorded.api_version} | item)
    group, plural = _group_and_plural(path)
    raise _Refusal(
        HTTPStatus.NOT_FOUND,
        "NotFound",
        f'{_qualified(group, plural)} "{name}" not found',
        _details(group, plural, name),
    )


def _page(
    request: web.BaseRequest,
    recorded: RecordedList,
    items: list[Json],
    query: Mapping[str, str],
) -> bytes:
    limit = query.get("limit", "0")
    if not (limit.isascii() and limit.isdigit()):
        raise _unanswered(request)
    start = 0
    if query.get("continue"):
        version, after = _opened(query["continue"])
        if version != recorded.resource_version:
            raise _unanswered(request)
        start = sum(address(item) <= after for item in items)
    end = start + int(limit) if int(limit) else len(items)
    metadata: dict[str, Json] = {"resourceVersion": recorded.resource_version}
    if end < len(items):
        metadata["continue"] = _token(recorded.resource_version, address(items[end - 1]))
        metadata["remainingItemCount"] = len(items) - end
    return orjson.dumps(
        {
            "kind": f"{recorded.kind}List",
            "apiVersion": recorded.api_version,
            "metadata": metadata,
            "items": items[start:end],
        }
    )


def _token(version: str, last: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([version, *last])).decode().rstrip("=")


def _opened(token: str) -> tuple[str, tuple[str, str]]:
    """The resourceVersion and the last address of the page before."""
    try:
        padded = token + "=" * (-len(token) % 4)
        version, namespace, name = orjson.loads(base64.b64decode(padded, b"-_", validate=True))
    except (binascii.Error, ValueError) as error:
        raise _Refusal(
            HTTPStatus.BAD_REQUEST,
            "BadRequest",
            "invalid continue token: continue key is not valid",
        ) from error
    return version, (namespace, name)


def _parts(path: str) -> tuple[str, str, str]:
    """The list path of the kind, the namespace and the name that a path asks for.

    Paths of subresources and anything else become a list path that no kind has.
    """
    parts = path.strip("/").split("/")
    head = 3 if parts[0] == "apis" else 2
    base, rest = parts[:head], parts[head:]
    namespace = ""
    if len(rest) >= 3 and rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    if not 1 <= len(rest) <= 2:
        return "", "", ""
    return "/" + "/".join([*base, rest[0]]), namespace, rest[1] if len(rest) == 2 else ""


def _group_and_plural(path: str) -> tuple[str, str]:
    parts = path.strip("/").split("/")
    return (parts[1] if parts[0] == "apis" else ""), parts[-1]


def _forbidden(path: str, namespace: str, name: str) -> _Refusal:
    group, plural = _group_and_plural(path)
    what = f'{_qualified(group, plural)} "{name}"' if name else _qualified(group, plural)
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    verb = "get" if name else "list"
    return _Refusal(
        HTTPStatus.FORBIDDEN,
        "Forbidden",
        f'{what} is forbidden: User "{_USER}" cannot {verb} resource "{plural}" '
        f'in API group "{group}" {where}',
        _details(group, plural, name),
    )


def _qualified(group: str, plural: str) -> str:
    return f"{plural}.{group}" if group else plural


def _details(group: str, plural: str, name: str) -> Json:
    details = {"name": name, "group": group, "kind": plural}
    return {key: value for key, value in details.items() if value}


def _unanswered(request: web.BaseRequest) -> _Refusal:
    return _Refusal(
        HTTPStatus.NOT_IMPLEMENTED,
        "NotImplemented",
        f"this simulated API server has no recorded answer to {request.method} {request.path}",
    )


def _plain(body: bytes, content_type: str = "application/json") -> web.Response:
    from aiohttp import web

    return web.Response(body=body, headers={"Content-Type": content_type})
