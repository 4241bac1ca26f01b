"""What driftd writes as YAML is read by the deployers' parser as what it was."""

from __future__ import annotations

import random
from typing import Any

import pytest

from driftd.cli.formats import write_yaml

from .conftest import objects

pytestmark = pytest.mark.slow

LIKE_OTHERS = [
    "08", "09", "0o17", "1e3", "5e10", "12e03", "+.5e-3", "0_8", "1_000", "0x1F", "0b11", "-0b1",
    "y", "Y", "n", "N", "yes", "off", "true", "null", "~", ".inf", "-.INF", ".nan", "1:30", "5.",
    "-_40", "0X3", "1_e_+3", "+_.5", "0_x1f", "0b+_1",
    "2026-11-27", "2026-1-2", "2026-11-27T10:00:00Z", "<<", "=", "", " ", "-", "?", "#", "a: b",
    "3.20", "1.2.3", "10.0.0.1", "1.2e", "e3", "0x", "0o8", "_", "_1", "- a", "\tx", "x\n", "é",
]  # fmt: skip


async def test_every_text_stays_a_text(render: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Texts that look like numbers, booleans or dates to go-yaml, and 4,000 random ones."""
    chance = random.Random(20261127)  # noqa: S311
    texts = LIKE_OTHERS + [
        "".join(chance.choices("0123456789_+-.eExXobynY:", k=chance.randint(1, 6)))
        for _ in range(4000)
    ]
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "texts"},
        "texts": texts,
        "numbers": [8, 1.5, 1e21, -3],
        "data": {text: "key" for text in LIKE_OTHERS if text != "<<"},
    }
    write_yaml(body)
    (found,) = objects(await render({"app/a.yaml": capsys.readouterr().out}, {"path": "app"}))
    assert [one for one in zip(texts, found["texts"], strict=True) if one[0] != one[1]] == []
    assert found == body


def test_ordinary_texts_stay_without_quotes(capsys: pytest.CaptureFixture[str]) -> None:
    """Versions, addresses, images and words are no numbers to anybody."""
    write_yaml(["1.2.3", "10.0.0.1", "nginx:1.27", "yellow", "no-cache", "e3", "v08"])
    assert "'" not in capsys.readouterr().out
