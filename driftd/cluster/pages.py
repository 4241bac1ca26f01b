"""Where a paged list stands, and how far it may go."""

from __future__ import annotations

from driftd.cluster.limits import exceeded
from driftd.cluster.listing import ListMeta
from driftd.cluster.transport import Transport
from driftd.errors import ClusterError


class Pages:
    """Where a paged list stands."""

    def __init__(
        self,
        path: str,
        doing: str,
        limit: int,
        label_selector: str,
        version: str,
        transport: Transport,
    ) -> None:
        self.path = path
        self.doing = doing
        self._label = transport.access.label
        self._limits = transport.options.limits
        self._pages = self._bytes = 0
        self.ended = False
        self.resource_version = ""
        self._first = {"limit": str(limit)}
        if label_selector:
            self._first["labelSelector"] = label_selector
        self._version = {"resourceVersion": version} if version else {}
        self._token = ""

    def query(self) -> dict[str, str]:
        """What asks for the next page."""
        return self._first | ({"continue": self._token} if self._token else self._version)

    def count(self, size: int) -> None:
        """One more page of so many bytes. Raises ClusterError for more than is read."""
        self._pages += 1
        self._bytes += size
        if self._pages > self._limits.pages:
            raise exceeded(
                self._label, self.doing, f"it has more than {self._limits.pages} pages", "pages"
            )
        if self._bytes > self._limits.list:
            raise exceeded(
                self._label, self.doing, f"it has more than {self._limits.list} bytes", "list"
            )

    def smaller(self) -> bool:
        """Ask for a tenth of the objects from now on; False where it is one already."""
        limit = int(self._first["limit"])
        self._first["limit"] = str(max(1, limit // 10))
        return limit > 1

    def turn(self, metadata: ListMeta) -> None:
        """Go on after a page. Raises ClusterError where that leads to the same one."""
        self.resource_version = metadata.resource_version
        if metadata.next_page and metadata.next_page == self._token:
            what = "its next page is the same one again"
            raise ClusterError(
                f"{self._label}: cannot {self.doing}: {what}", reason="InvalidResponse"
            )
        self._token = metadata.next_page
        self.ended = not self._token

    def restart(self) -> None:
        """Begin again, with the state of now."""
        self._token, self._version = "", {}
