"""Places in Git as text, and as the place of an annotation."""

from __future__ import annotations

import msgspec

from driftd.cli.findings import origin_of
from driftd.cli.git_places import place_of_field, reason_of
from driftd.model.report import Change, ChangeClass, ChangeKind, Invalid, ReportOrigin
from tests.unit.cli import sample

TAG = ReportOrigin(file="values/prod.yaml", line=3, value="image.tag")
NAME = ReportOrigin(file="values.yaml", line=9, value="image.name", repo_url="https://b.example")
PACKED = ReportOrigin(file="charts/web-1.0.0.tgz", value="web.tag")


def test_values_are_told_by_line_and_name() -> None:
    """One value, two of two repositories, and more than two are one short text each."""
    assert place_of_field(TAG) == "from values/prod.yaml:3: image.tag"
    two = msgspec.structs.replace(TAG, others=(NAME,))
    assert place_of_field(two) == (
        "from values/prod.yaml:3: image.tag and values.yaml:9 of https://b.example: image.name"
    )
    three = msgspec.structs.replace(TAG, others=(PACKED, NAME))
    assert place_of_field(three).endswith("charts/web-1.0.0.tgz: web.tag and 1 more")
    assert place_of_field(ReportOrigin(file="a.yaml", line=1)) == "in a.yaml:1"
    number = msgspec.structs.replace(TAG, written="3.20", number="3.2")
    assert place_of_field(number) == (
        "from values/prod.yaml:3: image.tag (YAML reads 3.20 as the number 3.2: quote it)"
    )


def test_annotations_point_to_the_one_line_that_decides() -> None:
    """The line of a value is an annotation's place if it is the only one, else the object's is."""
    whole = sample.origin("templates/a.yaml")
    resource = msgspec.structs.replace(sample.resource("Service", "a"), origin=whole)

    def placed(origin: ReportOrigin) -> tuple[str, object]:
        change = Change(
            kind=ChangeKind.MODIFIED, change_class=ChangeClass.DECLARED, path="/a", origin=origin
        )
        found = origin_of(resource, change)
        assert found is not None
        return found.file, found.repo_url

    assert placed(TAG) == ("values/prod.yaml", whole.repo_url)
    assert placed(NAME) == ("values.yaml", "https://b.example")
    assert placed(PACKED) == ("templates/a.yaml", whole.repo_url)
    assert placed(msgspec.structs.replace(TAG, others=(NAME,))) == (
        "templates/a.yaml",
        whole.repo_url,
    )


def test_what_is_refused_of_an_object_has_its_line() -> None:
    """The reason names the line of the field, and annotations point to it, not to the object."""
    resource = msgspec.structs.replace(
        sample.resource("Pod", "a"), origin=ReportOrigin(file="a.yaml", line=2)
    )
    assert reason_of(resource) == ""
    resource = msgspec.structs.replace(resource, reason="refused: no such volume; a hint")
    for at, place in (
        (ReportOrigin(file="a.yaml", line=15), " (at line 15)"),
        (ReportOrigin(file="b.yaml", line=3), " (in b.yaml:3)"),
        (ReportOrigin(file="b.yaml"), ""),
        (None, ""),
    ):
        wrong = Invalid(cause="ValidationFailed", path="/spec", message="no such volume")
        if at is not None:
            wrong = msgspec.structs.replace(wrong, origin=at)
        one = msgspec.structs.replace(resource, invalid=wrong)
        assert reason_of(one) == f"refused: no such volume{place}; a hint"
        found = origin_of(one, None)
        assert found == (at or resource.origin)
