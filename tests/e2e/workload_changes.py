"""Changes to workloads and their Pod templates."""

from __future__ import annotations

from tests.e2e.changes import (
    DECLARED,
    PODS,
    REVIEW,
    UNDECLARED,
    Catalogue,
    Made,
    Subject,
    append,
    append_whole,
    entry,
    put,
    remove,
)
from tests.e2e.edits import Kubectl

CHANGES = Catalogue()
change = CHANGES.change

ROLLED = ("Deployment", "StatefulSet", "DaemonSet")
SCALED = ("Deployment", "StatefulSet")
EVIL = "registry.example.net/miner:latest"


@change(*PODS)
def image_changed(s: Subject) -> Made | None:
    """Another image."""
    return put(s, f"{s.container()}/image", EVIL)


@change(*ROLLED)
def image_set_by_kubectl(s: Subject) -> Made:
    """`kubectl set image`."""
    container = s.container()
    name = s.at(f"{container}/name")
    return Made(
        paths=(f"{container}/image",),
        change_class=DECLARED,
        edit=Kubectl(("set", "image", "{}", f"{name}={EVIL}")),
        manager="kubectl-set",
    )


@change(*PODS)
def environment_added(s: Subject) -> Made:
    """A new variable in a container."""
    return append(s, f"{s.container()}/env", {"name": "DEBUG", "value": "1"})


@change(*ROLLED)
def environment_set_by_kubectl(s: Subject) -> Made:
    """`kubectl set env`, which reaches every container."""
    containers = s.pod["containers"]
    lists = [f"{s.template}/spec/containers/{index}/env" for index in range(len(containers))]
    places = tuple(f"{path}/{len(s.at(path))}" if s.at(path) else path for path in lists)
    return Made(
        paths=places,
        change_class=UNDECLARED,
        edit=Kubectl(("set", "env", "{}", "FEATURE_X=on")),
        manager="kubectl-set",
    )


@change(*PODS)
def environment_changed(s: Subject) -> Made | None:
    """Another value of a declared variable."""
    container = s.container("env")
    variables = s.at(f"{container}/env") or ()
    plain = [index for index, variable in enumerate(variables) if "value" in variable]
    return put(s, f"{container}/env/{s.rng.choice(plain)}/value", "other") if plain else None


@change(*PODS)
def environment_removed(s: Subject) -> Made | None:
    """A declared variable is gone."""
    container = s.container("env")
    variables = s.at(f"{container}/env") or ()
    if len(variables) == 1:
        return remove(s, f"{container}/env")
    return remove(s, f"{container}/env/{s.rng.randrange(len(variables))}") if variables else None


@change(*PODS)
def environment_reordered(s: Subject) -> Made | None:
    """The same variables the other way round: `$(NAME)` refers to earlier ones."""
    path = f"{s.container('env')}/env"
    variables = s.at(path) or []
    if len(variables) < 2:
        return None
    operation = {"op": "replace", "path": path, "value": variables[::-1]}
    return Made(paths=(path,), change_class=DECLARED, operations=(operation,), traced=False)


@change(*PODS)
def environment_from_added(s: Subject) -> Made:
    """All keys of another ConfigMap become variables."""
    return append_whole(s, f"{s.container()}/envFrom", {"configMapRef": {"name": "extra"}})


@change(*SCALED)
def replicas_updated(s: Subject) -> Made | None:
    """Other replicas by an update."""
    return None if s.autoscaled else put(s, "/spec/replicas", s.live["spec"]["replicas"] + 1)


@change(*SCALED)
def replicas_scaled(s: Subject) -> Made | None:
    """`kubectl scale`, which writes through the subresource."""
    if s.autoscaled:
        return None
    return Made(
        paths=("/spec/replicas",),
        change_class=DECLARED if s.declares("/spec/replicas") else UNDECLARED,
        edit=Kubectl(("scale", "{}", f"--replicas={s.live['spec']['replicas'] + 2}")),
        manager="kubectl",
    )


@change(*PODS)
def container_added(s: Subject) -> Made:
    """A container beside the declared ones."""
    return append(s, f"{s.template}/spec/containers", {"name": "sidecar", "image": EVIL})


@change(*PODS)
def init_container_added(s: Subject) -> Made:
    """A container that runs first."""
    return append(s, f"{s.template}/spec/initContainers", {"name": "setup", "image": EVIL})


@change(*PODS)
def volume_added(s: Subject) -> Made:
    """A volume that nothing mounts yet."""
    return append(s, f"{s.template}/spec/volumes", {"name": "scratch", "emptyDir": {}})


@change(*PODS)
def mount_added(s: Subject) -> Made | None:
    """A volume is mounted at one more place."""
    volumes = s.pod.get("volumes")
    if not volumes:
        return None
    mount = {"name": volumes[0]["name"], "mountPath": "/mnt/again", "readOnly": True}
    return append(s, f"{s.container()}/volumeMounts", mount)


@change(*PODS)
def volume_source_changed(s: Subject) -> Made | None:
    """A volume shows another ConfigMap."""
    for index, volume in enumerate(s.pod.get("volumes", ())):
        if "configMap" in volume:
            return put(s, f"{s.template}/spec/volumes/{index}/configMap/name", "other-config")
    return None


@change(*PODS)
def template_label_added(s: Subject) -> Made | None:
    """A label on the Pods."""
    return entry(s, f"{s.template}/metadata/labels", "traffic", "canary")


@change(*PODS)
def template_annotation_added(s: Subject) -> Made | None:
    """An annotation on the Pods."""
    return entry(s, f"{s.template}/metadata/annotations", "sidecar.example.com/inject", "true")


