"""Records looks without end, and says of each that it is recorded: to be killed by a test."""

from __future__ import annotations

import asyncio
import sys

from driftd.store.sql import SqlStore
from tests.unit.reports import after, change, report, resource
from tests.unit.store.test_sql import loud

APPLICATIONS = 8


async def main(dsn: str, begin: int) -> None:
    """Looks with one drift and without take turns; each drift is another field."""
    store = await SqlStore.open(dsn)

    async def work(number: int) -> None:
        second = begin
        while True:
            field = change(f"/data/colour{second}", desired="blue", live="red")
            look = report(resource("web", *((field,) * (second % 2))), name=f"app{number}")
            await store.record(look, after(second), loud("one"))
            sys.stdout.write(f"app{number} {second}\n")
            sys.stdout.flush()
            second += 1

    await asyncio.gather(*(work(number) for number in range(APPLICATIONS)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
