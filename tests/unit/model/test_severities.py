"""Severity rules as data: each shipped rule has cases, and an operator's file overrides them."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from driftd.errors import ConfigError
from driftd.model.patterns import ANY_ITEM, Keys, Name, Pattern, place_of
from driftd.model.report import ChangeClass, ChangeKind
from driftd.model.severities import (
    ORDER,
    Difference,
    Rated,
    SeverityRules,
    _inside,
    read,
    shipped,
    shipped_file,
    with_own,
)

CASES = Path(__file__).parents[2] / "cases" / "severity"
HEAD = "apiVersion: driftd.io/v1\nkind: Severity\n"


def cases(name: str) -> list[dict[str, Any]]:
    """The lines of a file of cases."""
    found: list[dict[str, Any]] = yaml.safe_load((CASES / name).read_text("utf-8"))
    return found


def difference(case: dict[str, Any]) -> Difference:
    """The change that a case describes."""
    kind, _, group = case["kind"].partition(".")
    tokens = (t.replace("~1", "/").replace("~0", "~") for t in case["path"].split("/")[1:])
    return Difference(
        kind=kind,
        group="" if group == "core" else group,
        place=place_of(case["ssaPath"])
        if "ssaPath" in case
        else tuple(ANY_ITEM if token.isdigit() else token for token in tokens),
        change=ChangeKind(case.get("change", "modified")),
        change_class=ChangeClass(case.get("class", "declared")),
        desired=case.get("desired", UNSET),
        live=case.get("live", UNSET),
    )


RULES = cases("rules.yaml")
OBJECTS = cases("objects.yaml")


@pytest.mark.parametrize("case", RULES, ids=lambda c: f"{c['rule']}-{c['kind']}{c['path']}")
def test_the_rule_that_decides(case: dict[str, Any]) -> None:
    """Of all rules just the named one decides, with its level and reason."""
    rule = next(one for one in shipped_file().rules if one.id == case["rule"])
    assert shipped().rate(difference(case)) == Rated(rule.level, rule.reason, rule.id)


def test_no_rule_is_unreachable() -> None:
    """Every rule of the shipped file decides at least one change or object."""
    file = shipped_file()
    assert {case["rule"] for case in RULES} == {rule.id for rule in file.rules}
    assert {case["rule"] for case in OBJECTS} - {""} == {rule.id for rule in file.objects}


@pytest.mark.parametrize("rule", shipped_file().rules, ids=lambda rule: rule.id)
def test_every_path_of_a_rule_is_reached(rule: Any) -> None:
    """No path of a rule is covered whole by rules before it: a place made for it comes through."""
    rules = shipped()
    compiled = next(one for one in rules.rules if one.rule.id == rule.id)
    when = rule.when if rule.when is not UNSET else None
    live: Any = "x"
    desired: Any = "a:1" if when and when.same_image is True else UNSET
    if when and when.desired is not UNSET:
        desired = next((v for v in when.desired if v is not None), UNSET)
    if when and when.live is not UNSET:
        live = next((v for v in when.live if v is not None), UNSET)
    elif when and when.same_image is True:
        live = "a:2"
    for pattern in compiled.patterns:
        made = Difference(
            kind=rule.kinds[0].partition(".")[0].replace("*", "Any") if rule.kinds else "Any",
            group=_group(rule.kinds[0]) if rule.kinds else "example.com",
            place=_witness(pattern),
            change=rule.changes[0] if rule.changes else ChangeKind.MODIFIED,
            change_class=rule.classes[0] if rule.classes else ChangeClass.DECLARED,
            desired=desired,
            live=live,
        )
        assert rules.rate(made).rule == rule.id, pattern.text


def _group(kind: str) -> str:
    group = kind.partition(".")[2]
    return "" if group == "core" else group or "example.com"


def _witness(pattern: Pattern) -> tuple[str, ...]:
    """A place that a pattern fits; below its end, where it goes on."""
    steps = []
    for number, part in enumerate(pattern.parts, start=1):
        if isinstance(part, Name):
            steps.append(ANY_ITEM if part.glob == "*" else part.glob.replace("*", "any"))
        elif isinstance(part, Keys):
            steps.append(ANY_ITEM)
        elif number == len(pattern.parts):
            steps.append("below")
    return tuple(steps)


@pytest.mark.parametrize("case", OBJECTS, ids=lambda c: f"{c['status']}-{c['kind']}")
def test_whole_objects(case: dict[str, Any]) -> None:
    """An object rule says how much it matters that an object is Missing or Extra, and why.

    A reason why nobody may accept it has only what is critical.
    """
    kind, _, group = case["kind"].partition(".")
    rules = {rule.id: (rule.level, rule.reason) for rule in shipped_file().objects}
    level, reason = (rules | {"": ("medium", "")})[case["rule"]]
    asked = (case["status"], "" if group == "core" else group, kind)
    assert shipped().rate_object(*asked) == (level, reason)
    assert shipped().object_reason(*asked) == (reason if level == "critical" else "")


def test_critical_rules_of_the_design_are_guarded() -> None:
    """What ownership never excuses: identities, RBAC, admission, traffic, the node, what runs."""
    guarded = {rule.id for rule in shipped_file().rules if rule.guarded}
    assert guarded >= {
        "cloud-identity", "pod-security-admission", "service-account", "rbac", "admission",
        "service-traffic", "host-network", "host-pid", "host-ipc", "privileged", "capabilities",
        "security-context", "network-policy", "crd-conversion", "host-path", "volumes", "image",
        "command", "containers",
    }  # fmt: skip


def test_critical_metadata_is_guarded() -> None:
    """No critical place of metadata is waved through as harmless when Git is silent about it."""
    waved = {
        rule.id
        for rule in shipped_file().rules
        if rule.level == "critical" and not rule.guarded
        if any("metadata." in path for path in rule.paths)
    }
    assert not waved


@pytest.mark.parametrize("case", cases("invalid.yaml"), ids=lambda c: " ".join(c["says"]))
def test_an_invalid_file(case: dict[str, Any]) -> None:
    """The error names the file, the rule by number and id, and the field."""
    with pytest.raises(ConfigError) as caught:
        read(case["text"], "own.yaml", own=True)
    assert caught.value.message.startswith("own.yaml: ")
    for text in case["says"]:
        assert text in caught.value.message
    assert "severity.md" in caught.value.hint


def own(text: str) -> SeverityRules:
    """The shipped rules below an operator's."""
    return with_own(read(HEAD + text, "own.yaml", own=True))


