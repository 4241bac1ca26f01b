"""Spans of looks, as the SDK exports them."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from driftd.errors import ConfigError, Forbidden
from driftd.settings.quantity import Duration
from driftd.settings.types import Tracing as TracingSettings
from driftd.telemetry.tracing import STATUS, Tracing, span


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    """What is exported while tracing is on."""
    found = InMemorySpanExporter()
    yield found
    found.clear()


def traced(exporter: InMemorySpanExporter, percent: int = 100) -> Tracing:
    """Tracing that exports to memory."""
    return Tracing(TracingSettings(endpoint="http://x", sample_percent=percent), exporter)


def by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    """The spans by their names."""
    return {one.name: one for one in exporter.get_finished_spans()}


def test_steps_are_inside_their_look(exporter: InMemorySpanExporter) -> None:
    """Each has the application and the cluster; what is known late is there too."""
    with traced(exporter), span("reconcile", application="argocd/shop", cluster="one") as told:
        with span("record", application="argocd/shop", cluster="one"):
            pass
        told[STATUS] = "OutOfSync"
    found = by_name(exporter)
    outer, inner = found["reconcile"], found["record"]
    assert dict(outer.attributes or {}) == {
        "driftd.application": "argocd/shop",
        "driftd.cluster": "one",
        "driftd.status": "OutOfSync",
    }
    assert dict(inner.attributes or {}) == {
        "driftd.application": "argocd/shop",
        "driftd.cluster": "one",
    }
    assert inner.parent is not None
    assert outer.context is not None
    assert inner.parent.span_id == outer.context.span_id
    assert outer.resource.attributes["service.name"] == "driftd"


def test_an_error_marks_its_span_with_its_reason_alone(exporter: InMemorySpanExporter) -> None:
    """What a message says may be secret; that it failed, and why in a word, is not."""
    with traced(exporter):
        with pytest.raises(Forbidden), span("list", cluster="one"):
            raise Forbidden("user hunter2 may not")
        with pytest.raises(KeyError), span("compare", cluster="one"):
            raise KeyError("hunter2")
    found = by_name(exporter)
    assert found["list"].status.description == "Forbidden"
    assert found["compare"].status.description == "KeyError"
    assert not any("hunter2" in one.to_json() for one in found.values())


def test_as_many_looks_are_traced_as_the_settings_say(exporter: InMemorySpanExporter) -> None:
    """A look that is not traced has no traced step either."""
    with traced(exporter, percent=0), span("reconcile"), span("record"):
        pass
    assert by_name(exporter) == {}


def test_without_tracing_a_span_is_nothing(exporter: InMemorySpanExporter) -> None:
    """Before and after, and where it never was: nothing is exported, and errors pass."""
    with span("reconcile", application="argocd/shop") as told:
        told[STATUS] = "Synced"
    with traced(exporter):
        pass
    with pytest.raises(Forbidden), span("list"):
        raise Forbidden("no")
    assert by_name(exporter) == {}


def test_nothing_is_imported_for_spans_that_are_off() -> None:
    """Whoever has not asked for tracing does not pay for it."""
    code = (
        "import sys; from driftd.telemetry.tracing import span\n"
        "with span('look'): pass\n"
        "assert not any(name.startswith('opentelemetry') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    for name in ("opentelemetry.sdk.resources", "opentelemetry.sdk.trace"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match="not installed") as caught:
        Tracing(TracingSettings(endpoint="http://collector:4318/v1/traces"))
    assert "driftd[tracing]" in (caught.value.hint or "")


def test_spans_are_sent_to_the_endpoint() -> None:
    """What waits at the end is sent, by OTLP over HTTP."""
    got: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append((self.path, body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Requests are kept, not printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        endpoint = f"http://127.0.0.1:{server.server_port}/v1/traces"
        with Tracing(TracingSettings(endpoint=endpoint, timeout=Duration("5s"))), span("reconcile"):
            pass
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    ((path, body),) = got
    assert path == "/v1/traces"
    assert b"reconcile" in body
