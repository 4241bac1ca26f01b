"""A small web server for tests, with or without TLS, that keeps what it was asked."""

from __future__ import annotations

import http.client
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    """With the query."""
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes = b""


@dataclass
class Reply:
    """What to answer: bytes, or chunks that may never end."""

    status: int = 200
    body: bytes | Iterable[bytes] = b""
    headers: dict[str, str] = field(default_factory=dict)


Answerer = Callable[[Asked], Reply]


@dataclass(frozen=True)
class Tls:
    """A server's certificate for localhost, by an authority of its own."""

    server: Path
    """Certificate and key."""
    ca: Path
    client: Path
    """Certificate and key that the same authority gave a client."""


def make_tls(folder: Path) -> Tls:
    """Make an authority and what it signs, in a folder."""
    folder.mkdir(parents=True, exist_ok=True)

    def openssl(*arguments: str | Path) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)

    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl(
        "req", "-x509", *curve, "-days", "2", "-subj", "/CN=test authority",
        "-keyout", folder / "ca.key", "-out", folder / "ca.pem",
    )  # fmt: skip
    for name in ("server", "client"):
        openssl(
            "req", *curve, "-subj", f"/CN={name}",
            "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.csr",
        )  # fmt: skip
        extensions = folder / f"{name}.ext"
        extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        openssl(
            "x509", "-req", "-in", folder / f"{name}.csr", "-days", "2", "-CA", folder / "ca.pem",
            "-CAkey", folder / "ca.key", "-CAcreateserial", "-extfile", extensions,
            "-out", folder / f"{name}.crt",
        )  # fmt: skip
        both = folder / f"{name}.pem"
        both.write_bytes(
            (folder / f"{name}.crt").read_bytes() + (folder / f"{name}.key").read_bytes()
        )
    return Tls(folder / "server.pem", folder / "ca.pem", folder / "client.pem")


class WebServer:
    """Serves `answer` on a free port of the loopback interface; a context manager."""

    def __init__(
        self, answer: Answerer, tls: Tls | None = None, *, client_certificate: bool = False
    ) -> None:
        self.asked: list[Asked] = []
        self.scheme = "http" if tls is None else "https"
        self._answer = answer
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.owner = self
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.server)
            if client_certificate:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(tls.ca)
            self._http.socket = context.wrap_socket(
                self._http.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))

    @property
    def host(self) -> str:
        """Name and port."""
        return f"localhost:{self.port}"

    @property
    def url(self) -> str:
        """The address of the server's root, without a slash at its end."""
        return f"{self.scheme}://{self.host}"

    def answer(self, asked: Asked) -> Reply:
        """Note a request and answer it."""
        self.asked.append(asked)
        return self._answer(asked)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    owner: WebServer
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that breaks off is part of what is tested."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 20

    def _serve(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline().strip(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.owner.answer(Asked(self.command, self.path, headers, body))
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if isinstance(reply.body, bytes):
            if "Content-Length" not in reply.headers:
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)
            return
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        for chunk in reply.body:
            self.wfile.write(chunk)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - overrides
        """Keep test output quiet."""


def folder_of(root: Path) -> Answerer:
    """Serves the files below a folder."""

    def answer(asked: Asked) -> Reply:
        file = (root / asked.path.partition("?")[0].lstrip("/")).resolve()
        if not file.is_relative_to(root.resolve()) or not file.is_file():
            return Reply(404)
        return Reply(200, file.read_bytes())

    return answer


def behind_login(answer: Answerer, authorization: str) -> Answerer:
    """Answers only requests that carry exactly this header."""

    def checked(asked: Asked) -> Reply:
        if asked.headers.get("authorization") != authorization:
            return Reply(401, headers={"WWW-Authenticate": 'Basic realm="test"'})
        return answer(asked)

    return checked


def forwarded_to(port: int) -> Answerer:
    """Passes requests to another server of this machine."""

    def answer(asked: Asked) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            kept = {k: v for k, v in asked.headers.items() if k in {"accept", "content-type"}}
            connection.request(asked.method, asked.path, asked.body, kept)
            response = connection.getresponse()
            body = response.read()
            skipped = {"transfer-encoding", "connection", "date", "server"}
            if asked.method != "HEAD":
                skipped.add("content-length")
            headers = {k: v for k, v in response.getheaders() if k.lower() not in skipped}
            return Reply(response.status, body, headers)
        finally:
            connection.close()

    return answer
