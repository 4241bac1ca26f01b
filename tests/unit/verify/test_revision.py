"""Revisions held to a demand: real repositories, real signatures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from driftd.errors import VerificationError
from driftd.model.gitobject import AnnotatedTag, GitObject
from driftd.model.project import SignatureDemand, SignatureMode
from driftd.source.git import GitRepository
from driftd.verify import revision
from driftd.verify.keys import KeySet
from driftd.verify.revision import RevisionCheck
from driftd.verify.verifier import KEPT_SECONDS, Verifier
from tests.testbed.signing import SignedRepo, SshKey
from tests.unit.verify.conftest import People

pytestmark = pytest.mark.slow

SEAL = "Argocd-gpg-seal: reviewed"


@dataclass(slots=True)
class Judge:
    """Asks about revisions of one repository, with one verifier."""

    repo: SignedRepo
    keys: KeySet
    allowed: tuple[str, ...]
    now: float = 0.0
    verifier: Verifier = field(init=False)

    def __post_init__(self) -> None:
        self.verifier = Verifier(self.keys, monotonic=lambda: self.now)

    async def head(self, name: str = "HEAD") -> tuple[str, ...]:
        """What is wrong in mode head."""
        return await self.ask(name, SignatureMode.HEAD)

    async def strict(self, name: str = "HEAD") -> tuple[str, ...]:
        """What is wrong in mode strict."""
        return await self.ask(name, SignatureMode.STRICT)

    async def ask(self, name: str, mode: SignatureMode) -> tuple[str, ...]:
        """What is wrong in a mode."""
        opened = GitRepository.open(self.repo.path)
        commit = await opened.resolve(name)
        tree = self.repo.git("rev-parse", f"{commit}^{{tree}}").strip()
        demand = SignatureDemand(project="team", mode=mode, keys=self.allowed)
        check = RevisionCheck(opened, self.verifier, demand)
        return await check.problems(commit, tree, await opened.annotated_tag(name))


@pytest.fixture
def judge(repo: SignedRepo, people: People) -> Judge:
    """Alice's and Bob's keys are allowed; those of the others are known."""
    return Judge(repo, people.keys, (people.alice[-16:], people.bob))


def _words(problems: Sequence[str]) -> list[str]:
    """Problems without ids and names."""
    return [text.partition("@example.com> ")[2] for text in problems]


async def test_head_is_the_commit_alone(repo: SignedRepo, people: People, judge: Judge) -> None:
    """In mode head the last commit counts, whatever lies before it."""
    repo.commit("Unsigned")
    assert _words(await judge.head()) == ["is not signed"]
    repo.signed_commit("Signed", people.home, people.alice)
    assert await judge.head() == ()
    assert _words(await judge.strict()) == ["is not signed"]


async def test_each_failure_has_its_reason(repo: SignedRepo, people: People, judge: Judge) -> None:
    """Known keys that are not allowed, revoked and expired ones: the reason says which."""
    repo.signed_commit("Sue", people.home, people.sue)
    (sue,) = await judge.head()
    assert sue.endswith(
        f"is signed by GPG key {people.sues_subkey[-16:]}, which the project does not allow"
    )
    repo.signed_commit("Rita", people.home, people.rita)
    (rita,) = await judge.head()
    assert rita.endswith(f"is signed by GPG key {people.rita[-16:]}, which was revoked")
    assert repo.head[:12] in rita


async def test_subkey_of_an_allowed_key(repo: SignedRepo, people: People) -> None:
    """A policy names the key as people know it; its subkey signs."""
    repo.signed_commit("Sue", people.home, people.sue)
    assert await Judge(repo, people.keys, (people.sue[-16:],)).head() == ()


async def test_annotated_tag_stands_for_its_commit(
    repo: SignedRepo, people: People, judge: Judge
) -> None:
    """In mode head a tag's own signature counts, in mode strict the commits' as well."""
    repo.commit("Unsigned")
    repo.signed_tag("v1", people.home, people.alice)
    repo.signed_tag("v2", people.home, people.sue)
    repo.git("tag", "--annotate", "--message=Unsigned", "v3")
    repo.git("tag", "light")
    assert await judge.head("v1") == ()
    assert _words(await judge.strict("v1")) == ["is not signed"]
    (second,) = await judge.head("v2")
    assert second.startswith("tag v2 by ")
    assert "does not allow" in second
    assert _words(await judge.head("v3")) == ["is not signed"]
    assert _words(await judge.head("light")) == ["is not signed"]
    assert await judge.head("refs/tags/v1") == ()


async def test_tag_of_a_tag(repo: SignedRepo, people: People, judge: Judge) -> None:
    """The outer tag signs the inner one by its id, and so the commit."""
    repo.commit("Unsigned")
    repo.git("tag", "--annotate", "--message=Inner", "inner")
    repo.signed_tag("outer", people.home, people.alice, target="inner")
    assert await judge.head("outer") == ()


async def test_old_tag_under_a_new_name(repo: SignedRepo, people: People, judge: Judge) -> None:
    """An old release's tag object that is served as the newest is refused."""
    repo.commit("Old")
    oid = repo.signed_tag("v1", people.home, people.alice)
    repo.git("update-ref", "refs/tags/v9", oid)
    with pytest.raises(VerificationError, match="tag v9 was signed under another name, as 'v1'"):
        await judge.head("v9")


