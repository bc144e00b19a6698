"""A meter's readings, sent to an OpenTelemetry collector by a thread of its own (OTLP, HTTP and protobuf)."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from operator import attrgetter
from typing import Final
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from loadgen.telemetry.instruments import BOUNDS_S, INSTRUMENTS, Distribution, Instrument, Reading

EVERY_S: Final = 10.0
PATH: Final = "/v1/metrics"
TIMEOUT_S: Final = 5.0

_CUMULATIVE: Final = AggregationTemporality.CUMULATIVE


@contextmanager
def pushing(
    endpoint: str,
    readings: Callable[[], Sequence[Reading]],
    warn: Callable[[str], None],
    *,
    version: str,
    every_s: float = EVERY_S,
) -> Iterator[None]:
    """Sends the readings every so often, and once more at the end; the first failure is told to ``warn``.

    ``warn`` is called in another thread.
    """
    # Its own words about failures would go across the display.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    exporter = OTLPMetricExporter(_with_path(endpoint), timeout=TIMEOUT_S)
    resource = Resource.create({"service.name": "loadgen", "service.version": version})
    started_ns, is_over = time.time_ns(), threading.Event()

    def push() -> None:
        has_failed = False
        while True:
            was_over = is_over.wait(every_s)
            if now := readings():
                data = metrics_data(now, resource, started_ns, time.time_ns())
                has_arrived = exporter.export(data) is MetricExportResult.SUCCESS
                if not (has_arrived or has_failed):
                    has_failed = True
                    warn(f"Warning: metrics do not arrive at {endpoint}; trying on every {every_s:g} s")
            if was_over:
                return

    thread = threading.Thread(target=push, name="otlp", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join(2 * TIMEOUT_S)
        exporter.shutdown()


def metrics_data(
    readings: Iterable[Reading], resource: Resource, started_ns: int, now_ns: int
) -> MetricsData:
    """The readings as OpenTelemetry's data model has them; times are of the wall clock."""
    order = {instrument: place for place, instrument in enumerate(INSTRUMENTS)}
    in_order = sorted(readings, key=lambda each: order[each.instrument])
    metrics = [
        _metric(instrument, of_it, started_ns, now_ns)
        for instrument, of_it in groupby(in_order, attrgetter("instrument"))
    ]
    scope = ScopeMetrics(scope=InstrumentationScope("loadgen"), metrics=metrics, schema_url="")
    return MetricsData([ResourceMetrics(resource=resource, scope_metrics=[scope], schema_url="")])


def _metric(instrument: Instrument, readings: Iterable[Reading], started_ns: int, now_ns: int) -> Metric:
    points: list[NumberDataPoint] = []
    distributions: list[HistogramDataPoint] = []
    for reading in readings:
        attributes = dict(zip(instrument.labels, reading.labels, strict=True))
        if isinstance(reading.value, Distribution):
            distributions.append(_distribution(attributes, reading.value, started_ns, now_ns))
        else:
            points.append(NumberDataPoint(attributes, started_ns, now_ns, reading.value))
    data: Sum | Gauge | Histogram
    match instrument.kind:
        case "counter":
            data = Sum(points, _CUMULATIVE, is_monotonic=True)
        case "gauge":
            data = Gauge(points)
        case "histogram":
            data = Histogram(distributions, _CUMULATIVE)
    return Metric(instrument.name, instrument.text, instrument.unit, data)


def _distribution(
    attributes: Mapping[str, str], value: Distribution, started_ns: int, now_ns: int
) -> HistogramDataPoint:
    return HistogramDataPoint(
        attributes=attributes,
        start_time_unix_nano=started_ns,
        time_unix_nano=now_ns,
        count=value.total,
        sum=value.sum,
        bucket_counts=value.counts,
        explicit_bounds=BOUNDS_S,
        min=value.smallest,
        max=value.largest,
    )


def _with_path(endpoint: str) -> str:
    return endpoint if urlsplit(endpoint).path.strip("/") else endpoint.rstrip("/") + PATH
