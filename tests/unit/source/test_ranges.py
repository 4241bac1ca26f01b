"""Ranges of versions as targetRevision of Git sources: which tag they come to."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftd.model.application import Application, ApplicationSource, ApplicationSpec
from driftd.model.repository import AccessTable
from driftd.sandbox.pool import SandboxPool
from driftd.source.charts import Charts
from driftd.source.egress import Egress
from driftd.source.guard import unguarded
from driftd.source.mirror import GitCredential, GitMirror
from driftd.source.repositories import Repositories, Resolution
from tests.testbed.gitrepo import GitRepo
from tests.unit.source.httpsserver import RunningServer

pytestmark = pytest.mark.slow

TAGS = ("v1.2.0", "v1.10.0", "1.9.3", "v2.0.0-rc.1", "web-3.1.0", "web-3.4.0", "nightly", "v0.9.0")
URL = "https://git.example.com/platform.git"


@pytest.fixture
def repo(tmp_path: Path) -> GitRepo:
    """A repository with a tag for each version, each of another content, and later commits."""
    made = GitRepo(tmp_path / "served" / "platform")
    for tag in TAGS:
        made.write("app/version", tag)
        made.commit(tag)
        made.git("tag", tag)
    made.write("app/version", "main")
    made.commit("Later")
    made.set_remote(URL)
    return made


@pytest.fixture
async def repositories(repo: GitRepo, sandbox: SandboxPool, egress: Egress) -> Repositories:
    """The checkout, with what can choose versions."""
    charts = Charts(sandbox, egress, AccessTable())
    return await Repositories.open([str(repo.path)], charts=charts)


async def resolved(
    repositories: Repositories, revision: str, prefix: str = "", url: str = URL
) -> Resolution:
    """What a source of this revision reads."""
    source = ApplicationSource(
        repo_url=url, path="app", target_revision=revision, tag_prefix=prefix
    )
    app = Application(name="web", namespace="argocd", spec=ApplicationSpec(source=source))
    return await repositories.resolve(app, [url])


@pytest.mark.parametrize(
    ("revision", "prefix", "version"),
    [
        ("^1.2", "", "v1.10.0"),
        ("~1.2", "", "v1.2.0"),
        ("1.x", "", "v1.10.0"),
        ("1.9.*", "", "1.9.3"),
        (">=1.0 <1.10", "", "1.9.3"),
        ("1.0 - 1.9", "", "1.9.3"),
        (">1.0.0 1.9.x", "", "1.9.3"),
        ("1.x 1.9.x", "", "1.9.3"),
        ("<1 || ^1.2", "", "v1.10.0"),
        ("*", "", "v1.10.0"),
        (">=2.0.0-0", "", "v2.0.0-rc.1"),
        ("^3.0", "web-", "web-3.4.0"),
        ("3.1.0", "web-", "web-3.1.0"),
        ("main", "", "main"),
        ("main", "web-", "main"),
        ("v1.2.0", "", "v1.2.0"),
    ],
)
async def test_a_range_is_the_highest_tag_in_it(
    repositories: Repositories, revision: str, prefix: str, version: str
) -> None:
    """Highest by version, not by name; pre-releases only where they are asked for."""
    (source,) = (await resolved(repositories, revision, prefix)).sources
    assert source.tree.files["app/version"].decode() == version
    assert source.tag == ("" if revision in ("main", "v1.2.0") else f"refs/tags/{version}")


async def test_a_branch_named_like_a_range_comes_first(
    repositories: Repositories, repo: GitRepo
) -> None:
    """`1.x` is a usual name of a branch: who has it means it."""
    repo.git("branch", "1.x", "v0.9.0")
    (source,) = (await resolved(repositories, "1.x")).sources
    assert source.tree.files["app/version"] == b"v0.9.0"


@pytest.mark.parametrize(
    ("revision", "prefix", "told"),
    [
        ("^7", "", "none of its tags is a version that '^7' means; the highest of 8 are"),
        ("^7", "web-", "none of its tags that begin with web- is a version that '^7' means"),
        ("^1", "none-", "it has 0 such tags, and none is a semantic version"),
        ("^^1", "", "neither a version nor a range"),
    ],
)
async def test_a_range_without_a_tag(
    repositories: Repositories, revision: str, prefix: str, told: str
) -> None:
    """The condition names the range, and what there is instead."""
    found = await resolved(repositories, revision, prefix)
    assert found.sources == ()
    assert told in found.conditions[0].message


async def test_new_tags_count_at_the_next_look(repositories: Repositories, repo: GitRepo) -> None:
    """Within a look a range means one tag; the next one lists the tags anew."""
    await resolved(repositories, "^1.2")
    repo.git("tag", "v1.11.0")
    (before,) = (await resolved(repositories, "^1.2")).sources
    repositories.forget()
    (after,) = (await resolved(repositories, "^1.2")).sources
    assert (before.tag, after.tag) == ("refs/tags/v1.10.0", "refs/tags/v1.11.0")


async def test_the_annotated_tag_behind_a_range(repositories: Repositories, repo: GitRepo) -> None:
    """Signatures are asked of the tag that a range came to."""
    repo.git("tag", "--annotate", "--message=Release", "v1.12.0")
    (source,) = (await resolved(repositories, "^1.12")).sources
    _, tag = await repositories.named(source, [URL])
    assert tag is not None
    assert tag.name == "v1.12.0"


async def test_a_range_of_a_remote(
    repo: GitRepo, sandbox: SandboxPool, egress: Egress, tmp_path: Path
) -> None:
    """Tags of a remote are listed without fetching them; an annotated one means its commit."""
    repo.git("tag", "--annotate", "--message=Release", "v1.12.0", "v1.2.0")
    (tmp_path / "tls").mkdir()
    with RunningServer(repo.path.parent, tmp_path / "tls") as server:
        url = server.url("platform/.git")
        credential = GitCredential(ca_file=str(server.ca_file))
        mirror = GitMirror(url, tmp_path / "cache", credential=credential, guard=unguarded)
        charts = Charts(sandbox, egress, AccessTable())
        repositories = await Repositories.open(
            (), mirror=lambda _url, _project: mirror, charts=charts
        )
        (source,) = (await resolved(repositories, "^1.12", url=url)).sources
    assert source.tag == "refs/tags/v1.12.0"
    assert source.tree.files["app/version"] == b"v1.2.0"
