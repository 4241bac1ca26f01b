"""S-39: how soon a webhook of a Git server is answered while others send what is refused.

    python -m tests.perf.githooks [--posts 400] [--pairs 6]

A server of its own process takes posts; the same client sends signed ones, one after the other,
in turns with and without an attack beside it: 40 bodies that never end held open, and all the
time bodies of 3 MiB, endless chunks, 10,000 headers and packed bodies, each on a connection of its
own. What counts is the ratio of the percentiles; of p99 it must be below two.
"""

from __future__ import annotations

import asyncio
import gzip
import multiprocessing
import tempfile
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import aiohttp
import click

from tests.perf.detection import percentile
from tests.unit.web.posts import headers
from tests.unit.web.test_githooks import Endpoint, body_of

HELD = 40
"""Connections that send the beginning of a body and no more."""
RATE = 20.0
"""Other attacks a second."""
MOST = 2.0
"""The ratio of p99 that is still good."""


def serve(tell: Connection) -> None:
    """Serve until the process is ended."""

    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            made = Endpoint(Path(folder))
            async with made.server:
                tell.send(made.server.port)
                await asyncio.Event().wait()

    asyncio.run(run())


def head(*lines: str) -> bytes:
    """The head of a post to GitHub's endpoint."""
    return "\r\n".join(["POST /hooks/github HTTP/1.1", "Host: x", *lines, "", ""]).encode()


def attacks() -> list[bytes]:
    """What is sent and refused."""
    packed = gzip.compress(b"0" * (16 << 20))
    return [
        head("Content-Length: 3145729") + b"x" * (3 << 20),
        head("Transfer-Encoding: chunked") + (b"10000\r\n" + b"x" * 0x10000 + b"\r\n") * 64,
        head("Content-Length: 2", *(f"X-{n}: y" for n in range(10_000))) + b"{}",
        head(f"Content-Length: {len(packed)}", "Content-Encoding: gzip") + packed,
        head("Content-Length: 100", "Transfer-Encoding: chunked") + b"{}",
    ]


def attack(port: int) -> None:
    """Attack until the process is ended."""
    kinds = attacks()

    async def once(sent: bytes) -> None:
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(5):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    writer.write(sent)
                    await reader.read(64)
                finally:
                    writer.close()

    async def hold() -> None:
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(head("Content-Length: 1000000") + b"x" * 1000)
                await reader.read()  # until the server has had enough of it
                writer.close()

    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(HELD):
                group.create_task(hold())
            for number in range(1_000_000):
                group.create_task(once(kinds[number % len(kinds)]))
                await asyncio.sleep(1 / RATE)

    asyncio.run(run())


async def posts(port: int, count: int) -> list[float]:
    """Seconds that each signed post takes, one after the other."""
    body, url = body_of("github"), f"http://127.0.0.1:{port}/hooks/github"
    found = []
    async with aiohttp.ClientSession() as session:
        for number in range(count):
            given = headers("github", body, str(number))
            began = time.perf_counter()
            async with session.post(url, data=body, headers=given) as response:
                await response.read()
                if response.status != 202:
                    raise click.ClickException(f"a signed post was answered {response.status}")
            found.append(time.perf_counter() - began)
    return found


@click.command()
@click.option("--posts", "count", default=400, show_default=True, help="Of each turn.")
@click.option("--pairs", default=6, show_default=True)
def main(count: int, pairs: int) -> None:
    """Measure in turns, and print a table; 1 if posts wait too long beside an attack."""
    processes = multiprocessing.get_context("spawn")
    ours, theirs = processes.Pipe()
    server = processes.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    port = int(ours.recv())
    calm: list[float] = []
    attacked: list[float] = []
    asyncio.run(posts(port, count))  # what is measured is not the first of its kind
    for _ in range(pairs):
        calm += asyncio.run(posts(port, count))
        attacker = processes.Process(target=attack, args=(port,), daemon=True)
        attacker.start()
        time.sleep(1.5)  # until all of it is under way
        attacked += asyncio.run(posts(port, count))
        attacker.kill()
        attacker.join()
    server.kill()
    shares = (0.5, 0.9, 0.99)
    click.echo(f"| {len(calm)} posts, ms | p50 | p90 | p99 |\n|---|---|---|---|")
    for what, values in (("alone", calm), ("beside the attack", attacked)):
        cells = " | ".join(f"{percentile(values, share):.1f}" for share in shares)
        click.echo(f"| {what} | {cells} |")
    ratios = [percentile(attacked, share) / percentile(calm, share) for share in shares]
    click.echo(f"| ratio | {' | '.join(f'{one:.2f}' for one in ratios)} |")
    if ratios[-1] >= MOST:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
