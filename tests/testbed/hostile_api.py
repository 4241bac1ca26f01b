"""API servers that lie, flood and never end, one below each path; a process of its own.

`python -m tests.testbed.hostile_api` prints its address, and serves until it is killed. An address
with the name of a behaviour behind it is a cluster that behaves so, and well otherwise.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

MEBIBYTE = 1024 * 1024
DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
KINDS = 1_000_000


def _resource(name: str, kind: str) -> dict[str, Any]:
    return {
        "resource": name,
        "responseKind": {"group": "", "version": "v1", "kind": kind},
        "scope": "Namespaced",
        "verbs": ["get", "list", "watch"],
    }


def _discovery(resources: list[dict[str, Any]]) -> bytes:
    versions = [{"version": "v1", "resources": resources, "freshness": "Current"}]
    items = [{"metadata": {}, "versions": versions}]
    document = {"kind": "APIGroupDiscoveryList", "metadata": {}, "items": items}
    return json.dumps(document).encode()


def _object(name: str, size: int = 0, **more: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": "shop", "uid": f"u-{name}", "resourceVersion": "5"}
    return {"metadata": meta, "data": {"filler": "x" * size}, **more}


def _list(*objects: dict[str, Any], token: str = "") -> dict[str, Any]:
    meta = {"resourceVersion": "7", **({"continue": token} if token else {})}
    return {"kind": "ConfigMapList", "apiVersion": "v1", "metadata": meta, "items": list(objects)}


async def _good(_request: web.Request) -> web.StreamResponse:
    return web.json_response(_list(_object("settings")))


async def _redirect(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound(f"http://localhost:{request.url.port}/stolen{request.path_qs}")


async def _flood(request: web.Request, piece: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    while True:
        await response.write(piece)


async def _endless_list(request: web.Request) -> web.StreamResponse:
    """Objects that are wanted, again and again, in one list that does not end."""
    one = json.dumps(_object("settings", 1000)).encode() + b","
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"kind":"ConfigMapList","metadata":{},"items":[')
    while True:
        await response.write(one * 500)


async def _endless_chunk(request: web.Request) -> web.StreamResponse:
    """One value that does not end."""
    return await _flood(request, b"x" * MEBIBYTE)


async def _dripping(request: web.Request) -> web.StreamResponse:
    """A byte now and then, for ever."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.1)


async def _endless_pages(request: web.Request) -> web.StreamResponse:
    """Always one more page, each with the wanted object once more."""
    number = int(request.query.get("continue") or 0) + 1
    found = _list(_object("settings", 200_000), token=str(number))
    return web.json_response(found)


async def _same_page(_request: web.Request) -> web.StreamResponse:
    return web.json_response(_list(_object("settings"), token="again"))


_BOMB = gzip.compress(b" " * (512 * MEBIBYTE), compresslevel=9)


async def _bomb(_request: web.Request) -> web.StreamResponse:
    """Half a megabyte that unpacks to 512 MiB."""
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    return web.Response(body=_BOMB, headers=headers)


async def _wrong_kinds(_request: web.Request) -> web.StreamResponse:
    wrong = _object("settings", kind="Secret", apiVersion="v1")
    return web.json_response(_list(wrong, _object("other")))


async def _slashes(_request: web.Request) -> web.StreamResponse:
    return web.json_response(_list(_object("../../secrets/x"), _object(".."), _object("")))


async def _status(_request: web.Request) -> web.StreamResponse:
    return web.json_response({"kind": "Status", "status": "Success"})


async def _backwards(request: web.Request) -> web.StreamResponse:
    """A watch whose resourceVersions go backwards, without end."""
    if "watch" not in request.query:
        return await _good(request)
    response = web.StreamResponse()
    await response.prepare(request)
    version = 1_000_000
    while True:
        version -= 1
        one = _object("settings")
        one["metadata"]["resourceVersion"] = str(version)
        line = json.dumps({"type": "MODIFIED", "object": one}).encode() + b"\n"
        await response.write(line)
        await asyncio.sleep(0.01)


async def _many_kinds(request: web.Request) -> web.StreamResponse:
    """A million kinds, in pieces."""
    response = web.StreamResponse(headers={"Content-Type": DISCOVERY})
    await response.prepare(request)
    head = _discovery([]).replace(b'"resources": []', b'"resources": [')
    start = head.index(b"[", head.index(b'"resources"')) + 1
    await response.write(head[:start])
    for number in range(0, KINDS, 1000):
        some = [_resource(f"k{number + i}s", f"K{number + i}") for i in range(1000)]
        await response.write(json.dumps(some)[1:-1].encode() + b",")
    return response


LISTS: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {
    "redirect": _redirect,
    "endless-list": _endless_list,
    "endless-chunk": _endless_chunk,
    "dripping": _dripping,
    "endless-pages": _endless_pages,
    "same-page": _same_page,
    "bomb": _bomb,
    "wrong-kinds": _wrong_kinds,
    "slashes": _slashes,
    "status": _status,
    "backwards": _backwards,
}
"""What the list of ConfigMaps is, by behaviour."""
BEHAVIOURS = (*LISTS, "many-kinds", "everything")


async def _serve(request: web.Request) -> web.StreamResponse:
    behaviour, _, path = request.path.lstrip("/").partition("/")
    if behaviour == "stolen":
        request.app["stolen"].append(request.headers.get("Authorization", ""))
        return web.json_response({})
    if path == "stolen":
        return web.json_response(request.app["stolen"])
    if behaviour == "everything":
        return await _endless_chunk(request)
    if path == "version":
        return web.json_response({"gitVersion": "v1.36.3"})
    if path in ("api", "apis"):
        if behaviour == "many-kinds":
            return await _many_kinds(request)
        found = [_resource("configmaps", "ConfigMap")] if path == "api" else []
        return web.Response(body=_discovery(found), headers={"Content-Type": DISCOVERY})
    if path == "openapi/v3":
        return web.json_response({"paths": {}})
    if path.endswith("configmaps"):
        return await LISTS.get(behaviour, _good)(request)
    missing = {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}
    return web.json_response(missing, status=404)


async def _run() -> None:
    app = web.Application()
    app["stolen"] = []
    app.router.add_route("*", "/{path:.*}", _serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"http://127.0.0.1:{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


@contextmanager
def hostile_api() -> Iterator[str]:
    """Start it as a process; its address."""
    command = [sys.executable, "-m", "tests.testbed.hostile_api"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(_run())
