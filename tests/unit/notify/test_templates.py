"""Texts of the operator's own, executed by the real sandbox."""

from __future__ import annotations

import msgspec
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from driftd.notify.blocks import message_of
from driftd.notify.templates import LINES, context_of
from driftd.notify.wording import told
from driftd.sandbox.pool import SandboxPool
from driftd.store.types import Transition
from tests.unit.notify.messages import KINDS, hostile, message, of_kind, recovered, texts
from tests.unit.notify.shapes import SLACK, fits
from tests.unit.reports import change, resource

TEMPLATE = """\
{{ .application | upper }} on {{ .cluster }}: {{ with .counts -}}
  {{ .open }} {{ plural "field" "fields" .open }}
{{- end }}
{{- range .drifts }}
{{ .kind }} {{ .namespace }}/{{ .name }} {{ .path }}: {{ .desired }} to {{ .live }}
{{- with .manager }} by {{ . }}{{ end }}
{{- end }}
{{- with .owner }}
Owner: {{ . }}
{{- end }}
"""


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool():
    """One worker for all tests here."""
    async with SandboxPool(size=1) as running:
        yield running


async def test_a_template_gives_headline_and_text(pool):
    """Golden: the first line is the headline, the others are the text."""
    found = await texts({"drifted": TEMPLATE}, pool.template).told(message())
    assert found.headline == "SHOP on production: 1 field"
    assert found.own == ("Deployment shop/web /spec/replicas: 3 to 5 by kubectl-edit",)
    assert found.paragraphs() == list(found.own)
    assert found.facts == told(message()).facts


async def test_kinds_have_their_own_texts_and_default_is_for_the_rest(pool):
    """A kind's own template wins; `default` is for every kind without; else the built-in text."""
    words = texts({"recovered": "all well", "default": "{{ .type }}"}, pool.template)
    assert (await words.told(recovered())).headline == "all well"
    assert (await words.told(message())).headline == "drifted"
    only = texts({"recovered": "all well"}, pool.template)
    assert await only.told(message()) == told(message())


@pytest.mark.parametrize("kind", KINDS)
async def test_every_field_can_be_asked_for_whether_it_is_set_or_not(pool, kind):
    """What a message does not have is empty, not an error."""
    template = (
        "{{ .owner }}{{ .heals_at }}|{{ range .drifts }}{{ with .user }}{{ . }}{{ end }}"
        "{{ .manager | default `nobody` }}{{ end }}{{ range .fights }}{{ .path }}{{ end }}"
        "{{ range .notices }}{{ .name }}{{ .text }}{{ end }}end"
    ).replace("heals_at", "healsAt")
    found = await texts({"default": template}, pool.template).told(of_kind(kind))
    assert found.headline.endswith("end"), found.notes


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ .x.__class__ }}", 'no entry for key "x"'),
        ("{{ .application.__class__ }}", "can't evaluate field __class__"),
        ("{{ .application", "unclosed action"),
        ('{{ env "HOME" }}', 'function "env" not defined'),
        ('{{ getHostByName "a" }}', 'function "getHostByName" not defined'),
        ("{{ now }}", 'function "now" not defined'),
        ('{{ .Files.Get "/etc/passwd" }}', 'no entry for key "Files"'),
        ('{{ fail "on purpose" }}', "on purpose"),
        ("   ", "it gives no text"),
        (
            '{{define "t"}}xxxxxxxxxx{{template "t" .}}{{end}}{{template "t" .}}',
            "longer than 32768",
        ),
    ],
)
async def test_what_a_template_may_not_do_falls_back_and_tells(pool, template, why):
    """S-64: the built-in text is delivered, with the reason in it and in the log."""
    with capture_logs() as logs:
        found = await texts({"drifted": template}, pool.template).told(message())
    usual = told(message())
    assert msgspec.structs.replace(found, notes=usual.notes) == usual
    assert "The template of test for drifted failed" in found.notes[-1]
    assert why in found.notes[-1]
    assert [one["event"] for one in logs] == ["template failed"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "template",
    [
        # Nothing is written, so only the clock ends it.
        "{{range $.drifts}}" * 12 + "{{end}}" * 12,
        '{{ indent 2000000000 "x" }}',
        '{{define "t"}}{{template "t" .}}{{template "t" .}}{{end}}{{template "t" .}}',
    ],
    ids=["loops", "memory", "recursion"],
)
async def test_what_does_not_end_or_fit_is_ended_and_the_next_one_works(pool, template):
    """S-64: loops and floods cost their own text, nothing else."""
    wide = message(*(resource(f"web-{i}", change(f"/spec/a{i}")) for i in range(100)))
    found = await texts({"drifted": template}, pool.template).told(wide)
    why = ("failed: the sandbox worker", "exceeded maximum template depth")
    assert any(one in found.notes[-1] for one in why)
    again = await texts({"drifted": "{{ .cluster }}"}, pool.template).told(wide)
    assert again.headline == "production"


async def test_a_text_of_ones_own_is_escaped_and_cut_like_any_other(pool):
    """What stands in values cannot leave the text, whatever the template does with it."""
    template = "{{ .application }}\n" + "{{ range .drifts }}{{ .live | trunc 2000 }}\n{{ end }}"
    found = await texts({"default": template}, pool.template).told(hostile())
    shown = message_of(found)
    fits(shown, SLACK)
    assert "<" not in "".join(str(block) for block in shown["blocks"])
    many = await texts({"default": "h\n" + "{{ `x\n` }}" * 300}, pool.template).told(message())
    assert len(many.own) == LINES + 1


async def test_a_masked_value_is_masked_in_the_context():
    """A template sees no more than receivers of webhooks do."""
    masked = {"masked": True}
    found = message(resource("db", change("/data/password", desired=masked, live=masked)))
    assert context_of(found)["drifts"][0]["live"] == "••••"


async def test_the_context_has_every_field_of_a_message():
    """Absent fields are there as nothing; the names are those of the webhook's JSON."""
    context = context_of(of_kind(Transition.FIGHTING))
    assert context["healsAt"] == ""
    assert context["fights"][0]["changedBy"] == "alice"
    assert context["drifts"][0]["user"] is None
    assert "class" in context["drifts"][0]
