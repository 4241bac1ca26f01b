"""Real HTTP receivers on loopback: one verifies Standard Webhooks signatures, one is Slack-like."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()


@dataclass(slots=True)
class Receivers:
    """What arrived, in order."""

    url: str
    webhook: list[Any] = field(default_factory=list)
    """Messages whose signature is right."""
    slack: list[Any] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Why requests were answered with 400."""

    def of(self, application: str, kind: str = "") -> list[Any]:
        """The webhook's messages about an application, of one type where it is given."""
        return [
            one
            for one in self.webhook
            if one["application"] == application and kind in ("", one["type"])
        ]

    def slack_of(self, application: str) -> list[str]:
        """The headlines that Slack got about an application."""
        return [one["text"] for one in self.slack if one["text"].startswith(f"{application} on ")]

    def take(self, path: str, headers: Any, body: bytes) -> str:
        """Keep a request; why it is refused, or nothing."""
        if path == "/slack/T0/B0/secret":
            self.slack.append(json.loads(body))
            return ""
        if path != "/hook":
            return f"nobody listens at {path}"
        content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        right = base64.b64encode(hmac.new(KEY, content, hashlib.sha256).digest()).decode()
        if headers["webhook-signature"] != f"v1,{right}":
            return "the signature is wrong"
        event = json.loads(body)
        message = event["data"]
        if not event["id"] == message["id"] == headers["webhook-id"]:
            return "the ids differ"
        self.webhook.append(message)
        return ""


@contextmanager
def receivers() -> Iterator[Receivers]:
    """Both receivers on one free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            problem = got.take(self.path, self.headers, body)
            if problem:
                got.refused.append(problem)
            self.send_response(400 if problem else 200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None:
            """Requests are kept, not printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    got = Receivers(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