IMAGE = {"kind": "Deployment.apps", "path": "/spec/template/spec/containers/0/image"}


def test_own_rules_come_first() -> None:
    """An operator's rule beats the shipped ones, for its places alone."""
    rules = own(
        "rules: [{id: ours, level: low, reason: set by the mesh, kinds: [Deployment.apps], "
        "paths: ['**.containers[*].image'], when: {live: ['mesh/*']}}]"
    )
    mesh = {**IMAGE, "desired": "a:1", "live": "mesh/proxy:1"}
    other = {**IMAGE, "desired": "a:1", "live": "evil:1"}
    assert rules.rate(difference(mesh)) == Rated("low", "set by the mesh", "ours")
    assert rules.rate(difference(other)).rule == "image"


@pytest.mark.parametrize(
    ("kind", "prefix"),
    [
        ("Deployment.apps", "/spec/template/spec"),
        ("CronJob.batch", "/spec/jobTemplate/spec/template/spec"),
        ("Pod.core", "/spec"),
    ],
)
def test_an_own_path_may_be_written_as_tables_print_it(kind: str, prefix: str) -> None:
    """What tables leave out in front of a workload's path may be left out in a rule; no more."""
    rules = own("rules: [{id: ours, level: low, reason: set by us, paths: [nodeSelector.pool]}]")
    found = rules.rate(difference({"kind": kind, "path": f"{prefix}/nodeSelector/pool"}))
    assert (found.rule == "ours") is (kind != "Pod.core")
    assert (
        rules.rate(difference({"kind": kind, "path": "/spec/x/nodeSelector/pool"})).rule != "ours"
    )


@pytest.mark.parametrize("path", ['["example.com/pool"].size', "[*].size"])
def test_an_own_path_may_begin_with_a_bracket(path: str) -> None:
    """A path that begins with a quoted name or an item is read, with no dot in front."""
    text = json.dumps({"id": "ours", "level": "low", "reason": "set by us", "paths": [path]})
    rules = own(f"rules: [{text}]")
    whole, *longer = rules.rules[0].patterns
    assert whole.text == path
    assert [one.text for one in longer] == [
        f"spec.template.spec{path}",
        f"spec.jobTemplate.spec.template.spec{path}",
    ]


