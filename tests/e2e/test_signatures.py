"""Projects that demand signatures, in the repository and on a hub: what is judged, and what not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.daemon import AT_ONCE, Daemon
from tests.e2e.site import CONTEXT, URL, Site, application, config_map
from tests.testbed.argocd import ARGO, serve_argo_kinds
from tests.testbed.cluster import ControlPlane
from tests.testbed.signing import GpgHome, SignedRepo, SshKey

pytestmark = pytest.mark.cluster

SEAL = "Argocd-gpg-seal: everything before was reviewed"


@dataclass(slots=True, kw_only=True)
class Signed:
    """The site's repository with signers, and the folder of their public keys."""

    site: Site
    repo: SignedRepo
    home: GpgHome
    alice: str
    bob: str
    carol: SshKey
    keyring: Path

    def demand(self, mode: str, *keys: str, **project: Any) -> None:
        """Have project `team` demand signatures; the application `signed` belongs to it."""
        gpg = {"mode": mode, "keys": list(keys)}
        policies = [{"repos": [{"url": "https://git.example.com/*"}], "gpg": gpg}]
        self.repo.write(
            "argocd/team.yaml",
            json.dumps(team(sourceIntegrity={"git": {"policies": policies}}, **project)),
        )

    def check(self, *flags: str) -> Any:
        """`driftd check signed` with the keyring."""
        return self.site.check("signed", f"--keyring={self.keyring}", *flags)


def team(**spec: Any) -> dict[str, Any]:
    """The project `team`, which permits everything."""
    everywhere = [{"server": "*", "name": "*", "namespace": "*"}]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AppProject",
        "metadata": {"name": "team", "namespace": "argocd"},
        "spec": {"sourceRepos": ["*"], "destinations": everywhere, **spec},
    }


@pytest.fixture(scope="module")
def home() -> Iterator[GpgHome]:
    """Alice's and Bob's keys."""
    with GpgHome() as found:
        found.key("Alice")
        found.key("Bob")
        yield found


@pytest.fixture
def signed(site: Site, home: GpgHome, tmp_path: Path) -> Signed:
    """The application `signed`, of one ConfigMap that is as Git says."""
    repo = SignedRepo(site.repo.path)
    repo.write("apps/signed/configmap.yaml", config_map("signed", colour="blue"))
    repo.write("argocd/signed.yaml", application("signed", site.namespace, project="team"))
    site.cluster.kubectl(
        "apply", "--server-side", "--force-conflicts", "-n", site.namespace, "-f", "-",
        input=config_map("signed", colour="blue"),
    )  # fmt: skip
    keyring = tmp_path / "keyring"
    keyring.mkdir()
    (keyring / "team.asc").write_text(home.public("Alice", "Bob"))
    carol = SshKey(tmp_path / "ssh", "carol")
    (keyring / "allowed_signers").write_text(f"carol@example.com {carol.public}\n")
    return Signed(
        site=site,
        repo=repo,
        home=home,
        alice=home.fingerprint("Alice"),
        bob=home.fingerprint("Bob"),
        carol=carol,
        keyring=keyring,
    )


def test_unsigned_revision_is_unknown_and_others_are_judged(signed: Signed) -> None:
    """An unsigned head makes its application Unknown with the reason; the others are judged."""
    signed.demand("head", signed.alice[-16:])
    signed.repo.commit("Unsigned")
    seen = signed.site.check(f"--keyring={signed.keyring}")
    verdict = seen.applications["signed"]
    assert (seen.exit_code, verdict["status"], verdict["resources"]) == (2, "Unknown", [])
    (told,) = seen.conditions("signed")
    assert told.startswith("SourceIntegrityError: revision ")
    assert "is not signed as project team demands (mode head): commit " in told
    assert told.endswith(
        "by Platform Team <platform@example.com> is not signed; see driftd help signatures"
    )
    assert seen.applications["steady"]["status"] == "Synced"
    assert seen.applications["changed"]["status"] == "OutOfSync"


