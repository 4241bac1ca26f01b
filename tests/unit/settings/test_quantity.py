"""Durations and sizes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from driftd.settings.quantity import Duration, Size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("1h30m", 5400), ("500ms", 0.5), ("7d", 604800), ("0s", 0), ("1.5m", 90)],
)
def test_durations(text, seconds):
    """A duration is the sum of its parts, in seconds."""
    assert Duration(text).seconds == seconds
    assert Duration(text).delta == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "5 m", "5w", "1h-5m"])
def test_wrong_durations(text):
    """Anything without a unit, with a sign or with spaces is refused."""
    with pytest.raises(ValueError, match="such as 90s"):
        Duration(text)


@pytest.mark.parametrize(("text", "size"), [("64Ki", 65536), (7, 7), ("1Gi", 1 << 30), ("12", 12)])
def test_sizes(text, size):
    """A size is in bytes, with binary units."""
    assert Size(text).bytes == size


@pytest.mark.parametrize("text", ["", "1.5Mi", "64K", -1, True])
def test_wrong_sizes(text):
    """Fractions, decimal units, signs and booleans are refused."""
    with pytest.raises(ValueError, match="such as 65536"):
        Size(text)
