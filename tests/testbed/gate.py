"""A gate in front of a server: open, shut as if nobody listened, or swallowing what comes."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

CHUNK = 65536


class Gate:
    """Passes connections on to a port of this machine, as long as it is open."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._passing = threading.Event()
        self._passing.set()
        self._refusing = False
        self._ended = False
        self._lock = threading.Lock()
        self._pairs: set[socket.socket] = set()
        self.most = 0
        """Connections at the same time, at most so far."""
        threading.Thread(target=self._accept, daemon=True).start()

    def shut(self) -> None:
        """End every connection, and each new one at once."""
        self._refusing = True
        self._drop()

    def lead(self, target: int) -> None:
        """Lead to another port from now on; every connection ends."""
        self._target = target
        self._drop()

    def swallow(self) -> None:
        """Take connections and requests, and let nothing through in either direction."""
        self._passing.clear()

    def open(self) -> None:
        """Pass everything on again; connections that were swallowed are ended."""
        if not self._passing.is_set():
            self._drop()
        self._refusing = False
        self._passing.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended = True
        self._listener.close()
        self._drop()
        self._passing.set()

    def _accept(self) -> None:
        while not self._ended:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refusing:
                client.close()
                continue
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            self._pairs.add(client)
        try:
            server = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            self._end(client)
            return
        with self._lock:
            self._pairs.add(server)
            self.most = max(self.most, len(self._pairs) // 2)
        back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
        back.start()
        self._pump(client, server)
        back.join()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(CHUNK):
                self._passing.wait()
                sink.sendall(data)
        except OSError:
            pass
        self._end(source)
        self._end(sink)

    def _drop(self) -> None:
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for one in pairs:
            self._end(one)

    def _end(self, one: socket.socket) -> None:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
        with self._lock:
            self._pairs.discard(one)
