"""What projects demand of signatures."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from driftd.errors import PolicyError
from driftd.model.project import AppProject, AppProjectSpec, SignatureMode
from driftd.policy.integrity import demands_signatures, signature_demand, unusable_keys

KEY = "D56C4FCA57A46444"
URL = "https://github.com/team/gitops.git"


def _project(**spec: Any) -> AppProject:
    return AppProject(name="team", spec=msgspec.convert(spec, AppProjectSpec))


def _policies(*policies: tuple[list[str], dict[str, Any] | None]) -> AppProject:
    written = [
        {"repos": [{"url": url} for url in urls], **({"gpg": gpg} if gpg is not None else {})}
        for urls, gpg in policies
    ]
    return _project(sourceIntegrity={"git": {"policies": written}})


def test_nothing_is_demanded_by_default() -> None:
    """A project without policies and keys demands nothing."""
    for project in (_project(), _project(signatureKeys=[]), _project(sourceIntegrity={})):
        assert signature_demand(project, URL) is None
        assert not demands_signatures(project)


def test_signature_keys_are_the_head_of_every_repository() -> None:
    """The older field means mode head everywhere, as Argo CD converts it."""
    project = _project(signatureKeys=[{"keyID": KEY}])
    demand = signature_demand(project, "https://anywhere.example/x")
    assert demand is not None
    assert (demand.mode, demand.keys) == (SignatureMode.HEAD, (KEY,))
    assert demands_signatures(project)


def test_source_integrity_replaces_signature_keys() -> None:
    """Where sourceIntegrity is set, the older field does not count."""
    project = _project(signatureKeys=[{"keyID": KEY}], sourceIntegrity={"git": {"policies": []}})
    assert signature_demand(project, URL) is None
    assert not demands_signatures(project)


@pytest.mark.parametrize(
    ("urls", "matches"),
    [
        (["*"], True),
        (["https://github.com/team/*"], True),
        (["https://github.com/*"], True),
        (["https://github.com/other/*"], False),
        (["https://github.com/team/*", "!https://github.com/team/gitops.git"], False),
        (["!https://github.com/team/gitops.git", "*"], False),
        (["!https://github.com/other/*"], False),
        (["https://github.com/team/gitops"], False),
        ([], False),
    ],
)
def test_globs_of_repositories(urls: list[str], matches: bool) -> None:
    """Some glob must match the URL as it is written, and no negated one may."""
    project = _policies((urls, {"mode": "strict", "keys": [KEY]}))
    assert (signature_demand(project, URL) is not None) is matches


def test_mode_none_demands_nothing() -> None:
    """Mode none switches the check off for the repositories that it names."""
    project = _policies((["*"], {"mode": "none", "keys": [KEY]}))
    assert signature_demand(project, URL) is None
    assert not demands_signatures(project)


def test_two_policies_for_one_repository() -> None:
    """Two policies that both match are an error, so that a slip switches nothing off."""
    project = _policies(
        (["*"], {"mode": "none"}), (["https://github.com/*"], {"mode": "head", "keys": [KEY]})
    )
    with pytest.raises(PolicyError, match="2 policies"):
        signature_demand(project, URL)
    assert signature_demand(project, "https://gitlab.com/x") is None


@pytest.mark.parametrize("gpg", [{"mode": "Strict"}, {"mode": ""}, {}, None])
def test_unknown_modes_are_errors(gpg: dict[str, Any] | None) -> None:
    """A mode that Argo CD does not know, or none at all, is told with the known ones."""
    with pytest.raises(PolicyError) as caught:
        signature_demand(_policies((["*"], gpg)), URL)
    assert "none, head or strict" in caught.value.message


def test_unusable_keys_match_nothing() -> None:
    """Short key ids, which anybody can forge, are left out and can be told."""
    written = ["57A46444", KEY, "A" * 40, "SHA256:" + "a" * 43, "SHA256:short", "alice@example.com"]
    demand = signature_demand(_policies((["*"], {"mode": "head", "keys": written})), URL)
    assert demand is not None
    assert set(demand.keys) == {KEY, "A" * 40, "SHA256:" + "a" * 43}
    assert unusable_keys(written) == ("57A46444", "SHA256:short", "alice@example.com")
