"""Which lines are to be changed to keep what lives, and who shares these files."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import UNSET

from driftd.controller.keeping import how_to_keep
from driftd.model.report import Change, ChangeClass, ChangeKind, ReportOrigin

BASE = "web/base/service.yaml"
OVERLAY = "web/overlays/prod/kustomization.yaml"
FILES = {
    "web/base/kustomization.yaml": b"resources: [service.yaml]\n",
    BASE: b"kind: Service\n",
    OVERLAY: b"resources: [../../base]\nimages:\n- {name: a.example/web, newTag: '1.28'}\n"
    b"- {name: proxy, newName: a.example:5000/proxy, digest: 'sha256:aa'}\n",
    "web/overlays/test/kustomization.yaml": b"resources: [../../base]\n",
    "alone/kustomization.yaml": b"resources: [a.yaml]\n",
    "broken/kustomization.yaml": b"resources: [\n",
}
APPS = (("prod", "web/overlays/prod"), ("alone", "alone"))


def change(file: str, line: int, desired: str = "a", live: str = "b") -> Change:
    """A field that differs, with its line."""
    return Change(
        kind=ChangeKind.MODIFIED, change_class=ChangeClass.DECLARED, path="/x", desired=desired,
        live=live, origin=ReportOrigin(file=file, line=line),
    )  # fmt: skip


def kept(*changes: Change, apps: tuple[tuple[str, str], ...] = APPS) -> str:
    """What to do to keep them."""
    return how_to_keep(changes, UNSET, FILES, apps)


def test_each_field_has_its_line() -> None:
    """Of several fields all lines are named, file by file."""
    assert kept(change("alone/a.yaml", 9)) == "commit the live value to alone/a.yaml:9"
    several = [change("alone/a.yaml", line) for line in (11, 9, 11, 2)]
    assert kept(*several) == "commit the live values to alone/a.yaml, lines 2, 9 and 11"
    assert kept(*several[:2], change("alone/b.yaml", 4)) == (
        "commit the live values to alone/a.yaml, lines 9 and 11 and alone/b.yaml:4"
    )


def test_the_object_itself_where_no_line_is_known() -> None:
    """A field that Git is silent about is committed to the object's own place."""
    silent = Change(kind=ChangeKind.ADDED, change_class=ChangeClass.UNDECLARED, path="/x", live=1)
    place = ReportOrigin(file="alone/a.yaml", line=1)
    told = "commit the live value to alone/a.yaml:1"
    assert how_to_keep([silent], place, FILES, APPS) == told
    assert kept(silent) == ""
    assert kept(silent, change("alone/a.yaml", 3)) == "commit the live value to alone/a.yaml:3"


def test_what_live_does_not_have_is_removed_from_git() -> None:
    """No live value can be committed where there is none: the lines go, others keep their value."""
    gone = Change(
        kind=ChangeKind.MISSING, change_class=ChangeClass.DECLARED, path="/spec/tls", desired=[],
        origin=ReportOrigin(file="alone/a.yaml", line=77),
    )  # fmt: skip
    assert kept(gone) == "remove from Git what live does not have: alone/a.yaml:77"
    assert kept(gone, change("alone/a.yaml", 9)) == (
        "commit the live value to alone/a.yaml:9, "
        "and remove from Git what live does not have: alone/a.yaml:77"
    )
    lineless = msgspec.structs.replace(gone, origin=UNSET)
    place = ReportOrigin(file="alone/a.yaml", line=1)
    told = "remove from Git what live does not have: alone/a.yaml:1"
    assert how_to_keep([lineless], place, FILES, APPS) == told


def test_shared_files_are_remarked() -> None:
    """A base says which overlays use it, or which applications; what one alone uses does not."""
    overlays = "shared by the overlays web/overlays/prod and web/overlays/test"
    assert kept(change(BASE, 9)) == f"commit the live value to {BASE}:9 ({overlays})"
    both = (*APPS, ("test", "web/overlays/test"), ("test", "web/overlays/test"))
    told = f"commit the live value to {BASE}:9 (shared by the applications prod and test)"
    assert kept(change(BASE, 9), apps=both) == told
    assert "shared" not in kept(change(OVERLAY, 1, "1", "2"))
    plain = (("one", "plain"), ("two", "plain"))
    told = "commit the live value to plain/a.yaml:2 (shared by the applications one and two)"
    assert kept(change("plain/a.yaml", 2), apps=plain) == told
    many = tuple((f"a{number}", "plain") for number in range(5))
    assert "(shared by 5 applications)" in kept(change("plain/a.yaml", 2), apps=many)


@pytest.mark.parametrize(
    ("desired", "live", "told"),
    [
        ("a.example/web:1.28", "a.example/web:1.29", 'write newTag: "1.29"'),
        (
            "a.example/web:1.28",
            "b.example/other:1",
            'write newName: b.example/other and newTag: "1"',
        ),
        ("a.example/web:1.28", "b.example/web:1.28", "write newName: b.example/web"),
        ("a.example/web:1.28", "a.example/web", 'write newTag: "latest"'),
        (
            "a.example/web:1.28",
            "a.example/web@sha256:bb",
            "write digest: sha256:bb and no newTag",
        ),
        (
            "a.example:5000/proxy@sha256:aa",
            "proxy:2",
            'write newName: proxy and newTag: "2" and no digest',
        ),
    ],
)
def test_images_of_a_kustomization(desired: str, live: str, told: str) -> None:
    """An entry of `images:` is told field by field, as the live image needs it."""
    assert kept(change(OVERLAY, 4, desired, live)) == f"{told} at {OVERLAY}:4"


def test_an_image_beside_another_field() -> None:
    """Both are told; a value of no image of the file is a line as any other."""
    image = change(OVERLAY, 4, "a.example/web:1.28", "a.example/web:2")
    assert kept(change("alone/a.yaml", 3), image) == (
        f'commit the live value to alone/a.yaml:3, and write newTag: "2" at {OVERLAY}:4'
    )
    assert kept(change(OVERLAY, 9, "3", "5")) == f"commit the live value to {OVERLAY}:9"
