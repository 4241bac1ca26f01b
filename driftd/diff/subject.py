"""The object whose extras are judged, and what its writers are to it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from driftd.diff.facts import Facts
from driftd.diff.owners import Entry
from driftd.diff.recall import Recall
from driftd.model.resource import Json, ResourceKey


@dataclass(frozen=True, slots=True)
class Subject:
    """The object under comparison and what is known about it."""

    key: ResourceKey
    desired: dict[str, Any]
    live: dict[str, Any]
    entries: tuple[Entry, ...]
    facts: Facts
    created: str | None = None
    """The object's creationTimestamp."""
    strict: bool = False
    """Strict mode reports every extra that no table excuses, whoever made it."""
    recall: Recall | None = None
    """What earlier looks say; None where there is no history."""
    elsewhere: tuple[Entry, ...] = ()
    """Entries of others that own, at another apiVersion, places that live lacks at this one."""

    @property
    def provenance_lost(self) -> bool:
        """Whether the object carries no usable managedFields."""
        return not self.entries

    def is_creator(self, entry: Entry) -> bool:
        """Whether the entry is that of a creator who is no deployer.

        Somebody else may write within the second in which the object is created: a deployer is
        the creator then, else whoever wrote most.
        """
        created = self.created
        if created is None or entry.time != created:
            return False
        then = [one for one in self.entries if one.time == created]
        if any(one.deployer for one in then):
            return False
        return entry is max(then, key=lambda one: len(repr(one.fields)))

    def are_token_secrets(self, live: Json) -> bool:
        """Whether the list names what controllers make for the account, after its name."""
        account = self.key.name
        made = tuple(f"{account}-{what}-" for what in ("token", "dockercfg"))
        return isinstance(live, list) and all(
            isinstance(item, dict) and str(item.get("name", "")).startswith(made) for item in live
        )

    def writes_status(self, entry: Entry) -> bool:
        """Whether the manager is the one that writes this object's status: its own controller."""
        return any(
            other.manager == entry.manager and "f:status" in other.fields for other in self.entries
        )
