"""What `driftd doctor` prints for people."""

from __future__ import annotations

from driftd.cli.diagnosis import lines
from driftd.controller.doctor import DoctorCheck, DoctorReport, Status


def check(area: str, message: str, remedy: str = "", status: Status = "fail") -> DoctorCheck:
    """One finding."""
    return DoctorCheck(area=area, status=status, message=message, remedy=remedy)


def printed(*checks: DoctorCheck) -> list[str]:
    """The lines about some findings."""
    ok = all(one.status != "fail" for one in checks)
    return list(lines(DoctorReport(ok=ok, checks=checks)))


def test_one_problem_of_many_applications_is_told_once() -> None:
    """Three applications are named, the others counted, and the problem counts once."""
    checks = [check(f"application app{n}", "no cluster", "say which") for n in range(1, 12)]
    assert printed(check("git", "git 2.39.5", status="ok"), *checks) == [
        "ok    git              git 2.39.5",
        "fail  11 applications  no cluster",
        "                       of app1, app2, app3 and 8 more",
        "                       to do: say which",
        "",
        "exit 2: 1 to mend, 0 to look at",
    ]


def test_other_words_or_another_remedy_are_another_problem() -> None:
    """Only what is equal in status, text and remedy stands together."""
    told = printed(
        check("application a", "no cluster", "say which"),
        check("application b", "no cluster", "say another"),
        check("application c", "no checkout", "say which"),
        check("application d", "no cluster", "say which"),
        check("application a", "no cluster", "say which", status="warn"),
    )
    assert told == [
        "fail  2 applications  no cluster",
        "                      of a, d",
        "                      to do: say which",
        "fail  application b   no cluster",
        "                      to do: say another",
        "fail  application c   no checkout",
        "                      to do: say which",
        "warn  application a   no cluster",
        "                      to do: say which",
        "",
        "exit 2: 3 to mend, 1 to look at",
    ]


def test_findings_of_one_area_stand_together() -> None:
    """Clusters keep their own findings, in the order of the first of each."""
    told = printed(
        check("cluster one", "answers", status="ok"),
        check("cluster two", "answers", status="ok"),
        check("cluster one", "slow", status="warn"),
    )
    assert told == [
        "ok    cluster one  answers",
        "warn  cluster one  slow",
        "ok    cluster two  answers",
        "",
        "exit 0: everything that a check needs is there (1 to look at)",
    ]


def test_a_cluster_that_looks_wrong_is_no_all_clear() -> None:
    """The last line names the cluster instead of saying that everything is there."""
    doubt = DoctorCheck(
        area="cluster one", status="warn", message="3 of 3", condition="ClusterLooksEmpty"
    )
    assert printed(doubt)[-1] == (
        "exit 0: nothing failed, but cluster one looks like the wrong one (1 to look at)"
    )
    assert "everything that a check needs is there" in printed(check("git", "", status="warn"))[-1]
