"""Every setting of `driftd` with its default.

`config/driftd.yaml` shows them all with comments. Names are camelCase in the file; an
unknown name is an error. A secret is never a setting: settings name the file that holds it.
"""

from __future__ import annotations

from typing import Literal

from driftd.settings.githooks import GitWebhooks
from driftd.settings.github import GitHubAppLogin
from driftd.settings.healing import Healing
from driftd.settings.notifications import Notifications
from driftd.settings.quantity import Duration, Size
from driftd.settings.silences import Silences
from driftd.settings.struct import SettingsStruct


class Credentials(SettingsStruct, frozen=True, kw_only=True):
    """Files that hold what a Git server asks for; each is read anew at every fetch."""

    username: str = ""
    password_file: str = ""
    """Password or token for https."""
    ssh_key_file: str = ""
    known_hosts_file: str = ""


class RepositorySignatures(SettingsStruct, frozen=True, kw_only=True):
    """How the revisions must be signed whose Applications and projects count."""

    mode: Literal["", "head", "strict"] = ""
    """Empty: not at all."""
    keys: tuple[str, ...] = ()
    """Ids of 16 digits, fingerprints, or `SHA256:…` of SSH keys; the keys lie in `keyring`."""


class Repository(SettingsStruct, frozen=True, kw_only=True):
    """A repository that holds Applications or their sources: `url`, or `path` of a checkout."""

    url: str = ""
    path: str = ""
    revision: str = "HEAD"
    """Branch, tag or commit in which Application documents are looked for."""
    poll_interval: Duration = Duration("3m")
    """How often the revision is resolved anew; `0s` resolves only at sweeps."""
    credentials: Credentials = Credentials()
    signatures: RepositorySignatures = RepositorySignatures()


class RepositoryLogin(SettingsStruct, frozen=True, kw_only=True):
    """A repository of Git, Helm or OCI, or all whose URL begins so; files hold the secrets."""

    url: str
    type: Literal["git", "helm", "oci"] = "git"
    template: bool = False
    """The URL is the beginning of those of many repositories."""
    name: str = ""
    """What dependencies of charts call a Helm repository: `@name`."""
    project: str = ""
    """The only project that may use it; empty for every one."""
    username: str = ""
    password_file: str = ""
    bearer_token_file: str = ""
    ssh_key_file: str = ""
    known_hosts_file: str = ""
    ca_file: str = ""
    client_certificate_file: str = ""
    client_key_file: str = ""
    github_app: GitHubAppLogin | None = None
    insecure: bool = False
    """Verify neither certificates nor host keys."""
    plain_http: bool = False
    """Ask this OCI registry without TLS."""
    oci: bool = False
    """The charts of this Helm repository lie in an OCI registry."""
    lfs: bool = False
    """Read what pointers of Git LFS point to."""
    submodules: bool = False
    """Read submodules too."""
    paths: tuple[str, ...] = ()
    """The only folders of a Git repository that are read."""
    proxy: str = ""
    no_proxy: str = ""


class RemoteBaseFile(SettingsStruct, frozen=True, kw_only=True):
    """A file that kustomizations may name by its URL; it is fetched, and must be this one."""

    url: str
    """As the kustomization writes it; https only."""
    sha256: str
    """Digest of the file, 64 hex digits."""


class ClusterPermissions(SettingsStruct, frozen=True, kw_only=True):
    """What kubeconfigs and cluster Secrets may ask of `driftd run` beyond the usual."""

    exec: bool = False
    """Run the credential plugins that they name."""
    insecure: bool = False
    """Connect without TLS, or without verifying certificates; conditions and a metric tell it."""
    proxies: bool = False
    """Connect through the `proxy-url` that they name."""
    link_local: bool = False
    """Connect to addresses of the link (169.254.0.0/16, fe80::/10)."""
    folders: tuple[str, ...] = ()
    """Folders beside the kubeconfig's own in which the files that they name may lie."""