def test_signed_revision_is_judged(signed: Signed) -> None:
    """With a signature by an allowed key the application is compared as any other."""
    signed.demand("head", signed.alice[-16:])
    signed.repo.signed_commit("Signed", signed.home, signed.alice)
    seen = signed.check()
    assert (seen.exit_code, seen.applications["signed"]["status"]) == (0, "Synced")
    assert seen.conditions("signed") == []


@pytest.mark.parametrize("keys", ["unknown", "missing", "not-allowed"])
def test_reasons(signed: Signed, keys: str, tmp_path: Path) -> None:
    """A key that is unknown, no key at all, and one that the project does not list."""
    signed.demand("head", signed.alice[-16:])
    signed.repo.signed_commit(
        "Signed", signed.home, signed.bob if keys == "not-allowed" else signed.alice
    )
    if keys == "unknown":
        (signed.keyring / "team.asc").write_text(signed.home.public("Bob"))
    flags = [] if keys == "missing" else [f"--keyring={signed.keyring}"]
    seen = signed.site.check("signed", *flags)
    assert seen.exit_code == 2
    (told,) = seen.conditions("signed")
    wanted = {
        "unknown": f"is signed by GPG key {signed.alice[-16:]}, which is not known here",
        "missing": "no public key is known: name a folder of them with --keyring",
        "not-allowed": f"is signed by GPG key {signed.bob[-16:]}, which the project does not allow",
    }
    assert wanted[keys] in told


def test_strict_mode_and_seals(signed: Signed) -> None:
    """Mode strict asks for all of the history, until a seal vouches for it."""
    signed.demand("strict", signed.alice, signed.bob)
    signed.repo.signed_commit("Signed", signed.home, signed.alice)
    seen = signed.check()
    assert seen.exit_code == 2
    assert "is not signed" in seen.conditions("signed")[0]
    signed.repo.signed_commit("Seal", signed.home, signed.alice, trailer=SEAL)
    signed.repo.signed_commit("After it", signed.home, signed.bob)
    assert signed.check().exit_code == 0


def test_ssh_keys_by_fingerprint(signed: Signed) -> None:
    """A policy may list SSH keys; driftd finds them in allowed_signers."""
    signed.demand("head", signed.carol.fingerprint)
    signed.repo.ssh_commit("Signed", signed.carol)
    assert signed.check().exit_code == 0


def test_doctor_says_what_verification_needs(signed: Signed) -> None:
    """Doctor counts the keys where a project demands signatures, and fails without any."""
    signed.demand("head", signed.alice)
    signed.repo.signed_commit("Signed", signed.home, signed.alice)
    flags = ("signed", f"--kubeconfig={signed.site.kubeconfig}")
    seen = signed.site.run("doctor", *flags, f"--keyring={signed.keyring}")
    assert seen.exit_code == 0, seen.stdout
    assert "project team demands signed revisions" in seen.stdout
    assert "2 GPG keys and 1 SSH key" in seen.stdout
    seen = signed.site.run("doctor", *flags)
    assert seen.exit_code == 2
    assert "no public key is known here" in seen.stdout
    seen = signed.site.run("doctor", "steady", f"--kubeconfig={signed.site.kubeconfig}")
    assert "signatures" not in seen.stdout


def test_signature_keys(signed: Signed) -> None:
    """The older field of projects demands a signed head of every repository."""
    text = json.dumps(team(signatureKeys=[{"keyID": signed.alice[-16:]}]))
    signed.repo.write("argocd/team.yaml", text)
    signed.repo.commit("Unsigned")
    assert signed.check().exit_code == 2
    signed.repo.signed_commit("Signed", signed.home, signed.alice)
    assert signed.check().exit_code == 0


def test_tags_and_work_trees(signed: Signed) -> None:
    """A signed tag stands for an unsigned commit; files as they lie on disk are never signed."""
    signed.demand("head", signed.alice)
    signed.repo.commit("Unsigned")
    signed.repo.signed_tag("v1", signed.home, signed.alice)
    assert signed.check("--revision=v1").exit_code == 0
    seen = signed.check("--worktree")
    assert seen.exit_code == 2
    assert "leave --worktree out" in seen.conditions("signed")[0]


