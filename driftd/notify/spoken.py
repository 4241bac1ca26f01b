"""What receivers of words and receivers of incidents have in common, each among themselves."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Final

from driftd.errors import described
from driftd.model.report import ApplicationStatus
from driftd.notify.digest import Digest, DigestEntry
from driftd.notify.incidents import is_incident, is_over
from driftd.notify.message import Counts, Message
from driftd.notify.notifier import Notifier, Receipt
from driftd.notify.templates import Texts
from driftd.notify.wording import Told, told, told_of_digest
from driftd.telemetry.logs import get_logger

_KEPT: Final = 4
"""Digests of which it is remembered how far they were delivered."""


class Spoken(Notifier):
    """People read it: a message and a digest are words alike."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts

    async def send(self, message: Message, earlier: Receipt | None = None) -> Receipt | None:
        """See `Notifier.send`; a template that fails is told beside it, once."""
        receipt = await self.say(await self._texts.told(message), message.id, earlier)
        await self._tell_troubles()
        return receipt

    async def _tell_troubles(self) -> None:
        """Tell of failing templates in the built-in words."""
        for one in self._texts.troubles():
            try:
                await self.say(told(one), one.id, None)
            except Exception as error:  # noqa: BLE001 - the message itself has arrived
                get_logger("driftd.notify").warning(
                    "rule trouble waits for the next message", error=described(error)
                )
                return
            self._texts.trouble_told(one)

    async def send_digest(self, digest: Digest) -> None:
        """See `Notifier.send_digest`."""
        await self.say(told_of_digest(digest), digest.id, None)

    @abstractmethod
    async def say(self, told: Told, name: str, earlier: Receipt | None) -> Receipt | None:
        """Deliver words; `name` is the id of the message. Raises as `send`."""


class Kept(Notifier):
    """A tool keeps a state per application: what is told beside that is not for it."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self._done: dict[str, set[str]] = {}

    async def send(self, message: Message, earlier: Receipt | None = None) -> Receipt | None:
        """See `Notifier.send`; what is no incident is not sent."""
        if is_incident(message):
            await self.keep(message, await self._texts.told(message))
        return None

    async def send_digest(self, digest: Digest) -> None:
        """See `Notifier.send_digest`; each application by itself.

        An attempt goes on where an earlier one of this process was stopped: tools limit how much
        they take in a minute.
        """
        await self.bring(digest, is_incident)
        self.forget(digest)

    async def bring(self, digest: Digest, wanted: Callable[[Message], bool]) -> None:
        """Bring the states of some applications there, each once over all attempts."""
        done = self._done.setdefault(digest.id, set())
        for entry in digest.every:
            message = message_of_entry(entry)
            if wanted(message) and message.id not in done:
                await self.keep(message, await self._texts.told(message))
                done.add(message.id)

    def forget(self, digest: Digest) -> None:
        """The digest is delivered; older ones that never were are not kept for ever either."""
        self._done.pop(digest.id, None)
        for old in list(self._done)[:-_KEPT]:
            del self._done[old]

    @abstractmethod
    async def keep(self, message: Message, told: Told) -> None:
        """Bring the state of one application there. Raises as `send`."""


class Paging(Kept):
    """A tool that wakes people: a digest is one alarm for all that is wrong, and ends what is over.

    The alarm of the storm itself is for a person to end.
    """

    async def send_digest(self, digest: Digest) -> None:
        """See `Notifier.send_digest`."""
        await self.bring(digest, is_over)
        if any(entry.status is not ApplicationStatus.SYNCED for entry in digest.entries):
            await self.raise_storm(digest)
        self.forget(digest)

    @abstractmethod
    async def raise_storm(self, digest: Digest) -> None:
        """Raise the alarm of many messages at once. Raises as `send`."""


def message_of_entry(entry: DigestEntry) -> Message:
    """The last message about an application as far as a digest holds it."""
    return Message(
        id=entry.messages[-1],
        type=entry.type,
        application=entry.application,
        namespace=entry.namespace,
        project=entry.project,
        cluster=entry.cluster,
        at=entry.at,
        status=entry.status,
        previous_status=None,
        revisions=entry.revisions,
        conditions=(),
        counts=Counts(open=entry.open, opened=entry.opened, closed=entry.closed),
        drifts=(),
        closed=(),
        severity=entry.severity,
        owner=entry.owner,
    )
