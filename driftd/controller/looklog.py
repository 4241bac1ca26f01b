"""What the log says of a look: the state that changed, and what was written."""

from __future__ import annotations

from driftd.store.types import StateChange, Transition
from driftd.sync.outcome import SyncResult
from driftd.telemetry.logs import get_logger


def log_look(change: StateChange, result: SyncResult | None) -> None:
    """One line for a change of state, and one for each object that was to be written."""
    log = get_logger("driftd.controller")
    if change.transition is not Transition.NONE:
        log.info(
            "state change" if change.recorded else "state change, not recorded yet",
            application=change.application,
            transition=str(change.transition),
            status=str(change.status),
            opened=len(change.opened),
            closed=len(change.closed),
        )
    for one in result.results if result else ():
        log.info(
            "sync",
            application=change.application,
            object=str(one.key),
            outcome=str(one.outcome),
            message=one.message,
        )