def test_render_and_preview_refuse_too(signed: Signed) -> None:
    """Nothing is rendered of an unsigned revision, and no preview is made of it."""
    signed.demand("head", signed.alice)
    signed.repo.signed_commit("Signed", signed.home, signed.alice)
    signed.repo.git("checkout", "--quiet", "-b", "change")
    signed.repo.write("apps/signed/configmap.yaml", config_map("signed", colour="red"))
    signed.repo.commit("Unsigned")
    flags = (f"--keyring={signed.keyring}", f"--kubeconfig={signed.site.kubeconfig}")
    rendered = signed.site.run("render", "signed", *flags)
    assert (rendered.exit_code, rendered.stdout) == (2, "")
    assert "SourceIntegrityError" in rendered.stderr
    seen = signed.check("--preview", "--against=main")
    assert seen.exit_code == 2
    assert "is not signed as project team demands" in seen.stdout
    signed.repo.signed_commit("Signed", signed.home, signed.alice)
    seen = signed.check("--preview", "--against=main")
    assert (seen.exit_code, "SourceIntegrityError" in seen.stdout) == (1, False)


def test_app_of_apps_at_an_unsigned_revision(signed: Signed) -> None:
    """What an unsigned app of apps would declare counts for nothing, and that is told."""
    signed.demand("head", signed.alice)
    inner = json.loads(application("inner", signed.site.namespace, project="team"))
    signed.repo.write("children/kustomization.yaml", "resources: [inner.yaml]\nnamePrefix: deep-\n")
    signed.repo.write("children/inner.yaml", json.dumps(inner))
    parent = json.loads(application("parent", "argocd", project="team"))
    parent["spec"]["source"]["path"] = "children"
    signed.repo.write("argocd/parent.yaml", json.dumps(parent))
    signed.repo.commit("Unsigned")
    seen = signed.site.check(f"--keyring={signed.keyring}")
    assert seen.exit_code == 2
    assert not {"inner", "deep-inner"} & set(seen.applications)
    assert any("Application parent declares Applications" in text for text in seen.conditions())
    signed.repo.signed_commit("Signed", signed.home, signed.alice)
    assert "deep-inner" in signed.site.check(f"--keyring={signed.keyring}").applications


def test_daemon_heals_nothing_at_an_unsigned_revision(signed: Signed, tmp_path: Path) -> None:
    """Healing is open and the object is wrong: it is put back only once the commit is signed."""
    site = signed.site
    automated = {"automated": {"selfHeal": True}}
    signed.repo.write(
        "argocd/signed.yaml",
        application("signed", site.namespace, project="team", syncPolicy=automated),
    )
    signed.demand("head", signed.alice)
    signed.repo.write("apps/signed/configmap.yaml", config_map("signed", colour="evil"))
    signed.repo.commit("Unsigned")
    settings = {
        "repositories": [{"path": str(signed.repo.path)}],
        "clusters": {"kubeconfig": str(site.cluster.kubeconfig("admin"))},
        "applications": {"include": ["signed"]},
        "healing": {"rules": [{"applications": ["signed"], "rung": "fields"}], **AT_ONCE},
        "keyring": str(signed.keyring),
        "sandbox": {"requireIsolation": False},
        "sweep": {"interval": "2s", "jitter": "0s"},
        "store": {"dsn": f"sqlite:///{tmp_path / 'state.db'}"},
    }

    folder = tmp_path / "daemon"
    folder.mkdir()

    def colour() -> str:
        path = f"/api/v1/namespaces/{site.namespace}/configmaps/signed"
        found: str = site.cluster.call("GET", path)["data"]["colour"]
        return found

    with Daemon(folder, settings, site.home) as daemon:
        daemon.wait_ready()
        daemon.wait_looks(3)
        assert colour() == "blue"
        assert daemon.metric('driftd_look_errors_total{reason="SourceIntegrityError"}') >= 1
        signed.repo.signed_commit("Signed", signed.home, signed.alice)
        daemon.wait(lambda: colour() == "evil", "the signed revision to be applied")


