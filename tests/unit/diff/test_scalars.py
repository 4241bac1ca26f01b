"""Spellings of one value: quantities, bytes, instants, numbers."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.diff.scalars import identical, quantity, same
from driftd.diff.schema import Scalar

DECIMAL_SUFFIXES = {"": 0, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18,
                    "u": -6, "n": -9}  # fmt: skip
BINARY_SUFFIXES = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
SUFFIXES = st.sampled_from([*DECIMAL_SUFFIXES, *BINARY_SUFFIXES])
NUMBERS = st.decimals(min_value=0, max_value=10**6, places=5, allow_nan=False)


def worth(number: Decimal, suffix: str) -> Fraction:
    """The value of a quantity, told independently."""
    if suffix in BINARY_SUFFIXES:
        return Fraction(number) * 1024 ** BINARY_SUFFIXES[suffix]
    return Fraction(number) * Fraction(10) ** DECIMAL_SUFFIXES[suffix]


@given(NUMBERS, SUFFIXES, NUMBERS, SUFFIXES)
def test_quantities_are_the_same_iff_their_values_are(
    left: Decimal, left_suffix: str, right: Decimal, right_suffix: str
) -> None:
    """Two quantities equal iff their exact values do, declared ones rounded up to milli."""
    wanted, stored = worth(left, left_suffix), worth(right, right_suffix)
    expected = stored in (wanted, Fraction(ceil(wanted * 1000), 1000))
    texts = f"{left:f}{left_suffix}", f"{right:f}{right_suffix}"
    assert same(*texts, Scalar.QUANTITY) is expected


@given(st.integers(0, 10**9), st.sampled_from(["m", "k", "M", "Ki", "Mi"]))
def test_quantity_equals_its_plain_spelling(number: int, suffix: str) -> None:
    """Writing a quantity out without suffix changes nothing."""
    value = worth(Decimal(number), suffix)
    plain = format(Decimal(value.numerator) / value.denominator, "f")
    assert same(f"{number}{suffix}", plain, Scalar.QUANTITY)
    assert same(plain, f"{number}{suffix}", Scalar.QUANTITY)


@pytest.mark.parametrize(
    ("desired", "live"),
    [
        ("0.5", "500m"),
        ("1000m", "1"),
        ("1024Mi", "1Gi"),
        ("1000M", "1G"),
        (10000, "10k"),
        ("1e0", "1"),
        ("1E3", "1k"),
        (0.1, "100m"),
        ("0.0001", "1m"),
        ("0.0011", "2m"),
        ("-0.5", "-500m"),
        (".5", "500m"),
        ("5.", "5"),
        ("1073741824", "1Gi"),
    ],
)
def test_known_quantity_spellings(desired: Any, live: Any) -> None:
    """The spellings of the catalogue's rows 27 to 29."""
    assert same(desired, live, Scalar.QUANTITY)


@pytest.mark.parametrize(
    ("desired", "live"),
    [("1", "1.001"), ("1Gi", "1G"), (True, "1"), ("1", None), ("1e3Mi", "1000Mi"), ("", "0")],
)
def test_different_quantities(desired: Any, live: Any) -> None:
    """Other values, other types and unparsable texts are no spelling of each other."""
    assert not same(desired, live, Scalar.QUANTITY)


def test_long_quantities_are_exact() -> None:
    """Thirty digits and more are neither rounded nor refused."""
    assert same("123456789012345678901234567890123k", "123456789012345678901234567890123000",
                Scalar.QUANTITY)  # fmt: skip
    assert not same("1234567890123456789012345678901231", "1234567890123456789012345678901232",
                    Scalar.QUANTITY)  # fmt: skip
    assert not same("99999999999999999999E", "1", Scalar.QUANTITY)
    assert not same("1e9999", "1e-9999", Scalar.QUANTITY)
    assert same("1e-9999", "1m", Scalar.QUANTITY)


@pytest.mark.parametrize("text", ["", "m", "1e3Mi", "1KiB", "1 Gi", "1k\n", "٣", "NaN", "1e99999"])
def test_what_is_no_quantity(text: str) -> None:
    """Text that the API server would refuse has no value."""
    assert quantity(text) is None


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_base64_is_compared_as_bytes(left: bytes, right: bytes) -> None:
    """Line breaks in base64 change nothing; other bytes do."""
    folded = base64.encodebytes(left).decode()
    assert same(folded, base64.b64encode(right).decode(), Scalar.BYTE) is (left == right)


