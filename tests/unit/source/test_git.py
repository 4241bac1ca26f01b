"""Local repositories, with real git: revisions, trees, work trees, and hostile content."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from driftd.errors import SourceError
from driftd.source.git import GitRepository
from driftd.source.objects import TreeLimits
from driftd.source.process import MIB
from tests.testbed.gitrepo import GitRepo

pytestmark = pytest.mark.slow


@pytest.fixture
def repo(tmp_path: Path) -> GitRepo:
    """A repository with one commit."""
    made = GitRepo(tmp_path / "checkout")
    made.write("apps/one.yaml", "kind: One\n")
    made.write("README.md", "hello\n")
    made.commit("Add one\n\nBody")
    return made


def _raw_tree(repo: GitRepo, name: bytes, mode: str = "100644") -> str:
    """Commit a tree with one entry of any name, written around git's own checks."""
    blob = repo.git("hash-object", "-w", "README.md").strip()
    entry = mode.encode() + b" " + name + b"\0" + bytes.fromhex(blob)
    file = repo.path.parent / "tree-object"
    file.write_bytes(entry)
    tree = repo.git("hash-object", "-w", "-t", "tree", "--literally", str(file)).strip()
    return repo.git("commit-tree", "-m", "Hostile", tree).strip()


async def test_reads_files_links_and_submodules(repo: GitRepo) -> None:
    """A tree has every blob's bytes, links as text and never followed, submodules by path."""
    (repo.path / "link").symlink_to("apps/one.yaml")
    (repo.path / "passwd").symlink_to("/etc/passwd")
    (repo.path / "binary").write_bytes(b"\x00\xff\r\n")
    repo.git("add", "--all")
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{repo.head},vendored")
    repo.git("commit", "--quiet", "--message=More")
    source = GitRepository.open(repo.path)
    tree = await source.tree(await source.resolve("HEAD"))
    assert tree.files["apps/one.yaml"] == b"kind: One\n"
    assert tree.files["binary"] == b"\x00\xff\r\n"
    assert tree.links == {"link": "apps/one.yaml", "passwd": "/etc/passwd"}
    assert not {"link", "passwd", "vendored"} & set(tree.files)
    assert tree.submodules == ("vendored",)
    assert tree.id == repo.git("rev-parse", "HEAD^{tree}").strip()


async def test_the_way_back_from_a_revision(repo: GitRepo) -> None:
    """People may write `main~1` and `HEAD^`; an application's revision is no such expression."""
    first = repo.head
    repo.write("count", "1")
    second = repo.commit("Count")
    source = GitRepository.open(repo.path)
    for expression in ("main~1", "HEAD^", "HEAD~", "HEAD^1", "main~0~1", second[:8] + "~1"):
        assert await source.ancestor(expression) == first, expression
    assert await source.ancestor("main") == second
    for wrong in ("main~7", "^main", "HEAD^{tree}", "HEAD~1:a", "main..HEAD"):
        with pytest.raises(SourceError):
            await source.ancestor(wrong)
    with pytest.raises(SourceError):
        await source.resolve("HEAD~1")


async def test_resolves_in_the_order_of_precedence(repo: GitRepo) -> None:
    """A name is a tag before a remote branch before a local branch, then a commit id."""
    commits = [repo.head]
    for number in range(3):
        repo.write("count", str(number))
        commits.append(repo.commit(f"Count {number}"))
    source = GitRepository.open(repo.path)
    repo.git("branch", "release", commits[0])
    assert await source.resolve("release") == commits[0]
    repo.git("update-ref", "refs/remotes/origin/release", commits[1])
    assert await source.resolve("release") == commits[1]
    repo.git("tag", "--annotate", "--message=x", "release", commits[2])
    assert await source.resolve("release") == commits[2]
    assert await source.resolve("refs/heads/release") == commits[0]
    assert await source.resolve("origin/release") == commits[1]
    assert await source.resolve("") == await source.resolve("HEAD") == commits[3]
    assert await source.resolve(commits[1]) == await source.resolve(commits[1][:9]) == commits[1]
    assert await source.branch() == "main"


async def test_unknown_revision_names_repository_revision_and_near_ones(repo: GitRepo) -> None:
    """The error for a wrong revision carries everything needed to correct it."""
    repo.git("branch", "production")
    with pytest.raises(SourceError) as error:
        await GitRepository.open(repo.path).resolve("prodution")
    assert str(repo.path) in str(error.value)
    assert "'prodution' does not exist" in str(error.value)
    assert error.value.hint == "did you mean production?"
    with pytest.raises(SourceError) as error:
        await GitRepository.open(repo.path).resolve("v9.9")
    assert error.value.hint == (
        "the repository has main, production; correct the revision, or run git fetch there if it "
        "is new"
    )


