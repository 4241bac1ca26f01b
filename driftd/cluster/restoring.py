"""Puts a whole object in the place of another one, because a person asks for it."""

from __future__ import annotations

from urllib.parse import quote

from driftd.cluster.discovery import display_name, resource_path
from driftd.cluster.reader import ApiResource
from driftd.cluster.transport import ApiStatus, Transport
from driftd.errors import ClusterError

_JSON = {"Accept": "application/json", "Content-Type": "application/json"}


class KubeRestorer:
    """Replaces and creates objects on one cluster; only `driftd restore` builds one."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def put(
        self, resource: ApiResource, namespace: str, name: str, body: bytes, *, dry_run: bool
    ) -> None:
        """Replace an object by `body`, whose resourceVersion must still be the live one.

        Raises ClusterError, with reason `Conflict` if it is not.
        """
        path = f"{resource_path(resource, namespace)}/{quote(name, safe='')}"
        await self._send("PUT", path, resource, namespace, name, body, dry_run=dry_run)

    async def create(
        self, resource: ApiResource, namespace: str, name: str, body: bytes, *, dry_run: bool
    ) -> None:
        """Make an object that is not there. Raises ClusterError."""
        path = resource_path(resource, namespace)
        await self._send("POST", path, resource, namespace, name, body, dry_run=dry_run)

    async def _send(
        self,
        method: str,
        path: str,
        resource: ApiResource,
        namespace: str,
        name: str,
        body: bytes,
        *,
        dry_run: bool,
    ) -> None:
        doing = f"restore {display_name(resource)} {f'{namespace}/' if namespace else ''}{name}"
        query = {"fieldManager": "driftd-restore", **({"dryRun": "All"} if dry_run else {})}
        response = await self._transport.send(
            method,
            path,
            doing=doing,
            query=query,
            headers=_JSON,
            body=body,
            answers=(400, 403, 404, 409, 422, 500),
        )
        if response.status < 400:
            return
        # The server's own words may quote what was sent; the reason is enough.
        reason = ApiStatus.of(response).reason or f"HTTP status {response.status}"
        raise ClusterError(
            f"{self._transport.access.label}: cannot {doing}: {reason}", reason=reason
        )