@pytest.mark.parametrize(("desired", "live"), [("YQ", "YQ=="), ("-_==", "+/=="), (1, "MQ==")])
def test_what_is_no_base64(desired: Any, live: Any) -> None:
    """Unpadded, URL-safe and non-text values decode to nothing."""
    assert not same(desired, live, Scalar.BYTE)


@given(
    st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2200, 1, 1)),  # noqa: DTZ001
    st.integers(-14 * 4, 14 * 4),
    st.integers(0, 999_999),
)
def test_instants_are_compared_at_seconds(moment: datetime, quarter: int, micros: int) -> None:
    """Zone and fraction of a second are spelling; one second is not."""
    utc = moment.replace(microsecond=0, tzinfo=UTC)
    zone = timezone(timedelta(minutes=15 * quarter))
    local = utc.replace(microsecond=micros).astimezone(zone).isoformat()
    stored = utc.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert same(local, stored, Scalar.DATE_TIME)
    later = (utc + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert not same(local, later, Scalar.DATE_TIME)


@pytest.mark.parametrize("text", ["2026-13-01T00:00:00Z", "2026-01-01", "now", 5, None])
def test_what_is_no_instant(text: Any) -> None:
    """Other values are compared as they are."""
    assert not same(text, "2026-01-01T00:00:00Z", Scalar.DATE_TIME)
    assert same(text, text, Scalar.DATE_TIME)


@given(st.integers(0, 10**6), st.integers(0, 59), st.integers(0, 59))
def test_durations_are_lengths(hours: int, minutes: int, seconds: int) -> None:
    """Two spellings of one length are the same, lengths apart by a second are not."""
    spelled = f"{hours}h{minutes}m{seconds}s"
    total = hours * 3600 + minutes * 60 + seconds
    assert same(f"{total}s", spelled, Scalar.DURATION)
    assert same(f"{total}000ms", spelled, Scalar.DURATION)
    assert not same(f"{total + 1}s", spelled, Scalar.DURATION)
    assert same(f"-{total}s", f"-{spelled}", Scalar.DURATION)


@pytest.mark.parametrize("text", ["1d", "1h 5m", "90", "", "h", 5400, None, "1.2.3s"])
def test_what_is_no_duration(text: Any) -> None:
    """Other values are compared as they are."""
    assert not same(text, "1h30m", Scalar.DURATION)
    assert same(text, text, Scalar.DURATION)


@given(st.integers(), st.sampled_from(list(Scalar)))
def test_numbers_are_no_booleans_and_no_texts(number: int, kind: Scalar) -> None:
    """A boolean never equals a number, whatever the schema says."""
    for truth in (True, False):
        assert not same(truth, number, kind)
        assert not same(number, truth, kind)


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-2, 2))
def test_integers_are_exact(number: int, distance: int) -> None:
    """Neighbours beyond 2**53 stay different; no number goes through a float."""
    assert same(number, number + distance, Scalar.PLAIN) is (distance == 0)
    if distance and float(number) != number + distance:
        assert not same(number + distance, float(number), Scalar.PLAIN)


def test_plain_number_and_its_float() -> None:
    """1 and 1.0 are one number to the API server; 1 and "1" are not one value."""
    assert same(1, 1.0, Scalar.PLAIN)
    assert same(1.0, 1, Scalar.PLAIN)
    assert not same(1, "1", Scalar.PLAIN)
    assert not same("500m", "0.5", Scalar.PLAIN)
    assert not same(2**53 + 1, float(2**53), Scalar.PLAIN)


def test_int_or_string_keeps_its_type() -> None:
    """A port 80 and a port named "80" differ (catalogue row 53)."""
    assert not same(80, "80", Scalar.INT_OR_STRING)
    assert not same(80, 81, Scalar.INT_OR_STRING)
    assert same("http", "http", Scalar.INT_OR_STRING)


JSON = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 1.0, "", "1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=5,
)


@given(JSON, JSON)
def test_identical_is_equality_of_canonical_json(left: Any, right: Any) -> None:
    """True, 1 and 1.0 stay three values at any depth; the order of keys is nothing."""
    expected = json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)
    assert identical(left, right) is expected
