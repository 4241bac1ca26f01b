"""The outbox's rows: what is due, what is under way, what stands in a digest, what was given up."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    and_,
    case,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from driftd.store.protocol import Outbox
from driftd.store.schema import deliveries, messages
from driftd.store.types import DeadLetter, OutboxMessage, Refusal
from driftd.store.writer import Call, Writer

Result = TypeVar("Result")

_ERROR_LENGTH: Final = 500
_FEW: Final = 500
"""Rows that one statement names."""
_UNSETTLED: Final = deliveries.c.settled_at.is_(None)
_DEAD: Final = and_(
    deliveries.c.settled_at.is_not(None),
    deliveries.c.delivered.is_(False),
    deliveries.c.digest.is_(None),
)


class Deliveries(Outbox):
    """`Outbox` on tables; where and how it is read and written, its subclass knows."""

    _writer: Writer

    @abstractmethod
    async def _read(self, what: str, call: Call[Result]) -> Result: ...

    @abstractmethod
    async def ask_again(self, what: str, call: Call[Result]) -> Result:
        """As `_read`; what was read stands for it while nobody has written anything."""

    async def targets(self, now: datetime) -> tuple[str, ...]:
        """See `Outbox.targets`."""
        first = func.min(deliveries.c.due_at).label("first")
        query = select(deliveries.c.target, first).where(_UNSETTLED)
        query = query.group_by(deliveries.c.target).order_by(deliveries.c.target)
        rows = await self.ask_again("read which receivers are due", _fetching(query))
        return tuple(row.target for row in rows if row.first <= now)

    async def due(self, target: str, now: datetime, limit: int) -> tuple[OutboxMessage, ...]:
        """See `Outbox.due`."""
        before = deliveries.alias()
        waits = exists().where(
            before.c.target == target,
            before.c.application == deliveries.c.application,
            before.c.settled_at.is_(None),
            before.c.seq < deliveries.c.seq,
            before.c.due_at > now,
        )
        query = (
            _with_message()
            .where(_UNSETTLED, deliveries.c.target == target, deliveries.c.due_at <= now, ~waits)
            .order_by(deliveries.c.seq)
            .limit(limit)
        )
        return tuple(_message(row) for row in await self._fetch("read the outbox", query))

    async def payloads(self, ids: Sequence[str]) -> Mapping[str, bytes]:
        """See `Outbox.payloads`."""
        query = select(messages.c.id, messages.c.payload).where(messages.c.id.in_(ids))
        return {row.id: row.payload for row in await self._fetch("read messages", query)}

    async def receipt(self, target: str, application: str) -> str | None:
        """See `Outbox.receipt`."""
        query = (
            select(deliveries.c.receipt)
            .where(
                deliveries.c.target == target,
                deliveries.c.application == application,
                deliveries.c.receipt.is_not(None),
            )
            .order_by(deliveries.c.seq.desc())
            .limit(1)
        )
        rows = await self._fetch("read a receipt", query)
        return rows[0].receipt if rows else None

    async def waiting(self) -> int:
        """See `Outbox.waiting`."""
        whole = _UNSETTLED & (deliveries.c.application == "")
        open_digests = select(deliveries.c.message, deliveries.c.target).where(whole).subquery()
        members = (
            select(func.count())
            .select_from(deliveries)
            .join(
                open_digests,
                and_(
                    deliveries.c.digest == open_digests.c.message,
                    deliveries.c.target == open_digests.c.target,
                ),
            )
        )
        single = select(func.count()).where(_UNSETTLED, deliveries.c.application != "")
        return await self._count("messages", single) + await self._count("digests", members)

    async def dead(self, limit: int) -> tuple[DeadLetter, ...]:
        """See `Outbox.dead`."""
        query = _with_message().where(_DEAD).order_by(deliveries.c.seq.desc()).limit(limit)
        rows = await self._fetch("list dead letters", query)
        payloads = await self.payloads([row.message for row in rows])
        return tuple(
            DeadLetter(
                id=row.message,
                target=row.target,
                application=row.application,
                created_at=row.created_at,
                given_up_at=row.settled_at,
                attempts=row.attempts,
                error=row.error,
                payload=payloads[row.message],
            )
            for row in rows
        )

    async def count_dead(self) -> int:
        """See `Outbox.count_dead`."""
        return await self._count("dead letters", select(func.count()).where(_DEAD))

    async def revive(self, now: datetime, targets: Collection[str] = ()) -> int:
        """See `Outbox.revive`."""
        wanted = _DEAD & deliveries.c.target.in_(targets) if targets else _DEAD
        statement = update(deliveries).where(wanted)
        values = {"settled_at": None, "attempts": 0, "due_at": now, "begun_at": None}

        async def revive(connection: AsyncConnection) -> int:
            # What was made anew counts as young, else it would be given up at the next failure.
            ids = select(deliveries.c.message).where(wanted)
            fresh = update(messages).where(messages.c.id.in_(ids)).values(created_at=now)
            await connection.execute(fresh)
            return (await connection.execute(statement.values(**values))).rowcount

        return await self._writer.run("take up dead letters", revive)

    async def begin(self, message: OutboxMessage, now: datetime) -> None:
        """See `Outbox.begin`."""
        await self._change(message, {"begun_at": now})

    async def mark_delivered(
        self, message: OutboxMessage, now: datetime, receipt: str | None = None
    ) -> None:
        """See `Outbox.mark_delivered`."""
        settled = {"settled_at": now, "delivered": True, "error": "", "begun_at": None}

        async def deliver(connection: AsyncConnection) -> None:
            await connection.execute(
                update(deliveries).where(_row(message)).values(**settled, receipt=receipt)
            )
            if message.is_digest:
                members = update(deliveries).where(_members(message))
                await connection.execute(members.values(**settled))

        await self._writer.run(f"settle message {message.id}", deliver)

    async def mark_failed(
        self, message: OutboxMessage, now: datetime, refusal: Refusal, retry_at: datetime | None
    ) -> None:
        """See `Outbox.mark_failed`."""
        if message.is_digest and refusal.certain:
            await self._dissolve(message, now, refusal, retry_at or now)
            return
        values: dict[str, Any] = {
            "attempts": message.attempts + 1,
            "error": refusal.error[:_ERROR_LENGTH],
            "due_at": retry_at or now,
            "settled_at": None if retry_at is not None else now,
        }
        if refusal.certain:
            values["begun_at"] = None
        await self._change(message, values)

    async def merge(
        self, members: Sequence[OutboxMessage], digest: OutboxMessage, now: datetime
    ) -> None:
        """See `Outbox.merge`."""
        named = {one.id for one in members}

        async def merge(connection: AsyncConnection) -> None:
            known = select(messages.c.id).where(messages.c.id == digest.id)
            row = {
                "id": digest.id,
                "application": "",
                "created_at": now,
                "payload": digest.payload,
            }
            if (await connection.execute(known)).one_or_none() is None:
                await connection.execute(insert(messages).values(**row))
            again = select(deliveries.c.seq).where(_row(digest))
            if (await connection.execute(again)).one_or_none() is not None:
                return
            await connection.execute(insert(deliveries).values(**delivery_row(digest, now)))
            for ids in _parts(sorted(named)):
                wanted = and_(
                    deliveries.c.target == digest.target,
                    deliveries.c.message.in_(ids),
                    _UNSETTLED,
                )
                statement = update(deliveries).where(wanted)
                await connection.execute(statement.values(digest=digest.id, settled_at=now))

        await self._writer.run(f"merge {len(members)} messages", merge)

    async def _dissolve(
        self, digest: OutboxMessage, now: datetime, refusal: Refusal, retry_at: datetime
    ) -> None:
        """Give the messages of a digest back to the queue, or up where their time is over."""
        attempts = deliveries.c.attempts + 1
        old = deliveries.c.message.in_(
            select(messages.c.id).where(messages.c.created_at < refusal.dead_before)
        )
        over = or_(attempts >= refusal.max_attempts, old)
        statement = (
            update(deliveries)
            .where(_members(digest))
            .values(
                digest=None,
                attempts=attempts,
                error=refusal.error[:_ERROR_LENGTH],
                due_at=retry_at,
                settled_at=case((over, now), else_=None),
            )
        )

        async def dissolve(connection: AsyncConnection) -> None:
            await connection.execute(statement)
            await connection.execute(delete(deliveries).where(_row(digest)))
            others = exists().where(deliveries.c.message == messages.c.id)
            await connection.execute(delete(messages).where(messages.c.id == digest.id, ~others))

        await self._writer.run(f"dissolve digest {digest.id}", dissolve)

    async def _change(self, message: OutboxMessage, values: Mapping[str, Any]) -> None:
        async def change(connection: AsyncConnection) -> None:
            await connection.execute(update(deliveries).where(_row(message)).values(**values))

        await self._writer.run(f"update message {message.id}", change)

    async def _count(self, what: str, query: Select[Any]) -> int:
        return int((await self.ask_again(f"count {what} of the outbox", _fetching(query)))[0][0])

    async def _fetch(self, what: str, query: Select[Any]) -> Sequence[Row[Any]]:
        return await self._read(what, _fetching(query))


def _fetching(query: Select[Any]) -> Call[Sequence[Row[Any]]]:
    async def fetch(connection: AsyncConnection) -> Sequence[Row[Any]]:
        found: Sequence[Row[Any]] = (await connection.execute(query)).all()
        return found

    return fetch


def delivery_row(message: OutboxMessage, now: datetime) -> dict[str, Any]:
    """The row of a delivery that nobody has tried yet."""
    return {
        "message": message.id,
        "target": message.target,
        "application": message.application,
        "attempts": 0,
        "due_at": message.due_at or now,
        "settled_at": None,
        "delivered": False,
        "error": "",
    }


def _with_message() -> Select[Any]:
    return select(deliveries, messages.c.created_at).join(
        messages, messages.c.id == deliveries.c.message
    )


def _message(row: Row[Any]) -> OutboxMessage:
    return OutboxMessage(
        row.message,
        row.target,
        row.application,
        b"",
        row.attempts,
        created_at=row.created_at,
        due_at=row.due_at,
        begun=row.begun_at is not None,
    )


def _row(message: OutboxMessage) -> ColumnElement[bool]:
    return and_(deliveries.c.message == message.id, deliveries.c.target == message.target)


def _members(digest: OutboxMessage) -> ColumnElement[bool]:
    return and_(deliveries.c.digest == digest.id, deliveries.c.target == digest.target)


def _parts(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[at : at + _FEW] for at in range(0, len(ids), _FEW)]
