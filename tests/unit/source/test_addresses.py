"""Addresses that a URL of Git may not lead to."""

from __future__ import annotations

import pytest

from driftd.source.addresses import refused_address


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "169.254.169.254", "100.100.100.200", "192.0.0.192",
        "224.0.0.1", "255.255.255.255", "::1", "[::1]", "::", "fe80::1%eth0", "fd00:ec2::254",
        "ff02::1", "::ffff:169.254.169.254", "::ffff:127.0.0.1", "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::", "::127.0.0.1",
    ],
)  # fmt: skip
def test_this_machine_its_link_and_metadata_are_refused(address: str) -> None:
    """Also when an IPv4 address is wrapped in an IPv6 one (S-65's list)."""
    assert refused_address(address)


@pytest.mark.parametrize(
    "address",
    ["10.1.2.3", "192.168.1.1", "172.16.0.1", "140.82.112.3", "2606:50c0::1", "64:ff9b::8c52:7003"],
)
def test_private_and_public_networks_are_allowed(address: str) -> None:
    """Companies keep repositories in private networks."""
    assert not refused_address(address)


def test_names_are_no_addresses() -> None:
    """A host name is judged by what it resolves to."""
    assert not refused_address("localhost")
