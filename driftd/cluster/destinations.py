"""Which cluster an Application's destination means. Pure: no file, no request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from urllib.parse import urlsplit

import msgspec

from driftd.cluster.access import IN_CLUSTER_NAME
from driftd.cluster.clustersecret import HubCluster
from driftd.cluster.kubeconfig import OTHER_FILE, KubeContext, available
from driftd.errors import ConfigError
from driftd.model.application import Destination

IN_CLUSTER_SERVER = "https://kubernetes.default.svc"
DEFAULT_PORTS = {"https": 443, "http": 80}


class TargetKind(StrEnum):
    """Where the credentials of a target come from."""

    CONTEXT = "context"
    HUB_CLUSTER = "hub-cluster"
    IN_CLUSTER = "in-cluster"


class ClusterTarget(msgspec.Struct, frozen=True, order=True):
    """A cluster to open; equal targets are one cluster with one credential."""

    kind: TargetKind
    name: str
    """The context, the cluster Secret's cluster name, or `in-cluster`."""
    server: str = ""


class ClusterMapping(msgspec.Struct, frozen=True):
    """A destination, mapped."""

    target: ClusterTarget
    note: str
    """How it was mapped, for people: every mapping made is printed."""


def is_own_cluster(destination: Destination) -> bool:
    """Whether a destination is the cluster that Argo CD runs in, which any context may be."""
    if destination.server:
        return normalise_server(destination.server) == IN_CLUSTER_SERVER
    return destination.name == IN_CLUSTER_NAME


def normalise_server(server: str) -> str:
    """A server address in one spelling: case of scheme and host, default port, last slash."""
    parts = urlsplit(server.strip())
    if not parts.scheme or not parts.hostname:
        return server.strip().rstrip("/")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    try:
        port = parts.port
    except ValueError:
        return server.strip().rstrip("/")
    if port is not None and port != DEFAULT_PORTS.get(parts.scheme):
        host = f"{host}:{port}"
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}"


def resolve(
    destination: Destination,
    *,
    overrides: Mapping[str, str],
    own_context: str = "",
    hub_clusters: Sequence[HubCluster] = (),
    contexts: Sequence[KubeContext] = (),
    current_context: str = "",
    in_cluster: bool = False,
    hub_context: str = "",
    unfit: bool = False,
) -> ClusterMapping:
    """Map a destination to a cluster, in this order.

    `overrides` (`--cluster SERVER_OR_NAME=CONTEXT`), cluster Secrets of the hub, the
    kubeconfig cluster with exactly that server, the context named like
    `destination.name`. `https://kubernetes.default.svc` (Argo CD also calls it
    `in-cluster`) is `own_context` (`--context`), else the own cluster inside a Pod, else
    the hub, else the only context.

    `unfit` says that no context is known for any other destination either: then the remedy
    doubts the kubeconfig first.

    Raises ConfigError (reason `UnknownCluster` or `InvalidDestination`) with the remedy.
    """
    by_name = {context.name: context for context in contexts}
    wanted = _wanted(destination)
    server = normalise_server(destination.server) if destination.server else ""
    own = is_own_cluster(destination)

    override = _override(wanted, server, own, overrides)
    if override is not None:
        return _by_flag(wanted, override, by_name, f"--cluster {wanted}={override}")
    if own and own_context:
        return _by_flag(wanted, own_context, by_name, f"--context {own_context}")
    # Outside the hub, the address that its own Secret has for it leads nowhere.
    if not own or in_cluster:
        cluster = _hub_cluster(destination.name, server, hub_clusters)
        if cluster is not None:
            target = ClusterTarget(TargetKind.HUB_CLUSTER, cluster.name, cluster.server)
            return ClusterMapping(target, f"{wanted} is the hub's cluster {cluster.name}")
    if own:
        return _own_cluster(wanted, by_name, in_cluster=in_cluster, hub_context=hub_context)
    if server:
        mapping = _by_server(wanted, server, contexts, current_context)
    else:
        mapping = _by_context_name(destination.name, by_name)
    if mapping is None:
        raise _unknown(wanted, by_name, unfit=unfit)
    return mapping


def _wanted(destination: Destination) -> str:
    if destination.server and destination.name:
        raise ConfigError(
            f"destination has both server {destination.server!r} and name {destination.name!r}",
            reason="InvalidDestination",
            hint="keep one of them, as Argo CD demands",
        )
    if not destination.server and not destination.name:
        raise ConfigError(
            "destination has neither server nor name",
            reason="InvalidDestination",
            hint="set spec.destination.server or spec.destination.name",
        )
    return destination.server or destination.name


