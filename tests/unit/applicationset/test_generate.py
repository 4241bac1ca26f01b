"""ApplicationSets with lists, and the refusal of everything else by name."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.applicationset.documents import InvalidDocument
from driftd.applicationset.generate import expand
from driftd.applicationset.generators import Unsupported
from driftd.applicationset.inputs import Inputs
from driftd.applicationset.template import filled
from driftd.sandbox.pool import SandboxPool

INPUTS = Inputs(SandboxPool(size=1))
"""Nothing here is read in the sandbox, which therefore never starts a worker."""


def _set(generators: Any = None, template: Any = None, **spec: Any) -> dict[str, Any]:
    default_template = {
        "metadata": {"name": "{{cluster}}-app", "labels": {"env": "{{ cluster }}"}},
        "spec": {
            "project": "{{cluster}}",
            "source": {"repoURL": "https://example.com/x", "path": "apps/{{cluster}}"},
            "destination": {"server": "{{url}}", "namespace": "a"},
            "syncPolicy": {"automated": {"prune": True}},
        },
    }
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "ApplicationSet",
        "metadata": {"name": "fleet", "namespace": "gitops"},
        "spec": {
            "generators": generators
            if generators is not None
            else [{"list": {"elements": [{"cluster": "prod", "url": "https://one"}]}}],
            "template": template or default_template,
            **spec,
        },
    }


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{a}}-{{ b }}", "1-2"),
        ("{{values.c}}", "3"),
        ("{{unknown}} {{a}}", "{{unknown}} 1"),
        ("{a} {{a", "{a} {{a"),
        ({"{{a}}": ["{{b}}", 5, True, None]}, {"1": ["2", 5, True, None]}),
    ],
)
def test_templates(template: Any, expected: Any) -> None:
    """Names in double braces are replaced in texts and keys; unknown ones stay as written."""
    assert filled(template, {"a": "1", "b": "2", "values.c": "3"}) == expected


def test_a_replaced_value_is_not_a_template() -> None:
    """What a parameter says is never expanded again."""
    assert filled("{{a}}", {"a": "{{b}}", "b": "x"}) == "{{b}}"


@pytest.mark.parametrize(
    ("field", "written", "meant"),
    [
        ("path", "apps/{{clster}}", "{{cluster}}"),
        ("namespace", "{{ urll }}", "{{url}}"),
        ("name", "{{cluster}}-{{x}}", "correct its name"),
    ],
)
async def test_a_parameter_that_nothing_gives_is_a_slip(
    field: str, written: str, meant: str
) -> None:
    """Its text would stay in every Application: the set is refused, with what was meant."""
    element = {"cluster": "prod", "url": "https://one"}
    document = _set([{"list": {"elements": [element, {**element, "cluster": "dev"}]}}])
    template = document["spec"]["template"]
    holder = {
        "path": template["spec"]["source"],
        "namespace": template["spec"]["destination"],
        "name": template["metadata"],
    }[field]
    holder[field] = written
    with pytest.raises(InvalidDocument) as error:
        await expand(document, INPUTS)
    tag = written[written.rindex("{{") :]
    assert str(error.value).startswith(f"spec.template has {tag}, a parameter")
    assert str(error.value).endswith(f"{meant}?" if meant.startswith("{{") else meant)
    assert error.value.written == tag


async def test_a_parameter_that_some_elements_give_is_no_slip() -> None:
    """One element without it is told in its Application alone; values of Helm keep their braces."""
    document = _set(
        [
            {
                "list": {
                    "elements": [
                        {"cluster": "a", "url": "u", "x": "1"},
                        {"cluster": "b", "url": "u"},
                    ]
                }
            }
        ]
    )
    document["spec"]["template"]["spec"]["source"]["path"] = "{{x}}"
    document["spec"]["template"]["spec"]["source"]["helm"] = {"values": "a: {{ .Values.b }}"}
    first, second = await expand(document, INPUTS, lambda tag: f"sets.yaml:7 {tag}")
    assert not first.incomplete
    assert second.incomplete
    (told,) = second.conditions
    assert told.message == (
        "spec.generators[0].list.elements[1] does not give x, which "
        "spec.template.spec.source.path of ApplicationSet fleet (sets.yaml:7 {{x}}) takes; "
        "add x to spec.generators[0].list.elements[1]"
    )


async def test_a_name_that_one_element_leaves_open() -> None:
    """No Application can be called so: the set is refused with what was meant, if it is spare."""
    elements = [{"cluster": "a", "url": "u"}, {"clster": "b", "url": "u"}]
    with pytest.raises(InvalidDocument) as error:
        await expand(_set([{"list": {"elements": elements}}]), INPUTS)
    assert "elements[1] does not give cluster, which spec.template.metadata.name" in str(
        error.value
    )
    assert str(error.value).endswith("did you mean clster there?")


async def test_elements_become_applications() -> None:
    """Each element is one Application in the set's namespace, with the set as its origin."""
    generators = [
        {"list": {"elements": [{"cluster": "prod", "url": "https://one"}]}},
        {"list": {"elements": [{"cluster": "dev", "url": "https://two", "values": {"x": "y"}}]}},
    ]
    prod, dev = await expand(_set(generators), INPUTS)
    assert (prod.name, prod.namespace, prod.origin) == (
        "prod-app",
        "gitops",
        "ApplicationSet fleet",
    )
    assert prod.labels == {"env": "prod"}
    assert prod.spec.destination.server == "https://one"
    assert prod.spec.source is not None
    assert prod.spec.source.path == "apps/prod"
    assert prod.spec.sync_policy.automated is not None
    assert prod.spec.sync_policy.automated.prune
    assert (dev.name, dev.spec.project) == ("dev-app", "dev")
    assert dev.raw["spec"]["source"]["path"] == "apps/dev"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"goTemplate": True}, "spec.goTemplate"),
        ({"templatePatch": "x"}, "spec.templatePatch"),
        ({"generators": [{"pullRequest": {}}]}, "spec.generators[0] is a pullRequest generator"),
        ({"generators": [{"list": {}}, {"clusters": {}}]}, "spec.generators[1] is a clusters gen"),
        ({"generators": [{"list": {}, "selector": {"matchLabels": {}}}]}, "selector"),
        (
            {"generators": [{"list": {"template": {"metadata": {"name": "x"}}}}]},
            "list.template",
        ),
    ],
)
async def test_what_driftd_does_not_expand_names_the_hub(
    changes: dict[str, Any], message: str
) -> None:
    """Templates in Go and other generators are refused by name, with `--hub` as the remedy."""
    with pytest.raises(Unsupported) as error:
        await expand(_set(**changes), INPUTS)
    assert message in str(error.value)
    assert "--hub" in str(error.value)


