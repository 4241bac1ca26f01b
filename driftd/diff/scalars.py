"""When two scalars are the same value although they are spelled differently."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime
from decimal import MAX_EMAX, MIN_EMIN, ROUND_CEILING, Context, Decimal, InvalidOperation
from functools import lru_cache
from typing import Final

import orjson

from driftd.diff.schema import Scalar
from driftd.model.resource import Json

_SUFFIXES: Final = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}
_QUANTITY: Final = re.compile(
    r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))(?:([eE][+-]?\d{1,4})|([numkMGTPE]|[KMGTPE]i)?)\Z",
    re.ASCII,
)
_NESTED: Final = frozenset({dict, list})
_MILLI: Final = Decimal("0.001")
_EXACT: Final = Context(prec=2000, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[InvalidOperation])
"""Python's own 28 digits would round long quantities."""
_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.\d+)?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII
)
_DURATION: Final = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+\Z", re.ASCII)
_DURATION_PART: Final = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_UNITS: Final = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "µs": Decimal("1e-6"),
    "μs": Decimal("1e-6"),
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
}


@lru_cache(maxsize=4096)
def quantity(text: str) -> Decimal | None:
    """The exact value of a Kubernetes quantity (`500m`, `1Gi`, `1e3`), or None if it is none."""
    match = _QUANTITY.match(text)
    if match is None:
        return None
    number, exponent, suffix = match.groups()
    try:
        if exponent:
            return Decimal(number + exponent)
        return _EXACT.multiply(Decimal(number), _SUFFIXES[suffix or ""])
    except InvalidOperation:
        return None


def identical(desired: Json, live: Json) -> bool:
    """Whether two values are the same JSON. Python's `==` alone takes True, 1 and 1.0 for one."""
    kind = type(desired)
    if kind is not type(live) or desired != live:
        return False
    return kind not in _NESTED or canonical(desired) == canonical(live)


def canonical(value: Json) -> bytes:
    """Canonical JSON: sorted keys, no spaces."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def same(desired: Json, live: Json, kind: Scalar) -> bool:
    """Whether the API server stores `desired` as `live`, given what the schema says they are."""
    if type(desired) is type(live) and desired == live:
        return True
    if kind is Scalar.QUANTITY:
        return _same_quantity(desired, live)
    if kind is Scalar.BYTE:
        return _same_bytes(desired, live)
    if kind is Scalar.DATE_TIME:
        return _same_instant(desired, live)
    if kind is Scalar.DURATION:
        return _same_duration(desired, live)
    if kind is Scalar.INT_OR_STRING:
        return False  # 80 and "80" mean different things
    # Python compares int and float exactly (2**53 + 1 != float(2**53)); bool is no number.
    return _is_number(desired) and _is_number(live) and bool(desired == live)


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same_quantity(desired: Json, live: Json) -> bool:
    if isinstance(desired, bool) or isinstance(live, bool):
        return False
    if not isinstance(desired, str | int | float) or not isinstance(live, str | int | float):
        return False
    left, right = quantity(str(desired)), quantity(str(live))
    if left is None or right is None:
        return False
    if left == right:
        return True
    # Resource lists keep three decimal places, rounded up.
    exponent = left.as_tuple().exponent
    if not isinstance(exponent, int) or exponent >= -3:
        return False
    return left.quantize(_MILLI, ROUND_CEILING, _EXACT) == right


def _same_bytes(desired: Json, live: Json) -> bool:
    left, right = _decoded(desired), _decoded(live)
    return left is not None and left == right


def _decoded(value: Json) -> bytes | None:
    if value is None:
        return b""
    if not isinstance(value, str):
        return None
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def _same_instant(desired: Json, live: Json) -> bool:
    left, right = _instant(desired), _instant(live)
    return left is not None and left == right


def _instant(value: Json) -> datetime | None:
    """The moment that an RFC 3339 text names, at the one-second precision of `metav1.Time`."""
    match = _TIME.match(value) if isinstance(value, str) else None
    if match is None:
        return None
    day, time, zone = match.groups()
    try:
        return datetime.fromisoformat(
            f"{day}T{time}{'+00:00' if zone in 'Zz' else zone}"
        ).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _same_duration(desired: Json, live: Json) -> bool:
    left, right = _seconds(desired), _seconds(live)
    return left is not None and left == right


def _seconds(value: Json) -> Decimal | None:
    """The length that Go's `time.ParseDuration` reads (`1h30m`, `0`), or None if it is none."""
    if not isinstance(value, str):
        return None
    if value == "0":
        return Decimal(0)
    if _DURATION.match(value) is None:
        return None
    length = sum((Decimal(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(value)),
                 Decimal(0))  # fmt: skip
    return -length if value.startswith("-") else length
