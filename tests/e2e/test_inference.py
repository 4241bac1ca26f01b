"""Nothing is guessed silently: each failure to infer is one line with what settles it.

Every case starts from a repository with two good applications on a real API server, spoils one
thing, and runs `driftd check` as a stranger would.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.site import URL, Seen, Site, application, planted
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo
from tests.testbed.kubeconfig import write_kubeconfig
from tests.testbed.processes import reserve_port

pytestmark = pytest.mark.cluster


@dataclass
class Scene:
    """What a case spoils, and the command that meets it."""

    site: Site
    arguments: list[str] = field(default_factory=list)
    cwd: Path | None = None
    silent: socket.socket | None = None
    """Accepts connections and never answers."""

    @property
    def root(self) -> Path:
        """The checkout."""
        return self.site.repo.path

    @property
    def scratch(self) -> Path:
        """The folder beside the checkout."""
        return self.root.parent

    def config(self, **user: Any) -> dict[str, Any]:
        """The kubeconfig as a document, with another user entry where one is given."""
        document: dict[str, Any] = json.loads(self.site.kubeconfig.read_text())
        if user:
            document["users"][0]["user"] = user
        return document

    def use(self, document: dict[str, Any]) -> None:
        """Make a document the kubeconfig."""
        path = self.scratch / "changed-kubeconfig"
        path.write_text(json.dumps(document))
        self.site.kubeconfig = path

    def server(self, address: str) -> None:
        """Let the kubeconfig lead to another address."""
        document = self.config()
        document["clusters"][0]["cluster"]["server"] = address
        self.use(document)

    def declare(self, name: str = "other", **spec: Any) -> None:
        """Declare one more application and commit."""
        self.site.write(**{f"argocd/{name}.yaml": application(name, self.site.namespace, **spec)})
        self.site.repo.commit("Declare")


Arrange = Callable[[Scene], None]


def no_kubeconfig(scene: Scene) -> None:
    """There is no kubeconfig at all."""
    (scene.site.home / ".kube" / "config").unlink()


def empty_kubeconfig(scene: Scene) -> None:
    """Empty kubeconfig."""
    scene.site.kubeconfig = scene.scratch / "empty"
    scene.site.kubeconfig.write_text("")


def broken_kubeconfig(scene: Scene) -> None:
    """Broken kubeconfig."""
    scene.site.kubeconfig = scene.scratch / "broken"
    scene.site.kubeconfig.write_text("clusters: [\nusers: {token: sesame}\n")


def unreadable_kubeconfig(scene: Scene) -> None:
    """Unreadable kubeconfig."""
    scene.site.kubeconfig = scene.scratch / "latin"
    scene.site.kubeconfig.write_bytes(b"clusters: \xff\xfe\n")


def two_contexts(scene: Scene) -> None:
    """Two contexts."""
    access = [scene.site.cluster.access("detector", context=name) for name in ("one", "two")]
    scene.site.kubeconfig = write_kubeconfig(scene.scratch / "two", access)


def unknown_server(scene: Scene) -> None:
    """Unknown server."""
    scene.declare(destination={"server": "https://staging.example.com", "namespace": "x"})


def unknown_name(scene: Scene) -> None:
    """Unknown name."""
    scene.declare(destination={"name": "staging", "namespace": "x"})


def named_context(scene: Scene) -> None:
    """Named context."""
    scene.declare(
        destination={"name": scene.site.cluster.name, "namespace": scene.site.namespace},
        source={"repoURL": URL, "path": "apps/steady"},
    )


def other_repository(scene: Scene) -> None:
    """Other repository."""
    scene.declare(source={"repoURL": "https://git.example.com/team/other.git", "path": "x"})


def no_git(scene: Scene) -> None:
    """No git."""
    shutil.rmtree(scene.root / ".git")


def sub_folder(scene: Scene) -> None:
    """Sub folder."""
    scene.cwd = scene.root / "apps" / "steady"


def detached(scene: Scene) -> None:
    """Detached."""
    scene.site.repo.git("checkout", "--quiet", "--detach")


def shallow(scene: Scene) -> None:
    """Shallow."""
    scene.site.repo.commit("Second")
    clone(scene, "--depth=1", f"file://{scene.root}")


def bare(scene: Scene) -> None:
    """Bare."""
    clone(scene, "--bare", str(scene.root))


def clone(scene: Scene, *arguments: str) -> None:
    """Look at a clone."""
    target = scene.scratch / "clone"
    subprocess.run(["git", "clone", "--quiet", *arguments, str(target)], check=True)
    subprocess.run(["git", "-C", str(target), "remote", "set-url", "origin", URL], check=True)
    scene.cwd = target


def linked_worktree(scene: Scene) -> None:
    """Linked worktree."""
    scene.site.repo.git("worktree", "add", "--quiet", "--detach", str(scene.scratch / "linked"))
    scene.cwd = scene.scratch / "linked"


def no_applications(scene: Scene) -> None:
    """No applications."""
    shutil.rmtree(scene.root / "argocd")
    scene.site.repo.commit("None left")


def uncommitted(scene: Scene) -> None:
    """Uncommitted."""
    shutil.copytree(scene.root / "argocd", scene.scratch / "argocd")
    no_applications(scene)
    shutil.copytree(scene.scratch / "argocd", scene.root / "argocd")


def no_commits(scene: Scene) -> None:
    """No commits."""
    shutil.rmtree(scene.root / ".git")
    scene.site.repo.git("init", "--quiet", "--initial-branch=main")


def syntax_error(scene: Scene) -> None:
    """Syntax error."""
    text = "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: [\n"
    scene.site.write(**{"argocd/bad.yaml": text})
    scene.site.repo.commit("Break")


def misspelt_application(scene: Scene) -> None:
    """Misspelt application."""
    scene.arguments.append("--app=stedy")


def misspelt_context(scene: Scene) -> None:
    """Misspelt context."""
    scene.arguments.append(f"--context={scene.site.cluster.name}x")


def misspelt_hub(scene: Scene) -> None:
    """Misspelt hub."""
    scene.arguments.append(f"--hub={scene.site.cluster.name}x")


def misspelt_cluster(scene: Scene) -> None:
    """Misspelt cluster."""
    scene.arguments.append("--cluster=https://kubernetes.default.svc=nope")


def misspelt_destination(scene: Scene) -> None:
    """Misspelt destination."""
    scene.arguments.append(f"--cluster=https://nowhere.example.com={scene.site.cluster.name}")


def plugin(scene: Scene, command: str, *arguments: str) -> None:
    """Let a credential plugin speak for the user."""
    scene.use(
        scene.config(
            exec={
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": command,
                "args": list(arguments),
                "interactiveMode": "Never",
            }
        )
    )


def plugin_missing(scene: Scene) -> None:
    """Plugin missing."""
    plugin(scene, "cloud-login")


def plugin_failing(scene: Scene) -> None:
    """Plugin failing."""
    plugin(scene, "sh", "-c", "echo first >&2; echo 'session has expired' >&2; exit 3")


def plugin_slow(scene: Scene) -> None:
    """Plugin slow."""
    plugin(scene, "sh", "-c", "exec tail -f /dev/null")
    scene.arguments.append("--timeout=1s")


def plugin_talks(scene: Scene) -> None:
    """Plugin talks."""
    plugin(scene, "sh", "-c", "echo please visit the login page")


def refused(scene: Scene) -> None:
    """Refused."""
    port, holder = reserve_port()
    holder.close()
    scene.server(f"https://127.0.0.1:{port}")


def unknown_authority(scene: Scene) -> None:
    """Unknown authority."""
    document = scene.config()
    del document["clusters"][0]["cluster"]["certificate-authority-data"]
    scene.use(document)


def wrong_name(scene: Scene) -> None:
    """Wrong name."""
    document = scene.config()
    document["clusters"][0]["cluster"]["tls-server-name"] = "elsewhere.example.com"
    scene.use(document)


def plain_http(scene: Scene) -> None:
    """Plain http."""
    scene.server(scene.site.cluster.server.replace("https://", "http://"))


def bad_token(scene: Scene) -> None:
    """Bad token."""
    scene.use(scene.config(token=scene.site.cluster.token("stranger")))


def no_credential(scene: Scene) -> None:
    """No credential."""
    scene.use(scene.config(username=""))


def no_rights(scene: Scene) -> None:
    """No rights."""
    scene.site.kubeconfig = scene.site.cluster.kubeconfig("nobody")


def one_kind_refused(scene: Scene) -> None:
    """One kind refused."""
    rbac, group = "/apis/rbac.authorization.k8s.io/v1", "rbac.authorization.k8s.io"
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}]
    cluster, name = scene.site.cluster, "only-configmaps"
    role = {"metadata": {"name": name}, "rules": rules}
    subject = {"kind": "ServiceAccount", "namespace": "driftd", "name": name}
    bound = {"apiGroup": group, "kind": "ClusterRole", "name": name}
    cluster.call("POST", f"{rbac}/clusterroles", role)
    binding = {"metadata": {"name": name}, "roleRef": bound, "subjects": [subject]}
    cluster.call("POST", f"{rbac}/clusterrolebindings", binding)
    account = {"metadata": {"name": name}}
    cluster.call("POST", "/api/v1/namespaces/driftd/serviceaccounts", account)
    scene.use(scene.config(token=cluster.service_account_token("driftd", name)))
    scene.site.write(
        **{
            "apps/steady/kustomization.yaml": "resources: [configmap.yaml, account.yaml]\n",
            "apps/steady/account.yaml": json.dumps(
                {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web"}}
            ),
        }
    )
    scene.site.repo.commit("Declare a kind that may not be read")


def foreign_certificate(scene: Scene) -> None:
    """Foreign certificate."""
    key, cert = scene.scratch / "key.pem", scene.scratch / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", key, "-out", cert, "-subj", "/CN=late", "-days", "1"],
        check=True, capture_output=True,
    )  # fmt: skip
    scene.use(scene.config(**{"client-certificate": str(cert), "client-key": str(key)}))


def hanging(scene: Scene) -> None:
    """Hanging."""
    scene.silent = socket.create_server(("127.0.0.1", 0))
    scene.server(f"https://127.0.0.1:{scene.silent.getsockname()[1]}")
    scene.arguments.append("--timeout=1s")


@dataclass(frozen=True)
class Case:
    """What is spoilt, and everything that the one line about it must say."""

    arrange: Arrange
    says: tuple[str, ...]


def case(arrange: Arrange, *says: str) -> Any:
    """One parameter set, named like what it spoils."""
    return pytest.param(Case(arrange, says), id=arrange.__name__)


FAILURES = [
    case(no_kubeconfig, "no destination has a context: there is no kubeconfig",
         "home/.kube/config)", "; name the right kubeconfig with --kubeconfig"),
    case(empty_kubeconfig, "empty) has no contexts; name the right kubeconfig with --kubeconfig"),
    case(broken_kubeconfig, "broken is not valid YAML (line 3)", "--kubeconfig"),
    case(unreadable_kubeconfig, "latin is not UTF-8 text", "--kubeconfig"),
    case(two_contexts, "is the cluster that Argo CD runs in", "any of several contexts",
         "--cluster https://kubernetes.default.svc=CONTEXT; available contexts: one, two"),
    case(unknown_server, "no cluster is known for destination https://staging.example.com",
         "--cluster https://staging.example.com=CONTEXT; available contexts: bare"),
    case(unknown_name, "no cluster is known for destination staging",
         "--cluster staging=CONTEXT"),
    case(other_repository, "repository https://git.example.com/team/other.git",
         f"(remotes of the checkout: {URL})",
         "--repo https://git.example.com/team/other.git=PATH"),
    case(no_git, "gitops is not in a Git repository, so no applications", "; cd to the repository",
         "--repo PATH", "--hub CONTEXT"),
    case(no_applications, "no Argo CD Application is declared in", "files were looked through",
         "; cd to the repository", "--repo PATH", "--hub CONTEXT"),
    case(uncommitted, "no Argo CD Application is declared in",
         "uncommitted files in", "--worktree reads them"),
    case(no_commits, "gitops: the repository has no commit yet", "--worktree"),
    case(syntax_error, "argocd/bad.yaml, document 1", "line 3"),
    case(misspelt_application, "no application matches stedy; declared are: steady, changed"),
    case(misspelt_context, "context 'barex' does not exist in kubeconfig",
         "; did you mean bare? available contexts: bare"),
    case(misspelt_hub, "context 'barex' does not exist in kubeconfig"),
    case(misspelt_cluster, "kubernetes.default.svc=nope: there is no context 'nope' in kubeconfig",
         "; available contexts: bare"),
    case(misspelt_destination, "--cluster https://nowhere.example.com=bare matches no destination",
         "destinations of the applications are: https://kubernetes.default.svc"),
    case(plugin_missing, "cannot start exec plugin 'cloud-login'", "put it on PATH"),
    case(plugin_failing, "exec plugin 'sh' ended with code 3: session has expired",
         "log in again"),
    case(plugin_slow, "exec plugin 'sh' gave no credential within 1 s", "run it by hand"),
    case(plugin_talks, "exec plugin 'sh' printed no valid ExecCredential", "run it by hand"),
    case(refused, "connection refused; is the server up"),
    case(unknown_authority, "certificate is not trusted; check certificate-authority"),
    case(wrong_name, "certificate is for another name; correct server or tls-server-name"),
    case(plain_http, "the server speaks HTTPS alone; write https:// in kubeconfig"),
    case(bad_token, "Unauthorized; the token in kubeconfig", "has expired"),
    case(no_credential, "there is no usable credential in kubeconfig"),
    case(foreign_certificate, "the client certificate in kubeconfig", "renew it"),
    case(no_rights, "cannot list configmaps in namespace", "user nobody may not; grant"),
    case(one_kind_refused, "cannot list serviceaccounts", "may not; grant the user"),
    case(hanging, "no answer within 1 s; is the server up"),
]  # fmt: skip
INFERRED = [
    case(named_context, "note: destination bare is the context of that name"),
    *(
        case(arrange, "note: destination https://kubernetes.default.svc is taken to be bare")
        for arrange in (sub_folder, detached, shallow, bare, linked_worktree)
    ),
]


@pytest.fixture(scope="module")
def ground(
    api_server: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, GitRepo]:
    """A namespace with the good applications, and the repository that declares them."""
    return planted(api_server, tmp_path_factory.mktemp("inference"), "inference")


@pytest.fixture
def scene(
    api_server: ControlPlane, ground: tuple[str, GitRepo], tmp_path: Path, private_environment: Path
) -> Iterator[Scene]:
    """A checkout of the test's own; its kubeconfig is the one of HOME."""
    namespace, repo = ground
    shutil.copytree(repo.path, tmp_path / "gitops")
    home = tmp_path / "home"
    (home / ".kube").mkdir(parents=True)
    shutil.copy(api_server.kubeconfig("detector"), home / ".kube" / "config")
    site = Site(
        repo=GitRepo(tmp_path / "gitops"),
        cluster=api_server,
        namespace=namespace,
        kubeconfig=home / ".kube" / "config",
        home=home,
    )
    made = Scene(site)
    yield made
    if made.silent is not None:
        made.silent.close()


