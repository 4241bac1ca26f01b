"""Charts that render otherwise each time are found out, place by place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.slow

CHART = "apiVersion: v2\nname: shop\nversion: 1.0.0\n"
HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop}\n"


def chart(template: str) -> dict[str, str]:
    """A chart of one ConfigMap with this data, and one more that is always the same."""
    return {
        "Chart.yaml": CHART,
        "templates/a.yaml": HEAD.replace("shop", "same") + "data: {x: y}\n",
        "templates/b.yaml": HEAD + template,
    }


@pytest.mark.parametrize(
    "expression",
    [
        "randAlphaNum 8",
        "randAlpha 8",
        "randNumeric 8",
        "randAscii 8 | b64enc",
        "randBytes 8",
        "randInt 0 1000000000",
        'shuffle "abcdefghijklmnopqrstuvwxyz"',
        "uuidv4",
        "now",
        'now | date "2006"',
        'now | date "01"',
        'now | date "02"',
        'date "2006" ""',
        'htmlDate "x"',
        "now | unixEpoch",
        "ago 0",
        'htpasswd "a" "b"',
        'bcrypt "a"',
        'encryptAES "0123456789012345" "text"',
        'genPrivateKey "ed25519"',
        'keys (dict "a" 1 "b" 2) | join ","',
        'values (dict "a" 1 "b" 2) | join ","',
        'tpl "{{ randAlphaNum 8 }}" .',
    ],
)
async def test_unstable_value_is_named(render: Callable[..., Any], expression: str) -> None:
    """Only the place that takes the value is unstable, in the object that has it."""
    data = f'data: {{v: {{{{ {expression} | toString | quote }}}}, fixed: "1"}}\n'
    result = await render(chart(data), {"helm": {}})
    assert result.unstable == {1: ("/data/v",)}


@pytest.mark.parametrize(
    "expression",
    [
        'keys (dict "a" 1 "b" 2) | sortAlpha | join ","',
        'keys (dict "a" 1) | join ","',
        'date "2006-01-02" 0',
        'sha256sum "x"',
        'derivePassword 1 "long" "a" "b" "c"',
        'lookup "v1" "Secret" "a" "b" | toJson',
        "len (randAlphaNum 8)",
        "now | kindOf",
    ],
)
async def test_stable_value_is_not(render: Callable[..., Any], expression: str) -> None:
    """What comes out the same is stable, whatever was called on the way."""
    result = await render(chart(f"data: {{v: {{{{ {expression} | quote }}}}}}\n"), {"helm": {}})
    assert result.unstable == {}


async def test_certificates_are_found(render: Callable[..., Any]) -> None:
    """A certificate authority and what it signs differ each time."""
    data = (
        '{{ $ca := genCA "ca" 10 }}{{ $c := genSignedCert "a" nil nil 10 $ca }}\n'
        "data: {ca: {{ $ca.Cert | b64enc }}, cert: {{ $c.Cert | b64enc }}}\n"
    )
    result = await render(chart(data), {"helm": {}})
    assert result.unstable == {1: ("/data/ca", "/data/cert")}


async def test_lists_and_names(render: Callable[..., Any]) -> None:
    """An item is named by its position; a list of another length, a name of its own, as a whole."""
    data = (
        "data: {a~b/c: {{ uuidv4 }}}\nitem: [x, {{ uuidv4 }}]\n"
        "grown: [{{ range until (now | unixEpoch | mod 7 | int) }}x,{{ end }}]\n"
        "---\n" + HEAD.replace("shop", "job-{{ randNumeric 9 }}")
    )
    result = await render(chart(data), {"helm": {}})
    assert set(result.unstable[1]) - {"/grown"} == {"/data/a~0b~1c", "/item/1"}
    assert result.unstable[2] == ("",)