async def test_an_empty_template_of_a_generator_is_ignored() -> None:
    """The skeleton that API servers store beside a generator does not count."""
    skeleton = {"metadata": {}, "spec": {"destination": {}, "project": ""}}
    generators = [{"list": {"elements": [], "template": skeleton}}]
    assert await expand(_set(generators), INPUTS) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generators": "x"}, "spec.generators is missing or not a list"),
        ({"generators": [{}]}, "spec.generators[0] has no generator"),
        ({"generators": [{"list": {"elements": {}}}]}, "spec.generators[0].list.elements is not"),
        ({"generators": [{"list": {"elements": ["x"]}}]}, "elements[0] is not a map"),
        (
            {"generators": [{"list": {"elements": [{"cluster": 3}]}}]},
            "spec.generators[0].list.elements[0].cluster must be text; quote it",
        ),
        (
            {"generators": [{"list": {"elements": [{"url": "x"}, {"cluster": "a"}]}}]},
            "does not give cluster, which spec.template.metadata.name",
        ),
        (
            {"generators": [{"list": {"elements": [{"cluster": "a", "url": "x"}] * 2}}]},
            "both generate the name a-app",
        ),
        ({"template": {"spec": {}}}, "spec.template.metadata is missing"),
        ({"template": {"metadata": {"name": "x"}, "spec": {"project": 1}}}, "spec.project must be"),
    ],
)
async def test_invalid_sets_say_which_field(changes: dict[str, Any], message: str) -> None:
    """An invalid set names the field that is wrong."""
    with pytest.raises(InvalidDocument) as error:
        await expand(_set(**changes), INPUTS)
    assert message in str(error.value)
