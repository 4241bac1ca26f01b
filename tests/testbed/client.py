"""A small synchronous client of an API server: keep-alive, JSON in, JSON out."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
from typing import Any

Json = Any
"""A decoded JSON document."""


class ApiError(RuntimeError):
    """An API server refused a call; `status` is the HTTP status, `body` its answer."""

    def __init__(self, method: str, path: str, status: int, body: Json) -> None:
        message = body.get("message", "") if isinstance(body, dict) else str(body)
        super().__init__(f"{method} {path}: {status} {message}")
        self.status = status
        self.body = body


class Client:
    """Calls one API server over connections that stay open, one per thread."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._port = port
        self._context = context
        self._local = threading.local()
        self._open: list[http.client.HTTPSConnection] = []

    def request(
        self,
        method: str,
        path: str,
        body: Json = None,
        *,
        token: str = "",
        content_type: str = "application/json",
        user_agent: str = "testbed/v1",
    ) -> tuple[int, Json]:
        """One call: the HTTP status and the decoded body (text where it is not JSON).

        `body` is sent as it is when it is text or bytes, else encoded as JSON. A connection
        that the server closed while idle is opened anew once.
        """
        headers = {"User-Agent": user_agent, "Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data: bytes | None = None
        if body is not None:
            headers["Content-Type"] = content_type
            data = _encode(body)
        connection, reused = self._connection()
        try:
            status, answer = _exchange(connection, method, path, data, headers)
        except (http.client.RemoteDisconnected, ConnectionError, ssl.SSLEOFError):
            connection.close()
            if not reused:
                raise
            status, answer = _exchange(connection, method, path, data, headers)
        return status, answer

    def close(self) -> None:
        """Close every connection, those of other threads too."""
        for connection in self._open:
            connection.close()
        self._open.clear()

    def _connection(self) -> tuple[http.client.HTTPSConnection, bool]:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = http.client.HTTPSConnection(
                "127.0.0.1", self._port, context=self._context, timeout=60
            )
            self._local.connection = connection
            self._open.append(connection)
        return connection, connection.sock is not None


def _encode(body: Json) -> bytes:
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    return json.dumps(body).encode()


def _exchange(
    connection: http.client.HTTPSConnection,
    method: str,
    path: str,
    data: bytes | None,
    headers: dict[str, str],
) -> tuple[int, Json]:
    connection.request(method, path, body=data, headers=headers)
    if isinstance(connection.sock, socket.socket):
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    response = connection.getresponse()
    raw = response.read()
    if response.headers.get_content_type() == "application/json":
        return response.status, json.loads(raw)
    return response.status, raw.decode(errors="replace")