EXPRESSIONS = (
    *("--output=CANARY", "-x", "..", "a..b", "@{-1}", "HEAD:README.md", "HEAD~1", "@"),
    *("main^{}", ":/Add", "refs/heads/*", "x" * 300, "a b", "a\x00b", "refs/../HEAD"),
)


@pytest.mark.parametrize("revision", [*EXPRESSIONS, "main.lock"])
async def test_only_exact_names_resolve(repo: GitRepo, tmp_path: Path, revision: str) -> None:
    """S-04: git's expressions and options are refused, and nothing is written."""
    before = _files(tmp_path)
    with pytest.raises(SourceError, match=r"invalid revision"):
        await GitRepository.open(repo.path).resolve(revision.replace("CANARY", f"{tmp_path}/c"))
    assert _files(tmp_path) == before


def _files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


async def test_a_ref_that_looks_like_an_option_is_only_a_name(repo: GitRepo) -> None:
    """S-04: the legal ref `refs/heads/-x` resolves by its full name, without effect on git."""
    repo.git("update-ref", "refs/heads/-x", repo.head)
    assert await GitRepository.open(repo.path).resolve("refs/heads/-x") == repo.head


async def test_version_ranges_are_refused_with_the_remedy(repo: GitRepo) -> None:
    """A semantic version range is not mistaken for a revision."""
    with pytest.raises(SourceError) as error:
        await GitRepository.open(repo.path).resolve("v1.*")
    assert "ranges of versions are for targetRevision" in error.value.hint


DISGUISES = (b".git", b".GIT", b"git~1", ".g\u200cit".encode(), b".git.", b".git::$INDEX")
UNSAFE = (b"..", b".", b"a\\b", b"trailing.", b"x" * 300, b"\xff\xfe", b"new\nline")


@pytest.mark.parametrize("name", [*DISGUISES, *UNSAFE])
async def test_dangerous_names_are_refused(repo: GitRepo, name: bytes) -> None:
    """S-11: a tree entry that no file system should see is refused, its name escaped."""
    commit = _raw_tree(repo, name)
    with pytest.raises(SourceError) as error:
        await GitRepository.open(repo.path).tree(commit)
    assert error.value.reason == "InvalidPath"
    assert str(error.value).isprintable()
    assert str(error.value).isascii()


@pytest.mark.parametrize("name", ["Ärger-日本.yaml", ".gitignore", "a b/c.yaml", "...x", "git~x"])
async def test_ordinary_names_are_accepted(repo: GitRepo, name: str) -> None:
    """Unusual but harmless names are read."""
    repo.write(name, "x")
    source = GitRepository.open(repo.path)
    assert (await source.tree(repo.commit())).files[name] == b"x"


async def test_a_git_bomb_is_refused_quickly(repo: GitRepo) -> None:
    """S-09: a million files in a few objects are refused in under a second."""
    blob = repo.git("hash-object", "-w", "README.md").strip()
    kind, mode, child = "blob", "100644", blob
    listing = repo.path.parent / "listing"
    for _ in range(6):
        listing.write_text("".join(f"{mode} {kind} {child}\tf{n}\n" for n in range(10)))
        with listing.open() as stdin:
            child = _mktree(repo, stdin.read())
        kind, mode = "tree", "040000"
    commit = repo.git("commit-tree", "-m", "Bomb", child).strip()
    source = GitRepository.open(repo.path)
    started = _cpu_seconds()
    with pytest.raises(SourceError, match=r"more than 20,000 files"):
        await source.tree(commit)
    assert _cpu_seconds() - started < 1.0


