"""`KubeCluster`: the ClusterReader over a real API server."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Collection
from functools import partial
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec

from driftd.aio import gather_isolated
from driftd.cluster import discovery, listing
from driftd.cluster.discovery import base_path, display_name, resource_path
from driftd.cluster.limits import DISCOVERY_BYTES, EXCEEDED, exceeded
from driftd.cluster.pages import Pages
from driftd.cluster.poison import UNPARSABLE
from driftd.cluster.reader import (
    ApiResource,
    Discovery,
    Listing,
    Note,
    Noted,
    OpenApiDocument,
    Scan,
    Select,
)
from driftd.cluster.scope import Scope
from driftd.cluster.transport import ApiStatus, Response, Transport
from driftd.errors import ClusterError, Forbidden, NotServed
from driftd.model.counts import counted
from driftd.model.resource import LiveObject, ResourceKey

PAGE_LIMIT = 500
DIRECT_NAMESPACES = 4
"""Up to so many namespaces are listed one by one; beyond that the whole cluster at once."""
NAMESPACE_LISTS = 8
"""Lists of single namespaces at the same time."""

Decoded = TypeVar("Decoded")


class KubeCluster:
    """Reads one cluster. It owns its transport: close it, or use it as a context manager."""

    def __init__(self, transport: Transport, *, page_limit: int = PAGE_LIMIT) -> None:
        self.transport = transport
        self.scope: Scope | None = None
        """What of the cluster may be read; None for all of it."""
        self._page_limit = page_limit
        self._schemas: dict[str, str] | None = None
        self._schemas_lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def name(self) -> str:
        """The context, cluster Secret or `in-cluster` that it was opened from."""
        return self.transport.access.name

    @property
    def server(self) -> str:
        """The API server's address."""
        return self.transport.access.server

    async def close(self) -> None:
        """Close its connections."""
        await self.transport.close()

    async def version(self) -> str:
        """The server's `gitVersion`."""
        response = await self.transport.get("/version", doing="read the server's version")
        return self._decode(response, "the server's version", _parse_version)

    async def identity(self) -> str:
        """What no other cluster has: the uid of the namespace kube-system. Empty without one.

        Raises Forbidden where it may not be read, whatever part of the cluster is opened.
        """
        doing = "get namespace kube-system"
        response = await self.transport.get(
            "/api/v1/namespaces/kube-system", doing=doing, answers=(404,)
        )
        if response.status == 404:
            return ""
        return self._decode(response, doing, listing.decode_item).metadata.uid

    # Discovery

    async def discover(self) -> Discovery:
        """Every served kind; what one broken group hides is named in `failed_groups`."""
        self._schemas = None
        roots = {"/api": discovery.core_versions, "/apis": discovery.group_versions}
        answers = await gather_isolated(
            lambda path: self._discover_root(path, roots[path]),
            roots,
            limit=len(roots),
            isolate=ClusterError,
        )
        resources: list[ApiResource] = []
        failed: dict[str, str] = {}
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
            resources.extend(answer[0])
            failed |= answer[1]
        return Discovery.of(resources, failed)

    async def _discover_root(
        self, path: str, versions_of: Callable[[bytes], list[str]]
    ) -> tuple[list[ApiResource], dict[str, str]]:
        response = await self.transport.get(
            path, doing=f"discover {path}", accept=discovery.ACCEPT_ANY, most=DISCOVERY_BYTES
        )
        if f"as={discovery.AGGREGATED}" in response.content_type:
            found = self._decode(response, f"discovery of {path}", discovery.aggregated_resources)
            self._require_few(len(found[0]), f"discover {path}")
            return found
        versions = self._decode(response, f"discovery of {path}", versions_of)
        self._require_few(len(versions), f"discover {path}")
        answers = await gather_isolated(
            self._discover_version, versions, limit=NAMESPACE_LISTS, isolate=ClusterError
        )
        resources: list[ApiResource] = []
        failed: dict[str, str] = {}
        for group_version, answer in zip(versions, answers, strict=True):
            if isinstance(answer, Exception):
                failed[group_version] = str(answer)
            else:
                resources.extend(answer)
        return resources, failed

    async def _discover_version(self, group_version: str) -> list[ApiResource]:
        doing = f"discover {group_version}"
        response = await self.transport.get(
            base_path(group_version), doing=doing, most=DISCOVERY_BYTES
        )
        parse = partial(discovery.listed_resources, group_version)
        found = self._decode(response, f"discovery of {group_version}", parse)
        self._require_few(len(found), doing)
        return found

    def _require_few(self, count: int, doing: str) -> None:
        limit = self.transport.options.limits.kinds
        if count > limit:
            what = f"there are {count} entries, more than {limit}"
            raise exceeded(self.transport.access.label, doing, what, "kinds")

    # Objects

    async def list(
        self,
        resource: ApiResource,
        namespaces: Collection[str] | None = None,
        select: Select | None = None,
        *,
        label_selector: str = "",
    ) -> Listing:
        """The objects that `select` keeps.

        Few namespaces are listed one by one, many by one list of the whole cluster; if
        that is forbidden, one by one too.
        """
        if not resource.listable:
            error = NotServed(
                f"{self.transport.access.label}: {display_name(resource)} cannot be listed"
            )
            return Listing((), {"": error}, complete=False)
        if self.scope is not None and resource.namespaced:
            return await self._list_opened(self.scope, resource, namespaces, select, label_selector)
        if namespaces is None or not resource.namespaced:
            return await self._list_one(resource, "", select, label_selector)
        wanted = frozenset(namespaces)
        if len(wanted) > DIRECT_NAMESPACES:
            everywhere = await self._list_one(resource, "", select, label_selector)
            if not isinstance(everywhere.errors.get(""), Forbidden):
                return everywhere
        return await self._list_each(resource, sorted(wanted), select, label_selector)

    async def list_place(
        self,
        resource: ApiResource,
        namespace: str = "",
        select: Select | None = None,
        *,
        label_selector: str = "",
        resource_version: str = "",
    ) -> Listing:
        """One list alone, of a namespace or of the whole cluster, with its resourceVersion.

        `resource_version` `0` takes what the server has in memory, which may be old.
        """
        return await self._list_one(
            resource, namespace, select, label_selector, resource_version=resource_version
        )

    async def _list_opened(
        self,
        scope: Scope,
        resource: ApiResource,
        namespaces: Collection[str] | None,
        select: Select | None,
        label_selector: str,
    ) -> Listing:
        """The lists of those wanted namespaces that the scope opens; the others are errors."""
        wanted = scope.namespaces if namespaces is None else frozenset(namespaces)
        opened = sorted(wanted & scope.namespaces)
        found = await self._list_each(resource, opened, select, label_selector)
        refused: dict[str, ClusterError] = {
            namespace: error
            for namespace in sorted(wanted - scope.namespaces)
            if (error := scope.refusal(resource, namespace)) is not None
        }
        return msgspec.structs.replace(
            found,
            errors={**found.errors, **refused},
            complete=found.complete and not refused,
            namespaces=wanted,
        )

    async def _list_each(
        self,
        resource: ApiResource,
        namespaces: Collection[str],
        select: Select | None,
        label_selector: str,
    ) -> Listing:
        async def one(namespace: str) -> Listing:
            return await self._list_one(resource, namespace, select, label_selector)

        parts = await gather_isolated(one, namespaces, limit=NAMESPACE_LISTS, isolate=ClusterError)
        objects: list[LiveObject] = []
        errors: dict[str, ClusterError] = {}
        for namespace, part in zip(namespaces, parts, strict=True):
            if isinstance(part, ClusterError):
                errors[namespace] = part
            elif isinstance(part, Listing):
                objects.extend(part.objects)
                errors |= part.errors
        return Listing(
            tuple(objects), errors, complete=not errors, namespaces=frozenset(namespaces)
        )

    async def _list_one(
        self,
        resource: ApiResource,
        namespace: str,
        select: Select | None,
        label_selector: str,
        *,
        resource_version: str = "",
    ) -> Listing:
        """All pages of one list. What was read before an error is kept: it does exist."""
        refused = self.scope.refusal(resource, namespace) if self.scope is not None else None
        if refused is not None:
            return Listing((), {namespace: refused}, complete=False)
        pages = self._pages(resource, namespace, label_selector, resource_version)
        # By key: a server that lists an object again and again does not fill the memory.
        objects: dict[ResourceKey, LiveObject] = {}

        def take(items: listing.Items) -> int:
            kept, unreadable = listing.live_objects(resource, items, select)
            objects.update((one.key, one) for one in kept)
            return unreadable

        error = await self._read_pages(pages, take, objects.clear)
        if error is not None:
            return Listing(tuple(objects.values()), {namespace: error}, complete=False)
        return Listing(tuple(objects.values()), resource_version=pages.resource_version)

    async def scan(
        self,
        resource: ApiResource,
        note: Note[Noted],
        *,
        namespace: str = "",
        label_selector: str = "",
    ) -> Scan[Noted]:
        """What `note` keeps of all objects of a kind, from their metadata alone.

        Of a cluster that is opened in part, that part is everything.
        """
        if self.scope is not None and not self.scope.opens(resource, namespace):
            spaces = sorted(self.scope.namespaces) if resource.namespaced and not namespace else ()
            parts = [
                await self.scan(resource, note, namespace=space, label_selector=label_selector)
                for space in spaces
            ]
            return Scan(
                tuple(one for part in parts for one in part.noted),
                next((part.error for part in parts if part.error is not None), None),
            )
        pages = self._pages(resource, namespace, label_selector)
        found: list[Noted] = []

        def take(items: listing.Items) -> int:
            kept, unreadable = listing.noted(resource, items, note)
            found.extend(kept)
            return unreadable

        error = await self._read_pages(pages, take, found.clear, listing.ACCEPT_METADATA)
        return Scan(tuple(found), error)

    def _pages(
        self, resource: ApiResource, namespace: str, label_selector: str, version: str = ""
    ) -> Pages:
        place = f" in namespace {namespace}" if namespace else ""
        return Pages(
            resource_path(resource, namespace),
            f"list {display_name(resource)}{place}",
            self._page_limit,
            label_selector,
            version,
            self.transport,
        )

    async def _read_pages(
        self,
        pages: Pages,
        take: Callable[[listing.Items], int],
        restart: Callable[[], None],
        accept: str = "application/json",
    ) -> ClusterError | None:
        """Give `take` the items of each page, and say what went wrong.

        `take` returns how many it could not read; `restart` forgets what it took.
        """
        broken = 0
        restarted = False
        try:
            while not pages.ended:
                try:
                    response = await self.transport.get(
                        pages.path,
                        doing=pages.doing,
                        query=pages.query(),
                        accept=accept,
                        answers=(410,),
                    )
                except ClusterError as error:
                    if error.reason == EXCEEDED and pages.smaller():
                        continue  # objects may be large
                    raise
                pages.count(len(response.body))
                if response.status == 410:
                    if restarted:
                        raise self.transport.refusal(response, pages.doing)
                    restarted = True
                    pages.restart()
                    restart()
                    broken = 0
                    continue
                page = self._decode(response, pages.doing, listing.decode_page)
                broken += take(page.items or [])
                pages.turn(page.metadata)
            if broken:
                # Told at the end: one bad object must not hide the pages after it.
                raise self._unreadable(f"{counted(broken, 'object')} of: {pages.doing}")
        except ClusterError as error:
            # Kept as a value: its frames would keep what had been read, up to the limit.
            error.__cause__ = error.__context__ = None
            return error.with_traceback(None)
        return None

    async def get(self, resource: ApiResource, namespace: str, name: str) -> LiveObject | None:
        """One object; `None` only if the server says that exactly this object is not there."""
        refused = self.scope.refusal(resource, namespace) if self.scope is not None else None
        if refused is not None:
            raise refused
        doing = f"get {display_name(resource)} {f'{namespace}/' if namespace else ''}{name}"
        path = f"{resource_path(resource, namespace)}/{quote(name, safe='')}"
        response = await self.transport.get(path, doing=doing, answers=(404,))
        if response.status == 404:
            status = ApiStatus.of(response)
            if status.reason == "NotFound" and status.details and status.details.name == name:
                return None
            raise self.transport.refusal(response, doing)
        item = self._decode(response, doing, listing.decode_item)
        if item.metadata.name != name or item.kind not in ("", resource.kind):
            raise self._unreadable(doing)
        return listing.live_object(resource, item, response.body)

    # Schemas

    async def openapi(self, group_version: str, *, known_hash: str = "") -> OpenApiDocument:
        """The OpenAPI v3 document; its list of hashes is read once after each `discover`."""
        urls = await self._schema_urls()
        url = urls.get(base_path(group_version).removeprefix("/"))
        doing = f"read the OpenAPI schema of {group_version}"
        if url is None:
            raise NotServed(
                f"{self.transport.access.label}: cannot {doing}: it publishes none",
                hint="objects of this version are compared without a schema",
            )
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        schema_hash = query.get("hash", "")
        if schema_hash and schema_hash == known_hash:
            return OpenApiDocument(group_version, schema_hash, None)
        response = await self.transport.get(parts.path, doing=doing, query=query)
        # The server redirects to the present content if the schema has changed meanwhile.
        schema_hash = dict(parse_qsl(urlsplit(response.url).query)).get("hash", "")
        if not schema_hash:
            schema_hash = hashlib.blake2b(response.body, digest_size=32).hexdigest()
        return OpenApiDocument(group_version, schema_hash, response.body)

    async def _schema_urls(self) -> dict[str, str]:
        async with self._schemas_lock:
            if self._schemas is None:
                response = await self.transport.get("/openapi/v3", doing="list OpenAPI schemas")
                self._schemas = self._decode(response, "list of OpenAPI schemas", _parse_schemas)
            return self._schemas

    def _decode(self, response: Response, what: str, parse: Callable[[bytes], Decoded]) -> Decoded:
        try:
            return parse(response.body)
        except UNPARSABLE as error:
            # The parser's text is left out: it may quote the document.
            raise self._unreadable(what) from error

    def _unreadable(self, what: str) -> ClusterError:
        return ClusterError(
            f"{self.transport.access.label}: {what}: the answer cannot be read",
            reason="InvalidResponse",
            hint="is this the address of a Kubernetes API server?",
        )


class _Version(msgspec.Struct, rename="camel"):
    git_version: str


class _SchemaUrl(msgspec.Struct, rename="camel"):
    server_relative_url: str = msgspec.field(name="serverRelativeURL")


class _SchemaIndex(msgspec.Struct):
    paths: dict[str, _SchemaUrl]


def _parse_version(body: bytes) -> str:
    return msgspec.json.decode(body, type=_Version).git_version


def _parse_schemas(body: bytes) -> dict[str, str]:
    index = msgspec.json.decode(body, type=_SchemaIndex)
    return {path: url.server_relative_url for path, url in index.paths.items()}
