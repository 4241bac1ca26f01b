"""A Git server over https for tests: git's own `http-backend` behind a TLS listener."""

from __future__ import annotations

import os
import ssl
import subprocess
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class GitServer:
    """A running server: where it is, whom to trust, and what it was asked."""

    port: int
    ca_file: Path
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and Authorization header of each request."""
    redirect: str = ""
    """When set, every request is answered with a redirect to this address."""
    password: str = ""
    """When set, requests without it get 401."""
    status: int = 0
    """When set, every request is answered with it."""

    def url(self, name: str) -> str:
        """The address of one repository."""
        return f"https://localhost:{self.port}/{name}"


def make_certificate(folder: Path) -> Path:
    """A key and a self-signed certificate for localhost, in one file."""
    file = folder / "server.pem"
    options = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    names = "-subj /CN=localhost -addext subjectAltName=DNS:localhost"
    subprocess.run(
        ["openssl", *f"{options} {names}".split(), "-keyout", file, "-out", folder / "ca.pem"],
        check=True,
        capture_output=True,
    )
    with file.open("ab") as both:
        both.write((folder / "ca.pem").read_bytes())
    return file


class RunningServer:
    """Context manager that serves the repositories below a folder."""

    def __init__(self, root: Path, scratch: Path) -> None:
        certificate = make_certificate(scratch)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self._http.root = root
        self._http.git = GitServer(self._http.server_address[1], scratch / "ca.pem")
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))

    def __enter__(self) -> GitServer:
        self._thread.start()
        return self._http.git

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    root: Path
    git: GitServer

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that breaks off (a refused certificate) is part of what is tested."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline().strip(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - overrides
        """Keep test output quiet."""

    def _answer(self, body: bytes) -> None:
        git = self.server.git
        authorization = self.headers.get("Authorization")
        git.requests.append((self.path, authorization))
        if git.redirect:
            self.send_response(302)
            self.send_header("Location", git.redirect + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if git.status:
            self.send_response(git.status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if git.password and authorization != git.password:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._serve(body)

    def _serve(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "uploadpack.allowFilter",
            "GIT_CONFIG_VALUE_0": "true",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type") or "",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding") or "",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol") or "",
            "REMOTE_ADDR": "127.0.0.1",
        }
        done = subprocess.run(
            ["git", "http-backend"], env=environment, input=body, capture_output=True, check=False
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = [line.partition(": ") for line in head.decode().split("\r\n") if line]
        status = next((value for name, _, value in headers if name == "Status"), "200 OK")
        self.send_response(int(status.split(" ")[0]))
        for name, _, value in headers:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
