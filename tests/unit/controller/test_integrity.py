"""Applications held to the signatures that their projects demand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from driftd.cluster.hub import Hub
from driftd.controller.integrity import NOT_GIT, REFUSED, Integrity
from driftd.model.application import Application, ApplicationSource, ApplicationSpec
from driftd.model.condition import Condition, Severity
from driftd.model.project import AppProject, AppProjectSpec
from driftd.source.repositories import Repositories
from driftd.verify.verifier import KEPT_SECONDS
from tests.testbed.signing import GpgHome, SignedRepo

pytestmark = pytest.mark.slow

URL = "https://git.example/platform.git"
OTHER = "https://git.example/other.git"


@pytest.fixture(scope="module")
def home() -> Iterator[GpgHome]:
    """Alice's key and Bob's."""
    with GpgHome() as found:
        found.key("Alice")
        found.key("Bob")
        yield found


def project(*keys: str, mode: str = "head", url: str = "*") -> AppProject:
    """The project `team` with one policy."""
    policy = {"repos": [{"url": url}], "gpg": {"mode": mode, "keys": list(keys)}}
    spec = {"sourceIntegrity": {"git": {"policies": [policy]}}}
    return AppProject(name="team", spec=msgspec.convert(spec, AppProjectSpec))


@dataclass(slots=True)
class Asking:
    """Asks for applications of one repository, with keys in a folder."""

    repo: SignedRepo
    keyring: Path
    now: float = 0.0
    integrity: Integrity = field(init=False)

    def __post_init__(self) -> None:
        self.integrity = Integrity(self.keyring, monotonic=lambda: self.now)

    async def ask(
        self,
        demanding: AppProject,
        *sources: ApplicationSource,
        hub: Hub | None = None,
        name: str = "shop",
        repositories: Repositories | None = None,
    ) -> tuple[Condition, ...]:
        """The conditions of an application; by default it has one source."""
        written = sources or (ApplicationSource(repo_url=URL, path="."),)
        spec = ApplicationSpec(project="team", sources=written)
        app = Application(name=name, namespace="argocd", spec=spec)
        pairs = [f"{URL}={self.repo.path}", f"{OTHER}={self.repo.path}"]
        opened = repositories or await Repositories.open(pairs)
        urls = frozenset({URL, OTHER})
        resolution = await opened.resolve(app, urls)
        return await self.integrity.conditions(
            app, demanding, resolution.sources, repositories=opened, hub=hub, urls=urls
        )


@pytest.fixture
def asking(home: GpgHome, tmp_path: Path) -> Asking:
    """A repository with one unsigned commit, and Alice's key in the folder."""
    repo = SignedRepo(tmp_path / "repo")
    repo.write("a.yaml", "a: 1\n")
    repo.commit("Unsigned")
    keyring = tmp_path / "keys"
    keyring.mkdir()
    (keyring / "alice.asc").write_text(home.public("Alice"))
    return Asking(repo, keyring)


async def test_without_a_demand_nothing_is_read(asking: Asking, tmp_path: Path) -> None:
    """A project that demands nothing costs nothing, not even a look at the keys."""
    asking.integrity.keyring = tmp_path / "none"
    assert await asking.ask(AppProject(name="team")) == ()
    assert await asking.ask(project(mode="none")) == ()
    assert await asking.ask(project("A" * 16, url="https://elsewhere/*")) == ()
    (told,) = await asking.ask(project("A" * 16))
    assert "keyring folder" in told.message
    assert told.severity is Severity.ERROR


async def test_many_applications_are_one_question(asking: Asking, home: GpgHome) -> None:
    """Hundreds of applications of one revision have it verified once."""
    asking.repo.signed_commit("Signed", home, home.fingerprint("Alice"))
    demanding = project(home.fingerprint("Alice"))
    opened = await Repositories.open([f"{URL}={asking.repo.path}"])
    answers = await asyncio.gather(
        *(asking.ask(demanding, name=f"app{n}", repositories=opened) for n in range(100))
    )
    assert set(answers) == {()}
    assert asking.integrity._verifier.runs == 1
    assert len(asking.integrity._answers) == 1
    asking.now = KEPT_SECONDS + 1
    await asking.ask(demanding, repositories=opened)
    assert asking.integrity._verifier.runs == 2


