"""A realistic report: the example repository's applications after a bad night."""

import msgspec

from driftd.model.condition import Severity
from driftd.model.report import (
    ApplicationReport,
    ApplicationStatus,
    Change,
    ChangeClass,
    ChangeKind,
    DriftReport,
    Evidence,
    Invalid,
    ReportCondition,
    ReportDestination,
    ReportOrigin,
    ResourceReport,
    ResourceStatus,
    Summary,
)

NOW = "2026-03-04T12:00:00Z"
REVISION = "4f2a9c1be07d65309f2c8e1d4b7a6f5039e8d1c2"
CONFIG_IN_GIT = (
    "server:\n  port: 8080\n  readTimeout: 5s\n"
    "log:\n  level: info\n  format: json\nfeatures:\n  checkout: true\n"
)
CONFIG_LIVE = CONFIG_IN_GIT.replace("level: info", "level: debug").replace("5s", "60s")
MASKED = {"masked": True}
REPOSITORY = "https://git.example.com/gitops.git"


def origin(file, **fields):
    """Where an object is declared in the example repository."""
    return ReportOrigin(repo_url=REPOSITORY, file=file, **fields)


def resource(kind, name, *changes, status=None, group="", version="v1", **fields):
    """A resource of the production namespace; OutOfSync if it has a change that is drift."""
    drift = any(change.is_drift for change in changes)
    fields.setdefault("namespace", "production-app1")
    fields.setdefault(
        "evidence",
        Evidence(
            revision=REVISION,
            resource_version="48211",
            uid="0b6f6a5e-6d0e-4b57-9a53-0f6c3d1c9a11",
            observed_at=NOW,
        ),
    )
    return ResourceReport(
        group=group,
        version=version,
        kind=kind,
        name=name,
        status=status or (ResourceStatus.OUT_OF_SYNC if drift else ResourceStatus.SYNCED),
        changes=tuple(changes),
        **fields,
    )


def change(path, change_class="declared", kind="modified", **fields):
    """A change of the class and kind named."""
    return Change(
        path=path, change_class=ChangeClass(change_class), kind=ChangeKind(kind), **fields
    )


EDIT = {
    "manager": "kubectl-edit",
    "operation": "Update",
    "time": "2026-03-04T08:41:12Z",
    "confidence": "exact",
}
CONTAINER = 'f:spec/f:template/f:spec/f:containers/k:{"name":"app1"}'


def deployment():
    """A Deployment with changes of every class."""
    pod = "/spec/template/spec"
    return resource(
        "Deployment",
        "production-app1",
        change(
            f"{pod}/containers/0/image",
            desired="ghcr.io/example/app1:v1.0.0",
            live="ghcr.io/example/app1-debug:v1.0.0",
            ssa_path=f"{CONTAINER}/f:image",
            severity="critical",
            severity_reason="an image decides what runs",
            **EDIT,
        ),
        change(
            "/spec/replicas",
            desired=3,
            live=5,
            ssa_path="f:spec/f:replicas",
            severity="medium",
            manager="kubectl",
            operation="Update",
            subresource="scale",
            confidence="exact",
            origin=origin("apps/app1/overlays/production/deployment-patch.yaml", line=6),
        ),
        change(
            f"{pod}/containers/0/resources/limits/memory",
            kind="missing",
            desired="512Mi",
            ssa_path=f"{CONTAINER}/f:resources/f:limits/f:memory",
            severity="medium",
            origin=origin("apps/app1/base/deployment.yaml", line=41),
        ),
        change(
            f"{pod}/hostNetwork",
            "undeclared",
            "added",
            live=True,
            ssa_path="f:spec/f:template/f:spec/f:hostNetwork",
            severity="critical",
            severity_reason="host network",
            reason="nobody owns it, and it is critical",
            **EDIT,
        ),
        change(
            f"{pod}/containers/1",
            "undeclared",
            "added",
            live={
                "name": "miner",
                "image": "registry.example.net/tools/xmrig:6.21.0",
                "args": ["--url", "pool.example.net:3333", "--donate-level", "1"],
                "resources": {},
            },
            ssa_path='f:spec/f:template/f:spec/f:containers/k:{"name":"miner"}',
            severity="critical",
            **EDIT,
        ),
        change(
            "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt",
            "review",
            "added",
            live="2026-03-03T17:20:11Z",
            severity="low",
            manager="kubectl-rollout",
            operation="Update",
            time="2026-03-03T17:20:11Z",
            confidence="exact",
        ),
        change(
            f"{pod}/containers/2",
            "injected",
            "added",
            live={"name": "istio-proxy", "image": "istio/proxyv2:1.24.1"},
        ),
        change(
            f"{pod}/containers/0/imagePullPolicy",
            "rewritten",
            desired="IfNotPresent",
            live="Always",
            ssa_path=f"{CONTAINER}/f:imagePullPolicy",
            severity="info",
        ),
        change(
            "/metadata/annotations/example.com~1owner",
            desired="team-a",
            live="team-b",
            ignored_by="spec.ignoreDifferences[0] of production-apps",
        ),
        group="apps",
        origin=origin("apps/app1/base/deployment.yaml"),
    )