@pytest.fixture
def look(scene: Scene) -> Callable[[Case], Seen]:
    """Arranges a case and checks with no flags but the case's own."""

    def run(case: Case) -> Seen:
        default = scene.site.kubeconfig
        case.arrange(scene)
        if scene.site.kubeconfig != default:
            scene.site.environment["KUBECONFIG"] = str(scene.site.kubeconfig)
        return scene.site.run("check", "-o", "name", *scene.arguments, cwd=scene.cwd)

    return run


@pytest.mark.parametrize("case", FAILURES)
def test_one_line_says_it(look: Callable[[Case], Seen], case: Case) -> None:
    """What could not be inferred or reached is one line with its remedy; exit 2, no traceback."""
    seen = look(case)
    assert seen.exit_code == 2
    errors = [line for line in seen.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, seen.stderr
    for text in case.says:
        assert text in errors[0]
    assert not errors[0].endswith(".")
    assert "sesame" not in seen.stderr


@pytest.mark.parametrize("case", INFERRED)
def test_what_is_inferred(look: Callable[[Case], Seen], case: Case) -> None:
    """Unusual checkouts and names are understood, and each mapping made is printed."""
    seen = look(case)
    assert seen.exit_code == 1
    assert "OutOfSync changed/configmap/inference/changed" in seen.stdout
    for text in case.says:
        assert text in seen.stderr
