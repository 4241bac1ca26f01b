"""Slips in the fields of Argo CD's objects: what is told and what is left alone."""

from __future__ import annotations

import pytest

from driftd.applicationset.known_fields import index_of, line_of, slips


@pytest.mark.parametrize(
    ("kind", "spec", "told"),
    [
        (
            "Application",
            {"source": {"helm": {"valuesFiles": []}}},
            ("spec.source.helm", "valuesFiles", "valueFiles"),
        ),
        (
            "Application",
            {"sources": [{}, {"targetRevison": "v1"}]},
            ("spec.sources[1]", "targetRevison", "targetRevision"),
        ),
        ("Application", {"source": {"repoUrl": "x"}}, ("spec.source", "repoUrl", "repoURL")),
        (
            "Application",
            {"syncPolicy": {"automated": {"selfheal": True}}},
            ("spec.syncPolicy.automated", "selfheal", "selfHeal"),
        ),
        (
            "Application",
            {"sync_policy": {}},
            ("spec", "sync_policy", "syncPolicy"),
        ),
        (
            "ApplicationSet",
            {"generators": [{"matrix": {"generators": [{"git": {"directorys": []}}]}}]},
            ("spec.generators[0].matrix.generators[0].git", "directorys", "directories"),
        ),
        (
            "ApplicationSet",
            {"template": {"spec": {"syncPolicy": {"automatd": {}}}}},
            ("spec.template.spec.syncPolicy", "automatd", "automated"),
        ),
        ("AppProject", {"sourceRepo": ["*"]}, ("spec", "sourceRepo", "sourceRepos")),
    ],
)
def test_a_slip_is_told(kind: str, spec: object, told: tuple[str, str, str]) -> None:
    """Where it stands, what it is called and what was probably meant."""
    assert slips({"kind": kind, "spec": spec}) == [told]  # type: ignore[dict-item]


TRUE_FIELDS = {
    "Application": {
        "project": "default",
        "destination": {"server": "x", "name": "y", "namespace": "z"},
        "source": {
            "repoURL": "x", "path": "y", "chart": "z", "ref": "v", "name": "n",
            "helm": {
                "valuesObject": {"valuesFiles": 1}, "values": "", "valueFiles": [],
                "skipSchemaValidation": True, "passCredentials": True, "fileParameters": [],
            },
            "kustomize": {"patches": [{"targets": {}}], "commonLabels": {"imagess": "x"}},
            "plugin": {"env": [], "parameters": [{"map": {}, "array": []}]},
        },
        "sourceHydrator": {
            "drySource": {"repoURL": "x", "targetRevision": "y", "path": "z"},
            "syncSource": {"targetBranch": "x", "path": "y"},
            "hydrateTo": {"targetBranch": "x"},
        },
        "syncPolicy": {
            "syncOptions": [],
            "retry": {"limit": 1, "backoff": {"duration": "5s", "factor": 2, "maxDuration": "3m"}},
            "managedNamespaceMetadata": {"labels": {"label": "x"}, "annotations": {}},
        },
        "info": [{"name": "x", "value": "y"}],
        "revisionHistoryLimit": 3,
        "ignoreDifferences": [{"kind": "x", "jsonPointers": [], "jqPathExpressions": []}],
        "owner": "somebody",
    },
    "ApplicationSet": {
        "goTemplate": True,
        "goTemplateOptions": [],
        "generators": [
            {"list": {"elements": [{"repoUrl": "x"}]}, "selector": {"matchLabel": {}}},
            {"clusters": {"selector": {}, "values": {"revison": "x"}}},
            {"merge": {"mergeKeys": [], "generators": [{"git": {"files": [{"path": "x"}]}}]}},
            {"scmProvider": {"github": {}}},
        ],
        "syncPolicy": {"preserveResourcesOnDeletion": True, "applicationsSync": "sync"},
        "strategy": {"rollingSync": {"steps": [{"matchExpressions": [], "maxUpdate": 1}]}},
        "preservedFields": {"annotations": []},
        "ignoreApplicationDifferences": [{"jsonPointers": []}],
        "template": {"metadata": {"finalizers": []}, "spec": {"revisionHistoryLimit": 1}},
    },
    "AppProject": {
        "sourceRepos": [],
        "sourceNamespaces": [],
        "destinations": [{"server": "x"}],
        "roles": [{"name": "x", "policies": [], "groups": [], "jwtTokens": [{"iat": 1}]}],
        "orphanedResources": {"warn": True, "ignore": [{"kind": "x"}]},
        "syncWindows": [{"kind": "deny", "schedule": "* * * * *", "timeZone": "UTC"}],
        "destinationServiceAccounts": [{"defaultServiceAccount": "x"}],
        "signatureKeys": [{"keyID": "x"}],
        "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", TRUE_FIELDS)
def test_true_and_foreign_fields_are_left_alone(kind: str) -> None:
    """Argo CD's fields, what is free below them, and names that are near nothing."""
    assert slips({"kind": kind, "spec": TRUE_FIELDS[kind]}) == []


@pytest.mark.parametrize("spec", [None, "text", [[1]], {"source": "x", "generators": {"git": 1}}])
def test_specs_of_another_shape(spec: object) -> None:
    """What is no map has no fields."""
    assert slips({"kind": "ApplicationSet", "spec": spec}) == []  # type: ignore[dict-item]


TEXT = b"""# path: no
name: one
path: x
---
path: y
inner: {list: 1, "files": 2}
again: 1
- again: 2
"""


@pytest.mark.parametrize(
    ("name", "index", "line"),
    [
        ("path", 0, 3),
        ("path", 1, 5),
        ("path", None, 0),
        ("name", None, 2),
        ("list", 1, 6),
        ("files", None, 6),
        ("again", 1, 0),
        ("absent", None, 0),
    ],
)
def test_the_line_of_a_field(name: str, index: int | None, line: int) -> None:
    """It is told where one line alone of the document has the name."""
    assert line_of(name, TEXT, index) == line


def test_the_document_of_a_rendered_application_is_found_by_kind_and_name() -> None:
    """Only where one document of the file alone has both; a container of that name is no object."""
    text = b"""kind: Application
metadata: {name: x}
---
kind: Application
metadata:
  name: web
---
kind: "Deployment"
metadata:
  name: shop
---
kind: Application
metadata:
  name: 'shop'
"""
    assert index_of("shop", "Application", text) == 3
    assert line_of("metadata", text, 3) == 13
    assert index_of("other", "Application", text) is None
    assert index_of("shop", "Application", text + b"---\n" + text) is None