async def test_seal_vouches_for_what_lies_before(
    repo: SignedRepo, people: People, judge: Judge
) -> None:
    """In mode strict the walk ends at a seal by an allowed key, and begins anew after it."""
    repo.commit("Unsigned")
    repo.signed_commit("Signed", people.home, people.alice)
    assert len(await judge.strict()) == 1
    repo.signed_commit("Seal", people.home, people.alice, trailer=SEAL)
    repo.signed_commit("Signed", people.home, people.bob)
    assert await judge.strict() == ()
    repo.commit("Unsigned again")
    repo.signed_commit("Signed", people.home, people.bob)
    assert _words(await judge.strict()) == ["is not signed"]


async def test_seals_that_are_none(repo: SignedRepo, people: People, judge: Judge) -> None:
    """A seal without a signature, or by a key that is not allowed, seals nothing (S-14)."""
    repo.commit("Unsigned root")
    repo.git("commit", "--allow-empty", "--quiet", "--message=No seal", f"--trailer={SEAL}")
    repo.signed_commit("No seal", people.home, people.sue, trailer=SEAL)
    repo.signed_commit("Tip", people.home, people.alice)
    told = _words(await judge.strict())
    assert len(told) == 3
    assert "does not allow" in told[0]
    assert told[1:] == ["is not signed", "is not signed"]


async def test_unsigned_commit_below_a_signed_merge(
    repo: SignedRepo, people: People, judge: Judge
) -> None:
    """A signed merge does not hide an unsigned commit of either side (S-14)."""
    repo.signed_commit("Root", people.home, people.alice)
    repo.git("checkout", "--quiet", "-b", "side")
    repo.commit("Unsigned on the side")
    repo.git("checkout", "--quiet", "main")
    repo.signed_commit("Main", people.home, people.alice)
    repo.signed_commit("Merge", people.home, people.alice, parents="side")
    assert await judge.head() == ()
    assert _words(await judge.strict()) == ["is not signed"]


async def test_seal_on_one_side_covers_what_both_share(
    repo: SignedRepo, people: People, judge: Judge
) -> None:
    """What a seal vouches for is vouched for, by whichever way it is reached."""
    repo.commit("Unsigned root")
    repo.git("checkout", "--quiet", "-b", "side")
    repo.signed_commit("Side", people.home, people.bob)
    repo.git("checkout", "--quiet", "main")
    repo.signed_commit("Seal", people.home, people.alice, trailer=SEAL)
    repo.signed_commit("Merge", people.home, people.alice, parents="side")
    assert await judge.strict() == ()