@pytest.mark.full
def test_daemon_takes_no_declaration_from_an_unsigned_revision(
    signed: Signed, tmp_path: Path
) -> None:
    """Who can push, but not sign, opens nothing: Applications and projects stay as they were."""
    site = signed.site
    signed.demand("head", signed.alice)
    signed.repo.write("apps/signed/configmap.yaml", config_map("signed", colour="blue"))
    signed.repo.signed_commit("Signed", signed.home, signed.alice)
    signatures = {"mode": "head", "keys": [signed.alice]}
    settings = {
        "repositories": [{"path": str(signed.repo.path), "signatures": signatures}],
        "clusters": {"kubeconfig": str(site.cluster.kubeconfig("admin"))},
        "applications": {"include": ["signed", "intruder"]},
        "healing": {"rules": [{"applications": ["*"], "rung": "fields"}], **AT_ONCE},
        "keyring": str(signed.keyring),
        "sandbox": {"requireIsolation": False},
        "sweep": {"interval": "2s", "jitter": "0s"},
        "store": {"dsn": f"sqlite:///{tmp_path / 'state.db'}"},
    }
    folder = tmp_path / "daemon"
    folder.mkdir()
    path = f"/api/v1/namespaces/{site.namespace}/configmaps/intruder"
    with Daemon(folder, settings, site.home) as daemon:
        daemon.wait_ready()
        assert daemon.metric('driftd_applications{status="Synced"}') == 1
        signed.repo.write("apps/intruder/configmap.yaml", config_map("intruder", colour="evil"))
        healed = {"automated": {"selfHeal": True}}
        signed.repo.write(
            "argocd/intruder.yaml", application("intruder", site.namespace, syncPolicy=healed)
        )
        signed.repo.commit("Unsigned")
        daemon.wait(lambda: "the settings demand" in daemon.log.read_text(), "the refusal")
        daemon.wait_looks(2)
        assert site.cluster.request("GET", path)[0] == 404
        signed.repo.signed_commit("Signed", signed.home, signed.alice)
        daemon.wait(lambda: site.cluster.request("GET", path)[0] == 200, "the signed intruder")
    site.cluster.call("DELETE", path)


NAMESPACE = "signatures-argocd"


def test_hub_with_its_own_keys(signed: Signed, api_server: ControlPlane) -> None:
    """Live projects demand signatures, and the hub's argocd-gpg-keys-cm holds the keys."""
    serve_argo_kinds(api_server)
    api_server.create_namespace(NAMESPACE)
    project = team(
        sourceIntegrity={
            "git": {
                "policies": [
                    {
                        "repos": [{"url": "*"}],
                        "gpg": {"mode": "strict", "keys": [signed.alice[-16:]]},
                    }
                ]
            }
        }
    )
    project["metadata"]["namespace"] = NAMESPACE
    live = json.loads(application("signed", signed.site.namespace, project="team"))
    live["metadata"]["namespace"] = NAMESPACE
    api_server.call("POST", f"{ARGO}/namespaces/{NAMESPACE}/appprojects", project)
    api_server.call("POST", f"{ARGO}/namespaces/{NAMESPACE}/applications", live)
    signed.repo.signed_commit("Seal", signed.home, signed.alice, trailer=SEAL)

    def check() -> Any:
        return signed.site.run(
            "check", "signed", f"--hub={CONTEXT}", f"--argocd-namespace={NAMESPACE}",
            f"--namespace={NAMESPACE}", f"--kubeconfig={api_server.kubeconfig('admin')}",
            f"--repo={URL}={signed.repo.path}", "-o", "json",
        )  # fmt: skip

    seen = check()
    assert seen.exit_code == 2
    assert f"there is no ConfigMap {NAMESPACE}/argocd-gpg-keys-cm" in seen.conditions("signed")[0]

    keys = {signed.alice[-16:]: signed.home.public("Alice")}
    body = {"metadata": {"name": "argocd-gpg-keys-cm"}, "data": keys}
    api_server.call("POST", f"/api/v1/namespaces/{NAMESPACE}/configmaps", body)
    seen = check()
    assert (seen.exit_code, seen.applications["signed"]["status"]) == (0, "Synced")

    signed.repo.signed_commit("Bob", signed.home, signed.bob)
    seen = check()
    assert seen.exit_code == 2
    assert f"GPG key {signed.bob[-16:]}, which is not known here" in seen.conditions("signed")[0]