def test_an_own_rule_replaces_the_shipped_one_of_its_id() -> None:
    """With the id of a shipped rule an own one stands in its place, wherever that one spoke."""
    rules = own("rules: [{id: replicas, level: low, reason: we scale by hand, kinds: [Job]}]")
    found = rules.rate(difference({"kind": "Deployment.apps", "path": "/spec/replicas"}))
    assert found == Rated("medium", "a setting of the object", "other")
    assert len(rules.rules) == len(shipped().rules)


def test_a_keyed_item() -> None:
    """A rule may name a list item by its keys; where the change has none, it does not hold."""
    rules = own(
        "rules: [{id: proxy, level: info, reason: the mesh owns its proxy, "
        "paths: ['**.containers[name=istio-*].image']}]"
    )
    path = "f:spec/f:containers/k:{}/f:image"
    for name, rule in (("istio-proxy", "proxy"), ("app", "image")):
        keyed = {**IMAGE, "ssaPath": path.replace("{}", f'{{"name":"{name}"}}')}
        assert rules.rate(difference(keyed)).rule == rule


def test_own_objects() -> None:
    """An operator makes other whole objects critical, or fewer of the shipped ones."""
    rules = own(
        "objects: [{id: queue, status: Missing, kinds: [Queue.example.com], reason: money is lost},"
        " {id: extra-secret, status: Extra, kinds: [Token.example.com], reason: a credential}]"
    )
    assert rules.object_reason("Missing", "example.com", "Queue") == "money is lost"
    assert rules.object_reason("Extra", "", "Secret") == ""
    assert rules.object_reason("Extra", "", "Namespace") != ""


def test_guarded_items_of_a_list() -> None:
    """A variable that loads code is guarded by its name, alone, in its list and in a struct."""
    container = ("spec", "template", "spec", "containers", ANY_ITEM)
    names = (*container, "env", ANY_ITEM)
    loads, says = {"name": "LD_PRELOAD", "value": "x"}, {"name": "LOG", "value": "x"}
    assert not shipped().guards("Deployment", names)
    for item, guarded in ((loads, True), (says, False)):
        assert shipped().guards_inside("Deployment", names, item) is guarded
        assert shipped().guards_inside("Deployment", names[:-1], [says, item]) is guarded
        assert shipped().guards_inside("Widget", ("spec",), {"env": [item]}) is guarded
    assert not shipped().guards_inside("Deployment", names[:-1], ["LD_PRELOAD"])


def test_own_rules_excuse_nothing() -> None:
    """What ownership excuses stays as shipped, however low an own rule puts a place."""
    names = ("spec", "template", "spec", "hostNetwork")
    own("rules: [{id: all, level: info, reason: we do not care}]")
    assert shipped().guards("Deployment", names)


@pytest.mark.parametrize(
    ("when", "desired", "live", "holds"),
    [
        ("{live: [1]}", 0, 1, True),
        ("{live: [1]}", 0, True, False),
        ("{live: [true]}", 0, 1, False),
        ("{live: ['a*']}", "b", "ab", True),
        ("{live: ['a*']}", "b", "ba", False),
        ("{live: [null]}", "b", UNSET, True),
        ("{live: [null]}", "b", "x", False),
        ("{liveNot: [null, x]}", "b", "y", True),
        ("{liveNot: [null, x]}", "b", "x", False),
        ("{liveNot: [x]}", "b", {"masked": True}, False),
        ("{live: ['*']}", "b", {"masked": True}, False),
        ("{desired: [b], live: [a]}", "b", "a", True),
        ("{desired: [b], live: [a]}", "c", "a", False),
        ("{sameImage: false}", "a:1", "b:1", True),
        ("{sameImage: false}", "a:1", "a:2", False),
    ],
)
def test_tests_of_values(when: str, desired: Any, live: Any, holds: bool) -> None:
    """All tests must hold; types count, strings are globs, masked values pass no test."""
    rules = own(f"rules: [{{id: mine, level: low, reason: only a test, when: {when}}}]")
    case = {"kind": "Widget.example.com", "path": "/spec/a", "desired": desired, "live": live}
    assert (rules.rate(difference(case)).rule == "mine") is holds


