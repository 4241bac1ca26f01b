"""What TLS connections hold of memory."""

from __future__ import annotations

import asyncio
import ssl
from asyncio import BufferedProtocol
from asyncio.sslproto import SSLProtocol
from pathlib import Path

import pytest

from driftd.cluster import buffers
from tests.testbed.webserver import Reply, WebServer, make_tls


async def test_a_connection_reads_two_records_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections get the size that is asked for; whoever asks for less keeps less."""
    monkeypatch.setattr(SSLProtocol, "max_size", 256 * 1024)
    buffers.use()
    buffers.use(64 * 1024)
    tls = make_tls(tmp_path)
    with WebServer(lambda _: Reply(body=b"{}"), tls) as server:
        trust = ssl.create_default_context(cafile=str(tls.ca))
        port = int(server.url.rsplit(":", 1)[1])
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(
            asyncio.Protocol, "127.0.0.1", port, ssl=trust, server_hostname="127.0.0.1"
        )
        reads: BufferedProtocol = vars(transport)["_ssl_protocol"]
        assert len(reads.get_buffer(-1)) == 32 * 1024
        transport.abort()