def _override(wanted: str, server: str, own: bool, overrides: Mapping[str, str]) -> str | None:
    for key, context in overrides.items():
        if key == wanted or (server and normalise_server(key) == server):
            return context
        if own and (key == IN_CLUSTER_NAME or normalise_server(key) == IN_CLUSTER_SERVER):
            return context
    return None


def _by_flag(
    wanted: str, name: str, by_name: Mapping[str, KubeContext], flag: str
) -> ClusterMapping:
    context = by_name.get(name)
    if context is None:
        raise ConfigError(
            f"{flag}: there is no context {name!r}",
            reason="UnknownCluster",
            hint=_available(by_name, name),
        )
    return ClusterMapping(_target(context), f"{wanted} is context {name} ({flag.split()[0]})")


def _hub_cluster(name: str, server: str, hub_clusters: Sequence[HubCluster]) -> HubCluster | None:
    found = [
        cluster
        for cluster in hub_clusters
        if (normalise_server(cluster.server) == server if server else cluster.name == name)
    ]
    if len({normalise_server(cluster.server) for cluster in found}) > 1:
        secrets = ", ".join(cluster.secret for cluster in found)
        raise ConfigError(
            f"destination name {name!r} is not unique: cluster Secrets {secrets}",
            reason="InvalidDestination",
            hint="name the cluster by destination.server",
        )
    return found[0] if found else None


def _own_cluster(
    wanted: str, by_name: Mapping[str, KubeContext], *, in_cluster: bool, hub_context: str
) -> ClusterMapping:
    if in_cluster:
        target = ClusterTarget(TargetKind.IN_CLUSTER, IN_CLUSTER_NAME)
        return ClusterMapping(target, f"{wanted} is the cluster that driftd runs in")
    if hub_context in by_name:
        context = by_name[hub_context]
        return ClusterMapping(_target(context), f"{wanted} is the hub, context {hub_context}")
    if len(by_name) == 1:
        (context,) = by_name.values()
        return ClusterMapping(
            _target(context), f"{wanted} is taken to be {context.name}, the only context"
        )
    raise ConfigError(
        f"destination {wanted} is the cluster that Argo CD runs in, which may be any of several "
        "contexts"
        if by_name
        else f"destination {wanted} has no context",
        reason="UnknownCluster",
        hint=_by_cluster_flag(wanted, by_name),
    )


def _by_server(
    wanted: str, server: str, contexts: Sequence[KubeContext], current_context: str
) -> ClusterMapping | None:
    found = [context for context in contexts if normalise_server(context.server) == server]
    if not found:
        return None
    context = next((one for one in found if one.name == current_context), found[0])
    others = f", one of {len(found)} contexts with this server" if len(found) > 1 else ""
    return ClusterMapping(_target(context), f"{wanted} is context {context.name}{others}")


def _by_context_name(name: str, by_name: Mapping[str, KubeContext]) -> ClusterMapping | None:
    context = by_name.get(name)
    if context is None:
        return None
    return ClusterMapping(_target(context), f"{name} is the context of that name")


def _target(context: KubeContext) -> ClusterTarget:
    return ClusterTarget(TargetKind.CONTEXT, context.name, context.server)


def _unknown(wanted: str, by_name: Mapping[str, KubeContext], *, unfit: bool) -> ConfigError:
    hint = _by_cluster_flag(wanted, by_name)
    if unfit and by_name:
        hint = f"{other_kubeconfig_flags(wanted)}; {_available(by_name, wanted)}"
    return ConfigError(
        f"no cluster is known for destination {wanted}", reason="UnknownCluster", hint=hint
    )


def other_kubeconfig_flags(wanted: str) -> str:
    """The remedy where a kubeconfig does not look like the one for a repository."""
    return (
        "choose another kubeconfig with --kubeconfig FILE, or, if it is the right one, name the "
        f"context with --cluster {wanted}=CONTEXT"
    )


def _by_cluster_flag(wanted: str, by_name: Mapping[str, KubeContext]) -> str:
    if not by_name:
        return _available(by_name)
    return f"say which one with --cluster {wanted}=CONTEXT; {_available(by_name, wanted)}"


def _available(by_name: Mapping[str, KubeContext], wanted: str = "") -> str:
    if by_name:
        return available(by_name.values(), wanted)
    return f"the kubeconfig has no contexts, {OTHER_FILE}"
