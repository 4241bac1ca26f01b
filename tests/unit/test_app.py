"""The composition root: what options and settings open, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftd import app
from driftd.controller.bearings import NEXT_STEPS
from driftd.controller.options import CheckOptions
from driftd.errors import ConfigError, SourceError
from tests.testbed.gitrepo import GitRepo
from tests.testbed.one_application import declare_shop, kubeconfig


@pytest.fixture
def repo(git_repo: GitRepo) -> GitRepo:
    """A checkout that declares one Application, into cluster `one`."""
    return declare_shop(git_repo)


def told(_text: str) -> None:
    """Progress that nobody reads."""


async def test_catalog(repo: GitRepo, tmp_path: Path) -> None:
    """A checkout and a kubeconfig give the applications with their clusters."""
    options = CheckOptions(repo=repo.path, kubeconfig=kubeconfig(tmp_path, "one", "two"))
    declared = await app.catalog(options, progress=told)
    (entry,) = declared.entries
    assert (entry.application.name, entry.cluster) == ("shop", "one")


async def test_render_without_kubeconfig(repo: GitRepo) -> None:
    """Rendering needs no cluster: without any kubeconfig there are the objects, and a note why."""
    notes: list[str] = []
    (found,) = await app.render(CheckOptions(repo=repo.path), progress=notes.append)
    assert [one.key.name for one in found.desired.manifests] == ["settings"]
    assert found.desired.conditions == ()
    (note,) = [text for text in notes if text.startswith("note: shop: ")]
    assert "no destination has a context" in note
    assert "kubeconfig" in note


async def test_the_current_folder_is_named_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `--repo` the error names the folder, not a dot."""
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(SourceError, match=f"{tmp_path}/empty is not in a Git repository") as caught:
        await app.catalog(CheckOptions(), progress=told)
    assert caught.value.hint == NEXT_STEPS


@pytest.mark.parametrize("option", ["context", "hub"])
async def test_a_context_that_does_not_exist(repo: GitRepo, tmp_path: Path, option: str) -> None:
    """A flag that names no context is an error of the flag, with the contexts there are."""
    file = kubeconfig(tmp_path, "one", "two")
    options = CheckOptions(repo=repo.path, kubeconfig=file, **{option: "nonesuch"})
    with pytest.raises(ConfigError, match="context 'nonesuch' does not exist") as caught:
        await app.catalog(options, progress=told)
    assert "one, two" in caught.value.hint


async def test_a_cluster_flag_with_an_unknown_context(repo: GitRepo, tmp_path: Path) -> None:
    """The context of `--cluster` must exist, with the nearest one named, before any rendering."""
    (repo.path / "apps/shop/settings.json").write_text("no manifest")
    repo.commit()
    file = kubeconfig(tmp_path, "one", "two")
    options = CheckOptions(repo=repo.path, kubeconfig=file, cluster_map={"one": "tow"})
    with pytest.raises(ConfigError, match="--cluster one=tow: there is no context 'tow'") as caught:
        await app.render(options, progress=told)
    assert caught.value.hint == "did you mean two? available contexts: two, one"
    with pytest.raises(ConfigError, match="--cluster one=two: there is no kubeconfig"):
        await app.render(CheckOptions(repo=repo.path, cluster_map={"one": "two"}), progress=told)


async def test_a_cluster_flag_without_destination(repo: GitRepo, tmp_path: Path) -> None:
    """The left side of `--cluster` must be a destination of some application."""
    file = kubeconfig(tmp_path, "one", "two")
    options = CheckOptions(repo=repo.path, kubeconfig=file, cluster_map={"onne": "two"})
    with pytest.raises(ConfigError, match="--cluster onne=two matches no destination") as caught:
        await app.catalog(options, progress=told)
    assert caught.value.hint == "did you mean one? destinations of the applications are: one"


@pytest.mark.parametrize("option", ["kubeconfig", "context", "hub"])
async def test_a_kubeconfig_that_is_asked_for_must_be_there(repo: GitRepo, option: str) -> None:
    """No kubeconfig is no error until a flag speaks of it."""
    missing: Path | str = Path("nonesuch") if option == "kubeconfig" else "one"
    options = CheckOptions(repo=repo.path, **{option: missing})
    with pytest.raises(ConfigError, match="kubeconfig"):
        await app.catalog(options, progress=told)
