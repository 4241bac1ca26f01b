"""Argo CD's options of `kustomize build`: a closed list."""

from __future__ import annotations

import pytest

from driftd.errors import RenderError
from driftd.model.application import KustomizeSource
from driftd.render.build_options import BuildOptions, build_options


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", BuildOptions()),
        ("--reorder legacy", BuildOptions(reorder="legacy")),
        ("--reorder=none  --enable-helm", BuildOptions(helm=True)),
        ("--load-restrictor LoadRestrictionsNone", BuildOptions(load_restrictor="none")),
        ("--load-restrictor=LoadRestrictionsRootOnly", BuildOptions()),
        ("--enable-managedby-label", BuildOptions(managed_by_label=True)),
        ("--enable-managedby-label=false", BuildOptions()),
        ("--enable-alpha-plugins --enable-exec --network -e A=b --mount x", BuildOptions()),
        ("--enable-helm=false --helm-debug --helm-command 'helm v3'", BuildOptions()),
        (
            "--helm-kube-version=1.30 --helm-api-versions a/v1 --helm-api-versions=b/v1",
            BuildOptions(helm_kube_version="1.30", helm_api_versions=("a/v1", "b/v1")),
        ),
    ],
)
def test_options(text: str, expected: BuildOptions) -> None:
    """What changes the rendering is taken; what only permits programs is nothing."""
    assert build_options({"": text}, None) == expected


@pytest.mark.parametrize(
    "text", ["--output x", "--reorder sideways", "--load-restrictor maybe", "--reorder", "x", "'"]
)
def test_others_are_refused(text: str) -> None:
    """An option or value that is not on the list is an error that names the key."""
    with pytest.raises(RenderError, match=r"kustomize\.buildOptions"):
        build_options({"": text}, None)


def test_options_of_a_version() -> None:
    """A source that names a version has that version's options, else those of all."""
    options = {"": "--reorder legacy", "v4.5.7": "--enable-managedby-label"}
    assert build_options(options, KustomizeSource(version="v4.5.7")) == BuildOptions(
        managed_by_label=True
    )
    assert build_options(options, KustomizeSource(version="v5")) == BuildOptions(reorder="legacy")