async def test_shared_key_ids_hide_nothing(repo: SignedRepo, people: People, judge: Judge) -> None:
    """An unsigned commit that carries the signature of a good one is bad, not passed over."""
    good = repo.signed_commit("Good", people.home, people.alice)
    data = repo.git("cat-file", "commit", good).encode().replace(b"\n\nGood", b"\n\nEvil")
    data = data.replace(b"\nauthor ", f"\nparent {good}\nauthor ".encode(), 1)
    evil = repo.raw("commit", data)
    repo.git("update-ref", "refs/heads/main", evil)
    (told,) = await judge.head()
    assert f"has a bad signature by GPG key {people.alice[-16:]}" in told
    assert len(await judge.strict()) == 1


async def test_many_problems_are_counted(repo: SignedRepo, judge: Judge) -> None:
    """Five commits are named, the others counted."""
    for number in range(8):
        repo.commit(f"Unsigned {number}")
    told = await judge.strict()
    assert len(told) == 6
    assert told[-1] == "and 3 more"


async def test_ssh_signed_commit(repo: SignedRepo, people: People, carol: SshKey) -> None:
    """A policy may list SSH keys by fingerprint; a GPG policy alone refuses them."""
    repo.ssh_commit("Signed", carol)
    keys = KeySet(people.keys.openpgp, f"carol {carol.public}\n".encode())
    assert await Judge(repo, keys, (carol.fingerprint,)).head() == ()
    (told,) = await Judge(repo, keys, (people.alice,)).head()
    assert told.endswith(
        f"is signed by SSH key {carol.fingerprint}, which the project does not allow"
    )


async def test_other_files_than_the_commits(repo: SignedRepo, people: People) -> None:
    """The files that are rendered must be those of the commit that is verified."""
    repo.write("a", "1")
    commit = repo.signed_commit("Signed", people.home, people.alice)
    demand = SignatureDemand(project="team", mode=SignatureMode.HEAD, keys=(people.alice,))
    check = RevisionCheck(GitRepository.open(repo.path), Verifier(people.keys), demand)
    with pytest.raises(VerificationError, match="other files"):
        await check.problems(commit, "a" * 40, None)


async def test_tag_that_moved(repo: SignedRepo, people: People) -> None:
    """A tag that names another commit than was resolved is not taken for it."""
    first = repo.signed_commit("First", people.home, people.alice)
    oid = repo.signed_tag("v1", people.home, people.alice)
    second = repo.signed_commit("Second", people.home, people.alice)
    tree = repo.git("rev-parse", f"{second}^{{tree}}").strip()
    demand = SignatureDemand(project="team", mode=SignatureMode.HEAD, keys=(people.alice,))
    check = RevisionCheck(GitRepository.open(repo.path), Verifier(people.keys), demand)
    assert await check.problems(first, tree, AnnotatedTag("v1", oid)) == ()
    with pytest.raises(VerificationError, match="tag v1 has moved"):
        await check.problems(second, tree, AnnotatedTag("v1", oid))


async def test_odd_commits_before_a_seal(repo: SignedRepo, people: People, judge: Judge) -> None:
    """What a seal vouches for need not be well-formed; what it does not vouch for must be."""
    repo.commit("Root")
    data = repo.git("cat-file", "commit", "HEAD").encode()
    odd = data.replace(b"\nauthor ", f"\nparent {repo.head}\nauthor ".encode(), 1)
    odd = odd.replace(b"\n\nRoot", b"\ngpgsig one\ngpgsig two\n\nOdd")
    repo.git("update-ref", "refs/heads/main", repo.raw("commit", odd))
    repo.signed_commit("Signed", people.home, people.alice)
    with pytest.raises(VerificationError, match="more than one signature"):
        await judge.strict()
    repo.signed_commit("Seal", people.home, people.alice, trailer=SEAL)
    assert await judge.strict() == ()


