"""Questions about what an API server would make of an object: dry runs, and nothing else.

Each request carries `dryRun=All`, added in one place that no caller reaches around: admission
runs, the answer is the object as it would be stored, and nothing is. An API server asks for the
same rights as for the real write, so this client exists only where somebody has opted in.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Protocol
from urllib.parse import quote

from driftd.cluster.discovery import display_name, resource_path
from driftd.cluster.reader import ApiResource
from driftd.cluster.transport import APPLY_TYPE, ApiStatus, Response, Transport
from driftd.errors import ClusterError

_JSON: Final = "application/json"
# Every JSON text is YAML, and the client library would encode a body of type JSON again.
_YAML: Final = "application/yaml; charset=utf-8"


class DryRun(StrEnum):
    """The request by which an API server is asked."""

    POST = "post"
    """Create the object under another name: what it would be if it were new."""
    PUT = "put"
    """Replace the live object: what it would be if it were exactly Git's."""
    APPLY = "apply"
    """Apply server-side with force: what the deployer's next apply would leave."""

    @property
    def verb(self) -> str:
        """The right that it takes."""
        return {"post": "create", "put": "update", "apply": "patch"}[self.value]


class Oracle(Protocol):
    """Answers what a cluster would make of an object."""

    async def ask(
        self,
        how: DryRun,
        resource: ApiResource,
        namespace: str,
        name: str,
        body: bytes,
        *,
        manager: str = "driftd",
    ) -> bytes:
        """The object (JSON) as it would be stored. `body` has the name that is asked about.

        `manager` is the field manager that asks: what an apply leaves depends on it. Raises
        ClusterError: refused (by rights, admission or validation), conflict, unreachable.
        """
        ...


class KubeOracle:
    """Oracle over a real API server; it shares its cluster's transport."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def ask(
        self,
        how: DryRun,
        resource: ApiResource,
        namespace: str,
        name: str,
        body: bytes,
        *,
        manager: str = "driftd",
    ) -> bytes:
        """See `Oracle`."""
        place = resource_path(resource, namespace)
        method, path, content = {
            DryRun.POST: ("POST", place, _YAML),
            DryRun.PUT: ("PUT", f"{place}/{quote(name, safe='')}", _YAML),
            DryRun.APPLY: ("PATCH", f"{place}/{quote(name, safe='')}", APPLY_TYPE),
        }[how]
        force = {"force": "true"} if how is DryRun.APPLY else {}
        where = f"{f'{namespace}/' if namespace else ''}{name}"
        doing = f"{how.verb} (dry run) {display_name(resource)} {where}"
        secret = resource.group == "" and resource.kind == "Secret"
        response = await self._transport.send(
            method,
            path,
            doing=doing,
            query={"fieldManager": manager, **force, "dryRun": "All"},
            headers={"Accept": _JSON, "Content-Type": content},
            body=body,
            # Every refusal of a Secret is told here: the server's text may quote its values.
            answers=range(400, 600) if secret else (),
        )
        if response.status >= 400:
            raise self._without_text(response, doing)
        return response.body

    def _without_text(self, response: Response, doing: str) -> ClusterError:
        reason = ApiStatus.of(response).reason or f"HTTP status {response.status}"
        return ClusterError(
            f"{self._transport.access.label}: cannot {doing}: {reason}", reason=reason
        )
