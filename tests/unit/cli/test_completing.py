"""Completion of names, asked as the bash script asks."""

import os
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slow

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
    assert ["first" in text for _, text in completing._documents(tmp_path)] == [True]


def test_help_topics(completed):
    """`driftd help` completes topics and commands."""
    assert completed("help", "ex") == ["exit-codes", "explain"]


SETS = """\
apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata: {name: services}
spec:
  generators:
    - git:
        directories:
          - path: services/*
          - path: services/templates
            exclude: true
  template:
    metadata: {name: '{{path.basename}}'}
---
apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata: {name: regions}
spec:
  generators:
    - list: {elements: [{region: eu}, {region: us}, {zone: a}]}
  template:
    metadata: {name: 'shipping-{{ .region }}'}
"""


def test_applications_of_sets(completed, tmp_path):
    """A list and the folders of a git generator make names; what cannot be filled in does not."""
    for name in ("billing", "shelf", "templates"):
        (tmp_path / "services" / name).mkdir(parents=True)
    (tmp_path / "sets.yaml").write_text(SETS)
    assert completed("check", "bil") == ["billing"]
    assert completed("check", "--app", "sh") == ["shelf", "shipping-eu", "shipping-us", "shop"]
    assert completed("check", "t") == []


def test_objects(completed, tmp_path):
    """Objects complete with kind and name, as documents of the checkout declare them."""
    (tmp_path / "web.yaml").write_text("kind: ConfigMap\nmetadata:\n  name: web\n")
    assert completed("explain", "shop", "con") == ["configmap/web"]


def test_sections(completed):
    """--show completes each name of its list."""
    assert completed("check", "--show", "ign") == ["ignored"]
    assert completed("check", "--show", "ignored,re") == [
        "ignored,review",
        "ignored,rewritten",
    ]