def production():
    """An application with drift of every kind."""
    return ApplicationReport(
        name="production-apps",
        namespace="argocd",
        project="production",
        cluster="production",
        destination=ReportDestination(
            server="https://prod.k8s.example.com:6443", namespace="argocd"
        ),
        revisions=(REVISION,),
        deployers=("argocd-controller", "kubectl-client-side-apply"),
        status=ApplicationStatus.OUT_OF_SYNC,
        conditions=(
            ReportCondition(
                type="RepeatedResourceWarning",
                severity=Severity.WARNING,
                message="ConfigMap production-app1/shared is declared by apps/app1 and apps/app2; "
                "the last one counts; declare it once",
            ),
        ),
        resources=(
            deployment(),
            resource(
                "ConfigMap",
                "production-app1-config",
                change(
                    "/data/config.yaml",
                    desired=CONFIG_IN_GIT,
                    live=CONFIG_LIVE,
                    severity="medium",
                    **EDIT,
                ),
                change(
                    "/data/motd",
                    desired="Welcome to app1",
                    live="Welcome to  app1 ",
                    severity="low",
                    **EDIT,
                ),
                origin=origin("apps/app1/config.yaml", line=12),
            ),
            resource(
                "Ingress",
                "production-app1",
                change(
                    "/spec/rules/0/host",
                    desired="app1.example.com",
                    live="app1.example.org",
                    severity="high",
                    manager="Mozilla",
                    operation="Update",
                    time="2026-02-28T09:00:00Z",
                    confidence="likely",
                ),
                group="networking.k8s.io",
            ),
            resource(
                "Service",
                "production-app1",
                status=ResourceStatus.MISSING,
                origin=origin("apps/app1/config.yaml", line=1),
            ),
            resource(
                "Role",
                "debug-all",
                status=ResourceStatus.EXTRA,
                group="rbac.authorization.k8s.io",
                reason="it carries this application's tracking mark",
            ),
            *(
                resource(
                    "Secret",
                    f"production-app1-{name}",
                    status=ResourceStatus.NOT_CHECKED,
                    reason="no permission to list Secrets; grant get and list to compare them",
                )
                for name in ("tls", "database", "registry", "smtp")
            ),
            resource(
                "PrometheusRule",
                "production-app1",
                status=ResourceStatus.UNKNOWN,
                group="monitoring.coreos.com",
                reason="403 Forbidden: prometheusrules.monitoring.coreos.com may not be listed; "
                "grant get, list, watch to the reader",
            ),
            resource(
                "ConfigMap",
                "production-app2-config",
                change(
                    "/data/LOG_LEVEL",
                    "pending",
                    desired="warn",
                    live="info",
                    reason="live equals the revision last synced",
                ),
                status=ResourceStatus.PENDING,
                namespace="production-app2",
            ),
            resource("ServiceAccount", "production-app1"),
            resource("Deployment", "production-app2", group="apps", namespace="production-app2"),
        ),
        complete=False,
    )


