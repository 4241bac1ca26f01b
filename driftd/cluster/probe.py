"""Questions about a cluster itself, for `driftd doctor`. Only GET requests."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from driftd.cluster.discovery import display_name, resource_path
from driftd.cluster.reader import ApiResource
from driftd.cluster.transport import Transport


class ClusterProbe:
    """Asks what a look would ask, in the smallest way."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def may_list(self, resource: ApiResource, namespace: str = "") -> None:
        """Read at most one object of a kind, in one namespace or everywhere.

        Raises Forbidden if the credential may not, and any other ClusterError. A review
        (SelfSubjectAccessReview) would have to be created; a list of one object writes nothing.
        """
        place = f" in namespace {namespace}" if namespace else ""
        await self._transport.get(
            resource_path(resource, namespace),
            doing=f"list {display_name(resource)}{place}",
            query={"limit": "1"},
        )

    async def now(self) -> datetime | None:
        """The server's clock, to the second; None if it does not tell. Raises ClusterError."""
        response = await self._transport.get("/version", doing="read the server's clock")
        try:
            moment = parsedate_to_datetime(response.date)
        except ValueError:
            return None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