class ClusterLimits(SettingsStruct, frozen=True, kw_only=True):
    """How much one cluster may say; what says more is not believed."""

    answer: Size = Size("32Mi")
    """Of one answer, unpacked."""
    list: Size = Size("4Gi")
    """Of all pages of one list."""
    pages: int = 20_000
    """Of one list."""
    kinds: int = 5_000
    """That discovery shows, and group versions."""
    watches: int = 1_000
    """At the same time; each holds a connection."""


class Clusters(SettingsStruct, frozen=True, kw_only=True):
    """How destinations of Applications become connections."""

    kubeconfig: str = ""
    """Empty: `KUBECONFIG`, `~/.kube/config`, or the Pod's own service account."""
    hub_context: str = ""
    """Context of the cluster that Argo CD runs in, for its Applications and cluster Secrets."""
    argocd_namespace: str = "argocd"
    """Argo CD's own namespace."""
    destinations: dict[str, str] = {}
    """`destination.server` or `destination.name` to kubeconfig context."""
    allow: ClusterPermissions = ClusterPermissions()
    limits: ClusterLimits = ClusterLimits()
    identities: dict[str, str] = {}
    """Cluster name to the uid of its namespace kube-system, where that is another than before."""
    timeout: Duration = Duration("30s")
    """Limit of one request to an API server."""
    concurrency: int = 8
    """Requests in flight per cluster."""
    watch: bool = True
    """Watch the declared kinds, so that drift is seen at once and not by the next sweep."""
    oracle: Literal["", "post", "put", "apply"] = ""
    """Dry run by which clusters are asked what they would make of Git's manifests; empty: none.

    It stores nothing, but takes the rights of the real write (create, update, patch).
    """


class ApplicationSelection(SettingsStruct, frozen=True, kw_only=True):
    """Which Applications are looked at; entries are names or globs, `namespace/name` or `name`."""

    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    namespace: str = ""
    """Only Applications of this namespace; empty means all."""


class Sweep(SettingsStruct, frozen=True, kw_only=True):
    """The periodic look at every application."""

    interval: Duration = Duration("5m")
    jitter: Duration = Duration("15s")
    """Spread added to each sweep, so that several daemons do not ask at once."""
    workers: int = 4
    """Applications of one cluster looked at concurrently."""
    timeout: Duration = Duration("10m")
    """Limit of one look, and of reading what Git declares; what takes longer is ended."""
    pending_deadline: Duration = Duration("1h")
    """How long Git may be ahead of an application that syncs by itself; `0s` means any time."""


class Store(SettingsStruct, frozen=True, kw_only=True):
    """Where state lives; a DSN with a password belongs into `dsnFile`."""

    dsn: str = "sqlite:///driftd.db"
    """`sqlite:///relative.db`, `sqlite:////absolute.db` or `postgresql://user@host/database`."""
    dsn_file: str = ""
    retention: Duration = Duration("90d")
    """Age at which closed drifts, history and delivered notifications are deleted."""
    audit_retention: Duration = Duration("365d")
    """Age at which entries of the audit record are taken away behind a checkpoint."""
    backup_retention: Duration = Duration("30d")
    """Age at which manifests are deleted that healing wrote over."""
    key_file: str = ""
    """The key of backups; empty: beside an SQLite store, made at the first heal."""


class AuditLogFile(SettingsStruct, frozen=True, kw_only=True):
    """An audit log that names the people behind changes."""

    file: str
    """A path; `*` in its last part names rotated files too."""
    cluster: str = ""
    """Whose log it is, as reports name clusters; may be left out where there is one."""


class AuditPoster(SettingsStruct, frozen=True, kw_only=True):
    """A cluster whose API servers may post audit events, and how they show that they are it."""

    cluster: str
    """As reports name it; its API servers post to `/audit/CLUSTER`."""
    token_file: str = ""
    """Bearer tokens, one on each line, so that an old and a new one can be there together."""
    client_name: str = ""
    """Common name of a client certificate, as `clientCaFile` verifies it."""


