"""Which repository a source is read from, and what is said about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftd.errors import SourceError
from driftd.model.application import Application, ApplicationSource, ApplicationSpec
from driftd.model.condition import Severity
from driftd.source.bindings import Binding, Checkout, RepositoryMap, parse_repo_flags
from driftd.source.git import GitRepository
from driftd.source.repositories import Repositories, git_urls, notes_as_conditions
from tests.testbed.gitrepo import GitRepo

pytestmark = pytest.mark.slow

URL = "https://github.com/example/gitops.git"
OTHER = "https://github.com/example/other.git"


def _app(*sources: ApplicationSource, name: str = "app") -> Application:
    return Application(name=name, namespace="argocd", spec=ApplicationSpec(sources=sources))


def _source(url: str = URL, revision: str = "", path: str = "app") -> ApplicationSource:
    return ApplicationSource(repo_url=url, target_revision=revision, path=path)


@pytest.fixture
def repo(tmp_path: Path) -> GitRepo:
    """A checkout whose origin is the ssh spelling of `URL`."""
    made = GitRepo(tmp_path / "checkout")
    made.write("app/one.yaml", "old")
    made.commit()
    made.git("tag", "v1")
    made.write("app/one.yaml", "new")
    made.commit()
    made.set_remote("git@github.com:example/gitops.git")
    return made


def test_a_remote_of_the_checkout_binds() -> None:
    """A source whose URL is another spelling of a remote is read from that checkout."""
    table = RepositoryMap(checkouts=(Checkout("/c", ("git@GITHUB.com:example/gitops.git",)),))
    assert table.bind(URL, {URL, OTHER}) == Binding("/c", URL)


def test_a_pair_beats_everything() -> None:
    """`--repo URL=PATH` decides, whatever remotes and other URLs there are."""
    table = RepositoryMap(checkouts=(Checkout("/c", (URL,)),), pairs={URL: "/elsewhere"})
    assert table.bind("ssh://git@github.com/example/gitops", {URL}).path == "/elsewhere"


def test_the_only_url_is_taken_for_the_checkout_with_a_note() -> None:
    """When all sources name one URL, the checkout is taken to be it, and that is said."""
    table = RepositoryMap(checkouts=(Checkout("/c"),))
    binding = table.bind(URL, {URL, "git@github.com:example/gitops.git"})
    assert binding.path == "/c"
    assert URL in binding.note
    assert "/c" in binding.note


def test_two_urls_need_a_flag() -> None:
    """With several URLs nothing is guessed; the error has the flag to copy."""
    table = RepositoryMap(checkouts=(Checkout("/c"),))
    with pytest.raises(SourceError) as error:
        table.bind(OTHER, {URL, OTHER})
    hint = f"give it with --repo {OTHER}=PATH, let --fetch fetch it, or name the applications"
    assert error.value.hint.startswith(hint)


def test_a_checkout_is_not_taken_for_what_only_others_name() -> None:
    """Where its own Applications name a repository, a hub's others do not make it theirs."""
    table = RepositoryMap(checkouts=(Checkout("/c"),), own=(URL,))
    with pytest.raises(SourceError, match=f"its own Applications name {URL}") as error:
        table.bind(OTHER, {OTHER})
    assert "'production/*'" in error.value.hint
    assert table.bind(URL, {URL, OTHER}).path == "/c"


def test_a_path_as_url_binds_to_its_checkout(tmp_path: Path) -> None:
    """A repoURL that is the checkout's path, also as file://, is that checkout."""
    table = RepositoryMap(checkouts=(Checkout(str(tmp_path)),))
    assert table.bind(str(tmp_path) + "/", {OTHER}).path == str(tmp_path)
    assert table.bind(f"file://{tmp_path}", {OTHER}).path == str(tmp_path)
    with pytest.raises(SourceError):
        table.bind("file:///etc", {OTHER})


