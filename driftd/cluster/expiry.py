"""When the credential of a cluster ends, as far as it says so itself. Pure but for files.

Client certificates and tokens in JWT form do. Nothing is verified here: whoever accepts them is the
API server.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import msgspec

from driftd.cluster.access import ClusterAccess, decode_base64
from driftd.errors import ConfigError

WARNED: Final = (timedelta(days=1), timedelta(days=3), timedelta(days=14))
"""How long before its end a credential is told of, the nearest last moment first."""

_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_END: Final = b"-----END CERTIFICATE-----"
_SEQUENCE, _VERSION, _UTC_TIME, _TIME = 0x30, 0xA0, 0x17, 0x18


class Expiry(NamedTuple):
    """What ends, and when."""

    what: str
    at: datetime
    life: timedelta | None = None
    """How long it is good altogether, if it says so."""


def expiry_of(access: ClusterAccess) -> Expiry | None:
    """The end of a credential; None where it does not say, or is renewed by itself."""
    user = access.user
    token = user.get("token")
    if isinstance(token, str) and token and "tokenFile" not in user:
        return _expiry("the token", *token_life(token))
    pem = _certificate(access)
    return _expiry("the client certificate", *certificate_life(pem)) if pem else None


def near(expiry: Expiry, now: datetime) -> timedelta | None:
    """Within which of the times it is told of an end lies; None while it is far.

    What lives for days alone is renewed by somebody all the time: that it will end is no news.
    """
    if expiry.at <= now:
        return timedelta()
    told_of = [one for one in WARNED if expiry.life is None or expiry.life > 2 * one]
    return next((limit for limit in told_of if expiry.at - now <= limit), None)


def _expiry(what: str, begin: datetime | None, end: datetime | None) -> Expiry | None:
    if end is None:
        return None
    return Expiry(what, end, end - begin if begin is not None else None)


def told(expiry: Expiry, limit: timedelta, now: datetime, origin: str) -> str:
    """The warning, the same for every look within a limit."""
    moment = expiry.at.strftime("%Y-%m-%d %H:%M UTC")
    when = f"expires within {limit.days} d, on {moment}" if expiry.at > now else f"expired {moment}"
    return f"{expiry.what} {when}: renew it in {origin}"


Life: TypeAlias = tuple[datetime | None, datetime | None]
"""Beginning and end, each None where it is not said."""


def token_life(token: str) -> Life:
    """`iat` and `exp` of a JWT; of other tokens nothing is known."""
    parts = token.split(".")
    if len(parts) != 3:
        return None, None
    try:
        payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        claims = msgspec.json.decode(payload, type=_Claims)
        begin, end = (
            None if moment is None else datetime.fromtimestamp(moment, UTC)
            for moment in (claims.iat, claims.exp)
        )
    except (ValueError, OverflowError, OSError, msgspec.MsgspecError):
        return None, None
    return begin, end


def certificate_life(pem: bytes) -> Life:
    """`notBefore` and `notAfter` of the first certificate of a PEM file (RFC 5280)."""
    begin = pem.find(_BEGIN)
    end = pem.find(_END, begin)
    if begin < 0 or end < 0:
        return None, None
    try:
        der = base64.b64decode(b"".join(pem[begin + len(_BEGIN) : end].split()), validate=True)
        certificate = _value(der, 0, _SEQUENCE)[0]
        signed = _value(certificate, 0, _SEQUENCE)[0]
        at = _value(signed, 0)[1] if signed[0] == _VERSION else 0
        for _ in range(3):  # serial number, algorithm, issuer
            at = _value(signed, at)[1]
        validity = _value(signed, at, _SEQUENCE)[0]
        after = _value(validity, 0)[1]
        first, last = (
            _time(validity[at], _value(validity, at)[0].decode("ascii")) for at in (0, after)
        )
    except (ValueError, IndexError, binascii.Error):
        return None, None
    return first, last


class _Claims(msgspec.Struct, frozen=True):
    exp: float | None = None
    iat: float | None = None


def _certificate(access: ClusterAccess) -> bytes:
    inline = access.user.get("client-certificate-data")
    path = access.user.get("client-certificate")
    try:
        if inline:
            return decode_base64(str(inline), "client-certificate-data", access.origin)
        return Path(str(path)).read_bytes() if path else b""
    except (ConfigError, OSError):
        return b""  # connecting says so


def _value(data: bytes, at: int, tag: int | None = None) -> tuple[bytes, int]:
    """The content of the value at a place, and where the next one begins (DER)."""
    if tag is not None and data[at] != tag:
        raise ValueError(data[at])
    size, start = data[at + 1], at + 2
    if size & 0x80:
        count = size & 0x7F
        size, start = int.from_bytes(data[start : start + count], "big"), start + count
    if start + size > len(data):
        raise ValueError(size)
    return data[start : start + size], start + size


def _time(tag: int, text: str) -> datetime:
    """UTCTime has two digits of the year: from 1950 to 2049."""
    if tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != _TIME:
        raise ValueError(tag)
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