async def test_keys_are_read_anew(asking: Asking, home: GpgHome) -> None:
    """A key that comes or goes counts at the next look."""
    asking.repo.signed_commit("Signed", home, home.fingerprint("Bob"))
    demanding = project(home.fingerprint("Bob"))
    (told,) = await asking.ask(demanding)
    assert "which is not known here" in told.message
    (asking.keyring / "bob.asc").write_text(home.public("Bob"))
    assert await asking.ask(demanding) == ()
    (asking.keyring / "bob.asc").unlink()
    (told,) = await asking.ask(demanding)
    assert told.type == REFUSED


async def test_keys_of_the_hub_count_too(asking: Asking, home: GpgHome) -> None:
    """The hub's keys are joined with the folder's; why they are not known is told."""
    bob = home.fingerprint("Bob")
    asking.repo.signed_commit("Signed", home, bob)
    hub = Hub(name="hub", gpg_keys={bob[-16:]: home.public("Bob")})
    assert await asking.ask(project(bob), hub=hub) == ()
    blind = Hub(name="hub", gpg_problem="the hub's argocd-gpg-keys-cm is not known: forbidden")
    (told,) = await asking.ask(project(bob), hub=blind)
    assert "; the hub's argocd-gpg-keys-cm is not known: forbidden; " in told.message


async def test_each_source_has_its_answer(asking: Asking, home: GpgHome) -> None:
    """Of several sources the one that is not signed is named; charts are said to be no Git."""
    alice = home.fingerprint("Alice")
    unsigned = asking.repo.head
    asking.repo.signed_commit("Signed", home, alice)
    told = await asking.ask(
        project(alice),
        ApplicationSource(repo_url=URL, path="."),
        ApplicationSource(repo_url=OTHER, path=".", target_revision=unsigned),
        ApplicationSource(repo_url="https://charts.example", chart="redis", target_revision="1.0"),
    )
    assert [(one.type, one.severity) for one in told] == [
        (NOT_GIT, Severity.INFO),
        (REFUSED, Severity.ERROR),
    ]
    assert told[0].message.startswith("source 3 (redis) is not in Git")
    assert told[1].message.startswith(f"source 2: revision {unsigned[:12]} is not signed")


async def test_contradicting_policies_refuse(asking: Asking, home: GpgHome) -> None:
    """Where the demand cannot be understood, the revision is not taken for signed."""
    asking.repo.signed_commit("Signed", home, home.fingerprint("Alice"))
    (told,) = await asking.ask(project(home.fingerprint("Alice"), mode="heads"))
    assert told.type == REFUSED
    assert "mode 'heads'" in told.message


@pytest.mark.parametrize("keys", [(), ("57A46444",)])
async def test_useless_keys_are_told(asking: Asking, home: GpgHome, keys: tuple[Any, ...]) -> None:
    """A policy without usable keys refuses everything, and says that it lists none."""
    asking.repo.signed_commit("Signed", home, home.fingerprint("Alice"))
    (told,) = await asking.ask(project(*keys))
    assert "none of the keys that are listed can be used" in told.message
    assert all(repr(key) in told.message for key in keys)


async def test_a_missing_tool_refuses_and_is_asked_again(
    asking: Asking, home: GpgHome, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without gpgv the application is refused; once it is there, it is judged."""
    alice = home.fingerprint("Alice")
    asking.repo.signed_commit("Signed", home, alice)
    # Git itself must be found.
    tools = tmp_path / "tools"
    tools.mkdir()
    import shutil

    git = shutil.which("git")
    assert git is not None
    (tools / "git").symlink_to(git)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", str(tools))
        (told,) = await asking.ask(project(alice))
    assert "cannot be verified: gpgv was not found" in told.message
    assert await asking.ask(project(alice)) == ()