def test_remote_urls_are_fetched_only_where_asked() -> None:
    """With fetching on, an unknown https URL binds to the remote and a dangerous one does not."""
    table = RepositoryMap(remote=True)
    assert table.bind(URL, ()) == Binding("", URL)
    with pytest.raises(SourceError):
        table.bind("--upload-pack=touch X", ())


def test_repo_flags() -> None:
    """`--repo` values are paths or URL=PATH pairs; half a pair is refused."""
    assert parse_repo_flags([".", f"{URL}=../x", "git@h:p=y", "a=b"]) == (
        ["."],
        {URL: "../x", "git@h:p": "y", "a": "b"},
    )
    with pytest.raises(SourceError, match="neither a path nor URL=PATH"):
        parse_repo_flags([f"{URL}="])


async def test_sources_resolve_to_trees(repo: GitRepo) -> None:
    """Each source gets the files of its own revision, and its index."""
    repositories = await Repositories.open([str(repo.path)])
    app = _app(_source(), _source(revision="v1"))
    found = await repositories.resolve(app, git_urls([app]))
    assert found.conditions == ()
    assert [s.tree.files["app/one.yaml"] for s in found.sources] == [b"new", b"old"]
    assert [s.index for s in found.sources] == [0, 1]
    assert found.sources[0].revision == repo.head
    assert repositories.notes == ()


async def test_one_bad_source_leaves_the_others(repo: GitRepo) -> None:
    """A chart and a wrong revision are conditions with their source's number and a remedy."""
    repositories = await Repositories.open([str(repo.path)])
    chart = ApplicationSource(
        repo_url="https://charts.example.com", chart="redis", target_revision="1.x"
    )
    app = _app(_source(), chart, _source(revision="nope"))
    found = await repositories.resolve(app, git_urls([app]))
    assert [s.index for s in found.sources] == [0]
    messages = [c.message for c in found.conditions]
    assert "source 2: chart redis" in messages[0]
    assert "is not fetched here" in messages[0]
    assert "source 3: " in messages[1]
    assert "'nope' does not exist" in messages[1]
    assert {c.severity for c in found.conditions} == {Severity.ERROR}


async def test_uncommitted_files_are_ignored_with_a_note(repo: GitRepo) -> None:
    """HEAD counts, not what lies in the checkout; a note names the flag, once."""
    repo.write("app/one.yaml", "uncommitted")
    repositories = await Repositories.open([str(repo.path)])
    for _ in range(2):
        assert (await repositories.homes())[0][0].tree.files["app/one.yaml"] == b"new"
    assert len(repositories.notes) == 1
    assert "--worktree" in repositories.notes[0]
    assert notes_as_conditions(repositories.notes)[0].severity is Severity.INFO


async def test_files_that_are_read_from_disk_are_no_uncommitted_ones(
    repo: GitRepo, tmp_path: Path
) -> None:
    """Files and folders that flags name do not count, as long as nothing else is uncommitted."""
    repo.write("ci/accepted [x].yaml", "given")
    repo.write("ci/keys/one.asc", "given")
    (repo.path / "link.yaml").symlink_to("ci/accepted [x].yaml")
    elsewhere = tmp_path / "elsewhere.yaml"
    elsewhere.touch()
    beside = [repo.path / "ci" / "keys", repo.path / "app" / ".." / "link.yaml", elsewhere]

    async def notes() -> list[str]:
        repositories = await Repositories.open([str(repo.path / "app")], beside=beside)
        again = repositories.at("HEAD")
        await repositories.homes()
        await again.homes()
        return [*repositories.notes, *again.notes]

    assert await notes() == []
    repo.write("ci/accepted x.yaml", "not given, though a pattern would take it in")
    assert [note.partition(" in ")[0] for note in await notes()] == ["uncommitted files"] * 2


