"""Changes to the rarer fields of Pod templates."""

from __future__ import annotations

from tests.e2e.changes import (
    DECLARED,
    PODS,
    UNDECLARED,
    Catalogue,
    Made,
    Subject,
    append,
    put,
    remove,
)

CHANGES = Catalogue()
change = CHANGES.change


@change(*PODS)
def links_disabled(s: Subject) -> Made | None:
    """No variables about Services."""
    return put(s, f"{s.template}/spec/enableServiceLinks", False)


@change(*PODS)
def processes_shared(s: Subject) -> Made | None:
    """Containers see each other's processes."""
    return put(s, f"{s.template}/spec/shareProcessNamespace", True)


@change(*PODS)
def scheduler_changed(s: Subject) -> Made | None:
    """Another scheduler."""
    return put(s, f"{s.template}/spec/schedulerName", "volcano")


@change(*PODS)
def resolution_changed(s: Subject) -> Made | None:
    """Another resolver."""
    return put(s, f"{s.template}/spec/dnsPolicy", "Default")


@change(*PODS)
def host_alias_added(s: Subject) -> Made:
    """A name that points elsewhere."""
    item = {"ip": "203.0.113.9", "hostnames": ["registry.example.com"]}
    return append(s, f"{s.template}/spec/hostAliases", item)


@change(*PODS)
def pull_secret_added(s: Subject) -> Made:
    """Credentials for images."""
    return append(s, f"{s.template}/spec/imagePullSecrets", {"name": "robot"})


@change(*PODS)
def token_mounted(s: Subject) -> Made | None:
    """Pods get a token, or none."""
    path = f"{s.template}/spec/automountServiceAccountToken"
    return put(s, path, not s.at(path))


@change(*PODS)
def affinity_set(s: Subject) -> Made | None:
    """Pods keep away from each other."""
    path = f"{s.template}/spec/affinity/nodeAffinity"
    term = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}
    wanted = {
        "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": term}]
    }
    if s.at(f"{s.template}/spec/affinity") is None:
        path = f"{s.template}/spec/affinity"
        return put(s, path, {"nodeAffinity": wanted})
    return put(s, path, wanted)


@change(*PODS)
def container_port_added(s: Subject) -> Made:
    """One more port of a container."""
    return append(s, f"{s.container()}/ports", {"containerPort": 6060, "name": "debug"})


@change(*PODS)
def terminal_attached(s: Subject) -> Made | None:
    """A terminal."""
    return put(s, f"{s.container()}/tty", True)


@change(*PODS)
def folder_changed(s: Subject) -> Made | None:
    """Another working directory."""
    return put(s, f"{s.container()}/workingDir", "/tmp")


@change(*PODS)
def messages_from_logs(s: Subject) -> Made | None:
    """A default of every container."""
    return put(s, f"{s.container()}/terminationMessagePolicy", "FallbackToLogsOnError")


@change(*PODS)
def probe_removed(s: Subject) -> Made | None:
    """Pods count as ready at once."""
    container = s.container("readinessProbe")
    return remove(s, f"{container}/readinessProbe") if container else None


@change(*PODS)
def probe_added(s: Subject) -> Made | None:
    """Pods restart when they do not answer."""
    container = s.container()
    if s.at(f"{container}/livenessProbe") is not None:
        return None
    return put(s, f"{container}/livenessProbe", {"tcpSocket": {"port": 8080}})


@change(*PODS)
def variable_from_secret(s: Subject) -> Made | None:
    """A plain value comes from a Secret now."""
    container = s.container("env")
    for index, variable in enumerate(s.at(f"{container}/env") or ()):
        if "value" in variable:
            path = f"{container}/env/{index}"
            source = {"secretKeyRef": {"name": "stolen", "key": "x"}}
            item = {"name": variable["name"], "valueFrom": source}
            operation = {"op": "replace", "path": path, "value": item}
            # The value is gone without a trace; its new source has an owner.
            return Made(
                paths=(f"{path}/value",),
                also=(f"{path}/valueFrom",),
                change_class=DECLARED,
                operations=(operation,),
            )
    return None


@change(*PODS)
def container_renamed(s: Subject) -> Made | None:
    """The same container under another name: the item's key."""
    if len(s.pod["containers"]) != 1:
        return None
    path = f"{s.template}/spec/containers/0"
    operation = {"op": "replace", "path": f"{path}/name", "value": "renamed"}
    return Made(paths=(path,), change_class=DECLARED, operations=(operation,))


@change("Deployment", "StatefulSet")
def history_limit_changed(s: Subject) -> Made | None:
    """Fewer revisions are kept."""
    return put(s, "/spec/revisionHistoryLimit", 1)


@change("Deployment", "StatefulSet", "DaemonSet")
def minimum_ready_time_set(s: Subject) -> Made | None:
    """Pods must be ready for a while."""
    return put(s, "/spec/minReadySeconds", 2)


@change("Deployment")
def strategy_recreate(s: Subject) -> Made | None:
    """All Pods end before new ones start."""
    if s.at("/spec/strategy/type") != "RollingUpdate" or s.declares("/spec/strategy"):
        return None
    operation = {"op": "replace", "path": "/spec/strategy", "value": {"type": "Recreate"}}
    return Made(paths=("/spec/strategy/type",), change_class=UNDECLARED, operations=(operation,))


@change("StatefulSet")
def updates_on_delete(s: Subject) -> Made | None:
    """Pods keep their old template."""
    operation = {"op": "replace", "path": "/spec/updateStrategy", "value": {"type": "OnDelete"}}
    return Made(
        paths=("/spec/updateStrategy/type",), change_class=UNDECLARED, operations=(operation,)
    )


@change("CronJob")
def concurrency_allowed(s: Subject) -> Made | None:
    """Runs may overlap."""
    return put(s, "/spec/concurrencyPolicy", "Allow")


@change("CronJob")
def time_zone_removed(s: Subject) -> Made | None:
    """The schedule is in the controller's time zone."""
    return remove(s, "/spec/timeZone")


@change("Job")
def parallelism_raised(s: Subject) -> Made | None:
    """More Pods at a time."""
    return put(s, "/spec/parallelism", 3)
