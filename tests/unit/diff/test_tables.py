"""Which default table a cluster is judged by."""

from __future__ import annotations

import pytest

from driftd.diff import tables


@pytest.mark.parametrize(
    ("version", "minor"),
    [
        ("v1.34.12", "1.34"),
        ("v1.35.0-alpha.1", "1.35"),
        ("v1.35.8-eks-1a2b3c4", "1.35"),
        ("v1.34.3-gke.1083000", "1.34"),
        ("v1.36.1+rke2r1", "1.36"),
        ("1.35", "1.35"),
        ("v1.99.0", "1.36"),
        ("v2.0.0", "1.36"),
        ("v1.21.5", "1.34"),
        ("v1.4.0", "1.34"),
        ("", "1.36"),
        ("unversioned", "1.36"),
    ],
)
def test_the_nearest_minor_is_chosen(version: str, minor: str) -> None:
    """A server's own minor; the newest for newer and unknown ones, the oldest for older ones."""
    assert tables.minor_for(version) == minor


@pytest.mark.parametrize("version", ["v1.34.12", "v1.36.3", "1.35", "", "unversioned"])
def test_nothing_is_told_of_a_known_minor(version: str) -> None:
    """A server with a table, or one that names no version, brings no note."""
    assert tables.note(version) == ""


@pytest.mark.parametrize(("version", "used"), [("v1.37.0", "1.36"), ("v1.33.4", "1.34")])
def test_a_server_without_a_table_is_told(version: str, used: str) -> None:
    """The note names the server's minor and the table that serves instead."""
    assert f"Kubernetes {version[1:5]}; that of {used} is used" in tables.note(version)


def test_minors_share_what_they_agree_on_and_differ_in_the_rest() -> None:
    """Each minor's table holds the common rows and its own; no row is stored as both."""
    whole = [tables.table(minor) for minor in tables.releases()]
    for rows in whole:
        assert rows["v1.PodSpec"]["dnsPolicy"] == ['"ClusterFirst"']
    stored = tables._stored()
    for only in stored["only"].values():
        for component, fields in only.items():
            assert not fields.keys() & stored["components"].get(component, {}).keys()
    assert list(tables.releases()) == ["1.34", "1.35", "1.36"]
