"""Commits and tags as they are stored, and what a revision names."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftd.errors import SourceError
from driftd.model.gitobject import AnnotatedTag
from driftd.source.git import GitRepository
from tests.testbed.gitrepo import GitRepo


@pytest.fixture
def repo(tmp_path: Path) -> GitRepo:
    """Three commits."""
    repo = GitRepo(tmp_path / "repo")
    for number in range(3):
        repo.commit(f"Commit {number}")
    return repo


async def test_objects_are_bytes_as_stored(repo: GitRepo) -> None:
    """Every object asked for comes whole; those that are not there are left out."""
    repo.git("tag", "--annotate", "--message=One", "v1")
    tag = repo.git("rev-parse", "v1").strip()
    opened = GitRepository.open(repo.path)
    found = await opened.objects([repo.head, "0" * 40, tag, tag])
    assert set(found) == {repo.head, tag}
    assert found[repo.head].data == repo.git("cat-file", "commit", repo.head).encode()
    assert (found[tag].kind, found[repo.head].kind) == ("tag", "commit")
    assert await opened.objects([]) == {}


@pytest.mark.parametrize("oid", ["HEAD", "main", "abc", "--batch-all-objects", "0" * 40 + "\n"])
async def test_only_full_ids_are_asked_for(repo: GitRepo, oid: str) -> None:
    """Names and options never reach git where an id is expected (S-04)."""
    opened = GitRepository.open(repo.path)
    with pytest.raises(SourceError, match="not a full object id"):
        await opened.objects([oid])
    with pytest.raises(SourceError, match="not a full commit id"):
        await opened.ancestors(oid, 10)


async def test_ancestors_come_before_their_parents(repo: GitRepo) -> None:
    """The list begins at the commit and is cut at the limit."""
    expected = repo.git("rev-list", "HEAD").split()
    opened = GitRepository.open(repo.path)
    assert await opened.ancestors(repo.head, 10) == expected
    assert await opened.ancestors(repo.head, 2) == expected[:2]


async def test_annotated_tags_alone_are_tags(repo: GitRepo) -> None:
    """Branches, lightweight tags, ids and HEAD name commits; an annotated tag names itself."""
    repo.git("tag", "--annotate", "--message=One", "v1")
    repo.git("tag", "light")
    repo.git("branch", "other")
    tag = AnnotatedTag("v1", repo.git("rev-parse", "v1").strip())
    opened = GitRepository.open(repo.path)
    assert await opened.annotated_tag("v1") == tag
    assert await opened.annotated_tag("refs/tags/v1") == tag
    for name in ("", "HEAD", "light", "other", "refs/heads/other", repo.head, "none", "main~1"):
        assert await opened.annotated_tag(name) is None


async def test_a_tag_beats_a_branch_of_its_name(repo: GitRepo) -> None:
    """What is verified is what the revision resolves to, where tag and branch share a name."""
    repo.git("tag", "--annotate", "--message=One", "same", "HEAD~1")
    repo.git("branch", "same")
    opened = GitRepository.open(repo.path)
    found = await opened.annotated_tag("same")
    assert found is not None
    assert await opened.resolve("same") == repo.git("rev-parse", "HEAD~1").strip()


async def test_additions_of_commits(repo: GitRepo) -> None:
    """Each commit has the files that it added, neither renamed nor changed ones, newest first."""
    repo.write("a.yaml", "a: 1\n" * 9)
    repo.write("b 1.yaml", "b: 1\n")
    both = repo.commit("Two files")
    repo.git("mv", "a.yaml", "renamed.yaml")
    repo.write("b 1.yaml", "b: 2\n")
    changed = repo.commit("A new name and a new value")
    repo.write("A", "")
    repo.write("R100", "")
    odd = repo.commit("Names that look like a status")
    found = await GitRepository.open(repo.path).additions(repo.head, 3)
    assert [one.commit for one in found] == [odd, changed, both]
    assert [set(one.files) for one in found] == [{"A", "R100"}, set(), {"a.yaml", "b 1.yaml"}]
    assert found[0].date == repo.git("log", "-1", "--format=%cs").strip()
    with pytest.raises(SourceError, match="not a full commit id"):
        await GitRepository.open(repo.path).additions("main", 3)


async def test_a_merge_adds_what_its_branch_added(repo: GitRepo) -> None:
    """Commits of a merged branch are told as the merge, which is what is synced."""
    repo.git("checkout", "-q", "-b", "side")
    repo.write("side.yaml", "a: 1\n")
    repo.commit("On the side")
    repo.git("checkout", "-q", "-")
    repo.write("main.yaml", "a: 1\n")
    repo.commit("On the main branch")
    repo.git("merge", "-q", "--no-ff", "-m", "Merge it", "side")
    merge = repo.git("rev-parse", "HEAD").strip()
    first, second = await GitRepository.open(repo.path).additions(merge, 2)
    assert (first.commit, set(first.files)) == (merge, {"side.yaml"})
    assert set(second.files) == {"main.yaml"}
