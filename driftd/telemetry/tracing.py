"""Spans of OpenTelemetry: one for each look and its steps, none for single objects.

Without the extra `tracing`, or without an endpoint in the settings, a span is nothing and costs
next to nothing. Nothing here is imported from OpenTelemetry before `Tracing` is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from driftd import __version__
from driftd.errors import ConfigError, DriftdError
from driftd.settings.types import Tracing as TracingSettings
from driftd.telemetry.redact import redact_text

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer

APPLICATION: Final = "driftd.application"
"""The attribute with an application's `namespace/name`."""
CLUSTER: Final = "driftd.cluster"
STATUS: Final = "driftd.status"
_FLUSH: Final = 1_000
"""Milliseconds that spans get at the end to be sent."""

_tracer: Tracer | None = None


class Tracing:
    """Spans are made and sent while it is entered (`with`)."""

    def __init__(self, settings: TracingSettings, exporter: SpanExporter | None = None) -> None:
        """`exporter` takes the spans; by default they go to the endpoint of the settings.

        Raises ConfigError where the extra is not installed.
        """
        try:
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
        except ImportError:
            raise _missing() from None
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(settings.sample_percent / 100)),
            resource=Resource.create({"service.name": "driftd", "service.version": __version__}),
            shutdown_on_exit=False,  # a receiver that is away must not delay the end
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter or _otlp(settings)))

    def __enter__(self) -> Self:
        global _tracer  # one process has one, as it has one log
        _tracer = self._provider.get_tracer("driftd", __version__)
        return self

    def __exit__(self, *_exc: object) -> None:
        global _tracer  # one process has one, as it has one log
        _tracer = None
        self._provider.force_flush(_FLUSH)
        self._provider.shutdown()


@contextmanager
def span(name: str, **attributes: str) -> Iterator[dict[str, str]]:
    """A step of a look; what is put into the dictionary becomes attributes at its end.

    The keys are those of the constants of this module. An error that ends the step marks it, with
    its reason alone.
    """
    late: dict[str, str] = {}
    tracer = _tracer
    if tracer is None:
        yield late
        return
    given: dict[str, Any] = {f"driftd.{key}": value for key, value in attributes.items()}
    with tracer.start_as_current_span(
        name, attributes=given, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield late
        except BaseException as error:
            from opentelemetry.trace import Status, StatusCode

            reason = error.reason if isinstance(error, DriftdError) else type(error).__name__
            current.set_status(Status(StatusCode.ERROR, redact_text(reason)))
            raise
        finally:
            current.set_attributes(late)


def _otlp(settings: TracingSettings) -> SpanExporter:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        raise _missing() from None
    return OTLPSpanExporter(endpoint=settings.endpoint, timeout=settings.timeout.seconds)


def _missing() -> ConfigError:
    return ConfigError(
        "tracing.endpoint needs OpenTelemetry, which is not installed",
        hint="install driftd with its extra: pip install 'driftd[tracing]'",
    )
