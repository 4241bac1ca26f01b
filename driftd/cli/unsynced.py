"""The note on drift that may be nothing but commits that nobody has synced yet."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from driftd.model.counts import counted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from msgspec import UnsetType

    from driftd.cli.progress import Narrator


def writers_of(managers: Iterable[str | UnsetType], deployers: Collection[str]) -> Counter[str]:
    """By deployer, the findings of drift that are as it wrote them; `managers` has one of each:
    of a field who wrote it, of an Extra object who created it.

    Nothing that a person may have written under a deployer's name counts.
    """
    from driftd.controller.unsynced import hands

    those = hands(deployers)
    return Counter(str(one) for one in managers if one in those)


def note_unsynced(writers: Counter[str], narrator: Narrator) -> None:
    """Say how many findings are as a deployer wrote them, if any are.

    Without the live Applications, and without a look before, a commit that is not synced yet
    cannot be told from an edit by the same manager.
    """
    from driftd.controller.unsynced import hub_tells
    from driftd.sync.engine import ENGINES

    if writers:
        known = sorted({ENGINES[name] for name in writers if name in ENGINES})
        engines = " or ".join(known or ("Argo CD", "Flux"))
        are, it = ("is", "it") if writers.total() == 1 else ("are", "them")
        done = "synced"
        tells = (
            f"--hub CONTEXT tells it (Pending) from drift where {engines} of that cluster deploys"
            " this repository"
        )
        if not hub_tells(writers):
            done = "applied"
            tells = "a --state FILE kept since before it tells it (Pending) from drift"
        narrator.note(
            f"{counted(writers.total(), 'finding')} {are} as {', '.join(sorted(writers))} wrote"
            f" {it}: a commit that is not {done} yet looks like that; {tells}"
        )