class AuditWebhook(SettingsStruct, frozen=True, kw_only=True):
    """The endpoint to which API servers post audit events."""

    listen: str = ""
    """`ADDRESS:PORT`; empty: there is no endpoint."""
    certificate_file: str = ""
    """Certificate (with its chain) of the endpoint; empty: plain HTTP."""
    key_file: str = ""
    client_ca_file: str = ""
    """Certificates that client certificates are verified against."""
    clusters: tuple[AuditPoster, ...] = ()
    max_body: Size = Size("16Mi")
    """Longest body of a post, unpacked."""
    max_rate: int = 100
    """Posts of a cluster in a second."""
    max_events: int = 20_000
    """Writes of a cluster that are kept."""
    max_memory: Size = Size("32Mi")
    """What these take at most."""
    wait: Duration = Duration("5s")
    """How long a new drift waits for the event that names its author; `0s`: not at all."""


class Server(SettingsStruct, frozen=True, kw_only=True):
    """The HTTP server for probes and metrics."""

    listen: str = "127.0.0.1:8080"


class Sandbox(SettingsStruct, frozen=True, kw_only=True):
    """The processes that render what Git says, without files, network or credentials."""

    workers: int = 2
    timeout: Duration = Duration("60s")
    """Limit of one render."""
    memory: Size = Size("512Mi")
    """Limit of one worker."""
    require_isolation: bool = True
    """Refuse to run where the kernel cannot isolate the workers."""
    cache: str = ""
    """Folder that keeps renderings, and fetched charts, from one start to the next; empty keeps
    them for this one."""
    cache_size: Size = Size("512Mi")
    """Limit of either; what was not used for the longest time goes first."""


class Tracing(SettingsStruct, frozen=True, kw_only=True):
    """Where spans of looks are sent; needs the extra `tracing`."""

    endpoint: str = ""
    """URL of an OTLP receiver over HTTP, such as `http://collector:4318/v1/traces`; empty: none."""
    sample_percent: int = 100
    """How many of a hundred looks are traced."""
    timeout: Duration = Duration("5s")
    """Limit of one delivery."""


class Log(SettingsStruct, frozen=True, kw_only=True):
    """What is logged, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class Settings(SettingsStruct, frozen=True, kw_only=True):
    """All settings of `driftd run`."""

    repositories: tuple[Repository, ...] = ()
    repository_access: tuple[RepositoryLogin, ...] = ()
    """How repositories of Git, Helm and OCI are reached that sources name."""
    remote_bases: tuple[RemoteBaseFile, ...] = ()
    """Remote bases of kustomizations that are fetched; all others are refused."""
    clusters: Clusters = Clusters()
    applications: ApplicationSelection = ApplicationSelection()
    sweep: Sweep = Sweep()
    store: Store = Store()
    notifications: Notifications = Notifications()
    silences: Silences = Silences()
    healing: Healing = Healing()
    baselines: tuple[str, ...] = ()
    """Files of accepted findings, read anew at each sweep."""
    suppressions: tuple[str, ...] = ()
    """Files of places whose changes are not told, read anew at each sweep."""
    severity: str = ""
    """File of severity rules that come before the shipped ones, read anew at each sweep."""
    keyring: str = ""
    """Folder of public keys for the signatures that AppProjects demand, read at each look."""
    sensitive: tuple[str, ...] = ()
    """Places whose values are masked as those of Secrets are: `GROUP/KIND:PATH` with globs."""
    hash_key_file: str = ""
    """File with the key that values in baselines are hashed with."""
    audit_logs: tuple[AuditLogFile, ...] = ()
    """Read when a change is new."""
    audit_window: Duration = Duration("24h")
    """Age of the oldest audit events that count; `0s` means all."""
    audit_webhook: AuditWebhook = AuditWebhook()
    git_webhooks: GitWebhooks = GitWebhooks()
    server: Server = Server()
    sandbox: Sandbox = Sandbox()
    tracing: Tracing = Tracing()
    log: Log = Log()