@change(*ROLLED)
def restarted(s: Subject) -> Made:
    """`kubectl rollout restart`: worth a look, no drift."""
    stamp = "kubectl.kubernetes.io~1restartedAt"
    return Made(
        paths=(f"{s.template}/metadata/annotations/{stamp}",),
        change_class=REVIEW,
        edit=Kubectl(("rollout", "restart", "{}")),
        manager="kubectl-rollout",
    )


@change(*PODS)
def limit_changed(s: Subject) -> Made | None:
    """More memory than Git allows."""
    container = s.container("resources")
    return put(s, f"{container}/resources/limits/memory", "3Gi") if container else None


@change(*PODS)
def limit_removed(s: Subject) -> Made | None:
    """No limit of memory any more."""
    container = s.container("resources")
    return remove(s, f"{container}/resources/limits/memory") if container else None


@change(*PODS)
def argument_added(s: Subject) -> Made:
    """One more argument."""
    return append_whole(s, f"{s.container()}/args", "--insecure")


@change(*PODS)
def command_added(s: Subject) -> Made | None:
    """Another program of the same image."""
    path = f"{s.container()}/command"
    return put(s, path, ["/bin/sh", "-c", "sleep 1d"])


@change(*PODS)
def host_network(s: Subject) -> Made | None:
    """Pods on the node's network."""
    return put(s, f"{s.template}/spec/hostNetwork", True)


@change(*PODS)
def run_as_user(s: Subject) -> Made | None:
    """Pods run as another user."""
    context = f"{s.template}/spec/securityContext"
    return put(s, f"{context}/runAsUser", 4711) if s.at(context) is not None else None


@change(*PODS)
def privileged_container(s: Subject) -> Made | None:
    """A container that owns the node."""
    path = f"{s.container()}/securityContext"
    return put(s, path, {"privileged": True}) if s.at(path) is None else None


@change(*PODS)
def toleration_added(s: Subject) -> Made:
    """Pods may run on more nodes."""
    item = {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}
    return append_whole(s, f"{s.template}/spec/tolerations", item)


@change(*PODS)
def node_selector_added(s: Subject) -> Made | None:
    """Pods may run on fewer nodes."""
    path = f"{s.template}/spec/nodeSelector"
    if s.at(path) is None:
        return put(s, path, {"kubernetes.io/hostname": "node-1"})
    return entry(s, path, "kubernetes.io/hostname", "node-1")


@change(*PODS)
def pull_policy_changed(s: Subject) -> Made | None:
    """A default that Git leaves to the server."""
    return put(s, f"{s.container()}/imagePullPolicy", "Always")


@change(*PODS)
def probe_relaxed(s: Subject) -> Made | None:
    """A default inside a declared probe."""
    container = s.container("readinessProbe")
    return put(s, f"{container}/readinessProbe/timeoutSeconds", 55) if container else None


@change(*PODS)
def grace_period_changed(s: Subject) -> Made | None:
    """Pods are killed at once."""
    return put(s, f"{s.template}/spec/terminationGracePeriodSeconds", 1)


@change(*PODS)
def service_account_changed(s: Subject) -> Made | None:
    """Pods get other rights; the server keeps the old spelling of the field too."""
    spec = f"{s.template}/spec"
    return put(s, f"{spec}/serviceAccountName", "builder", also=(f"{spec}/serviceAccount",))


@change(*PODS)
def hook_added(s: Subject) -> Made | None:
    """A command before a container stops."""
    path = f"{s.container()}/lifecycle"
    return put(s, path, {"preStop": {"exec": {"command": ["/bin/true"]}}})


@change("Deployment")
def rollout_paused(s: Subject) -> Made | None:
    """No rollout any more."""
    return put(s, "/spec/paused", True)


@change("Deployment")
def surge_changed(s: Subject) -> Made | None:
    """Rollouts in other steps."""
    path = "/spec/strategy/rollingUpdate/maxUnavailable"
    return put(s, path, "60%") if s.at(path) is not None else None


@change("Deployment")
def progress_deadline_changed(s: Subject) -> Made | None:
    """A default of the workload itself."""
    return put(s, "/spec/progressDeadlineSeconds", 77)


@change("StatefulSet")
def partition_set(s: Subject) -> Made | None:
    """Updates stop before the first Pods."""
    return put(s, "/spec/updateStrategy/rollingUpdate/partition", 1)


@change("StatefulSet")
def claims_deleted_with_set(s: Subject) -> Made | None:
    """Data goes with the StatefulSet."""
    return put(s, "/spec/persistentVolumeClaimRetentionPolicy/whenDeleted", "Delete")


@change("DaemonSet")
def update_strategy_changed(s: Subject) -> Made | None:
    """All nodes at once."""
    return put(s, "/spec/updateStrategy/rollingUpdate/maxUnavailable", "100%")


@change("CronJob")
def schedule_changed(s: Subject) -> Made | None:
    """Another time."""
    return put(s, "/spec/schedule", "0 3 * * 0")


@change("CronJob")
def suspended(s: Subject) -> Made | None:
    """Not at any time."""
    return put(s, "/spec/suspend", True)


@change("CronJob")
def history_shortened(s: Subject) -> Made | None:
    """A default of the CronJob."""
    return put(s, "/spec/failedJobsHistoryLimit", 0)


@change("Job")
def job_deadline_set(s: Subject) -> Made | None:
    """A Job that may not run long."""
    return put(s, "/spec/activeDeadlineSeconds", 86_400)
