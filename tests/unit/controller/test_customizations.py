"""`argocd-cm` read through the real sandbox."""

from __future__ import annotations

from driftd.controller.customizations import read_customizations
from driftd.sandbox.pool import SandboxPool


async def test_both_forms_of_ignore_rules() -> None:
    """Split keys and the one map give rules that name their key, group and kind."""
    config = {
        "resource.customizations.ignoreDifferences.apps_Deployment": "jsonPointers: [/spec/x]",
        "resource.customizations.ignoreDifferences.all": "managedFieldsManagers: [robot]",
        "resource.customizations": (
            "batch/Job:\n  ignoreDifferences: |\n    jqPathExpressions: ['.spec.y']\n"
        ),
    }
    async with SandboxPool(size=1) as sandbox:
        found = await read_customizations(config, sandbox)
    assert found.conditions == ()
    rules = {one.name: (one.target.group, one.target.kind) for one in found.ignore}
    prefix = "argocd-cm resource.customizations"
    assert rules == {
        f"{prefix}.ignoreDifferences.apps_Deployment": ("apps", "Deployment"),
        f"{prefix}.ignoreDifferences.all": ("*", "*"),
        f"{prefix}[batch/Job].ignoreDifferences": ("batch", "Job"),
    }


async def test_a_wrong_value_is_a_condition_and_stops_no_other() -> None:
    """YAML that does not parse and fields of the wrong type are told by key; the rest counts."""
    config = {
        "resource.exclusions": "- apiGroups: [a\n",
        "resource.inclusions": "- kinds: 5\n",
        "resource.customizations.ignoreDifferences.Secret": "jsonPointers: [/data]",
        "resource.compareoptions": "ignoreResourceStatusField: perhaps",
    }
    async with SandboxPool(size=1) as sandbox:
        found = await read_customizations(config, sandbox)
    told = " ".join(condition.message for condition in found.conditions)
    assert "argocd-cm resource.exclusions" in told
    assert "argocd-cm resource.inclusions" in told
    assert "argocd-cm resource.compareoptions" in told
    assert [one.target.kind for one in found.ignore] == ["Secret"]


async def test_known_type_fields_in_both_forms() -> None:
    """Split keys and the one map give fields with group, kind and type; a wrong one is told."""
    prefix = "resource.customizations.knownTypeFields"
    config = {
        f"{prefix}.argoproj.io_Rollout": "- {field: spec.template.spec, type: core/v1/PodSpec}",
        f"{prefix}.g.example_Bad": "- {field: 5}",
        "resource.customizations": (
            "g.example/Queue:\n  knownTypeFields:\n"
            "  - {field: spec.limits, type: core/v1/ResourceList}\n"
            "g.example/Text:\n  knownTypeFields: |\n    - {field: spec.a, type: core/Quantity}\n"
        ),
    }
    async with SandboxPool(size=1) as sandbox:
        found = await read_customizations(config, sandbox)
    assert {(one.group, one.kind, one.field, one.type) for one in found.known_types} == {
        ("argoproj.io", "Rollout", "spec.template.spec", "core/v1/PodSpec"),
        ("g.example", "Queue", "spec.limits", "core/v1/ResourceList"),
        ("g.example", "Text", "spec.a", "core/Quantity"),
    }
    (told,) = found.conditions
    assert "knownTypeFields.g.example_Bad" in told.message


async def test_build_options_by_version() -> None:
    """Options of `kustomize build` are kept as written, by the version that they are for."""
    config = {
        "kustomize.buildOptions": "--enable-helm",
        "kustomize.buildOptions.v4.5.7": "--reorder none",
        "kustomize.path.v4.5.7": "/somewhere",
    }
    async with SandboxPool(size=1) as sandbox:
        found = await read_customizations(config, sandbox)
    assert found.build_options == {"": "--enable-helm", "v4.5.7": "--reorder none"}
    assert found.conditions == ()


async def test_no_settings_need_no_worker() -> None:
    """Without keys nothing is asked of the sandbox."""
    async with SandboxPool(size=1) as sandbox:
        found = await read_customizations({}, sandbox)
    assert (found.ignore, found.exclusions, found.active) == ((), (), True)


async def test_compare_options() -> None:
    """Aggregated roles are a rule that hides their rules; that status never counts is told."""
    text = "ignoreAggregatedRoles: true\nignoreResourceStatusField: crd\n"
    async with SandboxPool(size=1) as sandbox:
        found = await read_customizations({"resource.compareoptions": text}, sandbox)
    (rule,) = found.ignore
    assert rule.name == "argocd-cm resource.compareoptions.ignoreAggregatedRoles"
    assert (rule.target.group, rule.target.kind) == ("rbac.authorization.k8s.io", "ClusterRole")
    (told,) = found.conditions
    assert (told.type, str(told.severity)) == ("StatusNotCompared", "info")
    assert "ignoreResourceStatusField is crd" in told.message


async def test_compare_options_of_argo_cds_defaults() -> None:
    """The defaults, written down, change nothing."""
    text = "ignoreAggregatedRoles: false\nignoreResourceStatusField: all\nother: 1\n"
    async with SandboxPool(size=1) as sandbox:
        found = await read_customizations({"resource.compareoptions": text}, sandbox)
    assert (found.ignore, found.conditions) == ((), ())
