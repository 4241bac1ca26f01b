"""The only ways to change managed objects: apply and patch. Detect-only runs never build one."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol
from urllib.parse import quote

import msgspec

from driftd.cluster import listing
from driftd.cluster.discovery import display_name, resource_path
from driftd.cluster.reader import ApiResource
from driftd.cluster.transport import APPLY_TYPE, PATCH_TYPE, ApiStatus, Response, Transport
from driftd.errors import ClusterError, ServerFailed
from driftd.model.resource import LiveObject

_REFUSALS = (400, 403, 500)
"""More statuses with which an API server or its admission refuses an object."""


_TEST_FAILED = b"the server rejected our request due to an error in our request"
"""All that API servers say of a JSON patch that does not fit the object, or whose test fails."""


class ClusterWriter(Protocol):
    """Writes to one cluster."""

    async def apply(
        self,
        resource: ApiResource,
        namespace: str,
        name: str,
        body: bytes,
        *,
        field_manager: str,
        force: bool,
        dry_run: bool,
        quoted: Collection[bytes] = (),
    ) -> LiveObject:
        """Apply the whole declared object `body` (JSON) and return what it became.

        `force` takes fields over from other managers; without it a conflict raises
        ClusterError with reason `Conflict`. `dry_run` changes nothing. `quoted` are
        further objects (JSON), such as the live one, whose sensitive values no error may tell.
        """
        ...

    async def patch(
        self,
        resource: ApiResource,
        namespace: str,
        name: str,
        operations: bytes,
        *,
        field_manager: str,
        dry_run: bool,
        quoted: Collection[bytes] = (),
    ) -> LiveObject:
        """Apply a JSON patch (RFC 6902) to an object and return what it became.

        Raises ClusterError with reason `Conflict` when one of its tests does not hold.
        """
        ...


class KubeWriter:
    """ClusterWriter over a real API server; it shares its cluster's transport."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def apply(
        self,
        resource: ApiResource,
        namespace: str,
        name: str,
        body: bytes,
        *,
        field_manager: str,
        force: bool,
        dry_run: bool,
        quoted: Collection[bytes] = (),
    ) -> LiveObject:
        """Server-side apply. After a lost answer (Unreachable) the object has to be read again."""
        query = {"fieldManager": field_manager, "force": "true" if force else "false"}
        return await self._send(
            resource, namespace, name, body, query, APPLY_TYPE, quoted, dry_run=dry_run
        )

    async def patch(
        self,
        resource: ApiResource,
        namespace: str,
        name: str,
        operations: bytes,
        *,
        field_manager: str,
        dry_run: bool,
        quoted: Collection[bytes] = (),
    ) -> LiveObject:
        """JSON patch. After a lost answer (Unreachable) the object has to be read again."""
        query = {"fieldManager": field_manager}
        return await self._send(
            resource, namespace, name, operations, query, PATCH_TYPE, quoted, dry_run=dry_run
        )

    async def _send(
        self,
        resource: ApiResource,
        namespace: str,
        name: str,
        body: bytes,
        query: dict[str, str],
        content_type: str,
        quoted: Collection[bytes],
        *,
        dry_run: bool,
    ) -> LiveObject:
        verb = "apply" if content_type == APPLY_TYPE else "patch"
        doing = f"{verb} {display_name(resource)} {f'{namespace}/' if namespace else ''}{name}"
        response = await self._transport.send(
            "PATCH",
            f"{resource_path(resource, namespace)}/{quote(name, safe='')}",
            doing=doing,
            query={**query, **({"dryRun": "All"} if dry_run else {})},
            headers={"Accept": "application/json", "Content-Type": content_type},
            body=body,
            # Every refusal of a Secret is told here: the server's text may quote its values.
            answers=(409, 422, *(_REFUSALS if _is_secret(resource) else ())),
            quoted=quoted,
        )
        if response.status >= 400:
            if content_type == PATCH_TYPE and _test_failed(response):
                raise ClusterError(
                    f"{self._transport.access.label}: cannot {doing}: "
                    "the object is no longer the one that was looked at",
                    reason="Conflict",
                )
            raise self._rejected(resource, response, doing, (body, *quoted))
        try:
            item = listing.decode_item(response.body)
        except msgspec.MsgspecError as error:
            raise ClusterError(
                f"{self._transport.access.label}: {doing}: the answer cannot be read",
                reason="InvalidResponse",
            ) from error
        return listing.live_object(resource, item, response.body)

    def _rejected(
        self, resource: ApiResource, response: Response, doing: str, sent: Collection[bytes]
    ) -> ClusterError:
        if _is_secret(resource):
            status = ApiStatus.of(response)
            reason = status.reason or (
                "Invalid" if response.status == 422 else f"HTTP status {response.status}"
            )
            refused = ServerFailed if response.status >= 500 else ClusterError
            label = self._transport.access.label
            return refused(f"{label}: cannot {doing}: {reason}", reason=reason)
        return self._transport.refusal(response, doing, sent=sent)


def _test_failed(response: Response) -> bool:
    """Whether a `test` of a JSON patch did not hold: a patch that fits begins with tests."""
    return response.status == 422 and _TEST_FAILED in response.body


def _is_secret(resource: ApiResource) -> bool:
    return resource.group == "" and resource.kind == "Secret"
