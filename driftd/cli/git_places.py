"""Places in Git as text: of an object, of a field, of the value that decides a field."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET

from driftd.cli.terminal import printable
from driftd.model.preview import ObjectPreview
from driftd.model.report import ReportOrigin, ResourceReport

_VALUES: Final = 2
"""Values that are named where several decide a field."""


def file_and_line(origin: ReportOrigin | object) -> str:
    """`FILE:LINE`, the file alone where the line is not known, empty where nothing is.

    Of a chart in an archive the template in it stands behind the file.
    """
    if not isinstance(origin, ReportOrigin):
        return ""
    if origin.template is not UNSET:
        return printable(f"{origin.file} ({origin.template})")
    return printable(origin.file if origin.line is UNSET else f"{origin.file}:{origin.line}")


def place_of_field(origin: ReportOrigin | object) -> str:
    """`in FILE:LINE`, and of values of a chart `from FILE:LINE: KEY`; empty where not known."""
    if not isinstance(origin, ReportOrigin):
        return ""
    if origin.value is UNSET:
        return f"in {file_and_line(origin)}"
    told = [_value(one) for one in (origin, *origin.others)]
    more = f" and {len(told) - _VALUES} more" if len(told) > _VALUES else ""
    return f"from {' and '.join(told[:_VALUES])}{more}"


def reason_of(one: ResourceReport | ObjectPreview) -> str:
    """Why an object is as it is, with the line of what is refused in it; empty without a reason."""
    if one.reason is UNSET:
        return ""
    at = one.invalid.origin if one.invalid else UNSET
    if not one.invalid or not isinstance(at, ReportOrigin) or at.line is UNSET:
        return one.reason
    here = isinstance(one.origin, ReportOrigin) and one.origin.file == at.file
    place = f"at line {at.line}" if here else place_of_field(at)
    message = one.invalid.message
    return one.reason.replace(message, f"{message} ({place})", 1)


def _value(origin: ReportOrigin) -> str:
    where = "" if origin.repo_url is UNSET else f" of {printable(origin.repo_url)}"
    told = f"{file_and_line(origin)}{where}: {printable(str(origin.value))}"
    if origin.written is UNSET:
        return told
    return f"{told} (YAML reads {origin.written} as the number {origin.number}: quote it)"
