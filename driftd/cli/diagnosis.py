"""What `driftd doctor` found, for people: each problem once, with the applications that have it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from driftd.model.counts import counted

if TYPE_CHECKING:
    from driftd.controller.doctor import DoctorReport

_NAMED = 3
"""Applications that are named where several share a problem."""
_APPLICATION = "application "
_EMPTY = "ClusterLooksEmpty"


class _Finding(NamedTuple):
    status: str
    area: str
    """`application` for one of applications."""
    message: str
    remedy: str


def lines(report: DoctorReport) -> Iterator[str]:
    """The findings by area, in their order, and what the exit code says."""
    found = _findings(report)
    shown = [(one, _area(one, names)) for one, names in found.items()]
    width = max((len(area) for _, area in shown), default=0)
    for area in dict.fromkeys(area for _, area in shown):
        for one in (finding for finding, of in shown if of == area):
            yield f"{one.status:<4}  {area:<{width}}  {one.message}"
            names = found[one]
            if len(names) > 1:
                yield f"{'':<4}  {'':<{width}}  of {_listed(names)}"
            if one.remedy:
                yield f"{'':<4}  {'':<{width}}  to do: {one.remedy}"
    counts = Counter(one.status for one in found)
    yield ""
    doubtful = list(dict.fromkeys(one.area for one in report.checks if one.condition == _EMPTY))
    if report.ok and doubtful:
        look = "looks like the wrong one" if len(doubtful) == 1 else "look like the wrong ones"
        warned = f"({counts['warn']} to look at)"
        yield f"exit 0: nothing failed, but {_listed(doubtful)} {look} {warned}"
    elif report.ok:
        warned = f" ({counts['warn']} to look at)" if counts["warn"] else ""
        yield f"exit 0: everything that a check needs is there{warned}"
    else:
        yield f"exit 2: {counts['fail']} to mend, {counts['warn']} to look at"


def _findings(report: DoctorReport) -> dict[_Finding, list[str]]:
    """Each finding once, with the names of the applications that it holds for."""
    found: dict[_Finding, list[str]] = defaultdict(list)
    for check in report.checks:
        name = check.area.removeprefix(_APPLICATION)
        area = check.area if name == check.area else _APPLICATION.strip()
        names = found[_Finding(check.status, area, check.message, check.remedy)]
        if name != check.area and name not in names:
            names.append(name)
    return found


def _area(finding: _Finding, names: Sequence[str]) -> str:
    if not names:
        return finding.area
    return f"{_APPLICATION}{names[0]}" if len(names) == 1 else counted(len(names), "application")


def _listed(names: Sequence[str]) -> str:
    rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + rest