async def test_the_checkout_itself_is_never_left_out(repo: GitRepo) -> None:
    """A flag that names the whole checkout hides no uncommitted file."""
    repo.write("app/one.yaml", "uncommitted")
    repositories = await Repositories.open([str(repo.path)], beside=[repo.path])
    await repositories.homes()
    assert len(repositories.notes) == 1


async def test_another_branch_than_the_default_one(repo: GitRepo) -> None:
    """A checkout of a feature branch is not what the clusters follow: a note says so."""
    repo.git("update-ref", "refs/remotes/origin/main", "HEAD")
    repositories = await Repositories.open([str(repo.path)])
    await repositories.homes()
    assert repositories.notes == ()
    repo.git("checkout", "-q", "-b", "feature/x")
    repositories = await Repositories.open([str(repo.path)])
    await repositories.homes()
    (note,) = repositories.notes
    assert "is branch feature/x, not main: " in note
    assert note.endswith("--revision main reads that")


async def test_worktree_reads_what_lies_there(repo: GitRepo) -> None:
    """With `worktree`, HEAD and the branch that is checked out mean the files; a tag does not."""
    repo.write("app/one.yaml", "uncommitted")
    repositories = await Repositories.open([str(repo.path)], worktree=True)
    app = _app(_source(), _source(revision="main"), _source(revision="v1"))
    found = await repositories.resolve(app, git_urls([app]))
    contents = [s.tree.files["app/one.yaml"] for s in found.sources]
    assert contents == [b"uncommitted", b"uncommitted", b"old"]
    assert found.sources[0].revision == f"{repo.head}-dirty"
    (note,) = repositories.notes
    assert "targetRevision v1 are read at that revision: --worktree" in note


async def test_a_look_is_consistent_until_forgotten(repo: GitRepo) -> None:
    """A revision resolves once per look: a commit in between is seen by the next look only."""
    repositories = await Repositories.open([str(repo.path)])
    first = (await repositories.homes())[0][0]
    repo.write("app/one.yaml", "newer")
    repo.commit()
    assert (await repositories.homes())[0][0].revision == first.revision
    repositories.forget()
    assert (await repositories.homes())[0][0].revision == repo.head


async def test_a_mirror_serves_other_urls(repo: GitRepo, tmp_path: Path) -> None:
    """Sources of unknown URLs are read from what `mirror` makes, made once per repository."""
    made: list[str] = []

    def mirror(url: str, _project: str) -> GitRepository:
        made.append(url)
        return GitRepository.open(repo.path)

    own = GitRepo(tmp_path / "own")
    own.write("x", "y")
    own.commit()
    repositories = await Repositories.open([str(own.path)], mirror=mirror)
    app = _app(_source(), _source(revision="v1"))
    found = await repositories.resolve(app, git_urls([app]))
    assert len(found.sources) == 2
    assert made == [URL]


async def test_some_repositories_are_resolved_anew(tmp_path):
    """Of two repositories the one that is meant is read again, the other as it was read before."""
    repos = {}
    for name, url in (("one", URL), ("two", OTHER)):
        repos[name] = GitRepo(tmp_path / name)
        repos[name].set_remote(url)
        repos[name].write("a.yaml", "a: 1\n")
        repos[name].commit()
    opened = await Repositories.open([str(repo.path) for repo in repos.values()])
    app = _app(
        ApplicationSource(repo_url=URL, path="."), ApplicationSource(repo_url=OTHER, path=".")
    )
    assert opened.urls(()) == {URL, OTHER}

    async def revisions():
        found = await opened.resolve(app, {URL, OTHER})
        return [source.revision for source in found.sources]

    before = await revisions()
    heads = [repo.commit("More") for repo in repos.values()]
    assert await revisions() == before
    opened.forget_some(lambda url: url == URL, (URL, OTHER))
    assert await revisions() == [heads[0], before[1]]
    opened.forget_some(lambda url: False, (URL, OTHER))
    assert await revisions() == [heads[0], before[1]]
    opened.forget_some(lambda url: True, (URL, OTHER))
    assert await revisions() == heads
