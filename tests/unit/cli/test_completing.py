"""Completion of names, asked as the bash script asks."""

import os
import subprocess
import sys
import time

import pytest

APPLICATION = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  labels:
    team: a
  namespace: argocd
  name: {name}
spec:
  source: {{name: no-application}}
"""
KUBECONFIG = "apiVersion: v1\nkind: Config\ncontexts:\n- {name: prod-eu}\n- name: staging\n"


@pytest.fixture
def completed(tmp_path):
    """Complete the last word of a command line in a folder of manifests; the answers."""
    (tmp_path / "apps").mkdir()
    both = APPLICATION.format(name="shop") + "---\n" + APPLICATION.format(name="search # public")
    (tmp_path / "apps" / "all.yaml").write_text(both)
    (tmp_path / "project.yaml").write_text("kind: AppProject\nmetadata:\n  name: s-project\n")
    (tmp_path / "broken.yaml").write_bytes(b"kind: Application\n\xff")
    (tmp_path / "config").write_text(KUBECONFIG)

    def run(*words, **environment):
        done = subprocess.run(
            [sys.executable, "-m", "driftd.cli.main"],
            env={
                "PYTHONPATH": os.pathsep.join(sys.path),
                "_DRIFTD_COMPLETE": "bash_complete",
                "COMP_WORDS": " ".join(("driftd", *words)),
                "COMP_CWORD": str(len(words)),
                "KUBECONFIG": str(tmp_path / "config"),
                **environment,
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stderr == ""
        return [line.partition(",")[2] for line in done.stdout.splitlines() if line]

    return run


@pytest.mark.parametrize("command", ["check", "explain", "render", "baseline", "apps", "doctor"])
def test_applications(completed, command):
    """Every command that takes applications completes those that documents declare."""
    assert completed(command, "s") == ["search", "shop"]


def test_given_applications_are_not_offered_again(completed):
    """What stands on the line already is not completed once more."""
    assert completed("check", "shop", "s") == ["search"]


def test_contexts(completed):
    """Flags that take a context complete those of the kubeconfig; without one there are none."""
    assert completed("check", "--context", "p") == ["prod-eu"]
    assert completed("check", "--hub", "s") == ["staging"]
    assert completed("check", "--context", "p", KUBECONFIG="/nonexistent") == []


def test_large_repositories_end_in_time(tmp_path, monkeypatch):
    """The walk ends with its budget of time, with the names found so far."""
    from driftd.cli import completing

    (tmp_path / "a.yaml").write_text(APPLICATION.format(name="first"))
    (tmp_path / "b.yaml").write_text(APPLICATION.format(name="late"))
    moments = iter([0.0, 0.1, 9.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(moments))
    assert list(completing._applications(tmp_path)) == ["first"]


def test_help_topics(completed):
    """`driftd help` completes topics and commands."""
    assert completed("help", "ex") == ["exit-codes", "explain"]
