"""The only way to ask Argo CD or Flux for a sync: two patches of their own objects, nothing else.

What is sent is made here, of fixed fields: no caller can patch anything else through it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import msgspec

from driftd.cluster.discovery import resource_path
from driftd.cluster.hub import APPLICATIONS
from driftd.cluster.operations import ARGO_SYNCS, FLUX, of_argo_cd, of_flux
from driftd.cluster.reader import ApiResource
from driftd.cluster.transport import Transport
from driftd.errors import NotServed
from driftd.model.application import Application
from driftd.model.resource import ResourceKey

ASKER: Final = "driftd"
"""Who started the operation, as Argo CD shows it."""
FIELD_MANAGER: Final = "driftd-ask"
"""Other than that of heals, which is Git's hand: what is asked for would be drift of the engine's
own object where Git declares that."""
REFRESH: Final = "argocd.argoproj.io/refresh"
SKIP_RECONCILE: Final = "argocd.argoproj.io/skip-reconcile"
REQUESTED_AT: Final = "reconcile.fluxcd.io/requestedAt"
_FAR: Final = datetime.max.replace(tzinfo=UTC)
_MERGE: Final = "application/merge-patch+json"
_FAILED: Final = frozenset({"Failed", "Error"})


class Engines:
    """Asks the engines whose objects one cluster holds."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def sync(
        self, application: Application, objects: Sequence[ResourceKey], now: str, *, stuck: bool
    ) -> str:
        """Ask the engine of an application to put objects back; why it was not asked, else empty.

        `now` is the time in RFC 3339; `stuck` says that the drift has been there for so long that
        an engine that heals by itself does not. Raises ClusterError.
        """
        if application.flux is not None:
            return await self._flux(application, now)
        return await self._argo_cd(application, objects, stuck=stuck)

    async def _argo_cd(
        self, application: Application, objects: Sequence[ResourceKey], *, stuck: bool
    ) -> str:
        path = _path(APPLICATIONS, application.namespace, application.name)
        live = await self._read(path, application.qualified_name)
        if live is None:
            return "there is no such Application on the hub"
        document = msgspec.json.decode(live)
        spec, status = _table(document, "spec"), _table(document, "status")
        metadata = _table(document, "metadata")
        if metadata.get("deletionTimestamp"):
            return "the Application is being deleted"
        if _table(metadata, "annotations").get(SKIP_RECONCILE) == "true":
            return f"Argo CD does not reconcile it ({SKIP_RECONCILE})"
        # Whatever ended before counts for nothing: only what runs now is left alone.
        if of_argo_cd(live, _FAR):
            return f"{ARGO_SYNCS} already"
        synced, state = _table(status, "sync"), _table(status, "operationState")
        policy = _table(spec, "syncPolicy")
        automated = _table(policy, "automated")
        heals = automated.get("enabled") is not False and automated.get("selfHeal") is True
        if heals and not stuck and state.get("phase") not in _FAILED:
            return "Argo CD heals it by itself"
        revision, revisions = synced.get("revision"), synced.get("revisions")
        if not (revision or revisions):
            return "Argo CD has never compared it"
        sync: dict[str, Any] = {
            "prune": False,
            "resources": [
                {
                    "group": key.group,
                    "kind": key.kind,
                    "namespace": key.namespace,
                    "name": key.name,
                }
                for key in objects
            ],
        }
        sync |= {"revisions": revisions} if revisions else {"revision": revision}
        if isinstance(options := policy.get("syncOptions"), list):
            sync["syncOptions"] = options
        body = {
            "metadata": {
                "resourceVersion": metadata.get("resourceVersion"),
                "annotations": {REFRESH: "normal"},
            },
            "operation": {
                "initiatedBy": {"username": ASKER},
                "info": [{"name": "Reason", "value": "driftd found drift"}],
                "sync": sync,
            },
        }
        return await self._patch(path, application, body)

    async def _flux(self, application: Application, now: str) -> str:
        assert application.flux is not None  # noqa: S101 - the caller has seen it
        name = application.flux.object_name
        for resource in FLUX[application.flux.kind]:
            path = _path(resource, application.namespace, name)
            try:
                live = await self._read(path, application.qualified_name)
            except NotServed:
                continue
            if live is None:
                continue
            document = msgspec.json.decode(live)
            if _table(document, "spec").get("suspend") is True:
                return "Flux is suspended"
            if of_flux(live):
                return "Flux reconciles the application already"
            metadata = _table(document, "metadata")
            body = {
                "metadata": {
                    "resourceVersion": metadata.get("resourceVersion"),
                    "annotations": {REQUESTED_AT: now},
                }
            }
            return await self._patch(path, application, body)
        return f"there is no such {application.flux.kind}"

    async def _read(self, path: str, name: str) -> bytes | None:
        response = await self._transport.send("GET", path, doing=f"read {name}", answers=(404,))
        return None if response.status == 404 else response.body

    async def _patch(self, path: str, application: Application, body: Mapping[str, Any]) -> str:
        doing = f"ask for a sync of {application.qualified_name}"
        response = await self._transport.send(
            "PATCH",
            path,
            doing=doing,
            query={"fieldManager": FIELD_MANAGER},
            headers={"Accept": "application/json", "Content-Type": _MERGE},
            body=msgspec.json.encode(body),
            answers=(409,),
        )
        return "somebody changed it meanwhile" if response.status == 409 else ""


def _path(resource: ApiResource, namespace: str, name: str) -> str:
    return f"{resource_path(resource, namespace)}/{quote(name, safe='')}"


def _table(document: Any, key: str) -> dict[str, Any]:
    found = document.get(key) if isinstance(document, dict) else None
    return found if isinstance(found, dict) else {}
