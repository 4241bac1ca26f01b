"""When credentials end, and when it is told (F-11)."""

from __future__ import annotations

import base64
import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from driftd.cluster.access import ClusterAccess
from driftd.cluster.destinations import ClusterTarget, TargetKind
from driftd.cluster.expiry import certificate_life, expiry_of, near, token_life
from driftd.cluster.kubeconfig import load_kubeconfig
from driftd.cluster.registry import ClusterRegistry
from driftd.settings.types import ClusterPermissions

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def jwt(**claims: Any) -> str:
    """A token as service accounts have it, without a signature that means anything."""
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{payload}.c2ln"


def access(**user: Any) -> ClusterAccess:
    """A cluster with a user."""
    return ClusterAccess(name="one", server="https://one", user=user, origin="kubeconfig (k)")


class Fixed:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.moment = NOW

    def now(self) -> datetime:
        """See `Clock`."""
        return self.moment


@pytest.mark.parametrize("days", [1, 400, 20_000])
def test_the_end_of_a_certificate_is_what_openssl_says(tmp_path: Path, days: int) -> None:
    """For both forms of time that certificates have, in a file with the key beside it."""
    both = tmp_path / "client.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-subj", "/CN=someone", "-days", str(days), "-keyout", both,
         "-out", tmp_path / "crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    crt = tmp_path / "crt"
    said = subprocess.run(
        ["openssl", "x509", "-in", crt, "-noout", "-enddate", "-dateopt", "iso_8601"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    expected = datetime.fromisoformat(said.strip().removeprefix("notAfter="))
    begin, end = certificate_life(both.read_bytes() + crt.read_bytes())
    assert (end, begin) == (expected, expected - timedelta(days=days))
    inline = base64.b64encode(crt.read_bytes()).decode()
    for user in ({"client-certificate-data": inline}, {"client-certificate": str(crt)}):
        found = expiry_of(access(**user))
        assert found == ("the client certificate", expected, timedelta(days=days))


def test_what_does_not_say_its_end() -> None:
    """Tokens of other kinds, broken ones and files that are renewed by others are left alone."""
    assert token_life(jwt(exp=int(NOW.timestamp()))) == (None, NOW)
    for other in ("plain", "a.b", "a.%%.c", jwt(sub="x"), jwt(exp=1e300), jwt(exp="soon")):
        assert token_life(other) == (None, None)
    pem = b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----"
    for broken in (b"", b"-----BEGIN CERTIFICATE-----", pem, pem.replace(b"MAA=", b"?")):
        assert certificate_life(broken) == (None, None)
    for user in ({}, {"tokenFile": "/t"}, {"token": "plain"}, {"client-certificate": "/none"}):
        assert expiry_of(access(**user)) is None


async def test_it_is_told_at_fourteen_three_and_one_days(tmp_path: Path, capsys) -> None:
    """Once each in the log, and by every look; not before, and not after it was renewed."""
    end = NOW + timedelta(days=20)
    path = tmp_path / "kubeconfig"

    def write(moment: datetime) -> None:
        document = {
            "clusters": [{"name": "c", "cluster": {"server": "https://one"}}],
            "users": [{"name": "u", "user": {"token": jwt(exp=int(moment.timestamp()))}}],
            "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u"}}],
        }
        path.write_text(json.dumps(document))

    write(end)
    target, clock = ClusterTarget(TargetKind.CONTEXT, "a", "https://one"), Fixed()
    told: list[str] = []
    async with ClusterRegistry(
        lambda: load_kubeconfig(str(path)), permitted=ClusterPermissions(), clock=clock
    ) as clusters:
        for day in range(22):
            clock.moment = NOW + timedelta(days=day)
            for _ in range(3):
                text = clusters.expiring(target)
            told.append(text)
    assert next(day for day, text in enumerate(told) if text) == 6
    assert "the token expires within 14 d, on 2026-12-16 12:00 UTC" in told[6]
    assert "within 3 d" in told[17]
    assert "within 1 d" in told[19]
    assert "expired 2026-12-16 12:00 UTC" in told[21]
    assert len(set(told)) == 5
    said = capsys.readouterr()
    assert (said.out + said.err).count("credential expires") == 4
    found = expiry_of(access(token=jwt(exp=int(end.timestamp()))))
    assert found is not None
    assert near(found, NOW) is None


def test_what_is_renewed_all_the_time_is_no_news() -> None:
    """A credential that lives for hours is told of only once it has ended."""
    begin = int(NOW.timestamp())
    hourly = expiry_of(access(token=jwt(iat=begin, exp=begin + 3600)))
    monthly = expiry_of(access(token=jwt(iat=begin, exp=begin + 30 * 86400)))
    assert hourly is not None
    assert monthly is not None
    assert near(hourly, NOW + timedelta(minutes=59)) is None
    assert near(hourly, NOW + timedelta(minutes=60)) == timedelta()
    assert near(monthly, NOW + timedelta(days=15)) is None
    assert near(monthly, NOW + timedelta(days=17)) == timedelta(days=14)