def test_every_reason_fits_a_column() -> None:
    """No reason is empty or longer than what tables have room for, and no level is unknown."""
    for rule in shipped_file().rules:
        assert rule.level in ORDER
        assert 5 < len(rule.reason) <= 60


def test_the_last_rule_takes_what_is_left() -> None:
    """A change that no other rule speaks of still has a level."""
    assert shipped_file().rules[-1] == msgspec.structs.replace(
        shipped_file().rules[-1], kinds=(), paths=(), changes=(), classes=(), when=UNSET
    )


def test_one_file() -> None:
    """A checkout has the rules once, in `config`; wheels get a copy of that very file."""
    root = Path(__file__).parents[3]
    assert not resources.files("driftd.model").joinpath("data", "severity.yaml").is_file()
    assert '"config/severity.yaml" = "driftd/model/data/severity.yaml"' in (
        root / "pyproject.toml"
    ).read_text("utf-8")


NAMES = st.sampled_from(
    ["spec", "template", "metadata", "containers", "volumes", "hostPath", "image", "env", "value",
     "securityContext", "privileged", "hostNetwork", "data", "rules", "replicas", "type", "odd",
     "annotations", "labels", "webhooks", "conversion", "ports", "hostPort"]
)  # fmt: skip
VALUES = st.recursive(
    st.sampled_from(["x", 0, True, None]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=10,
)
KINDS = st.sampled_from(
    [("Deployment", "apps"), ("ConfigMap", ""), ("Service", ""), ("Widget", "example.com"),
     ("ClusterRole", "rbac.authorization.k8s.io"), ("NetworkPolicy", "networking.k8s.io"),
     ("MutatingWebhookConfiguration", "admissionregistration.k8s.io")]
)  # fmt: skip


def every_place(place: tuple[str, ...], value: Any) -> list[tuple[tuple[str, ...], Any]]:
    """All places inside a value, none left out."""
    if isinstance(value, dict):
        members = list(value.items())
    else:
        members = [(ANY_ITEM, one) for one in value] if isinstance(value, list) else []
    return [
        found
        for name, inner in members
        for found in (((*place, name), inner), *every_place((*place, name), inner))
    ]


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(KINDS, st.lists(NAMES, min_size=1, max_size=3), VALUES, st.sampled_from(ChangeClass))
@example(("Deployment", "apps"), ["env"], [[{"spec": "x"}]], ChangeClass.DECLARED)
def test_a_struct_is_as_bad_as_the_worst_place_inside(
    kind: tuple[str, str], place: list[str], value: Any, change_class: ChangeClass
) -> None:
    """The search by names finds what asking of every single place finds; so does the guard."""
    rules, at = shipped(), tuple(place)
    one = Difference(*kind, at, ChangeKind.ADDED, change_class, UNSET, value)
    inside = every_place(at, value)
    levels = [rules.rate(one._replace(live=UNSET)).level]
    levels += [
        rules.rate(
            one._replace(place=where, live=leaf if not isinstance(leaf, (dict, list)) else 1)
        ).level
        for where, leaf in inside
    ]
    assert rules.rate(one).level == min(levels, key=ORDER.index)
    guarded = any(rules.guards(kind[0], where) for where, _ in inside)
    assert rules.guards_inside(kind[0], at, value) is guarded


def test_a_large_value_is_searched_quickly() -> None:
    """A definition of thousands of fields costs milliseconds, not seconds."""

    def schema(depth: int) -> dict[str, Any]:
        if depth == 0:
            return {"type": "string", "description": "text"}
        return {"properties": {f"field{depth}{i}": schema(depth - 1) for i in range(6)}}

    versions = [{"name": "v1", "schema": {"openAPIV3Schema": schema(5)}}]
    one = Difference(
        "CustomResourceDefinition",
        "apiextensions.k8s.io",
        ("spec", "versions"),
        ChangeKind.MODIFIED,
        ChangeClass.DECLARED,
        [],
        versions,
    )
    hot = shipped()._hot(one.kind, one.group, "high")
    assert not hot.always
    looked_at = list(_inside(one.place, versions, hot))
    assert len(looked_at) < 20 < len(every_place(one.place, versions))
    assert shipped().rate(one).level == "high"
