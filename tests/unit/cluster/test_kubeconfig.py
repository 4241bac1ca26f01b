"""Kubeconfig files, found and merged as kubectl does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from driftd.cluster.kubeconfig import Kubeconfig, load_kubeconfig
from driftd.errors import ConfigError

FIRST = """
apiVersion: v1
kind: Config
current-context: prod
clusters:
- name: prod
  cluster: {server: "https://prod.example.com:6443/", certificate-authority: pki/ca.crt}
users:
- name: admin
  user:
    token: s3cret
    client-certificate: /abs/client.crt
    exec: {command: ./login, apiVersion: client.authentication.k8s.io/v1}
contexts:
- name: prod
  context: {cluster: prod, user: admin, namespace: shop}
"""
SECOND = """
current-context: stage
clusters:
- name: prod
  cluster: {server: "https://other.example.com"}
- name: stage
  cluster: {server: "https://stage.example.com"}
users:
- name: admin
  user: {token: another}
- name: cloud
  user:
    tokenFile: token
    exec: {command: aws, apiVersion: client.authentication.k8s.io/v1beta1}
contexts:
- name: stage
  context: {cluster: stage, user: cloud}
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Two kubeconfigs in folders of their own."""
    paths = (tmp_path / "a" / "config", tmp_path / "b" / "config")
    for path, text in zip(paths, (FIRST, SECOND), strict=True):
        path.parent.mkdir()
        path.write_text(text)
    return paths


def load_merged(files: tuple[Path, ...]) -> Kubeconfig:
    """Both files, by KUBECONFIG."""
    return load_kubeconfig(environ={"KUBECONFIG": os.pathsep.join(map(str, files))})


def test_first_file_wins(files: tuple[Path, Path]) -> None:
    """Names and the current context that the first file sets are not changed by the second."""
    config = load_merged(files)
    assert config.current_context == "prod"
    assert [context.name for context in config.contexts] == ["prod", "stage"]
    assert config.context("prod").server == "https://prod.example.com:6443"
    assert config.context("prod").namespace == "shop"
    assert config.access("prod").user["token"] == "s3cret"


def test_paths_are_relative_to_their_own_file(files: tuple[Path, Path]) -> None:
    """Certificates, token files and plugins with a slash belong to their file's folder."""
    config = load_merged(files)
    first, second = (file.parent for file in files)
    prod, stage = config.access("prod"), config.access("stage")
    assert prod.cluster["certificate-authority"] == str(first / "pki/ca.crt")
    assert prod.user["client-certificate"] == "/abs/client.crt"
    assert Path(prod.user["exec"]["command"]) == first / "login"
    assert stage.user["tokenFile"] == str(second / "token")
    assert stage.user["exec"]["command"] == "aws"


def test_default_file_is_in_the_home_folder(tmp_path: Path) -> None:
    """Without flag and variable it is `~/.kube/config`; without that file nothing is known."""
    environ = {"HOME": str(tmp_path)}
    assert load_kubeconfig(environ=environ).contexts == ()
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text(FIRST)
    assert load_kubeconfig(environ=environ).current_context == "prod"


def test_missing_file_matters_only_if_named_by_flag(files: tuple[Path, Path]) -> None:
    """KUBECONFIG may name files that do not exist, `--kubeconfig` may not."""
    missing = files[0].with_name("missing")
    assert load_merged((missing, files[1])).current_context == "stage"
    with pytest.raises(ConfigError, match="missing does not exist") as caught:
        load_kubeconfig(str(missing))
    assert "--kubeconfig" in caught.value.hint


def test_unknown_context_names_files_and_choices(files: tuple[Path, Path]) -> None:
    """The error for a context that does not exist lists the files and the contexts."""
    with pytest.raises(ConfigError) as caught:
        load_merged(files).access("dev")
    assert str(files[0]) in str(caught.value)
    assert str(files[1]) in str(caught.value)
    assert caught.value.hint == "available contexts: prod, stage"


def test_no_context_at_all(tmp_path: Path) -> None:
    """Without any file, and with an empty one, the error says where was looked."""
    with pytest.raises(ConfigError, match=r"there is no kubeconfig \(looked for .*/config\)"):
        load_kubeconfig(environ={"HOME": str(tmp_path)}).access()
    empty = tmp_path / "empty"
    empty.write_text("")
    with pytest.raises(ConfigError, match=r"empty\) has no contexts") as caught:
        load_kubeconfig(str(empty)).access()
    assert "--kubeconfig" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", r"not valid YAML \(line \d+\)"),
        ("token: s3cret\n\tx: y", r"not valid YAML \(line \d+\)"),
        ("- a", "not a mapping"),
        ("clusters: [{cluster: {server: s3cret}}]", "an entry of clusters lacks"),
        ("users: [{name: x, user: s3cret}]", "an entry of users lacks"),
    ],
)
def test_broken_files_are_named_without_their_content(
    tmp_path: Path, text: str, message: str
) -> None:
    """The error has the file and the line, never what stands there."""
    file = tmp_path / "broken"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_kubeconfig(str(file))
    assert str(file) in str(caught.value)
    assert "s3cret" not in caught.value.message


def test_context_without_its_cluster_or_user(tmp_path: Path) -> None:
    """A context that names a cluster or user which is not there says which."""
    file = tmp_path / "config"
    file.write_text(
        "contexts: [{name: a, context: {cluster: c, user: u}}, {name: b, context: {cluster: x}}]\n"
        "clusters: [{name: c, cluster: {server: https://c}}]\n"
    )
    config = load_kubeconfig(str(file))
    with pytest.raises(ConfigError, match="no user 'u'"):
        config.access("a")
    with pytest.raises(ConfigError, match="no server for its cluster 'x'"):
        config.access("b")


def test_nothing_printed_shows_a_credential(files: tuple[Path, Path]) -> None:
    """Neither the configuration nor an access shows a token when it is printed."""
    config = load_merged(files)
    assert "s3cret" not in repr(config)
    assert "s3cret" not in repr(config.access())
    assert "prod" in repr(config.access())


def test_a_misspelt_context_of_a_flag_names_the_nearest(files: tuple[Path, Path]) -> None:
    """What a flag names and no file has is an error with the flag, the nearest one, and all."""
    config = load_merged(files)
    config.require("stage", "--cluster a=stage")
    with pytest.raises(ConfigError) as caught:
        config.require("stagee", "--cluster a=stagee")
    told = caught.value.message
    assert told.startswith("--cluster a=stagee: there is no context 'stagee' in kubeconfig (")
    assert told.endswith("; did you mean stage? available contexts: stage, prod")
    with pytest.raises(ConfigError, match="--cluster a=x: there is no kubeconfig"):
        Kubeconfig(files=("nowhere",)).require("x", "--cluster a=x")
