"""Rewritten histories as applications tell them."""

from __future__ import annotations

from dataclasses import replace

from driftd.controller.check import Looked
from driftd.controller.rewritings import REWRITTEN, Move, Rewritings
from driftd.controller.verdict import application_report
from driftd.errors import SourceError
from tests.unit.controller.builders import application, desired

OLD, NEW, NEXT = "1" * 40, "2" * 40, "3" * 40


class Histories:
    """Says that everything but what is in `fine` was rewritten, and counts."""

    def __init__(self) -> None:
        self.fine: set[tuple[str, str]] = {(NEW, NEXT)}
        self.asked: list[tuple[str, str]] = []
        self.down = False
        self.rewritings = Rewritings(self.is_rewritten)

    async def is_rewritten(self, move: Move) -> bool:
        """See `IsRewritten`."""
        self.asked.append((move.old, move.new))
        if self.down:
            raise SourceError("no answer")
        return (move.old, move.new) not in self.fine

    async def look(self, revision: str, name: str = "shop") -> list[str]:
        """The conditions of a look at a revision."""
        declared = replace(desired(app=application(name=name)), revisions=(revision,))
        looked = await self.rewritings.judged(
            Looked(application_report(declared, (), ()), declared)
        )
        return [one.message for one in looked.report.conditions if one.type == REWRITTEN]


async def test_it_is_told_until_the_branch_goes_on() -> None:
    """The first look knows nothing before it; a rewriting stands at its revision."""
    histories = Histories()
    assert await histories.look(OLD) == []
    (told,) = await histories.look(NEW)
    assert "revision 2222222222 does not come from 1111111111" in told
    assert await histories.look(NEW) == [told]
    assert histories.asked == [(OLD, NEW)]
    assert await histories.look(NEXT) == []
    assert await histories.look(NEXT) == []


async def test_one_question_for_all_applications_of_a_repository() -> None:
    """Each application has the condition; the repository is asked once."""
    histories = Histories()
    for name in ("a", "b"):
        await histories.look(OLD, name)
    assert [len(await histories.look(NEW, name)) for name in ("a", "b")] == [1, 1]
    assert histories.asked == [(OLD, NEW)]
    histories.rewritings.only({"argocd/a"})
    assert await histories.look(NEW, "b") == []
    assert len(await histories.look(NEW, "a")) == 1


async def test_a_repository_that_does_not_answer_claims_nothing() -> None:
    """What cannot be found out is left out, and asked with the next move."""
    histories = Histories()
    await histories.look(OLD)
    histories.down = True
    assert await histories.look(NEW) == []