async def test_shallow_clone_is_told(repo: SignedRepo, people: People, tmp_path: Path) -> None:
    """In mode strict a history that is cut off is not taken for a whole one."""
    for number in range(3):
        repo.signed_commit(f"Signed {number}", people.home, people.alice)
    shallow = tmp_path / "shallow"
    repo.git("clone", "--quiet", "--depth=2", f"file://{repo.path}", str(shallow))
    judge = Judge(SignedRepo(shallow), people.keys, (people.alice,))
    assert await judge.head() == ()
    with pytest.raises(VerificationError, match="cut off") as caught:
        await judge.strict()
    assert "fetch-depth: 0" in caught.value.message


async def test_long_history_needs_a_seal(
    repo: SignedRepo, people: People, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The walk is bounded; a seal within the bound is enough."""
    monkeypatch.setattr(revision, "MOST_COMMITS", 4)
    for number in range(5):
        repo.signed_commit(f"Signed {number}", people.home, people.alice)
    with pytest.raises(VerificationError, match="since the last seal"):
        await judge.strict()
    repo.signed_commit("Seal", people.home, people.alice, trailer=SEAL)
    assert await judge.strict() == ()


async def test_histories_are_verified_once(repo: SignedRepo, people: People, judge: Judge) -> None:
    """A proven history ends the walk like a seal; after an hour it is verified anew."""
    for number in range(4):
        repo.signed_commit(f"Signed {number}", people.home, people.alice)
    assert await judge.strict() == ()
    assert judge.verifier.runs == 4
    repo.signed_commit("One more", people.home, people.bob)
    assert await judge.strict() == ()
    assert judge.verifier.runs == 5
    judge.now = KEPT_SECONDS + 1
    assert await judge.strict() == ()
    assert judge.verifier.runs == 10


@dataclass(slots=True)
class Liar:
    """A repository that leaves commits out of its lists, or serves others in their place."""

    real: GitRepository
    hidden: str = ""
    swapped: Mapping[str, GitObject] = field(default_factory=dict)

    async def objects(self, ids: Sequence[str]) -> Mapping[str, GitObject]:
        """Objects, some exchanged."""
        return {
            **await self.real.objects(ids),
            **{i: self.swapped[i] for i in ids if i in self.swapped},
        }

    async def ancestors(self, sha: str, limit: int) -> Sequence[str]:
        """The history without one commit."""
        return [one for one in await self.real.ancestors(sha, limit) if one != self.hidden]


async def test_lists_of_a_repository_are_not_believed(repo: SignedRepo, people: People) -> None:
    """A commit that the list leaves out is missed, since its child names it."""
    unsigned = repo.commit("Unsigned")
    tip = repo.signed_commit("Signed", people.home, people.alice)
    tree = repo.git("rev-parse", f"{tip}^{{tree}}").strip()
    demand = SignatureDemand(project="team", mode=SignatureMode.STRICT, keys=(people.alice,))
    liar = Liar(GitRepository.open(repo.path), hidden=unsigned)
    with pytest.raises(VerificationError, match="cut off"):
        await RevisionCheck(liar, Verifier(people.keys), demand).problems(tip, tree, None)


async def test_another_object_under_the_id(repo: SignedRepo, people: People) -> None:
    """A signed commit that is served in place of the unsigned one does not pass (S-15)."""
    signed = repo.signed_commit("Signed", people.home, people.alice)
    unsigned = repo.commit("Unsigned")
    real = GitRepository.open(repo.path)
    other = (await real.objects([signed]))[signed]
    liar = Liar(real, swapped={unsigned: GitObject(unsigned, "commit", other.data)})
    tree = repo.git("rev-parse", f"{unsigned}^{{tree}}").strip()
    demand = SignatureDemand(project="team", mode=SignatureMode.HEAD, keys=(people.alice,))
    with pytest.raises(VerificationError, match="does not have the content"):
        await RevisionCheck(liar, Verifier(people.keys), demand).problems(unsigned, tree, None)
