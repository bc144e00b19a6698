"""A Prometheus endpoint over a meter's readings, in threads of its own."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, groupby
from operator import attrgetter

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from loadgen.telemetry.instruments import BOUNDS_S, INSTRUMENTS, Distribution, Instrument, Reading

_INFINITY = "+Inf"


class _Readings(Collector):
    def __init__(self, readings: Callable[[], Sequence[Reading]]) -> None:
        self._readings = readings

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        order = {instrument: place for place, instrument in enumerate(INSTRUMENTS)}
        readings = sorted(self._readings(), key=lambda each: order[each.instrument])
        for instrument, of_it in groupby(readings, attrgetter("instrument")):
            yield _family(instrument, of_it)


@contextmanager
def serving(address: str, port: int, readings: Callable[[], Sequence[Reading]]) -> Iterator[int]:
    """Answers ``GET /metrics`` there; gives the port. Raises ``OSError`` if that cannot be had."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Readings(readings))
    server, thread = start_http_server(port, address, registry)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _family(instrument: Instrument, readings: Iterable[Reading]) -> Metric:
    names = instrument.prometheus_name, instrument.text
    if instrument.kind == "histogram":
        histograms = HistogramMetricFamily(*names, labels=instrument.labels)
        for reading in readings:
            value = reading.value
            if isinstance(value, Distribution):
                histograms.add_metric(reading.labels, _buckets(value), value.sum)
        return histograms
    kind = CounterMetricFamily if instrument.kind == "counter" else GaugeMetricFamily
    family = kind(*names, labels=instrument.labels)
    for reading in readings:
        if not isinstance(reading.value, Distribution):
            family.add_metric(reading.labels, reading.value)
    return family


def _buckets(value: Distribution) -> list[tuple[str, float]]:
    """Prometheus' are cumulative."""
    bounds = (*(f"{bound:g}" if bound % 1 else f"{bound:.1f}" for bound in BOUNDS_S), _INFINITY)
    return list(zip(bounds, map(float, accumulate(value.counts)), strict=True))