def _mktree(repo: GitRepo, listing: str) -> str:
    done = subprocess.run(
        ["git", "mktree"], cwd=repo.path, input=listing, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize("repeats", [1, 3])
async def test_too_many_bytes_are_refused(repo: GitRepo, repeats: int) -> None:
    """One large blob, or one blob under many names, exceeds the limit and the file is named."""
    for number in range(repeats):
        (repo.path / f"big{number}").write_bytes(b"x" * (2 * MIB // repeats))
    commit = repo.commit()
    source = GitRepository.open(repo.path, TreeLimits(size=MIB))
    with pytest.raises(SourceError, match=r"more than 1 MiB.*big"):
        await source.tree(commit)


def _cpu_seconds() -> float:
    """CPU time of this process and its ended children: what a busy machine does not change."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _import_files(repo: GitRepo, files: dict[str, str]) -> None:
    """Commit files as one pack on the branch `bulk`, as they lie in a fresh clone."""
    changes = "".join(
        f"M 100644 inline {path}\ndata {len(text)}\n{text}\n" for path, text in files.items()
    )
    stream = f"commit refs/heads/bulk\ncommitter T <t@example.com> 0 +0000\ndata 0\n{changes}\n"
    subprocess.run(
        ["git", "fast-import", "--quiet"], cwd=repo.path, input=stream.encode(), check=True
    )


async def test_ten_thousand_blobs_are_read_in_a_second(repo: GitRepo) -> None:
    """Reading 10,000 files of a packed repository costs less than a second, git included."""
    _import_files(repo, {f"many/{n}.yaml": f"number: {n}\n" * 20 for n in range(10_000)})
    source = GitRepository.open(repo.path)
    commit = await source.resolve("bulk")
    started = _cpu_seconds()
    tree = await source.tree(commit)
    assert _cpu_seconds() - started < 1.0
    assert tree.files["many/9999.yaml"].startswith(b"number: 9999\n")


async def test_work_tree_has_what_lies_there(repo: GitRepo, tmp_path: Path) -> None:
    """`--worktree` reads changed and untracked files, not ignored or deleted ones, no links."""
    source = GitRepository.open(repo.path)
    clean, revision = await source.work_tree()
    assert revision == repo.head
    assert not await source.uncommitted()
    repo.write(".gitignore", "ignored\n")
    repo.write("ignored", "secret")
    repo.write("apps/one.yaml", "kind: Changed\n")
    repo.write("new.yaml", "kind: New\n")
    repo.remove("README.md")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "f").write_text("stolen")
    (repo.path / "link").symlink_to("../outside")
    assert await source.uncommitted()
    tree, revision = await source.work_tree()
    assert revision == f"{repo.head}-dirty"
    assert tree.files == {
        ".gitignore": b"ignored\n",
        "apps/one.yaml": b"kind: Changed\n",
        "new.yaml": b"kind: New\n",
    }
    assert tree.links == {"link": "../outside"}
    assert tree.id != clean.id


async def test_a_folder_replaced_by_a_link_is_not_followed(repo: GitRepo, tmp_path: Path) -> None:
    """S-08: a tracked file whose folder became a link to elsewhere is not read through it."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "one.yaml").write_text("stolen")
    repo.remove("apps/one.yaml")
    (repo.path / "apps").rmdir()
    (repo.path / "apps").symlink_to(tmp_path / "elsewhere")
    tree, _ = await GitRepository.open(repo.path).work_tree()
    assert b"stolen" not in tree.files.values()
    assert "apps/one.yaml" not in tree.files


async def test_nothing_of_a_repository_is_executed(repo: GitRepo, tmp_path: Path) -> None:
    """S-05, S-06: hooks, fsmonitor and filters, even configured in the repository, never run."""
    canary = tmp_path / "canary"
    script = tmp_path / "run.sh"
    script.write_text(f"#!/bin/sh\ntouch {canary}\n/bin/cat\n")
    script.chmod(0o755)
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for hook in ("post-index-change", "reference-transaction", "fsmonitor-watchman"):
        (hooks / hook).symlink_to(script)
    repo.write(".gitattributes", "*.yaml filter=evil diff=evil\n")
    commit = repo.commit()
    repo.write("apps/one.yaml", "kind: Eno\n")
    for key, value in {
        "core.hooksPath": str(hooks),
        "core.fsmonitor": str(script),
        "filter.evil.clean": str(script),
        "filter.evil.process": str(script),
        "filter.evil.required": "true",
        "diff.evil.command": str(script),
        "diff.external": str(script),
        "core.sshCommand": str(script),
        "core.pager": str(script),
    }.items():
        repo.git("config", key, value)
    _plain_status(repo.path)
    assert _took_effect(canary)  # git as everybody starts it does run them
    source = GitRepository.open(repo.path)
    await source.tree(await source.resolve("main"))
    await source.commit_info(commit)
    assert await source.uncommitted()
    assert (await source.work_tree())[0].files["apps/one.yaml"] == b"kind: Eno\n"
    assert not canary.exists()


def _plain_status(folder: Path) -> None:
    subprocess.run(["git", "status"], cwd=folder, capture_output=True, check=False)


def _took_effect(canary: Path) -> bool:
    """Whether the canary was there; it is removed."""
    there = canary.exists()
    canary.unlink(missing_ok=True)
    return there


async def test_an_embedded_bare_repository_is_content(repo: GitRepo, tmp_path: Path) -> None:
    """S-05: a bare repository inside the checkout with a hostile fsmonitor is never entered."""
    canary = tmp_path / "canary"
    script = tmp_path / "run.sh"
    script.write_text(f"#!/bin/sh\ntouch {canary}\n")
    script.chmod(0o755)
    inner = repo.path / "vendor"
    inner.mkdir()
    repo.git("init", "--quiet", "--bare", str(inner))
    with (inner / "config").open("a") as config:
        config.write(f"[core]\n\tfsmonitor = {script}\n\tbare = false\n\tworktree = ..\n")
    _plain_status(inner)
    assert _took_effect(canary)  # git started inside the content does run it
    source = GitRepository.open(repo.path)
    assert await source.uncommitted()
    assert "vendor/config" in (await source.work_tree())[0].files
    assert not canary.exists()


async def test_the_index_is_left_alone(repo: GitRepo) -> None:
    """Looking for uncommitted files does not write to the checkout."""
    os.utime(repo.path / "README.md", (1, 1))
    index = repo.path / ".git" / "index"
    before = index.read_bytes(), index.stat().st_mtime_ns
    assert not await GitRepository.open(repo.path).uncommitted()
    assert (index.read_bytes(), index.stat().st_mtime_ns) == before


async def test_linked_work_trees_bare_repositories_and_subfolders_open(
    repo: GitRepo, tmp_path: Path
) -> None:
    """Every way to have a repository on disk opens it."""
    repo.git("worktree", "add", "--quiet", "-b", "other", str(tmp_path / "linked"))
    repo.git("clone", "--quiet", "--bare", str(repo.path), str(tmp_path / "bare.git"))
    for path in (repo.path / "apps", tmp_path / "linked", tmp_path / "bare.git"):
        source = GitRepository.open(path)
        assert await source.resolve("HEAD") == repo.head
        assert "apps/one.yaml" in (await source.tree(repo.head)).files
    assert await GitRepository.open(tmp_path / "linked").branch() == "other"
    with pytest.raises(SourceError, match="no work tree"):
        await GitRepository.open(tmp_path / "bare.git").work_tree()


def test_no_repository_is_an_error_with_the_flag(tmp_path: Path) -> None:
    """A folder outside any repository, and a missing one, say what to do."""
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(SourceError) as error:
            GitRepository.open(path)
        assert "--repo" in error.value.hint
        assert str(path) in str(error.value)


async def test_an_empty_repository_says_so(tmp_path: Path) -> None:
    """A repository without a commit is an error that names the remedy."""
    with pytest.raises(SourceError, match="no commit yet"):
        await GitRepository.open(GitRepo(tmp_path / "new").path).resolve("")


async def test_remotes_and_commit(repo: GitRepo) -> None:
    """Remotes are listed with origin first; a commit has author, UTC date and subject."""
    repo.set_remote("git@example.com:team/fork.git", "aaa")
    repo.set_remote("https://example.com/team/gitops.git")
    source = GitRepository.open(repo.path)
    assert await source.remotes() == [
        "https://example.com/team/gitops.git",
        "git@example.com:team/fork.git",
    ]
    info = await source.commit_info(repo.head)
    assert (info.author, info.email) == ("Platform Team", "platform@example.com")
    assert (info.date, info.subject) == (datetime(2026, 1, 1, tzinfo=UTC), "Add one")


async def test_replace_refs_do_not_count(repo: GitRepo) -> None:
    """S-15: `git replace` cannot put other content under a commit's id."""
    first = repo.head
    repo.write("apps/one.yaml", "kind: Forged\n")
    forged = repo.commit()
    repo.git("replace", first, forged)
    tree = await GitRepository.open(repo.path).tree(first)
    assert tree.files["apps/one.yaml"] == b"kind: One\n"


async def test_sha256_repositories_are_read(tmp_path: Path) -> None:
    """A repository with SHA-256 object ids resolves and reads like any other."""
    folder = tmp_path / "sha256"
    outer = GitRepo(tmp_path / "outer")
    outer.git("init", "--quiet", "--initial-branch=main", "--object-format=sha256", str(folder))
    modern = GitRepo(folder)
    modern.write("x/one.yaml", "one")
    commit = modern.commit()
    source = GitRepository.open(folder)
    assert len(commit) == 64
    assert await source.resolve("main") == await source.resolve(commit[:10]) == commit
    assert (await source.tree(commit)).files["x/one.yaml"] == b"one"