def unreachable():
    """An application whose cluster does not answer."""
    return ApplicationReport(
        name="staging-apps",
        namespace="argocd",
        project="staging",
        cluster="staging",
        destination=ReportDestination(
            server="https://staging-cluster-api.example.com", namespace="argocd"
        ),
        revisions=(REVISION,),
        deployers=(),
        status=ApplicationStatus.UNKNOWN,
        conditions=(
            ReportCondition(
                type="ComparisonError",
                message="cluster staging: no answer from https://staging-cluster-api.example.com "
                "within 10 s; check the network and the context's server",
            ),
        ),
        resources=tuple(
            resource(
                kind,
                f"staging-{name}",
                status=ResourceStatus.UNKNOWN,
                namespace="staging-app1",
                reason="cluster staging could not be read",
            )
            for kind in ("ConfigMap", "Deployment", "Ingress", "Service")
            for name in ("app1", "app2")
        ),
        complete=False,
    )


def synced(name, count=12):
    """An application that is what Git says."""
    return ApplicationReport(
        name=name,
        namespace="argocd",
        project="default",
        cluster="development",
        destination=ReportDestination(server="https://dev.example.com", namespace="argocd"),
        revisions=(REVISION,),
        deployers=("argocd-controller",),
        status=ApplicationStatus.SYNCED,
        resources=tuple(resource("ConfigMap", f"{name}-{number}") for number in range(count)),
    )


def report_of(*applications, conditions=()):
    """A DriftReport of these applications, its summary counted."""
    resources = [item for app in applications for item in app.resources]
    changes = [item for found in resources for item in found.changes]

    def count(values):
        listed = [str(value) for value in values]
        return {value: listed.count(value) for value in dict.fromkeys(listed)}

    return DriftReport(
        generated_at=NOW,
        complete=all(app.complete for app in applications),
        conditions=conditions,
        applications=applications,
        summary=Summary(
            applications=count(app.status for app in applications),
            resources=count(item.status for item in resources),
            changes=count(
                "ignored" if isinstance(item.ignored_by, str) else item.change_class
                for item in changes
            ),
        ),
    )


def bad_night():
    """Everything at once."""
    return report_of(
        production(),
        unreachable(),
        synced("development-apps"),
        synced("development-infrastructure", 31),
        conditions=(
            ReportCondition(
                type="InvalidSpecError",
                message="argocd/applications/old.yaml: document 2: spec.destination has neither "
                "server nor name; set one of them",
            ),
        ),
    )


def mistakes():
    """A Deployment whose manifest has a misspelt field, a refused value and a masked one."""
    pod = "/spec/template/spec/containers/0"
    unknown = "the API server drops it or refuses the object; "
    refused = "the API server refuses the object: "
    found = (
        (
            {"path": "/spec/replcas", "kind": "missing", "desired": 2},
            {
                "cause": "UnknownField",
                "meant": "/spec/replicas",
                "message": f"the kind has no field replcas here: {unknown}did you mean replicas?",
            },
            7,
        ),
        (
            {"path": f"{pod}/ports/0", "desired": {"containerPort": "80"},
             "live": {"containerPort": 80, "protocol": "TCP"}},
            {
                "cause": "WrongType",
                "path": f"{pod}/ports/0/containerPort",
                "expected": "integer",
                "given": "string",
                "message": f"{refused}an integer is expected at containerPort, Git has a string: "
                "write it without quotes",
            },
            21,
        ),
        (
            {"path": f"{pod}/env/1", "kind": "missing", "desired": MASKED},
            {
                "cause": "UnknownField",
                "path": f"{pod}/env/1/valu",
                "meant": f"{pod}/env/1/value",
                "message": f"the kind has no field valu in it: {unknown}did you mean value?",
            },
            25,
        ),
    )  # fmt: skip
    changes = [
        change(
            **fields,
            severity="medium",
            severity_reason="a setting of the object",
            reason=wrong["message"],
            invalid=Invalid(**{"path": fields["path"], **wrong}),
            origin=origin("apps/app1/deployment.yaml", line=line),
            **({} if "live" not in fields else EDIT),
        )
        for fields, wrong, line in found
    ]
    app = production()
    item = resource(
        "Deployment",
        "production-app1",
        *changes,
        group="apps",
        origin=origin("apps/app1/deployment.yaml", line=1),
    )
    return report_of(msgspec.structs.replace(app, resources=(item,), conditions=(), complete=True))
