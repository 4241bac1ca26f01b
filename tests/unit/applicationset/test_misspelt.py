"""Slips in documents for Argo CD: what is told and what is not."""

from __future__ import annotations

import pytest

from driftd.applicationset.misspelt import mentions, slip

VERSION = "argoproj.io/v1alpha1"


@pytest.mark.parametrize(
    ("api_version", "kind", "meant"),
    [
        (VERSION, "Aplication", "Application"),
        (VERSION, "application", "Application"),
        (VERSION, "APPLICATION", "Application"),
        (VERSION, "ApplicationSets", "ApplicationSet"),
        (VERSION, "AppProjects", "AppProject"),
        ("argoprj.io/v1alpha1", "Application", VERSION),
        ("argoproj.io/v1", "Application", VERSION),
    ],
)
def test_slips(api_version: str, kind: str, meant: str) -> None:
    """The field, its value and what was probably meant are named."""
    told = slip({"apiVersion": api_version, "kind": kind})
    assert told.endswith(f"is {meant} meant?")
    assert repr(api_version) in told or repr(kind) in told
    assert mentions(f"apiVersion: {api_version}\nkind: {kind}\n".encode())


@pytest.mark.parametrize(
    "document",
    [
        {"apiVersion": VERSION, "kind": "Application"},
        {"apiVersion": VERSION, "kind": "Rollout"},
        {"apiVersion": VERSION, "kind": "Workflow"},
        {"apiVersion": "app.k8s.io/v1beta1", "kind": "Application"},
        {"apiVersion": "apps/v1", "kind": "Deployment"},
        {"kind": "Application"},
        [],
        None,
    ],
)
def test_no_slips(document: object) -> None:
    """Other kinds of the group, and Applications of other makers, are what they are."""
    assert slip(document) == ""  # type: ignore[arg-type]
